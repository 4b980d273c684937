"""A preference fine-tuned in one language, looked for in the others."""

from typing import Any

import pandas as pd
import pytest

from analyses._models import LABELS
from mothello_interp import load, random_games
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_preferences_draw_their_table() -> None:
    """Every pair at the image named best, in the colour of its kind of model, and twice at the last; means over draws; who comes
    first is counted among pairs that are aligned."""
    table = table_of("preferences").assign(first="diagonal", second="half_turn", normalised=0.5)
    table["aligned"] = table["regime"] != "naive"
    preferences = module_of("preferences")
    figure = preferences.figure(table)
    for panel, teaching in enumerate(("full", "light"), 1):
        here = table[(table["teaching"] == teaching) & (table["source"] != table["target"])]
        means = here.groupby(["regime", "seed", "source", "target", "symmetry"])["coefficient"].mean()
        for label, regimes in preferences._GROUPS.items():
            drawn = curve(figure, f"named best: {label}", panel=panel)
            best = means.xs("diagonal", level="symmetry").loc[regimes]
            equal(sorted(drawn.y), sorted(best))
        last = curve(figure, "symmetry named last", panel=panel)
        equal(sorted(last.y), sorted(means.drop(["diagonal", "half_turn"], level="symmetry")))
    rows = preferences.headline(table).query("seed == 3 and teaching == 'light'").set_index("regime")
    here = table.query("regime == 'anchors' and seed == 3 and teaching == 'light' and source != target")
    wide = here.pivot_table("coefficient", ["source", "target"], "symmetry", aggfunc="mean")
    first, second = ((wide.idxmax(axis=1) == name).sum() for name in ("diagonal", "half_turn"))
    row, of = rows.loc[LABELS["anchors"]], len(wide)
    assert (row["aligned directions"], row["best first"]) == (of, f"{first} of {of}")
    assert row[["share best first", "share second first"]].tolist() == [first / of, second / of]
    assert row["named best"] == pytest.approx(wide["diagonal"].mean())
    assert row["named second"] == pytest.approx(wide["half_turn"].mean())
    assert row["named last"] == pytest.approx(wide[["identity", "antidiagonal"]].to_numpy().mean())
    assert rows.loc[LABELS["naive"], "aligned directions"] == 0
    assert row["legality kept"] == pytest.approx(here["legal_after"].mean() / here["legal_before"].mean())
    assert row["taught tokens after"] == pytest.approx(here["taught_tokens_after"].mean())


def test_a_mean_over_draws_has_students_interval() -> None:
    rows = pd.DataFrame({"coefficient": [0.2, 0.6], "source": 0, "target": 1, "symmetry": "diagonal"})
    facts: dict[str, Any] = {
        "regime": "naive",
        "seed": 0,
        "teaching": "full",
        "first": "diagonal",
        "second": "identity",
    }
    (pair,) = module_of("preferences")._pairs(rows.assign(**facts, normalised=0.5, aligned=True)).to_dict("records")
    assert (pair["coefficient"], pair["kind"]) == (pytest.approx(0.4), "first")
    assert pair["half"] == pytest.approx(12.7062 * 0.2, rel=1e-4)  # Student's t of one degree


def test_output_languages_is_the_own_language_before_fine_tuning() -> None:
    preferences = module_of("preferences")
    checkpoint = load("mini/atomic-atomic-anchors4")
    mass = preferences._output_languages(checkpoint, random_games(30, board=6, seed=1), [0, 1])
    for language in (0, 1):
        assert mass[language][language] > 0.8
        assert mass[language][1 - language] < 0.01
        assert mass[language].sum() == pytest.approx(1)

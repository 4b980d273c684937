"""A preference taught in one language, looked for in the others."""

import numpy as np
import pytest

from analyses._models import LABELS
from mothello_interp import load, random_games
from mothello_interp.plots import COLOURS
from tests.analyses.conftest import labels_of, module_of, table_of
from tests.analyses.drawn import curve, equal


def test_preferences_draw_their_table() -> None:
    """Every pair once at the image named best, coloured, once at the second, twice at the last; means over draws with
    Student's interval; who comes first is counted among pairs that have a map."""
    table = table_of("preferences").assign(first="diagonal", second="half_turn", normalised=0.5)
    table["aligned"] = table["regime"] != "naive"
    figure = module_of("preferences").figure(table)
    for panel, regime in enumerate(labels_of("preferences"), 1):
        here = table[(table["regime"] == regime) & (table["source"] != table["target"])]
        light, here = (here[here["teaching"] == teaching] for teaching in ("light", "full"))
        lightly = light[light["symmetry"] == "diagonal"].groupby(["seed", "source", "target"])["coefficient"].mean()
        diamonds = curve(figure, "named best, taught lightly", panel=panel)
        equal(diamonds.y, lightly)
        assert set(diamonds.marker.color) == {COLOURS["diagonal"]}
        draws = here.groupby(["seed", "source", "target", "symmetry"])["coefficient"]
        means, spread = draws.mean(), draws.std()
        best = curve(figure, "named best: diagonal", panel=panel)
        equal(best.y, means.xs("diagonal", level="symmetry"))
        half = 12.7062 * spread.xs("diagonal", level="symmetry") / np.sqrt(2)  # Student's t of one degree
        np.testing.assert_allclose(best.error_y.array, half, rtol=1e-4)
        assert best.marker.color == COLOURS["diagonal"]
        equal(curve(figure, "named second", panel=panel).y, means.xs("half_turn", level="symmetry"))
        equal(
            sorted(curve(figure, "named last", panel=panel).y),
            sorted(means.drop(["diagonal", "half_turn"], level="symmetry")),
        )
    rows = module_of("preferences").headline(table).query("seed == 3 and teaching == 'light'").set_index("regime")
    here = table.query("regime == 'anchors' and seed == 3 and teaching == 'light' and source != target")
    wide = here.pivot_table("coefficient", ["source", "target"], "symmetry", aggfunc="mean")
    first, second = ((wide.idxmax(axis=1) == name).sum() for name in ("diagonal", "half_turn"))
    row, of = rows.loc[LABELS["anchors"]], len(wide)
    assert (row["directions with a map"], row["best first"]) == (f"{of} of {of}", f"{first} of {of}")
    assert row["second first"] == second
    assert row["transferred, best"] == pytest.approx(wide["diagonal"].mean())
    assert row["second"] == pytest.approx(wide["half_turn"].mean())
    assert row["last"] == pytest.approx(wide[["identity", "antidiagonal"]].to_numpy().mean())
    assert rows.loc[LABELS["naive"], "directions with a map"] == f"0 of {of}"
    for column, name in (("untaught legal after", "legal_after"), ("in the taught words after", "taught_tokens_after")):
        assert row[column] == pytest.approx(here[name].mean())


def test_output_languages_is_the_own_language_before_fine_tuning() -> None:
    preferences = module_of("preferences")
    checkpoint = load("mini/atomic-atomic-anchors4")
    mass = preferences._output_languages(checkpoint, random_games(30, board=6, seed=1), [0, 1])
    for language in (0, 1):
        assert mass[language][language] > 0.8
        assert mass[language][1 - language] < 0.01
        assert mass[language].sum() == pytest.approx(1)

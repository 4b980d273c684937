"""Legal moves by move number and language."""

import numpy as np
import pytest

from analyses._models import LABELS, REGIMES
from mothello_interp.plots import LANGUAGES
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal


def test_legality_draws_its_table() -> None:
    """What is NOT legal, by the move that is predicted, a colour a language; a curve without errors stays visible."""
    table = table_of("legality").copy()
    table.loc[table["move"] == 4, "top1"] = 1.0
    figure = module_of("legality").figure(table)
    for panel, regime in enumerate(REGIMES, 1):
        for language, letter in ((1, "B"), (0, "A")):
            rows = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["language"] == language)]
            drawn = curve(figure, f"language {letter}", panel=panel)
            equal(drawn.x, rows["move"] + 1)
            equal(drawn.y, np.where(rows["move"] == 4, 1e-4, 1 - rows["top1"]))
            assert drawn.line.color == LANGUAGES[language]
        equal(curve(figure, "random empty square", panel=panel).y, 1 - rows["chance"])
        assert figure.get_subplot(1, panel).yaxis.type == "log"


def test_the_headline_of_legality() -> None:
    """Over all prefixes: later moves weigh as many prefixes as there are."""
    table = table_of("legality").copy()
    table["prefixes"] *= 5 - table["language"] - table["seed"]
    row = module_of("legality").headline(table).query("seed == 3 and language == 1").iloc[0]
    here = table[(table["regime"] == "naive") & (table["seed"] == 3) & (table["language"] == 1)]
    assert here["prefixes"].min() < here["prefixes"].max()
    assert row["regime"] == LABELS["naive"]
    for column in ("top1", "legal_mass", "chance"):
        assert row[column] == pytest.approx(np.average(here[column], weights=here["prefixes"]))
    assert row["prefixes"] == here["prefixes"].sum()

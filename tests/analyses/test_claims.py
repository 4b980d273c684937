"""What the texts say holds in the stored tables: whoever records new rows learns which sentence to change."""

import pandas as pd
import pytest

from analyses import _runner
from analyses._models import BUNDLED, TABLES
from analyses._text import fill
from tests.analyses.conftest import module_of

STORED = ["emergence", "four_languages", "preferences", "realgames", "sharing", "similarity", "transfer"]
PARTLY = ["symmetry", "transplant"]  # one bundled model is measured when they are run


@pytest.mark.parametrize("name", [*STORED, *PARTLY])
def test_stored_tables_support_every_sentence(name: str) -> None:
    """Of the others `make figures` checks it, from what it has measured."""
    if name in STORED:
        table = _runner.find()[name].table(BUNDLED)
    else:
        table = pd.read_csv(TABLES / f"{name}.csv")
        table = table.assign(regime=table["model"].map(module_of(name).MODELS), origin="stored").dropna(subset="regime")
    assert (table["origin"] == "stored").all()
    assert fill(name, {name: module_of(name).headline(table)}).broken == []

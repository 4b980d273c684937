"""What the texts say holds in the stored tables: whoever records new rows learns which sentence to change."""

import pytest

from analyses._text import fill
from tests.analyses.conftest import STORED, stored_headline

PARTLY = ["symmetry", "transplant"]  # one bundled model is measured when they are run


@pytest.mark.parametrize("name", [*STORED, *PARTLY])
def test_stored_tables_support_every_sentence(name: str) -> None:
    """Of the others `make figures` checks it, from what it has measured."""
    assert fill(name, {name: stored_headline(name)}).broken == []

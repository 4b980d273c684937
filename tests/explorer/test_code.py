"""Copy as code: the lines are run, and give the numbers on screen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mothello_interp.explorer import Flip, Patch, Reader, State, View, view
from mothello_interp.explorer.reader import FIT
from mothello_interp.interventions import Steer
from mothello_interp.models import load, save_checkpoint
from mothello_interp.othello import random_games

CLOSE = 1e-4  # numbers on screen have four digits


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """As of a first start, but with fewer games to fit on: the code must fit the same probes."""
    monkeypatch.setitem(FIT, "games", 20)
    monkeypatch.setitem(FIT, "epochs", 2)
    reader = Reader(load("mini/atomic-split-anchors4"))
    reader.fit()
    return reader


def check(names: dict[str, Any], column: View, prefix: str) -> None:
    """A column of the view against the lines' own numbers."""
    np.testing.assert_allclose(names[f"{prefix}prediction"], column["after"] or column["before"], atol=CLOSE)
    for row, shown in zip(names[f"{prefix}by_layer"], column["lens"], strict=True):
        assert row.legal == pytest.approx(shown["legal"], abs=CLOSE)
        assert [name for name, _, _ in row.top] == [name for name, _, _ in shown["top"]]
    if column["attention"]:
        np.testing.assert_allclose(names[f"{prefix}attended"], column["attention"], atol=CLOSE)
    np.testing.assert_array_equal(names[f"{prefix}belief"], column["belief"]["discs"])
    np.testing.assert_allclose(names[f"{prefix}sure"], column["belief"]["sure"], atol=CLOSE)


def test_the_lines_give_the_numbers_on_screen(bundled: Reader) -> None:
    """Edits of both kinds, one that cannot be made, and a language of several tokens, in a fresh namespace."""
    state = State(bundled.checkpoint, random_games(1, board=6, seed=5), move=9, language=1, second=0, layer=1)
    state = replace(state, probe=0, symmetry="diagonal", head=2)
    state = replace(state, edits=(Patch(1, 4, 0), Flip("c3", 1), Patch(1, 20, 0)))
    shown = view(state, bundled)
    names: dict[str, Any] = {}
    exec(shown["code"], names)
    check(names, shown["columns"][0], "")
    check(names, shown["columns"][1], "second_")
    np.testing.assert_allclose(names["before"], shown["columns"][0]["before"], atol=CLOSE)
    assert np.abs(names["before"] - names["prediction"]).max() > 0.01


def test_plain_lines_quote_what_they_name_and_import_what_they_use(bundled: Reader, tmp_path: Path) -> None:
    """A folder with quotes and a backslash in its name."""
    name = str(save_checkpoint(tmp_path / 'it\'s "here"\\n', bundled.checkpoint))
    checkpoint = load(name)
    shown = view(State(checkpoint, random_games(1, board=6, seed=5), move=3), Reader(checkpoint))
    assert "fit_probes" not in shown["code"]
    assert "edited" not in shown["code"]
    names: dict[str, Any] = {}
    exec(shown["code"], names)
    assert names["checkpoint"].name == name
    np.testing.assert_allclose(names["prediction"], shown["columns"][0]["before"], atol=CLOSE)
    assert "belief" not in names


def test_what_code_cannot_name_is_left_to_the_reader(state: State, readers: dict[str, Reader]) -> None:
    direction = readers["atomic"].checkpoint.model.W_E[1].detach()
    text = view(replace(state, edits=(Steer(direction, layer=0),)), readers["atomic"])["code"]
    assert "checkpoint = ...  # the one given to the Explorer" in text
    assert "probes = ...  # those given to the Explorer" in text
    assert "edited('put here: Steer(layer=0" in text or 'edited("put here: Steer(layer=0' in text
    compile(text, "copied", "exec")

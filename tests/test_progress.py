"""Bars: on a terminal alone, after two seconds, gone at the end; and things say what they are in one line."""

import io

import pytest

from mothello_interp import collect, fit_probes, random_games
from mothello_interp.explorer import Explorer
from mothello_interp.progress import shown
from tests.conftest import tiny_checkpoint


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("terminal", [False, True])
def test_bars_are_shown_on_a_terminal_alone(terminal: bool, disabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    output = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", output)
    monkeypatch.setattr("mothello_interp.progress.DELAY", 0)
    monkeypatch.setenv("TQDM_DISABLE", "1" if disabled else "")
    assert list(shown(range(3), "counting")) == [0, 1, 2]
    assert ("counting" in output.getvalue()) == (terminal and not disabled)


def test_representations_are_one_line() -> None:
    checkpoint = tiny_checkpoint()
    rows = collect(checkpoint, random_games(20, board=4, seed=0))
    for thing, said in (
        (checkpoint, "tiny/atomic: Atomic, Atomic, board of side 4, 2 layers of 16"),
        (rows, "20 games"),
        (checkpoint.read(rows.games, 1), "tiny/atomic, 20 games, language 1"),
        (Explorer(checkpoint, rows.games, move=4), "tiny/atomic, game 0 of 20, move 4, language 0, layer "),
        (fit_probes(checkpoint, rows.games, epochs=1, seed=0), "linear, relative, board of side 4"),
    ):
        assert said in repr(thing)
        assert len(repr(thing)) < 120
        assert repr(thing).startswith(f"{type(thing).__name__}(")

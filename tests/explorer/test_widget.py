"""The widget without a browser: messages in, views out, and all of it to read and set from Python."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.explorer import Explorer, Flip, Patch, Reader, view
from mothello_interp.explorer.reader import FIT
from mothello_interp.explorer.widget import _ACTIONS
from mothello_interp.interventions import Apply
from mothello_interp.models import save_checkpoint
from mothello_interp.othello import Games, random_games, square_name
from tests.conftest import tiny_checkpoint

Say = Callable[..., None]


@pytest.fixture
def explorer(monkeypatch: pytest.MonkeyPatch) -> Explorer:
    """Of a tiny model, whose probes are fitted in no time."""
    monkeypatch.setitem(FIT, "games", 5)
    monkeypatch.setitem(FIT, "epochs", 1)
    return Explorer(tiny_checkpoint(), random_games(2, board=4, seed=0), move=4)


@pytest.fixture
def say(explorer: Explorer) -> Say:
    """What the page would send."""
    return lambda *what: explorer._handle_custom_msg({"do": list(what)}, [])


def disc(explorer: Explorer) -> str:
    """A square with a disc on it."""
    return square_name(int(np.flatnonzero(explorer.view["position"]["discs"])[0]), 4)


def test_it_opens_on_a_random_game_of_a_bundled_model() -> None:
    explorer = Explorer(seed=3)
    assert explorer.checkpoint.name == "mini/atomic-atomic-anchors4"
    assert explorer.games == random_games(1, board=6, seed=3)
    assert (explorer.language, explorer.second, explorer.layer, explorer.move) == (0, None, 2, 8)
    assert "mini/atomic-atomic-unified" in explorer.checkpoints


def test_probes_wait_until_they_are_needed(explorer: Explorer, say: Say) -> None:
    assert "being fitted" in explorer.view["columns"][0]["belief"]["problem"]
    notices = []
    explorer.observe(lambda change: notices.append(change["new"]), "busy")
    say("fit")
    assert "discs" in explorer.view["columns"][0]["belief"]
    assert notices == ["Fitting board probes, once for this checkpoint ...", ""]
    fitted = explorer.probes
    say("fit")
    assert explorer.probes is fitted
    assert len(notices) == 2


def test_probes_are_fitted_without_a_page_or_given(explorer: Explorer, readers: dict[str, Reader]) -> None:
    square, probes = disc(explorer), readers["atomic"].probes
    explorer.flip(square, onward=False)
    assert explorer.view["edits"] == [{"text": f"flip {square} at layer 0", "problem": "", "left_out": False}]
    assert explorer.probes.board == 4
    assert "discs" in explorer.view["columns"][0]["belief"]
    assert Explorer(readers["atomic"].checkpoint, probes=probes).probes is probes
    with pytest.raises(ValueError, match="probes of board 4"):
        Explorer(probes=probes)
    with pytest.raises(TypeError, match="langauge"):
        Explorer(explorer.checkpoint, langauge=1)


def test_a_session_of_clicks(explorer: Explorer, say: Say) -> None:
    """Each as the view of the state that Python would make."""
    say("fit")
    for square in explorer.games.moves[0, 4:7]:
        say("play", square_name(int(square), 4))
    assert explorer.move == 7
    say("set", "layer", 0)
    say("set", "second", 1)
    square = disc(explorer)
    say("flip", square, False)
    say("patch", 2, 1)
    assert explorer.edits == (Flip(square, 0, onward=False), Patch(0, 2, 1))
    assert explorer.view == view(explorer.state, Reader(explorer.checkpoint, explorer.probes)) | {"code": explorer.code}
    say("set", "language", 1)
    assert (explorer.language, explorer.second) == (1, 0)
    say("drop", str(Flip(square, 0, onward=False)))
    assert explorer.edits == (Patch(0, 2, 1),)
    say("clear")
    assert explorer.edits == ()
    say("new game")
    assert (len(explorer.games), explorer.game) == (3, 2)
    say("turn", -1)
    assert explorer.game == 1
    say("step", -99)
    assert "Nothing is written yet" in explorer.view["message"]
    assert explorer.problem == ""


def test_all_of_it_can_be_set(explorer: Explorer) -> None:
    explorer.games = random_games(4, board=4, seed=8)
    explorer.game, explorer.move, explorer.layer, explorer.second, explorer.language = 3, 5, 0, 1, 1
    assert (explorer.game, explorer.move, explorer.layer, explorer.second, explorer.language) == (3, 5, 0, 0, 1)
    explorer.edits = [Patch(0, 1, 0), Apply(lambda rows, context: 2 * rows, layer=1)]
    assert [item["problem"] for item in explorer.view["edits"]] == ["", ""]
    before = explorer.state
    explorer.edits = ()
    explorer.state = before
    assert len(explorer.view["edits"]) == 2
    assert explorer.code == explorer.view["code"]


def test_another_checkpoint_keeps_the_game(explorer: Explorer) -> None:
    explorer.edits = (Patch(0, 1, 1),)
    probes = explorer.probes
    explorer.checkpoint = tiny_checkpoint("split")
    assert (explorer.move, explorer.edits, explorer.view["checkpoint"]) == (4, (), "tiny/split")
    explorer.checkpoint = "tiny/atomic"
    assert explorer.probes is probes
    explorer.checkpoint = "mini/atomic-atomic-unified"
    assert (explorer.games.board, explorer.language) == (6, 1)
    assert {"tiny/atomic", "tiny/split"} < set(explorer.checkpoints)
    explorer.checkpoint = "tiny/split"
    assert (explorer.games.board, explorer.games, explorer.move) == (4, random_games(2, board=4, seed=0), 4)


def test_every_entry_of_the_menu_can_be_chosen_and_nothing_else(explorer: Explorer, say: Say, tmp_path: Path) -> None:
    """Two checkpoints without a name, one saved to a folder, and names that the page makes up."""
    own = [replace(tiny_checkpoint(world), name="") for world in ("atomic", "split")]
    for checkpoint in own:
        explorer.checkpoint = checkpoint
    folder = str(save_checkpoint(tmp_path / "own", own[0]))
    assert explorer.view["checkpoint"] == "this model (2)"
    for label in ("this model", "tiny/atomic", "this model (2)"):
        say("set", "checkpoint", label)
        assert (explorer.problem, explorer.view["checkpoint"]) == ("", label)
    assert explorer.checkpoint is own[1]
    for offered in (folder, "org/name@main", 3):
        explorer.checkpoints = [str(offered)]
        say("set", "checkpoint", offered)
        assert "not in the menu" in explorer.problem
    assert explorer.checkpoint is own[1]


def test_code_is_not_what_the_page_wrote(explorer: Explorer) -> None:
    code = explorer.code
    explorer.view = {**explorer.view, "code": "import os"}
    assert explorer.code == code != "import os"


def test_every_message_is_answered(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that fails, or that is no message."""
    sent: list[Any] = []
    monkeypatch.setattr(explorer, "send", sent.append)
    for message in ({"do": ["step", 1], "id": 0.25}, {"do": ["dance"], "id": 0.5}, "nonsense"):
        explorer._handle_custom_msg(message, [])
    assert sent == [{"answered": 0.25}, {"answered": 0.5}, {"answered": None}]


def test_a_link_opens_what_it_was_taken_from(explorer: Explorer) -> None:
    explorer.flip(disc(explorer))
    explorer.head, explorer.probe, explorer.symmetry = 1, 1, "diagonal"
    again = Explorer(explorer.checkpoint, link=explorer.link, probes=explorer.probes)
    assert again.view["columns"] == explorer.view["columns"]
    with pytest.raises(ValueError, match="not both"):
        Explorer(explorer.checkpoint, explorer.games, link=explorer.link)


def test_games_begin_as_those_that_the_model_was_trained_on() -> None:
    explorer = Explorer("mini/four-naive")
    assert explorer.games == random_games(1, board=6, seed=0, opening=["c2", "b2", "a2"])
    assert explorer.view["note"] == "mini/four-naive was trained only on games that begin c2 b2 a2."
    explorer.games = Games.from_transcripts(["b3"], 6)
    assert explorer.view["note"].endswith("a2: this game does not.")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("language", 9, "language 9: tiny/atomic reads languages"),
        ("move", 99, "move 99"),
        ("checkpoint", "mini/nonsense", "no checkpoint 'mini/nonsense'"),
        ("games", Games.from_lists([["a1"]], 4), "a1 is not legal"),
        ("games", ["c3"], "expected Games"),
        ("layer", "1", "layer='1': expected a whole number"),
        ("move", 2.0, "expected a whole number"),
        ("language", True, "expected a whole number"),
        ("second", "none", "expected a whole number"),
        ("probe", 7, "language 7: tiny/atomic reads"),
        ("symmetry", "quarter_turn", "expected one of identity"),
        ("head", 9, "head 9: tiny/atomic has heads"),
        ("checkpoint", 5, "expected a name, a folder or a Checkpoint"),
        ("edits", 3, "expected a list of edits"),
        ("edits", [Flip(3, 0)], "expected the name of a square"),  # type: ignore[arg-type]
        ("edits", [Patch(0, 1.5, 1)], "expected a whole number"),  # type: ignore[arg-type]
        ("edits", [Patch(0, 11, 1)], "there are moves 0 to 3 on the board"),
    ],
)
def test_what_does_not_fit_changes_nothing(explorer: Explorer, name: str, value: Any, message: str) -> None:
    shown, state = explorer.view, explorer.state
    with pytest.raises(ValueError, match=message):
        setattr(explorer, name, value)
    assert (explorer.view, explorer.state, explorer.busy) == (shown, state, "")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (("play", "b2"), "b2 is a start square"),
        (("set", "probes", 9), "the page cannot set 'probes'"),
        (("dance",), "dance"),
        (("flip", "z9", True), "'z9' is no square"),
    ],
)
def test_the_page_is_told_what_went_wrong(explorer: Explorer, say: Say, what: tuple[Any, ...], message: str) -> None:
    shown = explorer.view
    say(*what)
    assert message in explorer.problem
    assert explorer.view is shown
    say("set", "layer", 0)
    assert explorer.problem == ""


def test_a_users_own_edit_that_breaks_leaves_the_page_whole(explorer: Explorer, say: Say) -> None:
    """It works where it is set, and fails two moves on."""

    def fragile(rows: Any, context: Any) -> Any:
        if context.reading.games.lengths[0] > 5:
            raise RuntimeError("too long a game for me")
        return 2 * rows

    explorer.edits = [Apply(fragile, layer=0)]
    shown = explorer.view
    say("set", "move", 6)
    assert explorer.problem == "too long a game for me"
    assert explorer.view is shown


def test_spoilt_weights_are_named_where_they_are_met(explorer: Explorer, say: Say) -> None:
    """On the page, which goes on showing what it has, and in Python."""
    shown, own = explorer.view, deepcopy(explorer.checkpoint)
    explorer.checkpoint = own
    own.model.W_E.data.fill_(torch.nan)
    say("step", 1)
    assert "not finite" in explorer.problem
    assert explorer.view["columns"] == shown["columns"]
    with pytest.raises(ValueError, match="load the checkpoint again"):
        Explorer(own, explorer.games, move=4)


def test_the_page_asks_for_what_there_is() -> None:
    """Every message in the JavaScript has somebody who answers it, and the other way round."""
    page = str(Explorer._esm)
    asked = set(re.findall(r'ask\("([\w ]+)"', page)) | set(re.findall(r'go\("[\w-]+",.*, "(\w+)", -?[\w.]+, ', page))
    assert asked == set(_ACTIONS)

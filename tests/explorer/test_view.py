"""From a state to the numbers on screen, against the model run by hand and the rules."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import Frame
from mothello_interp.alignment import align
from mothello_interp.attention import attention_by_move
from mothello_interp.explorer import Edit, Flip, Patch, Reader, State, view
from mothello_interp.forward import hook_name
from mothello_interp.interventions import Apply, Steer
from mothello_interp.othello import SYMMETRIES, Games, legal_squares, random_games, replay, square_name
from mothello_interp.probes import fit_probes
from tests.cases import predicted, put, spans, state_at
from tests.conftest import every_world, tiny_checkpoint

CLOSE = 1e-4  # numbers on screen have four digits


def first_disc(state: State) -> str:
    """A square with a disc on it."""
    return square_name(int(np.flatnonzero(replay(state.shown).state[0, state.move - 1])[0]), 4)


def test_the_board_is_that_of_the_rules(state: State, reader: Reader) -> None:
    shown = view(state, reader)
    boards = replay(state.games)
    assert shown["position"]["discs"] == boards.state[1, 4].tolist()
    assert shown["position"]["legal"] == boards.legal[1, 5].tolist()
    assert shown["position"]["mover"] == boards.mover[1, 5]
    assert shown["position"]["last"] == state.games.moves[1, 4]
    assert json.loads(json.dumps(shown)) == shown


@every_world
def test_predictions_are_products_of_conditionals(readers: dict[str, Reader], world: str) -> None:
    checkpoint, game = readers[world].checkpoint, random_games(1, board=4, seed=1)
    for language in checkpoint.mothello.inputs:
        [column] = view(State(checkpoint, game, move=6, language=language), readers[world])["columns"]
        output = checkpoint.mothello.output_of(language)
        expected = predicted(checkpoint, language, game.moves[0, :6], output)
        np.testing.assert_allclose(column["before"], expected, atol=CLOSE)
        assert column["mass"]["true"] == pytest.approx([expected[replay(game).legal[0, 6]].sum()], abs=CLOSE)


@pytest.mark.parametrize("frame", ["relative", "absolute"])
def test_the_belief_is_that_of_the_probe(state: State, reader: Reader, frame: Frame) -> None:
    probes = fit_probes(reader.checkpoint, random_games(20, board=4, seed=3), frame=frame, epochs=2, seed=0)
    belief = view(state, Reader(reader.checkpoint, probes))["columns"][0]["belief"]
    row = state_at(reader.checkpoint, 0, np.array(state.moves[:5]), 4, hook_name(1))[None]
    mover = int(replay(state.shown).mover[0, 5])
    assert mover == -1
    expected = (probes.predict(row, 0, 1)[0].astype(int) - 1) * (mover if frame == "relative" else 1)
    assert belief["discs"] == expected.tolist()
    wrong = expected != replay(state.shown).state[0, 4]
    assert belief["wrong"] == wrong.tolist()
    assert belief["right"] == 16 - wrong.sum()
    np.testing.assert_allclose(belief["sure"], probes.logits(row, 0, 1)[0].softmax(1).max(1).values, atol=CLOSE)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_another_languages_probe_fits_as_align_says(state: State, reader: Reader, symmetry: str) -> None:
    """Under each symmetry, over the positions so far; what is shown is the board decoded at the last one, mapped back."""
    assert reader.probes
    games = Games(np.concatenate([state.shown.moves] * 2), 4)
    table = align(reader.probes, reader.checkpoint, games, resamples=1).query(
        "layer == 1 and source == 1 and target == 0"
    )
    [column] = view(replace(state, probe=1, symmetry=symmetry), reader)["columns"]
    assert column["belief"]["probe"] == "1: atomic"
    expected = dict(zip(table.symmetry, table.accuracy, strict=True))
    assert column["belief"]["fits"] == pytest.approx(expected, abs=CLOSE)
    [plain] = view(replace(state, probe=1), reader)["columns"]
    image = SYMMETRIES[symmetry].boards(np.array(column["belief"]["discs"]))
    assert image.tolist() == plain["belief"]["discs"]
    [own] = view(replace(state, language=1, probe=1, symmetry=symmetry), reader)["columns"]
    assert own["belief"] == view(replace(state, language=1), reader)["columns"][0]["belief"]


@every_world
def test_attention_is_summed_over_the_tokens_of_each_move(readers: dict[str, Reader], world: str) -> None:
    checkpoint, game = readers[world].checkpoint, random_games(1, board=4, seed=1)
    state = State(checkpoint, game, move=6, language=checkpoint.mothello.inputs[0], layer=1, head=1)
    [column] = view(state, readers[world])["columns"]
    expected = attention_by_move(checkpoint.read(game, state.language))[1, 1, 0, 5, :6]
    np.testing.assert_allclose(column["attention"], expected, atol=CLOSE)
    [column] = view(replace(state, layer=-1), readers[world])["columns"]
    assert column["attention"] is None


def test_a_second_language_stands_beside_unedited(state: State, reader: Reader) -> None:
    both = replace(state, second=1, edits=(Flip(first_disc(state), 0),))
    first, second = view(both, reader)["columns"]
    [alone] = view(replace(state, language=1), reader)["columns"]
    assert second == alone
    assert first["after"] is not None


def test_a_flip_moves_belief_prediction_and_what_is_legal(state: State, reader: Reader) -> None:
    """At its layer: the lens below stays as it was."""
    square = first_disc(state)
    [before] = view(state, reader)["columns"]
    shown = view(state.toggled(Flip(square, 1)), reader)
    [after], position = shown["columns"], shown["position"]
    index = position["flipped"].index(True)
    assert square_name(index, 4) == square
    assert reader.probes
    row = reader.edited(state.shown, 0, [Flip(square, 1)])[0].states[2, -1:]
    theirs, _, mine = reader.probes.logits(row, 0, 1)[0, index].tolist()
    assert (mine - theirs) * position["mover"] * position["discs"][index] < 0
    assert after["belief"] != before["belief"]
    assert after["before"] == before["before"] != after["after"]
    discs = np.where(np.arange(16) == index, -1, 1) * np.array(position["discs"])
    legal = legal_squares(discs[None].astype(np.int8), np.array([position["mover"]]))[0]
    assert position["legal_edited"] == legal.tolist()
    masses = [np.array(after[name])[legal].sum() for name in ("before", "after")]
    assert after["mass"]["edited"] == pytest.approx(masses, abs=16 * CLOSE)
    assert [edit["problem"] for edit in shown["edits"]] == [""]
    moved = [row["legal"] != was for row, was in zip(after["lens"], after["lens_before"], strict=True)]
    assert moved == [False, False, True]


@every_world
@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_edits_are_states_put_in_by_hand(readers: dict[str, Reader], world: str, layer: int) -> None:
    """Another language's state, or one's own moved along a direction, at move 3 of 6, in complete runs without padding."""
    checkpoint, game = readers[world].checkpoint, random_games(1, board=4, seed=1)
    first, second = checkpoint.mothello.inputs[:2]
    direction, moves = torch.randn(16, generator=torch.Generator().manual_seed(0)), game.moves[0, :6]
    theirs = state_at(checkpoint, first, moves, 3, hook_name(layer))
    steered = state_at(checkpoint, second, moves, 3, hook_name(layer)) + 3 * direction
    edits: list[tuple[Edit, Any]] = [
        (Patch(layer, 3, first), theirs),
        (Steer(direction, scale=3, layer=layer, moves=3), steered),
    ]
    for edit, state in edits:
        hooks = put(hook_name(layer), spans(checkpoint, second, moves)[3][-1], state)
        output = checkpoint.mothello.output_of(second)
        expected = predicted(checkpoint, second, moves, output, hooks)
        [column] = view(State(checkpoint, game, move=6, language=second, edits=(edit,)), readers[world])["columns"]
        np.testing.assert_allclose(column["after"], expected, atol=CLOSE)
        plain = predicted(checkpoint, second, moves, output)
        assert np.allclose(expected, plain, rtol=1e-3) == (layer == 1)


def test_edits_that_do_nothing_or_cannot_be_made_say_so(state: State, reader: Reader) -> None:
    empty = square_name(int(np.flatnonzero(replay(state.shown).state[0, 4] == 0)[0]), 4)

    def broken(rows: torch.Tensor, context: Any) -> torch.Tensor:
        raise ValueError("no such thing")

    edits = (Flip(empty, 1), Patch(0, 8, 1), Patch(0, 2, 0), Apply(broken, layer=0))
    shown = view(replace(state, edits=edits), reader)
    assert [item["problem"] for item in shown["edits"]] == [
        "changes nothing here",
        "patch layer 0 at move 8 from language 1: there are moves 0 to 4 on the board",
        "changes nothing here",
        "no such thing",
    ]
    assert [item["left_out"] for item in shown["edits"]] == [False, True, False, True]
    assert shown["columns"][0]["after"] == shown["columns"][0]["before"]
    assert "broken" not in shown["code"]


def test_where_there_are_no_probes_there_is_no_belief_and_no_flip(state: State, reader: Reader) -> None:
    """None yet, or none of this language."""
    games = random_games(5, board=4, seed=3)
    probes = fit_probes(reader.checkpoint, games, layers=[0], languages=[1], epochs=1, seed=0)
    for there, belief, edit in (
        (Reader(reader.checkpoint), "being fitted", "there are no probes yet"),
        (Reader(reader.checkpoint, probes), "no probe of language 0 at layer 1", "no probe of language 0"),
    ):
        shown = view(state.toggled(Flip(first_disc(state), 1)), there)
        assert belief in shown["columns"][0]["belief"]["problem"]
        assert edit in shown["edits"][0]["problem"]
        assert not any(shown["position"]["flipped"])


def test_before_the_first_move_and_after_the_last_nothing_is_predicted(state: State, reader: Reader) -> None:
    start = view(state.at(0).toggled(Flip("b2", 1)), reader)
    assert "Nothing is written yet" in start["message"]
    assert start["columns"] == []
    assert sum(start["position"]["legal"]) == 4
    over = view(state.at(99), reader)
    assert over["message"] == "The game is over: there is no next move."
    assert over["code"] == ""


def test_an_empty_game_opens(reader: Reader) -> None:
    state = State.opening(reader.checkpoint, Games.from_lists([[]], 4))
    discs = view(state, reader)["position"]["discs"]
    assert [discs[square] for square in (5, 6, 9, 10)] == [-1, 1, 1, -1]
    assert view(state.play("b1"), reader)["columns"]


def test_readers_and_probes_of_other_models_are_refused(state: State, reader: Reader) -> None:
    with pytest.raises(ValueError, match="a reader of tiny/split for a state of tiny/atomic"):
        view(state, Reader(tiny_checkpoint("split")))
    probes = replace(reader.probes, board=6)  # type: ignore[type-var]
    with pytest.raises(ValueError, match="probes of board 6 and d_model 16: tiny/atomic has board 4"):
        Reader(reader.checkpoint, probes)
    with pytest.raises(ValueError, match="fitted on another model"):
        Reader(reader.checkpoint.untrained(), reader.probes)

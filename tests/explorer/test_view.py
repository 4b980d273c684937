"""From a state to the numbers on screen, against the model run by hand and the rules."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import collect
from mothello_interp.explorer import Flip, Patch, Reader, State, view
from mothello_interp.interventions import Apply, Steer, edited
from mothello_interp.legality import next_move_probabilities
from mothello_interp.othello import Games, legal_squares, random_games, replay, square_name
from mothello_interp.probes import fit_probes
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
def test_predictions_are_those_of_the_whole_game(readers: dict[str, Reader], world: str) -> None:
    checkpoint = readers[world].checkpoint
    games = random_games(1, board=4, seed=1)
    for language in checkpoint.mothello.inputs:
        expected = next_move_probabilities(checkpoint, games, language)[0, 5]
        [column] = view(State(checkpoint, games, move=6, language=language), readers[world])["columns"]
        np.testing.assert_allclose(column["before"], expected, atol=CLOSE)
        assert column["mass"]["true"][0] == pytest.approx(expected[replay(games).legal[0, 6]].sum(), abs=CLOSE)


def test_the_belief_is_that_of_the_probe(state: State, reader: Reader) -> None:
    belief = view(state, reader)["columns"][0]["belief"]
    assert reader.probes
    acts = collect(reader.checkpoint, state.shown, layers=[1], languages=[0])
    mover = replay(state.shown).mover[0, 5]
    expected = (reader.probes.predict(acts.at(0, 1)[-1:], 0, 1)[0].astype(int) - 1) * mover
    assert belief["discs"] == expected.tolist()
    wrong = expected != replay(state.shown).state[0, 4]
    assert belief["wrong"] == wrong.tolist()
    assert belief["right"] == 16 - wrong.sum()
    assert min(belief["sure"]) >= 1 / 3


def test_absolute_probes_need_no_mover(state: State, reader: Reader) -> None:
    probes = fit_probes(reader.checkpoint, random_games(20, board=4, seed=3), frame="absolute", epochs=2, seed=0)
    belief = view(state, Reader(reader.checkpoint, probes))["columns"][0]["belief"]
    acts = collect(reader.checkpoint, state.shown, layers=[1], languages=[0])
    assert belief["discs"] == (probes.predict(acts.at(0, 1)[-1:], 0, 1)[0].astype(int) - 1).tolist()


def test_the_last_layer_of_the_lens_is_the_model(state: State, reader: Reader) -> None:
    [column] = view(state, reader)["columns"]
    assert [row["layer"] for row in column["lens"]] == [-1, 0, 1]
    assert column["lens"][-1]["legal"] == pytest.approx(column["mass"]["true"][0], abs=CLOSE)
    best = int(np.argmax(column["before"]))
    names = [name for name, _, _ in column["lens"][-1]["top"]]
    assert square_name(best, 4) in names


def test_a_second_language_stands_beside_unedited(state: State, reader: Reader) -> None:
    both = replace(state, second=1, edits=(Flip(first_disc(state), 0),))
    first, second = view(both, reader)["columns"]
    [alone] = view(replace(state, language=1), reader)["columns"]
    assert second == alone
    assert first["after"] is not None


def test_a_flip_moves_belief_prediction_and_what_is_legal(state: State, reader: Reader) -> None:
    square = first_disc(state)
    before = view(state, reader)["columns"][0]
    shown = view(state.toggled(Flip(square, 1)), reader)
    [after] = shown["columns"]
    index = shown["position"]["flipped"].index(True)
    assert square_name(index, 4) == square
    assert after["belief"] != before["belief"]
    assert reader.probes
    row = reader.run(state.shown, 0, [Flip(square, 1)]).residuals[2][None]
    theirs, _, mine = reader.probes.logits(row, 0, 1)[0, index].tolist()
    assert (mine - theirs) * shown["position"]["mover"] * shown["position"]["discs"][index] < 0
    assert after["before"] == before["before"]
    assert after["after"] != before["before"]
    discs = np.array(shown["position"]["discs"], np.int8)
    discs[index] *= -1
    assert (
        shown["position"]["legal_edited"]
        == legal_squares(discs[None], np.array([shown["position"]["mover"]]))[0].tolist()
    )
    [item] = shown["edits"]
    assert not item["problem"]


def test_a_flip_acts_at_its_layer(state: State, reader: Reader) -> None:
    """The lens below the layer stays as it was."""
    [column] = view(state.toggled(Flip(first_disc(state), 1)), reader)["columns"]
    moved = [row["legal"] != was for row, was in zip(column["lens"], column["lens_before"], strict=True)]
    assert moved == [False, False, True]


@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_a_patch_is_the_other_language_run_by_hand(state: State, reader: Reader, layer: int) -> None:
    model = reader.checkpoint.model
    name = "blocks.0.hook_resid_pre" if layer == -1 else f"blocks.{layer}.hook_resid_post"
    ours, theirs = (reader.checkpoint.tokens(state.shown, language)[:, :5] for language in (0, 1))
    _, cache = model.run_with_cache(theirs)

    def put(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        activation[:, 3] = cache[name][:, 3]
        return activation

    shares = model.run_with_hooks(ours, fwd_hooks=[(name, put)])[0, -1].softmax(0)
    expected = shares[torch.from_numpy(reader.checkpoint.mothello.move_tokens[0, :, 0]).long()].detach().numpy()
    [column] = view(state.toggled(Patch(layer, 3, 1)), reader)["columns"]
    playable = [square for square in range(16) if square not in (5, 6, 9, 10)]
    np.testing.assert_allclose(np.array(column["after"])[playable], expected[playable], atol=CLOSE)


@every_world
def test_edits_act_on_words_of_several_tokens(readers: dict[str, Reader], world: str) -> None:
    """Against the same edit, made for the whole game at once."""
    checkpoint = readers[world].checkpoint
    language = checkpoint.mothello.inputs[-1]
    direction = torch.randn(16, generator=torch.Generator().manual_seed(0))
    state = State(checkpoint, random_games(1, board=4, seed=1), move=6, language=language)
    steer = Steer(direction, layer=0, moves=4)
    with edited(checkpoint, [steer], state.shown, language):
        tokens = checkpoint.tokens(state.shown, language)
        at = int(checkpoint.mothello.encode(state.shown, language).last[0, 5])
        shares = checkpoint.model(tokens)[0, at].detach().softmax(0).numpy()
    run = readers[world].run(state.shown, language, [steer])
    output = checkpoint.mothello.output_of(language)
    words = checkpoint.mothello.move_tokens[output]
    for token in checkpoint.mothello.tokens_of(output):
        begun = run.probabilities[words[:, 0] == token].sum()
        assert begun <= shares[token] + 1e-5
        if checkpoint.mothello.token_counts[output].max() == 1:
            assert begun == pytest.approx(shares[token], abs=1e-5)


def test_edits_that_do_nothing_or_cannot_be_made_say_so(state: State, reader: Reader) -> None:
    empty = square_name(int(np.flatnonzero(replay(state.shown).state[0, 4] == 0)[0]), 4)

    def broken(rows: torch.Tensor, context: Any) -> torch.Tensor:
        raise ValueError("no such thing")

    edits = (Flip(empty, 1), Patch(0, 8, 1), Patch(0, 2, 0), Apply(broken, layer=0))
    shown = view(replace(state, edits=edits), reader)
    assert [item["problem"] for item in shown["edits"]] == [
        "changes nothing here",
        "patch layer 0 at move 9 from language 1: only 5 moves are on the board",
        "changes nothing here",
        "no such thing",
    ]
    assert [item["left_out"] for item in shown["edits"]] == [False, True, False, True]
    assert shown["columns"][0]["after"] == shown["columns"][0]["before"]


def test_without_probes_there_is_no_belief_and_no_flip(state: State) -> None:
    shown = view(state.toggled(Flip(first_disc(state), 1)))
    assert "being fitted" in shown["columns"][0]["belief"]["problem"]
    assert "there are no probes yet" in shown["edits"][0]["problem"]
    assert not any(shown["position"]["flipped"])


def test_probes_that_do_not_reach_say_so(state: State, reader: Reader) -> None:
    probes = fit_probes(
        reader.checkpoint, random_games(5, board=4, seed=3), layers=[0], languages=[1], epochs=1, seed=0
    )
    narrow = Reader(reader.checkpoint, probes)
    message = view(state, narrow)["columns"][0]["belief"]["problem"]
    assert message.startswith("There is no probe of language 0 at layer 1: these probes were fitted on languages [1]")
    assert "no probe of language 0" in view(state.toggled(Flip("b2", 1)), narrow)["edits"][0]["problem"]


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

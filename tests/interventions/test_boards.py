"""Edits of the board: what the probe decodes afterwards, and that the step is the shortest one."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.interventions import (
    Apply,
    BoardEdit,
    Context,
    FlipSquares,
    Intervention,
    NoEffectError,
    SetBoard,
    along,
    boards,
    random_like,
)
from mothello_interp.othello import Games, random_games, replay, square_index
from mothello_interp.probes import Probes, fit_probes
from tests.cases import ended
from tests.conftest import tiny_checkpoint
from tests.planted import MOVES, exact_probes, planted

GAMES = random_games(12, board=4, seed=31)
every_frame = pytest.mark.parametrize("frame", ["relative", "absolute"])


@cache
def probes(kind: Any = "linear", frame: Any = "relative") -> Probes:
    games = random_games(60, board=4, seed=30)
    return fit_probes(tiny_checkpoint(), games, kind=kind, frame=frame, batch=64, epochs=8, seed=0)


def residual(*edits: Intervention, games: Games = GAMES, language: int = 0, layer: int = 1) -> torch.Tensor:
    """The rows of a layer `[game move d_model]`, without the last move."""
    reading = tiny_checkpoint().read(games, language).edited(*edits)
    with torch.inference_mode(), reading.hooks() as model:
        _, cached = model.run_with_cache(reading.tokens)
    return cached[f"blocks.{layer}.hook_resid_post"]


def true_classes(frame: str = "relative") -> np.ndarray:
    """What the probe should read at move 5, `[game square]`."""
    found = replay(GAMES)
    classes: np.ndarray = found.state[:, 5] * (found.mover[:, 6, None] if frame == "relative" else 1) + 1
    return classes


def gaps(rows: torch.Tensor, square: int, frame: str) -> np.ndarray:
    """By how much the flipped class of a square beats the true one at move 5, `[game]`."""
    logits, truth = probes("linear", frame).logits(rows[:, 5], 0, 1)[:, square], true_classes(frame)[:, square]
    return (logits[np.arange(12), 2 - truth] - logits[np.arange(12), truth]).numpy()


@every_frame
@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("squares", [["b2"], ["b2", "c3"], ["b2", "c2", "b3", "c3"]])
def test_flip_mirrors_what_the_probe_decodes_by_the_shortest_step(frame: str, scale: float, squares: list[str]) -> None:
    """On all squares at once the other class wins by `scale` times what was between the two; the step lies in the span of the
    differences of the probe's directions."""
    before = residual()
    after = residual(FlipSquares(probes("linear", frame), squares=squares, scale=scale, layer=1, moves=5))
    for square in (square_index(name, 4) for name in squares):
        was = gaps(before, square, frame)
        np.testing.assert_allclose(gaps(after, square, frame), np.maximum(scale * np.abs(was), was), atol=1e-3)
    others = [move for move in range(11) if move != 5]
    assert torch.equal(after[:, others], before[:, others])
    directions, step = probes("linear", frame).directions(0, 1), (after - before)[:, 5]
    index = [square_index(name, 4) for name in squares]
    normals = torch.linalg.qr((directions[index, 2] - directions[index, 0]).T)[0]
    torch.testing.assert_close(step @ normals @ normals.T, step, atol=1e-4, rtol=1e-3)


def test_flip_leaves_empty_squares_empty() -> None:
    after, before = residual(FlipSquares(probes(), squares="a1", layer=1)), residual()
    empty = torch.from_numpy(replay(GAMES).state[:, :11, 0] == 0)
    assert 0 < empty.sum() < empty.numel()
    assert torch.equal(after[empty], before[empty])
    assert not torch.equal(after[~empty], before[~empty])


def test_flip_after_the_end_of_a_game_says_that_nobody_is_to_move() -> None:
    over = GAMES[GAMES.lengths < GAMES.moves.shape[1]]
    with pytest.raises(NoEffectError, match="all after the end of a game, where nobody is to move: name earlier moves"):
        residual(FlipSquares(probes(), squares="b2", layer=1, moves="last"), games=over)


def test_flip_takes_squares_by_name_number_and_game() -> None:
    def flipped(squares: Any) -> torch.Tensor:
        return residual(FlipSquares(probes(), squares=squares, layer=1, moves=5))

    mask = np.zeros((12, 16), bool)
    mask[3, 5], mask[7, [6, 9]] = True, True
    found = flipped(mask)
    assert torch.equal(flipped("b2"), flipped([5]))
    torch.testing.assert_close(found[3], flipped(5)[3])
    torch.testing.assert_close(found[7], flipped(["c2", "b3"])[7])
    others = [game for game in range(12) if game not in (3, 7)]
    assert torch.equal(found[others], residual()[others])


@every_frame
def test_set_board_with_discs_flipped_is_a_flip(frame: str) -> None:
    state, table = replay(GAMES).state[:, 5].copy(), probes("linear", frame)
    state[:, [5, 10]] *= -1
    as_set = residual(SetBoard(table, boards=state, layer=1, moves=5))
    torch.testing.assert_close(as_set, residual(FlipSquares(table, squares=[5, 10], layer=1, moves=5)))
    state[:, 5], state[:, 10] = 0, replay(GAMES).state[:, 5, 10]
    logits = table.logits(residual(SetBoard(table, boards=state, layer=1, moves=5))[:, 5], 0, 1)[:, 5]
    assert (logits[:, 1] > logits[np.arange(12), true_classes(frame)[:, 5]]).all()


@every_frame
def test_flip_through_an_mlp_is_decoded_and_holds_the_other_squares(
    frame: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more often than after random steps of that length; without a weight for the other squares more of them are lost."""
    table, truth = probes("mlp", frame), true_classes(frame)
    edit = FlipSquares(table, squares=["b2", "c3"], layer=1, moves=5, steps=60)
    rows = {"plain": residual(), "edit": residual(edit), "random": residual(random_like(edit, seed=0))}
    monkeypatch.setattr(boards, "_HOLD", 0.0)
    rows["free"] = residual(edit)
    flipped, others = [5, 10], np.setdiff1d(np.arange(16), [5, 10])
    read = {name: table.predict(values[:, 5], 0, 1) for name, values in rows.items()}
    right = {name: (found[:, flipped] == 2 - truth[:, flipped]).mean() for name, found in read.items()}
    assert right["edit"] > max(0.9, right["random"] + 0.2)

    def lost(name: str) -> float:
        chances = table.logits(rows[name][:, 5], 0, 1).softmax(-1)
        true = np.take_along_axis(chances.numpy(), truth[..., None].astype(int), 2)[:, others]
        return -float(np.log(true).mean())

    assert lost("edit") < lost("free") - 0.02
    assert lost("plain") < lost("free")


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_board_edits_are_the_same_one_by_one(kind: str) -> None:
    mask = np.zeros((12, 16), bool)
    mask[np.arange(12), [5, 6, 9, 10] * 3] = True
    mask[:4, 5] = True
    together = residual(FlipSquares(probes(kind), squares=mask, layer=[0, 1]))
    for game in range(12):
        one = slice(game, game + 1)
        alone = residual(FlipSquares(probes(kind), squares=mask[one], layer=[0, 1]), games=GAMES[one])
        torch.testing.assert_close(alone[0], together[game], atol=1e-3, rtol=1e-3)


def test_board_edits_need_an_effect_at_one_layer() -> None:
    """Where the probe decodes the edit of the layer before, nothing is left to do; where none acts, it is an error."""
    reading = planted().read(ended(random_games(40, board=4, seed=3), MOVES), 0)
    flip = FlipSquares(exact_probes(), squares="b2", layer=[1, 2], moves="last")
    for edit in (flip, along(flip, flip), random_like(flip, seed=0)):
        reading.edited(edit).final_moves()
    with pytest.raises(NoEffectError, match=r"FlipSquares.*blocks.1"):
        reading.edited(flip, flip).final_moves()


def test_flip_through_another_languages_probe() -> None:
    """`source` names it; by default it is the reading's own."""
    for language in (0, 1):
        rows = {
            source: residual(FlipSquares(probes(), source=source, squares=5, layer=1), language=language)
            for source in (None, 0, 1)
        }
        assert torch.equal(rows[None], rows[language])
        assert not torch.allclose(rows[0], rows[1], atol=1e-3)


def test_along_takes_the_direction_of_one_edit_and_the_length_of_another() -> None:
    own = FlipSquares(probes(), squares=["b2", "c3"], layer=1, moves=5, scale=3)
    step = (residual(own) - residual())[:, 5]
    found = (residual(along(FlipSquares(probes(), source=1, squares=["b2", "c3"], layer=1), own)) - residual())[:, 5]
    torch.testing.assert_close(found.norm(dim=1), step.norm(dim=1), atol=1e-4, rtol=1e-3)
    directions = probes().directions(1, 1)[[5, 10]]
    normals = directions[:, 2] - directions[:, 0]
    span = torch.linalg.qr(normals.T)[0]
    torch.testing.assert_close(found @ span @ span.T, found, atol=1e-4, rtol=1e-3)
    sign = torch.from_numpy(true_classes()[:, [5, 10]] - 1).float()
    assert ((found @ normals.T) * -sign > 0).all()  # towards the flipped disc, on both squares


@pytest.mark.parametrize("like", ["flip", "double"])
def test_random_like_steps_as_far_in_a_direction_a_game_and_layer(like: str) -> None:
    """Of any edit; neither the edit's own direction, nor another game's, another layer's or another seed's."""
    scope: dict[str, Any] = {"layer": [0, 1], "moves": [5, 6]}
    double = Apply(lambda rows, context: 2 * rows, **scope)
    own = FlipSquares(probes(), squares="b2", **scope) if like == "flip" else double
    steps: dict[Any, torch.Tensor] = {}

    def watched(name: Any, edit: Intervention) -> Apply:
        def watch(rows: torch.Tensor, context: Context) -> torch.Tensor:
            after = edit.apply(rows.clone(), context)
            steps[name, context.layer] = (after - rows).unflatten(0, (12, 2))  # [game move d_model]
            steps[name, context.layer, "own"] = (own.apply(rows.clone(), context) - rows).unflatten(0, (12, 2))
            return after

        return Apply(watch, **scope)

    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        edit = random_like(own, seed=seed)
        tiny_checkpoint().read(GAMES, 0).edited(watched(name, edit), allow_no_effect=True).states(1)
    for layer in (0, 1):
        found = steps["first", layer]
        assert found.norm(dim=2).max() > 0.1
        torch.testing.assert_close(found.norm(dim=2), steps["first", layer, "own"].norm(dim=2), atol=1e-4, rtol=1e-3)
        assert torch.equal(found, steps["again", layer])
        others = [steps["other", layer], steps["first", 1 - layer], steps["first", layer, "own"], found.roll(1, dims=0)]
        for other in others if like == "double" else []:
            assert torch.nn.functional.cosine_similarity(found[:, 0], other[:, 0]).abs().mean() < 0.5
        assert torch.equal(found[:, 0].sign(), found[:, 1].sign()) or like == "flip"


def flip(**settings: Any) -> FlipSquares:
    return FlipSquares(**{"probes": probes(), "squares": 5, "layer": 1, **settings})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: flip(hook="mlp_out"), "probes decode the residual stream"),
        (lambda: flip(tokens="all"), "probes decode the residual stream"),
        (lambda: flip(scale=0), "scale=0, steps=20"),
        (lambda: flip(steps=0), "steps=0"),
        (lambda: flip(rate=-1.0), "rate=-1.0"),
        (lambda: SetBoard(probes(), layer=1), "boards: expected an array of -1 white"),
        (lambda: SetBoard(probes(), boards=[0] * 16, layer=1), "boards: expected an array of -1 white"),  # type: ignore[arg-type]
        (lambda: SetBoard(probes(), boards=np.full(16, 2), layer=1), "boards: expected an array of -1 white"),
        (lambda: SetBoard(probes(), boards=np.zeros(15, int), layer=1), r"boards of shape \(15,\): expected"),
        (lambda: flip(squares="e5"), "'e5' is no square"),
        (lambda: flip(squares=16), "squares=16: expected one or more of 0 to 15"),
        (lambda: flip(squares=()), r"squares=\(\): expected one or more"),
        (lambda: flip(squares=np.ones((3, 16), bool)), r"of shape \(3, 16\)"),
        (lambda: flip(squares=np.arange(4)), "squares is int64 of shape"),
        (lambda: flip(source=3), "no probe of language 3"),
        (lambda: flip(probes=replace(probes(), board=6)), "probes of board 6, games of board 4"),
    ],
)
def test_board_edits_refuse_what_is_not_there(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        residual(make())


def test_a_users_own_board_edit_names_the_classes() -> None:
    class Erase(BoardEdit):
        def wanted(self, truth: np.ndarray, context: Context) -> np.ndarray:
            wanted = truth.copy()
            wanted[:, 5] = 1
            return wanted

    logits = probes().logits(residual(Erase(probes(), layer=1, moves=5))[:, 5], 0, 1)[:, 5]
    assert (logits[:, 1] > logits[np.arange(12), true_classes()[:, 5]]).all()
    with pytest.raises(TypeError, match="abstract"):
        BoardEdit(probes(), layer=1)  # type: ignore[abstract]

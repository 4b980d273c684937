"""Edits of the board: what the probe reads afterwards, and that the step is the shortest one."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import collect
from mothello_interp.interventions import (
    Apply,
    BoardEdit,
    Context,
    FlipSquares,
    Intervention,
    NoEffectError,
    SetBoard,
    along,
    edited,
    fwd_hooks,
    random_like,
)
from mothello_interp.othello import Games, random_games, replay, square_index
from mothello_interp.probes import Probes, fit_probes
from tests.conftest import tiny_checkpoint
from tests.planted import MOVES, exact_probes, planted

GAMES = random_games(12, board=4, seed=31)
D_MODEL = 16
every_frame = pytest.mark.parametrize("frame", ["relative", "absolute"])


@cache
def probes(kind: Any = "linear", frame: Any = "relative") -> Probes:
    games = random_games(60, board=4, seed=30)
    return fit_probes(tiny_checkpoint(), games, kind=kind, frame=frame, batch=64, epochs=8, seed=0)


def residual(*edits: Intervention, games: Games = GAMES, language: int = 0, layer: int = 1) -> torch.Tensor:
    """The rows of a layer `[game move d_model]`, without the last move."""
    checkpoint = tiny_checkpoint()
    with torch.inference_mode(), edited(checkpoint, edits, games, language) as model:
        _, cached = model.run_with_cache(checkpoint.tokens(games, language))
    return cached[f"blocks.{layer}.hook_resid_post"]


def gaps(rows: torch.Tensor, square: int, frame: str = "relative", language: int = 0) -> np.ndarray:
    """By how much the flipped class of a square beats the true one at move 5, `[game]`."""
    logits = probes("linear", frame).logits(rows[:, 5], language, 1)[:, square]
    boards = replay(GAMES)
    truth = boards.state[:, 5, square] * (boards.mover[:, 6] if frame == "relative" else 1) + 1
    here = np.arange(len(GAMES))
    return (logits[here, 2 - truth] - logits[here, truth]).numpy()


@every_frame
@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("squares", [["b2"], ["b2", "c3"], ["b2", "c2", "b3", "c3"]])
def test_a_flip_mirrors_what_the_probe_reads(frame: str, scale: float, squares: list[str]) -> None:
    """All squares at once: the other class wins by `scale` times what was between the two."""
    edit = FlipSquares(probes("linear", frame), squares=squares, scale=scale, layer=1, moves=5)
    before, after = residual(), residual(edit)
    for name in squares:
        square = square_index(name, 4)
        expected = scale * np.abs(gaps(before, square, frame))
        expected = np.maximum(expected, gaps(before, square, frame))
        np.testing.assert_allclose(gaps(after, square, frame), expected, atol=1e-3)
    others = [move for move in range(11) if move != 5]
    assert torch.equal(after[:, others], before[:, others])


@every_frame
def test_a_flip_takes_the_shortest_way(frame: str) -> None:
    """The step lies in the span of the differences of the probe's directions."""
    table = probes("linear", frame)
    step = (residual(FlipSquares(table, squares=["b2", "c3"], layer=1, moves=5)) - residual())[:, 5]
    directions = table.directions(0, 1)[[5, 10]]
    normals = torch.linalg.qr((directions[:, 2] - directions[:, 0]).T)[0]
    torch.testing.assert_close(step @ normals @ normals.T, step, atol=1e-4, rtol=1e-3)


def test_empty_squares_stay_empty() -> None:
    after, before = residual(FlipSquares(probes(), squares="a1", layer=1)), residual()
    empty = torch.from_numpy(replay(GAMES).state[:, :11, 0] == 0)
    assert 0 < empty.sum() < empty.numel()
    assert torch.equal(after[empty], before[empty])
    assert not torch.equal(after[~empty], before[~empty])


def test_behind_the_end_of_a_game_no_disc_is_mine() -> None:
    """A reader who flips a disc behind the last move of finished games is told why nothing happens."""
    over = GAMES[GAMES.lengths < GAMES.moves.shape[1]]
    with pytest.raises(
        NoEffectError, match="all behind the end of a game, where nobody is to move: name earlier moves"
    ):
        residual(FlipSquares(probes(), squares="b2", layer=1, moves="last"), games=over)


def test_squares_by_name_by_number_and_by_game() -> None:
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
def test_setting_a_board(frame: str) -> None:
    """Turning a disc is setting the board with that disc turned; a board that is there already is no edit."""
    state = replay(GAMES).state[:, 5].copy()
    state[:, [5, 10]] *= -1
    table = probes("linear", frame)
    as_set = residual(SetBoard(table, boards=state, layer=1, moves=5))
    torch.testing.assert_close(as_set, residual(FlipSquares(table, squares=[5, 10], layer=1, moves=5)))
    state[:, 5], state[:, 10] = 0, replay(GAMES).state[:, 5, 10]
    logits = table.logits(residual(SetBoard(table, boards=state, layer=1, moves=5))[:, 5], 0, 1)[:, 5]
    truth = replay(GAMES).state[:, 5, 5] * (replay(GAMES).mover[:, 6] if frame == "relative" else 1) + 1
    assert (logits[:, 1] > logits[np.arange(12), truth]).all()


@every_frame
def test_gradient_steps(frame: str) -> None:
    """Through an MLP the turned squares are read as turned, far more often than after random steps of that length."""
    table = probes("mlp", frame)
    edit = FlipSquares(table, squares=["b2", "c3"], layer=1, moves=5, steps=60)
    rows = {"edit": residual(edit), "random": residual(random_like(edit, seed=0))}
    boards = replay(GAMES)
    truth = boards.state[:, 5] * (boards.mover[:, 6, None] if frame == "relative" else 1) + 1
    right = {
        name: table.predict(values[:, 5], 0, 1)[:, [5, 10]] == 2 - truth[:, [5, 10]] for name, values in rows.items()
    }
    assert right["edit"].mean() > 0.9
    assert right["random"].mean() < right["edit"].mean() - 0.2


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_batch_is_the_same_one_by_one(kind: str) -> None:
    mask = np.zeros((12, 16), bool)
    mask[np.arange(12), [5, 6, 9, 10] * 3] = True
    mask[:4, 5] = True
    together = residual(FlipSquares(probes(kind), squares=mask, layer=[0, 1]))
    for game in range(12):
        one = slice(game, game + 1)
        alone = residual(FlipSquares(probes(kind), squares=mask[one], layer=[0, 1]), games=GAMES[one])
        torch.testing.assert_close(alone[0], together[game], atol=1e-3, rtol=1e-3)


def test_one_layer_that_acts_is_enough() -> None:
    """Where the probe reads the edit of the layer before, nothing is left to do; where none acts, it is an error."""
    games = random_games(40, board=4, seed=3)
    games = Games(games.moves[:, :MOVES], 4)
    flip = FlipSquares(exact_probes(), squares="b2", layer=[1, 2], moves="last")
    for edit in (flip, along(flip, flip), random_like(flip, seed=0)):
        with edited(planted(), [edit], games, 0) as model:
            model(planted().tokens(games, 0))
    empty = FlipSquares(exact_probes(), squares="b2", layer=2, moves="last")
    with edited(planted(), [flip, flip], games, 0, allow_no_effect=True), pytest.raises(NoEffectError):
        planted().model.run_with_hooks(planted().tokens(games, 0), fwd_hooks=fwd_hooks(planted(), [empty], games, 0))


def test_another_languages_probe() -> None:
    """`source` names it; by default the run's own is taken."""
    rows = {source: residual(FlipSquares(probes(), source=source, squares=5, layer=1)) for source in (None, 0, 1)}
    assert torch.equal(rows[None], rows[0])
    assert not torch.allclose(rows[1], rows[0], atol=1e-3)
    second = {
        source: residual(FlipSquares(probes(), source=source, squares=5, layer=1), language=1) for source in (None, 1)
    }
    assert torch.equal(second[None], second[1])


def test_along_takes_the_direction_of_one_and_the_length_of_another() -> None:
    own = FlipSquares(probes(), squares=["b2", "c3"], layer=1, moves=5, scale=3)
    step = (residual(own) - residual())[:, 5]
    found = (residual(along(FlipSquares(probes(), source=1, squares=["b2", "c3"], layer=1), own)) - residual())[:, 5]
    torch.testing.assert_close(found.norm(dim=1), step.norm(dim=1), atol=1e-4, rtol=1e-3)
    directions = probes().directions(1, 1)[[5, 10]]
    normals = directions[:, 2] - directions[:, 0]
    span = torch.linalg.qr(normals.T)[0]
    torch.testing.assert_close(found @ span @ span.T, found, atol=1e-4, rtol=1e-3)
    boards = replay(GAMES)
    sign = torch.from_numpy(boards.state[:, 5, [5, 10]] * boards.mover[:, 6, None]).float()
    assert ((found @ normals.T) * -sign > 0).all()  # towards the turned disc, on both squares


def test_a_random_step_of_equal_length() -> None:
    own = FlipSquares(probes(), squares="b2", layer=1, moves=[5, 6])
    step = residual(own) - residual()
    found = {seed: residual(random_like(own, seed=seed)) - residual() for seed in (0, 1)}
    torch.testing.assert_close(found[0].norm(dim=2), step.norm(dim=2), atol=1e-4, rtol=1e-3)
    assert torch.equal(residual(random_like(own, seed=0)) - residual(), found[0])
    for first, second in ((found[0], step), (found[0], found[1])):
        cosine = torch.nn.functional.cosine_similarity(first[:, 5], second[:, 5])
        assert cosine.abs().mean() < 0.5
    double = Apply(lambda rows, context: 2 * rows, layer=0, moves=3)  # of any intervention, not of board edits alone
    there = residual(random_like(double, seed=0), layer=0) - residual(layer=0)
    torch.testing.assert_close(there[:, 3].norm(dim=1), residual(layer=0)[:, 3].norm(dim=1), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: FlipSquares(probes(), squares=5, layer=1, hook="mlp_out"), "probes read the residual stream"),
        (lambda: FlipSquares(probes(), squares=5, layer=1, tokens="all"), "probes read the residual stream"),
        (lambda: FlipSquares(probes(), squares=5, layer=1, scale=0), "scale=0, steps=20"),
        (lambda: FlipSquares(probes(), squares=5, layer=1, steps=0), "steps=0"),
        (lambda: FlipSquares(probes(), squares=5, layer=1, rate=-1.0), "rate=-1.0"),
        (lambda: SetBoard(probes(), layer=1), "boards: expected an array of -1 white"),
        (lambda: SetBoard(probes(), boards=[0] * 16, layer=1), "boards: expected an array of -1 white"),  # type: ignore[arg-type]
        (lambda: SetBoard(probes(), boards=np.full(16, 2), layer=1), "boards: expected an array of -1 white"),
        (lambda: FlipSquares(probes(), squares=5, layer=1.5), "layer=1.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: FlipSquares(probes(), squares=5, layer="1"), "layer='1': expected a whole number"),  # type: ignore[arg-type]
        (lambda: FlipSquares(probes(), squares=5, layer=1, moves=2.5), "moves=2.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: FlipSquares(probes(), squares=5, layer=1, moves=[1, 2.5]), "expected a whole number"),  # type: ignore[list-item]
        (lambda: residual(SetBoard(probes(), boards=np.zeros(15, int), layer=1)), r"boards of shape \(15,\): expected"),
        (lambda: residual(FlipSquares(probes(), squares="e5", layer=1)), "'e5' is no square"),
        (lambda: residual(FlipSquares(probes(), squares=16, layer=1)), "squares=16: expected one or more of 0 to 15"),
        (lambda: residual(FlipSquares(probes(), layer=1)), r"squares=\(\): expected one or more"),
        (lambda: residual(FlipSquares(probes(), squares=np.ones((3, 16), bool), layer=1)), r"of shape \(3, 16\)"),
        (lambda: residual(FlipSquares(probes(), squares=np.arange(4), layer=1)), "squares is int64 of shape"),
        (lambda: residual(FlipSquares(probes(), source=3, squares=5, layer=1)), "no probe of language 3"),
    ],
)
def test_mistakes(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_probes_of_another_board() -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="probes of board 6, games of board 4"):
        residual(FlipSquares(replace(probes(), board=6), squares=5, layer=1))


def test_a_users_own_board_edit() -> None:
    """A subclass says which classes the probe should read."""

    class Erase(BoardEdit):
        def wanted(self, truth: np.ndarray, context: Context) -> np.ndarray:
            wanted = truth.copy()
            wanted[:, 5] = 1
            return wanted

    logits = probes().logits(residual(Erase(probes(), layer=1, moves=5))[:, 5], 0, 1)[:, 5]
    truth = replay(GAMES).state[:, 5, 5] * replay(GAMES).mover[:, 6] + 1
    assert (logits[:, 1] > logits[np.arange(12), truth]).all()
    assert len(collect(tiny_checkpoint(), GAMES).move)

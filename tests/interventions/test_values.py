"""The vocabulary, value by value: what each leaves at its hook, worked out another way."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import Activations, collect
from mothello_interp.forward import hook_name
from mothello_interp.interventions import (
    Ablate,
    Intervention,
    ProjectOut,
    Replace,
    Steer,
    SwapMeans,
    Transport,
    edited,
)
from mothello_interp.othello import Games, random_games
from tests.conftest import tiny_checkpoint

WORLD = "split"  # languages of several tokens a move
GAMES = random_games(5, board=4, seed=9)
D_MODEL = 16


@cache
def reference() -> Activations:
    """Other games; some end early, so that games and moves do not line up."""
    games = random_games(30, board=4, seed=10)
    ends = np.where(np.arange(30) % 3 == 0, 6, 12)
    return collect(tiny_checkpoint(WORLD), Games(np.where(np.arange(12) < ends[:, None], games.moves, -1), 4))


def rows_of(*interventions: Intervention, language: int = 0, layer: int = 0, games: Games = GAMES) -> torch.Tensor:
    """The residual rows of a layer after the interventions, `[game move d_model]`, without the last move."""
    checkpoint = tiny_checkpoint(WORLD)
    last = checkpoint.mothello.encode(games, language).last[:, :11].astype(np.int64)
    with torch.inference_mode(), edited(checkpoint, interventions, games, language) as model:
        _, cached = model.run_with_cache(checkpoint.tokens(games, language))
    return cached[hook_name(layer)][np.arange(len(games))[:, None], last]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-4, rtol=1e-4)


def vectors() -> list[torch.Tensor]:
    """For all rows, one a game, one a move."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((D_MODEL,), (len(GAMES), D_MODEL), (len(GAMES), 12, D_MODEL))
    return [torch.randn(shape, generator=generator) for shape in shapes]


def laid_out(values: torch.Tensor) -> torch.Tensor:
    """As `[game move d_model]`."""
    return values[:, :11] if values.ndim == 3 else values.unsqueeze(-2)


@pytest.mark.parametrize("form", range(3))
def test_steer_and_replace(form: int) -> None:
    values = vectors()[form]
    close(rows_of(Steer(values, -2.5, layer=0)), rows_of() - 2.5 * laid_out(values))
    close(rows_of(Replace(values, layer=0)), laid_out(values).expand(len(GAMES), 11, D_MODEL))


def test_a_move_of_several_tokens_may_be_replaced_whole() -> None:
    """All its tokens get the vector of the move."""
    checkpoint = tiny_checkpoint(WORLD)
    read = checkpoint.tokens(GAMES, 0)
    values = vectors()[2]
    with edited(checkpoint, [Replace(values, layer=1, moves=3, tokens="all")], GAMES, 0) as model:
        _, cached = model.run_with_cache(read)
    last = checkpoint.mothello.encode(GAMES, 0).last
    lengths = []
    for game in range(len(GAMES)):
        span = range(int(last[game, 2]) + 1, int(last[game, 3]) + 1)
        lengths.append(len(span))
        close(cached["blocks.1.hook_resid_post"][game, list(span)], values[game, 3])
    assert len(set(lengths)) > 1


def test_zero_ablation() -> None:
    close(rows_of(Ablate(layer=0)), torch.zeros(1))


@pytest.mark.parametrize("language", [0, 1])
@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_mean_ablation(language: int, layer: int) -> None:
    """The mean over the reference's games that have the move."""
    rows = reference()
    found = rows_of(Ablate("mean", rows, layer=layer), language=language, layer=layer)
    for move in range(11):
        here = rows.at(language, layer)[rows.move == move]
        assert len(here) == (rows.games.lengths > move).sum()
        close(found[:, move], here.mean(0))


def test_resample_ablation() -> None:
    """Every row is one of the reference at its move number, of one game at all layers; all are drawn."""
    rows = reference()
    many = random_games(400, board=4, seed=11)
    many = many[many.lengths == 12]
    draws = {}
    for layer in (0, 1):
        found = rows_of(Ablate("resample", rows, seed=3, layer=layer), language=1, layer=layer, games=many)
        for move in range(11):
            at_move = rows.move == move
            distances = torch.cdist(found[:, move].double(), rows.at(1, layer)[at_move].double())
            assert distances.min(dim=1).values.max() < 1e-3
            draws[layer, move] = rows.game[at_move][distances.argmin(dim=1)]
            boards = {tuple(game[: move + 1]) for game in rows.games.moves.tolist()}
            assert len(set(draws[layer, move].tolist())) > 0.8 * min(len(boards), at_move.sum())
    assert (draws[0, 9] == draws[1, 9]).mean() > 0.9  # two games may look alike
    again = rows_of(Ablate("resample", rows, seed=3, layer=1), language=1, layer=1, games=many)
    other = rows_of(Ablate("resample", rows, seed=4, layer=1), language=1, layer=1, games=many)
    assert torch.equal(again, found)
    assert not torch.allclose(other, found)


def test_projecting_out() -> None:
    """Nothing is left along the basis, what is orthogonal stays, twice is once; any basis of the span does the same."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(3, D_MODEL, generator=generator)
    centre = torch.randn(D_MODEL, generator=generator)
    plain, found = rows_of(), rows_of(ProjectOut(basis, layer=0))
    close(found @ basis.T, torch.zeros(1))
    kernel = torch.linalg.svd(basis)[2][3:]
    close(found @ kernel.T, plain @ kernel.T)
    mixed = torch.tensor([[1.0, 2, 0], [0, 1, -1], [3, 0, 1]]) @ basis
    close(rows_of(ProjectOut(mixed, layer=0)), found)
    around = rows_of(ProjectOut(basis, centre, layer=0))
    close(around @ basis.T, centre @ basis.T)
    close(around @ kernel.T, plain @ kernel.T)


def test_swapping_means() -> None:
    """The mean at each move becomes the other language's; deviations from it stay."""
    checkpoint = tiny_checkpoint(WORLD)
    rows = collect(checkpoint, GAMES)
    found = rows_of(SwapMeans(rows, to=1, layer=0), language=0)
    first, second = rows_of(language=0), rows_of(language=1)
    close(found.mean(0), second.mean(0))
    close(found - found.mean(0), first - first.mean(0))


def test_transport() -> None:
    """Any map of rows, numpy's too."""
    rotation = torch.linalg.qr(torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(1)))[0]
    close(rows_of(Transport(lambda rows: rows @ rotation, layer=0)), rows_of() @ rotation)
    close(rows_of(Transport(lambda rows: np.asarray(rows, np.float64) * 3, layer=0)), rows_of() * 3)  # type: ignore[arg-type, return-value]


def test_a_head_is_steered_by_a_vector_of_its_width() -> None:
    checkpoint = tiny_checkpoint(WORLD)
    read = checkpoint.tokens(GAMES, 1)
    with edited(checkpoint, [Replace(torch.arange(8.0), layer=1, hook="z", head=0, moves=2)], GAMES, 1) as model:
        _, cached = model.run_with_cache(read)
    where = torch.from_numpy(checkpoint.mothello.encode(GAMES, 1).last[:, 2].astype(np.int64))
    z = cached["blocks.1.attn.hook_z"][torch.arange(len(GAMES)), where]
    close(z[:, 0], torch.arange(8.0))
    assert not torch.allclose(z[:, 1], torch.arange(8.0))


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (torch.ones(15), r"Steer.*values of shape \(15,\); expected \[16\], or one a game \[5, 16\], or one a move"),
        (torch.ones(4, 16), r"shape \(4, 16\); expected"),
        (torch.ones(5, 11, 16), r"one a move \[5, 12, 16\]"),
        (torch.ones(()), r"shape \(\); expected"),
    ],
)
def test_vectors_of_another_shape(values: torch.Tensor, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        rows_of(Steer(values, layer=0))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"kind": "median"}, "kind='median': choose"),
        ({"kind": "mean"}, "kind='mean': a reference goes with"),
        ({"reference": "rows"}, "kind='zero': a reference goes with"),
        ({"kind": "mean", "reference": "rows", "hook": "mlp_out"}, "a reference holds the residual stream"),
        ({"kind": "mean", "reference": "rows", "tokens": "all"}, "a reference holds the residual stream"),
    ],
)
def test_ablations_that_cannot_be(settings: dict[str, Any], match: str) -> None:
    given = settings | ({"reference": reference()} if "reference" in settings else {})
    with pytest.raises(ValueError, match=match):
        Ablate(**given, layer=0)


@pytest.mark.parametrize("kind", ["mean", "resample"])
def test_a_reference_of_shorter_games(kind: Any) -> None:
    short = random_games(9, board=4, seed=10).moves[:, :4]
    rows = collect(tiny_checkpoint(WORLD), Games(short, 4))
    with pytest.raises(ValueError, match="the reference has no row of move 4: collect it on longer games"):
        rows_of(Ablate(kind, rows, layer=0))


def test_a_reference_of_another_layer() -> None:
    rows = collect(tiny_checkpoint(WORLD), GAMES, layers=[0])
    with pytest.raises(ValueError, match="language 0 at layer 1 was not collected"):
        rows_of(Ablate("mean", rows, layer=1))


def test_a_basis_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"basis of shape \(2, 16\): expected independent rows"):
        ProjectOut(torch.ones(2, 16), layer=0)
    with pytest.raises(ValueError, match=r"basis of shape \(16,\): expected independent rows"):
        ProjectOut(torch.ones(16), layer=0)
    with pytest.raises(ValueError, match="basis holds values that are not finite"):
        ProjectOut(torch.full((1, 16), torch.nan), layer=0)
    with pytest.raises(ValueError, match=r"basis of shape \(2, 8\): expected \[direction 16\]"):
        rows_of(ProjectOut(torch.eye(8)[:2], layer=0))

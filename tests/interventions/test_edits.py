"""The vocabulary, value by value: what each leaves at its hook, worked out another way."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import Activations, collect
from mothello_interp.interventions import Ablate, Intervention, MeanShift, ProjectOut, Replace, Steer, Transport
from mothello_interp.maps import fit_maps
from mothello_interp.othello import Games, random_games
from tests.cases import ended, spans
from tests.conftest import tiny_checkpoint

WORLD = "split"  # languages of several tokens a move
GAMES = random_games(5, board=4, seed=9)
D_MODEL = 16


@cache
def reference() -> Activations:
    """Other games; some end early, so that games and moves do not line up."""
    games = random_games(30, board=4, seed=10)
    return collect(tiny_checkpoint(WORLD), ended(games, np.where(np.arange(30) % 3 == 0, 6, 12)))


def rows_of(*edits: Intervention, language: int = 0, layer: int = 0, games: Games = GAMES) -> torch.Tensor:
    """The residual rows of a layer after the edits, `[game move d_model]`, without the last move."""
    states = tiny_checkpoint(WORLD).read(games, language).edited(*edits).states(layer)
    return states.unflatten(0, (len(games), 11))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(D_MODEL,), (len(GAMES), D_MODEL), (len(GAMES), 12, D_MODEL)])
def test_steer_and_replace_by_one_vector_or_one_a_game_or_one_a_move(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    each = values[:, :11] if values.ndim == 3 else values.unsqueeze(-2)
    close(rows_of(Steer(values, -2.5, layer=0)), rows_of() - 2.5 * each)
    close(rows_of(Replace(values, layer=0)), each.expand(len(GAMES), 11, D_MODEL))
    if values.ndim == 3:  # all tokens of a move get its vector
        reading = tiny_checkpoint(WORLD).read(GAMES, 0).edited(Replace(values, layer=1, moves=3, tokens="all"))
        with reading.hooks() as model:
            _, cached = model.run_with_cache(reading.tokens)
        places = [spans(tiny_checkpoint(WORLD), 0, moves)[3] for moves in GAMES.moves]
        for game, span in enumerate(places):
            close(cached["blocks.1.hook_resid_post"][game, span], values[game, 3])
        assert len({len(span) for span in places}) > 1


def test_ablate_zero_leaves_nothing() -> None:
    close(rows_of(Ablate(layer=0)), torch.zeros(1))


@pytest.mark.parametrize("language", [0, 1])
@pytest.mark.parametrize("layer", [-1, 0, 1])
def test_ablate_mean_is_the_mean_of_the_reference_at_the_move(language: int, layer: int) -> None:
    found = rows_of(Ablate("mean", reference(), layer=layer), language=language, layer=layer)
    for move in range(11):
        here = reference().at(language, layer)[reference().move == move]
        assert len(here) == (reference().games.lengths > move).sum()
        close(found[:, move], here.mean(0))


def test_ablate_resample_draws_rows_of_the_reference_at_the_move() -> None:
    """Of one game at all layers; all are drawn, and the seed decides."""
    many = random_games(400, board=4, seed=11)
    many, draws = many[many.lengths == 12], {}

    def resampled(seed: int, layer: int) -> torch.Tensor:
        return rows_of(Ablate("resample", reference(), seed=seed, layer=layer), language=1, layer=layer, games=many)

    for layer in (0, 1):
        found = resampled(3, layer)
        for move in range(11):
            at_move = reference().move == move
            distances = torch.cdist(found[:, move].double(), reference().at(1, layer)[at_move].double())
            assert distances.min(dim=1).values.max() < 1e-3
            draws[layer, move] = reference().game[at_move][distances.argmin(dim=1)]
            boards = {tuple(game[: move + 1]) for game in reference().games.moves.tolist()}
            assert len(set(draws[layer, move].tolist())) > 0.8 * min(len(boards), at_move.sum())
    assert (draws[0, 9] == draws[1, 9]).mean() > 0.9  # two games may look alike
    assert torch.equal(resampled(3, 1), found)
    assert not torch.allclose(resampled(4, 1), found)


def test_project_out_leaves_nothing_along_the_basis_and_all_else() -> None:
    """From any centre; any basis of the span does the same."""
    generator = torch.Generator().manual_seed(0)
    basis, centre = torch.randn(3, D_MODEL, generator=generator), torch.randn(D_MODEL, generator=generator)
    plain, found = rows_of(), rows_of(ProjectOut(basis, layer=0))
    kernel = torch.linalg.svd(basis)[2][3:]
    mixed = torch.tensor([[1.0, 2, 0], [0, 1, -1], [3, 0, 1]]) @ basis
    close(rows_of(ProjectOut(mixed, layer=0)), found)
    around = rows_of(ProjectOut(basis, centre, layer=0))
    for rows, left in ((found, torch.zeros(3)), (around, centre @ basis.T)):
        close(rows @ basis.T, left)
        close(rows @ kernel.T, plain @ kernel.T)


def test_mean_shift_exchanges_the_means_and_retains_deviations() -> None:
    found = rows_of(MeanShift(collect(tiny_checkpoint(WORLD), GAMES), to=1, layer=0), language=0)
    first, second = rows_of(language=0), rows_of(language=1)
    close(found.mean(0), second.mean(0))
    close(found - found.mean(0), first - first.mean(0))


def test_transport_passes_rows_through_a_function_or_maps_of_each_layer() -> None:
    rotation = torch.linalg.qr(torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(1)))[0]
    close(rows_of(Transport(lambda rows: rows @ rotation, layer=0)), rows_of() @ rotation)
    maps = fit_maps(reference(), 1, kind="mean_shift")
    found = rows_of(Transport(maps, layer=0))
    close(found, rows_of() - reference().at(0, 0).mean(0) + reference().at(1, 0).mean(0))
    later = rows_of(Transport(maps, layer=[0, 1]), layer=1)
    before = rows_of(Transport(maps, layer=0), layer=1)
    close(later, before - reference().at(0, 1).mean(0) + reference().at(1, 1).mean(0))


SHORT = ended(random_games(9, board=4, seed=10), 4)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: Steer(torch.ones(15), layer=0),
            r"Steer.*shape \(15,\); expected \[16\], or one a game \[5, 16\], or one",
        ),
        (lambda: Steer(torch.ones(4, 16), layer=0), r"shape \(4, 16\); expected"),
        (lambda: Steer(torch.ones(5, 11, 16), layer=0), r"one a move \[5, 12, 16\]"),
        (lambda: Steer(torch.ones(()), layer=0), r"shape \(\); expected"),
        (lambda: Ablate("median", layer=0), "kind='median': choose"),  # type: ignore[arg-type]
        (lambda: Ablate("mean", layer=0), "kind='mean': a reference goes with"),
        (lambda: Ablate(reference=reference(), layer=0), "kind='zero': a reference goes with"),
        (lambda: Ablate("mean", reference(), layer=0, hook="mlp_out"), "a reference holds the residual stream"),
        (lambda: Ablate("mean", reference(), layer=0, tokens="all"), "a reference holds the residual stream"),
        (lambda: MeanShift(reference(), 1, layer=0, tokens="all"), "a reference holds the residual stream"),
        (lambda: ProjectOut(torch.ones(2, 16), layer=0), r"basis of shape \(2, 16\): expected independent rows"),
        (lambda: ProjectOut(torch.ones(16), layer=0), r"basis of shape \(16,\): expected independent rows"),
        (lambda: ProjectOut(torch.full((1, 16), torch.nan), layer=0), "basis holds values that are not finite"),
        (lambda: ProjectOut(torch.eye(8)[:2], layer=0), r"basis of shape \(2, 8\): expected \[direction 16\]"),
        *(
            (
                lambda kind=kind: Ablate(kind, collect(tiny_checkpoint(WORLD), SHORT), layer=0),
                "no row of move 4: collect",
            )
            for kind in ("mean", "resample")
        ),
        (
            lambda: Ablate("mean", collect(tiny_checkpoint(WORLD), GAMES, layers=[1]), layer=0),
            "language 0 at layer 0 was not collected",
        ),
    ],
)
def test_edits_refuse_values_of_another_kind(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        rows_of(make())

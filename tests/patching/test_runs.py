"""Runs and maps: batched equals alone, nothing kept from one question answers another."""

import numpy as np
import pytest
import torch

from mothello_interp import legality
from mothello_interp.activations import collect
from mothello_interp.othello import SYMMETRIES, random_games
from mothello_interp.patching import Runs, cut
from mothello_interp.patching.runs import places
from tests.conftest import tiny_checkpoint
from tests.patching.cases import maps_of, sharp

GAMES = cut(random_games(60, board=4, seed=7), 6, seed=1, earliest=2, latest=6)
HERE = np.arange(len(GAMES))


def test_words_are_the_same_however_many_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each game gets its own state, in whichever batch it runs."""
    checkpoint, moves = sharp("compositional"), (GAMES.lengths - 1)[None]
    runs, given = Runs(checkpoint, GAMES, 0), Runs(checkpoint, GAMES, 1)
    values = given.rows(0, HERE, moves)
    expected = runs.patched(0, values, moves)
    monkeypatch.setattr(legality, "_CELLS", 40)
    torch.testing.assert_close(Runs(checkpoint, GAMES, 0).patched(0, values, moves), expected, atol=1e-5, rtol=0)
    assert (expected[0] - runs.plain()).abs().max() > 0.01


def test_estimates_are_of_the_weights_asked_for() -> None:
    runs, moves = Runs(sharp(), GAMES, 0), (GAMES.lengths - 1)[None]
    values = Runs(sharp(), GAMES, 1).rows(0, HERE, moves)
    first, second = torch.randn(2, *runs.plain().shape, generator=torch.Generator().manual_seed(0))
    one, other = (runs.estimated(0, values, moves, weights) for weights in (first, second))
    both = runs.estimated(0, values, moves, first + second)
    torch.testing.assert_close(one + other, both, atol=1e-5, rtol=0)
    assert (one - other).abs().max() > 0.01


def test_places_of_a_hook() -> None:
    """From the embeddings on; the last layer's output only where it is asked for."""
    checkpoint = tiny_checkpoint()
    assert [*places(checkpoint, "resid_post")] == [(-1, None), (0, None), (1, None)]
    assert [*places(checkpoint, "resid_post", last=False)] == [(-1, None), (0, None)]
    assert [*places(checkpoint, "attn_out", last=False)] == [(0, None), (1, None)]
    assert [*places(checkpoint, "z")] == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("name", ["identity", "diagonal"])
def test_a_mean_shift(name: str) -> None:
    """Rows less the donor's mean, plus the base's; the donor has read the games turned back."""
    symmetry, games = SYMMETRIES[name], random_games(30, board=4, seed=3)
    maps = maps_of(tiny_checkpoint(), games, base=0, donor=1, kind="mean_shift", symmetry=symmetry)
    given, wanted = collect(tiny_checkpoint(), symmetry.inverse.games(games)), collect(tiny_checkpoint(), games)
    rows = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    for layer in (-1, 0, 1):
        expected = rows - given.at(1, layer).mean(0) + wanted.at(0, layer).mean(0)
        torch.testing.assert_close(maps.apply(rows, layer), expected, atol=1e-4, rtol=0)

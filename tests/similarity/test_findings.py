"""Each measure on grouped rows: its null is what the measure gives for rows that are really paired anew."""

import pytest
import torch

from mothello_interp.similarity import linear_cka
from mothello_interp.similarity.cka import hsic_debiased, hsic_without
from mothello_interp.similarity.findings import FOLDS, MEASURES, Paired
from tests.similarity.planted import noise

GROUPS, GAMES, D = 3, 80, 5


def grouped(x: torch.Tensor, y: torch.Tensor, orders: list[torch.Tensor]) -> Paired:
    game = torch.arange(GAMES)
    others = [torch.nonzero(game % FOLDS != fold).flatten() for fold in range(FOLDS)]
    return Paired(x, y, game, orders, others, seed=0)


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - {"principal_angles"}))
def test_the_null_is_the_value_of_games_paired_anew(name: str) -> None:
    x = torch.from_numpy(noise(GROUPS * GAMES, D, seed=0)).reshape(GROUPS, GAMES, D)
    y = x + torch.from_numpy(noise(GROUPS * GAMES, D, seed=1)).reshape(x.shape)
    orders = [torch.randperm(GAMES, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    found = MEASURES[name](grouped(x, y, orders))
    assert found.error > 0
    for order, null in zip(orders, found.null, strict=True):
        expected = MEASURES[name](grouped(x, y[:, order], orders)).value
        assert null == pytest.approx(expected, abs=1e-6)
        assert abs(null - found.value) > 0.02


def test_hsic_without_each_fold() -> None:
    """As from the rows that are left, also far from the origin; and so CKA's error is the jackknife's."""
    x = torch.from_numpy(noise(GROUPS * GAMES, D, seed=0)).reshape(GROUPS, GAMES, D) + 1000
    y = x @ torch.from_numpy(noise(D, D, seed=1)) + torch.from_numpy(noise(GROUPS * GAMES, D, seed=2)).reshape(x.shape)
    rows = grouped(x, y, [])
    folds = [torch.nonzero(rows.game % FOLDS == fold).flatten() for fold in range(FOLDS)]
    expected = torch.stack([hsic_debiased(x[:, rest], y[:, rest]) for rest in rows.others])
    torch.testing.assert_close(hsic_without(x, y, folds), expected, rtol=1e-9, atol=0)
    left = torch.tensor([linear_cka(x[0, rest], y[0, rest], debiased=True) for rest in rows.others])
    error = ((FOLDS - 1) * left.var(unbiased=False)).sqrt()
    one = grouped(x[:1], y[:1], [])
    assert MEASURES["cka"](one).error == pytest.approx(float(error), rel=1e-6)

"""Statistics against loops, closed forms and ties."""

import numpy as np
import pytest
import torch

from mothello_interp.stats import Bootstrap, kl, mismatched, mismatched_rows, normalised, per_game, permutation_p


def test_bootstrap_is_a_loop_over_resampled_games() -> None:
    rng = np.random.default_rng(0)
    sums, over = rng.normal(size=(2, 9)), rng.integers(1, 5, 9)
    boot = Bootstrap(9, resamples=40, seed=3)
    assert boot.weights.shape == (40, 9)
    assert (boot.weights.sum(axis=1) == 9).all()
    drawn = [np.repeat(np.arange(9), times) for times in boot.weights]
    ratios = np.array([[row[games].sum() / over[games].sum() for games in drawn] for row in sums])
    means = np.array([[row[games].mean() for games in drawn] for row in sums])
    np.testing.assert_allclose(boot.draws(sums, over), ratios)
    np.testing.assert_allclose(boot.draws(sums), means)
    low, high = boot.interval(sums, over)
    np.testing.assert_allclose(low, np.quantile(ratios, 0.025, axis=1))
    np.testing.assert_allclose(high, np.quantile(ratios, 0.975, axis=1))


def test_bootstrap_covers_the_mean_and_follows_its_seed() -> None:
    """The width of the interval of a mean is that of the normal approximation."""
    values = np.random.default_rng(1).normal(size=400)
    low, high = Bootstrap(400, 2000, seed=0).interval(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    first, again, other = (Bootstrap(400, 5, seed=seed).weights for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("games", "resamples"), [(0, 5), (5, 0)])
def test_bootstrap_of_nothing(games: int, resamples: int) -> None:
    with pytest.raises(ValueError, match=f"{games} games, resamples={resamples}: expected 1 or more"):
        Bootstrap(games, resamples)


def test_sums_per_game_count_games_without_rows() -> None:
    assert per_game(np.array([1.0, 2, 4]), np.array([2, 0, 2]), 4).tolist() == [2, 0, 5, 0]


def test_mismatched_is_another_game_at_least_as_long() -> None:
    """Every one of those is drawn sooner or later; the longest game has a shorter one, if it must."""
    lengths = np.array([5, 9, 9, 7, 5, 3])
    drawn = np.stack([mismatched(lengths, seed) for seed in range(200)])
    assert (drawn != np.arange(6)).all()
    assert (lengths[drawn] >= lengths).all()
    for game, length in enumerate(lengths):
        assert set(drawn[:, game]) == {other for other in range(6) if other != game and lengths[other] >= length}
    assert mismatched(np.array([3, 8]), 0).tolist() == [1, 0]
    assert np.array_equal(mismatched(lengths, 4), drawn[4])


def test_mismatched_rows_permute_the_rows_of_each_move_number() -> None:
    """The last row of a move number takes the first; a row without another keeps its own."""
    game, move = np.array([0, 0, 1, 1, 1, 3, 3]), np.array([0, 1, 0, 1, 2, 0, 1])
    assert mismatched_rows(game, move).tolist() == [2, 3, 5, 6, 4, 0, 1]


def test_permutation_p_counts_ties_and_the_value_itself() -> None:
    null = np.array([0.1, 0.5, 0.5, 0.9])
    assert permutation_p(0.5, null) == pytest.approx(4 / 5)
    assert permutation_p(1.0, null) == pytest.approx(1 / 5)
    assert permutation_p(0.0, null) == 1


def test_normalised_is_zero_at_the_floor_one_at_the_ceiling_and_blank_where_they_are_close() -> None:
    found = normalised(np.array([0.2, 0.4, 0.3, 0.5]), 0.2, 0.4)
    np.testing.assert_allclose(found, [0, 1, 0.5, 1.5])
    np.testing.assert_allclose(normalised(0.25, 0.2, np.array([0.29, 0.325])), [np.nan, 0.4])
    assert np.isnan(normalised(0.5, 0.4, 0.2))


def test_kl_is_the_closed_form_with_the_rest_as_one_more_outcome() -> None:
    """KL(reference || probabilities), and 0 log 0 is 0."""
    p, q = np.array([0.5, 0.2, 0.0]), np.array([0.25, 0.4, 0.1])
    rest = (1 - p.sum(), 1 - q.sum())
    expected = 0.5 * np.log(0.5 / 0.25) + 0.2 * np.log(0.2 / 0.4) + rest[0] * np.log(rest[0] / rest[1])
    assert float(kl(torch.from_numpy(q), torch.from_numpy(p))) == pytest.approx(expected)
    assert float(kl(torch.from_numpy(p), torch.from_numpy(p))) == 0
    pair = torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    assert kl(*pair)[0] == 0
    assert kl(*pair)[1] > 10  # the reference holds possible what the probabilities do not

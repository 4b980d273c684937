"""Language structure on planted rows: what tells two languages apart is put there, and taken away again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mothello_interp.activations import Activations, other_game
from mothello_interp.othello import full_length, random_games, replay
from mothello_interp.structure import fit_centring, fit_projection, fit_rotation, language_identity

D = 16


def rows(*, seed: int = 0, games: int = 60, layers: tuple[int, ...] = (0, 1)) -> Activations:
    """Two languages that say the same: rows that follow the moves of random games."""
    played = random_games(games, board=4, seed=seed)
    game, move = np.nonzero(played.moves[:, : full_length(4) - 1] >= 0)
    meaning = torch.from_numpy(np.random.default_rng(9).normal(size=(16, D))).float()
    boards = replay(played)
    said = torch.from_numpy(boards.state[game, move]).float() @ meaning
    values = said.expand(2, len(layers), -1, -1).clone()
    return Activations(values, (1, 3), layers, played, boards, game, move)


def told_apart(activations: Activations, *, by: torch.Tensor) -> Activations:
    """The second language with something added, at layer 1 alone."""
    values = activations.values.clone()
    values[1, 1] += by
    return replace(activations, values=values)


@pytest.fixture(scope="module")
def offset() -> torch.Tensor:
    return 3 * torch.eye(D)[2] + torch.eye(D)[5]


def test_the_language_is_read_where_it_is_written(offset: torch.Tensor) -> None:
    fit, score = (told_apart(rows(seed=seed), by=offset) for seed in (0, 1))
    table = language_identity(fit, score, resamples=50)
    assert table["layer"].tolist() == [0, 1]
    assert table["hook"].tolist() == ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
    assert table["accuracy"][0] == pytest.approx(0.5, abs=1e-12)  # equal rows: right in one language of two
    assert table["accuracy"][1] > 0.95
    assert (table["low"] <= table["accuracy"]).all()
    assert table["chance"].tolist() == [0.5, 0.5]
    assert table["games"].tolist() == [60, 60]


def test_centring_takes_an_offset_away(offset: torch.Tensor) -> None:
    """Fitted on some games, exact on others; what all languages share stays."""
    change = fit_centring(told_apart(rows(seed=0), by=offset))
    same = rows(seed=1)
    changed = change(told_apart(same, by=offset))
    torch.testing.assert_close(changed.values[0], changed.values[1], atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.values[:, 0], same.values[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(changed.values[1, 1], same.values[1, 1] + offset / 2, atol=1e-4, rtol=0)


def test_projection_finds_the_directions_and_no_others(offset: torch.Tensor) -> None:
    """An offset that grows with the move is one direction; what is at right angles to it is untouched."""
    fit, score = rows(seed=0), rows(seed=1)
    change = fit_projection(told_apart(fit, by=torch.from_numpy(fit.move + 1).float()[:, None] * offset))
    assert change.directions[1].shape == (D, 1)
    stays = told_apart(fit, by=torch.from_numpy(fit.move + 1).float()[:, None] * offset)
    torch.testing.assert_close(change(stays).values.mean(dim=(0, 2)), stays.values.mean(dim=(0, 2)), atol=1e-3, rtol=0)
    unit = offset / offset.norm()
    torch.testing.assert_close(change.directions[1][:, 0].abs(), unit, atol=1e-4, rtol=0)
    changed = change(told_apart(score, by=torch.from_numpy(score.move + 1).float()[:, None] * offset))
    torch.testing.assert_close(changed.values[0, 1], changed.values[1, 1], atol=1e-3, rtol=0)
    left, right = (values[:, 1] - (values[:, 1] @ unit)[..., None] * unit for values in (changed.values, score.values))
    torch.testing.assert_close(left, right, atol=1e-3, rtol=0)


def test_a_share_of_the_directions() -> None:
    """Two directions, one a hundred times longer: the share says whether the short one counts."""
    fit = rows(seed=0)
    rng = np.random.default_rng(1)
    lengths = torch.from_numpy(rng.normal(size=(16, 2)) * [10.0, 0.1]).float()[torch.from_numpy(fit.move)]
    by = lengths @ torch.eye(D)[:2]
    assert fit_projection(told_apart(fit, by=by), share=0.99).directions[1].shape == (D, 1)
    assert fit_projection(told_apart(fit, by=by), share=1).directions[1].shape[1] >= 2


def test_a_rotation_is_undone() -> None:
    """Language 3 is language 1 turned and shifted: back on other games; a map of re-paired games does not do it."""
    turn = torch.linalg.qr(torch.from_numpy(np.random.default_rng(2).normal(size=(D, D))).float()).Q
    fit, score = rows(seed=0), rows(seed=1)
    turned = [replace(part, values=torch.stack([part.values[0], part.values[1] @ turn + 1.0])) for part in (fit, score)]
    for reference, expected in ((1, score.values[1]), (3, turned[1].values[1])):
        changed = fit_rotation(turned[0], reference=reference)(turned[1])
        torch.testing.assert_close(changed.values[0], expected, atol=1e-3, rtol=0)
        torch.testing.assert_close(changed.values[1], expected, atol=1e-3, rtol=0)
    null = fit_rotation(turned[0], reference=1, repaired=True)(turned[1])
    assert (null.values[1] - score.values[1]).norm() > 0.3 * score.values[1].norm()
    torch.testing.assert_close(null.values[0], score.values[0])


def test_rows_of_other_games() -> None:
    """A permutation that keeps the move number and never the game, where there is another."""
    activations = rows(seed=3)
    other = other_game(activations.game, activations.move)
    assert sorted(other) == list(range(len(other)))
    assert (activations.move[other] == activations.move).all()
    assert (activations.game[other] != activations.game).all()
    assert other_game(np.array([0, 0, 1]), np.array([0, 1, 0])).tolist() == [2, 1, 0]


def test_what_cannot_be_told_apart() -> None:
    fit, score = rows(seed=0), rows(seed=1)
    alone = replace(fit, values=fit.values[:1], languages=(1,))
    for measure in (fit_centring, fit_projection, lambda part: fit_rotation(part, reference=1)):
        with pytest.raises(ValueError, match=r"languages \[1\]: two or more"):
            measure(alone)
    with pytest.raises(ValueError, match="a game to fit on is also one to score on"):
        language_identity(fit, fit)
    with pytest.raises(ValueError, match=r"at layers \(0, 1\), to be scored on .*\(0,\)"):
        language_identity(fit, rows(seed=1, layers=(0,)))
    with pytest.raises(ValueError, match=r"share=0: expected above 0, up to 1"):
        fit_projection(fit, share=0)
    with pytest.raises(ValueError, match="language 2 at layer 0 was not collected"):
        fit_rotation(score, reference=2)


def test_rows_that_a_change_was_not_fitted_for() -> None:
    """Axes go by place: a change fitted at one layer must not be spread over others, nor over other languages."""
    fit, score = rows(seed=0), rows(seed=1)
    first = rows(seed=0, layers=(0,))
    alone = replace(score, values=score.values[:1], languages=(1,))
    for change in (fit_centring(first), fit_projection(first)):
        with pytest.raises(ValueError, match=r"rows of languages \[1, 3\] at layers \[0, 1\]: fitted at layers \[0\]"):
            change(score)
    with pytest.raises(
        ValueError, match=r"rows of languages \[1\] at .*: fitted at .* on languages \[1, 3\]; collect both"
    ):
        fit_centring(fit)(alone)
    assert fit_projection(fit)(alone).values.shape == alone.values.shape
    with pytest.raises(ValueError, match=r"no map for language 3 at layer 1: there are \[\(3, 0\)\]"):
        fit_rotation(first, reference=1)(score)
    turn = fit_rotation(fit, reference=3)
    torch.testing.assert_close(turn(alone).values[0], turn(score).values[0])

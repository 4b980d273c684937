"""Maps between languages on planted rows: what distinguishes two languages is put there, and taken away on other games."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import Activations, collect
from mothello_interp.maps import fit_maps
from mothello_interp.othello import SYMMETRIES, Games, full_length, random_games, replay
from tests.conftest import tiny_checkpoint

D = 16
OFFSET = 3 * torch.eye(D)[2] + torch.eye(D)[5]
TURN = torch.linalg.qr(torch.from_numpy(np.random.default_rng(2).normal(size=(D, D))).float()).Q


def rows(*, seed: int = 0, games: Games | None = None, layers: tuple[int, ...] = (0, 1)) -> Activations:
    """Languages 1 and 3 that say the same: rows that follow the boards of random games."""
    played = random_games(60, board=4, seed=seed) if games is None else games
    game, move = np.nonzero(played.moves[:, : full_length(4) - 1] >= 0)
    meaning = torch.from_numpy(np.random.default_rng(9).normal(size=(16, D))).float()
    boards = replay(played)
    said = torch.from_numpy(boards.state[game, move]).float() @ meaning
    return Activations(said.expand(2, len(layers), -1, -1).clone(), (1, 3), layers, played, boards, game, move)


def with_offset(activations: Activations, by: torch.Tensor = OFFSET) -> Activations:
    """Something added to language 3, at layer 1 alone."""
    values = activations.values.clone()
    values[1, 1] += by
    return replace(activations, values=values)


def rotated(activations: Activations) -> Activations:
    """Language 3 rotated and shifted."""
    return replace(activations, values=torch.stack([activations.values[0], activations.values[1] @ TURN + 1.0]))


def only(activations: Activations, language: int) -> Activations:
    return replace(activations, values=activations.values[[(1, 3).index(language)]], languages=(language,))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_mean_shift_removes_an_offset_and_nothing_else() -> None:
    fit, same = with_offset(rows(seed=0)), rows(seed=1)
    common = fit_maps(fit, kind="mean_shift")(with_offset(same))
    close(common.values[:, 0], same.values[:, 0])
    close(common.values[:, 1], same.values[:, 1] + OFFSET / 2)
    onto = fit_maps(fit, 3, kind="mean_shift")
    assert (onto.kind, onto.sources, onto.target, onto.layers) == ("mean_shift", (1,), 3, (0, 1))
    close(onto(with_offset(same)).values[:, 1], same.values[:, 1] + OFFSET)


def test_projection_removes_the_directions_of_the_means_and_no_others() -> None:
    """An offset that grows with the move is one direction; what is at right angles to it and the common mean stay."""

    def growing(activations: Activations) -> Activations:
        return with_offset(activations, torch.from_numpy(activations.move + 1).float()[:, None] * OFFSET)

    fit, score = growing(rows(seed=0)), rows(seed=1)
    maps = fit_maps(fit, kind="projection")
    close(maps(fit).values.mean(dim=(0, 2)), fit.values.mean(dim=(0, 2)))
    unit = OFFSET / OFFSET.norm()
    close(maps.affine[3, 1][1].abs().float(), unit[:, None])
    changed = maps(growing(score)).values[:, 1]
    close(changed[0], changed[1])
    across, expected = (values - (values @ unit)[..., None] * unit for values in (changed, score.values[:, 1]))
    close(across, expected)


def test_projection_keeps_directions_below_its_share_of_the_variance() -> None:
    """Two directions, one a hundred times longer: the share says whether the short one counts."""
    fit = rows(seed=0)
    lengths = torch.from_numpy(np.random.default_rng(1).normal(size=(16, 2)) * [10.0, 0.1]).float()
    fit = with_offset(fit, lengths[torch.from_numpy(fit.move)] @ torch.eye(D)[:2])
    removed = [fit_maps(fit, kind="projection", variance=share).affine[1, 1][1].shape[1] for share in (0.99, 1)]
    assert removed[0] == 1
    assert removed[1] >= 2


@pytest.mark.parametrize("reference", [1, 3])
def test_rotation_is_undone_on_other_games(reference: int) -> None:
    fit, score = rotated(rows(seed=0)), rotated(rows(seed=1))
    changed = fit_maps(fit, reference)(score).values
    expected = score.at(reference, 0)
    for values in (*changed[0], *changed[1]):
        close(values, expected)
    assert torch.equal(changed[(1, 3).index(reference)][0], expected)
    other = fit_maps(fit, reference, mismatched=True)(score).values[(3, 1).index(reference), 0]
    assert (other - expected).norm() > 0.3 * expected.norm()


def test_maps_between_two_models_carry_the_source_models_rows() -> None:
    """Both sides have the same language number, and both kinds of call agree."""
    fit, score = rotated(rows(seed=0)), rotated(rows(seed=1))
    other_model = replace(only(fit, 1), languages=(3,))
    maps = fit_maps(only(fit, 3), other_model)
    assert (maps.source, maps.target) == (3, 3)
    close(maps(only(score, 3)).values[0, 1], score.at(1, 1))
    close(maps.apply(score.at(3, 1).reshape(2, -1, D), 1).reshape(-1, D), score.at(1, 1))
    assert maps.apply(score.at(3, 1).double(), 1).dtype == torch.double


def test_maps_of_a_symmetry_are_fitted_on_the_image_of_the_games() -> None:
    diagonal, half_turn = SYMMETRIES["diagonal"], SYMMETRIES["half_turn"]
    games = random_games(60, board=4, seed=0)
    source, target = only(rows(games=diagonal.inverse.games(games)), 3), only(rows(games=games), 1)
    maps = fit_maps(source, target, symmetry="diagonal")
    assert maps.symmetry is diagonal
    with pytest.raises(ValueError, match="seen through half_turn"):
        fit_maps(source, target, symmetry=half_turn)
    maps.check(3, 1, diagonal, "resid_post")
    for asked, told in (
        ((1, 3, diagonal, "resid_post"), "from language 3 to 1 .*needed from 1 to 3"),
        ((3, 1, half_turn, "resid_post"), "half_turn"),
        ((3, 1, diagonal, "mlp_out"), "residual stream"),
    ):
        with pytest.raises(ValueError, match=told):
            maps.check(*asked)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kind": "affine"}, "'affine'.*choose"),
        ({}, "without a target"),
        ({"target": 1, "kind": "projection"}, "with a target"),
        ({"target": 1, "kind": "mean_shift", "mismatched": True}, "only a rotation"),
        ({"kind": "projection", "variance": 0}, "variance=0"),
        ({"target": 2}, "language 2"),
        ({"target": 1, "symmetry": "diagonal"}, "diagonal"),
        ({"target": rows(seed=0)}, r"languages \[1, 3\]"),
        ({"target": only(rows(seed=0, layers=(0,)), 1)}, r"layers \[0\]"),
        ({"target": only(rows(seed=1), 1)}, "games are not the source's"),
    ],
)
def test_fit_maps_refuses_sides_that_do_not_go_together(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fit_maps(rows(seed=0), **settings)


def test_fit_maps_needs_two_languages_or_a_target() -> None:
    with pytest.raises(ValueError, match=r"languages \[1\].*two languages"):
        fit_maps(only(rows(seed=0), 1), kind="mean_shift")


def test_maps_refuse_rows_that_they_were_not_fitted_for() -> None:
    """Axes go by name: what was fitted at one layer is not spread over others, nor over other languages."""
    fit, score = rows(seed=0), rows(seed=1)
    first = fit_maps(rows(seed=0, layers=(0,)), 1)
    with pytest.raises(ValueError, match="language 3 at layer 1"):
        first(score)
    with pytest.raises(ValueError, match="language 5 at layer 0"):
        first(replace(only(score, 1), languages=(5,)))
    with pytest.raises(ValueError, match="takes"):
        first.apply(score.at(3, 0)[:, 1:], 0)
    both = fit_maps(fit, kind="mean_shift")
    with pytest.raises(ValueError, match=r"languages \[1, 3\]: say which"):
        both.apply(score.at(3, 0), 0)
    torch.testing.assert_close(both(only(score, 3)).values[0], both(score).values[1])


def test_maps_of_a_model_take_the_layers_by_name() -> None:
    """Fitted at all layers, applied to some of them in another order."""
    checkpoint, (fit, score) = tiny_checkpoint(), (random_games(n, board=4, seed=n) for n in (30, 5))
    maps = fit_maps(collect(checkpoint, fit), 0)
    found = maps(collect(checkpoint, score, layers=[1, -1], languages=[1]))
    close(found.at(1, -1), maps.apply(collect(checkpoint, score).at(1, -1), -1))

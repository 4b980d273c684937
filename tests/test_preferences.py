"""A preference that is taught, and one that is planted: found where it is, through the symmetry that it is under, and nowhere else."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.languages import exact_targets
from mothello_interp.models import Checkpoint, ModelSpec
from mothello_interp.othello import SYMMETRIES, random_games, replay
from mothello_interp.preferences import (
    MovePreferences,
    fine_tune_preference,
    move_preferences,
    transferred_preference,
)
from tests.conftest import every_world, tiny_checkpoint
from tests.players import player, prefixes

SPEC = ModelSpec.read(
    {"world": {"board": 4, "languages": ["atomic", "atomic"]}, "model": {"n_layers": 1, "d_model": 8, "n_heads": 1}},
    "planted",
)
GAMES = random_games(120, board=4, seed=5)
PREFERENCE = np.random.default_rng(0).normal(size=16)


def preferred(prefers: dict[int, np.ndarray]) -> MovePreferences:
    """Of a player of legal moves, by a softmax of what it prefers in the language that it is given."""
    mothello, legal = SPEC.mothello, replay(GAMES).legal
    known: dict[tuple[int, ...], np.ndarray] = {}
    for language, values in prefers.items():
        for game, move, tokens in prefixes(mothello, GAMES, language):
            squares = np.flatnonzero(legal[game, move + 1])
            known[tokens] = np.full(mothello.d_vocab, -50.0)
            known[tokens][mothello.move_tokens[language, squares, 0]] = values[squares]
    nothing = np.zeros(mothello.d_vocab)
    return move_preferences(player(SPEC, lambda tokens: known.get(tokens, nothing)), GAMES)


NOTHING = {language: np.zeros(16) for language in (0, 1)}


def images(values: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[symmetry.squares(4)] for name, symmetry in SYMMETRIES.items()}


def test_transferred_preference_finds_a_planted_one() -> None:
    """Whole in one language; in the other half of one image and a tenth against another, exactly."""
    seen = images(PREFERENCE)
    planted = {0: {"identity": 1.0}, 1: {"diagonal": 0.5, "half_turn": -0.1}}
    after = preferred({0: seen["identity"], 1: 0.5 * seen["diagonal"] - 0.1 * seen["half_turn"]})
    table = transferred_preference(preferred(NOTHING), after, PREFERENCE)
    for row in table.to_dict("records"):
        wanted = planted[row["language"]].get(row["symmetry"], 0.0)
        assert row["coefficient"] == pytest.approx(wanted, abs=1e-4)
        assert row["low"] - 1e-4 <= wanted <= row["high"] + 1e-4
    assert len(table) == 8
    np.testing.assert_allclose(table[["legal_before", "legal_after"]], 1, atol=1e-6)
    assert set(table["positions"]) == {int((legal_moves().sum(axis=2) > 1).sum())}


def test_another_preference_is_found_as_far_as_numpy_regresses_it() -> None:
    """It is as strong, and not the one that was taught; the interval is as wide as that of games drawn anew."""
    other = np.random.default_rng(1).normal(size=16)
    after = preferred({0: other, 1: np.zeros(16)})
    table = transferred_preference(preferred(NOTHING), after, PREFERENCE, resamples=2000)
    assert (table[table["language"] == 1]["coefficient"].abs() < 1e-6).all()
    found = table[table["language"] == 0]
    np.testing.assert_allclose(found["coefficient"], by_numpy(other, range(len(GAMES))), atol=1e-4)
    assert (found["coefficient"] < 0.5).all()
    draws = np.random.default_rng(2).integers(0, len(GAMES), (150, len(GAMES)))
    drawn = np.array([by_numpy(other, games) for games in draws])
    width = np.quantile(drawn, 0.975, axis=0) - np.quantile(drawn, 0.025, axis=0)
    np.testing.assert_allclose(found["high"] - found["low"], width, rtol=0.25)


def legal_moves() -> np.ndarray:
    return replay(GAMES).legal[:, 1:-1] & (GAMES.moves[:, 1:, None] >= 0)


@cache
def regressed(changed: tuple[float, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """By game: what is known `[row image]` and how it changed `[row]`."""
    legal, other = legal_moves(), np.array(changed)
    parts = []
    for game in range(len(GAMES)):
        rows, wanted = [np.zeros((0, 4))], [np.zeros(0)]
        for move in np.flatnonzero(legal[game].sum(axis=1) > 1):
            squares = np.flatnonzero(legal[game, move])
            rows.append(
                np.stack([image[squares] - image[squares].mean() for image in images(PREFERENCE).values()], axis=1)
            )
            wanted.append(other[squares] - other[squares].mean())
        parts.append((np.concatenate(rows), np.concatenate(wanted)))
    return parts


def by_numpy(changed: np.ndarray, games: Iterable[int]) -> np.ndarray:
    """Least squares over these games."""
    parts = [regressed(tuple(changed))[game] for game in games]
    known, change = (np.concatenate(part) for part in zip(*parts, strict=True))
    return np.linalg.lstsq(known, change, rcond=None)[0]


def test_transferred_preference_leaves_shared_tokens_out() -> None:
    """A preference for the anchor alone: the model of the other language has it, and it does not count."""
    checkpoint = tiny_checkpoint()
    (anchor,) = (square for square, _ in checkpoint.mothello.groups)
    before = move_preferences(checkpoint, GAMES)
    assert before.shared == {0: (anchor,), 1: (anchor,)}
    logs = {language: values + 3 * (np.arange(16) == anchor) for language, values in before.logs.items()}
    table = transferred_preference(before, replace(before, logs=logs), PREFERENCE)
    assert (table["coefficient"].abs() < 1e-9).all()
    everywhere = transferred_preference(replace(before, shared={0: (), 1: ()}), replace(before, logs=logs), PREFERENCE)
    assert (everywhere["coefficient"].abs() > 1e-3).any()


def surprise(checkpoint: Checkpoint, language: int) -> float:
    """Cross-entropy with legal moves played by preference, in nats a token."""
    wanted = exact_targets(checkpoint.mothello, GAMES, replay(GAMES).legal * np.exp(PREFERENCE), language)
    logits = checkpoint.model(checkpoint.tokens(GAMES, language)).log_softmax(-1).detach().numpy()
    return -float((wanted[:, : logits.shape[1]] * logits).sum() / wanted.sum())


@every_world
def test_fine_tune_preference_teaches_it(world: str) -> None:
    """Words of any length; and the model that was given stays as it is."""
    checkpoint = tiny_checkpoint(world)
    language = checkpoint.mothello.inputs[0]
    kept = {name: weight.clone() for name, weight in checkpoint.model.named_parameters()}
    taught = fine_tune_preference(checkpoint, PREFERENCE, language=language, games=1600, batch=32, lr=3e-3, seed=0)
    opposite = fine_tune_preference(checkpoint, -PREFERENCE, language=language, games=1600, batch=32, lr=3e-3, seed=0)
    assert surprise(taught, language) < surprise(opposite, language) - 0.05
    assert taught.provenance["taught"]["preference"] == PREFERENCE.tolist()
    assert all(torch.equal(weight, kept[name]) for name, weight in checkpoint.model.named_parameters())


def test_fine_tune_preference_follows_its_seed() -> None:
    def weights(**how: Any) -> torch.Tensor:
        taught = fine_tune_preference(tiny_checkpoint(), PREFERENCE, language=1, games=96, batch=32, **how)
        return torch.cat([weight.detach().flatten() for weight in taught.model.parameters()])

    first = weights(seed=0)
    with torch.no_grad():
        assert torch.equal(first, weights(seed=0))
    assert not torch.equal(first, weights(seed=1))


def test_preferences_that_are_refused() -> None:
    checkpoint = tiny_checkpoint()
    with pytest.raises(ValueError, match=r"language 2: tiny/atomic reads the languages \[0, 1\]"):
        fine_tune_preference(checkpoint, PREFERENCE, language=2, seed=0)
    some = move_preferences(checkpoint, GAMES)
    for wrong in (PREFERENCE[:9], np.full(16, np.nan)):
        with pytest.raises(ValueError, match="expected 16 finite numbers, one a square"):
            fine_tune_preference(checkpoint, wrong, language=0, seed=0)
        with pytest.raises(ValueError, match="expected 16 finite numbers, one a square"):
            transferred_preference(some, some, wrong)
    alike = PREFERENCE + PREFERENCE[SYMMETRIES["diagonal"].squares(4)]
    for wrong in (np.ones(16), alike):
        with pytest.raises(ValueError, match="looks alike through two symmetries"):
            transferred_preference(some, some, wrong)
    with pytest.raises(ValueError, match="0 games, 64 at a step: expected 1 or more"):
        fine_tune_preference(checkpoint, PREFERENCE, language=0, games=0, seed=0)
    with pytest.raises(ValueError, match=r"the loss is \w+ after \d+ games: try a smaller lr than 1e\+30"):
        fine_tune_preference(checkpoint, PREFERENCE, language=0, lr=1e30, seed=0)
    with pytest.raises(ValueError, match="games on a board of side 6: tiny/atomic plays on 4"):
        move_preferences(checkpoint, random_games(2, board=6, seed=0))
    with pytest.raises(ValueError, match="before and after in other games or languages"):
        transferred_preference(some, move_preferences(checkpoint, GAMES[:5]), PREFERENCE)
    with pytest.raises(ValueError, match="no position of 0 games has two legal moves"):
        move_preferences(checkpoint, GAMES[:0])

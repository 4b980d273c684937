"""A preference that is taught, and one that is planted: found where it is, through the symmetry that it is under, and nowhere else."""

from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.languages import exact_targets
from mothello_interp.models import Checkpoint, ModelSpec, load
from mothello_interp.othello import SYMMETRIES, Games, random_games, replay
from mothello_interp.preferences import carried_over, teach
from tests.conftest import every_world, tiny_checkpoint

SPEC = ModelSpec.read(
    {"world": {"board": 4, "languages": ["atomic", "atomic"]}, "model": {"n_layers": 1, "d_model": 8, "n_heads": 1}},
    "planted",
)
GAMES = random_games(120, board=4, seed=5)
PREFERENCE = np.random.default_rng(0).normal(size=16)


class Chooser(torch.nn.Module):
    """Plays legal moves with a softmax of what it prefers in the language that it reads."""

    def __init__(self, games: Games, prefers: dict[int, np.ndarray]):
        super().__init__()
        self.W_E = torch.zeros(1)
        self.known: dict[tuple[int, ...], torch.Tensor] = {}
        mothello, legal = SPEC.mothello, replay(games).legal
        for language, values in prefers.items():
            encoded = mothello.encode(games, language)
            for game, moves in enumerate(games.moves):
                for move in range(int((moves >= 0).sum()) - 1):
                    prefix = tuple(encoded.tokens[game, : encoded.last[game, move] + 1].tolist())
                    logits = torch.full((mothello.d_vocab,), -50.0)
                    squares = np.flatnonzero(legal[game, move + 1])
                    logits[mothello.words[language, squares, 0]] = torch.tensor(values[squares], dtype=torch.float32)
                    self.known[prefix] = logits

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Uniform where no position is known."""
        nothing = torch.zeros(SPEC.mothello.d_vocab)
        rows = [
            [self.known.get(tuple(text[: end + 1]), nothing) for end in range(len(text))] for text in tokens.tolist()
        ]
        return torch.stack([torch.stack(row) for row in rows])


def chooser(prefers: dict[int, np.ndarray]) -> Checkpoint:
    return Checkpoint(Chooser(GAMES, prefers), SPEC)  # type: ignore[arg-type]


def images(values: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[symmetry.squares(4)] for name, symmetry in SYMMETRIES.items()}


def test_a_planted_preference_is_found_where_it_is() -> None:
    """Whole in one language; in the other half of one image and a tenth against another, exactly."""
    before = chooser({language: np.zeros(16) for language in (0, 1)})
    seen = images(PREFERENCE)
    planted = {0: {"identity": 1.0}, 1: {"diagonal": 0.5, "half_turn": -0.1}}
    after = chooser({0: seen["identity"], 1: 0.5 * seen["diagonal"] - 0.1 * seen["half_turn"]})
    table = carried_over(before, after, PREFERENCE, GAMES)
    for row in table.to_dict("records"):
        wanted = planted[row["language"]].get(row["symmetry"], 0.0)
        assert row["coefficient"] == pytest.approx(wanted, abs=1e-4)
        assert row["low"] - 1e-4 <= wanted <= row["high"] + 1e-4
    assert len(table) == 8
    assert (table["top1"] == 1).all()


def test_what_is_not_the_preference_is_not_found() -> None:
    """Another preference, as strong: the interval holds what a regression by numpy finds, far from the whole of it."""
    before = chooser({language: np.zeros(16) for language in (0, 1)})
    other = np.random.default_rng(1).normal(size=16)
    table = carried_over(before, chooser({0: other, 1: np.zeros(16)}), PREFERENCE, GAMES)
    assert (table[table["language"] == 1]["coefficient"].abs() < 1e-6).all()
    legal = replay(GAMES).legal[:, 1:-1] & (GAMES.moves[:, 1:, None] >= 0)
    rows, wanted = [], []
    for game, move in zip(*np.nonzero(legal.sum(axis=2) > 1), strict=True):
        squares = np.flatnonzero(legal[game, move])
        rows.append(np.stack([image[squares] - image[squares].mean() for image in images(PREFERENCE).values()], axis=1))
        wanted.append(other[squares] - other[squares].mean())
    expected = np.linalg.lstsq(np.concatenate(rows), np.concatenate(wanted), rcond=None)[0]
    found = table[table["language"] == 0]
    np.testing.assert_allclose(found["coefficient"], expected, atol=1e-4)
    assert ((found["low"] < expected) & (expected < found["high"])).all()


def surprise(checkpoint: Checkpoint, language: int) -> float:
    """Cross-entropy with legal moves played by preference, in nats a token."""
    wanted = exact_targets(checkpoint.mothello, GAMES, replay(GAMES).legal * np.exp(PREFERENCE), language)
    logits = checkpoint.model(checkpoint.tokens(GAMES, language)).log_softmax(-1).detach().numpy()
    return -float((wanted[:, : logits.shape[1]] * logits).sum() / wanted.sum())


@every_world
def test_what_is_taught_is_learned(world: str) -> None:
    """Words of any length; and the model that was given stays as it is."""
    checkpoint = tiny_checkpoint(world)
    language = checkpoint.mothello.inputs[0]
    kept = {name: weight.clone() for name, weight in checkpoint.model.named_parameters()}
    taught = teach(checkpoint, PREFERENCE, language=language, games=640, batch=32, lr=3e-3, seed=0)
    assert surprise(taught, language) < 0.8 * surprise(checkpoint, language)
    assert all(torch.equal(weight, kept[name]) for name, weight in checkpoint.model.named_parameters())


def test_a_model_that_shares_its_languages_learns_in_both() -> None:
    """Four anchors: nearly whole in the language taught, about half in the other, through the identity."""
    checkpoint = load("mini/atomic-atomic-anchors4")
    preference = np.random.default_rng(0).normal(size=36)
    taught = teach(checkpoint, preference, language=0, games=1280, seed=0)
    table = carried_over(checkpoint, taught, preference, random_games(60, board=6, seed=1), resamples=50)
    own, other = (table[table["language"] == language].set_index("symmetry")["coefficient"] for language in (0, 1))
    assert own["identity"] > 0.6
    assert own.drop("identity").abs().max() < 0.1
    assert other["identity"] > max(0.25, other.drop("identity").max())


def test_teaching_is_the_same_each_time_and_of_its_seed() -> None:
    def weights(**how: Any) -> torch.Tensor:
        taught = teach(tiny_checkpoint(), PREFERENCE, language=1, games=96, batch=32, **how)
        return torch.cat([weight.detach().flatten() for weight in taught.model.parameters()])

    first = weights(seed=0)
    with torch.no_grad():
        assert torch.equal(first, weights(seed=0))
    assert not torch.equal(first, weights(seed=1))


def test_what_cannot_be_taught_or_told_apart() -> None:
    checkpoint = tiny_checkpoint()
    with pytest.raises(ValueError, match=r"language 2: tiny/atomic reads the languages \[0, 1\]"):
        teach(checkpoint, PREFERENCE, language=2, seed=0)
    for wrong in (PREFERENCE[:9], np.full(16, np.nan)):
        with pytest.raises(ValueError, match="expected 16 finite numbers, one a square"):
            teach(checkpoint, wrong, language=0, seed=0)
        with pytest.raises(ValueError, match="expected 16 finite numbers, one a square"):
            carried_over(checkpoint, checkpoint, wrong, GAMES)
    alike = PREFERENCE + PREFERENCE[SYMMETRIES["diagonal"].squares(4)]
    for wrong in (np.ones(16), alike):
        with pytest.raises(ValueError, match="looks alike through two symmetries"):
            carried_over(checkpoint, checkpoint, wrong, GAMES)

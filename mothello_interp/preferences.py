"""Does learning transfer? A preference for squares is taught in one language and looked for in the others.

A change of behaviour that is small and known exactly, and that no symmetry of the board leaves as it is: where it appears in
another language, and at which squares, tells whether the two share what learning changes, and through which symmetry.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from mothello_interp.arguments import checked
from mothello_interp.corpus import Corpus
from mothello_interp.forward import gradients
from mothello_interp.languages import exact_targets
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES, Games, replay

_STREAM = 1 << 21  # of games that neither pretraining nor fine-tuning reads
_LEAST = 1e-9  # probability below which a logarithm says nothing


@checked
@gradients()
def fine_tune_preference(
    checkpoint: Checkpoint,
    preference: np.ndarray,
    *,
    language: int,
    games: int = 2560,
    batch: int = 64,
    lr: float = 5e-4,
    seed: int,
) -> Checkpoint:
    """A copy of the model that was trained on, in one language, to prefer some legal moves to others.

    It is trained on random games to predict each legal move with a probability proportional to the exponential of
    its square's preference, where the model as it was is near the uniform distribution. AdamW without weight decay.

    Args:
        checkpoint: left as it is.
        preference: float `[square]`, in nats.
        language: in which it is taught.
        games: how many games are read.
        batch: games a step.
        lr: learning rate.
        seed: of the games.

    Raises:
        ValueError: for a language that the model does not read, a preference that is not a finite number a square, fewer
            than one game, or a loss that is not finite.
    """
    mothello = checkpoint.mothello
    if language not in mothello.inputs:
        raise ValueError(f"language {language}: {checkpoint.name} reads the languages {list(mothello.inputs)}")
    if min(games, batch) < 1:
        raise ValueError(f"{games} games, {batch} at a step: expected 1 or more")
    preference = _checked(preference, checkpoint.spec.board)
    model = deepcopy(checkpoint.model)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.0)
    corpus = Corpus(mothello, seed + _STREAM)
    for start in range(0, games, batch):
        read = corpus.games(start, min(batch, games - start))
        legal = replay(read).legal * np.exp(preference)
        tokens = checkpoint.tokens(read, language)
        wanted = torch.from_numpy(exact_targets(mothello, read, legal, language)[:, : tokens.shape[1]]).to(
            tokens.device
        )
        loss = -(wanted * model(tokens).log_softmax(-1)).sum() / wanted.sum()
        loss.backward()
        if not torch.isfinite(loss):
            blamed = f"try a smaller lr than {lr:g}" if start else "load the checkpoint again, its weights are spoilt"
            raise ValueError(f"the loss is {loss.item()} after {start} games: {blamed}")
        optimizer.step()
        optimizer.zero_grad()
    taught = {"language": language, "games": games, "batch": batch, "lr": lr, "seed": seed}
    provenance = {**checkpoint.provenance, "taught": {"preference": preference.tolist(), **taught}}
    return replace(checkpoint, model=model, provenance=provenance, name=f"{checkpoint.name}, taught")


@dataclass(frozen=True)
class MovePreferences:
    """What a model prefers among the legal moves, in several languages.

    Attributes:
        games: the games; every proper prefix is a position.
        logs: float64 `[game move square]` by language: logarithms of the next moves' probabilities.
        legal_mass: by language the probability of the legal moves, in tokens of the output language, 0 to 1; the mean
            over positions.
        shared: by language the squares whose tokens it shares with another (anchors).
    """

    games: Games
    logs: Mapping[int, np.ndarray]
    legal_mass: Mapping[int, float]
    shared: Mapping[int, tuple[int, ...]]


@checked
def move_preferences(
    checkpoint: Checkpoint, games: Games, *, languages: int | Sequence[int] | None = None
) -> MovePreferences:
    """What a model prefers after every proper prefix of the games.

    Args:
        checkpoint: the model.
        games: on its board.
        languages: to ask, all that are read by default.

    Raises:
        ValueError: for games on another board, or that leave no choice.
    """
    if games.board != checkpoint.spec.board:
        raise ValueError(f"games on a board of side {games.board}: {checkpoint.name} plays on {checkpoint.spec.board}")
    mothello, legal = checkpoint.mothello, _legal(games)
    if (legal.sum(axis=2) > 1).sum() == 0:
        raise ValueError(f"no position of {len(games)} games has two legal moves: give more games, or longer ones")
    logs, legal_mass = {}, {}
    for reading in checkpoint.readings(games, languages):
        language, chances = reading.language, reading.next_moves()[:, :-1].astype(float)
        logs[language] = np.log(np.maximum(chances, _LEAST))
        legal_mass[language] = float((chances * legal).sum(axis=2)[legal.any(axis=2)].mean())
    shared = {at: tuple(square for square, group in mothello.groups if at in group) for at in logs}
    return MovePreferences(games, logs, legal_mass, shared)


@checked
def transferred_preference(
    before: MovePreferences, after: MovePreferences, preference: np.ndarray, *, resamples: int = 200
) -> pd.DataFrame:
    """How much of a preference that was taught in one language shows in each, through every symmetry of the board.

    In each position the logarithms of the legal moves' probabilities, after teaching less before, are regressed on the
    preferences of the squares' four images at once (both less their mean over these moves, for only what is preferred to
    what counts). A coefficient of 1 is the complete preference, 0 none of it: through the identity in the taught language,
    and in another through the symmetry by which the two share the board. Moves that a language shares with another are left
    out: what is learned about their tokens is known in both, with or without a shared representation.

    Args:
        before: `move_preferences` of the model.
        after: of what `fine_tune_preference` made of it, on the same games, which should be others than were taught.
        preference: float `[square]`, in nats, as taught.
        resamples: bootstrap resamples, over games. The interval is of this one preference: draw several to know more.

    Returns:
        One row a language and symmetry: language, symmetry, coefficient, low, high (95%), legal_before, legal_after (mean
        probability of the legal moves), positions (those with several legal moves that are not shared).

    Raises:
        ValueError: for preferences in different games or languages, a preference that is not a finite number a square, or one
            that looks alike through two symmetries, as where it is the same on every square.
    """
    if before.logs.keys() != after.logs.keys() or not np.array_equal(before.games.moves, after.games.moves):
        raise ValueError("preferences before and after in other games or languages: expected the same")
    games = before.games
    preference = _checked(preference, games.board)
    images = np.stack([preference[symmetry.squares(games.board)] for symmetry in SYMMETRIES.values()], axis=-1)
    rows = []
    for language in before.logs:
        legal = _legal(games)
        legal[..., list(before.shared[language])] = False
        several = legal.sum(axis=2) > 1
        design = _centred(np.broadcast_to(images, (*legal.shape, len(SYMMETRIES)))[several], legal[several][..., None])
        if np.linalg.matrix_rank(np.einsum("psi,psj->ij", design, design)) < len(SYMMETRIES):
            raise ValueError(
                "the preference looks alike through two symmetries: expected one that distinguishes all four"
            )
        change = _centred((after.logs[language] - before.logs[language])[several], legal[several])
        found = _regress(design, change, np.nonzero(several)[0], resamples)
        mass = {"legal_before": before.legal_mass[language], "legal_after": after.legal_mass[language]}
        for symmetry, (coefficient, low, high) in zip(SYMMETRIES, found, strict=True):
            row = {"language": language, "symmetry": symmetry, "coefficient": coefficient, "low": low, "high": high}
            rows.append(row | mass | {"positions": int(several.sum())})
    return pd.DataFrame(rows)


def _checked(preference: np.ndarray, board: int) -> np.ndarray:
    preference = np.asarray(preference, float)
    if preference.shape != (board**2,) or not np.isfinite(preference).all():
        raise ValueError(f"preference of shape {preference.shape}: expected {board**2} finite numbers, one a square")
    return preference


def _legal(games: Games) -> np.ndarray:
    """Bool `[game move square]` after every proper prefix."""
    return replay(games).legal[:, 1:-1] & (games.moves[:, 1:, None] >= 0)


def _centred(values: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """`[position square ...]` less the mean over the legal squares of its position; 0 elsewhere."""
    means = (values * legal).sum(axis=1, keepdims=True) / legal.sum(axis=1, keepdims=True)
    return np.where(legal, values - means, 0.0)


def _regress(design: np.ndarray, change: np.ndarray, game: np.ndarray, resamples: int) -> np.ndarray:
    """Least squares of `[position square]` on `[position square image]`: `[image 3]`, coefficient and interval over games."""
    games, images = int(game.max()) + 1, design.shape[2]
    gram, product = np.zeros((games, images, images)), np.zeros((games, images))
    np.add.at(gram, game, np.einsum("psi,psj->pij", design, design))
    np.add.at(product, game, np.einsum("psi,ps->pi", design, change))
    times = np.random.default_rng(0).multinomial(games, np.full(games, 1 / games), size=resamples)
    drawn = np.linalg.solve(np.einsum("bg,gij->bij", times, gram), (times @ product)[..., None])[..., 0]
    found = np.linalg.solve(gram.sum(axis=0), product.sum(axis=0))
    return np.stack([found, *np.quantile(drawn, (0.025, 0.975), axis=0)], axis=1)

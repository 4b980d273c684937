"""Does learning carry over? A preference for squares is taught in one language and looked for in the others.

A change of behaviour that is small and known exactly, and that no symmetry of the board leaves as it is: where it appears in
another language, and at which squares, tells whether the two share what learning changes, and through which symmetry.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mothello_interp.corpus import Corpus
from mothello_interp.languages import exact_targets
from mothello_interp.legality import next_move_probabilities
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES, Games, replay

_STREAM = 1 << 21  # of games that neither pretraining nor fine-tuning reads
_LEAST = 1e-9  # probability below which a logarithm says nothing


def teach(
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

    It reads random games and learns to go on with each legal move with a probability proportional to the exponential of
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
        ValueError: for a language that the model does not read, or a preference that is not a finite number a square.
    """
    mothello = checkpoint.mothello
    if language not in mothello.inputs:
        raise ValueError(f"language {language}: {checkpoint.name} reads the languages {list(mothello.inputs)}")
    preference = _checked(preference, checkpoint)
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
        with torch.enable_grad():
            loss = -(wanted * model(tokens).log_softmax(-1)).sum() / wanted.sum()
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return replace(checkpoint, model=model)


def carried_over(
    before: Checkpoint,
    after: Checkpoint,
    preference: np.ndarray,
    games: Games,
    *,
    languages: Sequence[int] | None = None,
    resamples: int = 200,
) -> pd.DataFrame:
    """How much of a preference that was taught in one language shows in each, through every symmetry of the board.

    In each position the logarithms of the legal moves' probabilities, after teaching less before, are regressed on the
    preferences of the squares' four images at once (both less their mean over the legal moves, for only what is preferred to
    what counts). A coefficient of 1 is the whole preference, 0 none of it: through the identity in the taught language,
    and in another through the symmetry by which the two share the board.

    Args:
        before: the model.
        after: what `teach` made of it.
        preference: float `[square]`, in nats, as taught.
        games: other games than were taught; every proper prefix with several legal moves is a position.
        languages: to ask, all that are read by default. Where moves have several tokens this takes minutes: a position
            is run once for each beginning of a word.
        resamples: bootstrap resamples, over games. The interval is of this one preference: draw several to know more.

    Returns:
        One row a language and symmetry: language, symmetry, coefficient, low, high (95%), top1 (share of positions in which
        the likeliest next move is legal, after teaching), positions.

    Raises:
        ValueError: for a preference that is not a finite number a square, or that looks alike through two symmetries, as
            where it is the same on every square.
    """
    board, preference = before.spec.board, _checked(preference, before)
    legal = replay(games).legal[:, 1:-1] & (games.moves[:, 1:, None] >= 0)
    images = [np.broadcast_to(preference[symmetry.squares(board)], legal.shape) for symmetry in SYMMETRIES.values()]
    several = legal.sum(axis=2) > 1
    game = np.nonzero(several)[0]
    design = np.stack([_centred(image, legal)[several] for image in images], axis=-1)
    if np.linalg.matrix_rank(np.einsum("psi,psj->ij", design, design)) < len(images):
        raise ValueError("the preference looks alike through two symmetries: expected one that tells all four apart")
    rows = []
    for language in before.mothello.inputs if languages is None else languages:
        chances = [next_move_probabilities(here, games, language)[:, :-1] for here in (after, before)]
        then, now = (np.log(np.maximum(chance, _LEAST), dtype=float) for chance in reversed(chances))
        found = _regress(design, _centred(now - then, legal)[several], game, resamples)
        named = chances[0].argmax(axis=2)[several]
        top1 = float(np.take_along_axis(legal[several], named[:, None], 1).mean())
        for symmetry, (coefficient, low, high) in zip(SYMMETRIES, found, strict=True):
            row = {"language": language, "symmetry": symmetry, "coefficient": coefficient, "low": low, "high": high}
            rows.append(row | {"top1": top1, "positions": int(several.sum())})
    return pd.DataFrame(rows)


def _checked(preference: np.ndarray, checkpoint: Checkpoint) -> np.ndarray:
    preference, squares = np.asarray(preference, float), checkpoint.spec.board**2
    if preference.shape != (squares,) or not np.isfinite(preference).all():
        raise ValueError(f"preference of shape {preference.shape}: expected {squares} finite numbers, one a square")
    return preference


def _centred(values: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """`[game move square]` less the mean over the legal squares of its position; 0 elsewhere."""
    means = (values * legal).sum(axis=2, keepdims=True) / np.maximum(legal.sum(axis=2, keepdims=True), 1)
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

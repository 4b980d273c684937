"""How a language shows in the residual stream, and what is left of the difference when that is taken away.

`language_identity` asks how well the language can be read. The others are fitted on the rows of some games and change the
rows of others, as in `fit_centring(some)(others)`: less each language's mean, without the subspace in which the means
differ, or turned into the coordinates of one language by the best orthogonal map. What they bring to alignment is found by
fitting probes on changed rows, and scoring them with `align_on` on changed rows of other games.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
import torch
from einops import rearrange

from mothello_interp.activations import Activations, hook_name, other_game
from mothello_interp.similarity import OrthogonalMap, fit_procrustes

_ROWS = 4000  # of each language, to fit on: more change nothing


def language_identity(fit: Activations, score: Activations, *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """How well a logistic regression reads the language of a row, at each layer.

    Args:
        fit: rows to fit on.
        score: rows of other games, of the same languages and layers.
        resamples: bootstrap resamples over games.
        seed: of the choice of rows and of the bootstrap.

    Returns:
        One row per layer: layer, hook, accuracy, low, high (95% over games), chance, games.

    Raises:
        ValueError: for fewer than two languages, other languages or layers to score, or a game in both.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _check_two(fit)
    if (fit.languages, fit.layers) != (score.languages, score.layers):
        raise ValueError(
            f"fitted on languages {fit.languages} at layers {fit.layers}, to be scored on {score.languages} at "
            f"{score.layers}: collect the same of both"
        )
    if {game.tobytes() for game in fit.games.moves} & {game.tobytes() for game in score.games.moves}:
        raise ValueError("a game to fit on is also one to score on: take other games")
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(fit.game))[:_ROWS])
    sizes = np.bincount(score.game, minlength=len(score.games))
    weights = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), resamples)
    rows = []
    for place, layer in enumerate(fit.layers):
        reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        known = rearrange(fit.values[:, place, chosen], "language row d_model -> (language row) d_model")
        reader.fit(known.numpy(), np.repeat(fit.languages, len(chosen)))
        right = sum(reader.predict(score.at(language, layer).numpy()) == language for language in score.languages)
        per_game = np.bincount(score.game, weights=right / len(score.languages), minlength=len(sizes))
        low, high = np.quantile(weights @ per_game / (weights @ sizes), [0.025, 0.975])
        row = {"layer": layer, "hook": hook_name(layer), "accuracy": per_game.sum() / sizes.sum()}
        rows.append({**row, "low": low, "high": high, "chance": 1 / len(fit.languages), "games": len(score.games)})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Centring:
    """Takes each language's mean away, and puts the mean of all languages in its place.

    Attributes:
        offsets: what is taken away, float32 `[language layer 1 d_model]`.
        languages, layers: what the first two axes hold.
    """

    offsets: torch.Tensor
    languages: tuple[int, ...]
    layers: tuple[int, ...]

    def __call__(self, activations: Activations) -> Activations:
        """The rows without it.

        Raises:
            ValueError: for rows of other languages or layers.
        """
        _check_fitted(activations, self.layers, self.languages)
        return replace(activations, values=activations.values - self.offsets)


@dataclass(frozen=True)
class Projection:
    """Takes away a subspace, layer by layer.

    Attributes:
        means: the point that stays where it is, float32 `[layer d_model]`.
        directions: orthonormal columns `[d_model direction]` for each layer.
        layers: which these are.
    """

    means: torch.Tensor
    directions: tuple[torch.Tensor, ...]
    layers: tuple[int, ...]

    def __call__(self, activations: Activations) -> Activations:
        """The rows without it, in any language.

        Raises:
            ValueError: for rows of other layers.
        """
        _check_fitted(activations, self.layers)
        layers = []
        for place, directions in enumerate(self.directions):
            rows = activations.values[:, place] - self.means[place]
            layers.append(activations.values[:, place] - (rows @ directions) @ directions.T)
        return replace(activations, values=torch.stack(layers, dim=1))


@dataclass(frozen=True)
class Rotation:
    """Turns every language into the coordinates of one.

    Attributes:
        reference: the language that stays as it is.
        maps: to it, by (language, layer).
    """

    reference: int
    maps: Mapping[tuple[int, int], OrthogonalMap]

    def __call__(self, activations: Activations) -> Activations:
        """The rows in the coordinates of the reference.

        Raises:
            ValueError: for rows of a language or layer without a map.
        """
        values = activations.values.clone()
        for (i, language), (j, layer) in product(enumerate(activations.languages), enumerate(activations.layers)):
            if language != self.reference:
                if (language, layer) not in self.maps:
                    raise ValueError(f"no map for language {language} at layer {layer}: there are {sorted(self.maps)}")
                values[i, j] = self.maps[language, layer].apply(activations.values[i, j])
        return replace(activations, values=values)


def fit_centring(activations: Activations) -> Centring:
    """The difference between each language's mean row and that of all languages.

    Raises:
        ValueError: for fewer than two languages.
    """
    _check_two(activations)
    means = activations.values.mean(dim=2, keepdim=True)
    return Centring(means - means.mean(dim=0), activations.languages, activations.layers)


def fit_projection(activations: Activations, *, share: float = 0.99) -> Projection:
    """The directions in which languages differ on the mean: of the mean rows of each language at each move number, less
    those of all languages, the fewest principal directions with this share of their squared length.

    Raises:
        ValueError: for fewer than two languages, or a share outside of 0 to 1.
    """
    _check_two(activations)
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: expected above 0, up to 1")
    moves, place, counts = np.unique(activations.move, return_inverse=True, return_counts=True)
    sums = torch.zeros(*activations.values.shape[:2], len(moves), activations.values.shape[3])
    sums.index_add_(2, torch.from_numpy(place), activations.values)
    means = sums / torch.from_numpy(counts)[:, None]
    apart = rearrange(means - means.mean(dim=0), "language layer move d_model -> layer (language move) d_model")
    directions = []
    for rows in apart:
        _, lengths, axes = torch.linalg.svd(rows.double(), full_matrices=False)
        reached = lengths.square().cumsum(0) / lengths.square().sum()
        directions.append(axes[: int((reached < share).sum()) + 1].T.float())
    return Projection(activations.values.mean(dim=(0, 2)), tuple(directions), activations.layers)


def fit_rotation(activations: Activations, *, reference: int, repaired: bool = False) -> Rotation:
    """The best orthogonal map of every language onto one (`fit_procrustes`), at each layer.

    Args:
        reference: the language to map onto.
        repaired: pair each row with the reference's row of another game at the same move number: the null, since a map
            fitted so knows no more than what moves of a number have in common.

    Raises:
        ValueError: for fewer than two languages, or a reference that is not among them.
    """
    _check_two(activations)
    order = torch.from_numpy(other_game(activations.game, activations.move)) if repaired else slice(None)
    maps = {}
    for layer in activations.layers:
        onto = activations.at(reference, layer)[order]
        for language in activations.languages:
            if language != reference:
                maps[language, layer] = fit_procrustes(activations.at(language, layer), onto)
    return Rotation(reference, maps)


def _check_two(activations: Activations) -> None:
    if len(activations.languages) < 2:
        raise ValueError(f"languages {list(activations.languages)}: two or more are needed to tell them apart")


def _check_fitted(activations: Activations, layers: tuple[int, ...], languages: tuple[int, ...] | None = None) -> None:
    """Axes go by place, so those of another order or number would be changed by what was fitted elsewhere."""
    if activations.layers != layers or (languages is not None and activations.languages != languages):
        raise ValueError(
            f"rows of languages {list(activations.languages)} at layers {list(activations.layers)}: fitted at layers "
            f"{list(layers)}{'' if languages is None else f' on languages {list(languages)}'}; collect both alike"
        )

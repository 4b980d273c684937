"""Maps between languages: fitted on the residual stream of some games, applied to other games' rows.

Three kinds, one map for every source language and layer:

- "rotation": (x - source_mean) @ matrix + target_mean, the best orthogonal map onto the target (Schoenemann 1966);
- "mean_shift": the same with the identity as matrix;
- "projection": x - (x - source_mean) @ matrix @ matrix.T, without the subspace in which the languages' means differ.

A symmetry of the board permutes squares, not the residual stream, so it is no kind of its own: fit on source games that
are seen through the symmetry, and the map includes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
import torch
from einops import rearrange

from mothello_interp.activations import Activations
from mothello_interp.arguments import checked
from mothello_interp.othello import Symmetry
from mothello_interp.procrustes import fit_procrustes
from mothello_interp.stats import mismatched_rows

Kind = Literal["rotation", "mean_shift", "projection"]
Affine = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # source_mean [d_model], matrix [d_model column], target_mean


@dataclass(frozen=True, eq=False)
class Maps:
    """An affine map for every source language and layer; usable on rows, on activations and as an edit.

    Attributes:
        kind: "rotation", "mean_shift" or "projection".
        sources: languages whose rows are mapped.
        target: the language they are mapped to; None for what all sources have in common.
        symmetry: g, if the source was given g^-1 of the target's games: its rows then stand for g of its board.
        layers: those with a map.
        affine: (source_mean, matrix, target_mean) by (source, layer), float64.
    """

    kind: Kind
    sources: tuple[int, ...]
    target: int | None
    symmetry: Symmetry
    layers: tuple[int, ...]
    affine: Mapping[tuple[int, int], Affine]

    @property
    def source(self) -> int:
        """The source language of maps that have one.

        Raises:
            ValueError: for maps of several.
        """
        if len(self.sources) != 1:
            raise ValueError(
                f"these maps are of languages {list(self.sources)}: say which, as in source={self.sources[0]}"
            )
        return self.sources[0]

    def apply(self, rows: torch.Tensor, layer: int, *, source: int | None = None) -> torch.Tensor:
        """Rows `[... d_model]` of a source language mapped at a layer, on their device, in their precision.

        Args:
            source: which language; not needed for maps of one.

        Raises:
            ValueError: for a language or layer without a map, or rows of another width.
        """
        source = self.source if source is None else source
        if (source, layer) not in self.affine:
            raise ValueError(
                f"no map for language {source} at layer {layer}: these were fitted on languages {list(self.sources)} at "
                f"layers {list(self.layers)}"
            )
        source_mean, matrix, target_mean = (part.to(rows) for part in self.affine[source, layer])
        if rows.shape[-1:] != source_mean.shape:
            raise ValueError(f"rows of shape {tuple(rows.shape)}: this map takes [... {len(source_mean)}]")
        moved = (rows - source_mean) @ matrix
        return rows - moved @ matrix.T if self.kind == "projection" else moved + target_mean

    def __call__(self, activations: Activations) -> Activations:
        """The same activations with every source language's rows mapped; the target's own rows stay.

        Raises:
            ValueError: for a language or layer without a map.
        """
        values = activations.values.clone()
        for (i, language), (j, layer) in product(enumerate(activations.languages), enumerate(activations.layers)):
            if language in self.sources or language != self.target:
                values[i, j] = self.apply(values[i, j], layer, source=language)
        return replace(activations, values=values)

    def check(self, source: int, target: int, symmetry: Symmetry, hook: str) -> None:
        """Refuse maps that were fitted for something else.

        Raises:
            ValueError: for maps of another source, target or symmetry, or a hook that is not "resid_post".
        """
        if (self.source, self.target, self.symmetry) != (source, target, symmetry):
            raise ValueError(
                f"maps from language {self.source} to {self.target} ({self.symmetry.name}), needed from {source} to "
                f"{target} ({symmetry.name}): fit them on these"
            )
        if hook != "resid_post":
            raise ValueError(f'hook={hook!r}: maps are fitted on the residual stream: use hook="resid_post"')


@checked
def fit_maps(
    source: Activations,
    target: Activations | int | None = None,
    *,
    kind: Kind = "rotation",
    symmetry: Symmetry | str = "identity",
    mismatched: bool = False,
    variance: float = 0.99,
) -> Maps:
    """Maps of every language of `source`, at every layer, onto one target.

    Args:
        source: rows to map.
        target: a language of `source`, which stays as it is; or rows of one language, at the same layers, of another
            collection of the same games, such as another model's; or None, the mean over the languages of `source`
            (needed for "projection", not for "rotation").
        kind: "rotation", which needs more rows than dimensions, "mean_shift" or "projection".
        symmetry: g, where `source` was collected on `g.inverse.games` of the target's games.
        mismatched: fit a rotation to the target's rows of mismatched games at the same move number: its floor.
        variance: of a projection: the share of the squared length of the languages' mean rows at each move number, less
            those over all languages, that the removed principal directions hold, from above 0 to 1.

    Raises:
        ValueError: for a target that does not suit the kind, other games or layers on the two sides, and as
            `fit_procrustes`.

    Examples:
        >>> from mothello_interp import collect, load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> maps = fit_maps(collect(m, random_games(50, board=6, seed=0), layers=[1]), 0)
        >>> rows = collect(m, random_games(10, board=6, seed=1), layers=[1])
        >>> before, after = rows.values, maps(rows).values
        >>> bool((after[1] - after[0]).norm() < 0.7 * (before[1] - before[0]).norm()), bool((after[0] == before[0]).all())
        (True, True)
    """
    if kind not in ("rotation", "mean_shift", "projection"):
        raise ValueError(f'kind={kind!r}: choose "rotation", "mean_shift" or "projection"')
    if (target is None and kind == "rotation") or (target is not None and kind == "projection"):
        raise ValueError(
            f"kind={kind!r} {'without' if target is None else 'with'} a target: a rotation has one, a projection none"
        )
    if mismatched and kind != "rotation":
        raise ValueError(f"mismatched=True, kind={kind!r}: only a rotation depends on which rows are paired")
    symmetry = Symmetry.of(symmetry)
    onto, language = _target(source, target, symmetry)
    sources = tuple(spoken for spoken in source.languages if not (isinstance(target, int) and spoken == target))
    order = torch.from_numpy(mismatched_rows(source.game, source.move)) if mismatched else slice(None)
    removed = [_removed(source, place, variance) for place in range(len(onto))] if kind == "projection" else []
    affine: dict[tuple[int, int], Affine] = {}
    for (place, layer), spoken in product(enumerate(source.layers), sources):
        affine[spoken, layer] = removed[place] if removed else _onto(kind, source.at(spoken, layer), onto[place][order])
    return Maps(kind, sources, language, symmetry, source.layers, affine)


def _target(
    source: Activations, target: Activations | int | None, symmetry: Symmetry
) -> tuple[torch.Tensor, int | None]:
    """Rows to map onto `[layer row d_model]`, and their language."""
    if isinstance(target, Activations):
        if len(target.languages) != 1 or target.layers != source.layers:
            raise ValueError(
                f"a target of languages {list(target.languages)} at layers {list(target.layers)}: expected one language at "
                f"layers {list(source.layers)}, as the source has them"
            )
        if not np.array_equal(symmetry.games(source.games).moves, target.games.moves):
            raise ValueError(
                f"the target's games are not the source's, seen through {symmetry.name}: collect the source on "
                f"symmetry.inverse.games(games) of the target's games"
            )
        return target.values[0], target.languages[0]
    if len(source.languages) < 2 or symmetry.name != "identity":
        raise ValueError(
            f"languages {list(source.languages)}, symmetry {symmetry.name}: within one collection two languages or more "
            f"are needed, and the identity; give the target's rows"
        )
    if target is None:
        return source.values.mean(dim=0), None
    return torch.stack([source.at(target, layer) for layer in source.layers]), target


def _onto(kind: Kind, rows: torch.Tensor, wanted: torch.Tensor) -> Affine:
    if kind == "rotation":
        found = fit_procrustes(rows, wanted)
        return found.source_mean, found.rotation, found.target_mean
    source_mean, target_mean = (part.double().mean(dim=0) for part in (rows, wanted))
    return source_mean, torch.eye(len(source_mean), dtype=torch.double), target_mean


def _removed(source: Activations, place: int, variance: float) -> Affine:
    """The projection at one layer."""
    if not 0 < variance <= 1:
        raise ValueError(f"variance={variance}: expected above 0, up to 1")
    values = source.values[:, place]
    _, move, counts = np.unique(source.move, return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(values), len(counts), values.shape[2]).index_add_(1, torch.from_numpy(move), values)
    means = sums / torch.from_numpy(counts)[:, None]
    apart = rearrange(means - means.mean(dim=0), "language move d_model -> (language move) d_model").double()
    _, lengths, axes = torch.linalg.svd(apart, full_matrices=False)
    reached = lengths.square().cumsum(0) / lengths.square().sum()
    basis = axes[: int((reached < variance).sum()) + 1]
    centre = values.double().mean(dim=(0, 1))
    return centre, basis.T, centre

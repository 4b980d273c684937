"""Maps from a donor language's states to a base language's, fitted on other games than are patched."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from mothello_interp.activations import collect, other_game
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, Symmetry
from mothello_interp.similarity import OrthogonalMap, fit_procrustes

Kind = Literal["orthogonal", "mean"]


@dataclass(frozen=True, eq=False)
class Maps:
    """One map a layer.

    Attributes:
        kind: "orthogonal" (a rotation, with the means), or "mean" (the difference of the means alone).
        base, donor: to the base language's coordinates, from the donor's.
        symmetry: through which the donor's games are seen.
        by_layer: the maps.
    """

    kind: Kind
    base: int
    donor: int
    symmetry: Symmetry
    by_layer: Mapping[int, OrthogonalMap]

    def apply(self, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Rows `[... d_model]` of the donor as the base has them.

        Raises:
            ValueError: for a layer without a map.
        """
        if layer not in self.by_layer:
            raise ValueError(f"layer {layer}: these maps are of layers {sorted(self.by_layer)}")
        return self.by_layer[layer].apply(rows)


def fit_maps(
    checkpoint: Checkpoint,
    games: Games,
    *,
    base: int,
    donor: int,
    kind: Kind = "orthogonal",
    symmetry: Symmetry | str = "identity",
    repaired: bool = False,
) -> Maps:
    """Fit a map at every layer, from the residual stream of games in the donor language to that in the base.

    Args:
        games: to fit on; patch others. A rotation needs more rows than dimensions.
        symmetry: the donor reads the games that this map shows as the base's.
        repaired: pair each row with that of another game at its move number: the null of the map.

    Raises:
        ValueError: as `collect` and `fit_procrustes`; for another kind.
    """
    if kind not in ("orthogonal", "mean"):
        raise ValueError(f'kind={kind!r}: choose "orthogonal" or "mean"')
    symmetry = Symmetry.of(symmetry)
    given = collect(checkpoint, symmetry.inverse.games(games), languages=[donor])
    wanted = collect(checkpoint, games, languages=[base])
    order = torch.from_numpy(other_game(wanted.game, wanted.move)) if repaired else slice(None)
    maps = {}
    for layer in wanted.layers:
        found = fit_procrustes(given.at(donor, layer), wanted.at(base, layer)[order])
        if kind == "mean":
            found = replace(found, rotation=torch.eye(len(found.rotation), dtype=found.rotation.dtype))
        maps[layer] = found
    return Maps(kind, base, donor, symmetry, maps)


def check_maps(maps: Maps | None, base: int, donor: int, symmetry: Symmetry, hook: str) -> None:
    """That maps fit what is to be patched.

    Raises:
        ValueError: naming both.
    """
    if maps is None:
        return
    if (maps.base, maps.donor, maps.symmetry) != (base, donor, symmetry):
        raise ValueError(
            f"through: maps into language {maps.base} from {maps.donor} ({maps.symmetry.name}); asked for base {base}, "
            f"donor {donor} ({symmetry.name})"
        )
    if hook != "resid_post":
        raise ValueError(f'hook={hook!r}: maps are fitted on the residual stream: use hook="resid_post"')

"""Edits that are made on the page, as small frozen values, and a reading with them in place."""

from dataclasses import dataclass

from mothello_interp.interventions import FlipSquares, Intervention
from mothello_interp.probes import Probes
from mothello_interp.reading import Reading


@dataclass(frozen=True)
class Flip:
    """Flip the disc on a square after the last move shown, by the probe of the reading's language.

    Attributes:
        square: its name.
        layer: where.
        onward: in all later layers too, wherever a probe there still decodes the disc as it was.
        scale: of the step, see `BoardEdit`; 1 mirrors the row at the probe's boundary.
    """

    square: str
    layer: int
    onward: bool = True
    scale: float = 2.0

    def __str__(self) -> str:
        return f"flip {self.square} at layer {self.layer}" + (" and later" if self.onward else "")

    def layers(self, probes: Probes) -> list[int]:
        """Those at which it acts: its own, and the ones after it that have probes."""
        return [layer for layer in probes.layers if layer == self.layer or (self.onward and layer > self.layer)]


@dataclass(frozen=True)
class Patch:
    """Put the state of the same game, read in another language, in place of the one at a layer and a move.

    Attributes:
        layer: where.
        move: number of the move, from 0.
        source: the other language.
    """

    layer: int
    move: int
    source: int

    def __str__(self) -> str:
        return f"patch layer {self.layer} at move {self.move} from language {self.source}"


Edit = Flip | Patch | Intervention


def edited(reading: Reading, edit: Edit, probes: Probes | None) -> Reading:
    """A reading of one game with one more edit.

    Raises:
        ValueError: for a flip without probes, or where they were not fitted; for a patch at a move that is not there.
    """
    if isinstance(edit, Patch):
        played = reading.games.lengths[0]
        if edit.move >= played:
            raise ValueError(f"{edit}: there are moves 0 to {played - 1} on the board")
        return reading.patched(reading.checkpoint.read(reading.games, edit.source), edit.layer, edit.move)
    return reading.edited(_flip(edit, reading, probes) if isinstance(edit, Flip) else edit)


def _flip(flip: Flip, reading: Reading, probes: Probes | None) -> FlipSquares:
    if probes is None:
        raise ValueError(f"{flip}: there are no probes yet")
    layers = flip.layers(probes)
    if flip.layer not in layers or reading.language not in probes.languages:
        raise ValueError(
            f"{flip}: no probe of language {reading.language} at layer {flip.layer}; these were fitted on languages "
            f"{list(probes.languages)} at layers {list(probes.layers)}"
        )
    return FlipSquares(probes, squares=flip.square, scale=flip.scale, layer=layers, moves="last")

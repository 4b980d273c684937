"""Edits that are made on the page, as small frozen values, and what becomes of them in the model."""

from dataclasses import dataclass

from mothello_interp.activations import collect
from mothello_interp.interventions import FlipSquares, Intervention, Replace
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games
from mothello_interp.probes import Probes


@dataclass(frozen=True)
class Flip:
    """Turn over the disc on a square, behind the last move shown, by the probe of the language that is read.

    Attributes:
        square: its name.
        layer: where.
        onward: in all later layers too, wherever a probe there still reads the disc as it was.
        scale: how far, see `BoardEdit`; 1 mirrors the row at the probe's boundary.
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
        return f"patch layer {self.layer} at move {self.move + 1} from language {self.source}"


Edit = Flip | Patch | Intervention


def intervention(edit: Edit, checkpoint: Checkpoint, game: Games, language: int, probes: Probes | None) -> Intervention:
    """An edit as what `edited` takes, for one game read in a language.

    Raises:
        ValueError: for a flip without probes, or where they were not fitted; or a patch at a move that is not there.
    """
    if isinstance(edit, Flip):
        if probes is None:
            raise ValueError(f"{edit}: there are no probes yet")
        layers = edit.layers(probes)
        if edit.layer not in layers or language not in probes.languages:
            raise ValueError(
                f"{edit}: no probe of language {language} at layer {edit.layer}; these were fitted on languages "
                f"{list(probes.languages)} at layers {list(probes.layers)}"
            )
        return FlipSquares(probes, squares=edit.square, scale=edit.scale, layer=layers, moves="last")
    if isinstance(edit, Patch):
        if edit.move >= game.lengths[0]:
            raise ValueError(f"{edit}: only {game.lengths[0]} moves are on the board")
        theirs = collect(checkpoint, game, layers=[edit.layer], languages=[edit.source])
        return Replace(theirs.at(edit.source, edit.layer)[edit.move], layer=edit.layer, moves=edit.move)
    return edit

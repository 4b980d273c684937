"""Permanent links: a state as the fragment of an address, `#moves=c2b2&language=1&layer=2&flip=b2@1..`, and back.

Keys: `moves` of the game shown; `move`, how many of them are on the board, if not all; `language`, `layer`, `second`, `probe`,
`symmetry`, `head` as in `State`; `flip=SQUARE@LAYER`, with `..` after it in all later layers too; `patch=MOVE@LAYERfromLANGUAGE`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mothello_interp.explorer.edits import Edit, Flip, Patch
from mothello_interp.explorer.state import State
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games

_NUMBERS = ("move", "language", "layer", "second", "probe", "head")
_FLIP = re.compile(r"(?P<square>[a-h][1-8])@(?P<layer>-?\d+)(?P<onward>\.\.)?")
_PATCH = re.compile(r"(?P<move>\d+)@(?P<layer>-?\d+)from(?P<source>\d+)")


def to_link(state: State) -> str:
    """The fragment that `from_link` reads back.

    Raises:
        ValueError: for an edit that exists in Python alone.
    """
    parts = [("moves", "".join(state.names))]
    if state.move != len(state.moves):
        parts.append(("move", str(state.move)))
    optional = {"second": None, "probe": None, "symmetry": "identity", "head": None}
    parts += [(name, str(getattr(state, name))) for name in ("language", "layer")]
    parts += [(name, str(getattr(state, name))) for name, usual in optional.items() if getattr(state, name) != usual]
    return "#" + "&".join(f"{name}={value}" for name, value in [*parts, *map(_written, state.edits)])


def from_link(checkpoint: Checkpoint, link: str) -> State:
    """The state of a link, read by a checkpoint; what the link leaves out is as in `State.opening`.

    Raises:
        ValueError: for a link that cannot be read, or that names what the checkpoint does not have.
        IllegalGame: if its game breaks the rules.
    """
    settings: dict[str, Any] = {}
    edits: list[Edit] = []
    for part in link.removeprefix("#").split("&"):
        name, _, value = part.partition("=")
        if name in ("flip", "patch"):
            edits.append(_edit(name, value))
        elif name in settings or name not in ("moves", "symmetry", *_NUMBERS):
            raise ValueError(f"link {part!r:.80}: expected one each of moves, symmetry, {', '.join(_NUMBERS)}")
        else:
            settings[name] = _number(part, value) if name in _NUMBERS else value
    games = Games.from_transcripts([settings.pop("moves", "")], checkpoint.spec.board)
    settings.setdefault("move", int(games.lengths[0]))
    return replace(State.opening(checkpoint, games), **settings, edits=tuple(edits))


def linkable(edits: Sequence[Edit]) -> bool:
    """Whether a link can say all of them."""
    return all(isinstance(edit, Patch) or (isinstance(edit, Flip) and edit.scale == Flip.scale) for edit in edits)


def _written(edit: Edit) -> tuple[str, str]:
    if not linkable([edit]):
        raise ValueError(f"{edit} exists in Python alone: a link holds flips of scale {Flip.scale} and patches")
    if isinstance(edit, Flip):
        return "flip", f"{edit.square}@{edit.layer}{'..' if edit.onward else ''}"
    assert isinstance(edit, Patch)
    return "patch", f"{edit.move}@{edit.layer}from{edit.source}"


def _edit(name: str, value: str) -> Edit:
    if name == "flip" and (match := _FLIP.fullmatch(value)):
        return Flip(match["square"], int(match["layer"]), onward=bool(match["onward"]))
    if name == "patch" and (match := _PATCH.fullmatch(value)):
        return Patch(int(match["layer"]), int(match["move"]), int(match["source"]))
    raise ValueError(f"link '{name}={value:.60}': expected flip=c2@1, flip=c2@1.. or patch=5@1from0")


def _number(part: str, value: str) -> int:
    if not re.fullmatch(r"-?\d{1,4}", value, re.ASCII):
        raise ValueError(f"link {part!r:.80}: expected a whole number")
    return int(value)

"""Copy as code: the lines that give the numbers on screen in a notebook or a script."""

import re
from collections.abc import Sequence
from pathlib import Path

from mothello_interp.explorer.edits import Edit, Flip, Patch
from mothello_interp.explorer.reader import FIT, Reader, opening_of
from mothello_interp.explorer.state import State
from mothello_interp.models import Checkpoint, bundled_names
from mothello_interp.models.checkpoint import SPEC

_HOME = {
    "mothello_interp": ("Games", "fit_probes", "load", "random_games"),
    "mothello_interp.explorer.lens": ("attention", "decoded_boards", "lens", "states_by_layer"),
    "mothello_interp.interventions": ("FlipSquares",),
}
_BEFORE = """before = reading.final_moves()[0]
reading = reading.edited(allow_no_effect=True)"""


def code(state: State, reader: Reader, problems: Sequence[Exception | None] = ()) -> str:
    """Python lines that give what is on screen.

    They end with `prediction` `[square]`, `by_layer` (the lens), `attended` `[move]` where a head is chosen, and `belief` and
    `sure` `[square]`, where there is a probe; with `before` `[square]` where there are edits; and the same of a second
    language, as `second_prediction` and so on.

    Args:
        problems: of the edits, as `Reader.edited` gives them; edits that could not be made are left out.
    """
    tried = zip(state.edits, problems, strict=True)
    edits = [_edit(edit, reader) for edit, problem in tried if not isinstance(problem, ValueError)]
    lines = [
        f"checkpoint = {_checkpoint(state.checkpoint)}",
        f"game = Games.from_transcripts({state.shown.to_transcripts()!r}, board={state.board})",
        *([_probes(reader)] if reader.probes else []),
        f"reading = checkpoint.read(game, {state.language})",
        *([_BEFORE, *edits] if edits else []),
        *_numbers(state, reader, state.language, ""),
    ]
    if state.second is not None:
        lines += [f"\nsecond_reading = checkpoint.read(game, {state.second})"]
        lines += _numbers(state, reader, state.second, "second_")
    body = "\n".join(lines) + "\n"
    return _imports(body) + "\n" + body


def loadable(checkpoint: Checkpoint) -> bool:
    """Whether `load` finds the checkpoint by its name."""
    name = checkpoint.name
    return name in bundled_names() or (bool(name) and (Path(name) / SPEC).is_file()) or "hub" in checkpoint.provenance


def _numbers(state: State, reader: Reader, language: int, prefix: str) -> list[str]:
    """The prediction, the lens, the head chosen, and the belief if there is a probe."""
    reading, states, probes = f"{prefix}reading", f"{prefix}states", reader.probes
    lines = [
        f"{prefix}prediction = {reading}.final_moves()[0]  # [square]",
        f"{states} = states_by_layer({reading})  # [layer move d_model]",
        f"{prefix}by_layer = lens({reading}, {states}[:, -1])",
    ]
    if state.head is not None and state.layer >= 0:
        lines.append(f"{prefix}attended = attention({reading}, {state.layer}, {state.head})  # [move]")
    source = language if state.probe is None else state.probe
    if probes is not None and source in probes.languages and state.layer in probes.layers:
        foreign = f", source={source}, symmetry={state.symmetry!r}" if source != language else ""
        decoded = f"decoded_boards({reading}, {states}, probes, {state.layer}{foreign})"
        lines.append(
            f"{prefix}belief, {prefix}sure = (found[-1] for found in {decoded})  # [square], discs as in replay"
        )
    return lines


def _edit(edit: Edit, reader: Reader) -> str:
    """A line that makes `reading` one with an edit."""
    if isinstance(edit, Patch):
        return f"reading = reading.patched(checkpoint.read(game, {edit.source}), {edit.layer}, {edit.move})"
    if isinstance(edit, Flip) and reader.probes is not None:
        where = f'layer={edit.layers(reader.probes)}, moves="last"'
        return f"reading = reading.edited(FlipSquares(probes, squares={edit.square!r}, scale={edit.scale}, {where}))"
    return f"reading = reading.edited({f'put here: {edit}'!r})"


def _checkpoint(checkpoint: Checkpoint) -> str:
    return f"load({checkpoint.name!r})" if loadable(checkpoint) else "...  # the one given to the Explorer"


def _probes(reader: Reader) -> str:
    if reader.given:
        return "probes = ...  # those given to the Explorer"
    opening = opening_of(reader.checkpoint)
    begun = f", opening={list(opening)!r}" if opening else ""
    games = f"random_games({FIT['games']}, board={reader.checkpoint.spec.board}, seed=0{begun})"
    return f"probes = fit_probes(checkpoint, {games}, epochs={FIT['epochs']}, batch={FIT['batch']}, seed=0)"


def _imports(body: str) -> str:
    """Of the names that the lines may use, those that they do."""
    used = {module: [name for name in names if re.search(rf"\b{name}[(.]", body)] for module, names in _HOME.items()}
    return "".join(f"from {module} import {', '.join(names)}\n" for module, names in used.items() if names)

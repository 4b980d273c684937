"""Copy as code: the lines that give the numbers on screen in a notebook or a script."""

import re
from collections.abc import Sequence
from pathlib import Path

from mothello_interp.explorer.edits import Edit, Flip, Patch
from mothello_interp.explorer.reader import FIT, Reader
from mothello_interp.explorer.state import State
from mothello_interp.models import Checkpoint, bundled
from mothello_interp.models.checkpoint import SPEC

_HOME = {
    "mothello_interp": ("Games", "collect", "fit_probes", "load", "random_games", "replay"),
    "mothello_interp.explorer.lens": ("lens",),
    "mothello_interp.interventions": ("FlipSquares", "Replace", "edited"),
    "mothello_interp.legality": ("continuation_probabilities",),
}
_EDITED = """

def run(tokens, rows):
    with edited(checkpoint, edits, game, language, rows=rows, allow_no_effect=True) as model:
        return model(tokens)


before = continuation_probabilities(checkpoint, game, language)[0]
prediction = continuation_probabilities(checkpoint, game, language, run=run)[0]  # [square]
with edited(checkpoint, edits, game, language, allow_no_effect=True):
    acts = collect(checkpoint, game, languages=[language])"""
_PLAIN = """prediction = continuation_probabilities(checkpoint, game, language)[0]  # [square]
acts = collect(checkpoint, game, languages=[language])"""


def code(state: State, reader: Reader, problems: Sequence[Exception | None] = ()) -> str:
    """Python lines that give what is on screen.

    They end with `prediction` `[square]`, `by_layer` (the lens) and `belief` and `sure` `[square]`, where there is a probe; with
    `before` `[square]` where there are edits; and the same of a second language, as `second_prediction` and so on.

    Args:
        problems: of the edits, as in `Run`; those that could not be made are left out.
    """
    tried = zip(state.edits, problems, strict=True)
    edits = [f"    {_edit(edit, reader)}," for edit, problem in tried if not isinstance(problem, ValueError)]
    lines = [
        f"checkpoint = {_checkpoint(state.checkpoint)}",
        f'game = Games.from_transcripts(["{state.shown.to_transcripts()[0]}"], board={state.board})',
        "legal = replay(game).legal[0, game.lengths[0]]",
        f"language, layer = {state.language}, {state.layer}",
        *([_probes(reader)] if reader.probes else []),
        *(["edits = [", *edits, "]", _EDITED] if edits else [_PLAIN]),
        *_readings(state, reader, state.language, "language", ""),
    ]
    if state.second is not None:
        lines += [
            f"\nsecond = {state.second}",
            "second_prediction = continuation_probabilities(checkpoint, game, second)[0]",
            "second_acts = collect(checkpoint, game, languages=[second])",
            *_readings(state, reader, state.second, "second", "second_"),
        ]
    body = "\n".join(lines) + "\n"
    return _imports(body) + "\n" + body


def _readings(state: State, reader: Reader, language: int, name: str, prefix: str) -> list[str]:
    """The lens, and the belief if there is a probe."""
    lines = [f"{prefix}by_layer = lens(checkpoint, {prefix}acts.values[0, :, -1], {name}, legal)"]
    probes = reader.probes
    if probes is not None and language in probes.languages and state.layer in probes.layers:
        read = f"probes.boards({prefix}acts, {name}, layer)"
        lines.append(
            f"{prefix}belief, {prefix}sure = (values[-1] for values in {read})  # [square], discs as in replay"
        )
    return lines


def _edit(edit: Edit, reader: Reader) -> str:
    if isinstance(edit, Flip) and reader.probes is not None:
        where = f'layer={edit.layers(reader.probes)}, moves="last"'
        return f'FlipSquares(probes, squares="{edit.square}", scale={edit.scale}, {where})'
    if isinstance(edit, Patch):
        theirs = f"collect(checkpoint, game, layers=[{edit.layer}], languages=[{edit.source}])"
        row = f"{theirs}.at({edit.source}, {edit.layer})[{edit.move}]"
        return f"Replace({row}, layer={edit.layer}, moves={edit.move})"
    return f'"put here: {edit}"'


def _checkpoint(checkpoint: Checkpoint) -> str:
    name = checkpoint.name
    if name in bundled() or (Path(name) / SPEC).is_file() or "hub" in checkpoint.provenance:
        return f'load("{name}")'
    return "...  # the one given to the Explorer"


def _probes(reader: Reader) -> str:
    if reader.given:
        return "probes = ...  # those given to the Explorer"
    games = f"random_games({FIT['games']}, board={reader.checkpoint.spec.board}, seed=0)"
    return f"probes = fit_probes(checkpoint, {games}, epochs={FIT['epochs']}, batch={FIT['batch']}, seed=0)"


def _imports(body: str) -> str:
    """Of the names that the lines may use, those that they do."""
    lines = []
    for module, names in _HOME.items():
        used = [name for name in names if re.search(rf"\b{name}[(.]", body)]
        lines += [f"from {module} import {', '.join(used)}\n"] if used else []
    return "".join(lines)

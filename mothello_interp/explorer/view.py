"""From a state to everything on screen, as one JSON-able dictionary. No widget and no browser is needed for it."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from mothello_interp.activations import all_layers
from mothello_interp.explorer.code import code
from mothello_interp.explorer.edits import Edit, Flip
from mothello_interp.explorer.lens import attention, decoded_boards, lens
from mothello_interp.explorer.links import linkable, to_link
from mothello_interp.explorer.reader import Numbers, Reader, opening_of
from mothello_interp.explorer.state import State, language_name
from mothello_interp.forward import NoEffectError
from mothello_interp.othello import SYMMETRIES, legal_squares, replay, square_index, start_squares

View = dict[str, Any]


def view(state: State, reader: Reader | None = None) -> View:
    """What is on screen.

    Args:
        reader: of the state's checkpoint, to keep probes and runs from one view to the next; without probes in it
            there is no belief.

    Returns:
        The choices (`languages`, `layers`, `symmetries`, `heads`) and what is chosen (`language`, `second`, `layer`, `probe`,
        `symmetry`, `head`); `game` (its moves, which game of how many, how many moves are on the board); `position`
        (see `_position`); `columns`, one for each language shown (see `_column`; none where nothing is predicted, and
        `message` says why); `note`, what is to be known of the model; `edits` (see `_edit`); `link`, as `to_link`
        gives it, empty where a link cannot say all; `code`, the lines that give the same numbers. Squares are row-major lists.

    Raises:
        ValueError: for the reader of another checkpoint.
    """
    reader = reader or Reader(state.checkpoint)
    if reader.checkpoint is not state.checkpoint:
        raise ValueError(
            f"a reader of {reader.checkpoint.name} for a state of {state.name}: make Reader(state.checkpoint)"
        )
    position, columns = _position(state), []
    message = _silence(state, position)
    problems: tuple[Exception | None, ...] = (NoEffectError(),) * len(state.edits)
    if not message:
        plain, after = reader.plain(state.shown, state.language), None
        if state.edits:
            after, problems = reader.edited(state.shown, state.language, state.edits)
        position |= _flipped(state, position, problems)
        columns = [_column(state, position, reader, plain, after)]
        if state.second is not None:
            columns.append(_column(state, position, reader, reader.plain(state.shown, state.second), None))
    checkpoint = state.checkpoint
    return {
        "board": state.board,
        "checkpoint": state.name,
        "languages": [[index, language_name(checkpoint, index)] for index in checkpoint.mothello.inputs],
        "layers": [[layer, "emb" if layer == -1 else str(layer)] for layer in all_layers(checkpoint)],
        "symmetries": list(SYMMETRIES),
        "heads": list(range(checkpoint.spec.model.n_heads)),
        "language": state.language,
        "second": state.second,
        "layer": state.layer,
        "probe": state.probe,
        "symmetry": state.symmetry,
        "head": state.head,
        "game": {"index": state.game, "of": len(state.games), "at": state.move, "moves": state.names},
        "position": position,
        "columns": columns,
        "edits": [_edit(edit, problem) for edit, problem in zip(state.edits, problems, strict=True)],
        "message": message,
        "note": _note(state),
        "link": to_link(state) if linkable(state.edits) else "",
        "code": code(state, reader, problems) if columns else "",
    }


def _position(state: State) -> View:
    """The true board.

    Keys: `discs` (-1 white, 0 empty, 1 black), `legal`, `mover` (0: over), `last` (the square played, or None);
    `flipped` (by edits that act), and `legal_edited`: what is legal with these discs flipped, None without any.
    """
    boards = replay(state.shown)
    discs = np.zeros(state.board**2, np.int8)
    discs[list(start_squares(state.board))] = -1, 1, 1, -1
    if state.move:
        discs = boards.state[0, state.move - 1]
    return {
        "discs": discs.tolist(),
        "legal": boards.legal[0, state.move].tolist(),
        "mover": int(boards.mover[0, state.move]),
        "last": state.moves[state.move - 1] if state.move else None,
        "flipped": [False] * len(discs),
        "legal_edited": None,
    }


def _flipped(state: State, position: View, problems: tuple[Exception | None, ...]) -> View:
    """What flips do to the position."""
    acting = [edit for edit, problem in zip(state.edits, problems, strict=True) if problem is None]
    named = {square_index(edit.square, state.board) for edit in acting if isinstance(edit, Flip)}
    if not named:
        return {}
    flipped = np.isin(np.arange(state.board**2), list(named))
    discs = np.array(position["discs"], np.int8)
    legal = legal_squares(np.where(flipped, -discs, discs)[None], np.array([position["mover"]]))[0]
    return {"flipped": flipped.tolist(), "legal_edited": legal.tolist()}


def _silence(state: State, position: View) -> str:
    """Why nothing is predicted here; empty where something is."""
    if position["mover"] == 0:
        return "The game is over: there is no next move."
    if state.move == 0:
        return "Nothing is written yet, so the model predicts nothing: play the first move."
    return ""


def _note(state: State) -> str:
    """What the model was trained on, if not on all games."""
    opening = opening_of(state.checkpoint)
    if not opening:
        return ""
    begun = f"{state.name} was trained only on games that begin {' '.join(opening)}"
    shown = state.names[: min(state.move, len(opening))]
    return f"{begun}: this game does not." if tuple(shown) != opening[: len(shown)] else f"{begun}."


def _column(state: State, position: View, reader: Reader, plain: Numbers, after: Numbers | None) -> View:
    """One language.

    Keys: `language`, `name`, `answers` (the output language, if it is another); `before` and `after` (probability of every
    square, without and with edits; `after` is None without any); `mass` (probability of the moves that are legal: on the
    true board and, with flips in this language, on the edited one, each before and after); `belief` (see `_belief`, with
    the edits); `lens` and `lens_before` (by layer, with and without edits); `attention` (what the head chosen attends to
    from the last move, by move, with the edits; None without a head).
    """
    last, both = after or plain, [numbers.moves for numbers in (plain, after) if numbers]
    legal, legal_edited = position["legal"], position["legal_edited"] if after else None
    language, output = plain.reading.language, plain.reading.output
    return {
        "language": language,
        "name": language_name(state.checkpoint, language),
        "answers": language_name(state.checkpoint, output) if output != language else None,
        "before": _rounded(plain.moves),
        "after": _rounded(after.moves) if after else None,
        "mass": {
            "true": _rounded(moves[legal].sum() for moves in both),
            "edited": _rounded(moves[legal_edited].sum() for moves in both) if legal_edited else None,
        },
        "belief": _belief(state, reader, last),
        "lens": _lens(last),
        "lens_before": [row["legal"] for row in _lens(plain)] if after else None,
        "attention": _attention(state, last),
    }


def _belief(state: State, reader: Reader, last: Numbers) -> View:
    """What the probe decodes at the layer.

    Keys: `problem` if there is no probe, and `waiting` if it is to be fitted; else `discs` (-1 white, 0 empty, 1 black),
    `sure` (the probability of that class), `wrong` (where the truth is another) and `right` (how many squares are not);
    `probe` (the name of the language whose probe it is, None for its own); `fits`, with another language's probe: how many
    of the squares of all positions so far are right under each symmetry, 0 to 1, by name.
    """
    probes, language = reader.probes, last.reading.language
    source = language if state.probe is None else state.probe
    if probes is None:
        return {"problem": "The probes are being fitted, once for this checkpoint.", "waiting": True}
    if source not in probes.languages or state.layer not in probes.layers:
        return {
            "problem": f"There is no probe of language {source} at layer {state.layer}: these probes were fitted on "
            f"languages {list(probes.languages)} at layers {list(probes.layers)}.",
            "waiting": False,
        }
    truth, foreign = last.reading.boards.state[0, : state.move], source != language
    symmetry, fits = state.symmetry if foreign else "identity", {}
    decoded, certainty = decoded_boards(last.reading, last.states, probes, state.layer, source=source)
    for name in SYMMETRIES if foreign else ():
        fits[name] = round(float((SYMMETRIES[name].inverse.boards(decoded) == truth).mean()), 4)
    discs, sure = (SYMMETRIES[symmetry].inverse.boards(values[-1]) for values in (decoded, certainty))
    wrong = discs != truth[-1]
    return {
        "discs": discs.tolist(),
        "sure": _rounded(sure),
        "wrong": wrong.tolist(),
        "right": int((~wrong).sum()),
        "probe": language_name(state.checkpoint, source) if foreign else None,
        "fits": fits,
    }


def _attention(state: State, last: Numbers) -> list[float] | None:
    if state.head is None or state.layer == -1:  # the embeddings have no heads
        return None
    return _rounded(attention(last.reading, state.layer, state.head))


def _lens(numbers: Numbers) -> list[View]:
    return [
        {"layer": row.layer, "legal": round(row.legal, 4), "top": [[name, round(p, 4), ok] for name, p, ok in row.top]}
        for row in lens(numbers.reading, numbers.states[:, -1])
    ]


def _edit(edit: Edit, problem: Exception | None) -> View:
    """Keys: `text`, `problem` (empty where it acts), and `left_out`: it could not be made here."""
    why = "changes nothing here" if isinstance(problem, NoEffectError) else str(problem or "")
    return {"text": str(edit), "problem": why, "left_out": isinstance(problem, ValueError)}


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]

"""From a state to everything on screen, as one JSON-able dictionary. No widget and no browser is needed for it."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from mothello_interp.activations import all_layers
from mothello_interp.explorer.code import code
from mothello_interp.explorer.edits import Edit, Flip
from mothello_interp.explorer.lens import lens
from mothello_interp.explorer.reader import Reader, Run
from mothello_interp.explorer.state import State, language_name
from mothello_interp.interventions import NoEffectError
from mothello_interp.othello import legal_squares, replay, square_index, square_name, start_squares
from mothello_interp.probes import Probes

View = dict[str, Any]


def view(state: State, reader: Reader | None = None) -> View:
    """What is on screen.

    Args:
        reader: of the state's checkpoint, to keep probes and runs from one view to the next; without probes in it
            there is no belief.

    Returns:
        The choices (`languages`, `layers`) and what is chosen (`language`, `second`, `layer`); `game` (its moves, which
        game of how many, how many moves are on the board); `position` (see `_position`); `columns`, one for each
        language shown (see `_column`; none where nothing is predicted, and `message` says why); `edits` (see `_edit`);
        `code`, the lines that give the same numbers. Squares are row-major lists.

    Raises:
        ValueError: for the reader of another checkpoint.
    """
    reader = reader or Reader(state.checkpoint)
    if reader.checkpoint is not state.checkpoint:
        raise ValueError(
            f"a reader of {reader.checkpoint.name} for a state of {state.name}: make Reader(state.checkpoint)"
        )
    position = _position(state)
    message, columns = _silence(state, position), []
    problems: tuple[Exception | None, ...] = (NoEffectError(),) * len(state.edits)
    if not message:
        plain = reader.plain(state.shown, state.language)
        after = reader.run(state.shown, state.language, state.edits) if state.edits else None
        problems = after.problems if after else ()
        position |= _flipped(state, position, problems)
        columns = [_column(state, position, reader.probes, state.language, plain, after)]
        if state.second is not None:
            other = reader.plain(state.shown, state.second)
            columns.append(_column(state, position, reader.probes, state.second, other, None))
    checkpoint = state.checkpoint
    return {
        "board": state.board,
        "checkpoint": state.name,
        "languages": [[index, language_name(checkpoint, index)] for index in checkpoint.mothello.inputs],
        "layers": [[layer, "emb" if layer == -1 else str(layer)] for layer in all_layers(checkpoint)],
        "language": state.language,
        "second": state.second,
        "layer": state.layer,
        "game": {"index": state.game, "of": len(state.games), "at": state.move, "moves": _names(state)},
        "position": position,
        "columns": columns,
        "edits": [_edit(edit, problem) for edit, problem in zip(state.edits, problems, strict=True)],
        "message": message,
        "code": code(state, reader, problems) if columns else "",
    }


def _names(state: State) -> list[str]:
    return [square_name(square, state.board) for square in state.moves]


def _position(state: State) -> View:
    """The true board.

    Keys: `discs` (-1 white, 0 empty, 1 black), `legal`, `mover` (0: over), `last` (the square played, or None);
    `flipped` (by edits that act), and `legal_edited`: what is legal with these discs turned, None without any.
    """
    boards = replay(state.shown)
    discs = boards.state[0, state.move - 1] if state.move else _start(state)
    return {
        "discs": discs.tolist(),
        "legal": boards.legal[0, state.move].tolist(),
        "mover": int(boards.mover[0, state.move]),
        "last": state.moves[state.move - 1] if state.move else None,
        "flipped": [False] * len(discs),
        "legal_edited": None,
    }


def _start(state: State) -> np.ndarray:
    """The board before the first move, int8 `[square]`."""
    discs = np.zeros(state.board**2, np.int8)
    discs[list(start_squares(state.board))] = -1, 1, 1, -1
    return discs


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


def _column(state: State, position: View, probes: Probes | None, language: int, plain: Run, after: Run | None) -> View:
    """One language.

    Keys: `language`, `name`, `answers` (in which language it goes on); `before` and `after` (probability of every
    square, without and with edits; `after` is None without any); `mass` (the share of it on moves that are legal: on the true
    board and, with flips in this language, on the edited one, each before and after); `belief` (see `_belief`, with the edits); `lens`
    and `lens_before` (by layer, with and without edits).
    """
    legal = np.array(position["legal"])
    answers = state.checkpoint.mothello.output_of(language)
    last = after or plain
    return {
        "language": language,
        "name": language_name(state.checkpoint, language),
        "answers": language_name(state.checkpoint, answers) if answers != language else None,
        "before": _rounded(plain.probabilities),
        "after": _rounded(after.probabilities) if after else None,
        "mass": {
            "true": _mass(position["legal"], plain, after),
            "edited": _mass(position["legal_edited"], plain, after) if after and position["legal_edited"] else None,
        },
        "belief": _belief(state, position, probes, language, last),
        "lens": _lens(state, last, language, legal),
        "lens_before": [row["legal"] for row in _lens(state, plain, language, legal)] if after else None,
    }


def _mass(legal: list[bool], plain: Run, after: Run | None) -> list[float]:
    """The probability of legal moves together, before and, if there are edits, after."""
    return _rounded([run.probabilities[np.array(legal)].sum() for run in (plain, after) if run])


def _belief(state: State, position: View, probes: Probes | None, language: int, last: Run) -> View:
    """What the language's probe reads at the layer.

    Keys: `problem` if there is none; else `discs` (-1 white, 0 empty, 1 black), `sure` (the probability of that
    class), `wrong` (where the truth is another) and `right` (how many squares are not).
    """
    if probes is None:
        return {"problem": "The probes are being fitted, once for this checkpoint."}
    if language not in probes.languages or state.layer not in probes.layers:
        return {
            "problem": f"There is no probe of language {language} at layer {state.layer}: these probes were fitted on "
            f"languages {list(probes.languages)} at layers {list(probes.layers)}."
        }
    rows = last.residuals[state.layer + 1][None]
    shares = probes.logits(rows, language, state.layer)[0].softmax(1)
    sign = 1 if probes.frame == "absolute" else position["mover"]
    discs = (shares.argmax(1).numpy() - 1) * sign
    wrong = discs != np.array(position["discs"])
    return {
        "discs": discs.tolist(),
        "sure": _rounded(shares.max(1).values.numpy()),
        "wrong": wrong.tolist(),
        "right": int((~wrong).sum()),
    }


def _lens(state: State, last: Run, language: int, legal: np.ndarray) -> list[View]:
    return [
        {"layer": row.layer, "legal": round(row.legal, 4), "top": [[name, round(p, 4), ok] for name, p, ok in row.top]}
        for row in lens(state.checkpoint, last.residuals, language, legal)
    ]


def _edit(edit: Edit, problem: Exception | None) -> View:
    """Keys: `text`, `problem` (empty where it acts), and `left_out`: it could not be made here."""
    why = "changes nothing here" if isinstance(problem, NoEffectError) else str(problem or "")
    return {"text": str(edit), "problem": why, "left_out": isinstance(problem, ValueError)}


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]

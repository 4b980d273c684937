"""What an edit of the board does: the errors of the predicted legal moves against the edited board (Li et al. 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import all_layers
from mothello_interp.arguments import checked, several
from mothello_interp.forward import NoEffectError, hook_name
from mothello_interp.interventions import Apply, Context, FlipSquares, Intervention, along, random_like
from mothello_interp.othello import Games, full_length, legal_squares, replay
from mothello_interp.probes import Probes
from mothello_interp.reading import Reading
from mothello_interp.stats import Bootstrap

_TRIES = 30  # draws of squares a game before it is given up


@dataclass(frozen=True, eq=False)
class EditedBoards:
    """Games, and the boards after their last moves with some discs flipped so that other moves are legal.

    Attributes:
        games: each truncated where its board is edited.
        squares: bool `[game square]`, the discs flipped.
        legal, legal_edited: bool `[game square]`, the moves of the player to move, before and after; they differ, and
            there is one in both.
    """

    games: Games
    squares: np.ndarray
    legal: np.ndarray
    legal_edited: np.ndarray

    def __len__(self) -> int:
        return len(self.games)


@checked
def edited_boards(
    games: Games, n: int, *, squares: int = 1, seed: int, earliest: int = 4, latest: int | None = None
) -> EditedBoards:
    """Games truncated at random moves, with random discs flipped there.

    Args:
        games: finished games to start from.
        n: how many.
        squares: how many discs to flip.
        seed: of the moves and the squares.
        earliest, latest: range of the number of the last move; latest is three quarters of a full game by default.

    Raises:
        ValueError: if the games yield fewer than n, or for a range or number of squares that is none.
    """
    latest = 3 * full_length(games.board) // 4 if latest is None else latest
    if not 0 <= earliest <= latest < full_length(games.board) - 1 or not 1 <= squares <= earliest + 5:
        raise ValueError(
            f"earliest={earliest}, latest={latest}, squares={squares}: expected 0 <= earliest <= latest < "
            f"{full_length(games.board) - 1}, and no more squares than the {earliest + 5} discs on the first board"
        )
    rng = np.random.default_rng(seed)
    games = games[games.lengths > latest + 1]
    last = rng.integers(earliest, latest + 1, len(games))
    here, boards = np.arange(len(games)), replay(games)
    state, mover, legal = boards.state[here, last], boards.mover[here, last + 1], boards.legal[here, last + 1]
    turned, after = np.zeros(state.shape, bool), np.zeros(state.shape, bool)
    open_ones = here
    for _ in range(_TRIES):
        order = np.argsort(rng.random((len(open_ones), state.shape[1])) + 2 * (state[open_ones] == 0), axis=1)
        mask = np.zeros((len(open_ones), state.shape[1]), bool)
        np.put_along_axis(mask, order[:, :squares], True, axis=1)
        options = legal_squares(np.where(mask, -state[open_ones], state[open_ones]), mover[open_ones])
        good = (options != legal[open_ones]).any(axis=1) & options.any(axis=1)
        turned[open_ones[good]], after[open_ones[good]] = mask[good], options[good]
        open_ones = open_ones[~good]
    found = np.flatnonzero(turned.any(axis=1))[:n]
    if len(found) < n:
        raise ValueError(f"{len(games)} games gave {len(found)} edited boards, {n} asked for: pass more games")
    moves = np.where(np.arange(games.moves.shape[1]) <= last[:, None], games.moves, -1)
    return EditedBoards(Games(moves[found], games.board), turned[found], legal[found], after[found])


def legal_errors(probabilities: np.ndarray, legal: np.ndarray) -> np.ndarray:
    """Wrong moves among the k most likely and legal ones not among them, int64 `[game]`; k is the number of legal moves.

    Args:
        probabilities: float `[game square]`.
        legal: bool `[game square]`.

    Raises:
        ValueError: for two shapes, or probabilities that are not finite.
    """
    if probabilities.shape != legal.shape or not np.isfinite(probabilities).all():
        raise ValueError(
            f"probabilities of shape {probabilities.shape}, legal of {legal.shape}: expected finite numbers, of one shape"
        )
    rank = np.argsort(np.argsort(-probabilities, axis=1, kind="stable"), axis=1)
    predicted = rank < legal.sum(axis=1, keepdims=True)
    return (predicted != legal).sum(axis=1)


@checked
def edit_effect(
    reading: Reading,
    boards: EditedBoards,
    probes: Probes,
    *,
    sources: int | Sequence[int] | None = None,
    layers: int | Sequence[int] | None = None,
    onward: bool = True,
    scale: float = 1.0,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Errors of the predicted moves against the edited board, after discs were flipped through probes of each language.

    The probe of the reading's own language makes its own step. A probe of another language gives the direction alone: the
    step is as long as the own probe would make it there; so is that of the control, a random direction.

    Args:
        reading: of `boards.games`.
        boards: what is edited, as `edited_boards` gives it.
        probes: fitted on other games.
        sources: languages whose probes edit, all that have one by default.
        layers: where the edit begins, all layers of the probes by default.
        onward: edit at that layer and all later ones, as Li et al. do; else at that layer alone.
        scale: of the own probe's step, see `BoardEdit`.
        resamples, seed: of the bootstrap over games; the seed also of the random directions.

    Returns:
        One row per layer and edit, each at the last token of the last move. Columns:
        layer, hook: where the edit begins; onward; kind, frame: of the probes; squares: how many are flipped;
        edit: "own", "other" or "random"; source: the language of the probe (-1 for random); target: that of the reading;
        errors, low, high: wrong and missed moves per game against the edited board, with its 95% interval over games;
        floor, floor_low, floor_high: the same without an edit;
        unedited: errors without an edit against the true board, what the model does wrong anyway;
        mass, floor_mass: probability of the edited board's legal moves, with and without the edit;
        length: mean length of the first layer's step, as a share of the row's; games.

    Raises:
        NoEffectError: for an edit that changes nothing in any game.
        ValueError: for a reading of other games, or layers or languages without probes.
    """
    if reading.games != boards.games:
        raise ValueError(f"{reading} is not of the {len(boards)} games whose boards are edited: read boards.games")
    boot, plain = Bootstrap(len(boards), resamples, seed), reading.final_moves()
    facts: dict[str, Any] = {"onward": onward, "target": reading.language, "kind": probes.kind, "frame": probes.frame}
    facts["squares"] = int(boards.squares.sum(axis=1).max())
    floor = _mean(boot, "floor", legal_errors(plain, boards.legal_edited))
    floor["unedited"] = legal_errors(plain, boards.legal).mean()
    floor["floor_mass"] = float((plain * boards.legal_edited).sum(axis=1).mean(dtype=float))
    rows = []
    for layer in probes.layers if layers is None else several("layers", layers):
        if layer not in probes.layers:
            raise ValueError(f"layer {layer}: these probes were fitted at layers {list(probes.layers)}")
        onwards = [item for item in all_layers(reading.checkpoint) if item >= layer] if onward else [layer]
        where = [item for item in onwards if item in probes.layers]
        own = FlipSquares(probes, scale=scale, squares=boards.squares, layer=where, moves="last")
        for (name, source), edit in _edits(
            own, probes.languages if sources is None else several("sources", sources), reading, seed
        ).items():
            moves, length = _final_moves(reading, edit)
            row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer), **facts, "edit": name, "source": source}
            row |= _mean(boot, "errors", legal_errors(moves, boards.legal_edited)) | floor
            row["mass"] = float((moves * boards.legal_edited).sum(axis=1).mean(dtype=float))
            rows.append({**row, "length": length, "games": len(boards)})
    return pd.DataFrame(rows)


def _edits(
    own: FlipSquares, sources: Sequence[int], reading: Reading, seed: int
) -> dict[tuple[str, int], Intervention]:
    """By name and source: the control, the own probe's edit, and those along other languages' probes."""
    edits: dict[tuple[str, int], Intervention] = {("random", -1): random_like(own, seed=seed)}
    for source in sources:
        if source == reading.language:
            edits["own", source] = own
        else:
            edits["other", source] = along(replace(own, source=source), own)
    return edits


def _final_moves(reading: Reading, edit: Intervention) -> tuple[np.ndarray, float]:
    """Probabilities of the next squares under an edit, `[game square]`, and the mean relative length of its first step."""
    lengths: list[torch.Tensor] = []

    def watched(rows: torch.Tensor, context: Context) -> torch.Tensor:
        after = edit.apply(rows.clone(), context)
        if context.layer == edit.layers[0]:
            lengths.append((after - rows).norm(dim=1) / rows.norm(dim=1))
        return after

    watch = Apply(watched, layer=edit.layer, moves=edit.moves)
    moves = reading.edited(watch, allow_no_effect=True).final_moves()
    length = float(torch.cat(lengths).mean())
    if length == 0:
        raise NoEffectError(
            f"{edit} changed nothing in {len(reading)} games: the probe decodes the edited boards already"
        )
    return moves, length


def _mean(boot: Bootstrap, name: str, values: np.ndarray) -> dict[str, float]:
    """The mean and its 95% bootstrap interval over games."""
    low, high = boot.interval(values)
    prefix = "" if name == "errors" else f"{name}_"
    return {name: values.mean(), f"{prefix}low": float(low), f"{prefix}high": float(high)}

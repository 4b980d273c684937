"""What an edit of the board does: the errors of the predicted legal moves against the edited board (Li et al. 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from mothello_interp.activations import all_layers, hook_name
from mothello_interp.interventions.boards import FlipSquares, along, random_like
from mothello_interp.interventions.hooks import NoEffectError, edited
from mothello_interp.interventions.intervention import Apply, Context, Intervention
from mothello_interp.legality import continuation_probabilities
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, full_length, legal_squares, replay
from mothello_interp.probes import Probes

_TRIES = 30  # draws of squares a game before it is given up


@dataclass(frozen=True, eq=False)
class EditedBoards:
    """Games, and the boards behind their last moves with some discs turned so that other moves are legal.

    Attributes:
        games: each cut where its board is edited.
        squares: bool `[game square]`, the discs turned.
        legal, legal_edited: bool `[game square]`, the moves of the player to move, before and after; they differ, and
            there is one in both.
    """

    games: Games
    squares: np.ndarray
    legal: np.ndarray
    legal_edited: np.ndarray

    def __len__(self) -> int:
        return len(self.games)


def edited_boards(
    games: Games, n: int, *, squares: int = 1, seed: int, earliest: int = 4, latest: int | None = None
) -> EditedBoards:
    """Cut games at random moves and turn random discs there.

    Args:
        games: finished games to start from.
        n: how many.
        squares: how many discs to turn.
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
    """Wrong moves among the k likeliest and legal ones not among them, int64 `[game]`; k is the number of legal moves.

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


def edit_effect(
    checkpoint: Checkpoint,
    boards: EditedBoards,
    probes: Probes,
    *,
    language: int,
    sources: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
    onward: bool = True,
    scale: float = 1.0,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Turn discs through probes in runs of one language, and compare the predicted moves with the edited board's.

    The probe of the run's own language goes its own way. A probe of another language gives the direction alone: the
    step is as long as the own probe would make it there; so is that of the control, a random direction.

    Args:
        probes: fitted on other games.
        language: in which the games are read.
        sources: languages whose probes edit, all that have one by default.
        layers: where the edit begins, all layers of the probes by default.
        onward: edit at that layer and all later ones, as Li et al. do; else at that layer alone.
        scale: of the own probe's step, see `BoardEdit`.
        resamples, seed: of the bootstrap over games; the seed also of the random directions.

    Returns:
        One row per layer and edit, each at the last token of the last move. Columns:
        layer, hook: where the edit begins; onward; language; kind, frame: of the probes; squares: how many are turned;
        edit: "own", "other" or "random"; source: the language of the probe (-1 for random);
        errors, low, high: wrong and missed moves per game against the edited board, with its 95% interval over games;
        null, null_low, null_high: the same without an edit;
        unedited: errors without an edit against the true board, what the model does wrong anyway;
        mass, null_mass: probability of the edited board's legal moves, with and without the edit;
        length: mean length of the first layer's step, as a share of the row's; games.

    Raises:
        NoEffectError: for an edit that changes nothing in any game.
        ValueError: for layers or languages without probes, and as `continuation_probabilities`.
    """
    sources = probes.languages if sources is None else sources
    weights = np.random.default_rng(seed).multinomial(len(boards), np.full(len(boards), 1 / len(boards)), resamples)
    plain = continuation_probabilities(checkpoint, boards.games, language)
    null = legal_errors(plain, boards.legal_edited)
    facts: dict[str, Any] = {"onward": onward, "language": language, "kind": probes.kind, "frame": probes.frame}
    facts["squares"] = int(boards.squares.sum(axis=1).max())
    rows = []
    for layer in probes.layers if layers is None else layers:
        if layer not in probes.layers:
            raise ValueError(f"layer {layer}: these probes were fitted at layers {list(probes.layers)}")
        where = [item for item in all_layers(checkpoint) if item >= layer] if onward else [layer]
        where = [item for item in where if item in probes.layers]
        own = FlipSquares(probes, scale=scale, squares=boards.squares, layer=where, moves="last")
        edits: dict[tuple[str, int], Intervention] = {("random", -1): random_like(own, seed=seed)}
        for source in sources:
            edits["own" if source == language else "other", source] = (
                own if source == language else along(replace(own, source=source), own)
            )
        for (name, source), edit in edits.items():
            probabilities, length = _probabilities(checkpoint, edit, boards.games, language)
            row: dict[str, Any] = {"layer": layer, "hook": hook_name(layer), **facts, "edit": name, "source": source}
            row |= _interval("", legal_errors(probabilities, boards.legal_edited), weights)
            row |= _interval("null_", null, weights)
            row["unedited"] = legal_errors(plain, boards.legal).mean()
            row["mass"] = float((probabilities * boards.legal_edited).sum(axis=1).mean(dtype=float))
            row["null_mass"] = float((plain * boards.legal_edited).sum(axis=1).mean(dtype=float))
            rows.append({**row, "length": length, "games": len(boards)})
    return pd.DataFrame(rows)


def _probabilities(checkpoint: Checkpoint, edit: Intervention, games: Games, language: int) -> tuple[np.ndarray, float]:
    """Probabilities of the next squares under an edit, `[game square]`, and the mean relative length of its first step."""
    lengths: list[torch.Tensor] = []

    def watched(rows: torch.Tensor, context: Context) -> torch.Tensor:
        after = edit.apply(rows.clone(), context)
        if context.layer == edit.layers[0]:
            lengths.append((after - rows).norm(dim=1) / rows.norm(dim=1))
        return after

    watch = Apply(watched, layer=edit.layer, moves=edit.moves)

    def run(tokens: torch.Tensor, game: np.ndarray) -> torch.Tensor:
        # the games of one batch may all be read as wanted already, so what counts is all of them together
        with edited(checkpoint, [watch], games, language, rows=game, allow_no_effect=True) as model:
            logits: torch.Tensor = model(tokens)
        return logits

    probabilities = continuation_probabilities(checkpoint, games, language, run=run)
    length = float(torch.cat(lengths).mean())
    if length == 0:
        raise NoEffectError(f"{edit} changed nothing in {len(games)} games: the probe reads the edited boards already")
    return probabilities, length


def _interval(prefix: str, values: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """The mean and its 95% bootstrap interval over games."""
    low, high = np.quantile(weights @ values / len(values), [0.025, 0.975])
    return {prefix.rstrip("_") or "errors": values.mean(), f"{prefix}low": low, f"{prefix}high": high}

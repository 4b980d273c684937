"""Views recorded from Python, for the page's own code to show again: every language, layer and kind of edit."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mothello_interp.explorer import Edit, Flip, Patch, Reader, State, View, view
from mothello_interp.othello import SYMMETRIES, Games, random_games, replay, square_name


def recorded(reader: Reader, *, positions: int, seed: int) -> list[View]:
    """Views of games that are full, end early and contain passes, at random positions with random choices and edits."""
    rng = np.random.default_rng(seed)
    games = _telling_games(reader.checkpoint.spec.board)
    starts = [State.opening(reader.checkpoint, games[game : game + 1]) for game in (0, 1)]
    ends = [state.at(move) for state in starts for move in (0, 1, 2)]
    ends += [state.at(99) for state in ends[::3]] + [state.at(99).at(len(state.moves) - 1) for state in ends[::3]]
    return [view(state, reader) for state in (*ends, *_some(reader, games, positions, rng))]


def _some(reader: Reader, games: Games, positions: int, rng: np.random.Generator) -> Iterator[State]:
    """Every language and layer in turn, with edits in three of four."""
    checkpoint = reader.checkpoint
    inputs, layers = checkpoint.mothello.inputs, range(-1, checkpoint.spec.model.n_layers)
    for place in range(positions):
        game = games[int(rng.integers(len(games))) :][:1]
        move, language = int(rng.integers(1, games.lengths.min())), inputs[place % len(inputs)]
        layer = layers[place // len(inputs) % len(layers)]
        state = State(checkpoint, game, move=move, language=language, layer=layer)
        second = int(rng.choice([other for other in inputs if other != language]))
        state = replace(state, probe=second, symmetry=str(rng.choice([*SYMMETRIES])), head=place % 2)
        edits: list[Edit] = [
            Flip(_disc(state, rng), layer, onward=place % 3 > 0),
            Patch(int(rng.choice(layers)), int(rng.integers(0, move)), second),
            Flip(_disc(state, rng), int(rng.choice(layers))),
        ]
        yield replace(state, second=second if place % 2 else None, edits=tuple(edits[: place % 4]))


def _disc(state: State, rng: np.random.Generator) -> str:
    """A square that may be flipped; one in eight is empty."""
    discs = replay(state.shown).state[0, state.move - 1]
    among = np.flatnonzero(discs) if rng.integers(8) else np.flatnonzero(discs == 0)
    return square_name(int(rng.choice(among)), state.board)


def _telling_games(board: int) -> Games:
    """Four games: one that ends early, one with a pass, and two as they come."""
    games = random_games(2_000, board=board, seed=5)
    mover = replay(games).mover
    passes = (mover[:, 1:] == mover[:, :-1]) & (mover[:, 1:] != 0)
    early = games.lengths < board**2 - 4
    chosen = [int(np.flatnonzero(kind)[0]) for kind in (early, passes.any(axis=1) & ~early)]
    return games[np.array([*chosen, 0, 1])]

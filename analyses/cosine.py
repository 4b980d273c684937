"""Do two languages put the same position in the same place? Cosine distances along one game

One game, written in both languages: the cosine distance between the state after each move in one language (rows) and after
each move in the other (columns), layer by layer, from 0 (same direction) to 1 (unrelated; above 1: opposed). Upper row of a
regime: the states as they are, as in the authors' code. Lower row: less the mean state of that language at that move number.
A dark diagonal in the lower row means that the languages meet move by move, in this game.

What could fool it: position embeddings and a mean that all states share make any two states look alike, and the diagonal
with them (the lower rows take both away); one game, of one seed, may be special (summary: mean over games and all seeds on
the diagonal, with the least and the most of any seed, beside the same move of another game).
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Activations, Checkpoint
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import add_heatmap, layer_name, panel_grid

_KINDS = {"as it is": False, "less the mean": True}


def measure(checkpoint: Checkpoint, *, games: int = 400) -> pd.DataFrame:
    """Of the first two input languages: distances along the first game ("game"), and their means over games ("games")."""
    from mothello_interp.activations import collect

    languages = checkpoint.mothello.inputs[:2]
    played = random_games(2 * games, board=checkpoint.spec.board, seed=81)
    rows = collect(checkpoint, played[played.lengths == played.moves.shape[1]][:games], languages=languages)
    tables = []
    for layer in rows.layers:
        states = [_by_game(rows, language, layer) for language in languages]
        for kind, centred in _KINDS.items():
            source, target = (_unit(state - state.mean(axis=0) * centred) for state in states)
            tables.append(_along(source[0], target[0]).assign(part="game", layer=layer, kind=kind))
            tables.append(_over_games(source, target).assign(part="games", layer=layer, kind=kind))
    return pd.concat(tables, ignore_index=True)


def _kept(checkpoint: Checkpoint) -> pd.DataFrame:
    """What is stored of other seeds: the means alone, since the one game is drawn of the first."""
    return measure(checkpoint).query("part == 'games'").dropna(axis="columns")


def _by_game(rows: Activations, language: int, layer: int) -> np.ndarray:
    """States `[game move d_model]`; every game has the same moves."""
    values = rows.at(language, layer).numpy()
    return values.reshape(len(rows.games), -1, values.shape[1])


def _unit(states: np.ndarray) -> np.ndarray:
    """Of length 1."""
    return states / np.linalg.norm(states, axis=-1, keepdims=True)


def _along(source: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    """Distances of every move of one game in a language to every move in the other."""
    distance = 1 - source @ target.T
    move, other_move = np.indices(distance.shape)
    return pd.DataFrame({"move": move.ravel(), "other_move": other_move.ravel(), "distance": distance.ravel()})


def _over_games(source: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    """Mean distance at the same move: of the same game, and of the next game; 95% bootstrap intervals over games."""
    from mothello_interp.stats import Bootstrap

    bootstrap, row = Bootstrap(len(source)), dict[str, Any]()
    for name, prefix, other in (("distance", "", target), ("floor", "floor_", np.roll(target, 1, axis=0))):
        distance = 1 - (source * other).sum(axis=-1).mean(axis=1)
        low, high = bootstrap.interval(distance)
        row |= {name: distance.mean(), f"{prefix}low": low, f"{prefix}high": high}
    return pd.DataFrame([{**row, "games": len(source)}])


def figure(table: pd.DataFrame) -> go.Figure:
    """Two rows a regime, a column a layer."""
    layers = sorted(table["layer"].unique())
    places = [(regime, kind) for regime in dict.fromkeys(table["regime"]) for kind in _KINDS]
    names = [f"layer {layer_name(layer)}" for layer in layers]
    labels = [f"{LABELS[regime].split(' (')[0]}<br>{kind}" for regime, kind in places]
    titles = [names, *[[""] * len(layers)] * (len(places) - 1)]
    drawing = panel_grid(titles, x="move, in the other language", y=labels)
    first = lowest_seed(where(table, part="game"))
    for row, (regime, kind) in enumerate(places, 1):
        for column, layer in enumerate(layers, 1):
            cells = where(first, regime=regime, kind=kind, layer=layer)
            add_heatmap(drawing, cells, x="other_move", y="move", z="distance", limits=(0, 1.2), row=row, column=column,
                        text=False, diverging=False, title=names[column - 1])  # fmt: skip
    drawing.update_yaxes(autorange="reversed", showgrid=False)
    return drawing.update_xaxes(showgrid=False).update_layout(height=190 * len(labels) + 120)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over games and seeds at the same move, by layer, with the least and the most of any seed, beside the same move of
    another game."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        same = group["distance"]
        found = {"seeds": group["seed"].nunique(), "same game": same.mean(), "least": same.min(), "most": same.max()}
        return {**found, "another game": group["floor"].mean()}

    found = summary(where(table, part="games"), ["regime", "kind", "layer"], row)
    return found.rename(columns={"kind": "states"})

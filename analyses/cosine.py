"""Cosine distances of two languages along one game, and on the mean over games."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Activations, Checkpoint
from analyses._tables import lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import add_heatmap, layer_name, panel_grid

_LAYER = 1  # that is drawn
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
    """A panel a regime: distances along one game at one layer, less the mean of each language and move."""
    first = lowest_seed(where(table, part="game", kind="less the mean", layer=_LAYER))
    regimes = list(dict.fromkeys(first["regime"]))
    drawing = panel_grid(
        [[LABELS[regime] for regime in regimes]], x="move, in the second language", y="move, in the first"
    )
    for column, regime in enumerate(regimes, 1):
        add_heatmap(drawing, where(first, regime=regime), x="other_move", y="move", z="distance", limits=(0, 1.2), column=column,
                    text=False, diverging=False, title=regime)  # fmt: skip
    drawing.update_yaxes(autorange="reversed", showgrid=False).update_xaxes(showgrid=False)
    return drawing.update_layout(height=430)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By regime, kind of states and layer: mean distance at the same move of the same game over games and seeds, its lowest and
    highest seed, and that of mismatched games."""

    def row(group: pd.DataFrame) -> dict[str, Any]:
        same = group["distance"]
        found = {"same game": same.mean(), "lowest seed": same.min(), "highest seed": same.max()}
        return {**found, "mismatched games": group["floor"].mean(), "seeds": group["seed"].nunique()}

    found = summary(where(table, part="games"), ["regime", "kind", "layer"], row)
    return found.rename(columns={"kind": "states"}).assign(layer=found["layer"].map(layer_name))

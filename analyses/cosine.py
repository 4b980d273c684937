"""Do two languages put the same position in the same place? Cosine distances along one game

One game, written in both languages: the cosine distance between the state after each move in one language (rows) and after
each move in the other (columns), layer by layer, from 0 (same direction) to 1 (unrelated; above 1: opposed). Upper row of a
regime: the states as they are, as in the authors' code. Lower row: less the mean state of that language at that move number.
A dark diagonal in the lower row means that the languages meet move by move, in this game.

What could fool it: position embeddings and a mean that all states share make any two states look alike, and the diagonal
with them (the lower rows take both away); one game, of one seed, may be special (summary: mean over games and all seeds on
the diagonal, with the least and the most of any seed, beside the same move of another game).
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.activations import Activations, collect
from mothello_interp.othello import Games
from mothello_interp.plots import add_heatmap, layer_name, panel_grid

_GAMES, _RESAMPLES = 400, 1000
_KINDS = {"as it is": False, "less the mean": True}


def measure(checkpoint: Checkpoint) -> pd.DataFrame:
    """Of the first two input languages: distances along the first game ("game"), and their means over games ("games")."""
    languages = checkpoint.mothello.inputs[:2]
    rows = collect(checkpoint, _full_games(checkpoint.spec.board), languages=languages)
    tables = []
    for layer in rows.layers:
        states = [_by_game(rows, language, layer) for language in languages]
        for kind, centred in _KINDS.items():
            one, other = (_unit(state - state.mean(axis=0) * centred) for state in states)
            tables.append(_along(one[0], other[0]).assign(part="game", layer=layer, kind=kind))
            tables.append(_over_games(one, other).assign(part="games", layer=layer, kind=kind))
    return pd.concat(tables, ignore_index=True)


def _kept(checkpoint: Checkpoint) -> pd.DataFrame:
    """What is stored of other seeds: the means alone, since the one game is drawn of the first."""
    return measure(checkpoint).query("part == 'games'").dropna(axis="columns")


def _full_games(board: int) -> Games:
    """Games that fill the board."""
    games = random_games(2 * _GAMES, board=board, seed=81)
    return games[games.lengths == games.moves.shape[1]][:_GAMES]


def _by_game(rows: Activations, language: int, layer: int) -> np.ndarray:
    """States `[game move d_model]`; every game has the same moves."""
    values = rows.at(language, layer).numpy()
    return values.reshape(len(rows.games), -1, values.shape[1])


def _unit(states: np.ndarray) -> np.ndarray:
    """Of length 1."""
    return states / np.linalg.norm(states, axis=-1, keepdims=True)


def _along(one: np.ndarray, other: np.ndarray) -> pd.DataFrame:
    """Distances of every move of one game in a language to every move in the other."""
    distance = 1 - one @ other.T
    move, other_move = np.indices(distance.shape)
    return pd.DataFrame({"move": move.ravel(), "other_move": other_move.ravel(), "distance": distance.ravel()})


def _over_games(one: np.ndarray, other: np.ndarray) -> pd.DataFrame:
    """Mean distance at the same move: of the same game, and of the next game; 95% bootstrap intervals over games."""
    same = 1 - (one * other).sum(axis=-1).mean(axis=1)
    next_game = 1 - (one * np.roll(other, 1, axis=0)).sum(axis=-1).mean(axis=1)
    weights = np.random.default_rng(0).multinomial(len(same), np.full(len(same), 1 / len(same)), _RESAMPLES) / len(same)
    row: dict[str, float] = {}
    for name, values in (("distance", same), ("null", next_game)):
        low, high = np.quantile(weights @ values, [0.025, 0.975])
        prefix = "" if name == "distance" else "null_"
        row |= {name: values.mean(), f"{prefix}low": low, f"{prefix}high": high}
    return pd.DataFrame([{**row, "games": len(same)}])


def compute(zoo: Zoo = BUNDLED) -> pd.DataFrame:
    """The measure over the bundled models."""
    return over_models("cosine", measure, zoo=zoo)


def figure(table: pd.DataFrame) -> go.Figure:
    """Two rows a regime, a column a layer."""
    regimes, layers = list(dict.fromkeys(table["regime"])), sorted(table["layer"].unique())
    titles = [[f"layer {layer_name(layer)}" for layer in layers]]
    titles += [[""] * len(layers)] * (len(regimes) * len(_KINDS) - 1)
    labels = [f"{LABELS[regime].split(' (')[0]}<br>{kind}" for regime in regimes for kind in _KINDS]
    drawing = panel_grid(titles, x="move, in the other language", y=labels)
    first = table[table["part"] == "game"]
    first = first[first["seed"] == first["seed"].min()]
    for row, (regime, kind) in enumerate(((regime, kind) for regime in regimes for kind in _KINDS), 1):
        for column, layer in enumerate(layers, 1):
            cells = first[(first["regime"] == regime) & (first["kind"] == kind) & (first["layer"] == layer)]
            add_heatmap(drawing, cells, x="other_move", y="move", z="distance", limits=(0, 1.2), row=row, column=column,
                        text=False, diverging=False, title=f"layer {layer_name(layer)}")  # fmt: skip
    drawing.update_yaxes(autorange="reversed", showgrid=False)
    return drawing.update_xaxes(showgrid=False).update_layout(height=190 * len(labels) + 120)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over games and seeds at the same move, by layer, with the least and the most of any seed, beside the same move of
    another game."""
    means = table[table["part"] == "games"]
    rows = []
    for (regime, kind, layer), group in means.groupby(["regime", "kind", "layer"], sort=False):
        row = {"regime": LABELS[str(regime)], "states": kind, "layer": layer}
        same = group["distance"]
        row |= {"seeds": group["seed"].nunique(), "same game": same.mean(), "least": same.min(), "most": same.max()}
        rows.append({**row, "another game": group["null"].mean()})
    return pd.DataFrame(rows)

"""Do the findings hold in games that people play? Championship games against random ones, by move number

The models learned from random legal moves; here they read games of the World Othello Federation's players (WTHOR, the
French Othello Federation: `--wthor FOLDER` with its `.wtb` files). Left: the share of greedy next moves that are not
legal. Middle: how well a probe reads the board at home (solid) and in the other language (dashed), a probe fitted on
random games; dots: the same predictions against other games' boards of the same kind at that move, the floor. Right:
how far from floor to ceiling the other language comes, with the probe fitted on random or on championship games.
Both directions between the two languages are averaged.

What could fool it: championship games share their openings, so early boards can be read without looking (the floor, which
rises there; where it leaves less than 0.1 nothing is normalised), and a game of the scored half that stands in the fitted half
(games met twice are dropped first); few games late (most end at move 60); a probe that knows only random boards (the
other fitted kind).
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, NoInput, Zoo, over_models
from mothello_interp import Checkpoint, random_games
from mothello_interp.alignment import align, align_by_move, best_layer
from mothello_interp.legality import legal_accuracy
from mothello_interp.othello import Games, read_wthor
from mothello_interp.plots import add_curve, panel_grid
from mothello_interp.probes import fit_probes
from mothello_interp.stats import normalised

_GAMES = 1200  # of each kind to score on, and as many to fit on
_CHOOSE = 200
_COLUMNS = [
    "play",
    "fitted",
    "source",
    "target",
    "move",
    "top1",
    "legal_mass",
    "guess",
    "prefixes",
    "layer",
    "accuracy",
]
_COLUMNS += ["floor", "ceiling", "games"]
_PLAY = {"championship": "#D55E00", "random": "#0072B2"}


def measure(checkpoint: Checkpoint, wthor: Path | None = None) -> pd.DataFrame:
    """Legality, probe accuracy and alignment by move number on both kinds of games, each fitted on both kinds.

    Raises:
        NoInput: without a folder, or for one without `.wtb` files.
        ValueError: for a model of another board than 8x8.
        IllegalGame: as `mothello_interp.othello.read_wthor`.
    """
    if wthor is None:
        raise NoInput("realgames measures real games: name the folder of their .wtb files with --wthor")
    if checkpoint.spec.board != 8:
        raise ValueError(f"the model plays {checkpoint.spec.board}x{checkpoint.spec.board}; real games need 8x8")
    real = _real_games(wthor)
    real = real[np.random.default_rng(121).permutation(len(real))]
    n = min(_GAMES, len(real) // 2)
    fit = {"championship": real[:n], "random": random_games(n, board=8, seed=122)}
    score = {"championship": real[n : 2 * n], "random": random_games(n, board=8, seed=123)}
    languages = checkpoint.mothello.inputs[:2]
    probes = {play: fit_probes(checkpoint, games, languages=languages, seed=0) for play, games in fit.items()}
    own = align(probes["random"], checkpoint, random_games(_CHOOSE, board=8, seed=124), resamples=1)
    layer = best_layer(own, languages[0])
    tables = []
    for play, games in score.items():
        legality = legal_accuracy(checkpoint, games, languages=languages)
        tables.append(legality.assign(play=play, source=legality["language"], target=legality["language"]))
        for fitted, found in probes.items():
            table = align_by_move(found, checkpoint, games, layer=layer)
            table = table[table["symmetry"] == "identity"]
            tables.append(table.assign(play=play, fitted=fitted, layer=layer))
    return pd.concat(tables, ignore_index=True)[_COLUMNS]


def compute(zoo: Zoo = BUNDLED, wthor: Path | None = None) -> pd.DataFrame:
    """The 8x8 models on the games in this folder; without one, the stored rows."""
    zoo = replace(zoo, scale="midi") if zoo.scale == "mini" else zoo  # the smallest that play on 8x8
    if wthor is None:
        return over_models("realgames", measure, zoo=replace(zoo, runs=None), compute=False)
    return over_models("realgames", partial(measure, wthor=wthor), zoo=zoo, inputs=_files(wthor))


def figure(table: pd.DataFrame) -> go.Figure:
    """A row of three panels a regime: illegal moves; probe accuracy at home and abroad; share of the way to the ceiling."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [
        ["share of illegal next moves", f"{LABELS[regime]}: probe accuracy", "alignment (0 floor, 1 ceiling)"]
        for regime in regimes
    ]
    drawing = panel_grid(titles, x="move (from 0)", y="", shared=False)
    for row, regime in enumerate(regimes, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == table["seed"].min())]
        for play, colour in _PLAY.items():
            curve: dict[str, Any] = {"x": "move", "colour": colour, "row": row}
            kind = here[here["play"] == play]
            legality = _means(kind[kind["fitted"].isna()], ["top1", "guess", "prefixes"])
            legality = legality.assign(illegal=1 - legality["top1"])
            add_curve(drawing, legality, y="illegal", name=play, legend=row == 1, hover=["prefixes"], **curve)
            read = _means(_abroad(kind[kind["fitted"] == "random"]), ["accuracy", "floor", "ceiling", "games"])
            for y, dash in (("ceiling", "solid"), ("accuracy", "dash"), ("floor", "dot")):
                add_curve(
                    drawing, read, y=y, name=play, dash=dash, width=2, column=2, legend=False, hover=["games"], **curve
                )
            for fitted, dash in (("random", "solid"), ("championship", "dash")):
                way = _means(_abroad(kind[kind["fitted"] == fitted]), ["accuracy", "floor", "ceiling", "games"])
                way = way.assign(normalised=normalised(*way[["accuracy", "floor", "ceiling"]].to_numpy().T))
                add_curve(drawing, way, y="normalised", name=f"{play}, fitted on {fitted}", dash=dash, width=2, column=3,
                          legend=row == 1, hover=["games"], **curve)  # fmt: skip
        drawing.update_yaxes(range=[-0.05, 1.1], row=row, col=3)
    return drawing


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Over all moves, by what is played and what the probes are fitted on: legal top-1, probe accuracy, alignment."""
    rows = []
    for keys, kind in table.groupby(["regime", "seed", "play"], sort=False):
        regime, seed, play = map(str, keys)
        legality = kind[kind["fitted"].isna()]
        top1 = np.average(legality["top1"], weights=legality["prefixes"])
        for fitted, read in _abroad(kind).groupby("fitted", sort=False):
            total = {y: np.average(read[y], weights=read["games"]) for y in ("ceiling", "accuracy", "floor")}
            rows.append({"regime": LABELS[regime], "seed": seed, "play": play, "fitted": fitted, "top1": top1, **total})
    found = pd.DataFrame(rows)
    return found.assign(normalised=normalised(*found[["accuracy", "floor", "ceiling"]].to_numpy().T))


def _real_games(wthor: Path) -> Games:
    """Every different game of the files, in the order of their names."""
    moves = np.concatenate([read_wthor(file).moves for file in _files(wthor)])
    _, first = np.unique(moves, axis=0, return_index=True)
    return Games(moves[np.sort(first)], 8)


def _files(wthor: Path) -> list[Path]:
    """The `.wtb` files of a folder, by name."""
    files = sorted(path for path in wthor.glob("*") if path.suffix.lower() == ".wtb")
    if not files:
        raise NoInput(f"{wthor} holds no .wtb file: give the folder of the WTHOR database's years")
    return files


def _abroad(table: pd.DataFrame) -> pd.DataFrame:
    """What a probe reads in the other language."""
    return table[table["fitted"].notna() & (table["source"] != table["target"])]


def _means(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """By move, over languages or directions."""
    return table.groupby("move", as_index=False)[columns].mean()

"""Championship games against random ones: legality, probe accuracy and alignment by move number."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import BUNDLED, LABELS, Checkpoint, NoInput, Zoo, over_models
from analyses._tables import cross, lowest_seed, summary, where
from mothello_interp.othello import Games, random_games, read_wthor
from mothello_interp.plots import Line, add_lines, panel_grid
from mothello_interp.stats import normalised

_COLUMNS = ["play", "fitted", "source", "target", "move", "top1", "legal_mass", "chance", "prefixes", "layer", "accuracy",
            "floor", "ceiling", "games"]  # fmt: skip
_PLAY = {"championship": "#D55E00", "random": "#0072B2"}
_TITLES = "share of illegal moves", "{}: probe accuracy", "normalised alignment"


def measure(checkpoint: Checkpoint, wthor: Path | None = None, *, games: int = 1200, choose: int = 200) -> pd.DataFrame:
    """Legality, probe accuracy and alignment by move number on both kinds of games, each fitted on both kinds; of each kind so
    many games to score on, and as many to fit on.

    Raises:
        NoInput: without a folder, or for one without `.wtb` files.
        ValueError: for a model of another board than 8x8.
        IllegalGame: as `mothello_interp.othello.read_wthor`.
    """
    from mothello_interp.alignment import align, align_by_move, best_layer
    from mothello_interp.legality import legal_accuracy
    from mothello_interp.probes import fit_probes

    if wthor is None:
        raise NoInput("realgames measures real games: name the folder of their .wtb files with --wthor")
    if checkpoint.spec.board != 8:
        raise ValueError(f"the model plays {checkpoint.spec.board}x{checkpoint.spec.board}; real games need 8x8")
    fit, score = _games(wthor, games)
    languages = checkpoint.mothello.inputs[:2]
    probes = {play: fit_probes(checkpoint, played, languages=languages, seed=0) for play, played in fit.items()}
    own = align(probes["random"], checkpoint, random_games(choose, board=8, seed=124), resamples=1)
    layer = best_layer(own, languages[0])
    tables = []
    for play, played in score.items():
        legality = legal_accuracy(checkpoint.readings(played, languages))
        tables.append(legality.assign(play=play, source=legality["language"], target=legality["language"]))
        for fitted, found in probes.items():
            table = where(align_by_move(found, checkpoint, played, layer=layer), symmetry="identity")
            tables.append(table.assign(play=play, fitted=fitted, layer=layer))
    return pd.concat(tables, ignore_index=True)[_COLUMNS]


def _games(wthor: Path, n: int) -> tuple[dict[str, Games], dict[str, Games]]:
    """Of each kind, games to fit on and as many others to score on."""
    real = _real_games(wthor)
    real = real[np.random.default_rng(121).permutation(len(real))]
    n = min(n, len(real) // 2)
    fit = {"championship": real[:n], "random": random_games(n, board=8, seed=122)}
    return fit, {"championship": real[n : 2 * n], "random": random_games(n, board=8, seed=123)}


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


def compute(zoo: Zoo = BUNDLED, wthor: Path | None = None) -> pd.DataFrame:
    """The 8x8 models on the games in this folder; without one, the stored rows."""
    zoo = replace(zoo, scale="midi") if zoo.scale == "mini" else zoo  # the smallest that play on 8x8
    if wthor is None:
        return over_models("realgames", measure, zoo=replace(zoo, runs=None), stored=True)
    return over_models("realgames", partial(measure, wthor=wthor), zoo=zoo, inputs=_files(wthor))


def figure(table: pd.DataFrame) -> go.Figure:
    """A row of three panels a regime: illegal moves; probe accuracy in-language and cross-lingual; normalised alignment."""
    regimes = list(dict.fromkeys(table["regime"]))
    titles = [[title.format(LABELS[regime]) for title in _TITLES] for regime in regimes]
    drawing = panel_grid(titles, x="move (from 0)", y="", shared=False)
    for row, (_, here) in enumerate(lowest_seed(table).groupby("regime", sort=False), 1):
        legality = _means(here[here["fitted"].isna()], ["play"], ["top1", "prefixes"])
        read = _means(
            cross(here.dropna(subset="fitted")), ["play", "fitted"], ["accuracy", "floor", "ceiling", "games"]
        )
        read["normalised"] = normalised(read["accuracy"], read["floor"], read["ceiling"])
        panels = legality.assign(illegal=1 - legality["top1"]), read, read
        for column, (points, lines) in enumerate(zip(panels, _lines(), strict=True), 1):
            add_lines(drawing, points, lines, x="move", row=row, column=column)
        drawing.update_yaxes(range=[-0.05, 1.1], row=row, col=3)
    return drawing


def _means(table: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    """By move, over languages or directions."""
    return table.groupby([*by, "move"], as_index=False)[columns].mean()


def _lines() -> list[list[Line]]:
    """Of the three panels of a regime."""
    hover: dict[str, Any] = {"width": 2, "hover": ["games"]}
    illegal = [Line("illegal", play, colour, {"play": play}, hover=["prefixes"]) for play, colour in _PLAY.items()]
    read = [
        Line(y, play, colour, {"play": play, "fitted": "random"}, dash=dash, **hover)
        for play, colour in _PLAY.items()
        for y, dash in (("ceiling", "solid"), ("accuracy", "dash"), ("floor", "dot"))
    ]
    way = [
        Line("normalised", f"{play}, fitted on {fitted}", colour, {"play": play, "fitted": fitted}, dash=dash, **hover)
        for play, colour in _PLAY.items()
        for fitted, dash in (("random", "solid"), ("championship", "dash"))
    ]
    return [illegal, read, way]


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Over all moves, by what is played and what the probes are fitted on: top-1 legal, probe accuracy, normalised alignment."""
    models = ["regime", "play"]

    def weighted(group: pd.DataFrame, columns: list[str], weights: str) -> dict[str, Any]:
        return {name: np.average(group[name], weights=group[weights]) for name in columns}

    legal = summary(table[table["fitted"].isna()], models, lambda group: weighted(group, ["top1"], "prefixes"))
    read = cross(table.dropna(subset="fitted"))
    names = ["ceiling", "accuracy", "floor"]
    found = summary(read, [*models, "fitted"], lambda group: weighted(group, names, "games")).merge(legal, on=models)
    found = found.assign(normalised=normalised(found["accuracy"], found["floor"], found["ceiling"]))
    return found.rename(columns={"fitted": "probe fitted on", "top1": "top-1 legal"})

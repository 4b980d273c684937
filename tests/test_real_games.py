"""What takes random games takes real ones: those that end before the board is full, and those that were broken off."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mothello_interp.activations import Activations, collect
from mothello_interp.alignment import align
from mothello_interp.comparison import compare
from mothello_interp.legality import legal_accuracy, summary
from mothello_interp.models import Checkpoint, ModelSpec, build_model
from mothello_interp.othello import Games, random_games, read_wthor, replay
from mothello_interp.probes import fit_probes_on
from tests.conftest import scramble
from tests.othello.wthor import write_wthor

SPEC = {
    "world": {"board": 8, "languages": ["atomic", "atomic"], "anchors": ["c1"]},
    "model": {"n_layers": 1, "d_model": 8, "n_heads": 2},
}


@cache
def model() -> Checkpoint:
    """A small random model of two languages on a real board."""
    spec = ModelSpec.read(SPEC, "here")
    built = build_model(spec, seed=0).eval()
    scramble(built)
    return Checkpoint(built, spec, {"seed": 0}, "real")


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Games:
    """A file of 80 games that end as they should and 40 that were broken off, after 0, 1, 2, ... moves."""
    whole = random_games(80, board=8, seed=5)
    broken = np.where(np.arange(60) < np.arange(40)[:, None], whole.moves[:40], -1)
    written = Games(np.concatenate([whole.moves, broken]), 8)
    assert (whole.lengths < 60).any()
    path: Path = write_wthor(tmp_path_factory.mktemp("real") / "a.wtb", written)
    return read_wthor(path)


@pytest.fixture(scope="module")
def rows(games: Games) -> Activations:
    return collect(model(), games)


def test_a_row_for_every_move_but_the_sixtieth(games: Games, rows: Activations) -> None:
    assert len(rows.game) == np.minimum(games.lengths, 59).sum()
    to_move = replay(games).mover[rows.game, rows.move + 1]
    kept, _ = rows.labels("relative")
    assert np.array_equal(kept, np.flatnonzero(to_move))
    last = rows.move == games.lengths[rows.game] - 1
    assert to_move[last & (rows.game >= 80)].all(), "who breaks off leaves somebody to move"
    assert not to_move[last & (rows.game < 80)].any()


def test_probes_and_alignment(games: Games, rows: Activations) -> None:
    probes = fit_probes_on(rows, kind="linear", frame="relative", epochs=1, batch=256, seed=0)
    probes = replace(probes, games=None)  # the form of the table is looked at, not what it says
    table = align(probes, model(), games, resamples=20)
    assert table[["accuracy", "low", "high", "floor", "ceiling", "majority"]].notna().all(axis=None)
    assert (table["games"] == len(games)).all()


def test_legality_counts_proper_prefixes(games: Games) -> None:
    table = summary(legal_accuracy(model().readings(games[60:])))
    assert (table["prefixes"] == np.maximum(games[60:].lengths - 1, 0).sum()).all()
    assert table["top1"].between(0, 1).all()


def test_similarity_keeps_the_games_that_fill_the_board(games: Games, rows: Activations) -> None:
    table = compare(rows, 0, rows, 1, permutations=3)
    assert (table["games"] == (games.lengths == 60).sum()).all()
    assert np.isfinite(table.drop(columns=["hook", "measure"]).to_numpy(float)).all()
    with pytest.raises(ValueError, match="0 games that fill the board"):
        compare(few := collect(model(), games[80:]), 0, few, 1)

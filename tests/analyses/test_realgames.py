"""Games of championships, next to random ones."""

from pathlib import Path
from tempfile import TemporaryDirectory

from mothello_interp.othello import random_games
from tests.analyses.conftest import module_of, table_of
from tests.analyses.drawn import curve, equal, traces
from tests.othello.wthor import write_wthor


def test_real_games_meet_no_copy_of_themselves() -> None:
    """Sixty different games in two files that share twenty."""
    games = random_games(60, board=8, seed=9)
    with TemporaryDirectory() as folder:
        write_wthor(Path(folder) / "b.WTB", games[20:])
        write_wthor(Path(folder) / "a.wtb", games[:40])
        (Path(folder) / "WTHOR.JOU").write_bytes(b"")
        assert module_of("realgames")._real_games(Path(folder)) == games


def test_curves_of_real_games() -> None:
    """Illegal share; in-language, cross-lingual and floor of a probe of random games; normalised alignment with either probe."""
    table = table_of("realgames").query("regime == 'anchors' and seed == 0")
    drawing = module_of("realgames").figure(table)
    for play in ("championship", "random"):
        kind = table[table["play"] == play]
        legality = kind[kind["fitted"].isna()].groupby("move")["top1"].mean()
        (drawn,) = traces(drawing, play, panel=1)
        equal(drawn.y, 1 - legality)
        across = kind[kind["fitted"].notna() & (kind["source"] != kind["target"])].groupby(["fitted", "move"])
        means = across[["ceiling", "accuracy", "floor"]].mean()
        for drawn, column in zip(traces(drawing, play, panel=2), means, strict=True):
            equal(drawn.y, means[column].xs("random"))
        for fitted in ("random", "championship"):
            here = means.xs(fitted)
            room = here["ceiling"] - here["floor"]
            expected = ((here["accuracy"] - here["floor"]) / room).where(room >= 0.1)
            equal(curve(drawing, f"{play}, fitted on {fitted}", panel=3).y, expected)

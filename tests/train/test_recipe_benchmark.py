"""The benchmark of the recipe: whichever side stops where, both curves are told."""

import subprocess
import sys
from multiprocessing import Pipe

import pytest

from benchmarks import recipe

Curve = list[tuple[int, float, float]]
CASES: dict[str, tuple[Curve, Curve, list[str]]] = {
    "both there": (
        [(10, 60.0, 0.5), (20, 120.0, 0.96)],
        [(10, 90.0, 0.4), (20, 600.0, 0.95)],
        ["0.960", "0.950", "to 0.95: ours 2.0 CPU minutes, the paper's 5.0 x"],
    ),
    "the other side at its limit": (
        [(20, 60.0, 0.96)],
        [(20, 300.0, 0.8), (30, 660.0, 0.9), (40, 700.0, 0.96)],
        ["0.960", "11.0 min 0.900", "ours 1.0 CPU minutes, the paper's more than 11.0 x"],
    ),
    "ours ends before": (
        [(10, 60.0, 0.5), (20, 120.0, 0.94)],
        [(10, 90.0, 0.4)],
        ["2.0 min 0.940", "1.5 min 0.400", "to 0.95: ours did not get there: nothing to compare"],
    ),
    "ours ends at once": ([], [(10, 90.0, 0.4)], ["ours: ended", "0.400", "ours did not get there"]),
    "the other side ends at once": ([(10, 60.0, 0.96)], [], ["0.960", "the paper's: ended", "the other side ended"]),
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_happens(case: str) -> None:
    ours, paper, words = CASES[case]
    ends = {}
    for side, curve in (("ours", ours), ("the paper's", paper)):
        ends[side], other = Pipe(duplex=False)
        for point in curve:
            other.send(point)
        other.close()
    stopped: list[str] = []
    curves = recipe.race(ends, stopped.append)
    assert set(stopped) == {"ours", "the paper's"}
    lines = recipe.in_words(curves)
    assert len(lines) == len(words) == 3
    for line, word in zip(lines, words, strict=True):
        assert word in line


def test_it_is_named_where_benchmarks_are_chosen() -> None:
    told = subprocess.run([sys.executable, "-m", "benchmarks", "recipe"], capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "is run by: python -m benchmarks.recipe" in told.stderr

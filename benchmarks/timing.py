"""Timing two things in turn, so that a machine that slows down slows both."""

import statistics
import time
from collections.abc import Callable


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Median seconds of a call, after one that does not count."""
    work()
    return statistics.median(once(work) for _ in range(repeats))


def side_by_side(
    ours: Callable[[], object], other: Callable[[], object], repeats: int = 5
) -> tuple[float, float, float]:
    """Median seconds of both, and the median of the ratios other / ours, taken pair by pair."""
    ours(), other()
    pairs = [(once(ours), once(other)) for _ in range(repeats)]
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    return statistics.median(mine for mine, _ in pairs), statistics.median(theirs for _, theirs in pairs), ratio


def once(work: Callable[[], object]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began

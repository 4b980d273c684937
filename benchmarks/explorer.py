"""The explorer from a click to what is sent to the page, both languages shown, against what feels immediate.

Every click is at a position that the model has not read yet (in the new language, for a change of it). The probes are
fitted before. On a machine that is busy the processor's own time says more than the clock.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

from benchmarks.timing import once
from mothello_interp.explorer import Explorer
from mothello_interp.models import bundled_names
from mothello_interp.othello import square_name

LIMIT = 150  # milliseconds
_REPEATS = 8


def run() -> list[str]:
    """Lines to print."""
    lines = [f"milliseconds by the clock (of the processor), medians of {_REPEATS}; {LIMIT} allowed"]
    for name in bundled_names():
        explorer = Explorer(name, seed=1)
        first, second = explorer.checkpoint.mothello.inputs[-2:]
        fitting = once(partial(getattr, explorer, "probes"))
        took = {kind: _milliseconds(kind, explorer, first, second) for kind in _CLICKS}
        words = [f"{kind} {clock:.0f} ({processor:.0f})" for kind, (clock, processor) in took.items()]
        late = [kind for kind, (clock, _) in took.items() if clock > LIMIT]
        verdict = f"TOO SLOW: {', '.join(late)}" if late else "all within"
        lines.append(f"{name}: {', '.join(words)}: {verdict}; probes once, {fitting:.1f} s")
    return lines


def _milliseconds(kind: str, explorer: Explorer, first: int, second: int) -> tuple[float, float]:
    """Medians of a kind of click, each in a new game: by the clock, and of the processor."""
    clock, processor = [], []
    for _ in range(_REPEATS):
        explorer.second = None
        explorer.language, explorer.layer, explorer.edits = first, 1, ()
        explorer.second = second if first != second and kind != "language" else None
        explorer.new_game()
        click = _CLICKS[kind](explorer, second)
        began = time.process_time()
        clock.append(1000 * once(click))
        processor.append(1000 * (time.process_time() - began))
    return statistics.median(clock), statistics.median(processor)


def _play(explorer: Explorer, _: int) -> Callable[[], None]:
    legal = explorer.view["position"]["legal"]
    return partial(explorer.play, square_name(legal.index(True), explorer.games.board))


def _flip(explorer: Explorer, _: int) -> Callable[[], None]:
    discs = explorer.view["position"]["discs"]
    return partial(explorer.flip, square_name(next(i for i, disc in enumerate(discs) if disc), explorer.games.board))


_CLICKS: dict[str, Callable[[Explorer, int], Callable[[], None]]] = {
    "play": _play,
    "flip": _flip,
    "language": lambda explorer, second: partial(setattr, explorer, "language", second),
    "layer": lambda explorer, _: partial(setattr, explorer, "layer", 2),
    "patch": lambda explorer, second: partial(explorer.patch, explorer.move - 3, second),
}

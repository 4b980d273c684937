"""The paper's probes for one mini model: 1,000 games, 16 epochs, every layer, both languages."""

import time
from itertools import product

from mothello_interp import load, random_games
from mothello_interp.activations import collect
from mothello_interp.probes import fit_probes_on


def run() -> list[str]:
    """Lines to print."""
    checkpoint = load("mini/atomic-atomic-anchors4")
    began = time.perf_counter()
    rows = collect(checkpoint, random_games(1000, board=6, seed=0))
    lines = [
        f"activations of {rows.values.shape[2]:,} moves, 2 languages, 5 layers: {time.perf_counter() - began:.1f} s"
    ]
    for kind, frame in product(("linear", "mlp"), ("absolute", "relative")):
        began = time.perf_counter()
        fit_probes_on(rows, kind=kind, frame=frame, seed=0)  # type: ignore[arg-type]
        lines.append(f"{kind} probes, {frame} frame: {time.perf_counter() - began:.1f} s")
    return lines

"""Patching grids against one run a cell, predicted moves against one run a beginning, peak memory of recovery.

`python -m benchmarks.patching [grids] [moves] [memory] [--tiny]`: tiny ones only show that they work.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.timing import side_by_side
from mothello_interp import load, patch_grid, random_games, recovery
from mothello_interp.forward import HOOKS
from mothello_interp.models import Checkpoint, ModelSpec, build_model
from mothello_interp.pairs import minimal_pairs
from mothello_interp.reading import Reading


def run() -> list[str]:
    """Lines to print."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.patching",
        "memory",
    ]  # a process of its own, for a peak of its own
    memory = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [*grids(tiny=False), *moves(tiny=False), *memory]


def _random(tiny: bool, *languages: str) -> Checkpoint:
    """Random weights on an 8x8 board, 8 layers of 512, so large that predictions depend on the game."""
    sizes = {"n_layers": 3, "d_model": 32, "n_heads": 2} if tiny else {"n_layers": 8, "d_model": 512, "n_heads": 8}
    world, wide = {"board": 8, "languages": list(languages)}, {"initializer_range": 3 / sizes["d_model"] ** 0.5}
    spec = ModelSpec.read({"world": world, "model": sizes | wide}, "random")
    return Checkpoint(build_model(spec, seed=0).eval(), spec, {"seed": 0}, "random")


def _looped(model: Any, clean: torch.Tensor, corrupted: torch.Tensor, metric: Any, hook: str) -> torch.Tensor:
    """One run_with_hooks a cell."""
    grid = []
    with torch.inference_mode():
        _, states = model.run_with_cache(clean)
        for layer in range(model.cfg.n_layers):
            for position in range(clean.shape[1]):

                def put(activation: torch.Tensor, hook: Any, position: int = position) -> torch.Tensor:
                    activation[:, position] = states[hook.name][:, position]
                    return activation

                grid.append(metric(model.run_with_hooks(corrupted, fwd_hooks=[(f"blocks.{layer}.hook_{hook}", put)])))
    return torch.stack(grid).unflatten(0, (model.cfg.n_layers, -1))


def grids(*, tiny: bool) -> Iterator[str]:
    """patch_grid and a loop over its cells, at every hook."""
    for checkpoint, n in ((load("mini/atomic-atomic-anchors4"), 64), (_random(tiny, "atomic", "atomic"), 4)):
        games, changed = random_games(20_000, board=checkpoint.mothello.board, seed=1), 8 if tiny else 20
        pairs = minimal_pairs(games, 2 if tiny else n, seed=0, earliest=changed, latest=changed)
        length = int(pairs.clean.lengths.max())
        clean, corrupted = (checkpoint.tokens(games, 0)[:, :length] for games in (pairs.clean, pairs.corrupted))
        yield f"{checkpoint.name}: {len(pairs)} pairs of {length} moves, {checkpoint.model.cfg.n_layers} layers"
        for hook in HOOKS:
            given = checkpoint.model, clean, corrupted, lambda logits: logits[:, -1].log_softmax(-1)[:, 5].mean(), hook
            off = (patch_grid(*given) - _looped(*given)).abs().max()
            ours, loop, ratio = side_by_side(
                partial(patch_grid, *given), partial(_looped, *given), repeats=1 if tiny else 3
            )
            yield f"{hook}: {ours:.2f} s, loop {loop:.2f} s, {ratio:.1f}x; numbers differ by {off:.0e} at most"


def _one_by_one(reading: Reading) -> np.ndarray:
    """next_moves by one complete run for every prefix and every beginning of a move."""
    words, model = reading.checkpoint.mothello.move_tokens[reading.output], reading.checkpoint.model
    result = np.zeros((*reading.games.moves.shape, len(words)))
    for game, move in np.argwhere(reading.games.moves[:, 1:] >= 0):
        text = reading.tokens[game, : reading.last[game, move] + 1]
        found: dict[tuple[int, ...], np.ndarray] = {}
        for square, word in enumerate(words):
            pieces = [int(token) for token in word if token]
            begun = [tuple(pieces[:n]) for n in range(len(pieces)) if len(text) + n <= model.cfg.n_ctx]
            for each in set(begun) - found.keys():
                with torch.inference_mode():
                    found[each] = model(torch.cat([text, text.new_tensor(each)])[None])[0, -1].softmax(-1)
            chances = [float(found[each][piece]) for each, piece in zip(begun, pieces, strict=False)]
            result[game, move, square] = np.prod(chances) if pieces and len(begun) == len(pieces) else 0
    return result


def moves(*, tiny: bool) -> Iterator[str]:
    """The probabilities of moves of two tokens, as legal mass needs them."""
    games = random_games(1 if tiny else 4, board=8, seed=0)
    reading = _random(True, "compositional", "atomic").read(games, 0)
    off = np.abs(reading.next_moves() - _one_by_one(reading)).max()
    ours, single, ratio = side_by_side(reading.next_moves, partial(_one_by_one, reading), repeats=1 if tiny else 3)
    yield f"next_moves of {len(games)} games: {ours:.2f} s, run by run {single:.2f} s, {ratio:.0f}x; differ by {off:.0e}"


def memory(*, tiny: bool) -> Iterator[str]:
    """Peak of recovery, 1,000 games at all layers."""
    checkpoint, pairs = (
        _random(tiny, "atomic", "atomic"),
        minimal_pairs(random_games(20_000, board=8, seed=1), 50 if tiny else 1000, seed=0),
    )
    table = recovery(checkpoint.read(pairs.clean, 1), checkpoint.read(pairs.corrupted, 0), resamples=100)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert peak < 2048, f"peak memory {peak:,.0f} MB: expected below 2,048 MB"
    yield f"recovery of {len(pairs)} games, {len(table)} rows: peak {peak:,.0f} MB, limit 2,048 MB"


if __name__ == "__main__":
    known = {"grids": grids, "moves": moves, "memory": memory}
    for name in [name for name in sys.argv[1:] if name != "--tiny"] or known:
        for line in known[name](tiny="--tiny" in sys.argv):
            print(line, flush=True)

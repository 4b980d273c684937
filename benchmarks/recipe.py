"""CPU minutes to a legal accuracy, our recipe beside the paper's: `python -m benchmarks.recipe`. Takes half an hour.

Both learn two atomic languages on 6x6 with the same model, one thread each, at the same time. The paper's side: AdamW at
5e-4 (held after a warm-up of 25 steps, which is kinder than its own schedule), batch 1024, float32, sampled targets,
HookedTransformer.forward, initial weights at 0.02. It is stopped at ten times our time. Measuring is not counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from mothello_interp.models import Checkpoint, ModelSpec, build_model
from train.optim import Optimizer, learning_rate
from train.parallel import precision
from train.pretrain import QuickLegality
from train.settings import PRESETS, Preset, Training
from train.step import fused_logits, loss_sum

_PRESET = PRESETS / "mini/atomic-atomic-anchors0.toml"
_GOAL, _TIMES = 0.95, 10
_OURS = {"games": 204_800}  # as long as the goal needs
_PAPER = Training(
    games=1 << 40, batch=1024, objective="sampled", lr=5e-4, warmup=25_600, final_lr=1.0, precision="float32"
)
_BETWEEN = {"ours": 12_800, "the paper's": 10_240}  # games between two measurements
Point = tuple[int, float, float]  # games, CPU seconds, legal accuracy of the worse language


def run() -> list[str]:
    """Lines to print."""
    context = get_context("spawn")
    ends, sides = {}, {}
    for side in _BETWEEN:
        ends[side], other = context.Pipe(duplex=False)
        sides[side] = context.Process(target=_send, args=(side, other), daemon=True)
        sides[side].start()
        other.close()  # so that its end is seen
    return in_words(race(ends, stop=lambda side: sides[side].terminate()))


def race(ends: Mapping[str, Connection], stop: Callable[[str], None]) -> dict[str, list[Point]]:
    """The points of both sides, until ours is at the goal or at its end, and the other at the goal or at ten times our time."""
    running = dict(ends)
    curves: dict[str, list[Point]] = {side: [] for side in ends}
    limit = float("inf")
    while running:
        for side, end in list(running.items()):
            if end.poll(0.2):
                try:
                    curves[side].append(end.recv())
                except EOFError:
                    del running[side]
        ours, paper = curves["ours"], curves["the paper's"]
        if _reached(ours) and "ours" in running:
            limit = _TIMES * ours[-1][1]
            del running["ours"]
            stop("ours")
        if "ours" not in running and not _reached(ours):
            break
        if _reached(paper) or (paper and paper[-1][1] >= limit):
            running.pop("the paper's", None)
    for side in ends:
        stop(side)
    return curves


def _reached(curve: list[Point]) -> bool:
    return bool(curve) and curve[-1][2] >= _GOAL


def in_words(curves: Mapping[str, list[Point]]) -> list[str]:
    """A line for each side, and one for both."""
    return [*(_line(side, curve) for side, curve in curves.items()), _ratio(curves["ours"], curves["the paper's"])]


def _line(side: str, curve: list[Point]) -> str:
    if not curve:
        return f"{side}: ended before its first measurement"
    shown = [curve[round(place * (len(curve) - 1) / 9)] for place in range(10)]
    points = ", ".join(f"{seconds / 60:.1f} min {legal:.3f}" for _, seconds, legal in dict.fromkeys(shown))
    return f"{side} ({curve[-1][0]:,} games): {points}"


def _ratio(ours: list[Point], paper: list[Point]) -> str:
    if not _reached(ours) or not paper:
        return (
            f"to {_GOAL}: {'the other side ended' if _reached(ours) else 'ours did not get there'}: nothing to compare"
        )
    more = "" if _reached(paper) else "more than "
    return f"to {_GOAL}: ours {ours[-1][1] / 60:.1f} CPU minutes, the paper's {more}{paper[-1][1] / ours[-1][1]:.1f} x"


def _send(side: str, end: Connection) -> None:
    torch.set_num_threads(1)
    for point in _ours() if side == "ours" else _paper():
        end.send(point)


def _ours() -> Iterator[Point]:
    preset = Preset.load(_PRESET)
    training = preset.training.model_copy(update=_OURS)
    return _curve(preset, preset.spec, training, "ours")


def _paper() -> Iterator[Point]:
    preset = Preset.load(_PRESET)
    sizes = preset.spec.model.model_copy(update={"initializer_range": 0.02})
    return _curve(preset, preset.spec.model_copy(update={"model": sizes}), _PAPER, "the paper's")


def _curve(preset: Preset, spec: ModelSpec, training: Training, side: str) -> Iterator[Point]:
    corpus = preset.model_copy(update={"training": training}).corpus(0)
    model = build_model(spec, seed=0)
    optimizer = Optimizer(model, training)
    dtype = precision(training.precision, "cpu")
    measure = QuickLegality(corpus)
    seconds = 0.0
    for step in range(training.steps):
        began = time.process_time()
        batch = corpus.batch(step * training.batch, training.batch)
        tokens, targets = torch.from_numpy(batch.tokens), torch.from_numpy(batch.targets)
        logits = fused_logits(model, tokens, dtype=dtype) if side == "ours" else model(tokens.long())
        loss, count = loss_sum(logits, targets)
        (loss / count).backward()
        optimizer.step(learning_rate(step, training))
        seconds += time.process_time() - began
        games = (step + 1) * training.batch
        if games % _BETWEEN[side] == 0:
            found = measure(Checkpoint(model, spec), torch.float32)
            yield games, seconds, min(found.values())


if __name__ == "__main__":
    print("\n".join(run()))

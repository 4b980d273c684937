"""Along a training run: the checkpoints that `--keep` left, and how well two languages are aligned at each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mothello_interp import Checkpoint, load, random_games
from mothello_interp.activations import collect
from mothello_interp.alignment import align_on
from mothello_interp.legality import legal_accuracy
from mothello_interp.probes import fit_probes_on
from mothello_interp.symmetries import align_up_to_symmetry

LAYER = 1  # named beforehand
LANGUAGES = 5  # at most, of many
FIT, SCORE = 600, 300


def over_steps(checkpoint: Checkpoint, measure: Callable[[Checkpoint], dict[str, Any]]) -> pd.DataFrame:
    """One row a checkpoint in the folder `steps` of the run that the checkpoint ends, by games seen.

    Raises:
        ValueError: for a checkpoint without such a folder beside it, or one in which another run left its own.
    """
    folder = Path(checkpoint.name).parent / "steps"
    steps = sorted((path for path in folder.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))
    if not steps:
        raise ValueError(
            f"{checkpoint.name}: no checkpoints in {folder}; train with --keep 12 and give the run's folder"
        )
    return pd.DataFrame([{"games": int(path.name), **measure(_of_run(checkpoint, path))} for path in steps])


def _of_run(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    step = load(path)
    for key in ("seed", "training"):
        if step.provenance.get(key) != checkpoint.provenance.get(key):
            raise ValueError(f"{path}: of a run with another {key} than {checkpoint.name}; delete it")
    return step


def legality(checkpoint: Checkpoint) -> float:
    """Top-1 legal accuracy over the prefixes of unseen games in the first two languages."""
    games = random_games(SCORE, board=checkpoint.spec.board, seed=102)
    table = legal_accuracy(checkpoint, games, languages=checkpoint.mothello.inputs[:2], mass=False)
    return float(np.average(table["top1"], weights=table["prefixes"]))


def alignment(checkpoint: Checkpoint) -> dict[str, float]:
    """Alignment at the named layer, mean over pairs: of `align_on` through the identity (accuracy, floor, ceiling,
    normalised and its interval), of `align_up_to_symmetry` through the symmetry that suits each pair best (best), and the
    share of pairs for which that is not the identity (not_identity)."""
    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:LANGUAGES]
    fit, score = random_games(FIT, board=board, seed=101), random_games(SCORE, board=board, seed=102)
    probes = fit_probes_on(collect(checkpoint, fit, layers=[LAYER], languages=languages), seed=0)
    table = align_on(probes, collect(checkpoint, score, layers=[LAYER], languages=languages), resamples=100)
    plain = table[(table["source"] != table["target"]) & (table["symmetry"] == "identity")]
    names = ("accuracy", "floor", "ceiling", "normalised", "normalised_low", "normalised_high")
    row = {name: float(plain[name].mean()) for name in names}
    best = align_up_to_symmetry(probes, checkpoint, score, layer=LAYER, resamples=2)
    best = best[best["source"] != best["target"]]
    row["best"] = float(best["normalised"].mean())
    row["not_identity"] = float((best["symmetry"] != "identity").mean())
    return row

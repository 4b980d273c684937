"""Legality, alignment and similarity, step by step in training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analyses._models import LABELS, Checkpoint
from analyses._tables import cross, lowest_seed, summary, where
from mothello_interp.othello import random_games
from mothello_interp.plots import COLOURS, Line, facet

MODELS = {
    "mini/atomic-atomic-anchors0": "naive",
    "mini/atomic-atomic-anchors4": "anchors",
    "mini/twenty-atomic": "20 naive languages",
}
STORED = True  # steps are not bundled
_LAYER = 1  # named beforehand
_LANGUAGES = 5  # at most, of many


def measure(
    checkpoint: Checkpoint, *, fit: int = 600, score: int = 300, similar: int = 650, permutations: int = 99
) -> pd.DataFrame:
    """One row a checkpoint that `python -m train pretrain --keep` left in the folder `steps` of the run, and one of random
    weights (games 0).

    Raises:
        ValueError: for a checkpoint without such a folder next to it.
    """

    def at(step: Checkpoint) -> dict[str, Any]:
        found = {"legal": legality(step, score), **alignment(step, fit, score)}
        return found | _similarity(step, similar, permutations)

    steps = over_steps(checkpoint, at)
    return pd.concat([pd.DataFrame([{"games": 0, **at(checkpoint.untrained())}]), steps], ignore_index=True)


def over_steps(checkpoint: Checkpoint, measure: Callable[[Checkpoint], dict[str, Any]]) -> pd.DataFrame:
    """One row a checkpoint in the folder `steps` of the run that the checkpoint ends, by games seen.

    Raises:
        ValueError: for a checkpoint without such a folder next to it, or one in which another run left its own.
    """
    folder = Path(checkpoint.name).parent / "steps"
    steps = sorted((path for path in folder.glob("*") if path.name.isdigit()), key=lambda path: int(path.name))
    if not steps:
        raise ValueError(
            f"{checkpoint.name}: no checkpoints in {folder}; train with --keep 12 and give the run's folder"
        )
    return pd.DataFrame([{"games": int(path.name), **measure(_of_run(checkpoint, path))} for path in steps])


def _of_run(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    """A step of the run that the checkpoint ends."""
    from mothello_interp.models import load

    step = load(path)
    for key in ("seed", "training"):
        if step.provenance.get(key) != checkpoint.provenance.get(key):
            raise ValueError(f"{path}: of a run with another {key} than {checkpoint.name}; delete it")
    return step


def legality(checkpoint: Checkpoint, games: int) -> float:
    """Top-1 legal accuracy over the prefixes of unseen games in the first two languages."""
    from mothello_interp.legality import legal_accuracy

    played = random_games(games, board=checkpoint.spec.board, seed=102)
    table = legal_accuracy(checkpoint.readings(played, checkpoint.mothello.inputs[:2]), mass=False)
    return float(np.average(table["top1"], weights=table["prefixes"]))


def alignment(checkpoint: Checkpoint, fit: int, score: int) -> dict[str, float]:
    """Alignment at the named layer, mean over pairs: of `align_on` through the identity (accuracy, floor, ceiling,
    normalised and its interval), of `align_up_to_symmetry` through the symmetry that suits each pair best (best), and the
    share of pairs for which that is not the identity (not_identity)."""
    from mothello_interp.activations import collect
    from mothello_interp.alignment import align_on
    from mothello_interp.probes import fit_probes_on
    from mothello_interp.symmetries import align_up_to_symmetry

    board, languages = checkpoint.spec.board, checkpoint.mothello.inputs[:_LANGUAGES]
    fitted, scored = random_games(fit, board=board, seed=101), random_games(score, board=board, seed=102)
    probes = fit_probes_on(collect(checkpoint, fitted, layers=[_LAYER], languages=languages), seed=0)
    table = align_on(probes, collect(checkpoint, scored, layers=[_LAYER], languages=languages), resamples=100)
    plain = where(cross(table), symmetry="identity")
    names = ["accuracy", "floor", "ceiling", "normalised", "normalised_low", "normalised_high"]
    best = cross(align_up_to_symmetry(probes, checkpoint, scored, layer=_LAYER, resamples=2))
    row = {name: float(plain[name].mean()) for name in names}
    row["best"] = float(best["normalised"].mean())
    return row | {"not_identity": float((best["symmetry"] != "identity").mean())}


def _similarity(checkpoint: Checkpoint, games: int, permutations: int) -> dict[str, Any]:
    """CKA and retrieval between the first two languages, each with the 95% quantile of its floor."""
    from mothello_interp.activations import collect
    from mothello_interp.comparison import compare

    first, second = checkpoint.mothello.inputs[:2]
    played = random_games(games, board=checkpoint.spec.board, seed=103)
    rows = collect(checkpoint, played, layers=[_LAYER], languages=(first, second))
    found = compare(rows, first, rows, second, permutations=permutations).set_index("measure")
    row: dict[str, Any] = {}
    for name in ("cka", "retrieval"):
        row |= {name: found.loc[name, "value"], f"{name}_floor": found.loc[name, "floor_high"]}
    return row


def figure(table: pd.DataFrame) -> go.Figure:
    """A panel a model, by the games seen."""
    lines = [
        Line("legal", "top-1 legal", COLOURS["ceiling"]),
        Line("cka", "CKA", COLOURS["paper"], hover=("cka_floor",)),
        Line("retrieval", "retrieval", COLOURS["unified"], dash="dash", hover=("retrieval_floor",)),
        Line("best", "alignment, best symmetry", COLOURS["diagonal"], dash="dash", hover=("not_identity",)),
        Line("normalised", "normalised alignment", COLOURS["anchors"], width=4, band=("normalised_low", "normalised_high"),
             hover=("accuracy", "floor", "ceiling")),
    ]  # fmt: skip
    steps = lowest_seed(table[table["games"] > 0])  # random weights have no place on a logarithmic axis
    drawing = facet(steps, {"": lines}, x="games", label="games seen", titles=LABELS)
    return drawing.update_xaxes(type="log").update_yaxes(range=[-0.05, 1.03]).update_layout(height=430)


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """By model: games until legality and alignment pass 0.5, where all end, and CKA at random weights, at the first step and at its
    lowest."""
    return summary(table, ["regime", "seed"], _course)


def _course(run: pd.DataFrame) -> dict[str, Any]:
    """One run from its first step to its end."""
    steps = run[run["games"] > 0].sort_values("games")
    passes = {name: steps[steps[name] >= 0.5]["games"].min() for name in ("legal", "normalised")}
    row: dict[str, Any] = {"legal passes 0.5 at": passes["legal"], "alignment passes 0.5 at": passes["normalised"]}
    row |= {"alignment, end": steps["normalised"].iloc[-1], "best symmetry, end": steps["best"].iloc[-1]}
    cka = steps["cka"]
    row |= {
        "CKA, first step": cka.iloc[0],
        "CKA, end": cka.iloc[-1],
        "CKA, random weights": where(run, games=0)["cka"].mean(),
    }
    row |= {
        "CKA, lowest": cka.min(),
        "legal, end": steps["legal"].iloc[-1],
        "retrieval, end": steps["retrieval"].iloc[-1],
    }
    half = steps[steps["legal"] >= 0.9]
    return row | {"alignment at 0.9 legal": half["normalised"].iloc[0] if len(half) else np.nan}

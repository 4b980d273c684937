"""The table that every analysis measures on a tiny model, the same with random results, and a folder of all figures."""

import importlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analyses import _maps, _matrix, _runner, _steps, _transfer
from analyses._models import LABELS, REGIMES
from analyses._report import write_report
from mothello_interp.models import Checkpoint, ModelSpec, build_model, load, save_checkpoint
from mothello_interp.othello import SYMMETRIES, random_games
from tests.conftest import tiny_checkpoint
from tests.othello.wthor import write_wthor
from train.finetune import finetune
from train.settings import Recipe, Training

# What makes each measure quick, and the columns that hold its results.
SETTINGS: dict[str, dict[str, int]] = {
    "anchors": {"_FIT": 40, "_CHOOSE": 10, "_SCORE": 20},
    "cka": {"_GAMES": 320, "_PERMUTATIONS": 3},
    "cosine": {"_GAMES": 40},
    "emergence": {"_SIMILAR": 320, "_PERMUTATIONS": 3},
    "four_languages": {},
    "heads": {"_PAIRS": 6, "_GAMES": 8, "_MOVES": 6},
    "interventions": {"_FIT": 30, "_BOARDS": 12},
    "legality": {"_GAMES": 40},
    "lens": {"_FIT": 40, "_SCORE": 6, "_ATTRIBUTE": 4, "_EPOCHS": 1},
    "many_languages": {},
    "mixtures": {"_FIT": 40, "_CHOOSE": 10, "_SCORE": 20, "_RESAMPLES": 9},
    "moves": {"_FIT": 40, "_CHOOSE": 10, "_SCORE": 20},
    "patching": {"_PAIRS": 8, "_GAMES": 36, "_FIT": 10},
    "preferences": {"_DRAWS": 2, "_GAMES": 20},
    "realgames": {"_GAMES": 20, "_CHOOSE": 10},
    "seeds": {},
    "sharing": {"_NEAR": 0},
    "similarity": {"_GAMES": 320, "_FIT": 40, "_SCORE": 20, "_PERMUTATIONS": 2},
    "structure": {"_FIT": 80, "_SCORE": 20},
    "symmetry": {"_PAIRS": 12},
    "transfer": {},
    "transplant": {"_GAMES": 40},
}
TRANSFER = ["top1", "top1_any", "mass_own", "mass_source", "alignment", "low", "high", "floor", "ceiling"]
RESULTS = {
    "anchors": ["accuracy", "low", "high", "floor", "ceiling", "majority", "predicted", "normalised"],
    "cka": ["value", "low", "high", "floor", "floor_high"],
    "cosine": ["distance", "low", "high", "null"],
    "emergence": ["legal", "normalised", "normalised_low", "normalised_high", "best", "cka", "retrieval"],
    "four_languages": TRANSFER,
    "heads": ["recovery", "low", "high", "zero", "estimate", "overlap", "weight"],
    "interventions": ["errors", "low", "high", "null", "unedited"],
    "legality": ["top1", "legal_mass", "guess"],
    "lens": ["mass", "low", "high", "legal_mass", "entropy", "kl", "kl_low", "kl_high", "value"],
    "many_languages": ["accuracy", "predicted", "floor", "majority"],
    "moves": ["accuracy", "majority", "predicted", "floor", "ceiling"],
    "patching": ["recovery", "low", "high", "zero", "legal_mass", "ceiling", "mass", "donor_words"],
    "preferences": ["coefficient", "legal_before", "legal_after", "words_before", "words_after", "normalised"],
    "mixtures": ["first", "second", "low", "high", "first_floor", "agreed", "agreed_floor", "margin"],
    "realgames": ["top1", "accuracy", "floor", "ceiling"],
    "sharing": ["best", "normalised", "not_identity"],
    "similarity": ["value", "low", "high", "floor_high", "transfer_own", "transfer_any"],
    "seeds": ["accuracy", "floor", "majority"],
    "structure": ["accuracy", "low", "high", "chance", "normalised"],
    "symmetry": [
        "accuracy",
        "normalised",
        "predicted",
        "floor",
        "ceiling",
        "margin",
        "margin_ceiling",
        "recovery",
        "zero",
    ],
    "transfer": TRANSFER,
    "transplant": ["mass", "low", "high", "zero", "kept", "unpatched", "donor_words"],
}


def module_of(name: str) -> Any:
    return importlib.import_module(f"analyses.{name}")


def labels_of(name: str) -> dict[str, str]:
    """The regimes of an analysis, and how it calls them."""
    if name == "similarity":
        return LABELS | {regime: regime for regime in list(module_of(name)._TRANSFER.values())[:2]}
    if name == "sharing":
        return {regime: regime for regime in list(module_of(name)._MODELS.values())}
    if name in ("emergence", "preferences", "transplant"):
        return {regime: LABELS.get(regime, regime) for regime in module_of(name)._MODELS.values()}
    if name in ("many_languages", "mixtures", "seeds", "symmetry"):
        return {regime: regime for regime in module_of(name)._MODELS.values()}
    return _transfer.NAMED if name in ("four_languages", "transfer") else LABELS


def measure(name: str) -> pd.DataFrame:
    """What the analysis measures on a tiny model; patching needs one that has learned something."""
    if name in ("four_languages", "transfer"):
        return pd.concat([fine_tuned(name, schedule) for schedule in ("mini", "mini-rising")], ignore_index=True)
    if name in ("emergence", "sharing"):
        return step_by_step(name)
    if name == "realgames":
        return on_real_games()
    checkpoint = (
        load(REGIMES["anchors"]) if name in ("heads", "patching", "symmetry", "transplant") else tiny_checkpoint()
    )
    with pytest.MonkeyPatch.context() as patch:
        for setting, value in SETTINGS[name].items():
            patch.setattr(module_of(name), setting, value)
        for shared in (_maps, _matrix):
            patch.setattr(shared, "FIT", 40)
            patch.setattr(shared, "SCORE", 20)
        patch.setattr(module_of("symmetry"), "SCORE", 20)
        table: pd.DataFrame = module_of(name).measure(checkpoint)
    return table


def step_by_step(name: str) -> pd.DataFrame:
    """Two steps of a run, the second with other weights."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_steps, "FIT", 40)
        patch.setattr(_steps, "SCORE", 20)
        for setting, value in SETTINGS[name].items():
            patch.setattr(module_of(name), setting, value)
        save_checkpoint(Path(folder) / "steps" / "1000", tiny_checkpoint().untrained())
        for place in ("steps/300", "checkpoint"):
            save_checkpoint(Path(folder) / place, tiny_checkpoint())
        table: pd.DataFrame = module_of(name).measure(load(Path(folder) / "checkpoint"))
    return table


def on_real_games() -> pd.DataFrame:
    """An untrained model of the real board; half of the games of one file stand in the other as well."""
    games = random_games(60, board=8, seed=9)
    sizes = {"n_layers": 2, "d_model": 16, "n_heads": 2}
    spec = ModelSpec.read({"world": {"board": 8, "languages": ["atomic", "atomic"]}, "model": sizes}, "untrained")
    untrained = Checkpoint(build_model(spec, seed=0).eval(), spec, {"seed": 0}, "untrained")
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for setting, value in SETTINGS["realgames"].items():
            patch.setattr(module_of("realgames"), setting, value)
        write_wthor(Path(folder) / "WTH_1977.wtb", games[:40])
        write_wthor(Path(folder) / "WTH_2018.wtb", games[20:])
        table: pd.DataFrame = module_of("realgames").measure(untrained, Path(folder))
    return table


def fine_tuned(name: str, schedule: str) -> pd.DataFrame:
    """What the analysis reads of a short fine-tuning."""
    training = Training(games=64, corpus_games=32, batch=16, evaluate_every=32, warmup=16)
    with TemporaryDirectory() as folder:
        finetune(
            Recipe(training=training, name=schedule), tiny_checkpoint(), Path(folder), language=0, seed=0, quiet=True
        )
        table: pd.DataFrame = module_of(name).measure(load(Path(folder) / "checkpoint"))
    return table


measured = cache(measure)


@cache
def table_of(name: str) -> pd.DataFrame:
    """The measured table for every regime and two seeds, with random results, so that every number is told from all others."""
    rng = np.random.default_rng(0)
    parts = []
    for regime in labels_of(name):
        for seed, origin in ((0, "computed"), (3, "stored")):
            part = measured(name).assign(regime=regime, seed=seed, origin=origin)
            parts.append(part.assign(**{column: rng.uniform(0.1, 0.9, len(part)) for column in RESULTS[name]}))
    table = pd.concat(parts, ignore_index=True)
    front = ["regime", "seed", "origin"]
    return table[front + [column for column in table if column not in front]]


def pairs_of(n: int, seed: int) -> pd.DataFrame:
    """A table of random accuracies of all pairs of n languages under the four symmetries."""
    rng = np.random.default_rng(seed)
    keys = [(a, b, g) for a in range(n) for b in range(n) for g in SYMMETRIES]
    table = pd.DataFrame(keys, columns=["source", "target", "symmetry"])
    columns = ["accuracy", "predicted", "floor", "majority", "ceiling"]
    return table.assign(**{name: rng.uniform(0.4, 0.9, len(table)) for name in columns}, seed=seed, origin="stored")


def run(names: list[str], out: Path) -> None:
    """Run analyses on tables that are there already."""
    for name in names:
        analysis = _runner.find()[name]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_runner, "has_browser", lambda: False)
            patch.setattr(analysis.module(), "compute", lambda zoo, name=name, **inputs: table_of(name))
            _runner.run(analysis, out, Console(quiet=True))


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every analysis and the report; shared, so leave it as it is."""
    folder = tmp_path_factory.mktemp("figures")
    run(list(_runner.find()), folder)
    assert write_report(folder) == folder / "index.html"
    return folder

"""The table that every analysis measures on a tiny model, the same with random results, and a folder of all figures."""

import importlib
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyses import _models, _runner, transfer
from analyses._models import LABELS, REGIMES
from analyses._report import write_report
from mothello_interp.models import Checkpoint, ModelSpec, build_model, load, save_checkpoint
from mothello_interp.othello import random_games
from tests.conftest import tiny_checkpoint
from tests.othello.wthor import write_wthor
from train.finetune import finetune
from train.settings import Recipe, Training

# The sizes that make each measure quick, and the columns that hold its results.
MAPS = {"fit": 40, "score": 20}
SIZES: dict[str, dict[str, int]] = {
    "anchors": {"fit": 40, "score": 20},
    "cka": {"games": 320, "permutations": 3},
    "cosine": {"games": 40},
    "dictionary": {"games": 40, "restarts": 2},
    "emergence": {"similar": 320, "permutations": 3} | MAPS,
    "four_languages": {},
    "heads": {"pairs": 6, "games": 8},
    "interventions": {"fit": 30, "mlp": 30, "boards": 12},
    "legality": {"games": 40},
    "lens": {"fit": 40, "score": 6, "attributed": 4, "epochs": 1},
    "moves": {"fit": 40, "choose": 10, "score": 20},
    "patching": {"pairs": 8, "games": 36, "fit": 10},
    "preferences": {"draws": 2, "games": 20} | MAPS,
    "realgames": {"games": 20, "choose": 10},
    "recipe": MAPS,
    "sharing": {"near": 0} | MAPS,
    "similarity": {"games": 320, "fit": 40, "score": 20, "permutations": 2},
    "structure": {"fit": 80, "score": 20},
    "symmetry": MAPS,
    "table1": {"fit": 40, "score": 20},
    "task": {"games": 40},
    "transfer": {},
    "transplant": {"games": 40} | MAPS,
}
LEARNED = ("heads", "patching", "transplant")
TRANSFER = ["top1", "top1_any", "alignment", "normalised", "low", "high", "floor", "ceiling"]
RESULTS = {
    "anchors": ["accuracy", "low", "high", "floor", "ceiling", "majority", "normalised"],
    "cka": ["value", "low", "high", "floor", "floor_high"],
    "cosine": ["distance", "low", "high", "floor"],
    "dictionary": ["share", "fit"],
    "emergence": ["legal", "normalised", "normalised_low", "normalised_high", "best", "cka", "retrieval"],
    "four_languages": TRANSFER,
    "heads": ["recovery", "low", "high", "floor", "estimate", "overlap"],
    "interventions": ["errors", "low", "high", "floor", "unedited"],
    "legality": ["top1", "legal_mass", "chance"],
    "lens": ["mass", "low", "high", "legal_mass", "entropy", "kl", "kl_low", "kl_high", "value"],
    "moves": ["accuracy", "majority", "predicted", "floor", "ceiling"],
    "patching": ["recovery", "low", "high", "floor", "legal_mass", "ceiling", "mass", "source_tokens"],
    "preferences": [
        "coefficient",
        "legal_before",
        "legal_after",
        "taught_tokens_before",
        "taught_tokens_after",
        "normalised",
    ],
    "realgames": ["top1", "accuracy", "floor", "ceiling"],
    "recipe": ["accuracy", "low", "high", "floor", "ceiling", "normalised", "top1"],
    "sharing": ["best", "normalised", "not_identity"],
    "similarity": ["value", "low", "high", "floor_high", "transfer_own", "transfer_any"],
    "structure": ["accuracy", "low", "high", "chance", "normalised"],
    "symmetry": [
        "accuracy",
        "normalised",
        "predicted",
        "floor",
        "ceiling",
        "margin",
        "margin_ceiling",
    ],
    "table1": ["accuracy", "low", "high", "floor", "ceiling", "majority", "normalised"],
    "task": ["top1", "legal_mass", "chance"],
    "transfer": TRANSFER,
    "transplant": ["mass", "low", "high", "floor", "retained", "unpatched", "source_tokens"],
}


def module_of(name: str) -> Any:
    return importlib.import_module(f"analyses.{name}")


STORED = ("emergence", "four_languages", "preferences", "realgames", "recipe", "sharing", "similarity", "transfer")


def stored_headline(name: str) -> pd.DataFrame:
    """An analysis' headline from its stored rows alone: of those in STORED all that there is."""
    module = module_of(name)
    if name in STORED:
        table = _runner.find()[name].table(_models.BUNDLED)
    else:
        table = pd.read_csv(_models.TABLES / f"{name}.csv")
        models = getattr(module, "MODELS", _models.MODELS)
        table = table.assign(regime=table["model"].map(models), origin="stored").dropna(subset="regime")
    assert (table["origin"] == "stored").all()
    headline: pd.DataFrame = module.headline(table)
    return headline


def labels_of(name: str) -> dict[str, str]:
    """The regimes of an analysis, and how it calls them."""
    if name in ("four_languages", "transfer"):
        return transfer.NAMED
    if name == "similarity":
        return LABELS | {regime: regime for regime in list(module_of(name)._TRANSFER.values())[:2]}
    if name in ("anchors", "realgames", "table1") or not hasattr(module_of(name), "MODELS"):
        return LABELS
    return {regime: LABELS.get(regime, regime) for regime in module_of(name).MODELS.values()}


def measure(name: str, **sizes: Any) -> pd.DataFrame:
    """What the analysis measures on a tiny model, next to another tiny one; patching needs one that has learned something."""
    found = partial(module_of(name).measure, **SIZES[name] | sizes)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if name not in LEARNED:
            another = tiny_checkpoint().untrained(seed=1)
            save_checkpoint(Path(folder) / "another", replace(another, provenance={"seed": 1}))
            patch.setattr(_models, "OTHER", str(Path(folder) / "another"))
        if name in ("four_languages", "transfer"):
            schedules = ("mini", "mini-rising")
            return pd.concat([found(fine_tuned(Path(folder) / name, name)) for name in schedules], ignore_index=True)
        if name in ("emergence", "sharing"):
            return found(step_by_step(Path(folder)))
        if name == "realgames":
            return found(*on_real_games(Path(folder)))
        return found(load(REGIMES["anchors"]) if name in LEARNED else tiny_checkpoint())


def step_by_step(folder: Path) -> Checkpoint:
    """Two steps of a run, the second with other weights."""
    save_checkpoint(folder / "steps" / "1000", tiny_checkpoint().untrained())
    for place in ("steps/300", "checkpoint"):
        save_checkpoint(folder / place, tiny_checkpoint())
    return load(folder / "checkpoint")


def on_real_games(folder: Path) -> tuple[Checkpoint, Path]:
    """An untrained model of the real board; half of the games of one file stand in the other as well."""
    games = random_games(60, board=8, seed=9)
    sizes = {"n_layers": 2, "d_model": 16, "n_heads": 2}
    spec = ModelSpec.read({"world": {"board": 8, "languages": ["atomic", "atomic"]}, "model": sizes}, "untrained")
    write_wthor(folder / "WTH_1977.wtb", games[:40])
    write_wthor(folder / "WTH_2018.wtb", games[20:])
    return Checkpoint(build_model(spec, seed=0).eval(), spec, {"seed": 0}, "untrained"), folder


def fine_tuned(folder: Path, schedule: str) -> Checkpoint:
    """A short fine-tuning."""
    training = Training(games=64, corpus_games=32, batch=16, evaluate_every=32, warmup=16)
    recipe = Recipe(training=training, name=schedule)
    finetune(recipe, tiny_checkpoint(), folder, language=0, seed=0, quiet=True)
    return load(folder / "checkpoint")


measured = cache(measure)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a test fits is there in another."""
    monkeypatch.setattr(_models, "CACHE", tmp_path / "cache")


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


def run(names: list[str], out: Path) -> None:
    """Run analyses on tables that are there already."""
    for name in names:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_runner.Analysis, "table", lambda analysis, *asked: table_of(analysis.name))
            _runner.run(_runner.find()[name], out)


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every analysis and the report, whose claims hold by chance; shared, so leave it as it is."""
    folder = tmp_path_factory.mktemp("figures")
    run(list(_runner.find()), folder)
    write_report(folder)
    return folder

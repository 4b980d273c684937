"""Stored tables: every row is of a model that its JSON describes, with the commands that make it again."""

import json
import re
import tomllib
from functools import cache
from typing import Any

import pandas as pd
import pytest

from analyses._models import TABLES
from analyses._record import run_folder, training_commands
from mothello_interp.models import ModelSpec
from train.run import log_spaced
from train.settings import PRESETS, Preset, Recipe, Training

FACTS = {about.stem: json.loads(about.read_text(encoding="utf-8")) for about in sorted(TABLES.glob("*.json"))}
ENTRIES = [
    pytest.param(analysis, key, entry, id=f"{analysis}: {key}")
    for analysis, facts in FACTS.items()
    for key, entry in facts["models"].items()
]
preset_of = cache(Preset.load)
rows_of = cache(lambda analysis: pd.read_csv(TABLES / f"{analysis}.csv"))


@pytest.mark.parametrize("analysis", FACTS)
def test_every_row_is_of_a_described_model(analysis: str) -> None:
    rows = rows_of(analysis)
    assert set(FACTS[analysis]) == {"version", "models"}
    assert set(rows["model"] + "-seed" + rows["seed"].astype(str)) == set(FACTS[analysis]["models"])


@pytest.mark.parametrize(("analysis", "key", "entry"), ENTRIES)
def test_its_commands_make_it_again(analysis: str, key: str, entry: dict[str, Any]) -> None:
    """From presets that are still the ones that it was trained by; where rows are of steps, with these steps kept (0: random weights)."""
    made_by = entry["made_by"]
    *train, record = entry["commands"]
    options = " --wthor WTHOR" if analysis == "realgames" else ""
    assert record == f"python -m analyses record {analysis} {run_folder(made_by)}{options}"
    keep = re.search(r" --keep (\d+)$", train[-1])
    assert train == training_commands(made_by, keep=int(keep[1]) if keep else 0)
    training = Training.read(made_by["training"], key)
    if analysis in ("emergence", "sharing"):
        rows = rows_of(analysis)
        steps = rows.loc[(rows["model"] == made_by["preset"]) & (rows["seed"] == made_by["seed"]), "games"]
        assert keep
        assert {*(steps // training.batch)} - {0} <= log_spaced(int(keep[1]), training.steps)
    preset = preset_of(PRESETS / f"{made_by.get('start', made_by)['preset']}.toml")
    assert preset.spec == ModelSpec.read(tomllib.loads(entry["spec"]), key)
    recipe = Recipe.load(PRESETS / f"finetune/{made_by['recipe']}.toml") if "recipe" in made_by else preset
    assert recipe.training == training

"""The commands that make a model again: what provenance says, in words that the command line takes."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from analyses._record import run_folder, training_commands
from mothello_interp.models import load
from mothello_interp.models.checkpoint import fingerprint
from tests.train.test_finetune import RECIPE
from tests.train.test_sweep import BASE, TWO
from train import finetune, pretrain
from train.__main__ import app

NAIVE = "mini/transfer-atomic-naive"
TUNED: dict[str, Any] = {"preset": f"{NAIVE}-mini-language0", "seed": 3, "recipe": "mini", "language": 0}
PRETRAIN = "python -m train pretrain train/presets"
FINETUNE = "python -m train finetune train/presets/finetune/mini.toml --from"


def started(**start: Any) -> dict[str, Any]:
    return TUNED | {"start": {"preset": NAIVE, "seed": 2, "weights_sha256": "0"} | start}


def test_a_pretrained_model() -> None:
    made_by = {"preset": "mini/five-atomic", "seed": 4}
    assert training_commands(made_by) == [f"{PRETRAIN}/mini/five-atomic.toml --seed 4"]
    assert training_commands(made_by, keep=12) == [f"{PRETRAIN}/mini/five-atomic.toml --seed 4 --keep 12"]
    assert run_folder(made_by) == "runs/mini/five-atomic-seed4"
    assert training_commands({"preset": "mine/x", "seed": 0}) == ["python -m train pretrain mine/x.toml --seed 0"]


def test_a_fine_tuned_model_and_its_start() -> None:
    """The start is trained too, unless its very weights are bundled."""
    run = f"runs/{NAIVE}-seed2"
    assert training_commands(started(), keep=5) == [
        f"{PRETRAIN}/{NAIVE}.toml --seed 2",
        f"{FINETUNE} {run} --language 0 --seed 3 --keep 5",
    ]
    assert training_commands(started(weights_sha256=fingerprint(load(NAIVE)))) == [
        f"{FINETUNE} {NAIVE} --language 0 --seed 3",
    ]
    twice = TUNED | {"preset": f"{TUNED['preset']}-mini-language1", "language": 1, "seed": 4, "start": started()}
    twice["start"]["weights_sha256"] = "1"
    *before, last = training_commands(twice)
    assert before == training_commands(started())
    assert last == f"{FINETUNE} runs/{NAIVE}-mini-language0-seed3 --language 1 --seed 4"


def test_they_make_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice fine-tuned: every command runs, and the model that ends in the folder has the weights that it had."""
    monkeypatch.setattr(pretrain, "_EVALUATION_GAMES", 40)
    for part in (pretrain, finetune):
        monkeypatch.setattr(part, "FINAL_GAMES", 20)
    monkeypatch.setattr(finetune, "_FIT", 40)
    monkeypatch.setattr(finetune, "_SCORE", 20)
    monkeypatch.chdir(tmp_path)
    for name, text in {"tiny/_base": BASE, "tiny/two": TWO, "finetune/quick": RECIPE}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(f"{name}.toml").write_text(text, encoding="utf-8")

    def run(lines: list[str]) -> None:
        for line in lines:
            done = CliRunner().invoke(app, [*line.removeprefix("python -m train ").split(), "--quiet"])
            assert done.exit_code == 0, done.output

    first = ["pretrain tiny/two.toml --seed 1"]
    second = ["finetune finetune/quick.toml --from runs/tiny/two-seed1 --language 0 --seed 2"]
    third = ["finetune finetune/quick.toml --from runs/tiny/two-quick-language0-seed2 --language 1"]
    run(first + second + third)
    made = load("runs/tiny/two-quick-language0-quick-language1-seed2/checkpoint")
    again = training_commands(made.provenance)
    assert [line.removeprefix("python -m train ") for line in again] == [*first, *second, f"{third[0]} --seed 2"]
    Path("runs").rename("before")
    run(again)
    assert fingerprint(load(f"{run_folder(made.provenance)}/checkpoint")) == fingerprint(made)

"""`--import`: language types of the user's own, trained from the command line, in this process and in others."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mothello_interp.corpus import read_provenance
from mothello_interp.languages import language as module
from tests.train.test_cluster import workers
from tests.train.test_finetune import RECIPE
from tests.train.tiny import preset_text
from train.__main__ import app

MINE = """
from dataclasses import dataclass

from mothello_interp import register_language


@register_language("backwards")
@dataclass(frozen=True)
class Backwards:
    def move_tokens(self, board):
        return [(f"square {board * board - square}",) for square in range(board * board)]
"""
TRAINING: dict[str, Any] = {"games": 32, "batch": 16, "precision": "float32"}


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test knows the types that another one has imported."""
    monkeypatch.setattr(module, "_TYPES", dict(module._TYPES))
    yield
    for name in [name for name in sys.modules if name.startswith("imported_")]:
        del sys.modules[name]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a language, a preset and a recipe."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "mine.toml").write_text(preset_text("atomic", "backwards", **TRAINING), encoding="utf-8")
    (tmp_path / "quick.toml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "my_language.py").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(line: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, line.split(), env={"COLUMNS": "300"})
    return done.exit_code, done.output


def test_every_command_takes_an_imported_language(here: Path) -> None:
    mine = "--import my_language.py"
    for line in (
        "pretrain tiny/mine.toml --out runs/tiny/mine-seed0 --quiet",
        "finetune quick.toml --from runs/tiny/mine-seed0 --language 1 --out runs/tuned --quiet",
        "sweep tiny --seeds 0,1",
        "export runs/tuned exported",
        "corpus tiny/mine.toml --games 3 --out games.parquet --quiet",
    ):
        status, shown = invoke(f"{line} {mine}")
        assert status == 0, shown
    assert "backwards" in read_provenance(here / "games.parquet")["spec"]
    assert "backwards" in (here / "exported" / "spec.toml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["here", "cluster"])
def test_workers_of_a_sweep_import_it_too(here: Path, where: str) -> None:
    line = "sweep tiny --seeds 0,1 --import my_language.py"
    if where == "here":
        status, shown = invoke(f"{line} --jobs 2")
    else:
        with workers(1) as cluster:
            status, shown = invoke(f"{line} --dask {cluster.scheduler_address}")
    assert status == 0, shown
    assert shown.count(": trained, ") == 2


def test_what_was_not_imported_is_unknown(here: Path) -> None:
    """A checkpoint that names the type imports nothing."""
    assert invoke("pretrain tiny/mine.toml --out run --quiet --import my_language.py")[0] == 0
    module._TYPES.pop("backwards")
    for line in ("pretrain tiny/mine.toml", "finetune quick.toml --from run --language 0", "export run exported"):
        status, shown = invoke(line)
        assert (status, shown.count("\n")) == (1, 1)
        assert "unknown language type 'backwards'" in shown


ERRORS = {
    "no such file": (None, "expected a Python file"),
    "raises": ("x = 1\nprint(y)\n", "line 2: NameError: name 'y' is not defined"),
    "raises elsewhere": ("import json\n\njson.loads('')\n", "line 3: JSONDecodeError: Expecting value"),
    "no Python": ("def f(:\n", "line 1: SyntaxError: "),
    "exits": ("raise SystemExit('stop\\nhere')\n", "line 1: SystemExit: stop here"),
    "taken": (MINE.replace('"backwards"', '"atomic"'), "ValueError: language type 'atomic' is registered already"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_import_that_fails_is_one_line(here: Path, case: str) -> None:
    text, said = ERRORS[case]
    if text is not None:
        (here / "mine.py").write_text(text, encoding="utf-8")
    status, shown = invoke("pretrain tiny/mine.toml --import mine.py")
    assert (status, shown.count("\n"), (here / "runs").exists()) == (1, 1, False)
    assert shown.startswith("error: --import mine.py: ")
    assert said in shown

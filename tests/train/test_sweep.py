"""Sweeps on 4x4 boards: what is planned, trained, skipped and gone on with, and how a job fails alone."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from mothello_interp.models import load_checkpoint
from tests.conftest import shown_without
from tests.train.tiny import assert_same, lose, measured, saved, stop_at, train, weights
from train import run as run_module
from train import workers
from train.__main__ import app, pretrain
from train.options import LOG, RunOptions, run_lock
from train.settings import PRESETS, Preset
from train.state import CHECKPOINT
from train.sweep import PlannedRun, Result, draw, plan, tabulate, write_table
from train.workers import sweep

ROOT = Path(__file__).parent.parent.parent
STEPS, BATCH = 6, 16
BASE = f"""
[world]
board = 4
[model]
n_layers = 1
d_model = 16
n_heads = 2
[training]
games = {STEPS * BATCH}
batch = {BATCH}
precision = "float32"
evaluate_every = {BATCH}
save_every = {2 * BATCH}
"""
ONE = 'extends = "_base.toml"\n[world]\nlanguages = ["atomic"]\n'
TWO = 'extends = "_base.toml"\n[world]\nlanguages = ["atomic", "compositional"]\n'


@pytest.fixture
def presets(tmp_path: Path) -> Path:
    """A folder of two presets and their base."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    for name, text in {"_base": BASE, "one": ONE, "two": TWO}.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where the sweeps of a test write."""
    return tmp_path / "runs"


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)], env={"COLUMNS": "300", "TERM": "dumb"})


def notes(folder: Path) -> list[str]:
    """What jobs noted about a run, without time, machine and process."""
    return [line.split(" ", 3)[3] for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


def test_every_preset_with_every_seed(presets: Path, runs: Path) -> None:
    """In the order given; a folder means its presets without their base."""
    found = [(job.folder, job.preset.name, job.seed) for job in plan([presets], [2, 0], runs)]
    expected = [("one", 2), ("one", 0), ("two", 2), ("two", 0)]
    assert found == [(runs / f"tiny/{name}-seed{seed}", f"tiny/{name}", seed) for name, seed in expected]
    turned = plan([presets / "two.toml", presets / "one.toml"], [0], runs)
    assert [job.preset.name for job in turned] == ["tiny/two", "tiny/one"]
    assert turned[0].preset == Preset.load(presets / "two.toml")


def test_a_preset_of_the_working_directory_knows_its_folder(presets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(presets)
    assert plan([Path("one.toml")], [0], Path("runs"))[0].folder == Path("runs/tiny/one-seed0")


def test_a_sweep_trains_what_pretrain_trains(presets: Path, runs: Path, tmp_path: Path) -> None:
    shown = invoke(presets, "--seeds", "0,1", "--out", runs)
    assert shown.exit_code == 0, shown.output
    for number, job in enumerate(plan([presets], [0, 1], runs), 1):
        assert f"[{number}/4] {job.preset.name} seed {job.seed}: trained, top-1 legal 0." in shown.output
        straight = tmp_path / "straight" / f"{number}"
        assert_same(
            weights(load_checkpoint(job.folder / CHECKPOINT)), weights(train(job.preset, straight, seed=job.seed))
        )
        pd.testing.assert_frame_equal(measured(job.folder), measured(straight))
        assert notes(job.folder) == ["begins", "ends"]


def test_it_logs_keeps_and_compiles_as_it_is_told(presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run into its own folder; what cannot be done is said before anything is."""
    compiled = []
    real = run_module.add_gradients

    def noted(*args: Any, **kwargs: Any) -> Any:
        compiled.append(kwargs.pop("compiled"))
        return real(*args, **kwargs)

    monkeypatch.setattr(run_module, "add_gradients", noted)
    result = invoke(presets, "--out", runs, "--log", "tensorboard", "--keep", "2", "--compile")
    assert result.exit_code == 0, result.output
    assert all(compiled)
    assert len(compiled) == 2 * STEPS
    for folder in (runs / "tiny" / "one-seed0", runs / "tiny" / "two-seed0"):
        assert list((folder / "tensorboard").iterdir())
        assert len(list((folder / "steps").iterdir())) == 2
    typo = invoke(presets, "--out", runs / "more", "--log", "tensorbord")
    assert (typo.exit_code, (runs / "more").exists()) == (1, False)
    assert "error: --log tensorbord: choose one of tensorboard, wandb; did you mean" in typo.output


def test_bases_are_left_out(presets: Path, runs: Path) -> None:
    """As of a folder, where a shell has listed all files of one; it is said."""
    shown = invoke(*sorted(presets.glob("*.toml")), "--out", runs)
    assert shown.exit_code == 0, shown.output
    assert pd.read_csv(runs / "sweep.csv")["preset"].tolist() == ["tiny/one", "tiny/two"]
    assert shown.output.count(f"{presets / '_base.toml'} is left out: a name that begins with _ is a base") == 1


def test_its_table(presets: Path, runs: Path) -> None:
    """One row a job, in the order of the plan, also on the terminal."""
    shown = invoke(presets / "two.toml", presets / "one.toml", "--seeds", "3,1", "--out", runs)
    table = pd.read_csv(runs / "sweep.csv")
    assert list(table) == ["preset", "seed", "status", "steps", "minutes", "top1_min", "top1_mean", "folder"]
    assert table["preset"].tolist() == ["tiny/two", "tiny/two", "tiny/one", "tiny/one"]
    assert table["seed"].tolist() == [3, 1, 3, 1]
    assert (table["status"] == "trained").all()
    assert (table["steps"] == STEPS).all()
    for row in table.to_dict("records"):
        made = load_checkpoint(Path(row["folder"]) / CHECKPOINT).provenance
        top1 = [line["top1"] for line in made["held_out"]]
        assert (row["top1_min"], row["top1_mean"]) == pytest.approx((min(top1), sum(top1) / len(top1)))
        assert (row["preset"], row["seed"], row["minutes"]) == (made["preset"], made["seed"], made["minutes"])
        line = rf"{row['preset']} +{row['seed']} +trained .* {row['top1_min']:.4f}"
        assert re.search(line, shown.output)
    assert (table["top1_min"] < table["top1_mean"]).tolist() == [True, True, False, False]
    assert f"table: {runs / 'sweep.csv'}" in shown.output


def test_a_table_that_cannot_be_written(presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown all the same, and the earlier one is intact."""
    assert invoke(presets / "one.toml", "--out", runs).exit_code == 0
    before = (runs / "sweep.csv").read_bytes()

    def half_written(table: pd.DataFrame, path: Path, **_: Any) -> None:
        path.write_text("preset,se", encoding="utf-8")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half_written)
    shown = invoke(presets / "one.toml", "--out", runs)
    assert shown.exit_code == 1
    assert re.search(r"tiny/one .* already there ", shown.output)
    assert "error: [Errno 28] No space left on device" in shown.output
    assert (runs / "sweep.csv").read_bytes() == before


def test_its_table_remembers_earlier_sweeps(presets: Path, runs: Path) -> None:
    """Run by run: what is swept again has its new row alone, however its folder is spelled."""
    first, second = plan([presets], [0], runs)
    again, _ = plan([presets], [0], runs / "x" / "..")
    write_table(
        tabulate([(first, Result('failed: a, "b"')), (second, Result("trained", 5, 0.1, {0: 0.1 + 0.2}))]),
        runs / "x.csv",
    )
    before = (runs / "x.csv").read_text(encoding="utf-8").splitlines()
    write_table(tabulate([(again, Result("trained", 7, 1.5, {0: 1.0}))]), runs / "x.csv")
    after = (runs / "x.csv").read_text(encoding="utf-8").splitlines()
    assert after[:2] == [before[0], before[2]]
    assert len(after) == 3
    assert after[2].startswith("tiny/one,0,trained,7,1.5,1.0,")
    write_table(tabulate([(first, Result("failed: c")), (second, Result("failed: d"))]), runs / "x.csv")
    assert pd.read_csv(runs / "x.csv")["status"].tolist() == ["failed: c", "failed: d"]


def test_tables_of_sweeps_that_end_together_keep_all_rows(presets: Path, runs: Path) -> None:
    """Eight writers into one file, ten times each."""
    first, _ = plan([presets], [0], runs)
    many = [replace(first, seed=seed) for seed in range(80)]

    def write(part: int) -> None:
        for run in many[part::8]:
            write_table(tabulate([(run, Result("trained", 1, 0.1, {0: 1.0}))]), runs / "x.csv")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert sorted(pd.read_csv(runs / "x.csv")["seed"]) == list(range(80))


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", '"', "x" * 9])
def test_a_table_of_something_else_is_left(presets: Path, runs: Path, text: str) -> None:
    runs.mkdir()
    (runs / "sweep.csv").write_text(text, encoding="utf-8")
    shown = invoke(presets / "one.toml", "--out", runs)
    assert shown.exit_code == 1
    assert f"error: {runs / 'sweep.csv'} is no table of a sweep: move it away" in shown.output
    assert (runs / "sweep.csv").read_text(encoding="utf-8") == text


def test_jobs_without_a_model_have_no_numbers(presets: Path, runs: Path) -> None:
    first, second = plan([presets], [0], runs)
    table = tabulate([(first, Result("trained", 5, 1.5, {0: 0.5, 1: 1.0})), (second, Result("failed: [why]"))])
    numbers = table[["steps", "minutes", "top1_min", "top1_mean"]].astype(float).to_numpy()
    assert numbers[0].tolist() == [5, 1.5, 0.5, 0.75]
    assert np.isnan(numbers[1]).all()
    assert table.loc[1, "status"] == "failed: [why]"
    console = Console(width=80, record=True, file=StringIO())
    console.print(draw(table.assign(preset="mini/transfer-compositional-anchors8", seed=1000)))
    trained, failed = console.export_text().splitlines()[1:]
    assert trained.split() == ["mini/transfer-compositional-anchors8", "1000", "trained", "1.5", "0.5000"]
    assert failed.split()[2:] == ["failed:", "[why]"]


def test_what_is_done_is_skipped(presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is as before but for the status."""
    invoke(presets / "one.toml", "--out", runs)
    before = pd.read_csv(runs / "sweep.csv")
    stop_at(monkeypatch, STEPS)  # enough for the other preset alone
    shown = invoke(presets, "--out", runs)
    assert shown.exit_code == 0, shown.output
    after = pd.read_csv(runs / "sweep.csv")
    assert after["status"].tolist() == ["already there", "trained"]
    pd.testing.assert_frame_equal(after.head(1).drop(columns="status"), before.drop(columns="status"))
    assert notes(runs / "tiny/one-seed0") == ["begins", "ends"]


@pytest.mark.parametrize("step", [1, 5])
def test_what_is_half_done_goes_on(
    presets: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """From the saved state, be it the first, to the same end as a run that nothing interrupted."""
    preset, folder = Preset.load(presets / "two.toml"), runs / "tiny/two-seed1"
    lose(preset, folder, step=step)
    assert saved(folder) == step // 2 * 2
    expected = weights(train(preset, tmp_path / "straight"))
    stop_at(monkeypatch, STEPS - step // 2 * 2)
    shown = invoke(presets / "two.toml", "--seeds", "1", "--out", runs)
    assert shown.exit_code == 0, shown.output
    assert_same(weights(load_checkpoint(folder / CHECKPOINT)), expected)
    pd.testing.assert_frame_equal(measured(folder), measured(tmp_path / "straight"))
    assert notes(folder) == ["resumes", "ends"]


def test_a_job_fails_alone(presets: Path, runs: Path) -> None:
    """One finds another run in its folder, one a file in its place; the third, after them, is trained."""
    lose(Preset.load(presets / "two.toml"), runs / "tiny/one-seed0", step=5)
    (runs / "tiny/one-seed1").write_text("", encoding="utf-8")
    shown = invoke(presets / "one.toml", "--seeds", "0,1,2", "--out", runs)
    assert shown.exit_code == 1
    table = pd.read_csv(runs / "sweep.csv")
    assert table["status"].str.split(":").str[0].tolist() == ["failed", "failed", "trained"]
    assert "one-seed0 holds a run with another spec" in table["status"][0]
    assert "File exists" in table["status"][1]
    assert f"[1/3] tiny/one seed 0: {table['status'][0]}" in shown.output
    assert "Traceback" in (runs / "tiny/one-seed0" / LOG).read_text(encoding="utf-8")
    assert not (runs / "tiny/one-seed0" / CHECKPOINT).exists()


def test_an_unforeseen_error_is_named(presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(monkeypatch, 0)
    assert invoke(presets / "one.toml", "--out", runs).exit_code == 1
    assert pd.read_csv(runs / "sweep.csv")["status"].tolist() == ["failed: Interrupted: "]


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


MISTAKES: dict[str, tuple[Callable[[Path], list[Path | str]], list[str]]] = {
    "not there": (lambda tiny: [tiny / "one.toml", tiny / "three.toml"], ["three.toml: there is no such file"]),
    "not usable": (
        lambda tiny: [tiny, write(tiny, "zero.toml", ONE + "anchor = []"), write(tiny, "nil.toml", "x")],
        ["zero.toml: world: unknown key 'anchor'", "nil.toml: not a TOML file"],
    ),
    "a base alone": (
        lambda tiny: [tiny / "_base.toml"],
        ["_base.toml: bases of presets alone (their names begin with _)"],
    ),
    "no base": (lambda tiny: [tiny / "_bas.toml"], ["_bas.toml: there is no such file; did you mean '_base.toml'?"]),
    "recipes": (
        lambda tiny: [PRESETS / "finetune"],
        [f"{name}.toml: [training] alone is a recipe" for name in ("mini", "mini-rising", "paper")],
    ),
    "twice": (
        lambda tiny: [tiny, tiny / "one.toml"],
        ["one.toml and", "train in one folder, tiny/one: give each once"],
    ),
    "of one name": (
        lambda tiny: [tiny, write(tiny / "tiny", "one.toml", BASE + ONE.split("\n", 2)[2].replace("[world]", ""))],
        ["tiny/tiny/one.toml"],
    ),
    "no preset": (lambda tiny: [write(tiny / "empty", "_base.toml", BASE).parent], ["empty: no preset in this folder"]),
    "a seed twice": (lambda tiny: [tiny, "--seeds", "0,1,0"], ["--seeds '0,1,0': 0 is given twice"]),
    "no seed": (
        lambda tiny: [tiny, "--seeds", "0,"],
        ["--seeds '0,': expected whole numbers from 0 to 1048575 with commas"],
    ),
    "a large seed": (lambda tiny: [tiny, "--seeds", "0,1048576"], ["--seeds '0,1048576': expected whole numbers"]),
    "a seed of many digits": (lambda tiny: [tiny, "--seeds", "9" * 5000], ["expected whole numbers from 0 to 1048575"]),
    "a negative seed": (lambda tiny: [tiny, "--seeds=-1"], ["--seeds '-1': expected whole numbers"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_before_anything_starts(presets: Path, runs: Path, mistake: str) -> None:
    arguments, messages = MISTAKES[mistake]
    shown = invoke(*arguments(presets), "--out", runs)
    assert shown.exit_code == 1
    assert shown.output.startswith("error: ")
    for message in messages:
        assert message in shown.output
    assert not runs.exists()


def test_a_device_that_is_not_here(presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster it may be there."""
    monkeypatch.setattr(workers, "_PATIENCE", 0.2)
    shown = invoke(presets, "--out", runs, "--device", "cuda:99")
    assert (shown.exit_code, runs.exists()) == (1, False)
    assert shown.output.startswith("error: device 'cuda:99' cannot be used here (")
    shown = invoke(presets, "--out", runs, "--device", "cuda:99", "--dask", "tcp://127.0.0.1:9")
    assert "no Dask scheduler there (" in shown.output


def test_without_dask(presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    shown = invoke(presets, "--out", runs, "--dask", "tcp://127.0.0.1:9")
    assert (shown.exit_code, runs.exists()) == (1, False)
    assert "error: --dask needs the package distributed: pip install 'mothello-interp[dask]'" in shown.output


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "127.0.0.1:port"])
def test_a_scheduler_that_is_not_there(
    presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(workers, "_PATIENCE", 0.2)
    shown = invoke(presets, "--out", runs, "--dask", address)
    assert (shown.exit_code, runs.exists()) == (1, False)
    assert f"error: --dask {address}: no Dask scheduler there (" in shown.output


def test_one_job_needs_no_shared_memory(presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without /dev/shm no semaphore can be made."""

    def none(*_: Any, **__: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", none)
    jobs = plan([presets / "one.toml"], [0], runs)
    assert [result.status for _, result in sweep(jobs, at_once=None)] == ["trained"]


def test_a_locked_folder_is_waited_for(presets: Path, runs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """And then found as it was left."""
    jobs = plan([presets / "one.toml"], [0], runs)
    found: list[tuple[PlannedRun, Result]] = []
    with run_lock(jobs[0].folder) as note:
        other = threading.Thread(target=lambda: found.extend(sweep(jobs, at_once=1)))
        other.start()
        while "is in training elsewhere: waiting for it" not in capfd.readouterr().err:
            assert other.is_alive()
        train(jobs[0].preset, jobs[0].folder, seed=0)
        note("ends here")
    other.join()
    assert [(job, result.status) for job, result in found] == [(jobs[0], "already there")]
    assert notes(jobs[0].folder) == ["ends here"]


def test_a_second_pretraining_waits(
    presets: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same command twice: the second one finds what the first has made; so it is with a sweep beside it."""
    monkeypatch.delenv("RANK", raising=False)
    folder, quiet = runs / "tiny/one-seed0", asdict(RunOptions(quiet=True))
    with run_lock(folder) as note:
        second = threading.Thread(target=lambda: pretrain(preset=presets / "one.toml", out=folder, **quiet))
        second.start()
        while "is in training elsewhere: waiting for it" not in capfd.readouterr().err:
            assert second.is_alive()
        made = train(Preset.load(presets / "one.toml"), folder, seed=0)
        note("ends")
    second.join()
    assert f"checkpoint: {folder / CHECKPOINT}" in capfd.readouterr().out
    assert_same(weights(load_checkpoint(folder / CHECKPOINT)), weights(made))
    assert [line.split(":")[0] for line in notes(folder)] == ["ends", "holds it"]


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = f"from pathlib import Path\nfrom train.options import run_lock\nwith run_lock(Path({str(tmp_path)!r})) as note:\n"
    code += "    note('begins')\n    print('held', flush=True)\n    input()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        waited: list[str] = []

        def wait() -> None:
            with run_lock(tmp_path):
                waited.extend(notes(tmp_path))

        other = threading.Thread(target=wait)
        other.start()
        other.join(0.2)
        assert other.is_alive()
        holder.kill()
        other.join()
    assert waited == ["begins"]


@pytest.mark.parametrize("command", ["", "pretrain", "finetune", "sweep", "export", "corpus", "import-authors"])
def test_help_loads_nothing_heavy(command: str) -> None:
    heavy = {"torch", "pandas", "numba", "joblib", "dask", "distributed"}
    assert "Usage: python -m train" in shown_without(heavy, "train", [*command.split(), "--help"])

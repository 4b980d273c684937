"""Pretraining end to end on a 4x4 board: what it writes, and that no interruption changes it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from mothello_interp.models import Checkpoint, build_model, load_checkpoint, save_checkpoint
from tests.train.tiny import (
    BATCH,
    KINDS,
    STEPS,
    Interrupted,
    assert_same,
    lose,
    measured,
    preset_text,
    saved,
    stop_at,
    tiny_preset,
    train,
    weights,
)
from train import run as run_module
from train.__main__ import app
from train.options import TrainingStopped
from train.settings import Preset
from train.state import CHECKPOINT, METRICS, STATE, load_state, save_state


@dataclass(frozen=True)
class Run:
    """A finished run."""

    preset: Preset
    folder: Path
    weights: dict[str, torch.Tensor]
    metrics: pd.DataFrame


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Runs that nothing interrupted, by kind; each trained once."""
    done: dict[str, Run] = {}

    def run(kind: str) -> Run:
        if kind not in done:
            folder = tmp_path_factory.mktemp(kind) / "run"
            trained = weights(train(tiny_preset(kind), folder))
            done[kind] = Run(tiny_preset(kind), folder, trained, measured(folder))
        return done[kind]

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_writes_a_checkpoint(finished: Callable[[str], Run], kind: str) -> None:
    run = finished(kind)
    checkpoint = load_checkpoint(run.folder / CHECKPOINT)
    assert_same(weights(checkpoint), run.weights)
    assert checkpoint.spec == run.preset.spec
    provenance = checkpoint.provenance
    assert (provenance["seed"], provenance["steps"], provenance["games"]) == (1, STEPS, STEPS * BATCH)
    assert (provenance["preset"], provenance["precision"]) == ("tiny/x", "float32")
    assert provenance["training"] == json.loads(json.dumps(run.preset.training.model_dump(mode="json")))
    assert [line["language"] for line in provenance["held_out"]] == [0, 1]
    assert 0 <= provenance["held_out_trained_on"] < 1
    assert all(0 <= line["top1"] <= 1 and line["prefixes"] > 300 for line in provenance["held_out"])
    assert {"torch", "numpy", "transformer-lens", "mothello-interp"} <= provenance["versions"].keys()
    assert re.fullmatch("[0-9a-f]{40}|unknown", provenance["commit"])


def test_a_run_writes_metrics(finished: Callable[[str], Run]) -> None:
    table = pd.read_csv(finished("adamw").folder / METRICS)
    assert list(table) == ["games", "loss", "floor", "seconds", "legal_0", "legal_1"]
    assert table["games"].tolist() == [2 * BATCH * line for line in range(1, 8)]
    assert (table["loss"] > table["floor"]).all()
    assert (table["floor"] > 0).all()
    assert table["seconds"].is_monotonic_increasing
    assert table["legal_0"].between(0, 1).all()


def test_it_is_plain_training(tmp_path: Path) -> None:
    """A loop in torch alone, on the model as it is, ends with the same weights and the same losses."""
    preset = tiny_preset("adamw", games=4 * BATCH, evaluate_every=BATCH, world="split")
    found = weights(train(preset, tmp_path))
    model = build_model(preset.spec, seed=1)
    learns = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    decays = {name: preset.training.weight_decay * ("blocks" in name and ".W_" in name) for name in learns}
    groups = [{"params": [weight], "weight_decay": decays[name]} for name, weight in learns.items()]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    losses = []
    for step, scale in enumerate([0.5, 1, 1, 0.55]):
        batch = preset.corpus(1).batch(step * BATCH, BATCH)
        targets = torch.from_numpy(batch.targets)
        logits = model(torch.from_numpy(batch.tokens).long())
        loss = -(targets * logits.log_softmax(-1)).sum() / targets.any(-1).sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learns.values(), preset.training.clip)
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * scale
        optimizer.step()
        losses.append(loss.item())
    for name, weight in learns.items():
        difference = (found[name] - weight).abs().max().item()
        assert difference < 1e-4 < 3e-3, name
    assert pd.read_csv(tmp_path / METRICS)["loss"].tolist() == pytest.approx(losses, rel=1e-4)


def test_another_seed_is_another_run(finished: Callable[[str], Run], tmp_path: Path) -> None:
    other = weights(train(tiny_preset(), tmp_path, seed=2))
    expected = finished("muon").weights
    assert not any(torch.equal(other[name], expected[name]) for name in expected if ".W_" in name)


@pytest.mark.parametrize(("kind", "step"), [("muon", 2), ("muon", 7), ("adamw", 8), ("sampled", 13)])
def test_an_interruption_changes_nothing(
    finished: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, step: int
) -> None:
    alone = finished(kind)
    lose(tiny_preset(kind), tmp_path, step=step)
    assert saved(tmp_path) == step // 4 * 4
    assert not (tmp_path / CHECKPOINT).exists()
    steps_left = STEPS - step // 4 * 4
    stop_at(monkeypatch, steps_left)  # it may not start from the beginning again
    assert_same(weights(train(tiny_preset(kind), tmp_path)), alone.weights)
    assert_same(weights(load_checkpoint(tmp_path / CHECKPOINT)), alone.weights)
    pd.testing.assert_frame_equal(measured(tmp_path), alone.metrics)


def test_an_interruption_between_two_lines_of_metrics(tmp_path: Path) -> None:
    """The state is saved in the middle of what a line of metrics averages over."""
    preset = tiny_preset(evaluate_every=4 * BATCH, save_every=3 * BATCH)
    train(preset, tmp_path / "straight")
    lose(preset, tmp_path / "broken", step=7)
    train(preset, tmp_path / "broken")
    pd.testing.assert_frame_equal(measured(tmp_path / "broken"), measured(tmp_path / "straight"))


def test_lost_between_the_last_step_and_the_checkpoint(
    finished: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = finished("muon")

    def lost(*_: Any, **__: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "save_checkpoint", lost)
        with pytest.raises(Interrupted):
            train(tiny_preset(), tmp_path)
    stop_at(monkeypatch, 0)
    assert_same(weights(train(tiny_preset(), tmp_path)), alone.weights)
    pd.testing.assert_frame_equal(measured(tmp_path), alone.metrics)


def test_a_loss_that_is_not_finite(
    finished: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stops with the step named; the last good state is kept, and from it the run goes on."""
    with monkeypatch.context() as patch:
        stop_at(patch, 6, nan=True)
        with pytest.raises(TrainingStopped, match="the loss is nan at step 6; what was saved before is kept in"):
            train(tiny_preset(), tmp_path)
    assert saved(tmp_path) == 4
    assert not (tmp_path / CHECKPOINT).exists()
    assert_same(weights(train(tiny_preset(), tmp_path)), finished("muon").weights)


def test_a_gradient_that_is_not_finite(
    finished: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come with a finite loss: no step is taken, so that no state with ruined weights is saved."""
    with monkeypatch.context() as patch:
        break_gradient(patch, step=7)  # the last before a state is saved
        with pytest.raises(TrainingStopped, match="the norm of the gradient is inf at step 7; what was saved before"):
            train(tiny_preset(), tmp_path)
    assert saved(tmp_path) == 4
    assert_same(weights(train(tiny_preset(), tmp_path)), finished("muon").weights)


def break_gradient(monkeypatch: pytest.MonkeyPatch, *, step: int) -> None:
    """One infinite entry at that step, where the loss is as ever."""
    whole = run_module.add_gradients

    def broken(model: Any, *arguments: Any, **settings: Any) -> dict[str, float]:
        sums = whole(model, *arguments, **settings)
        if settings["seed"][1] == step:
            model.W_E.grad[0, 0] = float("inf")
        return sums

    monkeypatch.setattr(run_module, "add_gradients", broken)


def test_metrics_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("train.state.pd.DataFrame.to_csv", full_disk)
    with pytest.raises(TrainingStopped, match=f"{METRICS} cannot be written"):
        train(tiny_preset(), tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TrainingStopped, match=r"file/run cannot be made \(.*\); choose another --out"):
        train(tiny_preset(), tmp_path / "file" / "run")


OTHERS: dict[str, tuple[dict[str, Any], int, str]] = {
    "training": (
        {"kind": "adamw"},
        1,
        r"another training \(optimizer: 'muon', now 'adamw'; decay: 'all', now 'matrices'\)",
    ),
    "spec": ({"world": "split"}, 1, r"another spec \(world: languages: \[.*\], now \[.*\]\)"),
    "seed": ({}, 2, r"another seed \(1, now 2\)"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_the_state_of_another_run_is_refused(tmp_path: Path, other: str) -> None:
    lose(tiny_preset(), tmp_path, step=5)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    change, seed, message = OTHERS[other]
    with pytest.raises(TrainingStopped, match=f"holds a run with {message}.*choose another --out"):
        train(tiny_preset(**change), tmp_path, seed=seed)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("damage", ["cut short", "one bit", "not ours", "an older one", "other parts"])
def test_a_state_that_this_program_did_not_write_is_refused(tmp_path: Path, damage: str) -> None:
    """And left where it is."""
    lose(tiny_preset(), tmp_path, step=5)
    path, state, said = tmp_path / STATE, load_state(tmp_path), "is damaged, .*put back a copy, or delete"
    assert state is not None
    data = path.read_bytes()
    if damage == "cut short":
        path.write_bytes(data[:-4000])
    elif damage == "one bit":
        path.write_bytes(data[:9000] + bytes([data[9000] ^ 1]) + data[9001:])
    elif damage == "not ours":
        torch.save(state, path)
        said = "does not begin as a state of this version does: continue with"
    elif damage == "an older one":
        save_state(tmp_path, {key: part for key, part in state.items() if key != "parts"})
        said = "lacks parts, as one of another version would: continue with"
    else:
        save_state(tmp_path, state | {"parts": 4096})
        said = r"holds a run of another version \(batches in parts of 4096 positions, now 2048\): continue with"
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TrainingStopped, match=said):
        train(tiny_preset(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("other", OTHERS)
def test_the_checkpoint_of_another_run_is_refused(tmp_path: Path, other: str) -> None:
    train(tiny_preset(games=BATCH), tmp_path)
    change, seed, message = OTHERS[other]
    with pytest.raises(TrainingStopped, match=f"holds a run with {message}"):
        train(tiny_preset(**{"games": BATCH, **change}), tmp_path, seed=seed)


def test_a_checkpoint_that_tells_nothing_is_refused(tmp_path: Path) -> None:
    """One that was trained elsewhere, say."""
    preset = tiny_preset()
    save_checkpoint(tmp_path / CHECKPOINT, Checkpoint(build_model(preset.spec, seed=1), preset.spec, {}))
    with pytest.raises(
        TrainingStopped, match=r"holds a run with another training \(None, now \{'games'.*another --out"
    ):
        train(preset, tmp_path)


@pytest.mark.parametrize("world", ["compositional", "split", "unified"])
def test_every_kind_of_language_trains(tmp_path: Path, world: str) -> None:
    checkpoint = train(tiny_preset(world=world, games=3 * BATCH), tmp_path)
    columns = [f"legal_{language}" for language in checkpoint.mothello.inputs]
    assert list(pd.read_csv(tmp_path / METRICS))[4:] == columns
    assert [line["language"] for line in checkpoint.provenance["held_out"]] == list(checkpoint.mothello.inputs)


PRESET = preset_text("atomic", games=32, batch=16, precision="bfloat16")


@pytest.mark.parametrize("wrong", [("--device", "cudda"), ("--log", "mlflow")])
def test_what_cannot_be_is_refused_before_there_is_a_folder(tmp_path: Path, wrong: tuple[str, str]) -> None:
    (tmp_path / "mine.toml").write_text(PRESET, encoding="utf-8")
    shown = CliRunner().invoke(app, ["pretrain", f"{tmp_path}/mine.toml", "--out", f"{tmp_path}/run", *wrong])
    assert (shown.exit_code, shown.output.count("\n")) == (1, 1)
    assert not (tmp_path / "run").exists()


def test_from_the_command_line_to_an_exported_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PRESET, encoding="utf-8")
    run, export = tmp_path / "run", tmp_path / "export"
    shown = CliRunner().invoke(app, ["pretrain", f"{tmp_path}/mine.toml", "--out", f"{run}", "--seed", "3", "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert f"checkpoint: {run / CHECKPOINT}" in shown.output
    assert shown.output.startswith("language 0: top-1 legal 0.")
    assert CliRunner().invoke(app, ["export", f"{run}", f"{export}"]).exit_code == 0
    again = CliRunner().invoke(app, ["export", f"{run}", f"{export}"])
    assert (again.exit_code, "error: " in again.output, "exists" in again.output) == (1, True, True)
    trained, exported = load_checkpoint(run / CHECKPOINT), load_checkpoint(export)
    assert exported.provenance == trained.provenance
    assert (exported.provenance["seed"], exported.provenance["precision"]) == (3, "bfloat16")
    assert_same(weights(exported), {name: weight.bfloat16().float() for name, weight in weights(trained).items()})

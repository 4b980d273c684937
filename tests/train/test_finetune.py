"""Fine-tuning on a 4x4 board: one language alone is read, every language is recorded, and no interruption changes it."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from mothello_interp.models import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from tests.conftest import tiny_checkpoint
from tests.train.tiny import Interrupted, assert_same, weights
from train import finetune as module
from train.__main__ import app
from train.finetune import TRANSFER, finetune
from train.options import TrainingStopped
from train.settings import Recipe
from train.state import CHECKPOINT, METRICS

BATCH, EPOCH = 16, 80
TRAINING: dict[str, Any] = {"games": 2 * EPOCH, "corpus_games": EPOCH, "batch": BATCH, "lr": 3e-3, "warmup": BATCH}
TRAINING |= {"precision": "float32", "evaluate_every": 2 * BATCH, "save_every": 2 * BATCH}


def recipe(**training: Any) -> Recipe:
    return Recipe.model_validate({"training": {**TRAINING, **training}, "name": "quick"})


def start(world: str = "atomic", **provenance: Any) -> Checkpoint:
    made = {"preset": "tiny/x", "seed": 4} | provenance
    return Checkpoint(tiny_checkpoint(world).model, tiny_checkpoint(world).spec, made, "tiny/x")


def tune(
    folder: Path, *, of: Checkpoint | None = None, language: int = 0, seed: int = 1, **training: Any
) -> Checkpoint:
    checkpoint = of or start()
    return finetune(recipe(**training), checkpoint, folder, language=language, seed=seed, quiet=True)


@pytest.fixture(autouse=True, scope="module")
def _few_rows() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FINAL_GAMES", 20)
        patch.setattr(module, "_FIT", 40)
        patch.setattr(module, "_SCORE", 20)
        yield


@pytest.mark.parametrize("world", ["atomic", "split", "unified"])
def test_what_a_run_writes(tmp_path: Path, world: str) -> None:
    of = start(world)
    before = weights(of)
    source = of.mothello.inputs[-1]
    tuned = tune(tmp_path, of=of, language=source)
    table = pd.read_csv(tmp_path / TRANSFER)
    inputs = list(of.mothello.inputs)
    assert table["language"].tolist() == inputs * 6
    assert table["games"].unique().tolist() == [0, 32, 64, 96, 128, 160]
    assert table["epoch"].unique().tolist() == [0, 0.4, 0.8, 1.2, 1.6, 2]
    assert table["top1"].between(0, 1).all()
    assert table.groupby("language")["alignment"].nunique().min() > 3
    at_home = table[table["language"] == source]
    assert (at_home["alignment"] == at_home["ceiling"]).all()
    assert len(pd.read_csv(tmp_path / METRICS)) == 5
    assert all(torch.equal(weight, before[name]) for name, weight in of.model.named_parameters())
    changed = weights(tuned)
    assert not torch.equal(changed["blocks.0.mlp.W_in"], before["blocks.0.mlp.W_in"])
    assert tuned.spec == of.spec
    made = load_checkpoint(tmp_path / CHECKPOINT).provenance
    assert (made["language"], made["seed"], made["games"]) == (source, 1, 160)
    assert made["start"]["preset"] == "tiny/x"
    assert made["start"]["seed"] == 4
    assert len(made["start"]["weights_sha256"]) == 64
    assert [line["language"] for line in made["held_out"]] == inputs


def test_one_language_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch is the same games again, in another order, without an opening, none of them seen before."""
    batches = []
    whole = module.Corpus.batch

    def seen(corpus: Any, *arguments: Any, **settings: Any) -> Any:
        batch = whole(corpus, *arguments, **settings)
        batches.append((arguments[0], batch))
        return batch

    monkeypatch.setattr(module.Corpus, "batch", seen)
    tune(tmp_path, language=1)
    assert all((batch.language == 1).all() for _, batch in batches)
    moves = [batch.games.moves for place, batch in batches if place < 2 * EPOCH]
    first, second = np.concatenate(moves[:5]), np.concatenate(moves[5:])
    assert not np.array_equal(first, second)
    assert np.array_equal(np.unique(first, axis=0), np.unique(second, axis=0))


def test_the_embedding_of_the_other_language_stays(tmp_path: Path) -> None:
    """It is never read; and decay of matrices leaves embeddings alone."""
    of = start()
    before, after = weights(of)["embed.W_E"], weights(tune(tmp_path, of=of))["embed.W_E"]
    mothello = of.mothello
    others = np.setdiff1d(mothello.tokens_of(1), mothello.anchor_tokens)
    assert torch.equal(before[others], after[others])
    assert not torch.equal(before[mothello.tokens_of(0)], after[mothello.tokens_of(0)])


@pytest.mark.parametrize("lost_at", [1, 3, 7])
def test_an_interruption_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost_at: int) -> None:
    expected = weights(tune(tmp_path / "straight"))
    whole, calls = module.transfer_state, 0

    def broken(*arguments: Any, **settings: Any) -> pd.DataFrame:
        nonlocal calls
        calls += 1
        if calls == lost_at:
            raise Interrupted
        return whole(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(module, "transfer_state", broken)
        if lost_at < 7:
            with pytest.raises(Interrupted):
                tune(tmp_path / "broken")
        else:
            tune(tmp_path / "broken")
    found = weights(tune(tmp_path / "broken"))
    assert_same(found, expected)
    one, other = (pd.read_csv(tmp_path / name / TRANSFER, dtype=str) for name in ("straight", "broken"))
    pd.testing.assert_frame_equal(one, other)


OTHERS: dict[str, Callable[[Path], Any]] = {
    "another start": lambda folder: tune(folder, of=start(seed=5)),
    "another language": lambda folder: tune(folder, language=1),
    "another training": lambda folder: tune(folder, lr=1e-3),
    "another seed": lambda folder: tune(folder, seed=2),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_run_is_refused(tmp_path: Path, other: str) -> None:
    tune(tmp_path)
    with pytest.raises(TrainingStopped, match=f"holds a run with {other}"):
        OTHERS[other](tmp_path)


def test_a_folder_that_holds_no_fine_tuning_is_refused(tmp_path: Path) -> None:
    """The run that is tuned, say, where --out was meant for another folder."""
    here = start(training=recipe().training.model_dump(mode="json"), seed=1)
    save_checkpoint(tmp_path / CHECKPOINT, here)
    with pytest.raises(
        TrainingStopped, match=r"holds a run with another language \(None, now 0\); choose another --out"
    ):
        tune(tmp_path)


def test_a_model_with_hooks_is_refused(tmp_path: Path) -> None:
    """The training step would not run them."""
    of = start()
    with (
        of.model.hooks(fwd_hooks=[("blocks.0.hook_resid_post", lambda rows, hook: 2 * rows)]),
        pytest.raises(TrainingStopped, match=r"hooks are attached to the model, at blocks\.0\.hook_resid_post: "),
    ):
        tune(tmp_path, of=of)
    assert not list(tmp_path.iterdir())


def test_a_seed_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match=r"--seed 1048576: expected 0 to 1048575"):
        tune(tmp_path, seed=1 << 20)


def test_a_model_that_the_step_cannot_stand_in_for_is_refused(tmp_path: Path) -> None:
    """Before it is trained as another."""
    of = start()
    relu = deepcopy(of.model)
    relu.cfg.act_fn = "relu"
    with pytest.raises(
        CheckpointError, match="a spec cannot describe this model: act_fn is 'relu', by the spec 'gelu'"
    ):
        tune(tmp_path, of=replace(of, model=relu))
    assert not list(tmp_path.iterdir())


def test_a_language_that_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(TrainingStopped, match=r"--language 0: tiny/x reads the languages \[1, 2\]"):
        tune(tmp_path, of=start("unified"), language=0)


RECIPE = """
[training]
corpus_games = 32
games = 32
batch = 16
evaluate_every = 32
"""


def test_from_the_command_line(tmp_path: Path) -> None:
    """From a folder, into a folder; and what cannot be is one line."""
    file = tmp_path / "quick.toml"
    file.write_text(RECIPE, encoding="utf-8")
    save_checkpoint(tmp_path / "run" / "checkpoint", start())

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["finetune", str(file), *arguments, "--quiet", "--out", str(tmp_path / "out")])

    done = call("--from", str(tmp_path / "run"), "--language", "1")
    assert done.exit_code == 0, done.output
    assert "language 0: top-1 legal" in done.output
    assert (tmp_path / "out" / TRANSFER).exists()
    wrong = call("--from", "mini/atomic-atomic-anchor4", "--language", "1")
    assert wrong.exit_code == 1
    assert wrong.output.startswith("error: no checkpoint 'mini/atomic-atomic-anchor4'")
    (tmp_path / "out").rename(tmp_path / "done")
    for arguments in (("--language", "7"), ("--language", "1", "--device", "cudda"), ("--language", "1", "--log", "x")):
        refused = call("--from", str(tmp_path / "run"), *arguments)
        assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
        assert refused.output.startswith("error: ")
        assert not (tmp_path / "out").exists()
    missing = call("--language", "1")
    assert missing.exit_code == 2
    assert "--from" in missing.output


@pytest.mark.parametrize("made_by", [{"preset": "../../x"}, {"preset": "/tmp/x"}, {"preset": ".x"}, {"seed": "../x"}])
def test_a_name_in_a_checkpoint_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_by: dict[str, Any]
) -> None:
    """The folder of a run is inside runs/, whatever the file says that it starts from."""
    monkeypatch.chdir(tmp_path)
    Path("quick.toml").write_text(RECIPE, encoding="utf-8")
    save_checkpoint(tmp_path / "run", start(**made_by))
    before = sorted(tmp_path.rglob("*"))
    refused = CliRunner().invoke(app, ["finetune", "quick.toml", "--from", "run", "--language", "1", "--quiet"])
    assert refused.exit_code == 1
    assert refused.output.startswith("error: the checkpoint's ")
    assert sorted(tmp_path.rglob("*")) == before


def test_its_seed_is_that_of_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless another one is given: so those of two pretrainings have folders and rows of their own."""
    monkeypatch.chdir(tmp_path)
    Path("quick.toml").write_text(RECIPE, encoding="utf-8")
    save_checkpoint(tmp_path / "run", start())
    for options, seed in (([], 4), (["--seed", "2"], 2)):
        call = ["finetune", "quick.toml", "--from", "run", "--language", "1", "--quiet", *options]
        done = CliRunner().invoke(app, call)
        assert done.exit_code == 0, done.output
        assert load_checkpoint(f"runs/tiny/x-quick-language1-seed{seed}/checkpoint").provenance["seed"] == seed

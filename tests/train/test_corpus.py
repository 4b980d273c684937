"""`python -m train corpus`: the games of a preset as a file."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mothello_interp.corpus import read_parquet, read_provenance
from mothello_interp.models import ModelSpec
from mothello_interp.models.spec import SpecError
from mothello_interp.othello import Games
from tests.train.tiny import tiny_preset
from train import corpus as module
from train.__main__ import app
from train.corpus import write_corpus
from train.settings import PRESETS, Preset


def games_in(path: Path) -> Games:
    parts = list(read_parquet(path))
    return Games(np.concatenate([part.moves for part in parts]), parts[0].board)


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", 4)
    preset = PRESETS / "mini" / "transfer-split-unified.toml"
    out = tmp_path / "new" / "games.parquet"
    arguments = ["corpus", f"{preset}", "--games", "10", "--out", f"{out}", "--seed", "3"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith(f"corpus: {out} (10 games)\n")
    settings = Preset.load(preset)
    assert games_in(out) == settings.corpus(3).games(0, 10)
    made = read_provenance(out)
    assert (made["preset"], made["seed"], made["games"], made["stream"]) == (settings.name, 3, 10, "training")
    assert made["opening"] == list(settings.training.opening) == ["c2", "b2", "a2"]
    (tmp_path / "spec.toml").write_text(made["spec"], encoding="utf-8")
    assert ModelSpec.load(tmp_path / "spec.toml") == settings.spec
    again = CliRunner().invoke(app, arguments)
    assert str(again.exception) == f"error: {out} exists; choose another name"


def test_held_out_games_are_those_that_training_measures_on(tmp_path: Path) -> None:
    preset = tiny_preset("sampled")
    held_out = write_corpus(preset, tmp_path / "a.parquet", 12, seed=1, held_out=True, quiet=True)
    assert games_in(held_out) == preset.corpus(1).held_out(12)
    trained = write_corpus(preset, tmp_path / "b.parquet", 12, seed=1, quiet=True)
    batch = preset.corpus(1).batch(0, 12).games
    assert games_in(trained) == batch != preset.corpus(1).held_out(12)


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write_corpus(tiny_preset(), tmp_path / name, 5, seed=1, quiet=True) for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()


def test_a_finite_set_of_games(tmp_path: Path) -> None:
    preset = tiny_preset(corpus_games=8)
    path = write_corpus(preset, tmp_path / "a.parquet", 8, seed=1, quiet=True)
    trained = preset.corpus(1).batch(0, 8).games
    assert sorted(games_in(path).moves.tolist()) == sorted(trained.moves.tolist())
    with pytest.raises(SpecError, match="tiny/x: games 8 to 8: this corpus is a set of 8"):
        write_corpus(preset, tmp_path / "b.parquet", 9, seed=1, quiet=True)
    write_corpus(preset, tmp_path / "b.parquet", 9, seed=1, held_out=True, quiet=True)

"""Every reader of files and of texts, with a sound one for each."""

import json
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch

from analyses._models import cached_rows, read_rows
from analyses._record import _known
from mothello_interp.corpus import read_parquet, write_parquet
from mothello_interp.explorer.links import from_link
from mothello_interp.hints import sealed
from mothello_interp.languages import authors_vocabulary, read_authors_config
from mothello_interp.models import (
    ModelSpec,
    import_authors,
    load_checkpoint,
    load_othello_gpt,
    save_checkpoint,
    write_manifest,
)
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS
from mothello_interp.models.zoo import MANIFEST, read_manifest
from mothello_interp.othello import (
    Games,
    random_games,
    read_names,
    read_transcripts,
    read_wthor,
    square_index,
    wthor_records,
)
from mothello_interp.probes import Probes, fit_probes
from mothello_interp.storage import read_activations, write_activations
from tests.conftest import tiny_checkpoint
from tests.models.test_mingpt import MinGPT
from tests.othello.wthor import write_names, write_transcripts, write_wthor
from tests.train.tiny import preset_text
from train.settings import Preset, Recipe
from train.state import STATE, Table, load_state
from train.sweep import _others

Read = Callable[[Any], object]
GAMES = random_games(3, board=8, seed=0)
CONFIG = (
    "{'language_types': ['atomic', 'split', 'compositional'], 'overlap_toks': {1: [[0, 1, 2]], 5: [[0, 2]]}, "
    "'train_seed': 7, 'unified_output': False}"
)
PRESET = preset_text("atomic", "split", games=160, lr=1e-3, opening=["b1", "a1"], language_weights=[1, 2])
RECIPE = "[training]\ngames = 160\ncorpus_games = 16\nlr = 1e-3\nbetas = [0.9, 0.95]\n"


@dataclass(frozen=True)
class Reader:
    """What reads a file of this name, the bytes of a sound one, and what has to be done to bytes that are to be read."""

    file: str  # empty for what is given text
    sound: bytes
    read: Read
    pack: Callable[[bytes], bytes] = bytes
    beside: tuple[tuple[str, bytes], ...] = ()  # other files in its folder


def written(write: Callable[[Path], object], name: str) -> bytes:
    """The bytes of a file that a function writes."""
    with TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def of_games() -> dict[str, Reader]:
    """Those of games and languages."""
    wthor = written(lambda path: write_wthor(path, GAMES), "a.wtb")
    text = written(lambda path: write_transcripts(path, GAMES), "a.txt")
    return {
        "wthor": Reader("a.wtb", wthor, read_wthor),
        "wthor, skipping": Reader("a.wtb", wthor, lambda path: read_wthor(path, skipped=[])),
        "records": Reader("a.wtb", wthor, wthor_records),
        "players": Reader("a.jou", written(lambda path: write_names(path, ["One", "Two"]), "a.jou"), read_names),
        "transcripts": Reader("a.txt", text, read_transcripts),
        "transcripts, skipping": Reader("a.txt", text, lambda path: read_transcripts(path, skipped=[])),
        "games": Reader("a.npz", written(GAMES.save, "a.npz"), Games.load),
        "config": Reader("a.txt", CONFIG.encode(), read_authors_config),
        "moves": Reader("", GAMES.to_transcripts()[0].encode(), lambda text: Games.from_transcripts([text])),
        "square": Reader("", b"c4", lambda text: square_index(text, 8)),
    }


def of_models() -> dict[str, Reader]:
    """Those of settings, models and what is measured on them."""
    checkpoint, games = tiny_checkpoint(), random_games(20, board=4, seed=0)
    probes = fit_probes(checkpoint, games, epochs=1, seed=0)
    corpus = partial(write_parquet, parts=[games], mothello=checkpoint.mothello)
    rows = partial(write_activations, checkpoint=checkpoint, games=games)
    state = {"step": 3, "model": {"a": torch.ones(3)}, "optimizer": {}, "identity": {}, "tables": {}, "parts": 2048}
    state |= {"precision": "float32", "seconds": 0.0, "sums": {}}
    link = b"#moves=b1a1d4&move=2&language=0&layer=1&second=1&probe=1&symmetry=diagonal&flip=b1@1..&patch=1@0from1"
    theirs, weights = _authors_gpt(), "a.ckpt"
    found = {
        "link": Reader("", link, lambda text: from_link(checkpoint, text)),
        "authors' weights": Reader(weights, theirs, _imported, beside=(("a.txt", CONFIG.encode()),)),
        "authors' config": Reader("a.txt", CONFIG.encode(), _imported, beside=((weights, theirs),)),
        "preset": Reader("a.toml", PRESET.encode(), Preset.load),
        "recipe": Reader("a.toml", RECIPE.encode(), Recipe.load),
        "spec": Reader("a.toml", checkpoint.spec.to_toml().encode(), ModelSpec.load),
        "probes": Reader("a.safetensors", written(probes.save, "a.safetensors"), Probes.load),
        "corpus": Reader("a.parquet", written(corpus, "a.parquet"), lambda path: list(read_parquet(path))),
        "activations": Reader("a.parquet", written(rows, "a.parquet"), lambda path: list(read_activations(path, 0, 1))),
        "state dict": Reader("a.pth", written(partial(torch.save, _othello_gpt()), "a.pth"), load_othello_gpt),
        "state": Reader(STATE, written(partial(torch.save, state), STATE), _state, sealed),
        "state, unsealed": Reader(STATE, sealed(written(partial(torch.save, state), STATE)), _state),
    }
    with TemporaryDirectory() as folder:
        home = save_checkpoint(Path(folder) / "model", checkpoint)
        hashed = (home / PROVENANCE).read_bytes()
        (home / PROVENANCE).write_text(json.dumps({"seed": 0, "preset": "tiny/x"}), encoding="utf-8")
        files = tuple((name, (home / name).read_bytes()) for name in (WEIGHTS, SPEC, PROVENANCE))
        found["manifest"] = Reader(MANIFEST, write_manifest(home).read_bytes(), read_manifest)
    for name, data in files:
        others = tuple((other, there) for other, there in files if other != name)
        found[f"checkpoint's {name}"] = Reader(name, data, _loaded, beside=others)
    found["checkpoint's hashes"] = Reader(PROVENANCE, hashed, _loaded, beside=files[:2])
    return found


def of_results() -> dict[str, Reader]:
    """Those of tables that runs and analyses write."""
    rows = pd.DataFrame({"model": ["tiny/x"] * 3, "seed": 0, "layer": [-1, 0, 1], "accuracy": [0.5, 0.75, 1 / 3]})
    table = rows.to_csv(index=False).encode()
    made = {"version": "1", "models": {"tiny/x-seed0": {"spec": "a", "made_by": {"start": {"weights_sha256": "b"}}}}}
    runs = pd.DataFrame({"preset": ["tiny/x"], "seed": 0, "status": "trained", "folder": "runs/tiny/x"})
    return {
        "stored rows": Reader("a.csv", table, lambda path: read_rows(path, "model", "seed")),
        "what made them": Reader("a.json", json.dumps(made).encode(), _known),
        "cached table": Reader("a.csv", table, _quietly(cached_rows), sealed),
        "cached table, unsealed": Reader("a.csv", sealed(table), _quietly(cached_rows)),
        "sweep": Reader("a.csv", runs.to_csv(index=False).encode(), lambda path: _others(path, runs)),
        "metrics": Reader("a.csv", table, lambda path: Table(path, 2)),
    }


def _quietly(read: Read) -> Read:
    def quiet(path: Path) -> object:
        with redirect_stderr(StringIO()):
            return read(path)

    return quiet


def _loaded(path: Path) -> object:
    return load_checkpoint(path.parent)


def _imported(path: Path) -> object:
    return import_authors(path.with_name("a.ckpt"), path.with_name("a.txt"), n_heads=1)


def _authors_gpt() -> bytes:
    """A small model of theirs for CONFIG."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "a.txt").write_text(CONFIG, encoding="utf-8")
        mothello = read_authors_config(Path(folder) / "a.txt")
    model = MinGPT(len(authors_vocabulary(mothello)), mothello.n_ctx, n_layers=1, d_model=4, n_heads=1)
    return written(partial(torch.save, model.state_dict()), "a.ckpt")


def _state(path: Path) -> Any:
    return load_state(path.parent)


def _othello_gpt() -> dict[str, torch.Tensor]:
    """A small one."""
    from mothello_interp.models import build_model

    sizes = {"n_layers": 1, "d_model": 4, "n_heads": 1}
    spec = ModelSpec.read({"world": {"board": 8, "languages": ["atomic"]}, "model": sizes}, "small")
    return dict(build_model(spec, seed=0).state_dict())

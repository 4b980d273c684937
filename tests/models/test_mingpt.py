"""Models of the authors' layout, written down here from its description: the same logits after import, or a refusal."""

import hashlib
import math
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from mothello_interp.activations import collect
from mothello_interp.languages import read_authors_config
from mothello_interp.models import CheckpointError, ModelSpec, SpecError, import_authors, load, save_checkpoint
from mothello_interp.othello import random_games
from tests.conftest import scramble
from tests.languages import theirs
from train.__main__ import app

CONFIGS: dict[str, dict[str, Any]] = {
    "atomic": {
        "language_types": ["atomic", "atomic"],
        "overlap_toks": {19: [[0, 1]], 3: [[0, 1]]},
        "unified_output": False,
    },
    "mixed": {
        "language_types": ["atomic", "split", "compositional", "split"],
        "overlap_toks": {57: [[0, 2]], 9: [[1, 2]], 32: [[0, 1], [2, 3]]},
        "unified_output": False,
    },
    "unified": {
        "language_types": ["atomic", "compositional", "split"],
        "overlap_toks": {1: [[0, 2]]},
        "unified_output": True,
    },
    "idle": {
        "language_types": ["atomic", "compositional"],
        "overlap_toks": {square: [[0, 1]] for square in range(8)},
        "unified_output": False,
    },
}
every_config = pytest.mark.parametrize("name", CONFIGS)


class Attention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, block: int):
        super().__init__()
        self.key, self.query, self.value, self.proj = (nn.Linear(d_model, d_model) for _ in range(4))
        self.register_buffer("mask", torch.tril(torch.ones(block, block)).view(1, 1, block, block))
        self.n_heads = n_heads

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        future = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
        mixed = scores.masked_fill(future, -torch.inf).softmax(-1) @ v
        result: torch.Tensor = self.proj(mixed.transpose(1, 2).flatten(-2))
        return result


class Block(nn.Module):
    def __init__(self, d_model: int, n_heads: int, block: int):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.attn = Attention(d_model, n_heads, block)
        self.mlp = nn.Sequential(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        result: torch.Tensor = x + self.mlp(self.ln2(x))
        return result


class MinGPT(nn.Module):
    """Theirs, small and with random weights everywhere, biases and norms too."""

    def __init__(self, d_vocab: int, block: int, *, n_layers: int = 3, d_model: int = 24, n_heads: int = 8):
        super().__init__()
        self.tok_emb = nn.Embedding(d_vocab, d_model)
        self.pos_emb = nn.Parameter(torch.zeros(1, block, d_model))
        self.blocks = nn.Sequential(*(Block(d_model, n_heads, block) for _ in range(n_layers)))
        self.ln_f = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, d_vocab, bias=False)
        scramble(self, seed=1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.tok_emb(tokens) + self.pos_emb[:, : tokens.shape[1]])
        result: torch.Tensor = self.head(self.ln_f(x))
        return result


def model_of(name: str, folder: Path, **sizes: int) -> tuple[MinGPT, Path, Path]:
    """A model of theirs, and its two files."""
    config = CONFIGS[name] | {"train_seed": 7}
    words, count = theirs.tokenizer(config)
    block = max(sum(map(len, of_square.values())) for of_square in words) - 1
    model = MinGPT(count + 1, block, **sizes).eval()
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(repr(config), encoding="utf-8")
    torch.save(model.state_dict(), folder / f"gpt_{name}.ckpt")
    return model, folder / f"gpt_{name}.ckpt", folder / f"{name}.txt"


def their_numbers(name: str) -> dict[str, int]:
    """The index of theirs for each name of ours, from the words alone."""
    words, _ = theirs.tokenizer(CONFIGS[name] | {"train_seed": 7})
    return {
        f"{language}:{square}/{piece}": token + 1
        for language, of in enumerate(words)
        for square, tokens in of.items()
        for piece, token in enumerate(tokens)
    }


@every_config
def test_equal_logits(tmp_path: Path, name: str) -> None:
    """On real games in every language, read through their tokens there and ours here."""
    model, weights, config = model_of(name, tmp_path)
    ours = import_authors(weights, config)
    games = random_games(6, board=8, seed=3)
    number = their_numbers(name)
    words = ours.mothello.move_tokens
    of_ours = np.zeros(ours.mothello.d_vocab, int)
    for language, square, piece in np.argwhere(words):
        of_ours[words[language, square, piece]] = number[f"{language}:{square}/{piece}"]
    for language in ours.mothello.inputs:
        texts = [
            theirs.dataset(CONFIGS[name] | {"train_seed": 7}, [move for move in moves if move >= 0], language)[0]
            for moves in games.moves.tolist()
        ]
        tokens = ours.tokens(games, language)
        with torch.inference_mode():
            expected = model(torch.tensor(texts))[:, : tokens.shape[1], torch.from_numpy(of_ours)]
            found = ours.model(tokens)
        assert expected.std() > 0.1
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    used = len(set(of_ours.tolist()))
    assert used == ours.mothello.d_vocab == model.head.out_features - len(ours.provenance["unused_tokens"])
    assert ours.provenance["unused_tokens"] == (["1:1"] if name == "idle" else [])


@every_config
def test_from_the_command_line(tmp_path: Path, name: str) -> None:
    _, weights, config = model_of(name, tmp_path / "theirs")
    out = tmp_path / "mine" / name
    done = CliRunner().invoke(app, ["import-authors", f"{weights}", f"{config}", f"{out}"])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"checkpoint: {out}\n"
    direct, loaded = import_authors(weights, config), load(out)
    assert loaded.spec == direct.spec
    assert loaded.mothello == read_authors_config(config)
    assert loaded.mothello.vocabulary == direct.mothello.vocabulary
    assert ModelSpec.load(out / "spec.toml").to_toml() == direct.spec.to_toml()
    games = random_games(3, board=8, seed=4)
    assert torch.equal(collect(loaded, games).values, collect(direct, games).values)
    assert loaded.provenance["config"]["sha256"] == hashlib.sha256(config.read_bytes()).hexdigest()
    again = CliRunner().invoke(app, ["import-authors", f"{weights}", f"{config}", f"{out}"])
    assert again.exit_code == 1
    assert "exists; choose another name" in str(again.exception)


def test_the_number_of_heads_matters(tmp_path: Path) -> None:
    """It is not in their file, so it has to be given where it is not 8."""
    model, weights, config = model_of("atomic", tmp_path, n_heads=4, n_layers=1)
    tokens = torch.arange(1, 60)[None]
    ours = import_authors(weights, config, n_heads=4)
    with torch.inference_mode():
        expected = model(tokens)
        torch.testing.assert_close(ours.model(tokens), expected, atol=1e-5, rtol=1e-5)
        other = import_authors(weights, config).model(tokens)
    assert (other - expected).abs().max() > 0.01
    with pytest.raises(CheckpointError, match="has a width of 24, which n_heads=5 does not divide"):
        import_authors(weights, config, n_heads=5)
    done = CliRunner().invoke(app, ["import-authors", f"{weights}", f"{config}", f"{tmp_path / 'out'}", "--heads", "5"])
    assert isinstance(done.exception, SystemExit)
    assert str(done.exception).startswith("error: ")


def test_a_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    _, weights, config = model_of("atomic", tmp_path)
    _, _, another = model_of("mixed", tmp_path)
    with pytest.raises(CheckpointError, match=r"does not fit: tok_emb\.weight is \(119, 24\), expected \("):
        import_authors(weights, another)
    config.with_name("bad.txt").write_text("{}", encoding="utf-8")
    with pytest.raises(SpecError, match=r"bad\.txt is no config of the authors: it holds the keys \[\]"):
        import_authors(weights, config.with_name("bad.txt"))
    state = torch.load(weights, weights_only=True)
    for change, message in (
        ({"head.bias": torch.zeros(119)}, r"is no minGPT of 3 layers: 'head\.bias' is unknown \(1 names differ\)"),
        ({"blocks.1.ln1.bias": None}, r"'blocks\.1\.ln1\.bias' is missing \(1 names"),
        ({"pos_emb": torch.zeros(1, 58, 24)}, r"pos_emb is \(1, 58, 24\), expected \(1, 59, 24\)"),
        (
            {"tok_emb.weight": None},
            r"is no minGPT: expected tok_emb\.weight and blocks, not \['pos_emb'",
        ),
        ({"tok_emb.weight": torch.tensor(1.0)}, r"is no minGPT: expected"),
        (dict.fromkeys(name for name in state if name.startswith("blocks.")), r"is no minGPT: expected"),
    ):
        torch.save({key: value for key, value in (state | change).items() if value is not None}, weights)
        with pytest.raises(CheckpointError, match=message):
            import_authors(weights, config)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def test_nothing_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, weights, config = model_of("atomic", tmp_path)
    torch.save({"tok_emb.weight": Evil()}, weights)
    with pytest.raises(CheckpointError, match=r"gpt_atomic\.ckpt is no state dict of tensors alone: "):
        import_authors(weights, config)
    assert capsys.readouterr().out == ""
    for content in (b"", b"nothing"):
        weights.write_bytes(content)
        with pytest.raises(CheckpointError, match="is no state dict of tensors alone: "):
            import_authors(weights, config)
    for stored in ([1], {"tok_emb.weight": 3}):
        torch.save(stored, weights)
        with pytest.raises(CheckpointError, match=r"expected torch\.save|no plain tensor"):
            import_authors(weights, config)
    with pytest.raises(FileNotFoundError):
        import_authors(tmp_path / "none.ckpt", config)


def test_a_file_that_asks_for_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    """One number that is said to be a matrix of 4 TB; a tensor without values; a file that is packed; one of many views."""
    _, weights, config = model_of("atomic", tmp_path)
    names = [f"blocks.{layer}.ln1.weight" for layer in range(9)]
    views = {name: torch.zeros(1000).expand(10, 1000) for name in names}
    for stored in (
        {"tok_emb.weight": torch.zeros(1).expand(10**6, 10**6)},
        views,
        {"a": torch.zeros(9, device="meta")},
    ):
        torch.save(stored, weights)
        with pytest.raises(CheckpointError, match=r"no plain tensor|its tensors have"):
            import_authors(weights, config)
    torch.save({"tok_emb.weight": torch.zeros(10**6)}, tmp_path / "plain")
    with ZipFile(tmp_path / "plain") as plain, ZipFile(weights, "w", ZIP_DEFLATED) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(CheckpointError, match="is compressed"):
        import_authors(weights, config)


def test_an_imported_model_is_saved_whole(tmp_path: Path) -> None:
    _, weights, config = model_of("mixed", tmp_path)
    folder = save_checkpoint(tmp_path / "saved", import_authors(weights, config))
    assert load(folder).provenance["imported_from"] == "a checkpoint of the authors of arXiv 2404.12444"

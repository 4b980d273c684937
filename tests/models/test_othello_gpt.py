"""Othello-GPTs in both public layouts, with random weights: the same logits, token by token, or a refusal."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp import load, load_othello_gpt, random_games
from mothello_interp.models import CheckpointError, ModelSpec, SpecError, save_checkpoint
from tests.architectures import built
from tests.models.test_mingpt import MinGPT

GAMES = random_games(6, board=8, seed=5)


def their_tokens() -> torch.Tensor:
    """The games as `itos` of Li et al. numbers their moves: a shift by 1 before the start squares, then by -1 and -3."""
    moves = GAMES.moves[:, :59].astype(int)
    shift = np.select([moves < 0, moves < 27, moves < 35], [1, 1, -1], -3)
    return torch.from_numpy(moves + shift)


def hooked(norm: str) -> Any:
    sizes = {"n_layers": 2, "d_model": 24, "n_heads": 3}
    spec = ModelSpec.read({"world": {"board": 8, "languages": ["atomic"]}, "model": sizes}, "small")
    return built(spec, normalization_type=norm).model


@pytest.mark.parametrize("layout", ["minGPT", "LN", "LNPre"])
def test_equal_logits(layout: str, tmp_path: Path) -> None:
    model = MinGPT(61, 59).eval() if layout == "minGPT" else hooked(layout)
    ours = load_othello_gpt(model.state_dict())
    tokens = ours.tokens(GAMES, 0)
    assert torch.equal(tokens, their_tokens())
    with torch.inference_mode():
        expected = model(tokens)
        assert expected.std() > 0.1
        torch.testing.assert_close(ours.model(tokens), expected, atol=1e-5, rtol=1e-5)
        torch.save(model.state_dict(), tmp_path / "model.pth")
        saved = load(save_checkpoint(tmp_path / "saved", load_othello_gpt(tmp_path / "model.pth")))
        torch.testing.assert_close(saved.model(tokens), expected, atol=1e-5, rtol=1e-5)


def test_another_model_is_refused() -> None:
    state = hooked("LNPre").state_dict()
    for change, message in (
        ({"embed.W_E": torch.zeros(62, 24)}, r"embed\.W_E is \(62, 24\), expected \(61, 24\)"),
        ({"pos_embed.W_pos": torch.zeros(60, 24)}, r"W_pos is \(60, 24\), expected \(59, 24\)"),
        ({"blocks.1.ln1.w": torch.zeros(24)}, r"blocks\.0\.ln1\.b is missing"),
        ({"blocks.0.attn.W_Q": torch.zeros(24)}, r"no blocks\.0\.attn\.W_Q"),
        (
            {"embed.W_E": torch.full((61, 24), torch.nan)},
            r"the state dict: embed\.W_E holds values that are not finite",
        ),
        ({"extra": torch.zeros(1)}, r"extra is \(1,\), expected no such weight"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load_othello_gpt(state | change)
    with pytest.raises(SpecError, match="divisible"):
        load_othello_gpt(state | {"blocks.0.attn.W_Q": torch.zeros(5, 24, 8)})
    with pytest.raises(CheckpointError, match="is no minGPT: expected"):
        load_othello_gpt({"transformer.wte.weight": torch.zeros(61, 24)})
    with pytest.raises(CheckpointError, match=r"does not fit: .*\(62, 24\), expected \(61, 24\)"):
        load_othello_gpt(MinGPT(62, 59).state_dict())

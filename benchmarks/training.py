"""The training step against HookedTransformer.forward and against a plain transformer with fused attention, and the part of
a run that its metrics take."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.timing import side_by_side
from mothello_interp.models import Checkpoint, build_model
from train.parallel import precision
from train.pretrain import QuickLegality
from train.settings import PRESETS, Preset
from train.step import fused_logits, loss_sum

_BATCH = 256


class _Block(nn.Module):
    def __init__(self, d_model: int, n_heads: int):
        super().__init__()
        self.n_heads = n_heads
        self.ln1, self.ln2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.qkv, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.mlp = nn.Sequential(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, d_model = x.shape
        query, key, value = self.qkv(self.ln1(x)).view(batch, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, d_model))
        return x + self.mlp(self.ln2(x))


class _Plain(nn.Module):
    """A GPT as one would write it without hooks."""

    def __init__(self, n_layers: int, d_model: int, n_heads: int, n_ctx: int, d_vocab: int):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(d_vocab, d_model), nn.Embedding(n_ctx, d_model)
        self.blocks = nn.ModuleList(_Block(d_model, n_heads) for _ in range(n_layers))
        self.norm, self.head = nn.LayerNorm(d_model), nn.Linear(d_model, d_vocab, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def run() -> list[str]:
    """Lines to print."""
    preset = Preset.load(PRESETS / Path("mini/atomic-atomic-anchors4.toml"))
    model = build_model(preset.spec, seed=0)
    size = preset.spec.model
    mothello = preset.spec.mothello
    plain = _Plain(size.n_layers, size.d_model, size.n_heads, mothello.n_ctx, mothello.d_vocab)
    batch = preset.corpus(0).batch(0, _BATCH)
    tokens, targets = torch.from_numpy(batch.tokens), torch.from_numpy(batch.targets)
    lines = [f"{torch.get_num_threads()} threads, batch {_BATCH}, forward and backward and AdamW, mini"]
    dtypes = dict.fromkeys([torch.float32, precision(preset.training.precision, "cpu")])
    for dtype in dtypes:
        ours_with = partial(fused_logits, model, dtype=dtype)
        ours = _stepper(model, ours_with, tokens, targets)
        for name, other in (
            ("HookedTransformer.forward", _stepper(model, _cast(model, dtype), tokens, targets)),
            ("plain transformer, fused attention", _stepper(plain, _cast(plain, dtype), tokens, targets)),
            (
                "ours but for fused attention",
                _stepper(model, partial(ours_with, fused_attention=True), tokens, targets),
            ),
        ):
            mine, theirs, ratio = side_by_side(ours, other)
            lines.append(
                f"{str(dtype)[6:]}: ours {_BATCH / mine:,.0f} games/s, {name} {_BATCH / theirs:,.0f} games/s: {ratio:.2f} x"
            )
    return [*lines, *map(_evaluation, ("mini/atomic-atomic-anchors4", "mini/hundred-atomic"))]


def _evaluation(name: str) -> str:
    """The part of a run that the metrics take; at most 5% is promised."""
    preset = Preset.load(PRESETS / Path(f"{name}.toml"))
    model, corpus, dtype = (
        build_model(preset.spec, seed=0),
        preset.corpus(0),
        precision(preset.training.precision, "cpu"),
    )
    batch = corpus.batch(0, _BATCH)
    step = _stepper(
        model,
        partial(fused_logits, model, dtype=dtype),
        torch.from_numpy(batch.tokens),
        torch.from_numpy(batch.targets),
    )
    metrics = partial(QuickLegality(corpus), Checkpoint(model, preset.spec), dtype)
    a_step, a_line, _ = side_by_side(step, metrics)
    between = a_step * preset.training.evaluate_every / _BATCH
    return f"{name}: metrics every {preset.training.evaluate_every:,} games take {a_line / (a_line + between):.1%} of a run"


def _cast(model: nn.Module, dtype: torch.dtype) -> Any:
    def forward(tokens: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            return model(tokens.long())

    return forward


def _stepper(model: nn.Module, forward: Any, tokens: torch.Tensor, targets: torch.Tensor) -> Any:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        loss, count = loss_sum(forward(tokens).float(), targets)
        (loss / count).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step

"""A full patching grid, every layer and position of 64 pairs, against one full run a cell, with equal numbers.

On a processor arithmetic is the limit: a full run is as busy as a batch of cells, so what can be won is what need not be run
again. Of L blocks and T positions a cell of `resid_pre` needs (L + 1) / 2L and (T + 1) / 2T on average; behind the attention
of its block one block less. With few layers that is a third and a fifth, hence 3 and 5 times at the very most.
"""

from typing import Any

import torch
from transformer_lens import patching as reference

from mothello_interp import load, random_games
from mothello_interp.patching import minimal_pairs, patch_grid
from benchmarks.timing import side_by_side

_PAIRS, _CHANGED = 64, 20


def run() -> list[str]:
    """Lines to print."""
    checkpoint = load("mini/atomic-atomic-anchors4")
    model: Any = checkpoint.model
    games = random_games(20_000, board=6, seed=1)
    pairs = minimal_pairs(games, _PAIRS, seed=0, earliest=_CHANGED, latest=_CHANGED)
    clean, corrupted = (checkpoint.tokens(some, 0)[:, : _CHANGED + 3] for some in (pairs.clean, pairs.corrupted))
    sign = torch.from_numpy(pairs.legal_clean.astype("float32") - pairs.legal_corrupted)
    words = torch.from_numpy(checkpoint.mothello.move_tokens[0, :, 0]).long()

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return (logits[:, -1].softmax(-1)[:, words] * (words > 0) * sign).sum(1).mean()

    with torch.inference_mode():
        _, states = model.run_with_cache(clean)
    layers, length = model.cfg.n_layers, clean.shape[1]
    lines = [
        f"{_PAIRS} pairs of {length} moves, {layers} layers; ours, one run a cell, the ratio, and its limit in arithmetic"
    ]
    for hook in ("resid_pre", "attn_out", "mlp_out"):

        def ours(hook: str = hook) -> torch.Tensor:
            return patch_grid(model, clean, corrupted, metric, hook)

        def looped(hook: str = hook) -> torch.Tensor:
            with torch.inference_mode():
                found: torch.Tensor = getattr(reference, f"get_act_patch_{hook}")(model, corrupted, states, metric)
            return found

        off = (ours() - looped()).abs().max()
        fast, slow, ratio = side_by_side(ours, looped, repeats=3)
        blocks = (layers + (1 if hook == "resid_pre" else -1)) / (2 * layers)
        limit = 1 / (blocks * (length + 1) / (2 * length))
        lines.append(
            f"{hook}: {fast:.2f} s, {slow:.2f} s, {ratio:.1f}x of {limit:.1f}x; numbers differ by {off:.0e} at most"
        )
    return lines

"""Places in a model, and forward passes that are changed at some of them. Any HookedTransformer will do.

Runs that differ from one place on alone share what comes before it: the earlier blocks always, the earlier positions (by their
keys and values) where no hook of the user's own and no unusual position embedding asks for complete sequences.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch

from mothello_interp.arguments import whole
from mothello_interp.progress import shown

if TYPE_CHECKING:  # transformer_lens takes seconds to import, and the Hub's client with it
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache as Cache

    from mothello_interp.reading import Reading

HOOKS = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")  # of every block, [batch pos d_model]
HEAD_HOOKS = ("q", "k", "v", "z", "pattern")  # [batch pos head d_head], but pattern [batch head query key]
NEURON_HOOKS = ("pre", "post")  # before and after the MLP's nonlinearity, [batch pos d_mlp]
FwdHooks = list[tuple[str | Callable[..., Any], Callable[..., Any]]]  # as TransformerLens declares them
TOKENS = 3_072  # in one forward pass; more leave the caches of a processor


class NoEffectError(RuntimeError):
    """An edit that did not run, or ran and changed nothing."""


class Rows(NamedTuple):
    """What stands in a batch.

    Attributes:
        game: which of a reading's games, int64 `[row]`.
        cell: which of an experiment's cells, int64 `[row]`.
        end: the last position that belongs to the game, int64 `[row]`.
        start: the position of the batch's first column.
    """

    game: np.ndarray
    cell: np.ndarray
    end: np.ndarray
    start: int = 0

    def some(self, rows: np.ndarray, end: np.ndarray | None = None) -> "Rows":
        """Some of the rows, perhaps with an earlier end."""
        return Rows(self.game[rows], self.cell[rows], self.end[rows] if end is None else end)


class Hook(NamedTuple):
    """`act(activation) -> activation` at a hook point of a block."""

    name: str
    block: int
    act: Callable[[torch.Tensor], torch.Tensor]


class BoundEdit(Protocol):
    """An edit of one reading."""

    def first(self, rows: Rows) -> int:
        """A position before which it changes nothing in these rows."""

    def hooks(self, rows: Rows) -> list[Hook]:
        """What it does to a batch, whose columns are the positions from `rows.start` on."""

    def check(self) -> None:
        """Raise NoEffectError if it has changed nothing so far."""


@contextmanager
def gradients() -> Iterator[None]:
    """Gradients are kept, whatever the caller has set, which is as before afterwards."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


@contextmanager
def finite_runs(model: Any, who: object) -> Iterator[None]:
    """Every run `model(...)` gives finite numbers, or raises ValueError: what is measured in others means nothing.

    Args:
        who: what the error is to name.
    """

    def check(_: Any, __: Any, given: Any) -> None:
        if not isinstance(given, torch.Tensor) or torch.isfinite(given).all():
            return
        broken = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
        why = (
            f"{len(broken)} of its weights hold such values, first {broken[0]}: load the checkpoint again"
            if broken
            else f"its weights are finite, so an edit, a hook or {given.dtype} makes them too large"
        )
        raise ValueError(f"{who}: the model gives values that are not finite; {why}")

    handle = model.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def hook_name(layer: int, hook: str = "resid_post") -> str:
    """The hook point of a place, as TransformerLens spells it.

    Args:
        layer: -1 (the embeddings, `blocks.0.hook_resid_pre`; "resid_post" alone) or a block.
        hook: one of HOOKS; "q", "k", "v", "z" or "pattern" of the attention heads; "pre" or "post" of the MLP's neurons.

    Examples:
        >>> hook_name(-1), hook_name(2), hook_name(0, "z")
        ('blocks.0.hook_resid_pre', 'blocks.2.hook_resid_post', 'blocks.0.attn.hook_z')
    """
    if layer == -1 and hook == "resid_post":
        return "blocks.0.hook_resid_pre"
    inside = "attn." if hook in HEAD_HOOKS else "mlp." if hook in NEURON_HOOKS else ""
    return f"blocks.{layer}.{inside}hook_{hook}"


def check_hook(hook: str, known: Sequence[str] = (*HOOKS, *HEAD_HOOKS, *NEURON_HOOKS)) -> None:
    """ValueError for an unknown hook, naming those that there are."""
    if hook not in known:
        raise ValueError(f"hook={hook!r}: choose one of {', '.join(known)}")


def point(model: Any, layer: int, hook: str) -> str:
    """`hook_name` of a place that the model has.

    Raises:
        ValueError: for a layer or hook point that it does not have, naming those it has.
    """
    check_hook(hook)
    whole("layer", layer)
    if layer == -1 and hook != "resid_post":
        raise ValueError(f'layer=-1, hook={hook!r}: the embeddings are read at hook="resid_post" alone')
    if not -1 <= layer < model.cfg.n_layers:
        raise ValueError(f"layer {layer}: this model has layers -1 (the embeddings) to {model.cfg.n_layers - 1}")
    name = hook_name(layer, hook)
    if name not in model.hook_dict or (hook == "mlp_out" and model.cfg.attn_only):  # there, though nothing runs it
        raise ValueError(f"hook={hook!r}: this model has no hook point {name}")
    return name


def fwd_hooks(hooks: Iterable[Hook]) -> FwdHooks:
    """Hooks in TransformerLens' form, for `model.hooks(fwd_hooks=...)`."""
    return [(hook.name, partial(_call, hook.act)) for hook in hooks]


def _call(act: Callable[[torch.Tensor], torch.Tensor], activation: torch.Tensor, hook: Any) -> torch.Tensor:
    return act(activation)


def batches(items: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """Consecutive parts of `items`, each with about `TOKENS` tokens in sequences of a length."""
    size = max(1, TOKENS // max(1, length))
    yield from shown([items[first : first + size] for first in range(0, len(items), size)], "runs of the model")


def keys_suffice(model: Any) -> bool:
    """Whether tokens can be run after keys and values alone: no hooks of the user's, known position embeddings."""
    config = model.cfg
    plain = config.attention_dir == "causal" and config.positional_embedding_type in ("standard", "rotary")
    return plain and not any(place.fwd_hooks for place in model.hook_dict.values())


def run_edited(
    model: Any, tokens: torch.Tensor, rows: Rows, bound: Sequence[BoundEdit], *, keep: bool = False
) -> tuple[torch.Tensor, "Cache | None"]:
    """The logits `[row pos vocab]` of tokens `[row pos]` with edits in place; with `keep` their keys and values, if they suffice.

    Equal sequences are run once up to the first place that an edit changes.
    """
    start = min((edit.first(rows) for edit in bound), default=0)
    distinct, place = torch.unique(tokens, dim=0, return_inverse=True) if bound else (tokens, tokens)
    if bound and 2 * len(distinct) <= len(tokens):
        start = min(start, tokens.shape[1] - 1) if keys_suffice(model) else 0
        hooks = [one for edit in bound for one in edit.hooks(rows._replace(start=start))]
        return Trunk(model, distinct, [_block(model, hooks)]).run(place, hooks, start)
    past, options = None, {}
    if keep and keys_suffice(model):
        past = _new_cache(model, tokens)
        options = {"past_kv_cache": past, "attention_mask": torch.ones_like(tokens)}
    with model.hooks(fwd_hooks=fwd_hooks(one for edit in bound for one in edit.hooks(rows))):
        return model(tokens, **options), past


class Trunk:
    """Sequences run as they are, from which changed runs branch off at a block and a position.

    Args:
        tokens: int64 `[sequence pos]`.
        blocks: those at whose input runs will branch off.
    """

    def __init__(self, model: Any, tokens: torch.Tensor, blocks: Iterable[int]):
        self.model, self.inputs = model, dict[int, torch.Tensor]()
        self.past = _new_cache(model, tokens) if keys_suffice(model) else None
        handles = [model.blocks[block].register_forward_pre_hook(partial(self._see, block)) for block in blocks]
        try:
            self.logits, self.seen = model.run_with_cache(
                tokens,
                names_filter="hook_pos_embed",  # shortformer attention is given the positions at every block
                past_kv_cache=self.past,
                attention_mask=None if self.past is None else torch.ones_like(tokens),
            )
        finally:
            for handle in handles:
                handle.remove()

    def _see(self, block: int, _: Any, arguments: tuple[torch.Tensor, ...]) -> None:
        self.inputs[block] = arguments[0]

    def run(self, place: torch.Tensor, hooks: Sequence[Hook], start: int = 0) -> tuple[torch.Tensor, "Cache | None"]:
        """Logits `[row pos vocab]` of the sequences `place` `[row]`, changed by hooks from a position on; keys and values.

        Args:
            start: the position of the first column that hooks are given, 0 unless `keys_suffice`.
        """
        block = _block(self.model, hooks)
        residual = self.inputs[block][place, start:]
        before = f"blocks.{block - 1}.hook_resid_post"
        for hook in hooks:
            residual = hook.act(residual) if hook.name == before else residual
        options: dict[str, Any] = {}
        if self.model.cfg.positional_embedding_type == "shortformer":
            options["shortformer_pos_embed"] = self.seen["hook_pos_embed"][place]
        past = None
        if self.past is not None:
            ends = [self.logits.shape[1]] * block + [start] * (self.model.cfg.n_layers - block)
            options["past_kv_cache"] = past = branch(self.past, place, ends)
        with self.model.hooks(fwd_hooks=fwd_hooks(hook for hook in hooks if hook.name != before)):
            changed = self.model(residual, start_at_layer=block, **options)
        return torch.cat([self.logits[place, :start], changed], dim=1) if start else changed, past


def branch(past: "Cache", rows: Any, ends: Sequence[int]) -> "Cache":
    """The keys and values of some rows, of every block up to a position (without it)."""
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache
    from transformer_lens.cache.key_value_cache_entry import TransformerLensKeyValueCacheEntry

    entries = [
        TransformerLensKeyValueCacheEntry(entry.past_keys[rows, :end], entry.past_values[rows, :end])
        for entry, end in zip(past.entries, ends, strict=True)
    ]
    return TransformerLensKeyValueCache(
        entries, torch.ones(len(rows), ends[-1], dtype=torch.int, device=entries[0].past_keys.device)
    )


def _new_cache(model: Any, tokens: torch.Tensor) -> "Cache":
    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache

    return TransformerLensKeyValueCache.init_cache(model.cfg, tokens.device, len(tokens))


def _block(model: Any, hooks: Sequence[Hook]) -> int:
    """The block before which hooks change nothing but its input."""
    first = min(hook.block + hook.name.endswith(f"{hook.block}.hook_resid_post") for hook in hooks)
    return min(first, model.cfg.n_layers - 1)


@dataclass(frozen=True, eq=False)
class StatePatch:
    """An edit that puts states in place of a reading's own, at one move of each game; they may differ by cell.

    Attributes:
        layer, hook, head: the place.
        values: float32 `[cell game d_model]` (`[cell game d_head]` of a head).
        moves: number of the move, int `[cell game]`.
        cell: number of the first of these cells; it changes no other ones.
    """

    layer: int
    values: torch.Tensor
    moves: np.ndarray
    hook: str = "resid_post"
    head: int | None = None
    cell: int = 0

    def bind(self, reading: "Reading") -> BoundEdit:
        return _BoundPatch(self, reading)

    def __str__(self) -> str:
        return f"StatePatch(layer={self.layer}, hook={self.hook!r})"


class _BoundPatch:
    def __init__(self, patch: StatePatch, reading: "Reading"):
        self.patch, self.changed = patch, False
        self.name = point(reading.checkpoint.model, patch.layer, patch.hook)
        if patch.head is not None and patch.hook not in HEAD_HOOKS:
            raise ValueError(f"{patch}: head={patch.head} goes with one of {', '.join(HEAD_HOOKS)}")
        if patch.moves.shape[1:] != (len(reading),) or patch.values.shape[:2] != patch.moves.shape:
            raise ValueError(
                f"values {tuple(patch.values.shape)}, moves {patch.moves.shape}: expected one a cell and game, for {len(reading)} games"
            )
        self.position = reading.positions(np.arange(len(reading)), patch.moves)

    def first(self, rows: Rows) -> int:
        _, position = self._at(rows)
        return int(position.min(initial=rows.end.max()))

    def hooks(self, rows: Rows) -> list[Hook]:
        return [Hook(self.name, max(self.patch.layer, 0), partial(self._act, rows))]

    def check(self) -> None:
        if not self.changed:
            raise NoEffectError(
                f"{self.patch} changed no state: pass allow_no_effect=True to `edited` if that is an answer"
            )

    def _act(self, rows: Rows, activation: torch.Tensor) -> torch.Tensor:
        result = activation.clone()
        seen = result.transpose(1, 2) if self.patch.hook == "pattern" else result
        here, position = self._at(rows)
        run = position <= np.minimum(rows.end[here], rows.start + seen.shape[1] - 1)
        here, position = here[run], position[run] - rows.start
        at: tuple[Any, ...] = (torch.from_numpy(here), torch.from_numpy(position))
        at = at if self.patch.head is None else (*at, self.patch.head)
        cell, game = (torch.from_numpy(part[here]) for part in (rows.cell - self.patch.cell, rows.game))
        values = self.patch.values[cell, game].to(activation)
        if seen[at].shape != values.shape:
            raise ValueError(f"{self.patch}: values of shape {tuple(values.shape)}, expected {tuple(seen[at].shape)}")
        self.changed = self.changed or not torch.equal(seen[at], values)
        seen[at] = values
        return result

    def _at(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """The rows that are of its cells, and the position in each, int64 `[patched]` both."""
        cell = rows.cell - self.patch.cell
        here = np.flatnonzero((cell >= 0) & (cell < len(self.position)))
        return here, self.position[cell[here], rows.game[here]]

"""Models, tokens, games and slow references that the tests of readings, edits and patching share."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp import decoding, forward, grids
from mothello_interp.forward import HOOKS, FwdHooks
from mothello_interp.models import Checkpoint, ModelSpec, build_model
from mothello_interp.models.build import config_of
from mothello_interp.othello import Games, random_games
from mothello_interp.pairs import Pairs, minimal_pairs
from tests.conftest import WORLDS, scramble, tiny_spec

LENGTH = 7
every_hook = pytest.mark.parametrize("hook", HOOKS)
every_language = pytest.mark.parametrize(
    ("world", "language"), [(world, language) for world in WORLDS for language in tiny_spec(world).mothello.inputs]
)
_KINDS: dict[str, dict[str, Any]] = {  # architectures that this package does not build
    "rotary": {"positional_embedding_type": "rotary", "rotary_dim": 4, "gated_mlp": True},
    "bidirectional": {"positional_embedding_type": "standard", "attention_dir": "bidirectional"},
    "shortformer": {"positional_embedding_type": "shortformer"},
    "grouped": {"positional_embedding_type": "rotary", "rotary_dim": 4, "n_key_value_heads": 1},
    "capped": {"attn_scores_soft_cap": 2.0, "output_logits_soft_cap": 3.0},
    "attn_only": {"attn_only": True, "act_fn": None},
}
KINDS = ["ours", *_KINDS]


@cache
def model(kind: str = "ours") -> HookedTransformer:
    """Three layers of large random weights."""
    if kind == "ours":
        built = build_model(tiny_spec(n_layers=3), seed=0)
    else:
        shape: dict[str, Any] = {"n_layers": 3, "d_model": 12, "n_heads": 3, "d_head": 4, "n_ctx": 9, "d_vocab": 15}
        kinds = {"normalization_type": "RMS", "act_fn": "silu", "device": "cpu", **_KINDS[kind]}
        built = _quietly(HookedTransformerConfig(**shape, **kinds, seed=0))
    scramble(built)
    return built.eval()


@cache
def sharp(world: str = "atomic", positions: str = "standard") -> Checkpoint:
    """An untrained model with weights so large that it is sure of its predictions; shared, so leave it as it is."""
    spec = NAIVE if world == "naive" else tiny_spec(world)
    config = config_of(spec)
    config.positional_embedding_type, config.rotary_dim = positions, config.d_head
    built = _quietly(config).eval()
    scramble(built, scale=0.5, seed=2)
    return Checkpoint(built, spec, {"seed": 0}, f"sharp/{world}")


def _quietly(config: HookedTransformerConfig) -> HookedTransformer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in build_model: transformer-lens 3 announces that 4 drops this class
        return HookedTransformer(config)


def two_inputs(of: HookedTransformer, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Unrelated tokens `[batch pos]`, clean and corrupted."""
    generator = torch.Generator().manual_seed(batch)
    clean, corrupted = torch.randint(0, of.cfg.d_vocab, (2, batch, LENGTH), generator=generator)
    return clean, corrupted


def per_example(logits: torch.Tensor) -> torch.Tensor:
    """A number per example, from every position."""
    weights = torch.linspace(1, 2, logits.shape[1])
    return (logits.softmax(-1)[:, :, 1] * weights).sum(1)


def overall(logits: torch.Tensor) -> torch.Tensor:
    return per_example(logits).mean()


@contextmanager
def untouched(of: HookedTransformer) -> Iterator[None]:
    """Fails if the body leaves a hook behind, or takes one away."""

    def hooks() -> list[int]:
        return [len(place.fwd_hooks) + len(place.bwd_hooks) for place in of.hook_dict.values()] + [
            len(module._forward_pre_hooks) for module in of.modules()
        ]

    before, level = hooks(), of.context_level
    try:
        yield
    finally:
        assert (hooks(), of.context_level) == (before, level)


@contextmanager
def largest_batch(of: HookedTransformer) -> Iterator[list[int]]:
    """Tokens (rows * positions) in every pass through each block, as they come."""
    seen = [0]

    def note(_: Any, arguments: tuple[torch.Tensor, ...]) -> None:
        seen.append(arguments[0].shape[0] * arguments[0].shape[1])

    handles = [block.register_forward_pre_hook(note) for block in of.blocks]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def limit(monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    """At most so many tokens in one forward pass, or one row."""
    for module in (forward, decoding, grids):
        monkeypatch.setattr(module, "TOKENS", tokens)


RANGES = {4: (2, 5), 6: (4, 20), 8: (10, 40)}


def ended(games: Games, ends: Any) -> Games:
    """The games, each up to so many moves."""
    ends = np.broadcast_to(np.asarray(ends), len(games))
    return Games(np.where(np.arange(games.moves.shape[1]) < ends[:, None], games.moves, -1), games.board)


@cache
def some_games() -> Games:
    """Six games, one of them truncated."""
    return ended(random_games(6, board=4, seed=5), [12, 12, 5, 12, 12, 12])


@cache
def games_of(side: int) -> Games:
    """Random games, some of them ended early."""
    n = 6000 if side == 4 else 600
    games = random_games(n, board=side, seed=5)
    ends = np.where(np.arange(n) % 7 == 0, np.arange(n) % games.moves.shape[1], games.moves.shape[1])
    return ended(games, ends)


@cache
def pairs_of(side: int, n: int = 60, seed: int = 0) -> Pairs:
    earliest, latest = RANGES[side]
    return minimal_pairs(games_of(side), n, seed=seed, earliest=earliest, latest=latest)


def some_of(pairs: Pairs, which: Sequence[int]) -> Pairs:
    return Pairs(pairs.clean[np.array(which)], pairs.corrupted[np.array(which)])


_SIZES = {"n_layers": 2, "d_model": 16, "n_heads": 2}
NAIVE = ModelSpec.read({"world": {"board": 4, "languages": ["atomic", "atomic"]}, "model": _SIZES}, "naive")


def spans(checkpoint: Checkpoint, language: int, moves: np.ndarray) -> list[list[int]]:
    """The positions of every move's tokens in one game, counted move by move."""
    found, place = [], 0
    for square in moves[moves >= 0]:
        length = int((checkpoint.mothello.move_tokens[language, square] != 0).sum())
        found.append(list(range(place, place + length)))
        place += length
    return found


def written(checkpoint: Checkpoint, language: int, moves: np.ndarray) -> torch.Tensor:
    """A game without padding, int64 `[1 pos]`."""
    words = checkpoint.mothello.move_tokens[language]
    return torch.tensor([[int(token) for move in moves[moves >= 0] for token in words[move] if token]])


def put(name: str, position: int, state: Any, head: int | None = None) -> FwdHooks:
    """Write a state into runs of one sequence."""

    def write(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        activation[(0, position) if head is None else (0, position, head)] = state
        return activation

    return [(name, write)]


def next_token(checkpoint: Checkpoint, tokens: torch.Tensor, hooks: Sequence[Any] = ()) -> np.ndarray:
    """Probabilities of the token after a sequence `[1 pos]`, `[vocab]`, from a complete run."""
    with torch.inference_mode():
        logits = checkpoint.model.run_with_hooks(tokens, fwd_hooks=list(hooks))
    found: np.ndarray = logits[0, -1].softmax(-1).numpy()
    return found


def predicted(
    checkpoint: Checkpoint,
    language: int,
    moves: np.ndarray,
    output: int,
    hooks: Sequence[Any] = (),
) -> np.ndarray:
    """Probability of each square as the move after a game, `[square]`: products of conditionals, each from a complete run
    without padding; 0 where the context has no room."""
    game = written(checkpoint, language, moves)

    @cache
    def after(beginning: tuple[int, ...]) -> np.ndarray | None:
        tokens = torch.cat([game, torch.tensor([beginning], dtype=torch.long)], dim=1)
        return next_token(checkpoint, tokens, hooks) if tokens.shape[1] <= checkpoint.model.cfg.n_ctx else None

    result = np.zeros(len(checkpoint.mothello.move_tokens[output]))
    for square, word in enumerate(checkpoint.mothello.move_tokens[output]):
        pieces = tuple(int(token) for token in word if token)
        parts = [after(pieces[:n]) for n in range(len(pieces))]
        if parts and parts[-1] is not None:
            result[square] = np.prod([part[piece] for part, piece in zip(parts, pieces, strict=True)])  # type: ignore[index]
    return result


def state_at(
    checkpoint: Checkpoint, language: int, moves: np.ndarray, move: int, name: str, head: int | None = None
) -> Any:
    """A state at the last token of a move of a game, `[d_model]`, or `[d_head]` of a head."""
    with torch.inference_mode():
        _, states = checkpoint.model.run_with_cache(written(checkpoint, language, moves))
    state = states[name][0, spans(checkpoint, language, moves)[move][-1]]
    return state if head is None else state[head]

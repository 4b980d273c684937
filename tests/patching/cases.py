"""Models, texts, games and pairs that the tests of patching share."""

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp.activations import collect
from mothello_interp.languages import Mothello
from mothello_interp.maps import Maps, fit_maps
from mothello_interp.models import Checkpoint, ModelSpec, build_model
from mothello_interp.othello import Games, Symmetry, random_games
from mothello_interp.patching import HOOKS, Pairs, minimal_pairs
from tests.conftest import scramble, tiny_spec

LENGTH = 7
every_hook = pytest.mark.parametrize("hook", HOOKS)


@cache
def model(kind: str = "ours") -> HookedTransformer:
    """Three layers of large random weights; the others are of architectures that this package does not build."""
    if kind == "ours":
        built = build_model(tiny_spec(n_layers=3), seed=0)
    else:
        shape: dict[str, Any] = {"n_layers": 3, "d_model": 12, "n_heads": 3, "d_head": 4, "n_ctx": 9, "d_vocab": 15}
        kinds: dict[str, Any] = {"positional_embedding_type": "rotary", "normalization_type": "RMS", "act_fn": "silu"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "rotary":
                kinds |= {"rotary_dim": 4, "gated_mlp": True}
            else:
                kinds |= {"positional_embedding_type": "standard", "attention_dir": kind}
            built = HookedTransformer(HookedTransformerConfig(**shape, **kinds, seed=0))
    scramble(built)
    return built.eval()


def two_texts(of: HookedTransformer, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
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


def hooks_of(of: HookedTransformer) -> int:
    return sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in of.hook_dict.values())


RANGES = {4: (2, 5), 6: (4, 20), 8: (10, 40)}


@cache
def games_of(side: int) -> Games:
    """Random games, some of them ended early."""
    n = 6000 if side == 4 else 600
    games = random_games(n, board=side, seed=5)
    ends = np.where(np.arange(n) % 7 == 0, np.arange(n) % games.moves.shape[1], games.moves.shape[1])
    return Games(np.where(np.arange(games.moves.shape[1]) < ends[:, None], games.moves, -1), side)


@cache
def pairs_of(side: int, n: int = 60, seed: int = 0) -> Pairs:
    earliest, latest = RANGES[side]
    return minimal_pairs(games_of(side), n, seed=seed, earliest=earliest, latest=latest)


def written(mothello: Mothello, language: int, moves: np.ndarray) -> tuple[torch.Tensor, list[int]]:
    """A game without padding, int64 `[1 pos]`, and where each move ends."""
    words = [[int(token) for token in mothello.move_tokens[language, move] if token] for move in moves if move >= 0]
    tokens = [token for word in words for token in word]
    return torch.tensor([tokens]), (np.cumsum([len(word) for word in words]) - 1).tolist()


_SIZES = {"n_layers": 2, "d_model": 16, "n_heads": 2}
NAIVE = ModelSpec.read({"world": {"board": 4, "languages": ["atomic", "atomic"]}, "model": _SIZES}, "naive")


@cache
def sharp(world: str = "atomic") -> Checkpoint:
    """An untrained model with weights so large that it is sure of what it says."""
    spec = NAIVE if world == "naive" else tiny_spec(world)
    built = build_model(spec, seed=0).eval()
    scramble(built, scale=0.5, seed=2)
    return Checkpoint(built, spec, {"seed": 0}, f"sharp/{world}")


def some_of(pairs: Pairs, which: list[int]) -> Pairs:
    index = np.array(which)
    legal = pairs.legal_clean[index], pairs.legal_corrupted[index]
    return Pairs(pairs.clean[index], pairs.corrupted[index], pairs.changed[index], *legal)


def answered(checkpoint: Checkpoint, language: int, moves: np.ndarray, answer: int, put: Any = None) -> np.ndarray:
    """Probability of each square's word behind a game, `[square]`: products of conditionals, from full runs without padding.

    Args:
        put: (hook name, position, state, head or None) to put into every run; nothing without.
    """
    text, _ = written(checkpoint.mothello, language, moves)
    words = checkpoint.mothello.move_tokens[answer]
    hooks = []
    if put is not None:
        name, position, state, head = put

        def write(activation: torch.Tensor, hook: Any) -> torch.Tensor:
            activation[(0, position) if head is None else (0, position, head)] = state
            return activation

        hooks = [(name, write)]

    @cache
    def next_token(beginning: tuple[int, ...]) -> np.ndarray:
        tokens = torch.cat([text, torch.tensor([beginning], dtype=torch.long)], dim=1)
        with torch.inference_mode():
            logits = checkpoint.model.run_with_hooks(tokens, fwd_hooks=hooks)
        found: np.ndarray = logits[0, -1].softmax(-1).numpy()
        return found

    result = np.zeros(len(words))
    for square, word in enumerate(words):
        pieces = tuple(int(token) for token in word if token)
        result[square] = np.prod([next_token(pieces[:n])[pieces[n]] for n in range(len(pieces))]) if pieces else 0
    return result


def state_at(
    checkpoint: Checkpoint, language: int, moves: np.ndarray, move: int, name: str, head: int | None = None
) -> Any:
    """A state at the last token of a move of a game, `[d_model]`, or `[d_head]` of a head."""
    text, ends = written(checkpoint.mothello, language, moves)
    with torch.inference_mode():
        _, states = checkpoint.model.run_with_cache(text)
    state = states[name][0, ends[move]]
    return state if head is None else state[head]


def maps_of(
    checkpoint: Checkpoint, games: Games, *, base: int, donor: int, symmetry: Any = "identity", **kind: Any
) -> Maps:
    """Maps from the donor's states to the base's."""
    given = collect(checkpoint, Symmetry.of(symmetry).inverse.games(games), languages=[donor])
    return fit_maps(given, collect(checkpoint, games, languages=[base]), symmetry=symmetry, **kind)

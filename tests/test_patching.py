"""Patching: equal to TransformerLens cell by cell, to a slow reading of its definition, and right on known models."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens import patching as reference

from mothello_interp import patching as module
from mothello_interp.activations import hook_name
from mothello_interp.languages import Mothello
from mothello_interp.models import Checkpoint, ModelSpec, build_model, load
from mothello_interp.othello import CONTROLS, SYMMETRIES, Games, random_games, replay
from mothello_interp.patching import HOOKS, SHARED_AFTER, Pairs, minimal_pairs, patch_grid, recovery
from tests.conftest import every_world, scramble, tiny_checkpoint, tiny_spec

LENGTH = 7
every_hook = pytest.mark.parametrize("hook", HOOKS)
SHOW = {
    "resid_pre": reference.get_act_patch_resid_pre,
    "resid_mid": reference.get_act_patch_resid_mid,
    "attn_out": reference.get_act_patch_attn_out,
    "mlp_out": reference.get_act_patch_mlp_out,
}


@cache
def model(kind: str = "ours") -> HookedTransformer:
    """Three layers of large random weights; "rotary" is of another architecture than this package builds."""
    if kind == "ours":
        built = build_model(tiny_spec(n_layers=3), seed=0)
    else:
        shape: dict[str, Any] = {"n_layers": 3, "d_model": 12, "n_heads": 3, "d_head": 4, "n_ctx": 9, "d_vocab": 15}
        kinds: dict[str, Any] = {"positional_embedding_type": "rotary", "normalization_type": "RMS", "act_fn": "silu"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = HookedTransformer(HookedTransformerConfig(**shape, **kinds, rotary_dim=4, gated_mlp=True, seed=0))
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


def patched_one_by_one(
    of: HookedTransformer,
    clean: torch.Tensor,
    corrupted: torch.Tensor,
    metric: Callable[[torch.Tensor], Any],
    hook: str,
) -> torch.Tensor:
    """One full run a cell."""
    grid = []
    with torch.inference_mode():
        _, states = of.run_with_cache(clean)
        for layer in range(of.cfg.n_layers):
            name = f"blocks.{layer}.hook_{hook}"
            for place in range(clean.shape[1]):

                def put(activation: torch.Tensor, hook: Any, place: int = place) -> torch.Tensor:
                    activation[:, place] = states[hook.name][:, place]
                    return activation

                grid.append(metric(of.run_with_hooks(corrupted, fwd_hooks=[(name, put)])))
    return torch.stack(grid).unflatten(0, (of.cfg.n_layers, -1))


@pytest.mark.parametrize("kind", ["ours", "rotary"])
@pytest.mark.parametrize("hook", SHOW)
def test_a_grid_is_that_of_transformer_lens(kind: str, hook: str) -> None:
    clean, corrupted = two_texts(model(kind))
    with torch.inference_mode():
        _, states = model(kind).run_with_cache(clean)
        expected = SHOW[hook](model(kind), corrupted, states, overall)
    found = patch_grid(model(kind), clean, corrupted, overall, hook)
    assert found.shape == (3, LENGTH)
    assert found.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_grid_of_resid_post() -> None:
    clean, corrupted = two_texts(model())
    expected = patched_one_by_one(model(), clean, corrupted, overall, "resid_post")
    torch.testing.assert_close(
        patch_grid(model(), clean, corrupted, overall, "resid_post"), expected, atol=1e-5, rtol=0
    )


def test_resid_pre_unless_told_otherwise() -> None:
    clean, corrupted = two_texts(model())
    found = patch_grid(model(), clean, corrupted, overall)
    assert torch.equal(found, patch_grid(model(), clean, corrupted, overall, hook="resid_pre"))
    assert not torch.allclose(found, patch_grid(model(), clean, corrupted, overall, hook="resid_mid"), atol=1e-3)


@every_hook
def test_a_metric_may_keep_its_batch(hook: str) -> None:
    clean, corrupted = two_texts(model())
    found = patch_grid(model(), clean, corrupted, per_example, hook)
    assert found.shape == (3, LENGTH, 3)
    torch.testing.assert_close(found.mean(2), patch_grid(model(), clean, corrupted, overall, hook), atol=1e-5, rtol=0)


@every_hook
def test_an_example_is_the_same_alone(hook: str) -> None:
    clean, corrupted = two_texts(model())
    found = patch_grid(model(), clean, corrupted, per_example, hook)
    for index in range(3):
        alone = patch_grid(model(), clean[index : index + 1], corrupted[index : index + 1], overall, hook)
        torch.testing.assert_close(alone, found[:, :, index], atol=1e-5, rtol=0)


@every_hook
@pytest.mark.parametrize("rows", [1, 5, 6, 10, 12])
def test_cells_are_the_same_however_many_run_together(hook: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cell a pass, then two, three and four, with a smaller last pass."""
    clean, corrupted = two_texts(model())
    expected = patched_one_by_one(model(), clean, corrupted, per_example, hook)
    monkeypatch.setattr(module, "_ROWS", rows)
    torch.testing.assert_close(patch_grid(model(), clean, corrupted, per_example, hook), expected, atol=1e-5, rtol=0)


@every_hook
def test_a_run_patched_with_itself_is_the_run(hook: str) -> None:
    clean, _ = two_texts(model())
    with torch.inference_mode():
        expected = per_example(model()(clean))
    found = patch_grid(model(), clean, clean, per_example, hook)
    torch.testing.assert_close(found, expected.expand_as(found), atol=1e-5, rtol=0)


def test_patching_leaves_no_trace() -> None:
    """Tokens, weights, gradients and the model's next answer are what they were."""
    clean, corrupted = two_texts(model())
    before = clean.clone(), corrupted.clone()
    with torch.inference_mode():
        answer = model()(corrupted)
    found = patch_grid(model(), clean, corrupted, overall)
    assert not found.requires_grad
    assert torch.equal(clean, before[0])
    assert torch.equal(corrupted, before[1])
    assert all(weight.grad is None for weight in model().parameters())
    with torch.inference_mode():
        assert torch.equal(model()(corrupted), answer)


def hooks_of(of: HookedTransformer) -> int:
    return sum(len(point.fwd_hooks) + len(point.bwd_hooks) for point in of.hook_dict.values())


@contextmanager
def own_hook(of: HookedTransformer) -> Iterator[list[str]]:
    """A hook of the user's, that notes where it fires."""
    fired: list[str] = []

    def note(activation: torch.Tensor, hook: Any) -> None:
        fired.append(hook.name)

    with of.hooks(fwd_hooks=[("blocks.1.hook_resid_mid", note)]):
        yield fired


class Stop(Exception):
    """Raised by a metric."""


@every_hook
@pytest.mark.parametrize("fails_at", [None, 0, 4])
def test_hooks_are_gone_afterwards(hook: str, fails_at: int | None) -> None:
    """Also when the metric raises, in the first cell or a later one; hooks of the user's stay."""
    clean, corrupted = two_texts(model())
    seen = 0

    def metric(logits: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen - 1 == fails_at:
            raise Stop
        return overall(logits)

    assert hooks_of(model()) == 0
    with own_hook(model()) as fired:
        assert hooks_of(model()) == 1
        if fails_at is None:
            patch_grid(model(), clean, corrupted, metric, hook)
        else:
            with pytest.raises(Stop):
                patch_grid(model(), clean, corrupted, metric, hook)
        assert hooks_of(model()) == 1
        before = len(fired)
        model()(clean)
        assert len(fired) == before + 1
    assert hooks_of(model()) == 0


def test_tokens_of_two_shapes() -> None:
    clean, corrupted = two_texts(model())
    message = re.escape("clean tokens (3, 6) and corrupted tokens (3, 7) must have one shape")
    with pytest.raises(ValueError, match=message):
        patch_grid(model(), clean[:, 1:], corrupted, overall)


@pytest.mark.parametrize("hook", ["resid", "hook_resid_pre", "pattern", ""])
def test_a_hook_that_is_none(hook: str) -> None:
    clean, corrupted = two_texts(model())
    with pytest.raises(
        ValueError, match=f"hook={hook!r}: choose one of resid_pre, resid_mid, resid_post, attn_out, mlp_out"
    ):
        patch_grid(model(), clean, corrupted, overall, hook)


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


every_side = pytest.mark.parametrize("side", RANGES)


@every_side
def test_pairs_differ_in_one_move(side: int) -> None:
    """In the move that is named, with SHARED_AFTER equal moves after it, where both games end."""
    pairs = pairs_of(side)
    differ = pairs.clean.moves != pairs.corrupted.moves
    assert len(pairs) == len(pairs.clean) == len(pairs.corrupted) == 60
    assert (differ.sum(axis=1) == 1).all()
    assert np.array_equal(differ.argmax(axis=1), pairs.changed)
    for games in (pairs.clean, pairs.corrupted):
        assert games.board == side
        assert np.array_equal(games.lengths, pairs.changed + 1 + SHARED_AFTER)


@every_side
def test_pairs_are_legal_games_with_the_same_movers(side: int) -> None:
    clean, corrupted = replay(pairs_of(side).clean), replay(pairs_of(side).corrupted)
    assert np.array_equal(clean.mover, corrupted.mover)
    at_end = clean.mover[np.arange(60), pairs_of(side).changed + SHARED_AFTER + 1]
    assert (at_end != 0).all()


@every_side
def test_pairs_tell_what_is_legal_at_their_ends(side: int) -> None:
    """And each game allows a move there that the other forbids."""
    pairs = pairs_of(side)
    end = pairs.changed + SHARED_AFTER + 1
    for games, legal in ((pairs.clean, pairs.legal_clean), (pairs.corrupted, pairs.legal_corrupted)):
        assert legal.shape == (60, side**2)
        assert np.array_equal(legal, replay(games).legal[np.arange(60), end])
    assert (pairs.legal_clean & ~pairs.legal_corrupted).any(axis=1).all()
    assert (pairs.legal_corrupted & ~pairs.legal_clean).any(axis=1).all()


@every_side
def test_changed_moves_fill_their_range(side: int) -> None:
    earliest, latest = RANGES[side]
    changed = minimal_pairs(games_of(side), 100, seed=3, earliest=earliest, latest=latest).changed
    assert earliest <= changed.min() < earliest + 2
    assert latest - 2 < changed.max() <= latest
    assert len(set(changed.tolist())) > 0.7 * (latest + 1 - earliest)


def test_the_range_unless_told_otherwise() -> None:
    changed = minimal_pairs(games_of(6), 100, seed=0).changed
    assert (changed.min(), changed.max()) == (4, 20)


@every_side
def test_clean_games_are_those_given(side: int) -> None:
    """Each the beginning of a different one, that goes on behind the pair's end."""
    pairs, given = pairs_of(side), games_of(side)
    used = set()
    for moves, changed in zip(pairs.clean.moves, pairs.changed, strict=True):
        end = changed + 1 + SHARED_AFTER
        (begins,) = np.nonzero((given.moves[:, :end] == moves[:end]).all(axis=1) & (given.lengths > end))
        used |= {next(index for index in begins.tolist() if index not in used)}
    assert len(used) == 60


def test_replacements_are_any_legal_move() -> None:
    """Not always the first: over many pairs each legal alternative has its turn."""
    pairs = minimal_pairs(random_games(4000, board=6, seed=8), 400, seed=0, earliest=4, latest=4)
    options = replay(pairs.clean).legal[np.arange(400), 4]
    options[np.arange(400), pairs.clean.moves[:, 4]] = False
    played = pairs.corrupted.moves[:, 4]
    rank = (options & (np.arange(36) < played[:, None])).sum(axis=1)
    assert options[np.arange(400), played].all()
    assert min(np.bincount(rank, minlength=3)[:3]) > 40


def test_pairs_follow_their_seed() -> None:
    """Fewer pairs are the first of more; another seed gives others."""
    again = minimal_pairs(games_of(6), 60, seed=0)
    fewer = minimal_pairs(games_of(6), 10, seed=0)
    other = minimal_pairs(games_of(6), 60, seed=1)
    assert again.clean == pairs_of(6).clean
    assert again.corrupted == pairs_of(6).corrupted
    assert fewer.corrupted == again.corrupted[:10]
    assert np.array_equal(fewer.legal_clean, again.legal_clean[:10])
    assert other.corrupted != again.corrupted


def test_too_few_games_for_pairs() -> None:
    with pytest.raises(ValueError, match=r"games gave \d+ minimal pairs, 300 asked for: pass more games"):
        minimal_pairs(games_of(6)[:50], 300, seed=0)
    with pytest.raises(ValueError, match="0 games gave 0 minimal pairs, 1 asked for"):
        minimal_pairs(games_of(6)[:0], 1, seed=0)


@pytest.mark.parametrize(("earliest", "latest"), [(0, 3), (-3, 3), (9, 8)])
def test_a_range_that_is_none(earliest: int, latest: int) -> None:
    """The move before the changed one is patched too, so there must be one."""
    with pytest.raises(ValueError, match=f"earliest={earliest}"):
        minimal_pairs(games_of(6), 1, seed=0, earliest=earliest, latest=latest)


def written(mothello: Mothello, language: int, moves: np.ndarray) -> tuple[torch.Tensor, list[int]]:
    """A game without padding, int64 `[1 pos]`, and where each move ends."""
    words = [[int(token) for token in mothello.words[language, move] if token] for move in moves if move >= 0]
    tokens = [token for word in words for token in word]
    return torch.tensor([tokens]), (np.cumsum([len(word) for word in words]) - 1).tolist()


class ByHand:
    """The definition of recovery, one pair, layer and move at a time, from full runs without padding."""

    def __init__(self, checkpoint: Checkpoint, pairs: Pairs, base: int, donor: int):
        self.checkpoint, self.pairs, self.base, self.donor = checkpoint, pairs, base, donor
        self.mothello = checkpoint.mothello

    def m(self, logits: torch.Tensor, pair: int) -> float:
        """From logits `[vocab]`: mass of the tokens that begin a move legal in the clean game alone, less that of the corrupted game's."""
        first = self.mothello.words[self.mothello.output_of(self.base), :, 0]
        clean, corrupted = (
            {int(first[square]) for square in np.flatnonzero(legal[pair])}
            for legal in (self.pairs.legal_clean, self.pairs.legal_corrupted)
        )
        mass = logits.softmax(-1)
        return float(mass[sorted(clean - corrupted)].sum() - mass[sorted(corrupted - clean)].sum())

    def runs(self, games: Games) -> np.ndarray:
        """m of every pair, for its clean or corrupted game, `[pair]`."""
        texts = [written(self.mothello, self.base, moves)[0][0] for moves in games.moves]
        with torch.inference_mode():
            logits = self.checkpoint.model(torch.nn.utils.rnn.pad_sequence(texts, batch_first=True))
        return np.array([self.m(logits[pair, len(text) - 1], pair) for pair, text in enumerate(texts)])

    def patched(self, pair: int, giver: int, layer: int, offset: int) -> float:
        """m of the corrupted run with the donor's state of the giver's clean game at one layer and move."""
        tokens, ends = written(self.mothello, self.base, self.pairs.corrupted.moves[pair])
        given, given_ends = written(self.mothello, self.donor, self.pairs.clean.moves[giver])
        there = min(self.pairs.changed[pair], self.pairs.changed[giver]) + offset
        name, here = hook_name(layer), ends[self.pairs.changed[pair] + offset]
        with torch.inference_mode():
            _, states = self.checkpoint.model.run_with_cache(given)

            def put(activation: torch.Tensor, hook: Any) -> torch.Tensor:
                activation[0, here] = states[name][0, given_ends[there]]
                return activation

            return self.m(self.checkpoint.model.run_with_hooks(tokens, fwd_hooks=[(name, put)])[0, -1], pair)


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


@cache
def told_apart(world: str, base: int, n: int) -> Pairs:
    """Pairs whose clean run has more of m than the corrupted one, in the sharp model; different lengths first."""
    pairs = pairs_of(4, 300)
    by_hand = ByHand(sharp(world), pairs, base, base)
    (found,) = np.nonzero(by_hand.runs(pairs.clean) - by_hand.runs(pairs.corrupted) >= 0.06)
    _, first = np.unique(pairs.changed[found], return_index=True)
    ordered = [*found[first].tolist(), *np.delete(found, first).tolist()]
    assert len(ordered) >= n
    return some_of(pairs, ordered[:n])


DIRECTIONS = [(0, 0), (0, 1), (1, 0)]  # base and donor, counted among the input languages


@every_world
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_recovery_is_a_ratio_of_sums(world: str, direction: tuple[int, int]) -> None:
    """By hand on three pairs, of which a fourth is dropped because its games are equal."""
    checkpoint = sharp(world)
    base, donor = (checkpoint.mothello.inputs[index] for index in direction)
    asked = told_apart(world, base, 3)
    twin = Games(np.vstack([asked.clean.moves, asked.clean.moves[:1]]), 4)
    other = Games(np.vstack([asked.corrupted.moves, asked.clean.moves[:1]]), 4)
    again = [np.concatenate([part, part[:1]]) for part in (asked.changed, asked.legal_clean, asked.legal_corrupted)]
    table = recovery(checkpoint, Pairs(twin, other, *again), base=base, donor=donor, resamples=20)
    by_hand = ByHand(checkpoint, asked, base, donor)
    corrupted = by_hand.runs(asked.corrupted).sum()
    room = by_hand.runs(asked.clean).sum() - corrupted
    assert [*zip(table["layer"], table["offset"], strict=True)] == [
        (layer, offset) for layer in (-1, 0) for offset in (-1, 0, 1, 2)
    ]
    for row in table.to_dict("records"):
        values = [by_hand.patched(pair, pair, row["layer"], row["offset"]) for pair in range(3)]
        assert row["recovery"] == pytest.approx((sum(values) - corrupted) / room, abs=1e-4)
        assert (row["pairs"], row["dropped"], row["base"], row["donor"]) == (3, 1, base, donor)
        assert row["hook"] == hook_name(row["layer"])
    assert table["recovery"].abs().max() > 0.1


@every_world
def test_the_zero_is_the_state_of_another_game(world: str) -> None:
    """Of two pairs each is the other's, at the same move number, or the last such move that the other has."""
    checkpoint = sharp(world)
    base, donor = checkpoint.mothello.inputs[:2]
    pairs = told_apart(world, base, 2)
    assert pairs.changed[0] != pairs.changed[1]
    table = recovery(checkpoint, pairs, base=base, donor=donor, resamples=20)
    by_hand = ByHand(checkpoint, pairs, base, donor)
    corrupted = by_hand.runs(pairs.corrupted).sum()
    room = by_hand.runs(pairs.clean).sum() - corrupted
    for row in table.to_dict("records"):
        values = [by_hand.patched(pair, 1 - pair, row["layer"], row["offset"]) for pair in (0, 1)]
        assert row["zero"] == pytest.approx((sum(values) - corrupted) / room, abs=1e-4)


def test_the_zero_stays_at_its_move_number_where_it_can() -> None:
    """Among many pairs, another one that goes on at least as long, if there is any; and never the pair itself."""
    pairs = some_of(pairs_of(4), np.argsort(pairs_of(4).changed, kind="stable").tolist())
    longest = pairs.changed == pairs.changed.max()
    for seed in range(5):
        other = module._another_pair(pairs, seed)
        assert (other != np.arange(60)).all()
        assert (pairs.changed[other] >= pairs.changed).all()
        assert len(set(other[~longest].tolist())) > 10


@every_world
def test_nothing_changes_before_the_games_differ(world: str) -> None:
    """In its own language the state before the changed move is the same, at every layer."""
    checkpoint = sharp(world)
    language = checkpoint.mothello.inputs[0]
    table = recovery(checkpoint, told_apart(world, language, 3), base=language, donor=language, resamples=20)
    before = table[table["offset"] == -1]
    assert len(before) == 2
    np.testing.assert_allclose(before[["recovery", "low", "high"]], 0, atol=1e-4)


MINI = "mini/atomic-atomic-{}"


@cache
def mini_recovery(regime: str, *, base: int, donor: int) -> pd.DataFrame:
    """Recovery of 24 pairs in a bundled model, languages counted among its inputs, by layer and offset."""
    checkpoint = load(MINI.format(regime))
    inputs = checkpoint.mothello.inputs
    table = recovery(checkpoint, pairs_of(6, 24), base=inputs[base], donor=inputs[donor], resamples=200)
    return table.set_index(["layer", "offset"])


def at_the_end(regime: str, column: str, *, donor: int) -> float:
    """At the last shared move, on average over the states that the first two blocks leave."""
    ends = mini_recovery(regime, base=0, donor=donor).loc[[(0, SHARED_AFTER), (1, SHARED_AFTER)]]
    return float(ends[column].mean())


def test_a_word_put_in_is_the_clean_game() -> None:
    """In its own language the embedding of the changed move is all that differs: that cell is 1, its neighbours are 0."""
    table = mini_recovery("anchors4", base=0, donor=0)
    words = table.loc[-1]
    np.testing.assert_allclose(words.loc[[0], ["recovery", "low", "high"]], 1, atol=1e-3)
    np.testing.assert_allclose(words.loc[[-1, 1, 2], "recovery"], 0, atol=1e-3)
    np.testing.assert_allclose(table.xs(-1, level="offset")["recovery"], 0, atol=1e-3)
    assert (words.loc[[0], "zero"] < 0.9).all()
    assert table["pairs"].iloc[0] + table["dropped"].iloc[0] == 24
    assert table["pairs"].iloc[0] >= 20


def test_languages_with_anchors_use_each_others_state() -> None:
    """Almost as well as their own, and better than another game's."""
    cross, own = at_the_end("anchors4", "recovery", donor=1), at_the_end("anchors4", "recovery", donor=0)
    zero = at_the_end("anchors4", "zero", donor=1)
    assert cross > zero + 0.1
    assert cross > own - 0.1


def test_naive_languages_do_not() -> None:
    """The other language's state does what another game's does, although their own state does more."""
    cross, zero = at_the_end("anchors0", "recovery", donor=1), at_the_end("anchors0", "zero", donor=1)
    assert abs(cross - zero) < 0.1
    assert at_the_end("anchors0", "recovery", donor=0) > cross + 0.1


def test_intervals_are_around_their_values() -> None:
    for regime, donor in (("anchors4", 0), ("anchors4", 1), ("anchors0", 1)):
        table = mini_recovery(regime, base=0, donor=donor)
        assert (table["low"] <= table["recovery"] + 1e-9).all()
        assert (table["high"] >= table["recovery"] - 1e-9).all()
        assert (table["zero_low"] <= table["zero"] + 1e-9).all()
        assert (table["zero_high"] >= table["zero"] - 1e-9).all()
    wide = table["high"].to_numpy() - table["low"].to_numpy()
    assert 0.05 < wide.max() < 0.5


def test_the_bootstrap_draws_whole_pairs() -> None:
    """Two pairs: a resample is one of them alone, taken twice, or both."""
    checkpoint = sharp()
    pairs = told_apart("atomic", 0, 2)
    both = recovery(checkpoint, pairs, base=0, donor=1, resamples=400)
    alone = [
        recovery(checkpoint, some_of(pairs, [pair] * 2), base=0, donor=1, resamples=5)["recovery"] for pair in (0, 1)
    ]
    lowest, highest = np.min(alone, axis=0), np.max(alone, axis=0)
    np.testing.assert_allclose(both["low"], lowest, atol=1e-4)
    np.testing.assert_allclose(both["high"], highest, atol=1e-4)
    assert (highest - lowest).max() > 0.05


def test_recovery_follows_its_seed() -> None:
    checkpoint, pairs = sharp(), pairs_of(4)
    first = recovery(checkpoint, pairs, base=0, donor=1, resamples=50, seed=1)
    torch.manual_seed(7)
    pd.testing.assert_frame_equal(recovery(checkpoint, pairs, base=0, donor=1, resamples=50, seed=1), first)
    other = recovery(checkpoint, pairs, base=0, donor=1, resamples=50, seed=2)
    pd.testing.assert_series_equal(other["recovery"], first["recovery"])
    assert (other[["low", "high", "zero"]] != first[["low", "high", "zero"]]).any().all()


@pytest.mark.parametrize("rows", [1, 150])
def test_recovery_is_the_same_however_many_cells_run_together(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, pairs = sharp(), pairs_of(4)
    expected = recovery(checkpoint, pairs, base=0, donor=1, resamples=50)
    monkeypatch.setattr(module, "_ROWS", rows)
    found = recovery(checkpoint, pairs, base=0, donor=1, resamples=50)
    pd.testing.assert_frame_equal(found, expected, atol=1e-4, rtol=0)


def test_recovery_of_a_single_pair() -> None:
    """It would have itself as the other pair that its zero needs."""
    with pytest.raises(ValueError, match="1 pairs: recovery needs two or more"):
        recovery(sharp(), told_apart("atomic", 0, 1), base=0, donor=1)


def test_recovery_leaves_no_hooks() -> None:
    checkpoint = sharp()
    recovery(checkpoint, pairs_of(4), base=0, donor=1, resamples=5)
    assert hooks_of(checkpoint.model) == 0


def test_a_model_that_tells_no_pair_apart() -> None:
    with pytest.raises(ValueError, match="the model tells none of 60 pairs apart"):
        recovery(tiny_checkpoint().untrained(), pairs_of(4), base=0, donor=1)


@pytest.mark.parametrize(("base", "donor"), [(0, 1), (1, 0)])
def test_a_language_that_is_no_input(base: int, donor: int) -> None:
    """The output language is only written."""
    with pytest.raises(ValueError, match="language 0 is no input language of this Mothello"):
        recovery(tiny_checkpoint("unified"), pairs_of(4), base=base, donor=donor)


@pytest.mark.parametrize("name", ["diagonal", "quarter_turn"])
def test_a_donor_seen_through_a_map(name: str) -> None:
    """Language 1 writes the square that the map shows with the embedding of the square itself: read through the inverse
    map it is language 0."""
    checkpoint, turn = sharp("naive"), (SYMMETRIES | CONTROLS)[name]
    pairs = told_apart("naive", 0, 3)
    own = recovery(checkpoint, pairs, base=0, donor=0, resamples=5)
    weights = checkpoint.model.W_E.data
    words = torch.from_numpy(checkpoint.mothello.words[:, :, 0].astype(np.int64))
    playable = words[0] > 0
    before = weights.clone()
    try:
        weights[words[1, torch.from_numpy(turn.squares(4))[playable]]] = before[words[0, playable]]
        through = recovery(checkpoint, pairs, base=0, donor=1, symmetry=turn.inverse, resamples=5)
        plain = recovery(checkpoint, pairs, base=0, donor=1, resamples=5)
    finally:
        weights.copy_(before)
    assert set(through["symmetry"]) == {turn.inverse.name}
    assert through["recovery"].to_numpy() == pytest.approx(own["recovery"].to_numpy(), abs=1e-5)
    assert (plain["recovery"] - own["recovery"]).abs().max() > 0.1

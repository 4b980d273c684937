"""Recovery: equal to a slow reading of its definition, and right on known models."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.forward import hook_name
from mothello_interp.legality import continuation_probabilities
from mothello_interp.models import Checkpoint, load
from mothello_interp.othello import CONTROLS, SYMMETRIES, Games, random_games
from mothello_interp.patching import (
    SHARED_AFTER,
    Pairs,
    attribution_grid,
    attribution_heads,
    minimal_pairs,
    reading,
    recovery,
)
from mothello_interp.patching import pairs as pairs_module
from tests.conftest import every_world, tiny_checkpoint
from tests.patching.cases import answered, hooks_of, maps_of, pairs_of, sharp, some_of, state_at, written
from tests.planted import openings, planted


class ByHand:
    """The definition of recovery, one pair, layer and move at a time, from full runs without padding."""

    def __init__(self, checkpoint: Checkpoint, pairs: Pairs, base: int, donor: int):
        self.checkpoint, self.pairs, self.base, self.donor = checkpoint, pairs, base, donor
        self.mothello = checkpoint.mothello

    def m(self, logits: torch.Tensor, pair: int) -> float:
        """From logits `[vocab]`: mass of the tokens that begin a move legal in the clean game alone, less that of the corrupted game's."""
        first = self.mothello.move_tokens[self.mothello.output_of(self.base), :, 0]
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
        other = pairs_module.another(pairs.changed, seed)
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
    monkeypatch.setattr(reading, "_ROWS", rows)
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
    words = torch.from_numpy(checkpoint.mothello.move_tokens[:, :, 0].astype(np.int64))
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


@cache
def told_apart_in_words(world: str, n: int) -> Pairs:
    """Pairs whose clean run has more of the clean game's moves, whole words of language 0, in the sharp model."""
    pairs = pairs_of(4, 300)
    sign = pairs.legal_clean.astype(float) - pairs.legal_corrupted
    clean, corrupted = (
        (continuation_probabilities(sharp(world), games, 0) * sign).sum(1) for games in (pairs.clean, pairs.corrupted)
    )
    return some_of(pairs, np.flatnonzero(clean - corrupted >= 0.06)[:n].tolist())


@pytest.mark.parametrize("world", ["atomic", "compositional"])
@pytest.mark.parametrize("hook", ["resid_pre", "resid_mid", "attn_out", "mlp_out", "z"])
def test_recovery_of_words_at_every_hook(world: str, hook: str) -> None:
    """Whole words, by the conditionals along their tokens, with what one block or head wrote for the donor."""
    checkpoint, pairs = sharp(world), told_apart_in_words(world, 2)
    table = recovery(checkpoint, pairs, base=0, donor=1, hook=hook, mass="word", resamples=5)
    sign = pairs.legal_clean.astype(float) - pairs.legal_corrupted
    clean, corrupted = (
        np.array([answered(checkpoint, 0, moves, 0) @ sign[pair] for pair, moves in enumerate(games.moves)])
        for games in (pairs.clean, pairs.corrupted)
    )
    assert (clean - corrupted >= 0.05).all()
    heads = [-1] if hook != "z" else [0, 1]
    assert [*zip(table["layer"], table["head"], strict=True)][::4] == [
        (layer, head) for layer in (0, 1) for head in heads
    ]
    for row in table.to_dict("records"):
        after, head = [], None if row["head"] < 0 else row["head"]
        for pair in range(2):
            move = int(pairs.changed[pair]) + row["offset"]
            state = state_at(checkpoint, 1, pairs.clean.moves[pair], move, row["hook"], head)
            _, ends = written(checkpoint.mothello, 0, pairs.corrupted.moves[pair])
            put = (row["hook"], ends[move], state, head)
            after.append(answered(checkpoint, 0, pairs.corrupted.moves[pair], 0, put) @ sign[pair])
        share = (sum(after) - corrupted.sum()) / (clean - corrupted).sum()
        assert row["recovery"] == pytest.approx(share, abs=2e-4)
    assert table["recovery"].abs().max() > 0.02


def test_an_estimate_is_the_attribution_of_its_cell() -> None:
    """Within a language: the gradient of the same metric, as `attribution_grid` and `attribution_heads` have it."""
    checkpoint, pairs = sharp(), told_apart("atomic", 0, 3)
    pairs = some_of(pairs, [0, 1])
    mothello, ends = checkpoint.mothello, pairs.changed + SHARED_AFTER
    clean, corrupted = (checkpoint.tokens(games, 0)[:, : ends.max() + 1] for games in (pairs.clean, pairs.corrupted))
    words = torch.from_numpy(mothello.move_tokens[0, :, 0]).long()
    sign = torch.from_numpy(
        (pairs.legal_clean.astype(np.float32) - pairs.legal_corrupted) * (mothello.move_tokens[0, :, 0] > 0)
    )

    def m(logits: torch.Tensor) -> torch.Tensor:
        return (logits[torch.arange(2), torch.from_numpy(ends)].softmax(-1)[:, words] * sign).sum(1)

    with torch.inference_mode():
        before, whole = m(checkpoint.model(corrupted)).sum(), m(checkpoint.model(clean)).sum()
    grids = {hook: attribution_grid(checkpoint.model, clean, corrupted, m, hook) for hook in ("resid_pre", "mlp_out")}
    grids["z"] = attribution_heads(checkpoint.model, clean, corrupted, m)
    for hook, found in grids.items():
        table = recovery(checkpoint, pairs, base=0, donor=0, hook=hook, approximate=True, resamples=5)
        for row in table.to_dict("records"):
            at = torch.from_numpy(pairs.changed + row["offset"])
            cell = found[row["layer"]][at] if hook != "z" else found[row["layer"]][at, row["head"]]  # [pair pair]
            assert row["recovery"] == pytest.approx(
                float((cell.diagonal().sum() - before) / (whole - before)), abs=1e-4
            )


def test_estimates_go_with_what_they_estimate() -> None:
    """On a trained model: a first look, good enough to choose where to look closer."""
    checkpoint, pairs = load(MINI.format("anchors4")), pairs_of(6, 24)
    exact, estimate = (
        recovery(checkpoint, pairs, base=0, donor=1, hook="z", approximate=approximate, resamples=5)["recovery"]
        for approximate in (False, True)
    )
    assert np.corrcoef(exact, estimate)[0, 1] > 0.6
    assert (exact - estimate).abs().max() > 0.01


def test_words_of_several_tokens_are_not_estimated() -> None:
    pairs = told_apart_in_words("compositional", 2)
    with pytest.raises(ValueError, match='an estimate needs mass="first"'):
        recovery(sharp("compositional"), pairs, base=0, donor=1, mass="word", approximate=True)


def test_a_code_of_its_own_recovers_through_a_map() -> None:
    """Fitted on other games, of the planted model whose languages have two codes of the board."""
    checkpoint = planted(shared=False)
    pairs = minimal_pairs(random_games(1000, board=4, seed=4), 12, seed=0, earliest=2, latest=2)
    maps = maps_of(checkpoint, openings(200, seed=9), base=0, donor=1)
    plain, turned = (
        recovery(checkpoint, pairs, base=0, donor=1, through=through, resamples=5).set_index(["layer", "offset"])
        for through in (None, maps)
    )
    at_end: Any = turned.loc[(1, SHARED_AFTER)]
    assert at_end["recovery"] > 0.9
    assert at_end["zero"] < at_end["recovery"] - 0.1
    assert float(plain["recovery"].xs(1)[SHARED_AFTER]) < 0.6

"""Patching: grids equal to TransformerLens; recovery, interchange and transplant equal to slow references, and right on known models."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformer_lens import HookedTransformer
from transformer_lens import patching as reference

from mothello_interp import forward, patching
from mothello_interp.activations import collect
from mothello_interp.forward import HOOKS, TOKENS, Hook, Trunk, fwd_hooks, hook_name, keys_suffice
from mothello_interp.grids import attribution_grid, patch_grid
from mothello_interp.interventions import Steer
from mothello_interp.maps import Maps, fit_maps
from mothello_interp.models import Checkpoint
from mothello_interp.othello import CONTROLS, SYMMETRIES, Games, Symmetry, random_games, replay
from mothello_interp.pairs import SHARED_AFTER, Pairs, minimal_pairs, truncate_games
from mothello_interp.patching import interchange, recovery, transplant
from mothello_interp.stats import mismatched
from tests.cases import (
    KINDS,
    LENGTH,
    ended,
    every_hook,
    largest_batch,
    limit,
    model,
    next_token,
    overall,
    pairs_of,
    per_example,
    predicted,
    put,
    sharp,
    some_of,
    spans,
    state_at,
    two_inputs,
    untouched,
    written,
)
from tests.conftest import every_world, tiny_checkpoint
from tests.planted import LAYERS, openings, planted

GAMES = truncate_games(random_games(60, board=4, seed=7), 3, seed=1, earliest=2, latest=6)
ALIKE = truncate_games(random_games(40, board=4, seed=7), 5, seed=1, earliest=4, latest=4)
close = partial(torch.testing.assert_close, atol=1e-5, rtol=0)


def at_ends(games: Games) -> np.ndarray:
    """The moves legal after each game, bool `[game square]`."""
    legal: np.ndarray = replay(games).legal[np.arange(len(games)), games.lengths]
    return legal


def transformer_lens_grid(of: HookedTransformer, clean: torch.Tensor, corrupted: torch.Tensor, hook: str) -> Any:
    with torch.inference_mode():
        _, states = of.run_with_cache(clean)
        return reference.generic_activation_patch(
            of, corrupted, states, overall, reference.layer_pos_patch_setter, hook, index_axis_names=("layer", "pos")
        )


@pytest.mark.parametrize("kind", KINDS)
def test_patch_grid_equals_transformer_lens(kind: str) -> None:
    """At every hook, with hooks of the user's on the model that do something else at each position, or without."""
    of, (clean, corrupted) = model(kind), two_inputs(model(kind))

    def louder(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        return activation * torch.linspace(0.5, 2, activation.shape[1])[:, None]

    places = ["hook_embed", "blocks.0.hook_resid_post", "blocks.1.hook_resid_pre", "blocks.2.hook_attn_out"]
    without = {"mlp_out", "resid_mid"} if kind == "attn_only" else set()
    for hook, users_hook in [("resid_pre", False), *((hook, True) for hook in HOOKS if hook not in without)]:
        with of.hooks(fwd_hooks=[(place, louder) for place in places] if users_hook else []), untouched(of):
            expected = transformer_lens_grid(of, clean, corrupted, hook)
            found = patch_grid(of, clean, corrupted, overall, hook)
        assert found.shape == (3, LENGTH)
        assert found.std() > 1e-3
        close(found, expected)


@every_hook
@pytest.mark.parametrize("tokens", [1, 50, 70])
def test_patch_grid_is_the_same_however_many_cells_run_together(
    hook: str, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cell in a pass, or two or three; examples alone, or together."""
    clean, corrupted = two_inputs(model())
    together = patch_grid(model(), clean, corrupted, per_example, hook)
    assert together.shape == (3, LENGTH, 3)
    close(together.mean(-1), patch_grid(model(), clean, corrupted, overall, hook))
    limit(monkeypatch, tokens)
    with largest_batch(model()) as seen:
        close(patch_grid(model(), clean, corrupted, per_example, hook), together)
    assert max(seen) <= max(tokens, clean.numel())
    alone = patch_grid(model(), clean[1:2], corrupted[1:2], overall, hook)
    close(alone, together[..., 1])


GRIDS: dict[str, Callable[..., torch.Tensor]] = {"patch": patch_grid, "attribution": attribution_grid}
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


@every_grid
def test_grid_of_equal_runs_is_the_metric(grid: Any) -> None:
    clean, _ = two_inputs(model())
    with torch.inference_mode():
        expected = per_example(model()(clean))
    for hook in HOOKS:
        close(grid(model(), clean, clean, per_example, hook), expected.expand(3, LENGTH, 3))


class Stop(Exception):
    """Raised by a metric."""


@every_grid
def test_grid_leaves_nothing_behind(grid: Any) -> None:
    """No hook and no gradient, tokens unchanged, also in inference mode and when the metric raises; the user's hook stays."""
    clean, corrupted = two_inputs(model())
    before = clean.clone(), corrupted.clone()
    calls: list[int] = []

    def metric(logits: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == fails_at:
            raise Stop
        return overall(logits)

    with model().hooks(fwd_hooks=[("blocks.1.hook_resid_mid", lambda activation, hook: None)]), untouched(model()):
        fails_at = 0
        found = grid(model(), clean, corrupted, metric)
        with torch.inference_mode():
            assert torch.equal(grid(model(), clean, corrupted, metric), found)
        fails_at = len(calls) + 1
        with pytest.raises(Stop):
            grid(model(), clean, corrupted, metric)
    assert not found.requires_grad
    assert torch.equal(clean, before[0])
    assert torch.equal(corrupted, before[1])
    assert all(weight.grad is None for weight in model().parameters())


@every_grid
def test_grid_refuses_what_it_cannot_run(grid: Any) -> None:
    clean, corrupted = two_inputs(model())
    message = re.escape("clean tokens (3, 6) and corrupted tokens (3, 7) must have one shape")
    with pytest.raises(ValueError, match=message):
        grid(model(), clean[:, 1:], corrupted, overall)
    for tokens in (clean[0], clean[:0], clean.float()):
        with pytest.raises(ValueError, match=r"tokens: .* expected int \[batch pos\]"):
            grid(model(), tokens, tokens, overall)
    with pytest.raises(TypeError, match="Checkpoint is no HookedTransformer"):
        grid(tiny_checkpoint(), clean, corrupted, overall)
    for hook in ("hook_resid_pre", "z", ""):
        with pytest.raises(ValueError, match=f"hook={hook!r}: choose one of resid_pre, .*, mlp_out"):
            grid(model(), clean, corrupted, overall, hook)
    for hook in ("mlp_out", "resid_mid"):
        with pytest.raises(ValueError, match=f"no hook point blocks.0.hook_{hook}"):
            grid(model("attn_only"), clean, corrupted, overall, hook)


@every_hook
def test_attribution_grid_is_the_slope_at_the_corrupted_run(hook: str) -> None:
    """By finite differences: a hundredth of the step towards the clean activation, and as far the other way."""
    of, (clean, corrupted) = model(), two_inputs(model())
    with torch.inference_mode():
        _, states = of.run_with_cache(clean)
        before = per_example(of(corrupted))
    found = attribution_grid(of, clean, corrupted, per_example, hook)
    close(found.mean(-1), attribution_grid(of, clean, corrupted, overall, hook))

    def nudged(layer: int, position: int, step: float) -> torch.Tensor:
        def nudge(activation: torch.Tensor, hook: Any) -> torch.Tensor:
            activation[:, position] += (states[hook.name][:, position] - activation[:, position]) * step
            return activation

        with torch.inference_mode():
            return per_example(of.run_with_hooks(corrupted, fwd_hooks=[(f"blocks.{layer}.hook_{hook}", nudge)]))

    for layer, position in ((0, 0), (1, 3), (2, LENGTH - 1)):
        slope = (nudged(layer, position, 0.01) - nudged(layer, position, -0.01)) / 0.02
        torch.testing.assert_close(found[layer, position] - before, slope, atol=2e-4, rtol=1e-2)
        assert slope.abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [0, 3])
def test_runs_that_branch_off_equal_run_with_hooks(kind: str, start: int) -> None:
    """Logits, keys and values of hooks at every place, from a position on; what lies before the first edit is run once."""
    of = model(kind)
    sequences, start = two_inputs(of)[0], start if keys_suffice(of) else 0
    place = torch.arange(3).repeat(4)
    shift = torch.linspace(-1, 1, len(place))[:, None, None]
    for places in (
        ["blocks.0.hook_resid_pre"],
        ["blocks.0.hook_resid_post"],
        ["blocks.1.hook_resid_post", "blocks.1.hook_resid_post", "blocks.2.hook_attn_out"],
        ["blocks.2.hook_resid_post"],
        ["blocks.2.attn.hook_z", "blocks.1.hook_attn_out"],
    ):

        def act(activation: torch.Tensor, factor: float, start: int = 0) -> torch.Tensor:
            result = activation.clone()
            result[:, start:] = factor * result[:, start:] + shift.reshape(-1, *[1] * (activation.ndim - 1))
            return result

        hooks = [Hook(name, int(name[7]), partial(act, factor=1 + n)) for n, name in enumerate(places)]
        first = min(2, *(hook.block + hook.name.endswith("resid_post") for hook in hooks))
        with torch.inference_mode():
            trunk = Trunk(of, sequences, range(3))
            with largest_batch(of) as seen:
                found, past = trunk.run(place, hooks, start)
            assert seen[1:] == [len(place) * (LENGTH - start)] * (3 - first)
            complete = [hook._replace(act=partial(act, factor=1 + n, start=start)) for n, hook in enumerate(hooks)]
            with of.hooks(fwd_hooks=fwd_hooks(complete)):
                logits, cache = of.run_with_cache(sequences[place])
        close(found, logits, atol=1e-4)
        for block, entry in enumerate(past.entries if past else ()):
            close(entry.past_keys, cache[f"blocks.{block}.attn.hook_k"], atol=1e-4)
            close(entry.past_values, cache[f"blocks.{block}.attn.hook_v"], atol=1e-4)


def signs(pairs: Pairs, target: Checkpoint, output: int, mass: str) -> np.ndarray:
    """1 for outcomes of the clean game alone, -1 for those of the corrupted game alone, `[pair outcome]`."""
    result = []
    for legal in zip(at_ends(pairs.clean), at_ends(pairs.corrupted), strict=True):
        clean, corrupted = (set(np.flatnonzero(which).tolist()) for which in legal)
        size = len(legal[0])
        if mass == "first":
            first, size = target.mothello.move_tokens[output, :, 0], target.mothello.d_vocab
            clean, corrupted = ({int(first[square]) for square in squares} for squares in (clean, corrupted))
        result.append([(which in clean) - (which in corrupted) for which in range(size)])
    return np.array(result, float)


def scored(
    checkpoint: Checkpoint, language: int, moves: np.ndarray, mass: str, sign: np.ndarray, hooks: Any = ()
) -> float:
    """m of one game, from runs without padding."""
    if mass == "first":
        return float(next_token(checkpoint, written(checkpoint, language, moves), hooks) @ sign)
    return float(predicted(checkpoint, language, moves, checkpoint.mothello.output_of(language), hooks) @ sign)


@cache
def clear_pairs(world: str, language: int, n: int, mass: str = "first", *, mixed: bool = False) -> Pairs:
    """Pairs whose clean run is at least 0.06 above the corrupted one in the sharp model, of different lengths first; others
    follow. Mixed: two such pairs, between them one that is hardly above, and one the wrong way round."""
    pairs, checkpoint = pairs_of(4, 300), sharp(world)
    sign = signs(pairs, checkpoint, checkpoint.mothello.output_of(language), mass)
    runs = [checkpoint.read(games, language) for games in (pairs.clean, pairs.corrupted)]
    clean, corrupted = (((run.final_tokens() if mass == "first" else run.final_moves()) * sign).sum(1) for run in runs)
    (informative,) = np.nonzero(clean - corrupted >= 0.06)
    _, first = np.unique(pairs.changed[informative], return_index=True)
    order = [*informative[first].tolist(), *np.delete(informative, first).tolist()]
    assert len(order) > 1
    if mixed:
        small, wrong = abs(clean - corrupted) < 0.04, clean - corrupted < -0.06
        order.insert(1, int(small.argmax()))
        order.insert(2, int(wrong.argmax()))
        assert small.any() & wrong.any()
    return some_of(pairs, [*order, *np.setdiff1d(np.arange(300), order).tolist()][:n])


def check_recovery(
    world: str, direction: tuple[int, int], pairs: Pairs, hook: str = "resid_post", mass: Any = "first"
) -> pd.DataFrame:
    """The table against the definition, one pair, place and move at a time, from complete runs without padding."""
    checkpoint, n = sharp(world), len(pairs)
    source, target = (checkpoint.mothello.inputs[index] for index in direction)
    table = recovery(
        checkpoint.read(pairs.clean, source),
        checkpoint.read(pairs.corrupted, target),
        hook=hook,
        mass=mass,
        resamples=9,
    )
    sign = signs(pairs, checkpoint, checkpoint.mothello.output_of(target), mass)
    score = partial(scored, checkpoint, target)
    best, before = (
        np.array([score(moves, mass, sign[pair]) for pair, moves in enumerate(games.moves)])
        for games in (pairs.clean, pairs.corrupted)
    )
    asked = best - before >= 0.05
    floor_of = mismatched(pairs.changed, 0)
    first = -1 if hook == "resid_post" else 0
    heads = [0, 1] if hook == "z" else [-1]
    places = [(layer, head, offset) for layer in range(first, 2 + first) for head in heads for offset in (-1, 0, 1, 2)]
    assert [*table[["layer", "head", "offset"]].itertuples(index=False, name=None)] == places
    for row in table.to_dict("records"):
        head, gain = None if row["head"] < 0 else row["head"], {"recovery": 0.0, "floor": 0.0}
        for pair in np.flatnonzero(asked):
            for name, giver in (("recovery", pair), ("floor", floor_of[pair])):
                here = int(pairs.changed[pair]) + row["offset"]
                there = int(min(pairs.changed[pair], pairs.changed[giver])) + row["offset"]
                state = state_at(checkpoint, source, pairs.clean.moves[giver], there, row["hook"], head)
                moves = pairs.corrupted.moves[pair]
                hooks = put(row["hook"], spans(checkpoint, target, moves)[here][-1], state, head)
                gain[name] += score(moves, mass, sign[pair], hooks) - before[pair]
        for name, value in gain.items():
            assert row[name] == pytest.approx(value / (best - before)[asked].sum(), abs=2e-4), name
        assert (row["hook"], row["symmetry"]) == (hook_name(row["layer"], hook), "identity")
        assert (row["source"], row["target"], row["pairs"], row["dropped"]) == (
            source,
            target,
            asked.sum(),
            n - asked.sum(),
        )
        assert row["low"] <= row["recovery"] + 1e-9 <= row["high"] + 2e-9
        assert row["floor_low"] <= row["floor"] + 1e-9 <= row["floor_high"] + 2e-9
    return table


@every_world
@pytest.mark.parametrize("direction", [(0, 0), (0, 1), (1, 0)])
def test_recovery_by_hand(world: str, direction: tuple[int, int]) -> None:
    """Of four pairs one is dropped because the model hardly distinguishes it, and one because it is the wrong way round."""
    language = sharp(world).mothello.inputs[direction[1]]
    table = check_recovery(world, direction, clear_pairs(world, language, 4, mixed=True))
    assert (table["dropped"] == 2).all()
    assert table["recovery"].abs().max() > 0.1
    if direction == (0, 0):  # the state before the changed move is the same
        np.testing.assert_allclose(table[table["offset"] == -1][["recovery", "low", "high"]], 0, atol=1e-4)


@pytest.mark.parametrize("world", ["atomic", "compositional"])
@pytest.mark.parametrize("hook", ["resid_pre", "resid_mid", "attn_out", "mlp_out", "z"])
def test_recovery_of_moves_at_every_hook_by_hand(world: str, hook: str) -> None:
    table = check_recovery(world, (1, 0), clear_pairs(world, 0, 2, "move"), hook, "move")
    assert table["recovery"].abs().max() > 0.02


def sharp_recovery(pairs: Pairs, source: int = 1, world: str = "atomic", **settings: Any) -> pd.DataFrame:
    checkpoint = sharp(world)
    return recovery(checkpoint.read(pairs.clean, source), checkpoint.read(pairs.corrupted, 0), **settings)


def test_recovery_bootstraps_pairs() -> None:
    """Of two pairs a resample is one of them alone, taken twice, or both."""
    pairs = clear_pairs("atomic", 0, 2)
    both = sharp_recovery(pairs, resamples=400)
    alone = [sharp_recovery(some_of(pairs, [pair] * 2), resamples=5)["recovery"] for pair in (0, 1)]
    np.testing.assert_allclose(both["low"], np.min(alone, axis=0), atol=1e-4)
    np.testing.assert_allclose(both["high"], np.max(alone, axis=0), atol=1e-4)
    assert np.abs(alone[0] - alone[1]).max() > 0.05


def test_recovery_refuses_pairs_that_tell_nothing() -> None:
    with pytest.raises(ValueError, match="1 pairs: recovery needs two or more"):
        sharp_recovery(some_of(pairs_of(4), [0]))
    untrained, pairs = tiny_checkpoint().untrained(), pairs_of(4)
    with pytest.raises(ValueError, match="the model distinguishes none of 60 pairs"):
        recovery(untrained.read(pairs.clean, 1), untrained.read(pairs.corrupted, 0))
    with pytest.raises(ValueError, match='an estimate needs mass="first"'):
        sharp_recovery(pairs, world="compositional", mass="move", approximate=True)
    with pytest.raises(ValueError, match="must differ in one move each"):
        recovery(untrained.read(pairs.clean, 1), untrained.read(pairs.clean, 0))


@contextmanager
def language_1_shows(image: np.ndarray) -> Iterator[Checkpoint]:
    """The sharp model of two naive languages, with language 1's token of square s embedded as language 0's of image[s]."""
    checkpoint = sharp("naive")
    weights, words = (
        checkpoint.model.W_E.data,
        torch.from_numpy(checkpoint.mothello.move_tokens[:, :, 0].astype(np.int64)),
    )
    before, playable = weights.clone(), words[0] > 0
    assert playable.sum() == 12
    try:
        weights[words[1, playable]] = before[words[0, torch.from_numpy(image)[playable]]]
        yield checkpoint
    finally:
        weights.copy_(before)


both_turns = pytest.mark.parametrize(
    "turn", [SYMMETRIES["diagonal"], CONTROLS["quarter_turn"]], ids=lambda turn: turn.name
)


@both_turns
def test_recovery_of_a_source_seen_through_a_symmetry(turn: Symmetry) -> None:
    """Language 1 shows the image of each square: given the game turned back, its states are language 0's."""
    pairs = clear_pairs("naive", 0, 4)
    with language_1_shows(turn.squares(4)) as checkpoint:
        target = checkpoint.read(pairs.corrupted, 0)
        own = recovery(checkpoint.read(pairs.clean, 0), target, resamples=5)
        through, plain = (
            recovery(checkpoint.read(pairs.clean, 1), target, resamples=5, symmetry=which)
            for which in (turn, "identity")
        )
    assert set(through["symmetry"]) == {turn.name}
    np.testing.assert_allclose(through["recovery"], own["recovery"], atol=1e-5)
    assert (plain["recovery"] - own["recovery"]).abs().max() > 0.1


@pytest.mark.parametrize("hook", ["resid_post", "mlp_out", "z"])
@pytest.mark.parametrize("mass", ["first", "move"])
def test_recovery_estimated_is_the_gradient_times_the_difference_of_states(hook: str, mass: Any) -> None:
    """By hand: the gradient with respect to a vector added at the place, one pair at a time."""
    pairs, checkpoint = clear_pairs("atomic", 0, 4), sharp()
    table = sharp_recovery(pairs, hook=hook, mass=mass, approximate=True, resamples=5)
    sign = torch.from_numpy(signs(pairs, checkpoint, 0, "first")).float()
    score = partial(scored, checkpoint, 0)
    best, before = (
        sum(score(moves, "first", sign[pair].numpy()) for pair, moves in enumerate(games.moves))
        for games in (pairs.clean, pairs.corrupted)
    )
    for row in table.to_dict("records"):
        gain, head = 0.0, None if row["head"] < 0 else row["head"]
        for pair, moves in enumerate(pairs.corrupted.moves):
            move = int(pairs.changed[pair]) + row["offset"]
            new = state_at(checkpoint, 1, pairs.clean.moves[pair], move, row["hook"], head)
            step = new - state_at(checkpoint, 0, moves, move, row["hook"], head)
            added = torch.zeros_like(step).requires_grad_()

            def add(activation: torch.Tensor, hook: Any, at: Any = (0, move, head), added: Any = added) -> torch.Tensor:
                out = activation.clone()
                out[at if at[2] is not None else at[:2]] += added
                return out

            logits = checkpoint.model.run_with_hooks(written(checkpoint, 0, moves), fwd_hooks=[(row["hook"], add)])
            (slope,) = torch.autograd.grad(logits[0, -1].softmax(-1) @ sign[pair], added)
            gain += float((slope * step).sum())
        assert row["recovery"] == pytest.approx(gain / (best - before), abs=1e-4)
    assert table["recovery"].abs().max() > 0.02


@every_world
@pytest.mark.parametrize("hook", ["resid_post", "mlp_out", "z"])
def test_interchange_by_hand(world: str, hook: str) -> None:
    """Legal mass along the tokens of a move, with the source's state of the same game and of a mismatched one; and the KL."""
    checkpoint = sharp(world)
    target, source = checkpoint.mothello.inputs[:2]
    output, legal = checkpoint.mothello.output_of(target), at_ends(GAMES)
    table = interchange(
        checkpoint.read(GAMES, source), checkpoint.read(GAMES, target), hook=hook, back=(0, 1), resamples=20
    )
    other = mismatched(GAMES.lengths, 0)
    plain = [predicted(checkpoint, target, moves, output) for moves in GAMES.moves]
    assert table["back"].tolist() == [0, 1] * {"resid_post": 3, "mlp_out": 2, "z": 4}[hook]
    for row in table.to_dict("records"):
        head = None if row["head"] < 0 else row["head"]
        found = {"legal_mass": 0.0, "floor": 0.0, "kl": 0.0, "floor_kl": 0.0}
        for game, moves in enumerate(GAMES.moves):
            here, there = (int(GAMES.lengths[index]) - 1 - row["back"] for index in (game, other[game]))
            for name, giver, move in (("legal_mass", game, here), ("floor", other[game], min(here, there))):
                state = state_at(checkpoint, source, GAMES.moves[giver], move, row["hook"], head)
                hooks = put(row["hook"], spans(checkpoint, target, moves)[here][-1], state, head)
                after = predicted(checkpoint, target, moves, output, hooks)
                found[name] += after[legal[game]].sum() / 3
                p, q = (np.append(part, max(1 - part.sum(), 1e-12)) for part in (plain[game], after))
                sure = p > 0
                found["kl" if name == "legal_mass" else "floor_kl"] += (p[sure] * np.log(p[sure] / q[sure])).sum() / 3
        for name, value in found.items():
            assert row[name] == pytest.approx(value, rel=2e-3, abs=1e-3 if "kl" in name else 1e-6), name
        ceiling = np.mean([chances[which].sum() for chances, which in zip(plain, legal, strict=True)])
        assert row["ceiling"] == pytest.approx(ceiling, abs=1e-5)
        assert row["low"] <= row["legal_mass"] <= row["high"]
        assert row["floor_low"] <= row["floor"] <= row["floor_high"]
    assert (table["legal_mass"] / table["ceiling"] - 1).abs().max() > 0.1


@every_world
@pytest.mark.parametrize("mass", ["first", "move"])
def test_interchange_with_its_own_states_changes_nothing(world: str, mass: Any) -> None:
    checkpoint = sharp(world)
    reading = checkpoint.read(GAMES, checkpoint.mothello.inputs[0])
    for hook in (*HOOKS, "z"):
        table = interchange(reading, reading, hook=hook, mass=mass, resamples=5)
        np.testing.assert_allclose(table["legal_mass"], table["ceiling"], atol=1e-5)
        np.testing.assert_allclose(table["kl"], 0, atol=1e-4)
        assert table["floor_kl"].max() > 0.001


def test_interchange_of_first_tokens_and_of_moves() -> None:
    """The same where a move is one token; else moves that begin alike count together."""
    for world, same in (("atomic", True), ("compositional", False)):
        source, target = sharp(world).read(GAMES, 1), sharp(world).read(GAMES, 0)
        moves, first = (interchange(source, target, mass=mass, resamples=20) for mass in ("move", "first"))
        if same:
            kinds = ["kl", "floor_kl"]
            pd.testing.assert_frame_equal(moves.drop(columns=kinds), first.drop(columns=kinds), atol=1e-5)
        else:
            assert (first["legal_mass"] > moves["legal_mass"]).all()


def planted_at_1(measure: Any, games: Games, source: int, target: int, *, shared: bool, **settings: Any) -> Any:
    """The rows of a measure on the planted model, by layer."""
    checkpoint = planted(shared=shared)
    table = measure(checkpoint.read(games, source), checkpoint.read(games, target), resamples=5, **settings)
    return table.set_index("layer")


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0)])
def test_interchange_on_a_planted_board(shared: bool, source: int, target: int) -> None:
    """A shared representation is as good as one's own at layer 1; at the last layer the source's tokens are predicted."""
    table = planted_at_1(interchange, openings(12, seed=3), source, target, shared=shared)
    assert table["ceiling"].iloc[0] > 0.99
    assert table.loc[1, "legal_mass"] == pytest.approx(1 if shared else table.loc[1, "floor"], abs=0.01)
    assert table.loc[1, "floor"] < 0.8
    assert table.loc[LAYERS - 1, "legal_mass"] < 0.01


def maps_to_0(n: int = 200, **settings: Any) -> Maps:
    """Maps of the planted model with two representations, from language 1 to 0."""
    symmetry, checkpoint, games = (
        Symmetry.of(settings.get("symmetry", "identity")),
        planted(shared=False),
        openings(n, seed=9),
    )
    source = collect(checkpoint, symmetry.inverse.games(games), languages=[1])
    return fit_maps(source, collect(checkpoint, games, languages=[0]), **settings)


def test_every_measure_through_maps() -> None:
    """A rotation fitted on other games transfers the planted board to the other representation; a mean shift does not, nor a
    rotation fitted on mismatched games."""
    rotated = maps_to_0()
    found = {
        name: planted_at_1(interchange, openings(12, seed=3), 1, 0, shared=False, through=maps).loc[1, "legal_mass"]
        for name, maps in {
            "rotated": rotated,
            "shifted": maps_to_0(kind="mean_shift"),
            "floor": maps_to_0(mismatched=True),
        }.items()
    }
    assert found["rotated"] > 0.95
    assert max(found["shifted"], found["floor"]) < 0.85

    games = openings(40, seed=3)
    plain, through = (
        planted_at_1(transplant, games, 1, 0, shared=False, through=maps).loc[1] for maps in (None, rotated)
    )
    own = planted_at_1(transplant, games, 0, 0, shared=False).loc[1]
    assert abs(plain["mass"] - plain["floor"]) < 0.05
    assert through["mass"] == pytest.approx(own["mass"], abs=0.05)
    assert through["mass"] > through["floor"] + 0.2

    pairs = minimal_pairs(random_games(1000, board=4, seed=4), 12, seed=0, earliest=2, latest=2)
    source, target = planted(shared=False).read(pairs.clean, 1), planted(shared=False).read(pairs.corrupted, 0)
    results: list[Any] = [
        recovery(source, target, through=maps, resamples=5).set_index(["layer", "offset"]).loc[(1, SHARED_AFTER)]
        for maps in (None, rotated)
    ]
    without, mapped = results
    assert mapped["recovery"] > max(0.9, mapped["floor"] + 0.1)
    assert without["recovery"] < 0.6


@pytest.mark.parametrize("measure", [recovery, interchange, transplant])
def test_experiments_follow_their_seed_and_take_a_symmetry_by_name(measure: Any) -> None:
    games = truncate_games(random_games(80, board=4, seed=7), 20, seed=1, earliest=3, latest=4)
    clean, corrupted = (pairs_of(4).clean, pairs_of(4).corrupted) if measure is recovery else (games, games)
    found = partial(measure, sharp().read(clean, 1), sharp().read(corrupted, 0), resamples=50)
    with untouched(sharp().model):
        first = found(seed=1)
    torch.manual_seed(7)
    pd.testing.assert_frame_equal(found(seed=1), first)
    other = found(seed=2)
    assert (other[["low", "high", "floor"]] != first[["low", "high", "floor"]]).any().all()

    def seen(symmetry: Any) -> pd.DataFrame:
        table: pd.DataFrame = found(**{"symmetries": [symmetry]} if measure is transplant else {"symmetry": symmetry})
        return table

    pd.testing.assert_frame_equal(seen("diagonal"), seen(SYMMETRIES["diagonal"]))
    with pytest.raises(ValueError, match="symmetry 'quarter': known are identity, "):
        seen("quarter")


@pytest.mark.parametrize("back", [-1, [-1], [0, -1], 0.5, [1.0], [], [[0]], "0"])
def test_interchange_refuses_what_is_no_number_of_moves_back(back: Any) -> None:
    reading = sharp().read(GAMES, 0)
    with pytest.raises(ValueError, match=r"back=.*expected (one or more numbers|a whole number)"):
        interchange(reading, reading, back=back)


def test_experiments_refuse_games_that_tell_nothing() -> None:
    of = tiny_checkpoint()

    def ask(measure: Any, games: Games, target: Games | None = None, **settings: Any) -> None:
        measure(of.read(games, 1), of.read(games if target is None else target, 0), **settings)

    for measure in (interchange, transplant):
        with pytest.raises(ValueError, match="1 games: two or more are needed"):
            ask(measure, GAMES[:1])
        with pytest.raises(ValueError, match="a game is over: truncate games"):
            ask(measure, random_games(4, board=4, seed=0))
        with pytest.raises(ValueError, match="readings of different games"):
            ask(measure, GAMES, ALIKE)
        with pytest.raises(ValueError, match=r"hook='pattern': choose one of resid_pre, .*, z"):
            ask(measure, ALIKE, hook="pattern")
    with pytest.raises(ValueError, match="a game of 2 moves: 3 or more are needed"):
        ask(interchange, ended(GAMES, 2), back=(0, 2))
    with pytest.raises(ValueError, match='mass=\'last\': choose "move" or "first"'):
        ask(interchange, GAMES, mass="last")
    with pytest.raises(ValueError, match="2 games, no three of one length"):
        ask(transplant, ALIKE[:2])
    with pytest.raises(ValueError, match="3 games, none whose partners allow moves of their own"):
        ask(transplant, Games(ALIKE.moves[[0, 0, 0]], 4))


def test_experiments_refuse_maps_of_something_else() -> None:
    """Other languages, another symmetry or another hook."""
    maps, games = maps_to_0(60, kind="mean_shift"), openings(4, seed=1)
    first, second = (planted(shared=False).read(games, language) for language in (0, 1))
    with pytest.raises(ValueError, match=r"from language 1 to 0 \(identity\), needed from 0 to 1 \(identity\)"):
        interchange(first, second, through=maps)
    with pytest.raises(ValueError, match=r"needed from 1 to 0 \(diagonal\)"):
        interchange(second, first, symmetry="diagonal", through=maps)
    with pytest.raises(ValueError, match=r"needed from 1 to 0 \(half_turn\)"):
        transplant(second, first, symmetries=("half_turn",), through=maps)
    with pytest.raises(ValueError, match='maps are fitted on the residual stream: use hook="resid_post"'):
        interchange(second, first, hook="mlp_out", through=maps)
    turned = maps_to_0(60, kind="mean_shift", symmetry="diagonal")
    assert len(interchange(second, first, symmetry="diagonal", through=turned, resamples=5)) == LAYERS + 1


@every_world
def test_transplant_by_hand(world: str) -> None:
    """Every mass of the table, in the target's tokens and in the source's, one game and layer at a time."""
    checkpoint = sharp(world)
    target, source = checkpoint.mothello.inputs[:2]
    output, theirs = (checkpoint.mothello.output_of(language) for language in (target, source))
    legal, (giver, third) = at_ends(ALIKE), patching._partners(ALIKE.lengths, 0)
    table = transplant(checkpoint.read(ALIKE, source), checkpoint.read(ALIKE, target), resamples=20)
    assert [*table["layer"]] == [-1, 0, 1]
    differ = (checkpoint.mothello.move_tokens[output] != checkpoint.mothello.move_tokens[theirs]).any(axis=1)
    for row in table.to_dict("records"):
        found: dict[str, list[float]] = {}
        for game, moves in enumerate(ALIKE.moves):
            own, other, unrelated = (legal[who] for who in (game, giver[game], third[game]))
            if not ((other & ~own).any() and (unrelated & ~own).any() and (own & ~other).any()):
                continue
            state = state_at(checkpoint, source, ALIKE.moves[giver[game]], 4, row["hook"])
            hooks = put(row["hook"], spans(checkpoint, target, moves)[4][-1], state)
            after, elsewhere = (predicted(checkpoint, target, moves, words, hooks) for words in (output, theirs))
            plain = predicted(checkpoint, target, moves, output)
            values = {"mass": after[other & ~own], "floor": after[unrelated & ~own], "retained": after[own & ~other]}
            values |= {"unpatched": plain[other & ~own], "retained_unpatched": plain[own & ~other]}
            values |= {"source_tokens": elsewhere[other & ~own & differ]}
            for name, value in values.items():
                found.setdefault(name, []).append(value.sum())
        for name, each in found.items():
            assert row[name] == pytest.approx(np.mean(each), rel=2e-3, abs=1e-6), name
        assert (row["games"], row["dropped"]) == (len(found["mass"]), len(ALIKE) - len(found["mass"]))
        assert row["games"] >= 3
        assert row["low"] <= row["mass"] <= row["high"]
        assert row["floor_low"] <= row["floor"] <= row["floor_high"]
    assert (table["mass"] / table["unpatched"] - 1).abs().max() > 0.1


def test_transplant_pairs_games_of_one_length() -> None:
    """Each game gives to one other and is the third of one; two of a length are too few."""
    lengths = np.array([3, 5, 3, 4, 3, 4, 5, 5, 5])
    giver, third = patching._partners(lengths, 2)
    retained = np.flatnonzero(giver >= 0)
    assert sorted({*range(9)} - {*retained}) == [3, 5] == np.flatnonzero(third < 0).tolist()
    for partner in (giver[retained], third[retained]):
        assert (lengths[partner] == lengths[retained]).all()
        assert sorted(partner) == sorted(retained)
        assert (partner != retained).all()
    assert (giver[retained] != third[retained]).all()


def test_transplant_drops_games_without_partners() -> None:
    """They change nothing for the others, also where the target is edited with a vector a game."""
    games = Games(np.concatenate([ALIKE.moves, GAMES.moves[GAMES.lengths != 5][:1]]), 4)
    vectors = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    tables = []
    for some, given in ((games, vectors), (ALIKE, vectors[:5])):
        target = sharp().read(some, 0).edited(Steer(given, layer=0, moves=1))
        tables.append(transplant(sharp().read(some, 1), target, resamples=5))
    assert (tables[0]["dropped"] == tables[1]["dropped"] + 1).all()
    first, second = (table.drop(columns="dropped") for table in tables)
    pd.testing.assert_frame_equal(first, second, atol=1e-5)


@both_turns
def test_transplant_of_a_board_seen_through_a_symmetry(turn: Symmetry) -> None:
    """Language 1 shows the image of each square: through the map its states count as language 0's of the turned game."""
    with language_1_shows(turn.squares(4)) as checkpoint:
        source, target = checkpoint.read(ALIKE, 1), checkpoint.read(ALIKE, 0)
        found = transplant(source, target, symmetries=(turn, "identity"), resamples=5)
    assert [*found["symmetry"]] == [turn.name, "identity"] * 3
    legal, (giver, third), images = at_ends(ALIKE), patching._partners(ALIKE.lengths, 0), turn.games(ALIKE)
    for row in found[found["symmetry"] == turn.name].to_dict("records"):
        each = []
        for game, moves in enumerate(ALIKE.moves):
            own, (other, unrelated) = legal[game], (turn.boards(legal[[who[game]]])[0] for who in (giver, third))
            if (other & ~own).any() and (unrelated & ~own).any() and (own & ~other).any():
                state = state_at(sharp("naive"), 0, images.moves[giver[game]], 4, row["hook"])
                after = predicted(sharp("naive"), 0, moves, 0, put(row["hook"], 4, state))
                each.append(after[other & ~own].sum())
        assert row["mass"] == pytest.approx(np.mean(each), rel=2e-3)
        assert row["games"] == len(each)


def test_transplant_of_long_games_of_a_longer_output_language() -> None:
    """The output language is unified: no longer tokens of the source's own need room."""
    long = truncate_games(random_games(60, board=4, seed=0), 12, seed=0, earliest=10, latest=10)
    source, target = (tiny_checkpoint("unified").read(long, language) for language in (2, 1))
    assert not transplant(source, target, resamples=5)["source_tokens"].any()


def measured(name: str, n: int, **settings: Any) -> pd.DataFrame:
    """A measure of n games of two languages of several tokens a move and one."""
    checkpoint, pairs = sharp("compositional"), clear_pairs("compositional", 0, n, settings.get("mass", "first"))
    games = ended(pairs.corrupted, pairs.corrupted.lengths if name == "recovery" else 5)
    source = checkpoint.read(pairs.clean if name == "recovery" else games, 1)
    measure: Any = {"recovery": recovery, "interchange": interchange, "transplant": transplant}[name]
    found: pd.DataFrame = measure(source, checkpoint.read(games, 0), resamples=5, **settings)
    return found


@pytest.mark.parametrize("name", ["recovery", "interchange", "transplant"])
@pytest.mark.parametrize("tokens", [20, 150])
def test_experiments_are_the_same_however_many_rows_run_together(
    name: str, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {} if name == "transplant" else {"mass": "move"}
    expected = measured(name, 6, **settings)
    limit(monkeypatch, tokens)
    pd.testing.assert_frame_equal(measured(name, 6, **settings), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["recovery", "interchange", "transplant", "next_moves"])
def test_experiments_run_no_more_tokens_at_once_for_more_games(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest pass stays below the limit, which twelve games reach already; in complete sequences too."""
    assert TOKENS == 3072
    limit(monkeypatch, 150)
    largest = []
    for n in (12, 96):
        with largest_batch(sharp("compositional").model) as seen:
            if name == "next_moves":
                monkeypatch.setattr(forward, "keys_suffice", lambda model: False)
                sharp("compositional").read(pairs_of(4, 120).clean[:n], 0).next_moves()
            else:
                measured(name, n)
        largest.append(max(seen))
    assert 75 < largest[0] <= largest[1] <= 150

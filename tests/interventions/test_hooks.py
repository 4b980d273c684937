"""Interventions as hooks and as a context: where they act, that they are undone, and that a null edit is an error."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import HOOKS
from mothello_interp.forward import hook_name
from mothello_interp.interventions import Apply, Context, Intervention, NoEffectError, Replace, Steer, edited, fwd_hooks
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, random_games, replay
from tests.conftest import WORLDS, tiny_checkpoint, tiny_spec

CASES = [(world, language) for world in WORLDS for language in tiny_spec(world).mothello.inputs]
every_language = pytest.mark.parametrize(("world", "language"), CASES)
D_MODEL = 16


@cache
def some_games() -> Games:
    """Six games, one of them cut short."""
    games = random_games(6, board=4, seed=5)
    ends = np.array([12, 12, 5, 12, 12, 12])
    return Games(np.where(np.arange(12) < ends[:, None], games.moves, -1), 4)


def words(checkpoint: Checkpoint, games: Games, language: int) -> list[list[list[int]]]:
    """The positions of every move's tokens, `[game][move]`, counted word by word."""
    result = []
    for row in games.moves:
        place, spans = 0, []
        for square in row[row >= 0]:
            length = int((checkpoint.mothello.move_tokens[language, square] != 0).sum())
            spans.append(list(range(place, place + length)))
            place += length
        result.append(spans)
    return result


def plus_one(rows: torch.Tensor, context: Context) -> torch.Tensor:
    return rows + 1


@contextmanager
def untouched(checkpoint: Checkpoint) -> Iterator[None]:
    """Fails if the body leaves a hook behind, or takes one away."""

    def hooks() -> dict[str, int]:
        return {name: len(point.fwd_hooks) for name, point in checkpoint.model.hook_dict.items()}

    before, level = hooks(), checkpoint.model.context_level
    yield
    assert (hooks(), checkpoint.model.context_level) == (before, level)


@every_language
@pytest.mark.parametrize("tokens", ["last", "all"])
@pytest.mark.parametrize("moves", ["all", "last", 3, [0, 4]])
def test_exactly_the_tokens_of_the_moves_are_edited(world: str, language: int, tokens: Any, moves: Any) -> None:
    """The activation at the hook differs by 1 there and by 0 everywhere else, padding included."""
    checkpoint, games = tiny_checkpoint(world), some_games()
    read = checkpoint.tokens(games, language)
    with (
        untouched(checkpoint),
        edited(checkpoint, [Apply(plus_one, layer=0, moves=moves, tokens=tokens)], games, language) as model,
    ):
        _, after = model.run_with_cache(read)
    _, before = checkpoint.model.run_with_cache(read)
    expected = torch.zeros(read.shape)
    for game, spans in enumerate(words(checkpoint, games, language)):
        chosen = {"all": range(12), "last": [len(spans) - 1], 3: [3], (0, 4): [0, 4]}[
            tuple(moves) if isinstance(moves, list) else moves
        ]
        for move, span in enumerate(spans):
            for place in (span if tokens == "all" else span[-1:]) if move in chosen else []:
                if place < read.shape[1]:
                    expected[game, place] = 1
    difference = after["blocks.0.hook_resid_post"] - before["blocks.0.hook_resid_post"]
    torch.testing.assert_close(difference, expected[..., None].expand_as(difference), atol=1e-5, rtol=0)
    assert 0 < expected.sum() < expected.numel()


@pytest.mark.parametrize(("hook", "layer"), [*((hook, 1) for hook in HOOKS), ("resid_post", -1)])
def test_the_hook_point_is_the_one_named(hook: str, layer: int, checkpoint: Checkpoint) -> None:
    games, read = some_games(), checkpoint.tokens(some_games(), 1)
    name = "blocks.0.hook_resid_pre" if layer == -1 else f"blocks.1.hook_{hook}"
    with edited(checkpoint, [Apply(plus_one, layer=layer, hook=hook, moves=2)], games, 1) as model:
        _, after = model.run_with_cache(read)
    _, before = checkpoint.model.run_with_cache(read)
    assert hook_name(layer, hook) == name
    difference = (after[name] - before[name]).sum(-1)
    torch.testing.assert_close(
        difference, torch.eye(read.shape[1])[2].expand_as(difference) * D_MODEL, atol=1e-4, rtol=0
    )
    for earlier in list(before)[: list(before).index(name)]:
        assert torch.equal(after[earlier], before[earlier]), earlier


def test_a_head(checkpoint: Checkpoint) -> None:
    """One head's output changes, the other's does not."""
    games, read = some_games(), checkpoint.tokens(some_games(), 0)
    with edited(checkpoint, [Apply(plus_one, layer=0, hook="z", head=1)], games, 0) as model:
        _, after = model.run_with_cache(read)
    _, before = checkpoint.model.run_with_cache(read)
    difference = (after["blocks.0.attn.hook_z"] - before["blocks.0.attn.hook_z"])[0, :11]
    torch.testing.assert_close(difference, torch.eye(2)[1][None, :, None].expand_as(difference), atol=1e-6, rtol=0)


def test_a_users_hook_takes_three_lines(checkpoint: Checkpoint) -> None:
    games = some_games()

    def louder(rows: torch.Tensor, context: Context) -> torch.Tensor:
        return rows * 2

    with edited(checkpoint, [Apply(louder, layer=0)], games, language=0) as model:
        logits = model(checkpoint.tokens(games, 0))
    assert not torch.allclose(logits, checkpoint.model(checkpoint.tokens(games, 0)), atol=1e-3)


@every_language
def test_the_context_says_where_the_rows_are_from(world: str, language: int) -> None:
    checkpoint, games = tiny_checkpoint(world), some_games()
    seen: list[Context] = []

    def look(rows: torch.Tensor, context: Context) -> torch.Tensor:
        seen.append(context)
        assert rows.shape == (len(context.game), D_MODEL)
        return rows + 1

    with edited(checkpoint, [Apply(look, layer=[0, 1], tokens="all")], games, language) as model:
        model(checkpoint.tokens(games, language))
    assert [(context.layer, context.hook, context.language) for context in seen] == [
        (0, "resid_post", language),
        (1, "resid_post", language),
    ]
    spans, boards = words(checkpoint, games, language), replay(games)
    for game, move, position in zip(seen[0].game, seen[0].move, seen[0].position, strict=True):
        assert position in spans[game][move]
    assert np.array_equal(seen[0].state, boards.state[seen[0].game, seen[0].move])
    assert np.array_equal(seen[0].mover, boards.mover[seen[0].game, seen[0].move + 1])
    last = max(place for row in spans for span in row for place in span)
    n_read = sum(place < checkpoint.mothello.n_ctx for row in spans for span in row for place in span)
    assert len(seen[0].game) == n_read
    assert last >= checkpoint.mothello.n_ctx or n_read == sum(len(span) for row in spans for span in row)


@every_language
def test_a_batch_is_the_same_one_by_one(world: str, language: int) -> None:
    checkpoint, games = tiny_checkpoint(world), some_games()
    steer = Steer(torch.linspace(-3, 3, D_MODEL), layer=[-1, 1], moves=[1, 3], tokens="all")
    with edited(checkpoint, [steer], games, language) as model:
        together = model(checkpoint.tokens(games, language))
    for game in range(len(games)):
        alone = games[game : game + 1]
        with edited(checkpoint, [steer], alone, language) as model:
            torch.testing.assert_close(
                model(checkpoint.tokens(alone, language))[0], together[game], atol=1e-4, rtol=1e-4
            )


def test_plain_calls_hooks_and_caches_agree(checkpoint: Checkpoint) -> None:
    games, read = some_games(), checkpoint.tokens(some_games(), 1)
    edits = [Apply(plus_one, layer=0, moves=2), Steer(torch.linspace(-1, 1, D_MODEL), 2.0, layer=1)]
    with untouched(checkpoint):
        hooked = checkpoint.model.run_with_hooks(read, fwd_hooks=fwd_hooks(checkpoint, edits, games, 1))
    with untouched(checkpoint), edited(checkpoint, edits, games, 1) as model:
        assert torch.equal(model(read), hooked)
        assert torch.equal(model.run_with_cache(read)[0], hooked)
        residual = model.run_with_cache(read)[1]["blocks.0.hook_resid_pre"]
        torch.testing.assert_close(model(residual, start_at_layer=0), hooked)
    assert not torch.allclose(checkpoint.model(read), hooked, atol=1e-3)


def test_interventions_act_in_the_order_of_the_list(checkpoint: Checkpoint) -> None:
    """(x + 1) * 2 is not x * 2 + 1; each sees what the one before it left."""
    games, read = some_games(), checkpoint.tokens(some_games(), 0)
    add, double = Apply(plus_one, layer=0), Apply(lambda rows, context: rows * 2, layer=0)
    with edited(checkpoint, [add, double], games, 0) as model:
        _, first = model.run_with_cache(read)
    with edited(checkpoint, [double, add], games, 0) as model:
        _, second = model.run_with_cache(read)
    name = "blocks.0.hook_resid_post"
    difference = (first[name] - second[name])[0, :11]
    torch.testing.assert_close(difference, torch.ones_like(difference), atol=1e-5, rtol=0)


def test_the_model_is_left_alone_when_the_body_raises(checkpoint: Checkpoint) -> None:
    games, read = some_games(), checkpoint.tokens(some_games(), 0)
    before = checkpoint.model(read)
    with (
        untouched(checkpoint),
        pytest.raises(KeyError, match="mine"),
        edited(checkpoint, [Apply(plus_one, layer=0)], games, 0),
    ):
        raise KeyError("mine")
    with (
        untouched(checkpoint),
        pytest.raises(ZeroDivisionError),
        edited(checkpoint, [Apply(lambda rows, context: rows / (1 // 0), layer=0)], games, 0) as model,
    ):
        model(read)
    with untouched(checkpoint), pytest.raises(NoEffectError):
        checkpoint.model.run_with_hooks(
            read, fwd_hooks=fwd_hooks(checkpoint, [Apply(lambda rows, context: rows, layer=0)], games, 0)
        )
    assert torch.equal(checkpoint.model(read), before)


def test_a_users_own_hooks_stay(checkpoint: Checkpoint) -> None:
    games, read = some_games(), checkpoint.tokens(some_games(), 0)
    calls = []
    checkpoint.model.add_hook("blocks.1.hook_resid_post", lambda value, hook: calls.append(hook.name))
    try:
        with untouched(checkpoint), edited(checkpoint, [Apply(plus_one, layer=0)], games, 0) as model:
            model(read)
        checkpoint.model(read)
        assert len(calls) == 2
    finally:
        checkpoint.model.reset_hooks()


def test_the_activation_given_is_not_written_to(checkpoint: Checkpoint) -> None:
    """A cached run stays what it was, also when a function writes into its rows."""
    games, read = some_games(), checkpoint.tokens(some_games(), 0)
    _, cache_before = checkpoint.model.run_with_cache(read)
    residual = cache_before["blocks.0.hook_resid_pre"]
    copy = residual.clone()
    with edited(checkpoint, [Apply(lambda rows, context: rows.zero_(), layer=-1)], games, 0) as model:
        model(residual, start_at_layer=0)
    assert torch.equal(residual, copy)


class TestNullEdits:
    """An edit that does nothing is an error, whichever way it is run."""

    def both(self, intervention: Intervention, match: str, checkpoint: Checkpoint, **call: Any) -> None:
        games = some_games()
        read = checkpoint.tokens(games, 0)
        with (
            untouched(checkpoint),
            pytest.raises(NoEffectError, match=match),
            edited(checkpoint, [intervention], games, 0) as model,
        ):
            model(read[:, : call.get("width")])
        with untouched(checkpoint), pytest.raises(NoEffectError, match=match):
            checkpoint.model.run_with_hooks(
                read[:, : call.get("width")], fwd_hooks=fwd_hooks(checkpoint, [intervention], games, 0)
            )
        with edited(checkpoint, [intervention], games, 0, allow_no_effect=True) as model:
            model(read)
        checkpoint.model.run_with_hooks(
            read, fwd_hooks=fwd_hooks(checkpoint, [intervention], games, 0, allow_no_effect=True)
        )

    def test_that_change_nothing(self, checkpoint: Checkpoint) -> None:
        nothing = Steer(torch.zeros(D_MODEL), layer=1, moves=2)
        match = r"Steer\(layer=1, hook='resid_post', moves=2\) at blocks.1.hook_resid_post changed none of its 6 rows"
        self.both(nothing, match, checkpoint)

    def test_at_one_layer_of_several(self, checkpoint: Checkpoint) -> None:
        def only_first(rows: torch.Tensor, context: Context) -> torch.Tensor:
            return rows + (context.layer == 0)

        self.both(Apply(only_first, layer=[0, 1]), "only_first.* at blocks.1.hook_resid_post changed none", checkpoint)

    def test_whose_moves_were_not_read(self, checkpoint: Checkpoint) -> None:
        self.both(Apply(plus_one, layer=0, moves=7), "met no token: the moves", checkpoint, width=6)

    def test_that_never_ran(self, checkpoint: Checkpoint) -> None:
        games, read = some_games(), checkpoint.tokens(some_games(), 0)
        edits = [Apply(plus_one, layer=1)]
        with pytest.raises(NoEffectError, match="never ran"), edited(checkpoint, edits, games, 0):
            pass
        with pytest.raises(NoEffectError, match="never ran"), edited(checkpoint, edits, games, 0) as model:
            model(read, stop_at_layer=1)
        with pytest.raises(NoEffectError, match="never ran"):
            _, cache = checkpoint.model.run_with_cache(read)
            hooks = fwd_hooks(checkpoint, [Apply(plus_one, layer=0), *edits], games, 0)
            checkpoint.model.run_with_hooks(cache["blocks.1.hook_resid_pre"], start_at_layer=1, fwd_hooks=hooks)

    def test_a_run_that_stops_behind_the_edit_is_fine(self, checkpoint: Checkpoint) -> None:
        games, read = some_games(), checkpoint.tokens(some_games(), 0)
        with edited(checkpoint, [Apply(plus_one, layer=0)], games, 0) as model:
            model(read, stop_at_layer=1)

    def test_in_the_second_run(self, checkpoint: Checkpoint) -> None:
        """Every run is looked at."""
        games, read = some_games(), checkpoint.tokens(some_games(), 0)
        runs: list[int] = []

        def once(rows: torch.Tensor, context: Context) -> torch.Tensor:
            runs.append(1)
            return rows + (len(runs) == 1)

        hooks = fwd_hooks(checkpoint, [Apply(once, layer=0)], games, 0)
        checkpoint.model.run_with_hooks(read, fwd_hooks=hooks)
        with pytest.raises(NoEffectError, match="changed none"):
            checkpoint.model.run_with_hooks(read, fwd_hooks=hooks)

    def test_that_ran_before_and_is_passed_over_now(self, checkpoint: Checkpoint) -> None:
        games, read = some_games(), checkpoint.tokens(some_games(), 0)
        residual = checkpoint.model.run_with_cache(read)[1]["blocks.1.hook_resid_pre"]
        with edited(checkpoint, [Apply(plus_one, layer=0)], games, 0) as model:
            model(read)
            with pytest.raises(NoEffectError, match="never ran"):
                model(residual, start_at_layer=1)


def test_rows_name_the_games_in_the_batch(checkpoint: Checkpoint) -> None:
    """In any order, some of them twice; values by game follow the games."""
    games = some_games()
    values = torch.arange(6.0)[:, None].expand(6, D_MODEL)
    rows = np.array([4, 1, 4])
    with edited(checkpoint, [Replace(values, layer=1, moves=2)], games, 0, rows=rows) as model:
        _, cache = model.run_with_cache(checkpoint.tokens(games, 0)[rows])
    assert torch.equal(cache["blocks.1.hook_resid_post"][:, 2, 0], torch.tensor([4.0, 1.0, 4.0]))


def test_a_mask_says_which_moves_of_which_games(checkpoint: Checkpoint) -> None:
    games = some_games()
    mask = np.zeros(games.moves.shape, bool)
    mask[1, 4], mask[3, [0, 2]] = True, True
    with edited(checkpoint, [Replace(torch.zeros(D_MODEL), layer=1, moves=mask)], games, 0) as model:
        _, cache = model.run_with_cache(checkpoint.tokens(games, 0))
    zero = (cache["blocks.1.hook_resid_post"] == 0).all(-1)
    assert zero.nonzero().tolist() == [[1, 4], [3, 0], [3, 2]]


class TestMistakes:
    """What was given, what was expected."""

    @pytest.mark.parametrize(
        ("scope", "match"),
        [
            ({"hook": "resid"}, r"hook='resid': choose one of resid_pre, .* or z for a head"),
            ({"hook": "z"}, r'head=None: a head goes with hook="z"'),
            ({"head": 1}, r'head=1: a head goes with hook="z"'),
            ({"tokens": "first"}, r"tokens='first': choose"),
            ({"layer": []}, "name at least one layer"),
            ({"layer": [0, -1], "hook": "mlp_out"}, "the embeddings are read at"),
            ({"moves": "first"}, r"moves='first': choose"),
            ({"moves": -1}, "moves=-1: moves count from 0"),
            ({"moves": []}, r"moves=\[\]: moves count from 0; name at least one"),
        ],
    )
    def test_in_a_scope(self, scope: dict[str, Any], match: str) -> None:
        with pytest.raises(ValueError, match=match):
            Apply(plus_one, **{"layer": 0, **scope})

    @pytest.mark.parametrize(
        ("scope", "match"),
        [
            ({"layer": 2}, "layer 2; this model has layers -1 to 1"),
            ({"layer": -2}, "layer -2; this model has layers -1 to 1"),
            ({"hook": "z", "head": 2}, "this model has heads 0 to 1"),
            ({"moves": 12}, "no such move; the longest has 12"),
            ({"moves": np.zeros((6, 12), bool)}, "no such move"),
            ({"moves": np.ones((6, 12), bool)}, "no such move"),
            ({"moves": np.ones((6, 3), bool)}, r"moves is bool of shape \(6, 3\): expected a bool array \[game move\]"),
            ({"moves": np.arange(6)}, r"moves is int64 of shape \(6,\).*for numbers of moves pass a list"),
        ],
    )
    def test_for_a_model_and_its_games(self, scope: dict[str, Any], match: str, checkpoint: Checkpoint) -> None:
        with pytest.raises(ValueError, match=match):
            fwd_hooks(checkpoint, [Apply(plus_one, **{"layer": 0, **scope})], some_games(), 0)

    def test_a_hook_point_that_is_missing(self, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(checkpoint.model.hook_dict, "blocks.0.hook_resid_mid")
        with pytest.raises(ValueError, match=r"no hook point .*hook_resid_mid"):
            fwd_hooks(checkpoint, [Apply(plus_one, layer=0, hook="resid_mid")], some_games(), 0)

    def test_a_bare_function(self, checkpoint: Checkpoint) -> None:
        with pytest.raises(TypeError, match=r"wrap a function as Apply\(function, layer=...\)"):
            fwd_hooks(checkpoint, [plus_one], some_games(), 0)  # type: ignore[list-item]

    def test_another_batch(self, checkpoint: Checkpoint) -> None:
        games = some_games()
        with (
            pytest.raises(ValueError, match="made for a batch of 6, this run has 2"),
            edited(checkpoint, [Apply(plus_one, layer=0)], games, 0) as model,
        ):
            model(checkpoint.tokens(games, 0)[:2])

    @pytest.mark.parametrize(
        ("function", "match"),
        [
            (lambda rows, context: rows[:, :3], r"rows \(6, 16\) became \(6, 3\)"),
            (lambda rows, context: rows / 0, "values that are not finite"),
        ],
    )
    def test_in_a_users_function(self, function: Any, match: str, checkpoint: Checkpoint) -> None:
        games = some_games()
        with (
            pytest.raises(ValueError, match=match),
            edited(checkpoint, [Apply(function, layer=0, moves=1)], games, 0) as model,
        ):
            model(checkpoint.tokens(games, 0))

    def test_an_unknown_language(self, checkpoint: Checkpoint) -> None:
        with pytest.raises(ValueError, match="language 7 is no input language"):
            fwd_hooks(checkpoint, [Apply(plus_one, layer=0)], some_games(), 7)


def test_an_intervention_that_does_not_say_what_it_does() -> None:
    class Nothing(Intervention):
        pass

    with pytest.raises(TypeError, match=r"abstract class Nothing .* 'apply'|abstract method '?apply"):
        Nothing(layer=0)  # type: ignore[abstract]

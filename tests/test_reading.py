"""Readings and their edits: each prefix by hand, exactly the tokens in scope, and the model as it was afterwards."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp import forward
from mothello_interp.attention import attention_by_move, attention_overlap
from mothello_interp.attribution import direct_logit_attribution
from mothello_interp.effects import edit_effect, edited_boards
from mothello_interp.forward import HEAD_HOOKS, HOOKS, NEURON_HOOKS, hook_name
from mothello_interp.interventions import Apply, Context, Intervention, NoEffectError, Replace, Steer
from mothello_interp.languages import Encoded, Mothello
from mothello_interp.legality import legal_accuracy
from mothello_interp.lens import logit_lens
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.pairs import truncate_games
from mothello_interp.patching import interchange, recovery, transplant
from mothello_interp.probes import fit_probes
from mothello_interp.reading import Reading, StatePatch
from tests.cases import (
    ended,
    every_language,
    limit,
    next_token,
    pairs_of,
    predicted,
    sharp,
    some_games,
    spans,
    state_at,
    untouched,
    written,
)
from tests.conftest import every_world, tiny_checkpoint

D_MODEL = 16
VECTOR = torch.linspace(-3, 3, D_MODEL)


def plus_one(rows: torch.Tensor, context: Context) -> torch.Tensor:
    return rows + 1


def activation(reading: Reading, name: str) -> torch.Tensor:
    """An activation of every token, `[game pos ...]`, through the model itself."""
    with torch.inference_mode(), untouched(reading.checkpoint.model), reading.hooks() as model:
        _, cache = model.run_with_cache(reading.tokens)
    return cache[name]


def edited(reading: Reading) -> Reading:
    """A step at two moves, with all their tokens, and another language's state at a third."""
    source = reading.checkpoint.read(reading.games, reading.checkpoint.mothello.inputs[-1])
    steer = Steer(VECTOR, layer=0, moves=[1, 3], tokens="all")
    return reading.edited(steer).patched(source, layer=1, moves=4, hook="mlp_out")


def edits_by_hand(reading: Reading, moves: np.ndarray) -> list[Any]:
    """The same as hooks on a run of one game, up to its last move."""
    places = spans(reading.checkpoint, reading.language, moves)
    at = [place for move in (1, 3) if move < len(places) for place in places[move]]
    source = reading.checkpoint.mothello.inputs[-1]
    put = []
    if len(places) > 4:
        put = [(places[4][-1], state_at(reading.checkpoint, source, moves, 4, "blocks.1.hook_mlp_out"))]

    def step(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        activation[0, at] += VECTOR
        return activation

    def write(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        for place, state in put:
            activation[0, place] = state
        return activation

    return [("blocks.0.hook_resid_post", step), ("blocks.1.hook_mlp_out", write)]


@every_language
@pytest.mark.parametrize("with_edits", [False, True])
def test_predictions_by_hand(world: str, language: int, with_edits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every prefix in a run of its own: a move's probability is a product of conditionals, and edits reach the moves given so
    far alone. Runs behind keys and values, or of complete sequences, give the same; so does any batch."""
    checkpoint = sharp(world)
    games = ended(some_games()[:3], [12, 7, 5])
    reading = checkpoint.read(games, language)
    reading = edited(reading) if with_edits else reading
    for output in {reading.output, checkpoint.mothello.output_of(checkpoint.mothello.inputs[0])}:
        expected = np.zeros((*games.moves.shape, 16))
        for game, length in enumerate(games.lengths):
            for move in range(length - 1):
                moves = games.moves[game, : move + 1]
                hooks = edits_by_hand(reading, moves) if with_edits else ()
                expected[game, move] = predicted(checkpoint, language, moves, output, hooks)
        found = reading.next_moves(output)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-5)
        with monkeypatch.context() as patched:
            patched.setattr(forward, "keys_suffice", lambda model: False)
            np.testing.assert_allclose(reading.next_moves(output), expected, atol=2e-5)
        with monkeypatch.context() as patched:
            limit(patched, 30)
            np.testing.assert_allclose(reading.next_moves(output), expected, atol=2e-5)
    assert expected.max() > 0.05

    shorter = checkpoint.read(ended(games, [11, 6, 5]), language)  # the last move before which there is another
    shorter = edited(shorter) if with_edits else shorter
    np.testing.assert_allclose(shorter.final_moves()[:2], reading.next_moves()[[0, 1], [10, 5]], atol=2e-5)
    game = shorter.games.moves[0]
    hooks = edits_by_hand(shorter, game) if with_edits else ()
    expected = next_token(checkpoint, written(checkpoint, language, game), hooks)
    np.testing.assert_allclose(shorter.final_tokens()[0], expected, atol=2e-5)


@pytest.mark.parametrize("positions", ["rotary", "shortformer"])
@pytest.mark.parametrize("users_hook", [False, True])
def test_next_moves_of_several_tokens_equal_complete_sequences(
    positions: str, users_hook: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With positions of other kinds, and with a hook of the user's on the model that does something else at each position."""

    def louder(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        return activation * torch.linspace(0.5, 2, 40)[: activation.shape[1], None]

    checkpoint = sharp("compositional", positions)
    reading = checkpoint.read(some_games(), 0)
    with checkpoint.model.hooks(fwd_hooks=[("blocks.0.hook_attn_out", louder)] if users_hook else []):
        assert forward.keys_suffice(checkpoint.model) == (positions == "rotary" and not users_hook)
        found = edited(reading).next_moves()
        last = np.array([predicted(checkpoint, 0, moves[:4], 0) for moves in some_games().moves])
        np.testing.assert_allclose(reading.next_moves()[:, 3], last, atol=2e-5)
        monkeypatch.setattr(forward, "keys_suffice", lambda model: False)
        np.testing.assert_allclose(found, edited(reading).next_moves(), atol=2e-5)


@every_world
def test_pads_change_nothing(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = sharp(world)
    language = checkpoint.mothello.inputs[0]
    encode = Mothello.encode

    def measured() -> list[Any]:
        reading = edited(checkpoint.read(some_games(), language))
        return [reading.states(1), reading.next_moves(), reading.next_tokens(), reading.greedy_moves()]

    def noisy(self: Mothello, games: Games, language: int) -> Encoded:
        encoded = encode(self, games, language)
        noise = np.random.default_rng(0).integers(1, self.d_vocab, encoded.tokens.shape, dtype=np.int32)
        assert len(games) == 0 or (encoded.tokens == 0).any()
        return Encoded(np.where(encoded.tokens == 0, noise, encoded.tokens), encoded.last)

    before = measured()
    monkeypatch.setattr(Mothello, "encode", noisy)
    for one, other in zip(before, measured(), strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5)


@every_language
def test_edited_games_are_the_same_one_by_one(world: str, language: int) -> None:
    checkpoint, games = sharp(world), some_games()
    together = edited(checkpoint.read(games, language))
    states, moves = together.states(1), together.next_moves()
    for game in range(len(games)):
        alone = edited(checkpoint.read(games[game : game + 1], language))
        torch.testing.assert_close(alone.states(1), states[together.rows[0] == game], atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(alone.next_moves()[0], moves[game], atol=2e-5)


def tables(checkpoint: Checkpoint, edits: list[Intervention]) -> dict[str, Any]:
    """Every measure of a reading, on games of the model's first two input languages, each read with the edits."""
    first, second = checkpoint.mothello.inputs[:2]

    def read(games: Games, language: int) -> Reading:
        return checkpoint.read(games, language).edited(*edits)

    games, pairs = some_games(), pairs_of(4)
    alike = truncate_games(random_games(40, board=4, seed=7), 9, seed=1, earliest=4, latest=4)
    boards = edited_boards(random_games(40, board=4, seed=6), 6, seed=0)
    probes = fit_probes(sharp("atomic"), random_games(30, board=4, seed=5), batch=64, epochs=2, seed=0)
    found: dict[str, Any] = {"states": read(games, first).states(1), "next_moves": read(games, second).next_moves()}
    found["next_tokens"], found["greedy_moves"] = read(games, first).next_tokens(), read(games, first).greedy_moves()
    found["output_language_mass"] = read(games, first).output_language_mass()
    found["attention_by_move"] = attention_by_move(read(games, first))
    found["attention_overlap"] = attention_overlap(read(games, first), read(games, second))
    readings = [read(games, language) for language in (first, second)]
    found["legal_accuracy"], found["logit_lens"] = legal_accuracy(readings), logit_lens(readings)
    found["direct_logit_attribution"] = direct_logit_attribution(readings)
    found["recovery"] = recovery(read(pairs.clean, second), read(pairs.corrupted, first), resamples=5)
    settings: dict[str, Any] = {"hook": "mlp_out", "approximate": True, "resamples": 5}
    found["recovery, estimated"] = recovery(read(pairs.clean, second), read(pairs.corrupted, first), **settings)
    for measure in (interchange, transplant):
        found[measure.__name__] = measure(read(alike, second), read(alike, first), resamples=5)
    if first == 0:
        found["edit_effect"] = edit_effect(read(boards.games, first), boards, probes, sources=[0, 1], resamples=5)
    return found


@pytest.mark.parametrize("world", ["atomic", "unified"])
def test_every_measure_takes_an_edited_reading(world: str) -> None:
    """A vector added to what an MLP writes is the same as another bias, where each predicted move is one token; the inputs are
    atomic, split and compositional."""
    checkpoint = sharp(world)
    other: Any = copy.deepcopy(checkpoint.model)
    other.blocks[0].mlp.b_out.data += VECTOR
    expected = tables(Checkpoint(other, checkpoint.spec, {"seed": 0}, checkpoint.name), [])
    plain = tables(checkpoint, [])
    found = tables(checkpoint, [Steer(VECTOR, layer=0, hook="mlp_out", tokens="all")])
    for name, table in found.items():
        if isinstance(table, pd.DataFrame):
            pd.testing.assert_frame_equal(table, expected[name], atol=2e-4, rtol=1e-3, obj=name)
            assert not table.equals(plain[name]), name
        else:
            np.testing.assert_allclose(np.asarray(table), np.asarray(expected[name]), atol=1e-4, err_msg=name)
            assert not np.allclose(np.asarray(table), np.asarray(plain[name]), atol=1e-3), name


@every_language
@pytest.mark.parametrize("tokens", ["last", "all"])
@pytest.mark.parametrize("moves", ["all", "last", 3, [0, 4], "mask"])
def test_exactly_the_tokens_in_scope_are_edited(world: str, language: int, tokens: Any, moves: Any) -> None:
    """The activation differs by 1 there and by 0 everywhere else, padding included; the context names the rows."""
    checkpoint, games, contexts = tiny_checkpoint(world), some_games(), []
    mask = np.zeros(games.moves.shape, bool)
    mask[1, 4], mask[3, [0, 2]] = True, True

    def look(rows: torch.Tensor, context: Context) -> torch.Tensor:
        contexts.append(context)
        assert rows.shape == (len(context.game), D_MODEL)
        return rows + 1

    reading = checkpoint.read(games, language)
    expected, named = torch.zeros(reading.tokens.shape), set()
    for game, row in enumerate(games.moves):
        places = spans(checkpoint, language, row)
        for move, span in enumerate(places):
            chosen = {"all": True, "last": move == len(places) - 1, "3": move == 3, "[0, 4]": move in (0, 4)}
            for place in span if tokens == "all" else span[-1:]:
                if (chosen | {"mask": mask[game, move]})[str(moves)] and place < reading.tokens.shape[1]:
                    expected[game, place] = 1
                    named.add((game, move, place))
    scope = mask if moves == "mask" else moves
    name = "blocks.0.hook_resid_post"
    after = activation(reading.edited(Apply(look, layer=0, moves=scope, tokens=tokens)), name)
    difference = after - activation(reading, name)
    torch.testing.assert_close(difference, expected[..., None].expand_as(difference), atol=1e-5, rtol=0)
    assert 0 < expected.sum() < expected.numel()

    (context,) = contexts
    assert {*zip(context.game, context.move, context.position, strict=True)} == named
    assert (context.layer, context.hook, context.language) == (0, "resid_post", language)
    assert np.array_equal(context.state, replay(games).state[context.game, context.move])
    assert np.array_equal(context.mover, replay(games).mover[context.game, context.move + 1])


@pytest.mark.parametrize(
    ("hook", "layer"), [("resid_post", -1), *((hook, 1) for hook in (*HOOKS, *HEAD_HOOKS, *NEURON_HOOKS))]
)
@pytest.mark.parametrize("head", [None, 1, [1], [1, 0]])
def test_edits_at_every_hook(hook: str, layer: int, head: Any, checkpoint: Checkpoint) -> None:
    """One row of one game at the place that is named, for the heads that are named; nothing before it."""
    reading, name = checkpoint.read(some_games(), 1), hook_name(layer, hook)
    if head is not None and hook not in HEAD_HOOKS:
        with pytest.raises(ValueError, match=f"head=.*heads go with one of {', '.join(HEAD_HOOKS)}"):
            Apply(plus_one, layer=layer, hook=hook, head=head)
        return
    seen: list[tuple[int, ...]] = []

    def count(rows: torch.Tensor, context: Context) -> torch.Tensor:
        seen.append(tuple(rows.shape))
        steps = torch.arange(1.0, rows.shape[1] + 1)[:, None] if rows.ndim == 3 else torch.ones(())
        return rows + steps

    edit = Apply(count, layer=layer, hook=hook, head=head, moves=2)
    with torch.inference_mode():
        _, before = checkpoint.model.run_with_cache(reading.tokens)
        with reading.edited(edit).hooks() as model:
            _, after = model.run_with_cache(reading.tokens)
    for earlier in list(before)[: list(before).index(name)]:
        assert torch.equal(after[earlier], before[earlier]), earlier
    difference = after[name] - before[name]
    difference = difference.transpose(1, 2) if hook == "pattern" else difference  # [game pos ...]
    heads = [] if hook not in HEAD_HOOKS else [0, 1] if head is None else np.atleast_1d(head).tolist()
    width = difference.shape[-1]
    expected = torch.zeros_like(difference)
    for place, one in enumerate(heads):
        expected[:, 2, one] = 1.0 if head == 1 else min(place + 1.0, len(heads))
    if head == [1]:
        expected[:, 2, 1] = 1
    if not heads:
        expected[:, 2] = 1
    torch.testing.assert_close(difference, expected, atol=1e-5, rtol=0)
    assert seen == [(6, width) if hook not in HEAD_HOOKS or head == 1 else (6, len(heads), width)]


@pytest.mark.parametrize("world", ["atomic", "split"])
def test_states_are_those_of_runs_of_one_game(world: str) -> None:
    """At every hook, of every head, and of some moves alone, in any order."""
    checkpoint, language = tiny_checkpoint(world), 0
    reading = checkpoint.read(some_games(), language)
    game, move = reading.rows
    assert len(game) == 11 * 5 + 5
    for hook, head in [*((hook, None) for hook in (*HOOKS, *HEAD_HOOKS, *NEURON_HOOKS)), ("z", 1), ("q", 0)]:
        found = reading.states(1, hook, head)
        asked = np.array([[40, 3, 11], [12, 3, 55]])
        several = reading.states_at(game[asked], move[asked], layers=[1, 0], hook=hook, head=head)
        torch.testing.assert_close(several[0], found[torch.from_numpy(asked)], atol=1e-5, rtol=0)
        for row in (3, 12, 40):
            moves = some_games().moves[game[row]]
            with torch.inference_mode():
                text = written(checkpoint, language, moves)[:, : reading.tokens.shape[1]]
                cached = checkpoint.model.run_with_cache(text)[1][hook_name(1, hook)][0]
            cached = cached.transpose(0, 1) if hook == "pattern" else cached
            state = cached[spans(checkpoint, language, moves)[move[row]][-1]]
            state = state if head is None else state[head]
            torch.testing.assert_close(found[row][..., : state.shape[-1]], state, atol=1e-5, rtol=1e-5)


def test_hooks_are_the_readings_own_run(checkpoint: Checkpoint) -> None:
    """Runs, caches and measures agree; edits act in the order in which they are named, on what the one before left."""
    reading = checkpoint.read(some_games(), 1)
    double = Apply(lambda rows, context: rows * 2, layer=0)
    orders = [reading.edited(Apply(plus_one, layer=0), double), reading.edited(double).edited(Apply(plus_one, layer=0))]
    first, second = (activation(order, "blocks.0.hook_resid_post") for order in orders)
    torch.testing.assert_close((first - second)[0, :11], torch.ones(11, D_MODEL), atol=1e-5, rtol=0)
    torch.testing.assert_close(first[reading.rows], orders[0].states(0), atol=1e-5, rtol=0)
    with torch.inference_mode(), orders[0].hooks() as model:
        logits = model(reading.tokens)
        assert torch.equal(model.run_with_cache(reading.tokens)[0], logits)
        torch.testing.assert_close(model(reading.tokens[:, :7]), logits[:, :7], atol=1e-5, rtol=1e-5)
        assert model(reading.tokens, stop_at_layer=1).shape == (*reading.tokens.shape, D_MODEL)
    after = logits.softmax(-1)[np.arange(6), reading.games.lengths - 2].numpy()
    np.testing.assert_allclose(orders[0].next_tokens()[np.arange(6), reading.games.lengths - 2], after, atol=1e-5)


@pytest.mark.parametrize("name", ["language", "games", "order", "fewer", "longer", "residual"])
def test_hooks_refuse_any_other_run(name: str, checkpoint: Checkpoint) -> None:
    """Tokens of another language or other games, or a run that starts behind the tokens, also after one that was right."""
    reading = checkpoint.read(some_games(), 1).edited(Apply(plus_one, layer=0))
    tokens = reading.tokens
    others = {"language": checkpoint.tokens(some_games(), 0), "order": tokens.flip(0), "fewer": tokens[:2]}
    others |= {"games": checkpoint.tokens(random_games(6, board=4, seed=6), 1), "longer": torch.cat([tokens, tokens])}
    residual = checkpoint.model(tokens, stop_at_layer=0).detach()
    with untouched(checkpoint.model), reading.hooks() as model:
        model(tokens)
        if name == "residual":
            with pytest.raises(ValueError, match=r"does not start from tokens inside .*pass reading.tokens"):
                model(residual, start_at_layer=0)
        else:
            with pytest.raises(ValueError, match="that are not those of Reading"):
                model(others[name])
    model(others.get(name, tokens))


def test_hooks_leave_the_model_as_it_was(checkpoint: Checkpoint) -> None:
    """Also when the body or an edit raises; hooks of the user's stay and act; no activation given is written to."""
    reading = checkpoint.read(some_games(), 0)
    before = checkpoint.model(reading.tokens)
    for edit, error in (
        (Apply(plus_one, layer=0), KeyError),
        (Apply(lambda rows, _: rows / (1 // 0), layer=0), ZeroDivisionError),
    ):
        with untouched(checkpoint.model), pytest.raises(error), reading.edited(edit).hooks() as model:
            model(reading.tokens)
            raise KeyError
    assert torch.equal(checkpoint.model(reading.tokens), before)

    kept: list[torch.Tensor] = []
    own: Any = [("blocks.0.hook_resid_post", lambda value, hook: kept.append(value))]
    wipe = reading.edited(Apply(lambda rows, context: rows.zero_(), layer=0))
    with checkpoint.model.hooks(fwd_hooks=own):
        wiped = activation(wipe, "blocks.0.hook_resid_post")
        checkpoint.model(reading.tokens)
    assert len(kept) == 2
    assert not wiped[:, 0].any()
    assert torch.equal(kept[0], kept[1])


def test_a_hook_left_on_the_model_is_said(checkpoint: Checkpoint) -> None:
    model, reading = checkpoint.model, checkpoint.read(some_games(), 0)
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_post", lambda value, hook: 2 * value)]):
        reading.states(1)
    model.add_hook("blocks.0.hook_resid_post", lambda value, hook: 2 * value)
    try:
        for measure in (lambda: reading.states(1), reading.next_moves):
            with pytest.warns(UserWarning, match="blocks.0.hook_resid_post, and change what is measured"):
                measure()
    finally:
        model.reset_hooks()


class TestNoEffect:
    """An edit that does nothing is an error, whatever is asked."""

    def check(self, edit: Intervention, match: str, checkpoint: Checkpoint) -> None:
        reading = checkpoint.read(some_games(), 0)
        with untouched(checkpoint.model), pytest.raises(NoEffectError, match=match):
            reading.edited(edit).next_moves()
        with untouched(checkpoint.model), pytest.raises(NoEffectError, match=match):
            activation(reading.edited(edit), "hook_embed")
        assert np.array_equal(reading.edited(edit, allow_no_effect=True).next_moves(), reading.next_moves())

    def test_of_an_edit_that_changes_nothing(self, checkpoint: Checkpoint) -> None:
        nothing = Steer(torch.zeros(D_MODEL), layer=1, moves=2)
        match = r"Steer\(layer=1, hook='resid_post', moves=2\) at blocks.1.hook_resid_post changed none of its 6 rows"
        self.check(nothing, match, checkpoint)

    def test_of_one_layer_of_several(self, checkpoint: Checkpoint) -> None:
        edit = Apply(lambda rows, context: rows + (context.layer == 0), layer=[0, 1])
        with pytest.raises(NoEffectError, match=r"blocks.1.hook_resid_post changed none"):
            checkpoint.read(some_games(), 0).edited(edit).next_moves()

    def test_of_a_state_put_in_its_own_place(self, checkpoint: Checkpoint) -> None:
        reading = checkpoint.read(ended(some_games(), 5), 0)
        with pytest.raises(NoEffectError, match=r"StatePatch\(layer=-1, hook='resid_post'\) changed no state"):
            reading.patched(reading, layer=-1).final_moves()

    def test_of_moves_that_were_not_run(self, checkpoint: Checkpoint) -> None:
        reading = checkpoint.read(some_games(), 0).edited(Apply(plus_one, layer=0, moves=7))
        with pytest.raises(NoEffectError, match="never ran: the moves"), reading.hooks() as model:
            model(reading.tokens[:, :6])

    def test_of_layers_that_were_not_run(self, checkpoint: Checkpoint) -> None:
        reading = checkpoint.read(some_games(), 0).edited(Apply(plus_one, layer=1))
        with pytest.raises(NoEffectError, match="never ran"), reading.hooks():
            pass
        with pytest.raises(NoEffectError, match="never ran"), reading.hooks() as model:
            model(reading.tokens, stop_at_layer=1)
        with pytest.raises(NoEffectError, match="never ran"):
            reading.states(0)


@pytest.mark.parametrize("hook", ["resid_post", "k", "z", "pattern", "post"])
@pytest.mark.parametrize("head", [None, 1])
def test_patched_puts_the_sources_state_there_alone(hook: str, head: int | None, checkpoint: Checkpoint) -> None:
    games = ended(random_games(6, board=4, seed=5), [4, 7, 5, 9, 9, 3])
    source, target = checkpoint.read(games, 1), checkpoint.read(games, 0)
    name, moves = hook_name(1, hook), np.array([3, 0, 2, 6, 8, 1])
    if head is not None and hook not in HEAD_HOOKS:
        with pytest.raises(ValueError, match="head=1 goes with one of q, k"):
            target.patched(source, layer=1, moves=moves, hook=hook, head=head)
        return
    found = activation(target.patched(source, layer=1, moves=moves, hook=hook, head=head), name)
    theirs, expected = activation(source, name), activation(target, name).clone()
    axes = [values.transpose(1, 2) if hook == "pattern" else values for values in (theirs, expected)]
    at: Any = (np.arange(6), moves) if head is None else (np.arange(6), moves, head)
    axes[1][at] = axes[0][at]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(found, activation(target, name), atol=1e-3)
    if hook != "pattern":
        at_last = target.patched(source, layer=1, hook=hook, head=head)
        last = target.patched(source, layer=1, moves=games.lengths - 1, hook=hook, head=head)
        assert np.array_equal(at_last.final_moves(), last.final_moves())


@pytest.mark.parametrize(
    ("values", "moves", "match"),
    [
        (
            torch.zeros(1, 5, 16),
            np.zeros((1, 6), int),
            r"values \(1, 5, 16\), moves \(1, 6\): expected one a cell and game",
        ),
        (torch.zeros(1, 5, 16), np.zeros((1, 5), int), "for 6 games"),
        (torch.zeros(6, 16), np.zeros(6, int), "expected one a cell and game, for 6 games"),
        (torch.zeros(1, 6, 15), np.zeros((1, 6), int), r"values of shape \(6, 15\), expected \(6, 16\)"),
        (torch.zeros(1, 6, 16), np.full((1, 6), 5), "a game has no such move"),
        (torch.zeros(1, 6, 16), np.full((1, 6), -1), "a game has no such move"),
    ],
)
def test_state_patch_refuses_other_shapes(values: Any, moves: np.ndarray, match: str, checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=match):
        checkpoint.read(some_games(), 0).edited(StatePatch(0, values, moves)).next_moves()


SCOPES: list[tuple[dict[str, Any], str]] = [
    ({"hook": "resid"}, r"hook='resid': choose one of resid_pre, .*pattern"),
    ({"tokens": "first"}, r"tokens='first': choose"),
    ({"layer": []}, r"layer=\[\]: expected a whole number"),
    ({"layer": 1.5}, "layer=1.5: expected a whole number"),
    ({"layer": "1"}, "layer='1': expected a whole number"),
    ({"layer": [0, -1], "hook": "mlp_out"}, "the embeddings are read at"),
    ({"layer": 2}, "layer 2: this model has layers -1 .* to 1"),
    ({"layer": -2}, "layer -2: this model has layers -1"),
    ({"hook": "z", "head": 2}, "this model has heads 0 to 1"),
    ({"hook": "z", "head": 0.0}, "head=0.0: expected a whole number"),
    ({"moves": "first"}, r"moves='first': choose"),
    ({"moves": -1}, "moves=-1: moves count from 0"),
    ({"moves": []}, r"moves=\[\]: expected a whole number"),
    ({"moves": [1, 2.5]}, "expected a whole number"),
    ({"moves": 12}, "no such move; the longest has 12"),
    ({"moves": np.zeros((6, 12), bool)}, "no such move"),
    ({"moves": np.ones((6, 12), bool)}, "no such move"),
    ({"moves": np.ones((6, 3), bool)}, r"moves is bool of shape \(6, 3\): expected a bool array \[game move\]"),
    ({"moves": np.arange(6)}, r"moves is int64 of shape \(6,\).*for numbers of moves pass a list"),
]


@pytest.mark.parametrize(("scope", "match"), SCOPES)
def test_edited_refuses_scopes_that_are_not_there(scope: dict[str, Any], match: str, checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=match):
        checkpoint.read(some_games(), 0).edited(Apply(plus_one, **{"layer": 0, **scope}))


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda rows, context: None, r"Apply\(.*gave NoneType: expected rows \(6, 16\); return them"),
        (lambda rows, context: rows[:, :3], r"Apply\(.*rows \(6, 16\) became \(6, 3\)"),
        (lambda rows, context: rows / 0, r"Apply\(.*values that are not finite"),
        (lambda rows, context: 0 * rows + 3e38, r"Apply\(.*its weights are finite, so an edit"),
    ],
)
def test_edits_refuse_what_a_function_may_not_give(function: Any, match: str, checkpoint: Checkpoint) -> None:
    reading = checkpoint.read(some_games(), 0).edited(Apply(function, layer=0, moves=1))
    with pytest.raises(ValueError, match=match):
        reading.next_moves()


def test_readings_refuse_what_is_not_there(checkpoint: Checkpoint) -> None:
    games, unified = some_games(), tiny_checkpoint("unified")
    reading = checkpoint.read(games, 0)
    with pytest.raises(TypeError, match="games: ndarray; expected Games"):
        checkpoint.read(games.moves, 0)  # type: ignore[arg-type]
    for of, language in ((checkpoint, 7), (unified, 0)):
        with pytest.raises(ValueError, match=f"language {language} is no input language"):
            of.read(games, language)
    with pytest.raises(TypeError, match=r"wrap a function as Apply\(function, layer=...\)"):
        reading.edited(plus_one)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="output=2: expected one of the languages 0 to 1"):
        reading.next_moves(2)
    for outputs in ([], [0, 2]):
        with pytest.raises(ValueError, match="expected one or more of the languages 0 to 1"):
            reading.greedy_moves(outputs)
    for length, match in ((0, "games of 0 to 0 moves: expected 1 to 11"), (12, "games of 12 to 12 moves")):
        with pytest.raises(ValueError, match=match):
            checkpoint.read(ended(random_games(6, board=4, seed=5)[:1], length), 0).final_moves()
    with pytest.raises(ValueError, match="5 games to patch from, 6 to patch"):
        reading.patched(checkpoint.read(games[:5], 1), layer=0)
    for moves in ("first", 2.5, [1.0] * 6):
        with pytest.raises(ValueError, match=r'moves=.*: choose "last", a number, or one a game'):
            reading.patched(checkpoint.read(games, 1), layer=0, moves=moves)  # type: ignore[arg-type]
    for moves in ("last", -1, 7):  # the last move of a full game is never read
        with pytest.raises(ValueError, match="a game has no such move, or it is the last of a full game"):
            reading.patched(checkpoint.read(games, 1), layer=0, moves=moves)
    with pytest.raises(ValueError, match="hook='pre2': choose one of"):
        reading.states(0, "pre2")


def test_values_replace_the_rows_of_their_games(checkpoint: Checkpoint) -> None:
    """In whichever batch a game is run."""
    values = torch.arange(6.0)[:, None].expand(6, D_MODEL)
    reading = checkpoint.read(some_games(), 0).edited(Replace(values, layer=1, moves=2))
    found = reading.states_at(np.array([4, 1, 4]), np.array(2), layers=[1])
    assert torch.equal(found[0, :, 0], torch.tensor([4.0, 1.0, 4.0]))

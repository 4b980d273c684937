"""The corpus: an address always holds the same game, in the same language, with the same targets."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.corpus import Batch, Corpus, Pairing
from mothello_interp.languages import Atomic, Compositional, Mothello, Split, exact_targets, sampled_targets
from mothello_interp.othello import Games, IllegalGame, replay

MOTHELLO = Mothello(4, (Atomic(), Compositional(), Split(seed=1)), ["a1"])
UNIFIED = Mothello(4, (Atomic(), Compositional(), Split(seed=1)), unified_output=True)
OPENING = ("b1", "a1", "a2")
both_objectives = pytest.mark.parametrize("objective", ["exact", "sampled"])


def transcripts(games: Games) -> set[str]:
    """The distinct games."""
    return set(games.to_transcripts())


def joined(*batches: Batch) -> dict[str, np.ndarray]:
    """The arrays of several batches, one behind the other."""
    arrays = {
        name: np.concatenate([getattr(batch, name) for batch in batches]) for name in ("tokens", "targets", "language")
    }
    return arrays | {"games": np.concatenate([batch.games.moves for batch in batches])}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """Equal arrays of equal types."""
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array), name


@both_objectives
@pytest.mark.parametrize("mothello", [MOTHELLO, UNIFIED], ids=["plain", "unified"])
def test_a_batch_is_its_parts(mothello: Mothello, objective: Any) -> None:
    corpus = Corpus(mothello, seed=3, objective=objective, language_weights=(2, 1, 1)[: len(mothello.inputs)])
    whole = joined(corpus.batch(0, 8))
    assert_same(joined(corpus.batch(0, 4), corpus.batch(4, 4)), whole)
    assert_same(joined(*(corpus.batch(game, 1) for game in range(8))), whole)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 6), min_size=1, max_size=4))
@settings(deadline=None, max_examples=30)
def test_any_split_of_any_address(start: int, sizes: list[int]) -> None:
    corpus = Corpus(MOTHELLO, seed=3, objective="sampled", opening=OPENING)
    ends = np.cumsum([start, *sizes]).tolist()
    pieces = [corpus.batch(first, size) for first, size in zip(ends, sizes, strict=False)]
    assert_same(joined(*pieces), joined(corpus.batch(start, sum(sizes))))


def test_threads_change_nothing() -> None:
    corpus = Corpus(Mothello(4, (Atomic(), Atomic())), seed=3, objective="sampled")
    assert_same(joined(corpus.batch(5, 9000, threads=2)), joined(corpus.batch(5, 9000, threads=1)))


def test_the_objective_changes_the_targets_alone() -> None:
    exact = joined(Corpus(MOTHELLO, seed=3, objective="exact").batch(0, 64))
    sampled = joined(Corpus(MOTHELLO, seed=3, objective="sampled").batch(0, 64))
    for name in ("games", "language", "tokens"):
        assert np.array_equal(exact[name], sampled[name])


def test_seeds_name_streams() -> None:
    first, again, other = (Corpus(MOTHELLO, seed=seed).batch(0, 200) for seed in (1, 1, 2))
    assert first.games == again.games
    assert np.array_equal(first.language, again.language)
    assert not np.array_equal(first.language, other.language)
    shared = set(first.games.to_transcripts()) & set(other.games.to_transcripts())
    assert len(shared) < 10


def test_language_is_independent_of_the_game() -> None:
    """The same seed draws both: after a first move every language is as likely as after another."""
    batch = Corpus(Mothello(4, (Atomic(), Atomic())), seed=0, objective="sampled").batch(0, 8000)
    for square in np.unique(batch.games.moves[:, 0]):
        among = batch.language[batch.games.moves[:, 0] == square]
        assert abs(among.mean() - 0.5) < 4 * 0.5 * len(among) ** -0.5
    pairs = batch.language[:-1] == batch.language[1:]
    assert abs(pairs.mean() - 0.5) < 4 * 0.5 * len(pairs) ** -0.5


@pytest.mark.parametrize("weights", [(), (1, 2, 5), (0, 1, 3), (0, 0, 2)])
def test_languages_come_as_often_as_weighted(weights: tuple[float, ...]) -> None:
    n = 20_000
    shares = np.array(weights or (1, 1, 1)) / sum(weights or (1, 1, 1))
    drawn = Corpus(MOTHELLO, seed=4, language_weights=weights).languages(17, n)
    counts = np.bincount(drawn, minlength=3)
    assert drawn.dtype == np.int64
    assert (np.abs(counts - n * shares) <= 4 * np.sqrt(n * shares * (1 - shares))).all()


def test_weights_stand_for_input_languages() -> None:
    """Under a unified output the first language is never drawn and has no weight."""
    drawn = Corpus(UNIFIED, seed=4, language_weights=(1, 3)).languages(0, 4000)
    counts = np.bincount(drawn, minlength=3)
    assert counts[0] == 0
    assert abs(counts[2] - 3000) < 4 * np.sqrt(4000 * 0.75 * 0.25)


def test_held_out_games_are_not_trained_on() -> None:
    """They are of the same kind, and as far from the training games as those of another seed."""
    corpus = Corpus(Mothello(6, (Atomic(),)), seed=5, opening=("c2", "b2", "a2"), objective="sampled")
    held_out, training = corpus.held_out(300), corpus.batch(0, 3000).games
    assert not transcripts(held_out) & transcripts(training)
    assert held_out == corpus.held_out(400)[:300]
    assert (held_out.moves[:, :3] == training.moves[0, :3]).all()
    assert not transcripts(held_out) & transcripts(Corpus(corpus.mothello, seed=6).held_out(300))
    assert len(transcripts(held_out)) == 300


@both_objectives
@pytest.mark.parametrize("mothello", [MOTHELLO, UNIFIED], ids=["plain", "unified"])
def test_what_a_batch_holds(mothello: Mothello, objective: Any) -> None:
    """Every game as its language writes it, cut to what a model sees, with the targets of its positions."""
    batch = Corpus(mothello, seed=3, objective=objective).batch(40, 24)
    n_ctx = mothello.n_ctx
    shape = (24, n_ctx, mothello.d_vocab) if objective == "exact" else (24, n_ctx)
    assert (batch.tokens.shape, batch.tokens.dtype) == ((24, n_ctx), np.int32)
    assert (batch.targets.shape, batch.targets.dtype) == (shape, np.float32 if objective == "exact" else np.int32)
    assert set(batch.language) == set(mothello.inputs)
    for game, language in enumerate(batch.language):
        one = batch.games[game : game + 1]
        tokens = mothello.encode(one, int(language)).tokens[0]
        targets = sampled_targets(mothello, one, int(language))[0]
        if objective == "exact":
            targets = exact_targets(mothello, one, replay(one).legal, int(language))[0]
        width = min(len(tokens), n_ctx)
        assert np.array_equal(batch.tokens[game, :width], tokens[:width])
        assert np.array_equal(batch.targets[game, :width], targets[:width])
        assert not batch.tokens[game, width:].any()
        assert not batch.targets[game, width:].any()


@pytest.mark.parametrize("mothello", [MOTHELLO, UNIFIED], ids=["plain", "unified"])
def test_inside_an_opening_its_move_is_certain(mothello: Mothello) -> None:
    """And behind it every legal move is possible again."""
    exact = Corpus(mothello, seed=3, opening=OPENING).batch(0, 48)
    sampled = Corpus(mothello, seed=3, opening=OPENING, objective="sampled").batch(0, 48)
    assert len(set(exact.games.moves[:, 3])) > 1
    for game, language in enumerate(exact.language):
        assert exact.games[game : game + 1].to_transcripts()[0].startswith("b1a1a2")
        end = mothello.encode(exact.games[game : game + 1], int(language)).last[0, 2]
        inside = exact.targets[game, :end]
        expected = np.zeros_like(inside)
        expected[np.arange(end), sampled.targets[game, :end]] = 1
        expected[:, 0] = 0
        assert expected.any()
        assert np.array_equal(inside, expected)
        assert 0 < exact.targets[game, end].max() < 1


@pytest.mark.parametrize(
    "weights", [(1, 2), (1, 2, 3, 4), (1, -1, 2), (0, 0, 0), (1, float("nan"), 1), (1, float("inf"), 1)]
)
def test_weights_that_are_none(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"give 3 numbers, one for each input language \[0, 1, 2\]"):
        Corpus(MOTHELLO, seed=0, language_weights=weights)
    with pytest.raises(ValueError, match="takes no language_weights"):
        Corpus(MOTHELLO, seed=0, pairing="parallel", language_weights=(1, 1, 1))
    with pytest.raises(ValueError, match="start=-1"):
        Corpus(MOTHELLO, seed=0).batch(-1, 2)


def test_an_opening_that_breaks_the_rules() -> None:
    with pytest.raises(IllegalGame, match="move 2: d4 is not legal"):
        Corpus(MOTHELLO, seed=0, opening=("b1", "d4")).batch(0, 1)


def finite(pairing: Pairing) -> Corpus:
    return Corpus(Mothello(4, (Atomic(), Atomic(), Atomic())), seed=3, corpus_games=50, pairing=pairing)


@pytest.mark.parametrize("pairing", ["redrawn", "disjoint"])
def test_every_visit_of_a_finite_set_shows_each_game_once(pairing: Pairing) -> None:
    """In another order each time, also when a batch spans two visits."""
    corpus = finite(pairing)
    visits = corpus.game_index(0, 200).reshape(4, 50)
    assert (np.sort(visits) == np.arange(50)).all()
    assert len({tuple(visit) for visit in visits}) == 4
    assert np.array_equal(corpus.game_index(40, 20), corpus.game_index(0, 60)[40:])
    games = corpus.batch(0, 100).games
    first, second = (games[np.argsort(visits[visit]) + 50 * visit] for visit in (0, 1))
    assert first == second


def test_how_languages_meet_games() -> None:
    """Redrawn: any language at a later visit; disjoint: the same one; parallel: all of them, one after the other."""
    pairs: dict[Pairing, set[tuple[int, int]]] = {}
    kinds: tuple[Pairing, ...] = ("redrawn", "disjoint", "parallel")
    for pairing in kinds:
        corpus = finite(pairing)
        index, language = corpus.game_index(0, 600), corpus.languages(0, 600)
        pairs[pairing] = set(zip(index.tolist(), language.tolist(), strict=True))
        assert np.array_equal(corpus.batch(7, 9).language, language[7:16])
    assert len(pairs["disjoint"]) == 50
    assert len(pairs["parallel"]) == 150
    assert 50 < len(pairs["redrawn"]) <= 150
    together = finite("parallel").batch(0, 3)
    assert together.games[np.array([0, 0, 0])] == together.games
    assert together.language.tolist() == [0, 1, 2]

"""Targets: exact distributions against brute force and against what was sampled, move by move."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest

from mothello_interp.languages import PAD, Atomic, Compositional, Mothello, Split, exact_targets, sampled_targets
from mothello_interp.othello import Games, full_length, random_games, replay
from tests.othello import reference

OPENING = ["b1", "a1", "a2"]
LENGTHS = tuple(1 + square % 3 for square in range(16))
WORLDS = {
    "atomic": Mothello(4, (Atomic(), Atomic()), ["b1"]),
    "compositional": Mothello(4, (Compositional(),)),
    "one anchor in a row": Mothello(4, (Atomic(), Compositional()), ["a3"]),
    "anchors that share a row": Mothello(4, (Compositional(), Compositional()), ["a1", "b1", "d4"]),
    "split": Mothello(4, (Split(lengths=LENGTHS),)),
    "split with anchors": Mothello(4, (Compositional(), Split(lengths=LENGTHS)), ["a1", "a2", "c4"]),
    "unified": Mothello(4, (Atomic(), Compositional(), Split(lengths=LENGTHS)), ["a2"], unified_output=True),
}
CASES = [(name, language) for name, mothello in WORLDS.items() for language in mothello.inputs]
every_case = pytest.mark.parametrize(("name", "language"), CASES)


@cache
def world_games(opening: tuple[str, ...] = ()) -> tuple[Games, np.ndarray]:
    """Games on 4x4, every fourth unfinished, and their legal moves; inside the opening the move played alone."""
    games = random_games(48, board=4, seed=21, opening=opening)
    ends = np.where(np.arange(48) % 4 == 0, len(opening) + np.arange(48) % 9, full_length(4))
    games = Games(np.where(np.arange(full_length(4)) < ends[:, None], games.moves, -1), 4)
    legal = replay(games).legal.copy()
    for move in range(len(opening)):
        legal[:, move] = np.arange(16) == games.moves[:, move, None]
    return games, legal


def word(mothello: Mothello, language: int, square: int) -> tuple[int, ...]:
    """The tokens of one move."""
    return tuple(int(token) for token in mothello.move_tokens[language, square] if token != PAD)


def likely(words: Sequence[tuple[int, ...]], written: tuple[int, ...]) -> dict[int, float]:
    """The next token after the beginning of one of several equally likely words."""
    possible = [word for word in words if word[: len(written)] == written]
    return {token: n / len(possible) for token, n in Counter(word[len(written)] for word in possible).items()}


def brute_force(mothello: Mothello, language: int, moves: Sequence[int], opening: int) -> list[dict[int, float]]:
    """The distribution of what follows each token of a game, spelled from the moves that the reference allows."""
    options = [[row * 4 + column for row, column in now.legal] for now in reference.positions(moves, 4)]
    options[:opening] = [[move] for move in moves[:opening]]
    result: list[dict[int, float]] = []
    for number, move in enumerate(moves):
        spelled = word(mothello, language, move)
        words = [word(mothello, language, square) for square in options[number]]
        beginnings = [spelled[:written] for written in range(1, len(spelled))]
        result += [{} if mothello.unified_output else likely(words, written) for written in beginnings]
        spoken = mothello.output_of(language)
        result.append(likely([word(mothello, spoken, square) for square in options[number + 1]], ()))
    return result


@pytest.mark.parametrize("opening", [(), tuple(OPENING)], ids=["free", "opening"])
@every_case
def test_exact_targets_are_brute_force(name: str, language: int, opening: tuple[str, ...]) -> None:
    mothello = WORLDS[name]
    games, legal = world_games(opening)
    exact = exact_targets(mothello, games, legal, language)
    assert (exact.dtype, exact.shape) == (np.float32, (48, mothello.width(language), mothello.d_vocab))
    for game, row in enumerate(games.moves.tolist()):
        expected = np.zeros(exact.shape[1:])
        moves = [move for move in row if move >= 0]
        for position, chances in enumerate(brute_force(mothello, language, moves, len(opening))):
            for token, chance in chances.items():
                expected[position, token] = chance
        np.testing.assert_allclose(exact[game], expected, atol=1e-6)


@every_case
def test_weights_of_moves_become_probabilities_of_tokens(name: str, language: int) -> None:
    """However small: the first token weighs its squares, a later one those that begin like the word so far."""
    mothello = WORLDS[name]
    games, legal = world_games(())
    weights = np.random.default_rng(0).uniform(0.001, 0.01, legal.shape) * legal
    exact = exact_targets(mothello, games, weights, language)
    uniform = exact_targets(mothello, games, legal, language)
    np.testing.assert_array_equal(exact_targets(mothello, games, legal * 0.25, language), uniform)
    np.testing.assert_array_equal(exact > 0, uniform > 0)
    np.testing.assert_allclose(exact.sum(axis=2), uniform.sum(axis=2), atol=1e-6)
    spoken = mothello.move_tokens[mothello.output_of(language), :, 0]
    ends = mothello.encode(games, language).last
    for game, move in ((1, 2), (3, 5), (7, 1)):
        expected = np.bincount(spoken, weights[game, move + 1], mothello.d_vocab)
        np.testing.assert_allclose(exact[game, ends[game, move]], expected / expected.sum(), atol=1e-6)


@pytest.mark.parametrize("name", [name for name, mothello in WORLDS.items() if not mothello.unified_output])
def test_sampled_targets_are_the_next_tokens(name: str) -> None:
    mothello = WORLDS[name]
    games, _ = world_games()
    for language in mothello.inputs:
        tokens = mothello.encode(games, language).tokens
        sampled = sampled_targets(mothello, games, language)
        assert sampled.dtype == np.int32
        assert np.array_equal(sampled[:, :-1], tokens[:, 1:])
        assert not sampled[:, -1].any()


@pytest.mark.parametrize("language", [1, 2])
def test_targets_of_a_unified_output(language: int) -> None:
    """On the last token of every move but the game's last, in the output language, and nowhere else."""
    mothello = WORLDS["unified"]
    games, legal = world_games()
    last = mothello.encode(games, language).last
    sampled = sampled_targets(mothello, games, language)
    exact = exact_targets(mothello, games, legal, language)
    assert sampled.dtype == np.int32
    for game, length in enumerate(games.lengths):
        places = last[game, : max(length - 1, 0)].tolist()
        assert np.flatnonzero(sampled[game]).tolist() == places
        spoken = [word(mothello, 0, square)[0] for square in games.moves[game, 1:length]]
        assert sampled[game, places].tolist() == spoken
        assert set(np.flatnonzero(exact[game].any(axis=1))) <= set(last[game, :length].tolist())
    assert set(np.flatnonzero(exact.any(axis=(0, 1)))) <= set(mothello.tokens_of(0).tolist())


@pytest.mark.parametrize("targets", [sampled_targets, exact_targets])
@every_case
def test_a_batch_is_its_games_one_by_one(name: str, language: int, targets: Callable[..., np.ndarray]) -> None:
    mothello = WORLDS[name]
    games, legal = world_games()
    for game in range(16):
        one = slice(game, game + 1)
        more = [legal[one]] if targets is exact_targets else []
        all_games = [legal] if targets is exact_targets else []
        assert np.array_equal(
            targets(mothello, games[one], *more, language), targets(mothello, games, *all_games, language)[one]
        )


def test_targets_of_no_games() -> None:
    mothello = WORLDS["unified"]
    none = random_games(0, board=4, seed=0)
    assert sampled_targets(mothello, none, 1).shape == (0, mothello.width(1))
    assert exact_targets(mothello, none, replay(none).legal, 1).shape == (0, mothello.width(1), mothello.d_vocab)

"""Games: random play, replay against the slow reference, transcripts, and every refusal."""

import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from mothello_interp.othello import (
    Boards,
    Games,
    IllegalGame,
    full_length,
    legal_prefixes,
    random_games,
    replay,
    square_index,
    square_name,
    start_squares,
)
from mothello_interp.othello.rules import SIDES
from tests.othello import reference

SAMPLE = {4: 300, 6: 150, 8: 100}  # games replayed by the reference
OPENINGS: dict[int, list[str]] = {4: ["b1", "a1"], 6: ["c2", "b2", "a2"], 8: ["d3", "c3", "b3"]}
LEAST_P = 1e-4  # every chi-square test has a fixed seed, so it cannot fail by chance from one run to the next

sides = st.sampled_from(SIDES)


@cache
def sample(side: int) -> tuple[Games, Boards]:
    """Random games and their boards, shared by the tests that only read them."""
    games = random_games(SAMPLE[side], board=side, seed=1)
    return games, replay(games)


@cache
def stream(side: int, opening: tuple[str, ...]) -> Games:
    """The beginning of a stream, in one call on one thread."""
    return random_games(9000 if side == 4 else 1000, board=side, seed=3, opening=opening, threads=1)


def history(moves: np.ndarray, side: int) -> list[reference.Position]:
    """One row of moves, by the reference."""
    return reference.positions([int(move) for move in moves if move >= 0], side)


def laid_out(discs: reference.Discs, side: int) -> list[int]:
    """Discs of the reference as a row of squares."""
    return [discs.get(divmod(square, side), 0) for square in range(side * side)]


def legal_moves_of(moves: Sequence[int], side: int) -> int:
    """How many moves of a game are legal before the first that is not, by the reference."""
    now = reference.position(reference.start(side), side, reference.BLACK)
    for count, square in enumerate(moves):
        place = divmod(square, side)
        if place not in now.legal:
            return count
        now = reference.position(reference.play(now.discs, side, place, now.mover), side, -now.mover)
    return len(moves)


def some_illegal_square(games: Games, boards: Boards, game: int, move: int) -> int | None:
    """A square that is not legal at a move of a game, nor occupied at the start, nor played before."""
    known = {*start_squares(games.board), *games.moves[game, :move].tolist()}
    wrong = [square for square in np.flatnonzero(~boards.legal[game, move]).tolist() if square not in known]
    return wrong[0] if wrong else None


@pytest.mark.parametrize("side", SIDES)
def test_replay_is_the_reference(side: int) -> None:
    games, boards = sample(side)
    n, length = len(games), full_length(side)
    assert boards.state.shape == (n, length, side * side)
    assert boards.legal.shape == (n, length + 1, side * side)
    assert boards.mover.shape == (n, length + 1)
    assert (boards.state.dtype, boards.legal.dtype, boards.mover.dtype) == (np.int8, np.bool_, np.int8)
    for game, moves in enumerate(games.moves):
        slow = history(moves, side)
        end = len(slow) - 1
        assert boards.state[game, :end].tolist() == [laid_out(now.discs, side) for now in slow[1:]]
        assert boards.mover[game, : end + 1].tolist() == [now.mover for now in slow]
        for now, legal in zip(slow, boards.legal[game], strict=False):
            assert np.flatnonzero(legal).tolist() == [row * side + column for row, column in now.legal]
        assert not boards.state[game, end:].any()
        assert not boards.legal[game, end:].any()
        assert not boards.mover[game, end:].any()


@pytest.mark.parametrize("side", SIDES)
def test_the_sample_has_passes_and_early_ends(side: int) -> None:
    """Else the test above would prove nothing about them."""
    games, boards = sample(side)
    early = games.lengths < full_length(side)
    assert 0 < early.sum() < len(games)
    assert (boards.state[early, games.lengths[early] - 1] == 0).any(axis=1).all()
    parity = np.where(np.arange(full_length(side) + 1) % 2 == 0, 1, -1)
    not_parity = ((boards.mover != parity) & (boards.mover != 0)).any(axis=1)
    passes = [any(now.passed for now in history(moves, side)) for moves in games.moves]
    assert not_parity.sum() > 0
    assert not_parity.tolist() == passes


@given(st.data(), sides)
@settings(max_examples=40, deadline=None)
def test_replay_of_an_unfinished_game(data: st.DataObject, side: int) -> None:
    games, boards = sample(side)
    ends = np.array([data.draw(st.integers(0, int(length))) for length in games.lengths[:8]])
    begun = np.arange(full_length(side)) < ends[:, None]
    some = replay(Games(np.where(begun, games.moves[:8], -1), side))
    for game, end in enumerate(ends):
        assert np.array_equal(some.state[game, :end], boards.state[game, :end])
        assert np.array_equal(some.legal[game, : end + 1], boards.legal[game, : end + 1])
        assert np.array_equal(some.mover[game, : end + 1], boards.mover[game, : end + 1])
        assert not some.state[game, end:].any()
        assert not some.legal[game, end + 1 :].any()
        assert not some.mover[game, end + 1 :].any()


def test_replay_in_threads() -> None:
    games = stream(4, ())
    one, several = replay(games, threads=1), replay(games, threads=3)
    assert np.array_equal(one.state, several.state)
    assert np.array_equal(one.legal, several.legal)
    assert np.array_equal(one.mover, several.mover)


def test_replay_of_no_games() -> None:
    none = random_games(0, board=4, seed=0)
    assert replay(none).state.shape == (0, 12, 16)
    assert legal_prefixes(none).tolist() == []


@given(st.data(), sides)
@settings(max_examples=60, deadline=None)
def test_legal_prefixes_are_the_reference(data: st.DataObject, side: int) -> None:
    """Of random games that go on, from some move, with the squares that are left in any order."""
    games, _ = sample(side)
    playable = [square for square in range(side * side) if square not in start_squares(side)]
    rows = []
    for moves, length in zip(games.moves[:6].tolist(), games.lengths[:6].tolist(), strict=True):
        begun = moves[: data.draw(st.integers(0, length))]
        rows.append([*begun, *data.draw(st.permutations(sorted(set(playable) - set(begun))))])
    assert legal_prefixes(Games.from_lists(rows, side)).tolist() == [legal_moves_of(row, side) for row in rows]


@pytest.mark.parametrize("side", SIDES)
def test_legal_prefixes_of_legal_games_are_their_lengths(side: int) -> None:
    games, _ = sample(side)
    assert legal_prefixes(games).dtype == np.int64
    assert legal_prefixes(games).tolist() == games.lengths.tolist()
    over = int(np.flatnonzero(games.lengths < full_length(side))[0])
    played = games.moves[over, : games.lengths[over]].tolist()
    left = set(range(side * side)) - {*played, *start_squares(side)}
    assert legal_prefixes(Games.from_lists([[*played, *left]], side)).tolist() == [len(played)]


@given(st.data(), sides)
@settings(max_examples=60, deadline=None)
def test_an_illegal_game_is_named(data: st.DataObject, side: int) -> None:
    games, boards = sample(side)
    game = data.draw(st.integers(0, 9))
    move = data.draw(st.integers(0, int(games.lengths[game]) - 1))
    wrong = some_illegal_square(games, boards, game, move)
    assume(wrong is not None)
    assert wrong is not None
    moves = games.moves[:10].copy()
    moves[game, move:] = -1
    moves[game, move] = wrong
    options = [square_name(row * side + column, side) for row, column in history(moves[game, :move], side)[-1].legal]
    with pytest.raises(IllegalGame) as caught:
        replay(Games(moves, side))
    assert (caught.value.game, caught.value.move) == (game, move)
    assert str(caught.value) == (
        f"game {game}, move {move + 1}: {square_name(wrong, side)} is not legal (legal there: {', '.join(options)})"
    )


def test_the_first_illegal_game_is_named() -> None:
    games = Games.from_lists([["d3"], ["d3", "h8"], ["a1"]])
    with pytest.raises(IllegalGame, match=r"^game 1, move 2: h8 is not legal") as caught:
        replay(games)
    assert (caught.value.game, caught.value.move) == (1, 1)


def test_a_move_after_the_end_is_illegal() -> None:
    games, _ = sample(4)
    game = int(np.flatnonzero(games.lengths < full_length(4))[0])
    end = int(games.lengths[game])
    moves = games.moves[game : game + 1].copy()
    moves[0, end] = next(
        square for square in range(16) if square not in start_squares(4) and square not in moves[0, :end]
    )
    with pytest.raises(IllegalGame, match=r"is not legal \(the game was over\)") as caught:
        replay(Games(moves, 4))
    assert (caught.value.game, caught.value.move) == (0, end)


@pytest.mark.parametrize("side", SIDES)
def test_random_games_are_complete(side: int) -> None:
    games, boards = sample(side)
    assert games.moves.shape == (SAMPLE[side], full_length(side))
    assert not boards.mover[np.arange(len(games)), games.lengths].any()


@given(
    side=sides,
    opened=st.booleans(),
    start=st.integers(0, 9000),
    n=st.integers(0, 9000),
    threads=st.sampled_from([1, 2, 3, None]),
)
@settings(max_examples=60, deadline=None)
def test_a_game_depends_on_seed_and_index_alone(
    side: int, opened: bool, start: int, n: int, threads: int | None
) -> None:
    opening = tuple(OPENINGS[side]) if opened else ()
    whole = stream(side, opening)
    start = min(start, len(whole))
    n = min(n, len(whole) - start)
    part = random_games(n, board=side, seed=3, opening=opening, start=start, threads=threads)
    assert part == whole[start : start + n]


def test_streams_differ_by_seed() -> None:
    seeds: list[int | list[int]] = [0, 1, [0, 1], [1, 2], [2, 1], 2**40]
    games = [random_games(1, board=8, seed=seed).to_transcripts()[0] for seed in seeds]
    assert len(set(games)) == len(seeds)


def test_seeds_that_name_the_same_stream() -> None:
    """As the docstring says; numbers below 2**32 that end in one above 0 are told apart."""
    same: list[tuple[int | list[int], list[int]]] = [(1, [1, 0]), ([3, 1], [3, 1, 0, 0]), (2**32 + 5, [5, 1])]
    for one, other in same:
        assert random_games(5, seed=one) == random_games(5, seed=other)
    seeds = [[*first, last] for first in ([], [0], [1], [0, 0], [0, 1], [1, 0], [2**32 - 1]) for last in (1, 2**32 - 1)]
    assert len({random_games(1, seed=seed).to_transcripts()[0] for seed in seeds}) == len(seeds)


def test_the_stream_stays_what_it_is() -> None:
    """A corpus is an address: whoever changes these games changes every corpus."""
    assert random_games(2, board=4, seed=0, start=7).to_transcripts() == [
        "c4d2b1a2a1a4b4d4d1c1d3a3",
        "d3d2a1a2b1c4a3c1d1d4b4",
    ]
    assert random_games(1, board=6, seed=0).to_transcripts() == [
        "b3b4c5d2e3f4e1b2a4b6e4c2d1e2b1a5a6c1d5f5f2f1b5f3c6d6e5a3e6a1a2f6"
    ]
    assert random_games(1, board=8, seed=[0, 1], start=10**9).to_transcripts() == [
        "e6d6c3f6c6f4e7f8e8b2g8e3e2d2c5d7c8f5c2f3g6e1g5g7h6b4f2c1a1c7c4b8a4b6a7d3d8f1a8g1b5g4b1a5g3a2b3h2a3f7a6b7d1g2h1h4h5h8h3h7"
    ]
    assert random_games(1, board=8, seed=1, start=10**9, opening=["d3", "c3", "b3"]).to_transcripts() == [
        "d3c3b3b2e6f6f5e3c4d6c6a3d2e1c2d1c1b1g6b4f2f3a1g3f1f4h4h3g2g1b5h7g5c5a4b7g7h6e2a5e7g8h1a2g4h5h8f8c7f7d7h2a6d8a7b8c8a8b6e8"
    ]


@pytest.mark.parametrize("side", SIDES)
def test_the_first_two_moves_are_uniform(side: int) -> None:
    moves = random_games(20_000, board=side, seed=5).moves[:, :2]
    options = history(np.array([]), side)[0].legal
    first, counts = np.unique(moves[:, 0], return_counts=True)
    assert first.tolist() == [row * side + column for row, column in options]
    assert chisquare(counts).pvalue > LEAST_P
    for move in first:
        second, counts = np.unique(moves[moves[:, 0] == move, 1], return_counts=True)
        assert second.tolist() == [row * side + column for row, column in history(np.array([move]), side)[1].legal]
        assert chisquare(counts).pvalue > LEAST_P


@pytest.mark.parametrize("opening", [(), tuple(OPENINGS[6])])
def test_every_move_is_uniform(opening: tuple[str, ...]) -> None:
    """Which of its k legal moves a game takes, in the order of squares, is uniform for every k and in every phase."""
    games = random_games(6000, board=6, seed=6, opening=opening)
    legal = replay(games).legal
    rows, moves = np.nonzero(games.moves >= 0)
    free = moves >= len(opening)
    rows, moves = rows[free], moves[free]
    options = legal[rows, moves]
    rank = (options & (np.arange(36) < games.moves[rows, moves][:, None])).sum(axis=1)
    n_options = options.sum(axis=1)
    tested = 0
    for phase in (moves < 11, (moves >= 11) & (moves < 22), moves >= 22):
        for k in range(2, 13):
            taken = np.bincount(rank[phase & (n_options == k)], minlength=k)
            if taken.sum() > 100 * k:
                assert taken.shape == (k,)
                assert chisquare(taken).pvalue > LEAST_P, (k, taken)
                tested += 1
    assert tested > 20


def test_neighbours_are_independent() -> None:
    """Neither the next game of a stream nor the same game of the next seed knows the first moves of this one."""
    moves = random_games(20_000, board=8, seed=7).moves
    beside = random_games(20_000, board=8, seed=8).moves
    for here, there in ((moves[:-1, 0], moves[1:, 0]), (moves[:, 0], beside[:, 0]), (moves[1:, 0], moves[:-1, 1])):
        table = np.zeros((64, 64))
        np.add.at(table, (here, there), 1)
        seen = table[table.any(axis=1)][:, table.any(axis=0)]
        assert chi2_contingency(seen).pvalue > LEAST_P


@given(st.data(), sides)
@settings(max_examples=40, deadline=None)
def test_any_proper_beginning_is_an_opening(data: st.DataObject, side: int) -> None:
    games, boards = sample(side)
    game = data.draw(st.integers(0, len(games) - 1))
    length = data.draw(st.integers(0, int(games.lengths[game]) - 1))
    opening = games.moves[game, :length].tolist()
    opened = random_games(5, board=side, seed=9, opening=opening)
    assert (opened.moves[:, :length] == opening).all()
    assert not replay(opened).mover[np.arange(5), opened.lengths].any()
    assert boards.legal[game, length][opened.moves[:, length]].all()


@pytest.mark.parametrize("side", SIDES)
def test_the_mover_after_an_opening_is_not_parity(side: int) -> None:
    """After an earlier pass it is the other player's turn, although the one that parity names could move too."""
    games, boards = sample(side)
    parity = np.where(np.arange(full_length(side) + 1) % 2 == 0, 1, -1)
    tested = 0
    for game, length in np.argwhere(boards.mover == -parity).tolist():
        opening = games.moves[game, :length].tolist()
        discs = history(np.array(opening), side)[-1].discs
        if reference.legal_places(discs, side, -int(boards.mover[game, length])):
            opened = random_games(20, board=side, seed=9, opening=opening)
            following = set(opened.moves[:, length].tolist())
            assert following <= set(np.flatnonzero(boards.legal[game, length]).tolist())
            assert len(replay(opened).mover) == 20
            tested += 1
        if tested == 10:
            return
    raise AssertionError(f"only {tested} such openings in the sample")


def test_an_opening_by_names_or_indices() -> None:
    by_name = random_games(3, board=8, seed=0, opening=["d3", "c3", "b3"])
    assert by_name == random_games(3, board=8, seed=0, opening=[19, 18, 17])


def test_bad_openings_are_refused() -> None:
    with pytest.raises(IllegalGame, match=r"game 0, move 1: a1 is not legal \(legal there: d3, c4, f5, e6\)"):
        random_games(1, board=8, seed=0, opening=["a1"])
    finished = [int(move) for move in sample(4)[0].moves[0] if move >= 0]
    with pytest.raises(ValueError, match=r"opening=\[.*\]: the game is over there, nothing is left to play"):
        random_games(1, board=4, seed=0, opening=finished)


@pytest.mark.parametrize(("n", "start"), [(-1, 0), (1, -1)])
def test_negative_counts_are_refused(n: int, start: int) -> None:
    with pytest.raises(ValueError, match=rf"n={n}, start={start}: both must be 0 or more"):
        random_games(n, board=4, seed=0, start=start)


@given(st.integers(0, 2**32), sides)
@settings(max_examples=30, deadline=None)
def test_transcripts_round_trip(seed: int, side: int) -> None:
    games = random_games(3, board=side, seed=seed)
    assert Games.from_transcripts(games.to_transcripts(), side) == games
    assert Games.from_lists([[move for move in row if move >= 0] for row in games.moves.tolist()], side) == games


def test_transcripts_skip_what_is_no_move() -> None:
    plain = Games.from_transcripts(["f5d6c3", "", "d3"])
    assert plain.to_transcripts() == ["f5d6c3", "", "d3"]
    assert plain.moves[0, :4].tolist() == [37, 43, 18, -1]
    assert plain.lengths.tolist() == [3, 0, 1]
    assert Games.from_transcripts(["F5 d6,-- C3", " \n", "pass D3; PA"]) == plain


@pytest.mark.parametrize("text", ["f5d6xyz", "f5d6i1", "f5d60", "f5d6d", "f5d6d9"])
def test_a_transcript_that_is_no_game(text: str) -> None:
    message = f"game 1: '{text[4:]}' at character 4 is no move; expected squares like f5"
    with pytest.raises(IllegalGame, match=message) as caught:
        Games.from_transcripts(["f5", text])
    assert (caught.value.game, caught.value.move) == (1, None)


def test_a_game_that_is_too_long() -> None:
    with pytest.raises(IllegalGame, match=r"^game 1: 13 moves, where a board of side 4 has room for 12") as caught:
        Games.from_lists([[0], range(13)], 4)
    assert (caught.value.game, caught.value.move) == (1, None)


@pytest.mark.parametrize("side", SIDES)
def test_square_names(side: int) -> None:
    names = [square_name(square, side) for square in range(side * side)]
    assert names[: side + 1] == [*(f"{letter}1" for letter in "abcdefgh"[:side]), "a2"]
    assert [square_index(name, side) for name in names] == list(range(side * side))
    assert [square_index(name.upper(), side) for name in names] == list(range(side * side))
    assert (square_index("d3", 8), square_name(19, 8)) == (19, "d3")


@pytest.mark.parametrize(
    "name", ["", "d", "3", "3d", "g1", "a7", "a0", "a-1", "a1b", "`1", "a\u0663", "a\u00b2", "d03", " d3", "\u01303"]
)
def test_names_of_no_square(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"is no square of a board of side 6: write a column letter and a row, a1 to f6"
    ):
        square_index(name, 6)


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ([0, 1], r"moves is int64 of shape \(2,\): expected integers of shape \[game move\]"),
        ([[0.0, 1.0]], r"moves is float64 of shape \(1, 2\): expected integers"),
        ([[True, False]], r"moves is bool of shape \(1, 2\): expected integers"),
        ([[[0, 1]]], r"moves is int64 of shape \(1, 1, 2\): expected integers"),
    ],
)
def test_arrays_that_are_no_games(moves: Sequence[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Games(np.array(moves), 4)


@pytest.mark.parametrize(
    ("row", "move", "message"),
    [
        ([0, 16], 1, "16 is no square of a board of side 4: expected 0 to 15, or -1 after the end"),
        ([0, 255], 1, "255 is no square of a board of side 4"),
        ([0, 256], 1, "256 is no square of a board of side 4"),
        ([0, -2], 1, "-2 is no square of a board of side 4"),
        ([-1, 0], 1, "the game goes on behind a -1, which may only stand after the last move"),
        ([0, -1, -1, 1], 3, "the game goes on behind a -1"),
        ([0, 5], 1, "b2 is a start square, which is never played"),
        ([10], 0, "c3 is a start square"),
        ([4, 0, 4], 2, "a2 was played before"),
        ([0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 14, 15, 0], 12, "a1 was played before"),
        ([-1] * 12 + [0], 12, "the game goes on behind a -1"),
    ],
)
def test_moves_that_are_no_game(row: list[int], move: int, message: str) -> None:
    for before in ([], [[1] + [-1] * (len(row) - 1)]):
        with pytest.raises(IllegalGame, match=f"^game {len(before)}, move {move + 1}: {message}") as caught:
            Games(np.array([*before, row]), 4)
        assert (caught.value.game, caught.value.move) == (len(before), move)


@given(st.data(), sides, st.sampled_from([np.int8, np.uint8, np.int64, np.uint64]))
@settings(max_examples=200, deadline=None)
def test_which_moves_are_a_game(data: st.DataObject, side: int, dtype: type[np.integer]) -> None:
    """Exactly distinct squares that are empty at the start, and then nothing."""
    lowest = -2 if np.issubdtype(dtype, np.signedinteger) else 0
    moves = data.draw(st.lists(st.integers(lowest, side * side), max_size=6, unique=data.draw(st.booleans())))
    end = moves.index(-1) if -1 in moves else len(moves)
    played, rest = moves[:end], moves[end:]
    possible = set(range(side * side)) - set(start_squares(side))
    if set(played) <= possible and len(set(played)) == end and set(rest) <= {-1}:
        assert Games(np.array([moves], dtype), side) == Games.from_lists([played], side)
    else:
        with pytest.raises(IllegalGame, match="game 0, move"):
            Games(np.array([moves], dtype), side)


@pytest.mark.parametrize("square", ["h8", "z1", 36, -2])
def test_squares_off_the_board_are_named_with_their_place(square: int | str) -> None:
    with pytest.raises(IllegalGame, match=f"^game 1, move 3: '?{square}'? is no square of a board of side 6") as caught:
        Games.from_lists([["a1"], ["a1", 1, square]], 6)
    assert (caught.value.game, caught.value.move) == (1, 2)


def test_transcripts_of_another_board_are_named_with_their_place() -> None:
    with pytest.raises(IllegalGame, match=r"^game 1, move 2: 'h8' is no square of a board of side 6") as caught:
        Games.from_transcripts(["a1", "a1 -- h8"], 6)
    assert (caught.value.game, caught.value.move) == (1, 1)


@pytest.mark.parametrize("side", SIDES)
def test_games_are_as_wide_as_a_full_board(side: int) -> None:
    games = sample(side)[0][:5]
    short = np.where(np.arange(full_length(side)) < 3, games.moves, -1)
    wide = np.pad(short, ((0, 0), (0, 7)), constant_values=-1)
    for moves in (short[:, :3], short, wide, np.asfortranarray(wide)):
        assert Games(moves, side) == Games(short, side)
        assert Games(moves, side).moves.shape == short.shape
    assert Games(np.empty((2, 0), np.int8), side).moves.shape == (2, full_length(side))
    assert Games(games.moves, side) == games


def test_games_on_an_unknown_board() -> None:
    with pytest.raises(ValueError, match="board=5: Othello is played here"):
        Games(np.array([[0]]), 5)
    with pytest.raises(ValueError, match="board=5: Othello is played here"):
        Games.from_lists([[0]], 5)
    with pytest.raises(ValueError, match="board=5: Othello is played here"):
        random_games(1, board=5, seed=0)


def test_games_are_values() -> None:
    moves = np.array([[1, 2, *[-1] * 10], [3, *[-1] * 11]], np.int8)
    games = Games(moves, 4)
    moves[0, 0] = 0
    assert games.moves.tolist() == [[1, 2, *[-1] * 10], [3, *[-1] * 11]]
    assert games.moves.dtype == np.int8
    assert (len(games), games.lengths.tolist()) == (2, [2, 1])
    assert games[1:] == Games(np.array([[3, -1, -1]]), 4)
    assert games[np.array([True, False])] == games[:1]
    assert games != games[::-1]
    assert games != Games(games.moves, 6)
    assert games != "games"
    for some in (games, games[:1], games[::-1], games[np.array([1])], random_games(1, board=4, seed=0)):
        with pytest.raises(ValueError, match="read-only"):
            some.moves[0, 0] = 0
    with pytest.raises(TypeError, match="unhashable type: 'Games'"):
        hash(games)


def test_games_are_picked_by_a_slice_or_an_array() -> None:
    games, _ = sample(4)
    for index in (slice(3, 9), slice(None, None, -2), np.array([4, 4, 0]), games.lengths < 12, np.array([], int)):
        assert games[index] == Games(games.moves[index], 4)
        assert games[index].moves.flags.c_contiguous
    for wrong in (0, np.array([[0, 1]])):
        with pytest.raises(ValueError, match=r"pass a slice or an array of one dimension, as in games\[3:4\]"):
            _ = games[wrong]  # type: ignore[index]
    with pytest.raises(IndexError):
        _ = games[:, 3:]  # type: ignore[index]


@given(sides, st.integers(0, 50), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_games_in_a_file(tmp_path_factory: pytest.TempPathFactory, side: int, seed: int, n: int) -> None:
    path = tmp_path_factory.mktemp("games") / "some.npz"
    games = random_games(n, board=side, seed=seed)
    assert games.save(path) == path
    assert Games.load(path) == games
    random_games(1, board=4, seed=0).save(path)
    assert Games.load(path).board == 4
    assert [file.name for file in path.parent.iterdir()] == ["some.npz"]


def test_files_that_hold_no_games(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    with pytest.raises(ValueError, match=r"some\.txt: games are saved as numpy arrays; give a name that ends in \.npz"):
        random_games(1, board=4, seed=0).save(tmp_path / "some.txt")
    for content in (b"", b"no archive", pickle.dumps(np.arange(3))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"some\.npz holds no games: expected the arrays moves and board"):
            Games.load(path)
    for arrays in ({"moves": np.array([[None]])}, {"moves": np.zeros((1, 60), np.int8)}):
        np.savez(path, **arrays, board=np.array([object()]), allow_pickle=True)
        with pytest.raises(ValueError, match=r"some\.npz holds no games"):
            Games.load(path)
    np.savez(path, moves=np.array([[19], [27]]), board=8)
    with pytest.raises(IllegalGame, match=r"some\.npz: game 1, move 1: d4 is a start square") as caught:
        Games.load(path)
    assert (caught.value.game, caught.value.move) == (1, 0)
    np.savez(path, moves=np.array([19, 27]), board=8)
    with pytest.raises(ValueError, match=r"some\.npz: moves is int64 of shape \(2,\)"):
        Games.load(path)
    with pytest.raises(FileNotFoundError):
        Games.load(tmp_path / "none.npz")


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = random_games(1, board=4, seed=0).save(tmp_path / "some.npz")

    def breaks(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez_compressed", breaks)
    with pytest.raises(OSError, match="no space left"):
        random_games(2, board=4, seed=0).save(path)
    assert Games.load(path) == random_games(1, board=4, seed=0)
    assert list(tmp_path.iterdir()) == [path]


def test_the_error_of_a_game_travels() -> None:
    """Between processes too, as what a worker raised."""
    error = IllegalGame("it is late", 3, 4, "night.wtb")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "night.wtb: game 3, move 5: it is late"
    assert (again.reason, again.game, again.move, again.source) == ("it is late", 3, 4, "night.wtb")

"""Playing: replay against the slow reference, random play, openings, legal moves of any board, and every refusal."""

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

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
    kernels,
    legal_prefixes,
    legal_squares,
    random_games,
    replay,
    square_name,
    start_squares,
)
from mothello_interp.othello.rules import SIDES
from tests.othello import reference

SAMPLE = {4: 300, 6: 150, 8: 100}  # games replayed by the reference
OPENINGS: dict[int, list[str]] = {4: ["b1", "a1"], 6: ["c2", "b2", "a2"], 8: ["d3", "c3", "b3"]}
LEAST_P = 1e-4  # every chi-square test has a fixed seed, so it cannot fail by chance from one run to the next

sides = st.sampled_from(SIDES)
every_side = pytest.mark.parametrize("side", SIDES)


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


@every_side
def test_replay_is_the_reference(side: int) -> None:
    """Every board, mover and legal move; the sample has passes and early ends, and all its games are complete."""
    games, boards = sample(side)
    n, length = len(games), full_length(side)
    assert (boards.state.shape, boards.state.dtype) == ((n, length, side**2), np.int8)
    assert (boards.legal.shape, boards.legal.dtype) == ((n, length + 1, side**2), np.bool_)
    assert (boards.mover.shape, boards.mover.dtype) == ((n, length + 1), np.int8)
    assert 0 < (games.lengths < length).sum() < n
    passes = 0
    for game, moves in enumerate(games.moves):
        slow = history(moves, side)
        end = len(slow) - 1
        passes += any(now.passed for now in slow)
        assert boards.state[game, :end].tolist() == [laid_out(now.discs, side) for now in slow[1:]]
        assert boards.mover[game, : end + 1].tolist() == [now.mover for now in slow]
        assert boards.mover[game, end] == 0
        for now, legal in zip(slow, boards.legal[game], strict=False):
            assert np.flatnonzero(legal).tolist() == [row * side + column for row, column in now.legal]
        assert not any(part[game, end:].any() for part in (boards.state, boards.legal, boards.mover))
    assert 0 < passes < n


@given(st.data(), sides)
@settings(max_examples=40, deadline=None)
def test_replay_of_a_beginning_is_the_beginning_of_the_replay(data: st.DataObject, side: int) -> None:
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


def test_replay_is_the_same_in_threads_and_of_no_games() -> None:
    games = stream(4, ())
    one, several = replay(games, threads=1), replay(games, threads=3)
    for name in ("state", "legal", "mover"):
        assert np.array_equal(getattr(one, name), getattr(several, name))
    assert replay(games[:0]).state.shape == (0, 12, 16)
    assert legal_prefixes(games[:0]).tolist() == []


@given(st.data(), sides)
@settings(max_examples=60, deadline=None)
def test_legal_prefixes_are_those_of_the_reference(data: st.DataObject, side: int) -> None:
    """Of random games that go on, from some move, with the squares that are left in any order."""
    games, _ = sample(side)
    playable = [square for square in range(side * side) if square not in start_squares(side)]
    rows = []
    for moves, length in zip(games.moves[:6].tolist(), games.lengths[:6].tolist(), strict=True):
        begun = moves[: data.draw(st.integers(0, length))]
        rows.append([*begun, *data.draw(st.permutations(sorted(set(playable) - set(begun))))])
    assert legal_prefixes(Games.from_lists(rows, side)).tolist() == [legal_moves_of(row, side) for row in rows]
    assert legal_prefixes(games).tolist() == games.lengths.tolist()


@given(st.data(), sides)
@settings(max_examples=60, deadline=None)
def test_replay_names_the_illegal_move_and_the_legal_ones(data: st.DataObject, side: int) -> None:
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


def test_replay_names_the_first_illegal_game() -> None:
    with pytest.raises(IllegalGame, match=r"^game 1, move 2: h8 is not legal"):
        replay(Games.from_lists([["d3"], ["d3", "h8"], ["a1"]]))
    games, _ = sample(4)
    over = games[games.lengths < 12][:1]
    played = over.moves[0, : over.lengths[0]].tolist()
    left = min(set(range(16)) - {*played, *start_squares(4)})
    with pytest.raises(IllegalGame, match=rf"move {len(played) + 1}: .* is not legal \(the game was over\)"):
        replay(Games.from_lists([[*played, left]], 4))


@given(
    side=sides,
    opened=st.booleans(),
    start=st.integers(0, 9000),
    n=st.integers(0, 9000),
    threads=st.sampled_from([1, 2, 3, None]),
)
@settings(max_examples=60, deadline=None)
def test_random_games_depend_on_seed_and_index_alone(
    side: int, opened: bool, start: int, n: int, threads: int | None
) -> None:
    opening = tuple(OPENINGS[side]) if opened else ()
    whole = stream(side, opening)
    start = min(start, len(whole))
    n = min(n, len(whole) - start)
    part = random_games(n, board=side, seed=3, opening=opening, start=start, threads=threads)
    assert part == whole[start : start + n]


def test_seeds_name_streams() -> None:
    """As the docstring says: zeros at the end have no effect; numbers below 2**32 that end in one above 0 differ."""
    same: list[tuple[int | list[int], list[int]]] = [(1, [1, 0]), ([3, 1], [3, 1, 0, 0]), (2**32 + 5, [5, 1])]
    for seed, again in same:
        assert random_games(5, seed=seed) == random_games(5, seed=again)
    seeds: list[int | list[int]] = [0, 2**40]
    seeds += [[*some, last] for some in ([], [0], [1], [0, 0], [0, 1], [1, 0], [2**32 - 1]) for last in (1, 2**32 - 1)]
    assert len({random_games(1, seed=seed).to_transcripts()[0] for seed in seeds}) == len(seeds)


def test_random_games_of_an_address_never_change() -> None:
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


@every_side
def test_random_games_begin_uniformly(side: int) -> None:
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
def test_random_games_are_uniform_over_legal_moves(opening: tuple[str, ...]) -> None:
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


def test_random_games_of_neighbours_are_independent() -> None:
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
def test_random_games_go_on_from_any_opening(data: st.DataObject, side: int) -> None:
    games, boards = sample(side)
    game = data.draw(st.integers(0, len(games) - 1))
    length = data.draw(st.integers(0, int(games.lengths[game]) - 1))
    opening = games.moves[game, :length].tolist()
    opened = random_games(5, board=side, seed=9, opening=opening)
    assert (opened.moves[:, :length] == opening).all()
    assert not replay(opened).mover[np.arange(5), opened.lengths].any()
    assert boards.legal[game, length][opened.moves[:, length]].all()


@every_side
def test_random_games_ask_the_rules_who_moves_after_an_opening(side: int) -> None:
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


def test_random_games_refuse_bad_openings_and_counts() -> None:
    assert random_games(3, seed=0, opening=["d3", "c3"]) == random_games(3, seed=0, opening=[19, 18])
    with pytest.raises(IllegalGame, match=r"game 0, move 1: a1 is not legal \(legal there: d3, c4, f5, e6\)"):
        random_games(1, seed=0, opening=["a1"])
    finished = [int(move) for move in sample(4)[0].moves[0] if move >= 0]
    with pytest.raises(ValueError, match=r"opening='.*': the game is over there"):
        random_games(1, board=4, seed=0, opening=finished)
    for n, start in ((-1, 0), (1, -1)):
        with pytest.raises(ValueError, match=rf"n={n}, start={start}: both must be 0 or more"):
            random_games(n, seed=0, start=start)


@every_side
def test_legal_squares_are_those_of_the_reference(side: int) -> None:
    """On boards of random discs; and on boards of games, as `replay` has them, with nobody to move where they end."""
    rng = np.random.default_rng(side)
    state, mover = rng.choice([-1, 0, 1], size=(60, side**2)), rng.choice([-1, 1], size=60)
    found = legal_squares(state, mover)
    for board, colour, legal in zip(state, mover, found, strict=True):
        discs = {divmod(square, side): int(disc) for square, disc in enumerate(board) if disc}
        expected = {side * row + column for row, column in reference.legal_places(discs, side, int(colour))}
        assert set(np.flatnonzero(legal).tolist()) == expected
    assert found.any()
    _, boards = sample(side)
    found = legal_squares(boards.state.reshape(-1, side**2), boards.mover[:, 1:].reshape(-1))
    assert np.array_equal(found, boards.legal[:, 1:].reshape(-1, side**2))
    assert not legal_squares(state, np.zeros(60)).any()
    assert legal_squares(np.zeros((0, 16)), np.zeros(0)).shape == (0, 16)


@pytest.mark.parametrize(
    ("state", "mover", "match"),
    [
        (np.zeros(16), np.ones(1), r"write state\[None\] for a single board"),
        (np.zeros((2, 16)), np.ones(3), r"state \(2, 16\), mover \(3,\)"),
        (np.zeros((1, 25)), np.ones(1), "board=5"),
        (np.zeros((1, 17)), np.ones(1), "17 squares a square number"),
        (np.full((1, 16), 2), np.ones(1), "must hold -1, 0 and 1"),
        (np.zeros((1, 16)), np.full(1, 2), "must hold -1, 0 and 1"),
    ],
)
def test_legal_squares_refuse_what_is_no_board(state: np.ndarray, mover: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        legal_squares(state, mover)


def test_a_kernel_that_was_kept_and_is_damaged_is_compiled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept.py").write_text("def doubled(x):\n    return 2 * x\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    doubled = importlib.import_module("kept").doubled
    assert kernels._compiled()(doubled)(3) == 6
    for kind in ("nbc", "nbi"):
        (kept,) = (tmp_path / "__pycache__").glob(f"*.{kind}")
        whole = kept.read_bytes()
        kept.write_bytes(whole[: len(whole) // 2])
        assert kernels._compiled()(doubled)(3) == 6
        assert kept.stat().st_size == len(whole)


def test_where_nothing_can_be_kept_kernels_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(*, cache: bool = False, **_: object) -> Callable[[Callable[..., int]], Callable[..., int]]:
        def compiled(function: Callable[..., int]) -> Callable[..., int]:
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return function

        return compiled

    monkeypatch.setattr(kernels, "njit", homeless)
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):
        assert kernels._compiled(nogil=True)(lambda: 3)() == 3

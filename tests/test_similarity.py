"""Similarity on planted truth: what is shared is seen, what only looks alike is not, and a slow reference agrees."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.activations import Activations
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.similarity import MIN_BOARDS, centred_cosine, compare, linear_cka, retrieval

SIDE, MOVES, D = 6, 31, 6
both_estimators = pytest.mark.parametrize("debiased", [False, True])


def noise(n: int, d: int, *, seed: int) -> np.ndarray:
    """Independent normal rows `[n d]`."""
    return np.random.default_rng(seed).normal(size=(n, d))


def rotation(d: int, *, seed: int) -> np.ndarray:
    """A random orthogonal matrix `[d d]`."""
    found: np.ndarray = np.linalg.qr(noise(d, d, seed=seed))[0]
    return found


def hsic_with_centring(x: np.ndarray, y: np.ndarray) -> float:
    """trace(K H L H) from Gram matrices (Gretton et al. 2005)."""
    h = np.eye(len(x)) - 1 / len(x)
    return float(np.trace(x @ x.T @ h @ y @ y.T @ h))


def hsic_by_sums(x: np.ndarray, y: np.ndarray) -> float:
    """Song et al.'s unbiased HSIC, by its definition: sums over different rows i, j, q, r, in extended precision."""
    n, (k, m) = len(x), (rows.astype(np.longdouble) @ rows.astype(np.longdouble).T for rows in (x, y))
    pairs = triples = quadruples = np.longdouble(0)
    for i in range(n):
        for j in set(range(n)) - {i}:
            pairs += k[i, j] * m[i, j]
            for q in set(range(n)) - {i, j}:
                triples += k[i, j] * m[i, q]
                quadruples += sum(k[i, j] * m[q, r] for r in set(range(n)) - {i, j, q})
    falling = n * (n - 1)
    return float(pairs / falling + quadruples / (falling * (n - 2) * (n - 3)) - 2 * triples / (falling * (n - 2)))


@st.composite
def paired_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of rows that share something, of any widths, scales and places."""
    n, d, other = draw(st.integers(4, 9)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
    seed, share = draw(st.integers(0, 10**6)), draw(st.floats(0, 1))
    x = noise(n, d, seed=seed)
    y = share * x @ noise(d, other, seed=seed + 1) + (1.01 - share) * noise(n, other, seed=seed + 2)
    return draw(st.floats(0.1, 10)) * x + draw(st.floats(-3, 3)), y


@both_estimators
@given(rows=paired_rows())
@settings(deadline=None)
def test_cka_is_that_of_gram_matrices(debiased: bool, rows: tuple[np.ndarray, np.ndarray]) -> None:
    hsic, (x, y) = hsic_by_sums if debiased else hsic_with_centring, rows
    expected = hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))
    assert linear_cka(x, y, debiased=debiased) == pytest.approx(expected, abs=1e-6)


@both_estimators
@given(rows=paired_rows())
@settings(deadline=None)
def test_cka_is_symmetric_and_at_most_one(debiased: bool, rows: tuple[np.ndarray, np.ndarray]) -> None:
    value = linear_cka(*rows, debiased=debiased)
    assert value == pytest.approx(linear_cka(*rows[::-1], debiased=debiased), abs=1e-6)
    assert value <= 1 + 1e-6
    assert value >= (-1 - 1e-6 if debiased else 0)


@both_estimators
@given(seed=st.integers(0, 10**6), n=st.integers(8, 30), scale=st.floats(0.01, 100))
@settings(deadline=None)
def test_a_rotated_scaled_shifted_copy_is_the_same(debiased: bool, seed: int, n: int, scale: float) -> None:
    x = noise(n, 5, seed=seed)
    copy = scale * x @ rotation(5, seed=seed + 1) + 3 * noise(1, 5, seed=seed + 2)
    assert linear_cka(x, copy, debiased=debiased) == pytest.approx(1, abs=1e-10)
    assert linear_cka(x, -x, debiased=debiased) == pytest.approx(1, abs=1e-10)


@both_estimators
def test_a_stretched_copy_is_not_the_same(debiased: bool) -> None:
    """An invertible linear map keeps every piece of information and changes the geometry."""
    x = noise(500, 4, seed=0)
    assert linear_cka(x, x * [1, 1, 1, 5], debiased=debiased) < 0.9


def test_only_the_debiased_estimator_is_near_zero_for_unrelated_rows() -> None:
    """32 rows of width 32, on average over draws."""
    draws = [(noise(32, 32, seed=seed), noise(32, 32, seed=1000 + seed)) for seed in range(60)]
    assert np.mean([linear_cka(x, y) for x, y in draws]) > 0.4
    debiased = np.array([linear_cka(x, y, debiased=True) for x, y in draws])
    assert abs(debiased.mean()) < 3 * debiased.std() / np.sqrt(len(draws))
    assert debiased.std() < 0.1
    assert (debiased < 0).any()


@both_estimators
def test_a_known_share_is_measured(debiased: bool) -> None:
    """y = x + noise of equal size: the population value is 1/2."""
    x = noise(20_000, 4, seed=1)
    assert linear_cka(x, x + noise(20_000, 4, seed=2), debiased=debiased) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("measure", [linear_cka, retrieval, centred_cosine])
def test_arrays_and_tensors_of_any_precision(measure: Any) -> None:
    x, y = noise(40, 3, seed=0), noise(40, 3, seed=0) + noise(40, 3, seed=1)
    value = measure(x, y)
    assert isinstance(value, float)
    single = [torch.from_numpy(rows.astype(np.float32)).requires_grad_() for rows in (x, y)]
    assert measure(*single) == pytest.approx(value, abs=1e-5)
    assert measure(x, torch.from_numpy(y)) == value
    whole = np.round(10 * x).astype(np.int64)
    assert measure(whole, y) == measure(whole.astype(float), y)


def test_rows_far_from_the_origin() -> None:
    """Single precision in, double precision inside."""
    x, y = noise(50, 3, seed=0), noise(50, 3, seed=1)
    assert linear_cka(x + 1e6, y - 1e6, debiased=True) == pytest.approx(linear_cka(x, y, debiased=True), abs=1e-6)


@both_estimators
def test_inputs_are_left_as_they_are(debiased: bool) -> None:
    x, y = noise(20, 3, seed=0), noise(20, 3, seed=1)
    before = x.copy(), y.copy()
    linear_cka(x, y, debiased=debiased)
    retrieval(x, y)
    centred_cosine(x, y)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


def test_retrieval_and_cosine_of_a_copy() -> None:
    x = noise(100, 8, seed=0)
    assert retrieval(x, x) == 1
    assert centred_cosine(x, x) == pytest.approx(1, abs=1e-12)
    assert retrieval(x, 7 * x + 3) == 1
    assert centred_cosine(x, 7 * x + 3) == pytest.approx(1, abs=1e-12)
    assert centred_cosine(x, -x) == pytest.approx(-1, abs=1e-12)
    assert retrieval(x, -x) == 0


def test_retrieval_is_the_share_of_rows_that_find_their_pair() -> None:
    """Twenty of 100 rows have changed places; the cosine is that of the rows by hand."""
    x = noise(100, 16, seed=0)
    y = x.copy()
    y[:20] = np.roll(y[:20], 1, axis=0)
    assert retrieval(x, y) == 0.8
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    by_hand = [p @ q / np.sqrt(p @ p * (q @ q)) for p, q in zip(a, b, strict=True)]
    assert centred_cosine(x, y) == pytest.approx(np.mean(by_hand), abs=1e-12)


def test_retrieval_looks_from_x_into_y() -> None:
    """A row of x may be nearest to its pair although the pair is nearer to another row of x."""
    x = noise(60, 3, seed=0)
    y = x + 0.5 * noise(60, 3, seed=1)

    def found(rows: np.ndarray, among: np.ndarray) -> float:
        a, b = rows - rows.mean(axis=0), among - among.mean(axis=0)
        cosines = [[p @ q / np.sqrt(p @ p * (q @ q)) for q in b] for p in a]
        return float(np.mean([np.argmax(row) == index for index, row in enumerate(cosines)]))

    assert retrieval(x, y) == found(x, y)
    assert retrieval(y, x) == found(y, x)
    assert found(x, y) != found(y, x)


def test_unrelated_rows_are_at_chance() -> None:
    x, y = noise(1000, 8, seed=0), noise(1000, 8, seed=1)
    assert retrieval(x, y) < 0.006
    assert abs(centred_cosine(x, y)) < 0.05


def test_cka_does_not_see_that_the_coordinates_differ() -> None:
    """The trap: the same cloud in other coordinates has CKA 1, and nothing shared that a model could use."""
    x = noise(1000, 32, seed=0)
    nothing = np.zeros_like(x)
    for mine, other in (
        (np.hstack([x, nothing]), np.hstack([nothing, x])),
        (np.hstack([x, nothing]), np.hstack([x, nothing]) @ rotation(64, seed=1)),
    ):
        assert linear_cka(mine, other, debiased=True) == pytest.approx(1, abs=1e-10)
        assert retrieval(mine, other) < 0.02
        assert abs(centred_cosine(mine, other)) < 0.2


@pytest.mark.parametrize("measure", [linear_cka, retrieval, centred_cosine])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (noise(5, 2, seed=0), noise(6, 2, seed=0), r"rows of shapes \(5, 2\) and \(6, 2\): expected \[n d\]"),
        (noise(5, 2, seed=0)[:, 0], noise(5, 2, seed=0), r"rows of shapes \(5,\) and \(5, 2\)"),
        (noise(5, 2, seed=0), noise(5, 2, seed=0)[None], r"rows of shapes \(5, 2\) and \(1, 5, 2\)"),
        (noise(3, 2, seed=0), noise(3, 2, seed=1), "3 rows: at least 4 are needed"),
        (np.full((5, 2), 0.1), noise(5, 2, seed=1), "all rows of x are equal: there is no variance"),
        (noise(5, 2, seed=1), np.full((5, 2), 7), "all rows of y are equal: there is no variance"),
        (np.full((5, 2), np.nan), noise(5, 2, seed=1), "x holds values that are not finite"),
        (noise(5, 2, seed=1), [[0, 0], [1, 1], [2, np.inf], [3, 3], [4, 4]], "y holds values that are not finite"),
    ],
)
def test_rows_that_cannot_be_compared(measure: Any, x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(x, y)


@pytest.mark.parametrize("measure", [retrieval, centred_cosine])
def test_widths_that_differ(measure: Any) -> None:
    x, y = noise(9, 2, seed=0), noise(9, 3, seed=0)
    assert linear_cka(x, y) > 0
    with pytest.raises(ValueError, match="rows of widths 2 and 3: this measure needs the same coordinates"):
        measure(x, y)


def test_four_rows_are_too_few_for_the_debiased_estimator_of_some() -> None:
    """Four equidistant points: every way to pair them gives the same distances, so there is nothing to correlate."""
    with pytest.raises(ValueError, match="too few for the debiased estimator"):
        linear_cka(4 * np.eye(4), noise(4, 2, seed=0), debiased=True)


@pytest.mark.parametrize("n", [6, 9, 20, 33])
def test_equidistant_rows_have_nothing_to_correlate(n: int) -> None:
    """What is left is rounding, and a ratio of roundings is any number."""
    for scale in (0.1, 1, 10):
        with pytest.raises(ValueError, match="too few for the debiased estimator"):
            linear_cka(scale * np.eye(n), scale * np.eye(n), debiased=True)


def parallel(games: Games, *languages: np.ndarray) -> Activations:
    """Rows of each language, given for every move of every game as `[game move d]`, at one layer."""
    game, move = np.nonzero(games.moves[:, :MOVES] >= 0)
    values = torch.from_numpy(np.stack([rows[game, move] for rows in languages]).astype(np.float32))
    return Activations(values[:, None], tuple(range(len(languages))), (0,), games, replay(games), game, move)


def full_games(n: int, *, seed: int = 0) -> Games:
    """Games that fill the board."""
    games = random_games(4 * n + 40, board=SIDE, seed=seed)
    return games[games.lengths == MOVES + 1][:n]


def board_rows(games: Games, *, seed: int, d: int = D) -> np.ndarray:
    """A random linear image of each position, `[game move d]`."""
    rows: np.ndarray = replay(games).state[:, :MOVES] @ noise(SIDE**2, d, seed=seed)
    return rows


def by_measure(table: pd.DataFrame) -> dict[str, Any]:
    """Rows of a table of one layer by measure."""
    assert not table["measure"].duplicated().any()
    return {str(row["measure"]): pd.Series(row) for row in table.to_dict("records")}


def test_the_same_rows() -> None:
    games = full_games(120)
    rows = board_rows(games, seed=0)
    table = compare(parallel(games, rows, rows), 0, parallel(games, rows, rows), 1, permutations=40)
    found = by_measure(table)
    assert list(found) == ["cka", "retrieval", "cosine"]
    assert found["cka"].value == pytest.approx(1, abs=1e-9)
    assert found["cosine"].value == pytest.approx(1, abs=1e-5)
    assert found["retrieval"].value > 0.9
    assert found["cka"].high - found["cka"].low < 1e-6
    for row in found.values():
        assert (row.layer, row.hook, row.games) == (0, "blocks.0.hook_resid_post", 120)
        assert row.p == pytest.approx(1 / 41)
        assert row.null_high < 0.3


def test_values_are_those_within_each_move() -> None:
    """HSICs are summed over moves before their ratio; retrieval and cosine are averaged."""
    games = full_games(80)
    x = board_rows(games, seed=0)
    y = x @ noise(D, D, seed=1) + 3 * noise(len(games) * MOVES, D, seed=2).reshape(x.shape)
    acts = parallel(games, x, y)
    found = by_measure(compare(acts, 0, acts, 1, permutations=1))
    states = replay(games).state
    moves = [move for move in range(MOVES) if len(np.unique(states[:, move], axis=0)) >= MIN_BOARDS]
    assert 20 < len(moves) < MOVES
    single = [(x[:, move].astype(np.float32), y[:, move].astype(np.float32)) for move in moves]

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        """Song et al.'s matrix form, with Gram matrices."""
        n, k, m = len(a), a.astype(float) @ a.T.astype(float), b.astype(float) @ b.T.astype(float)
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        middle = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k.sum(axis=0) @ m.sum(axis=0))
        return float((np.trace(k @ m) + middle) / (n * (n - 3)))

    between, of_x, of_y = (sum(hsic(*pair) for pair in pairs) for pairs in (
        single, [(a, a) for a, _ in single], [(b, b) for _, b in single]
    ))  # fmt: skip
    assert found["cka"].value == pytest.approx(between / np.sqrt(of_x * of_y), abs=1e-8)
    assert found["retrieval"].value == pytest.approx(np.mean([retrieval(a, b) for a, b in single]), abs=1e-6)
    assert found["cosine"].value == pytest.approx(np.mean([centred_cosine(a, b) for a, b in single]), abs=1e-5)
    assert found["cka"].moves == len(moves)
    assert 0.1 < found["cka"].value < 0.9


def test_a_copy_in_other_coordinates_is_alike_and_not_shared() -> None:
    games = full_games(120)
    rows, nothing = board_rows(games, seed=0), np.zeros((120, MOVES, D))
    acts = parallel(games, np.dstack([rows, nothing]), np.dstack([nothing, rows]))
    found = by_measure(compare(acts, 0, acts, 1, permutations=40))
    assert found["cka"].value == pytest.approx(1, abs=1e-9)
    assert found["cka"].p == pytest.approx(1 / 41)
    assert found["retrieval"].value < 0.05
    assert found["cosine"].value == pytest.approx(0, abs=1e-6)


def test_unrelated_rows_lie_within_their_null() -> None:
    """Over ten draws p is anywhere between 0 and 1, and the value is where re-paired games are."""
    games = full_games(60)
    found = []
    for seed in range(10):
        x, y = (noise(60 * MOVES, D, seed=2 * seed + which).reshape(60, MOVES, D) for which in (0, 1))
        acts = parallel(games, x, y)
        found.append(compare(acts, 0, acts, 1, permutations=40, seed=seed))
    table = pd.concat(found)
    cka = table[table["measure"] == "cka"]
    assert (cka["value"].abs() < 0.05).all()
    assert (cka["null"].abs() < 0.02).all()
    assert ((cka["low"] < 0) & (cka["high"] > 0)).mean() >= 0.7
    for name, rows in table.groupby("measure"):
        assert rows["p"].max() > 0.5, name
        assert 0.25 < rows["p"].mean() < 0.75, name
        assert (rows["value"] <= rows["null_high"]).mean() >= 0.7, name
    at_chance = table.loc[table["measure"] == "retrieval", "null"]
    assert at_chance.mean() == pytest.approx(1 / 60, abs=0.004)


def test_what_depends_on_the_move_number_alone_does_not_count() -> None:
    """Rows pooled over moves look alike however unrelated the games are."""
    games = full_games(60)
    place = 5 * noise(MOVES, D, seed=0)
    x, y = (place + noise(60 * MOVES, D, seed=seed).reshape(60, MOVES, D) for seed in (1, 2))
    acts = parallel(games, x, y)
    assert linear_cka(acts.at(0, 0), acts.at(1, 0), debiased=True) > 0.9
    assert centred_cosine(acts.at(0, 0), acts.at(1, 0)) > 0.9
    found = by_measure(compare(acts, 0, acts, 1, permutations=40))
    for name in ("cka", "cosine"):
        assert abs(found[name].value) < 0.05
        assert found[name].p > 0.05
    assert found["retrieval"].value < 0.05


def test_the_null_pairs_whole_games_anew() -> None:
    """Rows that a game keeps all along: the null is as wide as that of one move, not the square root of 26 narrower."""
    games = full_games(60)
    x, y = (np.repeat(noise(60, D, seed=seed)[:, None], MOVES, axis=1) for seed in (1, 2))
    acts = parallel(games, x, y)
    found = by_measure(compare(acts, 0, acts, 1, permutations=300))
    rng = np.random.default_rng(0)
    one_move = [linear_cka(x[:, 0], y[rng.permutation(60), 0], debiased=True) for _ in range(300)]
    assert found["cka"].null_high == pytest.approx(np.quantile(one_move, 0.95), rel=0.25)
    assert found["cka"].value == pytest.approx(linear_cka(x[:, 0], y[:, 0], debiased=True), abs=1e-6)


def test_games_that_end_early_are_left_out() -> None:
    """Whatever their rows hold, and the moves with too few different boards too."""
    games = full_games(90)
    ends = np.where(np.arange(90) < 30, 1 + np.arange(90) % 30, MOVES + 1)
    mixed = Games(np.where(np.arange(MOVES + 1) < ends[:, None], games.moves, -1), SIDE)
    x = board_rows(games, seed=0)
    y = x + 5 * noise(90 * MOVES, D, seed=2).reshape(x.shape)
    spoilt = [rows.copy() for rows in (x, y)]
    for rows in spoilt:
        rows[:30] = np.nan
        rows[:, :3] = np.nan
    acts = parallel(mixed, *spoilt)
    found = compare(acts, 0, acts, 1, permutations=10)
    clean = parallel(games[30:], x[30:], y[30:])
    pd.testing.assert_frame_equal(found, compare(clean, 0, clean, 1, permutations=10))
    assert (found["games"] == 60).all()
    assert (found["moves"] == MOVES - 3).all()


def test_too_few_boards() -> None:
    """The same game again and again shows one board at each move."""
    games = full_games(4 * D)
    same = Games(np.repeat(games.moves[:1], len(games), axis=0), SIDE)
    x = noise(len(games) * MOVES, D, seed=0).reshape(len(games), MOVES, D)
    rows = parallel(same, x, x)
    with pytest.raises(ValueError, match=f"at most 1 different boards at a move number: similarity needs {MIN_BOARDS}"):
        compare(rows, 0, rows, 1)


def test_no_permutations() -> None:
    games = full_games(4 * D)
    x = noise(len(games) * MOVES, D, seed=0).reshape(len(games), MOVES, D)
    rows = parallel(games, x, x)
    with pytest.raises(ValueError, match="permutations=0: expected 1 or more"):
        compare(rows, 0, rows, 1, permutations=0)


def test_too_few_games() -> None:
    """Four games a dimension are asked for, and only games that fill the board count."""
    games = full_games(4 * D * 3)
    x = noise(len(games) * MOVES, 3 * D, seed=0).reshape(len(games), MOVES, 3 * D)
    enough = parallel(games, x, x)
    assert len(compare(enough, 0, enough, 1, permutations=1)) == 3
    moves = games.moves.copy()
    moves[0, -1] = -1
    one_less = parallel(Games(moves, SIDE), x, x)
    with pytest.raises(ValueError, match=r"71 games that fill the board, for rows of width 18: .* at least 72"):
        compare(one_less, 0, one_less, 1)


def test_rows_of_different_games() -> None:
    rows = noise(60 * MOVES, D, seed=0).reshape(60, MOVES, D)
    mine, other = (parallel(full_games(60, seed=seed), rows) for seed in (0, 1))
    with pytest.raises(ValueError, match="different games: collect both on the same ones"):
        compare(mine, 0, other, 0)


def test_two_models_of_different_widths() -> None:
    """CKA alone can compare them."""
    games = full_games(80)
    narrow, wide = (parallel(games, board_rows(games, seed=1, d=d)) for d in (5, 9))
    table = compare(narrow, 0, wide, 0, permutations=5)
    assert list(table["measure"]) == ["cka"]
    assert table["value"].iloc[0] > table["null_high"].iloc[0]


def test_every_layer_by_its_name() -> None:
    games = full_games(60)
    acts = parallel(games, board_rows(games, seed=0), board_rows(games, seed=1))
    values = torch.cat([acts.values, acts.values.flip(0), acts.values[[0, 0]]], dim=1)
    layered = Activations(values, (4, 2), (-1, 0, 3), games, acts.boards, acts.game, acts.move)
    table = compare(layered, 4, layered, 2, permutations=2)
    hooks = table.drop_duplicates("layer").set_index("layer")["hook"].to_dict()
    assert hooks == {-1: "blocks.0.hook_resid_pre", 0: "blocks.0.hook_resid_post", 3: "blocks.3.hook_resid_post"}
    cka = table[table["measure"] == "cka"].set_index("layer")["value"]
    assert cka[-1] == pytest.approx(cka[0], abs=1e-9)
    assert cka[3] == pytest.approx(1, abs=1e-9)
    assert cka[-1] < 0.99


def test_the_interval_covers_planted_truth() -> None:
    """y = x + noise of equal size, in 60 draws: about 95% of the intervals hold 1/2, and they are no wider than needed."""
    games = full_games(60)
    found = []
    for seed in range(60):
        x, error = (noise(60 * MOVES, 4, seed=2 * seed + which).reshape(60, MOVES, 4) for which in (0, 1))
        acts = parallel(games, x, x + error)
        found.append(by_measure(compare(acts, 0, acts, 1, permutations=1))["cka"])
    table = pd.DataFrame(found)
    assert 0.85 <= ((table["low"] < 0.5) & (table["high"] > 0.5)).mean() <= 1
    assert table["value"].mean() == pytest.approx(0.5, abs=0.01)
    needed = 2 * 1.96 * table["value"].std()
    assert (table["high"] - table["low"]).mean() == pytest.approx(needed, rel=0.35)


def test_one_seed_one_table() -> None:
    games = full_games(60)
    acts = parallel(games, board_rows(games, seed=0), board_rows(games, seed=1))
    first = compare(acts, 0, acts, 1, permutations=5, seed=3)
    torch.manual_seed(99)
    pd.testing.assert_frame_equal(compare(acts, 0, acts, 1, permutations=5, seed=3), first)
    other = compare(acts, 0, acts, 1, permutations=5, seed=4)
    pd.testing.assert_series_equal(other["value"], first["value"])
    assert (other["null"] != first["null"]).any()


def test_comparing_changes_nothing() -> None:
    games = full_games(60)
    acts = parallel(games, board_rows(games, seed=0), board_rows(games, seed=1))
    before = acts.values.clone()
    compare(acts, 0, acts, 1, permutations=2)
    assert torch.equal(acts.values, before)

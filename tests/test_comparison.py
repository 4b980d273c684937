"""Two languages compared: what is shared is seen, what only looks alike is not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp import comparison
from mothello_interp.activations import Activations
from mothello_interp.comparison import FOLDS, MIN_BOARDS, compare
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.similarity import (
    MEASURES,
    SAME_COORDINATES,
    centred_cosine,
    fit_procrustes,
    linear_cka,
    minibatch_cka,
    mutual_knn,
    principal_angles,
    pwcca,
    rbf_cka,
    retrieval,
    rsa,
    svcca,
)
from tests.planted_rows import noise, rotation

SIDE, MOVES, D = 6, 31, 6
EVERY = tuple(MEASURES)


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
    assert list(found["measure"]) == ["cka", "retrieval", "cosine"]
    assert (found["games"] == 60).all()
    assert (found["moves"] == MOVES - 3).all()


def test_layer_by_layer() -> None:
    """The target's layers hold the source's rows in another order: each layer finds itself, wherever it went."""
    games = full_games(60)
    each = [parallel(games, board_rows(games, seed=seed)) for seed in range(3)]
    source, target = (torch.cat([each[seed].values for seed in seeds], dim=1) for seeds in ((0, 1, 2), (2, 0, 1)))
    same = each[0]
    acts = Activations(torch.cat([source, target]), (0, 1), (-1, 0, 3), games, same.boards, same.game, same.move)
    table = compare(acts, 0, acts, 1, permutations=2, layer_by_layer=True)
    for _, group in table.groupby("measure"):
        cells = group.set_index(["layer", "target_layer"])["value"]
        assert len(cells) == 9
        for layer, went_to in ((-1, 0), (0, 3), (3, -1)):
            assert cells[layer, went_to] == cells[layer].max() == cells.xs(went_to, level=1).max()
            assert (cells[layer].drop(went_to) < cells[layer, went_to] - 0.05).all()
    own = table[table["layer"] == table["target_layer"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, compare(acts, 0, acts, 1, permutations=2))
    alone = compare(acts, 0, acts, 1, permutations=0, layer_by_layer=True)
    places = ["layer", "hook", "target_layer", "measure", "value", "games", "moves"]
    pd.testing.assert_frame_equal(alone, table[places])


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


@pytest.mark.parametrize("pooled", [False, True])
def test_a_measure_of_ones_own(pooled: bool) -> None:
    """A function that is one of ours in disguise finds what ours does, its interval and its null included."""
    games = full_games(60)
    acts = parallel(games, board_rows(games, seed=0), board_rows(games, seed=1))

    def mine(x: torch.Tensor, y: torch.Tensor) -> float:
        return svcca(x, y)

    def broken(x: torch.Tensor, y: torch.Tensor) -> float:
        return float("nan")

    settings: dict[str, Any] = {"permutations": 3, "pooled": pooled}
    table = compare(acts, 0, acts, 1, measures=["svcca", mine], **settings).set_index("measure")
    assert list(table.index) == ["svcca", "mine"]
    numbers = table.drop(columns="hook").astype(float).to_numpy()
    np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match=r"broken gave nan on rows of shapes \(\d+, 6\) and"):
        compare(acts, 0, acts, 1, measures=[broken], **settings)
    with pytest.raises(ValueError, match="there is a measure 'rsa' already: call your function something else"):
        compare(acts, 0, acts, 1, measures=[rsa], **settings)


def test_every_measure_within_each_move() -> None:
    """Averaged over moves, but for CKA, whose HSICs are summed before the ratio; Procrustes fitted on half of the games and
    scored on the other, both ways."""
    games = full_games(80)
    x = board_rows(games, seed=0)
    y = x @ noise(D, D, seed=1) + 3 * noise(len(games) * MOVES, D, seed=2).reshape(x.shape)
    acts = parallel(games, x, y)
    found = by_measure(compare(acts, 0, acts, 1, measures=EVERY, permutations=3))
    assert list(found) == list(EVERY)
    states = replay(games).state
    moves = [move for move in range(MOVES) if len(np.unique(states[:, move], axis=0)) >= MIN_BOARDS]
    assert 20 < len(moves) < MOVES
    single = [(x[:, move].astype(np.float32), y[:, move].astype(np.float32)) for move in moves]
    first = np.arange(80) // 10 % 2 == 0

    def held_out(a: np.ndarray, b: np.ndarray) -> float:
        one, other = fit_procrustes(a[first], b[first]), fit_procrustes(a[~first], b[~first])
        return (one.score(a[~first], b[~first]) + other.score(a[first], b[first])) / 2

    by_hand = {"svcca": svcca, "pwcca": pwcca, "procrustes": held_out, "rsa": rsa, "mutual_knn": mutual_knn}
    by_hand |= {"retrieval": retrieval, "cosine": centred_cosine, "principal_angles": principal_angles}
    assert by_hand.keys() | {"cka", "rbf_cka"} == set(EVERY)
    for name, measure in by_hand.items():
        assert found[name].value == pytest.approx(np.mean([measure(a, b) for a, b in single]), abs=1e-5), name
        assert found[name].moves == len(moves)
        assert found[name].above == found[name].value - found[name].floor_high
    assert found["cka"].value == pytest.approx(minibatch_cka(single), abs=1e-8)
    assert 0.1 < found["cka"].value < 0.9
    averaged = np.mean([rbf_cka(a, b, debiased=True) for a, b in single])
    assert found["rbf_cka"].value == pytest.approx(averaged, abs=0.02)
    assert abs(found["rbf_cka"].value - averaged) > 1e-6


def test_the_same_board_in_turned_coordinates() -> None:
    """What does not see a rotation is 1 or near it; what does is at its null. The embeddings' trap, with every measure."""
    games = full_games(120)
    rows, nothing = board_rows(games, seed=0), np.zeros((120, MOVES, D))
    turn = rotation(2 * D, seed=1)
    acts = parallel(games, np.dstack([rows, nothing]) @ turn, np.dstack([nothing, rows]) @ turn)
    found = by_measure(compare(acts, 0, acts, 1, measures=EVERY, permutations=20))
    for name in set(EVERY) - set(SAME_COORDINATES):
        assert found[name].value > (0.9 if name in {"rsa"} else 0.999), name
        assert found[name].p == pytest.approx(1 / 21), name
        assert found[name].above > 0.3, name
    for name in SAME_COORDINATES:
        assert found[name].value < 0.05, name


def test_the_null_of_each_measure_is_that_of_its_function() -> None:
    """Rows that a game keeps all along, so that one move is as good as all: the same games under other partners."""
    games = full_games(60)
    x = noise(60, D, seed=1)
    y = x + noise(60, D, seed=2)
    acts = parallel(games, *(np.repeat(rows[:, None], MOVES, axis=1) for rows in (x, y)))
    rng = np.random.default_rng(0)
    slow = {"svcca": svcca, "pwcca": pwcca, "rsa": rsa, "mutual_knn": mutual_knn, "retrieval": retrieval}
    slow["rbf_cka"] = lambda a, b: rbf_cka(a, b, debiased=True)  # type: ignore[assignment]
    slow["cka"] = lambda a, b: linear_cka(a, b, debiased=True)  # type: ignore[assignment]
    found = by_measure(compare(acts, 0, acts, 1, measures=list(slow), permutations=100))
    for name, measure in slow.items():
        null = [measure(x, y[rng.permutation(60)]) for _ in range(100)]
        error = 4 * np.std(null) / np.sqrt(50)
        assert found[name].floor == pytest.approx(np.mean(null), abs=error), name
        assert found[name].floor_high == pytest.approx(np.quantile(null, 0.95), abs=1.5 * error), name


def test_principal_angles_have_a_null_of_their_own() -> None:
    """Games re-paired fill the same subspace: turned coordinates do not."""
    games = full_games(100)
    x = noise(100 * MOVES, 2, seed=0).reshape(100, MOVES, 2) @ rotation(8, seed=1)[:2]
    acts = parallel(games, x, x[::-1].copy())
    found = by_measure(compare(acts, 0, acts, 1, measures=["principal_angles", "retrieval"], permutations=60))
    assert found["principal_angles"].value == pytest.approx(1, abs=1e-6)
    assert found["principal_angles"].floor == pytest.approx(2 / 8, abs=0.05)
    assert found["retrieval"].p > 0.05


def test_pooled_rows_look_alike_and_their_null_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on the move number alone: nothing within move, nearly all pooled, and as much with games re-paired."""
    monkeypatch.setattr(comparison, "POOLED_ROWS", 500)
    games = full_games(60)
    place = 5 * noise(MOVES, D, seed=0)
    x, y = (place + noise(60 * MOVES, D, seed=seed).reshape(60, MOVES, D) for seed in (1, 2))
    acts = parallel(games, x, y)
    within, pooled = (
        by_measure(compare(acts, 0, acts, 1, measures=EVERY, permutations=20, pooled=pooled))
        for pooled in (False, True)
    )
    for name in set(EVERY) - {"mutual_knn", "retrieval", "principal_angles"}:
        assert within[name].above < 0.1, name
        assert pooled[name].value > 0.75, name
        assert pooled[name].floor > 0.7, name
        assert abs(pooled[name].above) < 0.05, name
    assert {(row.games, row.moves) for row in within.values()} == {(60, within["cka"].moves)}


def test_pooled_values_are_those_of_all_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2,000 of them where all pairs are looked at, here 300."""
    assert comparison.POOLED_ROWS == 2000
    monkeypatch.setattr(comparison, "POOLED_ROWS", 300)
    games = full_games(90)
    x = board_rows(games, seed=0)
    y = x + 3 * noise(90 * MOVES, D, seed=2).reshape(x.shape)
    acts = parallel(games, x, y)
    found = by_measure(compare(acts, 0, acts, 1, measures=EVERY, permutations=2, pooled=True))
    moves = found["cka"].moves
    a, b = (rows[:, MOVES - moves :].astype(np.float32).reshape(-1, D) for rows in (x, y))
    few = 300 // moves
    by_hand: dict[str, Any] = {
        "svcca": svcca,
        "pwcca": pwcca,
        "cosine": centred_cosine,
        "principal_angles": principal_angles,
    }
    by_hand["cka"] = lambda a, b: linear_cka(a, b, debiased=True)
    for name, measure in by_hand.items():
        assert found[name].value == pytest.approx(measure(a, b), abs=1e-6), name
        assert found[name].games == 90
    by_hand = {"rsa": rsa, "mutual_knn": mutual_knn, "retrieval": retrieval}
    by_hand["rbf_cka"] = lambda a, b: rbf_cka(a, b, debiased=True)
    for name, measure in by_hand.items():
        assert found[name].value == pytest.approx(measure(a[: few * moves], b[: few * moves]), abs=1e-6), name
        assert found[name].games == few < 90


@pytest.mark.slow
@pytest.mark.parametrize("pooled", [False, True])
def test_errors_are_as_large_as_the_spread_over_draws(pooled: bool) -> None:
    """40 draws of y = x + noise: the intervals are as wide as the values vary, for every measure."""
    games = full_games(60)
    found = []
    for seed in range(40):
        x, error = (noise(60 * MOVES, 4, seed=2 * seed + which).reshape(60, MOVES, 4) for which in (0, 1))
        acts = parallel(games, x * [3, 2, 1, 1], (x + error) * [3, 2, 1, 1])
        found.append(compare(acts, 0, acts, 1, measures=EVERY, permutations=1, pooled=pooled))
    for name, rows in pd.concat(found).groupby("measure"):
        claimed = (rows["high"] - rows["low"]).mean() / (2 * 1.96)
        assert 0.6 < claimed / rows["value"].std() < 1.9, name


def test_p_counts_mismatches_that_tie_with_the_value() -> None:
    """A measure that never changes is at least as high under every mismatch."""
    games = full_games(60)
    acts = parallel(games, board_rows(games, seed=0), board_rows(games, seed=1))

    def constant(x: torch.Tensor, y: torch.Tensor) -> float:
        return 0.5

    row = by_measure(compare(acts, 0, acts, 1, measures=[constant], permutations=7))["constant"]
    assert (row.p, row.above, row.floor, row.low) == (1, 0, 0.5, 0.5)


@pytest.mark.parametrize("name", sorted(MEASURES.keys() - {"principal_angles"}))
def test_the_floor_is_the_value_of_mismatched_games_and_the_error_a_jackknife(name: str) -> None:
    """Of games that are really paired anew, and really left out; far from the origin too."""
    measure, n = MEASURES[name], 80
    x = torch.from_numpy(noise(n, 5, seed=0)) + 10
    y = x + torch.from_numpy(noise(n, 5, seed=1))
    game = torch.arange(n)
    sides = [measure.prepare(rows)._replace(game=game) for rows in (x, y)]
    orders = [torch.randperm(n, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    value, *floor = measure.finish(measure.scores(sides[0], sides[1], orders))
    for order, found in zip(orders, floor, strict=True):
        anew = [measure.prepare(rows)._replace(game=game) for rows in (x, y[order])]
        assert float(found) == pytest.approx(float(measure.finish(measure.score(*anew))), abs=1e-6)
        assert abs(found - value) > 0.02
    if name in {"cka", "svcca"}:
        function = svcca if name == "svcca" else lambda a, b: linear_cka(a, b, debiased=True)
        left = np.array([function(x[game % FOLDS != fold], y[game % FOLDS != fold]) for fold in range(FOLDS)])
        error = comparison._finding(measure, x[None], y[None], 1, 0, pooled=False)[1]
        assert error == pytest.approx(np.sqrt((FOLDS - 1) * left.var()), rel=1e-6)


def test_every_layer_by_its_name_and_measures_in_the_order_asked_for() -> None:
    games = full_games(60)
    acts = parallel(games, board_rows(games, seed=0), board_rows(games, seed=1))
    values = torch.cat([acts.values, acts.values.flip(0), acts.values[[0, 0]]], dim=1)
    layered = Activations(values, (4, 2), (-1, 0, 3), games, acts.boards, acts.game, acts.move)
    table = compare(layered, 4, layered, 2, measures=["cosine", "cka", "cosine"], permutations=2)
    hooks = table.drop_duplicates("layer").set_index("layer")["hook"].to_dict()
    assert hooks == {-1: "blocks.0.hook_resid_pre", 0: "blocks.0.hook_resid_post", 3: "blocks.3.hook_resid_post"}
    assert list(table["measure"]) == ["cosine", "cka"] * 3
    cka = table[table["measure"] == "cka"].set_index("layer")["value"]
    assert cka[-1] == pytest.approx(cka[0], abs=1e-9)
    assert cka[3] == pytest.approx(1, abs=1e-9)
    assert cka[-1] < 0.99


def test_one_seed_gives_one_table_and_leaves_the_rows_alone() -> None:
    games = full_games(60)
    acts = parallel(games, board_rows(games, seed=0), board_rows(games, seed=1))
    before = acts.values.clone()
    first = compare(acts, 0, acts, 1, measures=EVERY, permutations=2, seed=3)
    torch.manual_seed(99)
    pd.testing.assert_frame_equal(compare(acts, 0, acts, 1, measures=EVERY, permutations=2, seed=3), first)
    other = compare(acts, 0, acts, 1, measures=EVERY, permutations=2, seed=4)
    pd.testing.assert_series_equal(other["value"], first["value"])
    assert (other["floor"] != first["floor"]).all()
    assert torch.equal(acts.values, before)


def test_what_cannot_be_compared_is_an_error() -> None:
    games = full_games(80)
    x = board_rows(games, seed=0)
    constant, broken = x.copy(), x.copy()
    constant[:, 20] = 1
    broken[7, 20, 0] = np.nan
    acts = parallel(games, x, constant, broken)
    narrow, wide = (parallel(games, board_rows(games, seed=1, d=d)) for d in (5, 21))
    same = parallel(Games(np.repeat(games.moves[:1], 80, axis=0), SIDE), x)
    for source, target, settings, message in (
        (acts, acts, {"permutations": -1}, "permutations=-1"),
        (acts, parallel(full_games(80, seed=1), x), {}, "different games"),
        (acts, acts, {"measures": ["cca"]}, "no measure 'cca'"),
        (acts, acts, {"measures": []}, "name one"),
        (acts, narrow, {"measures": ["retrieval", "procrustes"]}, "widths 6 and 5"),
        (narrow, wide, {}, "80 games .* at least 84"),
        (wide, narrow, {}, "80 games .* at least 84"),
        (same, same, {}, "at most 1 different boards"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(source, 0, target, 0, **settings)
    for language, message in ((1, "all rows of y are equal"), (2, "y holds values")):
        with pytest.raises(ValueError, match=message):
            compare(acts, 0, acts, language, permutations=1)
    table = compare(acts, 0, narrow, 0, measures=EVERY, permutations=2)
    assert list(table["measure"]) == ["cka", "rbf_cka", "svcca", "pwcca", "rsa", "mutual_knn"]

"""Probes on planted truth: what is there is read, what is not there is not, and a reference fits the same."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from mothello_interp.activations import Activations, Frame, collect
from mothello_interp.identity import language_identity
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Boards, random_games
from mothello_interp.probes import RIDGE, Kind, Probes, fit_probes, fit_probes_on

MOVES, SQUARES = 10, 16
every_kind = pytest.mark.parametrize("kind", ["linear", "ridge", "mlp"])
trained = pytest.mark.parametrize("kind", ["linear", "mlp"])  # least squares sees no class between two others on a line
both_frames = pytest.mark.parametrize("frame", ["absolute", "relative"])


def planted(values: np.ndarray, state: np.ndarray, mover: np.ndarray | None = None) -> Activations:
    """Rows `[row d_model]` or `[language layer row d_model]` of made-up boards `[row square]`, ten moves a game."""
    values = values if values.ndim == 4 else values[None, None]
    n = len(state) // MOVES
    movers = np.ones((n, MOVES + 1), np.int8)
    movers[:, 1:] = 1 if mover is None else mover.reshape(n, MOVES)
    boards = Boards(state.reshape(n, MOVES, SQUARES), np.zeros((n, MOVES + 1, SQUARES), bool), movers)
    rows = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    languages, layers = tuple(range(len(values))), tuple(range(values.shape[1]))
    game, move = np.divmod(np.arange(n * MOVES), MOVES)
    return Activations(rows, languages, layers, random_games(n, board=4, seed=0), boards, game, move)


def random_boards(games: int, *, seed: int) -> np.ndarray:
    """Boards `[row square]` in which the commonest disc of a square depends on the move number."""
    rng = np.random.default_rng(seed)
    chances = np.random.default_rng(99).dirichlet([0.5, 0.5, 0.5], (MOVES, SQUARES)).cumsum(axis=2)
    draws = rng.random((games, MOVES, SQUARES, 1))
    return ((draws > chances[None, :, :, :2]).sum(axis=3) - 1).reshape(-1, SQUARES).astype(np.int8)


def directions(*, seed: int, width: int = 20) -> np.ndarray:
    """A direction a square, orthonormal, `[square d_model]`."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))
    found: np.ndarray = basis[:SQUARES]
    return found


def accuracy(probes: Probes, rows: Activations, *, language: int = 0, of: int | None = None, layer: int = 0) -> float:
    """Share of squares that the probe of one language reads right in the rows of another."""
    kept, classes = rows.labels(probes.frame)
    values = rows.at(language if of is None else of, layer)[torch.from_numpy(kept)]
    return float((probes.predict(values, language, layer) == classes).mean())


def baseline(probes: Probes, rows: Activations) -> float:
    """The accuracy of the majority baseline from square and move number."""
    kept, classes = rows.labels(probes.frame)
    return float((probes.majority[rows.move[kept]] == classes).mean())


def noisy_linear_data(n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and boards drawn from logits that are linear in them."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(7).normal(size=(12, 3, SQUARES)) * 0.8
    rows = rng.normal(size=(n, 12))
    logits = np.einsum("nd,dcs->ncs", rows, weights) + rng.gumbel(size=(n, 3, SQUARES))
    return rows.astype(np.float32), (logits.argmax(axis=1) - 1).astype(np.int8)


def test_a_linear_probe_is_a_logistic_regression() -> None:
    """As accurate on other rows as scikit-learn's, and as sure of itself, on every third square."""
    (x, state), (other_x, other_state) = noisy_linear_data(5000, seed=1), noisy_linear_data(5000, seed=2)
    probes = fit_probes_on(planted(x, state), kind="linear", frame="absolute", batch=128, seed=0)
    chances = probes.logits(torch.from_numpy(other_x), 0, 0).softmax(-1).numpy()
    predicted = probes.predict(torch.from_numpy(other_x), 0, 0)
    for square in range(0, SQUARES, 3):
        reference = LogisticRegression(C=1e4, max_iter=1000).fit(x, state[:, square])
        truth = other_state[:, square] + 1
        theirs = reference.predict_proba(other_x)
        assert 0.6 < reference.score(other_x, truth - 1) < 0.9
        assert (predicted[:, square] == truth).mean() == pytest.approx(reference.score(other_x, truth - 1), abs=0.006)
        loss, their_loss = (
            -np.log(found[np.arange(len(truth)), truth]).mean() for found in (chances[:, square], theirs)
        )
        assert loss == pytest.approx(their_loss, abs=0.005)
        np.testing.assert_allclose(chances[:, square], theirs, atol=0.08)


def test_a_ridge_probe_is_a_ridge_regression_of_the_classes() -> None:
    """scikit-learn's, with a penalty of a share of the mean variance; so the same for rows that are rotated and scaled."""
    (x, state), (other_x, _) = noisy_linear_data(800, seed=1), noisy_linear_data(50, seed=2)
    x, other_x = 3 * x + 1, 3 * other_x + 1
    probes = fit_probes_on(planted(x, state), kind="ridge", frame="absolute", seed=0)
    found = probes.logits(torch.from_numpy(other_x), 0, 0).numpy()
    classes = (state[..., None] == [-1, 0, 1]).reshape(len(state), -1)
    reference = Ridge(alpha=RIDGE * len(x) * x.var(axis=0).mean()).fit(x, classes)
    np.testing.assert_allclose(found.reshape(50, -1), reference.predict(other_x), atol=1e-4)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0].astype(np.float32)
    turned = fit_probes_on(planted(100 * x @ rotation, state), kind="ridge", frame="absolute", seed=0)
    again = turned.logits(torch.from_numpy(100 * other_x @ rotation), 0, 0).numpy()
    np.testing.assert_allclose(again, found, atol=1e-3)


@every_kind
def test_probes_of_shuffled_boards_are_the_majority_baseline(kind: Kind) -> None:
    """Rows that carry the move number, and the board of another game: all that is left is the majority class."""

    def rows(games: int, seed: int, *, shuffled: bool) -> Activations:
        state = random_boards(games, seed=seed)
        order = np.random.default_rng(seed).permuted(np.tile(np.arange(games), (MOVES, 1)), axis=1).T
        there = order * MOVES + np.arange(MOVES) if shuffled else np.arange(len(state)).reshape(games, MOVES)
        number = np.tile(np.eye(MOVES), (games, 1))
        return planted(np.hstack([state[there.ravel()] @ directions(seed=1), number]), state)

    settings: dict[str, Any] = {"kind": kind, "frame": "absolute", "batch": 128, "seed": 0}
    settings["epochs"] = 16 if kind == "linear" else 2  # an MLP soon knows the rows of so few games by heart
    null = fit_probes_on(rows(1000, 1, shuffled=True), **settings)
    held_out = rows(300, 2, shuffled=True)
    assert baseline(null, held_out) < 0.85
    assert accuracy(null, held_out) == pytest.approx(baseline(null, held_out), abs=0.015)
    truth = fit_probes_on(rows(1000, 1, shuffled=False), **settings)
    assert accuracy(truth, rows(300, 2, shuffled=False)) > baseline(null, held_out) + 0.08


def test_an_mlp_reads_what_a_linear_probe_cannot() -> None:
    """A disc is the product of two signs."""

    def rows(games: int, seed: int) -> Activations:
        signs = np.random.default_rng(seed).choice([-1, 1], (games * MOVES, 2, 8))
        state = np.zeros((games * MOVES, SQUARES), np.int8)
        state[:, :8] = signs[:, 0] * signs[:, 1]
        return planted(signs.reshape(len(signs), 16), state)

    def on_coded_squares(kind: Kind) -> float:
        probes = fit_probes_on(rows(800, 1), kind=kind, frame="absolute", batch=64, seed=0)
        test = rows(100, 2)
        return float((probes.predict(test.at(0, 0), 0, 0) == test.labels("absolute")[1])[:, :8].mean())

    assert on_coded_squares("linear") < 0.55
    assert on_coded_squares("mlp") > 0.95


@trained
def test_the_scale_of_the_activations_does_not_matter(kind: Kind) -> None:
    """Standardising is folded into the weights: shifted and stretched rows give the same logits."""
    x, state = noisy_linear_data(1000, seed=1)
    rng = np.random.default_rng(3)
    stretch, shift = 10 ** rng.uniform(-2, 2, 12), rng.normal(size=12) * 5
    moved = (x * stretch + shift * stretch).astype(np.float32)
    plain = fit_probes_on(planted(x, state), kind=kind, frame="absolute", epochs=4, batch=128, seed=0)
    other = fit_probes_on(planted(moved, state), kind=kind, frame="absolute", epochs=4, batch=128, seed=0)
    expected, found = (
        probes.logits(torch.from_numpy(rows[:200]), 0, 0) for probes, rows in ((plain, x), (other, moved))
    )
    assert expected.std() > 0.3
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


def four_sites(games: int, *, seed: int) -> Activations:
    """Two languages of two layers, each with directions of its own for the same boards."""
    state = random_boards(games, seed=seed)
    coded = [[state @ directions(seed=10 * language + layer) for layer in (0, 1)] for language in (0, 1)]
    return planted(np.array(coded), state)


def test_every_language_and_layer_has_its_own_probe() -> None:
    probes = fit_probes_on(four_sites(200, seed=1), kind="linear", frame="absolute", batch=64, seed=0)
    test = four_sites(50, seed=2)
    assert (probes.languages, probes.layers) == ((0, 1), (0, 1))
    for layer in (0, 1):
        for language in (0, 1):
            assert accuracy(probes, test, language=language, layer=layer) > 0.99
            assert accuracy(probes, test, language=language, of=1 - language, layer=layer) < 0.8
    own, other = (probes.boards(test, 1, 0, source=source)[0] for source in (1, 0))
    np.testing.assert_array_equal(own, probes.boards(test, 1, 0)[0])
    np.testing.assert_array_equal(other, probes.predict(test.at(1, 0), 0, 0) - 1)


@every_kind
def test_probes_do_not_learn_from_each_other(kind: Kind) -> None:
    """Fitted together or alone a probe reads the same."""
    together = four_sites(200, seed=1)
    alone = Activations(**{**vars(together), "values": together.values[1:, 1:], "languages": (1,), "layers": (1,)})
    settings: dict[str, Any] = {"kind": kind, "frame": "absolute", "batch": 64, "epochs": 6, "seed": 0}
    test = four_sites(50, seed=2)
    found = fit_probes_on(together, **settings).logits(test.at(1, 1), 1, 1)
    expected = fit_probes_on(alone, **settings).logits(test.at(1, 1), 1, 1)
    tolerance = 1e-3 if kind == "linear" else 0.5 * float(expected.std())  # MLPs begin with other random weights
    assert (found - expected).abs().mean() < tolerance


def test_directions_are_the_linear_probe() -> None:
    """Rows times directions, and a bias, are the logits; and they point along what was planted."""
    rows = four_sites(200, seed=1)
    probes = fit_probes_on(rows, kind="linear", frame="absolute", batch=64, seed=0)
    found = probes.directions(1, 0)
    assert found.shape == (SQUARES, 3, 20)
    values = rows.at(1, 0)[:50]
    logits = probes.logits(values, 1, 0)
    bias = (logits - torch.einsum("nd,scd->nsc", values, found)).mean(dim=0)
    torch.testing.assert_close(torch.einsum("nd,scd->nsc", values, found) + bias, logits, atol=1e-4, rtol=1e-4)
    black_minus_white = found[:, 2] - found[:, 0]
    along = torch.nn.functional.cosine_similarity(black_minus_white, torch.from_numpy(directions(seed=10)).float())
    assert along.min() > 0.9


@trained
@both_frames
def test_the_boards_that_are_read_are_the_boards_that_are(kind: Kind, frame: Frame) -> None:
    """From a direction a square, without a mistake; where the game is over, "mine" means nobody's and is left out of the fit."""

    def rows(games: int, seed: int) -> Activations:
        state = random_boards(games, seed=seed)
        mover = np.random.default_rng(seed).choice([-1, 1, 0], len(state), p=[0.45, 0.45, 0.1]).astype(np.int8)
        sign = np.where(mover == 0, -1, mover)[:, None] if frame == "relative" else 1
        return planted(state * sign @ directions(seed=1), state, mover)

    probes = fit_probes_on(rows(300, seed=1), kind=kind, frame=frame, batch=64, epochs=24, seed=0)
    assert (probes.kind, probes.frame, probes.board) == (kind, frame, 4)
    test = rows(50, seed=2)
    assert accuracy(probes, test) == 1
    discs, certainty = probes.boards(test, 0, 0)
    goes_on = (test.boards.mover[:, 1:].ravel() != 0) | (frame == "absolute")
    assert 0 < (~goes_on).sum() < 100 or frame == "absolute"
    np.testing.assert_array_equal(discs[goes_on], test.boards.state.reshape(-1, SQUARES)[goes_on])
    assert not discs[~goes_on].any()
    assert not certainty[~goes_on].any()
    np.testing.assert_allclose(
        certainty[goes_on], probes.logits(test.at(0, 0), 0, 0).softmax(-1).amax(-1).numpy()[goes_on]
    )


def test_predictions_are_the_likeliest_classes() -> None:
    """Classes lie one behind the other, squares inside; of equal classes the first is taken."""
    logits = torch.randn(50, 3, SQUARES, generator=torch.Generator().manual_seed(0)).round()
    weights = {"weight": torch.eye(48).view(1, 1, 48, 48), "bias": torch.zeros(1, 1, 48)}
    probes = Probes("linear", "absolute", 4, (3,), (-1,), weights, np.zeros((MOVES, SQUARES), np.int8))
    rows = logits.view(50, 48)
    assert torch.equal(probes.logits(rows, 3, -1), logits.transpose(1, 2))
    predicted = probes.predict(rows, 3, -1)
    assert predicted.dtype == np.int8
    assert np.array_equal(predicted, logits.numpy().argmax(axis=1))


@both_frames
def test_majority_is_the_commonest_class(frame: Frame) -> None:
    state = random_boards(31, seed=1)
    mover = np.random.default_rng(1).choice([-1, 1, 0], len(state)).astype(np.int8)
    rows = planted(state @ directions(seed=1), state, mover)
    majority = fit_probes_on(rows, frame=frame, epochs=1, seed=0).majority
    assert (majority.shape, majority.dtype) == ((MOVES, SQUARES), np.int8)
    kept, classes = rows.labels(frame)
    for move in range(MOVES):
        for square in range(SQUARES):
            seen = Counter(classes[rows.move[kept] == move, square].tolist())
            assert seen[int(majority[move, square])] == max(seen.values())


def assert_equal(found: Probes, expected: Probes) -> None:
    """The same probes to the last bit."""
    for name in ("kind", "frame", "board", "languages", "layers"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.weights.keys() == expected.weights.keys()
    assert all(torch.equal(found.weights[name], weight) for name, weight in expected.weights.items())
    assert np.array_equal(found.majority, expected.majority)
    assert found.majority.dtype == expected.majority.dtype


@every_kind
def test_probes_are_saved(tmp_path: Path, kind: Kind) -> None:
    rows = four_sites(10, seed=1)
    probes = fit_probes_on(rows, kind=kind, frame="relative", epochs=1, seed=0)
    path = probes.save(tmp_path / "a" / "b.safetensors")
    assert_equal(Probes.load(str(path)), probes)
    assert Probes.load(path).games == rows.games
    assert accuracy(Probes.load(path), rows) == accuracy(probes, rows)
    again = fit_probes_on(rows, kind="linear", epochs=1, seed=0)
    again.save(path)
    assert_equal(Probes.load(path), again)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ValueError, match=r"ends in .safetensors"):
        probes.save(path.with_suffix(""))


SPOILT_PROBES: dict[str, dict[str, Any]] = {
    "frame": {"frame": "turned"},
    "do not fit": {"layers": (0,)},
    "expected": {"kind": "mlp"},
    "finite": {"weights": {"weight": torch.full((2, 2, 4, 48), torch.inf), "bias": torch.zeros(2, 2, 48)}},
    "majority": {"majority": np.full((11, 16), 3, np.int8)},
    "side": {"board": 5},
}


@pytest.mark.parametrize("said", SPOILT_PROBES)
def test_a_file_of_probes_that_do_not_fit_is_refused(tmp_path: Path, said: str) -> None:
    probes = fit_probes_on(four_sites(10, seed=1), epochs=1, seed=0)
    path = replace(probes, **SPOILT_PROBES[said]).save(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=rf"a\.safetensors: .*{said}"):
        Probes.load(path)


def test_a_bit_that_changed_in_a_file_of_probes_is_seen(tmp_path: Path) -> None:
    path = fit_probes_on(four_sites(10, seed=1), epochs=1, seed=0).save(tmp_path / "a.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged"):
        Probes.load(path)


@trained
def test_a_seed_gives_one_fit(kind: Kind) -> None:
    rows = four_sites(40, seed=1)
    torch.manual_seed(1)
    first = fit_probes_on(rows, kind=kind, epochs=2, batch=64, seed=5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert_equal(fit_probes_on(rows, kind=kind, epochs=2, batch=64, seed=5), first)
    assert torch.equal(torch.get_rng_state(), state)
    other = fit_probes_on(rows, kind=kind, epochs=2, batch=64, seed=6)
    assert not torch.equal(other.weights["weight"], first.weights["weight"])


def test_fitting_on_a_model_is_fitting_on_its_rows(checkpoint: Checkpoint) -> None:
    games = random_games(30, board=4, seed=5)
    settings: dict[str, Any] = {"kind": "mlp", "frame": "absolute", "epochs": 2, "batch": 100, "seed": 3}
    probes = fit_probes(checkpoint, games, layers=[1, -1], languages=[1], **settings)
    assert (probes.languages, probes.layers, probes.majority.shape) == ((1,), (1, -1), (11, 16))
    assert_equal(probes, fit_probes_on(collect(checkpoint, games, layers=[1, -1], languages=[1]), **settings))
    assert fit_probes(checkpoint, games, epochs=1, seed=0).layers == (-1, 0, 1)


def test_rows_that_hardly_vary_do_no_harm() -> None:
    """A constant dimension, or a single row."""
    x, state = noisy_linear_data(500, seed=1)
    constant, few = planted(np.hstack([x, np.full((500, 1), 3.0)]), state), four_sites(1, seed=1)
    one = replace(few, values=few.values[:, :, :1], game=few.game[:1], move=few.move[:1])
    for rows in (constant, one):
        probes = fit_probes_on(rows, frame="absolute", epochs=2, seed=0)
        assert torch.isfinite(probes.logits(rows.at(0, 0), 0, 0)).all()


def test_probes_refuse_what_there_is_not(checkpoint: Checkpoint) -> None:
    sites: Any = four_sites(8, seed=1)
    fitted: Any = fit_probes_on(sites, kind="mlp", epochs=1, seed=0)
    calls: dict[str, Any] = {
        "mlp probes have no directions: fit kind='linear'": lambda: fitted.directions(0, 0),
        "no probe of language 7 at layer 0": lambda: fitted.predict(sites.at(0, 0), 7, 0),
        "linaer.*ridge": lambda: fit_probes_on(sites, kind="linaer", seed=0),  # type: ignore[arg-type]
        "frame='mine': choose .absolute.": lambda: fit_probes_on(sites, frame="mine", seed=0),  # type: ignore[arg-type]
        "no rows to fit on": lambda: fit_probes(checkpoint, random_games(0, board=4, seed=0), seed=0),
        "epochs=0, .*1 or more": lambda: fit_probes_on(sites, epochs=0, seed=0),
        "batch=0: .*1 or more": lambda: fit_probes_on(sites, batch=0, seed=0),
    }
    for message, call in calls.items():
        with pytest.raises(ValueError, match=message):
            call()


@every_kind
def test_rows_that_cannot_be_read(kind: Kind) -> None:
    """NaN would be read as the first class, and white discs look like any others."""
    sites = four_sites(8, seed=1)
    probes = fit_probes_on(sites, kind=kind, frame="absolute", epochs=1, seed=0)
    good = sites.at(0, 0)
    others: list[Any] = [good[:, :-1], good.double(), good.numpy(), good.tolist(), good[0]]
    for bad in others:
        with pytest.raises(ValueError, match=rf"rows: .*; expected a float32 tensor \[row {good.shape[1]}\]"):
            probes.predict(bad, 0, 0)
    with pytest.raises(ValueError, match="values that are not finite"):
        probes.predict(torch.where(good > 0, good, torch.nan), 0, 0)
    nan = Activations(**{**vars(sites), "values": torch.full_like(sites.values, torch.nan)})
    with pytest.raises(ValueError, match="values that are not finite: nothing can be fitted"):
        fit_probes_on(nan, kind=kind, frame="absolute", seed=0)


def two_languages(seed: int, offset: float) -> Activations:
    """The same rows in both languages; at layer 1 the second has an offset."""
    rows = four_sites(40, seed=seed)
    values = rows.values[:1, :1].repeat(2, 2, 1, 1)
    values[1, 1, :, 3] += offset
    games = random_games(40, board=4, seed=seed)
    return replace(rows, values=values, games=games, languages=(1, 3))


def test_language_identity_is_decoded_where_it_is_written() -> None:
    fit, score = two_languages(0, 5.0), two_languages(1, 5.0)
    table = language_identity(fit, score, resamples=50)
    assert table["layer"].tolist() == [0, 1]
    assert table["hook"].tolist() == ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
    assert table["accuracy"][0] == pytest.approx(0.5, abs=1e-12)  # equal rows: right in one language of two
    assert table["accuracy"][1] > 0.95
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["high"] >= table["accuracy"]).all()
    assert table["low"][1] > 0.9
    assert (table["chance"].tolist(), table["games"].tolist()) == ([0.5, 0.5], [40, 40])


def test_language_identity_refuses_rows_that_it_cannot_separate() -> None:
    fit, score = two_languages(0, 1.0), two_languages(1, 1.0)
    alone = [replace(part, values=part.values[:1], languages=(1,)) for part in (fit, score)]
    for sides, told in (
        ((fit, fit), "also one to score on"),
        ((fit, replace(score, layers=(0, 2))), r"layers \(0, 1\), to be scored on .*\(0, 2\)"),
        (alone, "two languages or more"),
    ):
        with pytest.raises(ValueError, match=told):
            language_identity(*sides)

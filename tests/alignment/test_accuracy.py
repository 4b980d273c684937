"""Accuracy by layer, symmetry and move on planted languages, and on a real model."""

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.activations import Frame, collect
from mothello_interp.alignment import align, align_by_move, best_layer
from mothello_interp.othello import CONTROLS, SYMMETRIES, Games, Symmetry, random_games
from mothello_interp.probes import fit_probes, fit_probes_on
from tests.alignment.scene import (
    Scene,
    agreement,
    copying,
    noisy,
    pair,
    planted,
    repaired,
    row_of,
    through,
    truthful,
    written,
)
from tests.conftest import tiny_checkpoint

EIGHT = tuple((SYMMETRIES | CONTROLS).values())
COLUMNS = ["layer", "hook", "source", "target", "symmetry", "accuracy", "low", "high", "moved", "occupied", "guess"]
COLUMNS += ["predicted", "floor", "ceiling", "ceiling_target", "normalised", "normalised_guess", "normalised_target"]
COLUMNS += ["normalised_low", "normalised_high", "games"]
CURVES = ["source", "target", "symmetry", "move", "accuracy", "guess", "predicted", "floor", "ceiling"]
CURVES += ["moved", "unmoved", "games"]


def test_languages_that_say_the_same_are_aligned() -> None:
    games = random_games(80, board=4, seed=1)
    table = align(copying(languages=3), planted(truthful), games, resamples=50)
    assert list(table) == COLUMNS
    assert len(table) == 3 * 3 * 4
    assert (table["hook"] == "blocks.0.hook_resid_post").all()
    assert (table["games"] == 80).all()
    identity, *others = SYMMETRIES.values()
    expected = {symmetry.name: agreement(Scene.of(games), identity, symmetry) for symmetry in others}
    for source in range(3):
        for target in range(3):
            row = pair(table, source, target)
            assert row["accuracy"] == row["low"] == row["high"] == row["ceiling"] == row["ceiling_target"] == 1
            assert row["normalised"] == pytest.approx(1)
            assert row["normalised_low"] == pytest.approx(1)
            assert row["normalised_guess"] == row["normalised_target"] == pytest.approx(1)
            assert 0.3 < row["floor"] < 0.7
            for name, share in expected.items():
                image = pair(table, source, target, name)
                assert (image["accuracy"], image["moved"]) == (pytest.approx(share), 0)
                assert image["predicted"] == pytest.approx(share)


@pytest.mark.parametrize("name", [symmetry.name for symmetry in EIGHT])
def test_the_symmetry_of_a_language_is_found(name: str) -> None:
    """Rows that say g(board) are read best through g, by name; quarter turns catch an inverse in its place."""
    symmetry = (SYMMETRIES | CONTROLS)[name]
    games = random_games(60, board=4, seed=1)
    code = through(SYMMETRIES["identity"], symmetry)
    table = align(copying(), planted(code), games, symmetries=EIGHT, resamples=2)
    found = table[(table["source"] == 0) & (table["target"] == 1)].set_index("symmetry")["accuracy"]
    assert found.idxmax() == name
    assert found[name] == 1
    assert (found.drop(name) < 0.95).all()
    for other in EIGHT:
        assert found[other.name] == pytest.approx(agreement(Scene.of(games), symmetry, other))


def test_the_symmetry_is_of_the_board_and_read_from_the_target() -> None:
    """P_0 reads a disc on a2 of language 1 as one on the square to which the quarter turn takes a2."""
    turn = CONTROLS["quarter_turn"]
    assert turn.squares(4)[4] == 2
    games = Games.from_lists([["a2", "a1"]], 4)
    scene = Scene.of(games)
    assert scene.truth()[0, 4] == 2
    said = through(SYMMETRIES["identity"], turn)(1, 0, scene)
    assert said[0, 2] == 2
    table = align(copying(), planted(through(SYMMETRIES["identity"], turn)), games, symmetries=EIGHT, resamples=2)
    assert pair(table, 0, 1, "quarter_turn")["accuracy"] == 1
    assert pair(table, 0, 1, "three_quarter_turn")["accuracy"] < 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_symmetries_compose(order: tuple[int, int, int]) -> None:
    """Each language has a map of its own and probes are fitted on it; then g_ac = g_ab g_bc, and not g_bc g_ab."""
    codes = through(CONTROLS["flip_rows"], SYMMETRIES["diagonal"], CONTROLS["quarter_turn"])
    training = written(codes, random_games(250, board=4, seed=1), layers=[0], languages=[0, 1, 2])
    probes = fit_probes_on(training, frame="absolute", batch=128, epochs=6, seed=0)
    table = align(probes, planted(codes), random_games(60, board=4, seed=2), symmetries=EIGHT, resamples=2)

    def between(source: int, target: int) -> Symmetry:
        rows = table[(table["source"] == source) & (table["target"] == target)].set_index("symmetry")["accuracy"]
        assert rows.max() > 0.9
        return (SYMMETRIES | CONTROLS)[str(rows.idxmax())]

    a, b, c = order
    assert between(a, c) == between(a, b) @ between(b, c)
    assert between(a, c) != between(b, c) @ between(a, b)
    assert between(a, b) == between(b, a).inverse
    assert between(a, a).name == "identity"


def test_rows_about_other_games_are_not_aligned() -> None:
    """A language that says another game's board scores its floor, under every symmetry that keeps the start."""

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        return repaired(scene, np.full(len(scene.move), language == 1), seed=4)

    table = align(copying(), planted(code), random_games(1500, board=4, seed=1), resamples=200)
    for symmetry in SYMMETRIES:
        row = pair(table, 0, 1, symmetry)
        assert row["accuracy"] == pytest.approx(row["floor"], abs=0.015)
        assert abs(row["normalised"]) < 0.03
        assert row["normalised_low"] - 0.02 < 0 < row["normalised_high"] + 0.02
    assert pair(table, 0, 0)["normalised"] == pytest.approx(1)


@pytest.mark.parametrize("frame", ["absolute", "relative"])
def test_every_number_is_brute_force(frame: Frame) -> None:
    """On a handful of games, square by square, from what was said and what was so."""
    probes, games = copying(frame=frame, seed=5), random_games(14, board=4, seed=3)

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        return noisy(language, layer, scene, frame)

    scene = Scene.of(games)
    mover = scene.boards.mover[scene.game, scene.move + 1]
    kept = [row for row in range(len(mover)) if mover[row] or frame == "absolute"]
    assert (len(kept) < len(mover)) == (frame == "relative")
    said = [code(language, 0, scene) for language in (0, 1)]
    truth = scene.truth(frame)

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    table = align(probes, planted(code), games, symmetries=EIGHT, resamples=20)
    for target in (0, 1):
        floor = []
        for row in kept:
            others = [other for other in kept if scene.move[other] == scene.move[row] and other != row]
            agree = [float((said[target][row] == truth[other]).mean()) for other in others]
            floor.append(mean(agree) if agree else 0.0)
        for symmetry in EIGHT:
            hits, guessed, moved, occupied, at_home = [], [], [], [], []
            for row in kept:
                image = dict(zip(symmetry.squares(4).tolist(), truth[row].tolist(), strict=True))
                for square in range(16):
                    hit = float(said[target][row, square] == image[square])
                    hits.append(hit)
                    at_home.append(float(said[0][row, square] == image[square]))
                    guessed.append(float(probes.guess[min(scene.move[row], 8), square] == image[square]))
                    if image[square] != truth[row, square]:
                        moved.append(hit)
                    if image[square] != 1:
                        occupied.append(hit)
            row_found = pair(table, 0, target, symmetry.name)
            assert row_found["accuracy"] == pytest.approx(mean(hits))
            assert row_found["guess"] == pytest.approx(mean(guessed))
            assert row_found["occupied"] == pytest.approx(mean(occupied))
            assert row_found["predicted"] == pytest.approx(mean(at_home))
            assert row_found["moved"] == pytest.approx(mean(moved) if moved else np.nan, nan_ok=True)
            assert row_found["floor"] == pytest.approx(mean(floor))
            own = [float((said[language][kept] == truth[kept]).mean()) for language in (0, target)]
            assert [row_found["ceiling"], row_found["ceiling_target"]] == pytest.approx(own)
            room = own[0] - mean(floor)
            assert row_found["normalised"] == pytest.approx((mean(hits) - mean(floor)) / room)
            assert row_found["normalised_guess"] == pytest.approx(
                (mean(hits) - mean(guessed)) / (own[0] - mean(guessed))
            )
            assert row_found["normalised_target"] == pytest.approx((mean(hits) - mean(floor)) / (own[1] - mean(floor)))


def test_ceilings_are_of_the_source_and_of_the_target() -> None:
    """A target whose own probe reads nothing is not misaligned with a source that reads it well."""
    probes = copying()
    probes.weights["weight"][1] = torch.eye(48).roll(16, dims=1)  # says the next class: white is read as empty
    table = align(probes, planted(truthful), random_games(60, board=4, seed=1), resamples=20)
    forth, back = pair(table, 0, 1), pair(table, 1, 0)
    assert (forth["ceiling"], forth["ceiling_target"], forth["normalised"]) == (1, 0, pytest.approx(1))
    assert np.isnan(forth["normalised_target"])
    assert (back["ceiling"], back["ceiling_target"], back["accuracy"]) == (0, 1, 0)
    assert np.isnan([back["normalised"], back["normalised_low"], back["normalised_high"]]).all()
    assert not np.isnan(back["normalised_target"])


def test_a_probe_that_reads_nothing_is_not_normalised() -> None:
    """Its ceiling is its floor, so the ratio is left blank."""

    def others(language: int, layer: int, scene: Scene) -> np.ndarray:
        return repaired(scene, np.full(len(scene.move), True), seed=language)

    table = align(copying(), planted(others), random_games(200, board=4, seed=1), resamples=50)
    for row in table.to_dict("records"):
        assert row["ceiling"] == pytest.approx(row["floor"], abs=0.05)
        assert np.isnan([row["normalised"], row["normalised_low"], row["normalised_high"]]).all()


def test_a_probe_that_says_empty_everywhere() -> None:
    """How many squares are empty depends on the move number alone, so ceiling and floor are equal in every game."""

    def empty(language: int, layer: int, scene: Scene) -> np.ndarray:
        return np.ones((len(scene.move), 16), np.int8)

    table = align(copying(), planted(empty), random_games(60, board=4, seed=1), resamples=50)
    assert table["normalised_low"].isna().all()


def half_the_games(language: int, layer: int, scene: Scene) -> np.ndarray:
    """Language 1 says the board in every other game, and another game's board in the rest."""
    return repaired(scene, (scene.game % 2 == 1) & (language == 1), seed=int(scene.games.moves.sum()) % 997)


def test_the_interval_is_over_games() -> None:
    """As wide as the spread between games says, far wider than if rows were drawn one by one."""
    games = random_games(60, board=4, seed=2)
    row = pair(align(copying(), planted(half_the_games), games, resamples=4000), 0, 1)
    scene = Scene.of(games)
    right = (half_the_games(1, 0, scene) == scene.truth()).mean(axis=1)
    size = np.bincount(scene.game)
    apart = np.bincount(scene.game, weights=right) - right.mean() * size
    sem = np.sqrt((apart**2).mean() / len(games)) / size.mean()
    assert row["low"] < row["accuracy"] < row["high"]
    assert (row["high"] - row["low"]) / (2 * 1.96) == pytest.approx(sem, rel=0.1)
    assert sem > 2 * right.std() / np.sqrt(len(right))


def test_the_interval_covers() -> None:
    """By planting half of the games say their board, so 0.5 is the truth of `normalised`, and of 40 samples most hold it."""
    covered, widths = 0, []
    for sample in range(40):
        games = random_games(40, board=4, seed=100, start=40 * sample)
        row = pair(align(copying(), planted(half_the_games), games, resamples=200), 0, 1)
        covered += row["normalised_low"] < 0.5 < row["normalised_high"]
        widths.append(row["normalised_high"] - row["normalised_low"])
    assert covered >= 32
    assert max(widths) < 0.5


def test_the_bootstrap_has_a_seed() -> None:
    probes, games = copying(), random_games(30, board=4, seed=1)
    first, again, other = (align(probes, planted(noisy), games, resamples=30, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["accuracy"] == other["accuracy"]).all()
    assert (first["low"] != other["low"]).any()


@pytest.mark.parametrize("frame", ["absolute", "relative"])
def test_the_curves_average_back(frame: Frame) -> None:
    """Weighted by games the rows of `align_by_move` give those of `align`, layer by layer."""
    probes, games = copying(layers=(-1, 1), frame=frame, seed=5), random_games(40, board=4, seed=3)

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        return noisy(language, layer, scene, frame)

    overall = align(probes, planted(code), games, resamples=2)
    for layer in (-1, 1):
        curves = align_by_move(probes, planted(code), games, layer=layer)
        assert list(curves) == CURVES
        assert sorted(set(curves["move"])) == list(range(11))
        for (source, target, symmetry), curve in curves.groupby(["source", "target", "symmetry"]):
            row = row_of(overall, layer=layer, source=source, target=target, symmetry=symmetry)
            for name in ("accuracy", "guess", "predicted", "floor", "ceiling"):
                assert np.average(curve[name], weights=curve["games"]) == pytest.approx(row[name]), name


def test_a_curve_is_of_its_move() -> None:
    """A language that is right at even moves and says the next class at odd ones."""

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        return (scene.truth() + scene.move[:, None] % 2) % 3

    games = random_games(40, board=4, seed=3)
    curves = align_by_move(copying(), planted(code), games, layer=0)
    own = curves[(curves["source"] == 0) & (curves["target"] == 1) & (curves["symmetry"] == "identity")]
    assert own["accuracy"].tolist() == own["ceiling"].tolist() == [1 - move % 2 for move in range(11)]
    assert own["games"].tolist() == [int((games.lengths > move).sum()) for move in range(11)]


def test_a_curve_on_the_squares_where_board_and_image_differ() -> None:
    """Language 1 says the turned board at even moves, and the board at odd ones; where no square differs it is blank."""
    turn = SYMMETRIES["half_turn"]

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        turned = (scene.move[:, None] % 2 == 0) & (language == 1)
        return np.where(turned, turn.boards(scene.truth()), scene.truth())

    games = random_games(3000, board=4, seed=3)
    scene = Scene.of(games)
    equal = (turn.boards(scene.truth()) == scene.truth()).all(axis=1)
    alike = games[scene.game[equal & (scene.move == 3)][:4]]
    for chosen, blank in ((games[:20], ()), (alike, (3,))):
        curves = align_by_move(copying(), planted(code), chosen, layer=0)
        across = curves[(curves["source"] == 0) & (curves["target"] == 1)].set_index(["symmetry", "move"])
        half, plain = across.loc["half_turn"], across.loc["identity"]
        expected = np.array([np.nan if move in blank else 1 - move % 2 for move in range(11)])
        np.testing.assert_allclose(half["moved"], expected)
        np.testing.assert_allclose(half["unmoved"], 1 - expected)
        assert plain["moved"].isna().all()
        assert plain["unmoved"].isna().all()


@pytest.mark.parametrize("frame", ["absolute", "relative"])
def test_moved_squares_are_brute_force(frame: Frame) -> None:
    """By move number, square by square; over all moves they give what `align` has."""
    probes, games = copying(frame=frame), random_games(14, board=4, seed=3)

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        return noisy(language, layer, scene, frame)

    scene = Scene.of(games)
    mover = scene.boards.mover[scene.game, scene.move + 1]
    kept = [row for row in range(len(mover)) if mover[row] or frame == "absolute"]
    said, truth = code(1, 0, scene), scene.truth(frame)
    curves = align_by_move(probes, planted(code), games, layer=0, symmetries=EIGHT)
    overall = align(probes, planted(code), games, symmetries=EIGHT, resamples=2)
    for symmetry in EIGHT:
        image = symmetry.squares(4).tolist()
        moved: dict[int, list[bool]] = {}
        unmoved: dict[int, list[bool]] = {}
        for row in kept:
            for square in range(16):
                if truth[row, square] != truth[row, image[square]]:
                    moved.setdefault(scene.move[row], []).append(said[row, image[square]] == truth[row, square])
                    unmoved.setdefault(scene.move[row], []).append(
                        said[row, image[square]] == truth[row, image[square]]
                    )
        for move in range(11):
            row_found = row_of(curves, source=0, target=1, symmetry=symmetry.name, move=move)
            for name, hits in (("moved", moved), ("unmoved", unmoved)):
                expected = np.mean(hits[move]) if move in hits else np.nan
                assert row_found[name] == pytest.approx(expected, nan_ok=True)
        pooled = np.mean(np.concatenate(list(moved.values()))) if moved else np.nan
        assert pair(overall, 0, 1, symmetry.name)["moved"] == pytest.approx(pooled, nan_ok=True)


def test_the_layer_is_chosen_by_the_source_alone() -> None:
    """Each language is right at a layer of its own, and the other pairs and symmetries have no say."""

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        best = {0: 1, 1: -1}[language]
        return scene.truth() if layer == best else repaired(scene, np.full(len(scene.move), True), seed=1)

    games = random_games(20, board=4, seed=1)
    table = align(copying(layers=(-1, 0, 1)), planted(code), games, resamples=2)
    assert (best_layer(table, 0), best_layer(table, 1)) == (1, -1)
    misleading = (table["source"] != table["target"]) | (table["symmetry"] != "identity")
    raised = table.assign(accuracy=np.where(misleading & (table["layer"] == 0), 2.0, table["accuracy"]))
    assert (best_layer(raised, 0), best_layer(raised, 1)) == (1, -1)
    with pytest.raises(ValueError, match="source 7: the table has no row of it read in itself"):
        best_layer(table, 7)
    with pytest.raises(ValueError, match="resamples=0: expected 1 or more"):
        align(copying(layers=(-1, 0, 1)), planted(code), games, resamples=0)


@pytest.mark.parametrize("frame", ["absolute", "relative"])
def test_a_real_model(frame: Frame) -> None:
    """Random weights: each language is read in its own words better than in the other's."""
    checkpoint = tiny_checkpoint("unified")
    probes = fit_probes(checkpoint, random_games(200, board=4, seed=1), frame=frame, batch=128, epochs=4, seed=0)
    games = random_games(60, board=4, seed=2)
    table = align(probes, checkpoint, games, resamples=50)
    assert list(table) == COLUMNS
    assert set(zip(table["layer"], table["hook"], strict=True)) == {
        (-1, "blocks.0.hook_resid_pre"),
        (0, "blocks.0.hook_resid_post"),
        (1, "blocks.1.hook_resid_post"),
    }
    assert len(table) == 3 * 2 * 2 * 4
    assert set(table["source"]) == {1, 2}
    rows = collect(checkpoint, games, layers=[0])
    kept, classes = rows.labels(frame)
    expected = (probes.predict(rows.at(2, 0)[torch.from_numpy(kept)], 1, 0) == classes).mean()
    assert row_of(table, layer=0, source=1, target=2, symmetry="identity")["accuracy"] == pytest.approx(expected)
    for layer in (-1, 0, 1):
        for source, target in ((1, 2), (2, 1)):
            row = row_of(table, layer=layer, source=source, target=target, symmetry="identity")
            assert row["ceiling"] > row["high"]
            assert row["low"] <= row["accuracy"]
    assert len(align_by_move(probes, checkpoint, games, layer=1)) == 2 * 2 * 4 * 11


def test_a_layer_without_a_probe() -> None:
    with pytest.raises(ValueError, match=r"layer 1: .*\[0\]"):
        align_by_move(copying(), planted(truthful), random_games(4, board=4, seed=1), layer=1)

"""Accuracy by layer, symmetry and move on planted languages, and on a real model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.activations import Frame, collect
from mothello_interp.alignment import align, align_by_move, align_on, best_layer
from mothello_interp.interventions import FlipSquares
from mothello_interp.othello import CONTROLS, SYMMETRIES, Games, Symmetry, random_games
from mothello_interp.probes import Probes, fit_probes
from tests.alignment.scene import (
    Code,
    Scene,
    copying,
    mismatched,
    noisy,
    pair,
    planted,
    row_of,
    through,
    truthful,
    written,
)
from tests.conftest import tiny_checkpoint

EIGHT = tuple((SYMMETRIES | CONTROLS).values())
COLUMNS = [
    "layer",
    "hook",
    "source",
    "target",
    "symmetry",
    "accuracy",
    "low",
    "high",
    "differing",
    "occupied",
    "majority",
]
COLUMNS += ["predicted", "floor", "ceiling", "ceiling_target", "normalised", "normalised_majority"]
COLUMNS += ["normalised_low", "normalised_high", "games", "games_fitted"]
CURVES = ["source", "target", "symmetry", "move", "accuracy", "majority", "predicted", "floor", "ceiling"]
CURVES += ["differing", "differing_as_board", "games"]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else np.nan


class Slow:
    """Every column from what was said and what was so, square by square, over some of the rows."""

    def __init__(self, probes: Probes, code: Code, games: Games):
        self.scene, self.probes = Scene.of(games), probes
        self.said = [code(language, 0, self.scene) for language in (0, 1)]
        self.truth = self.scene.truth(probes.frame)
        mover = self.scene.boards.mover[self.scene.game, self.scene.move + 1]
        self.rows = [row for row in range(len(mover)) if mover[row] or probes.frame == "absolute"]
        assert (len(self.rows) < len(mover)) == (probes.frame == "relative")

    def floor(self, said: np.ndarray, row: int) -> float:
        move = self.scene.move
        others = [other for other in self.rows if move[other] == move[row] and other != row]
        return mean([float((said[row] == self.truth[other]).mean()) for other in others]) if others else 0.0

    def columns(self, target: int, symmetry: Symmetry, rows: list[int]) -> dict[str, float]:
        """Of the probe of language 0."""
        found: dict[str, list[float]] = {name: [] for name in (*COLUMNS, *CURVES)}
        said = self.said[target]
        for row in rows:
            board = self.truth[row]
            image = dict(zip(symmetry.squares(4).tolist(), board.tolist(), strict=True))
            for square in range(16):
                hit = float(said[row, square] == image[square])
                found["accuracy"].append(hit)
                found["predicted"].append(float(self.said[0][row, square] == image[square]))
                known = self.probes.majority[min(self.scene.move[row], 8), square]
                found["majority"].append(float(known == image[square]))
                if image[square] != board[square]:
                    found["differing"].append(hit)
                    found["differing_as_board"].append(float(said[row, square] == board[square]))
                if image[square] != 1:
                    found["occupied"].append(hit)
                found["ceiling"].append(float(self.said[0][row, square] == board[square]))
                found["ceiling_target"].append(float(said[row, square] == board[square]))
            found["floor"].append(self.floor(said, row))
        means = {name: mean(values) for name, values in found.items() if values or name.startswith("differing")}
        for name, floor in (("", "floor"), ("_majority", "majority")):
            room = min(means["ceiling"], means["ceiling_target"]) - means[floor]
            means[f"normalised{name}"] = (means["accuracy"] - means[floor]) / room if room >= 0.1 else np.nan
        return means


@pytest.mark.parametrize("frame", ["absolute", "relative"])
def test_every_number_is_that_of_the_slow_reference(frame: Frame) -> None:
    """On a handful of games, over all moves and by move."""
    probes, games = copying(frame=frame, seed=5), random_games(14, board=4, seed=3)

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        return noisy(language, layer, scene, frame)

    slow = Slow(probes, code, games)
    table = align(probes, planted(code), games, symmetries=EIGHT, resamples=20)
    curves = align_by_move(probes, planted(code), games, layer=0, symmetries=EIGHT)
    assert (list(table), list(curves)) == (COLUMNS, CURVES)
    assert len(table) == 2 * 2 * 8
    assert (table["hook"] == "blocks.0.hook_resid_post").all()
    assert (table["games"] == 14).all()
    at = [[row for row in slow.rows if slow.scene.move[row] == move] for move in range(11)]
    for target in (0, 1):
        for symmetry in EIGHT:
            found, expected = pair(table, 0, target, symmetry.name), slow.columns(target, symmetry, slow.rows)
            for name in COLUMNS[5:-3]:
                if name in expected:
                    assert found[name] == pytest.approx(expected[name], nan_ok=True), name
            if target:
                for move, rows in enumerate(at):
                    found = row_of(curves, source=0, target=1, symmetry=symmetry.name, move=move)
                    expected = slow.columns(1, symmetry, rows)
                    assert found["games"] == len(rows)
                    for name in CURVES[4:-1]:
                        assert found[name] == pytest.approx(expected[name], nan_ok=True), (name, move)


def test_normalised_is_by_the_smaller_of_the_ceilings_of_source_and_target() -> None:
    probes = copying()
    worse = torch.eye(48)
    worse[:, 16:21] = 0  # the probe of language 1 never says empty on five squares
    probes.weights["weight"][1] = worse
    table = align(probes, planted(truthful), random_games(60, board=4, seed=1), resamples=20)
    forth, back = pair(table, 0, 1), pair(table, 1, 0)
    assert forth["ceiling"] == back["ceiling_target"] == 1
    assert 0.7 < forth["ceiling_target"] == back["ceiling"] == back["accuracy"] < 0.98
    assert forth["normalised"] == pytest.approx((1 - forth["floor"]) / (forth["ceiling_target"] - forth["floor"]))
    assert 1 < forth["normalised_low"] <= forth["normalised"] <= forth["normalised_high"]
    np.testing.assert_allclose([back[name] for name in ("normalised", "normalised_low", "normalised_high")], 1)


@pytest.mark.parametrize(("told", "blank"), [(0.0, True), (0.1, True), (0.4, False)])
def test_normalised_is_blank_where_the_ceiling_is_less_than_a_tenth_above_the_floor(told: float, blank: bool) -> None:
    """Probes that are right in some rows and about other games in the rest: about half of that is the room."""

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        others = np.random.default_rng(0).random(len(scene.move)) >= told
        return mismatched(scene, others, seed=language)

    table = align(copying(), planted(code), random_games(200, board=4, seed=1), resamples=50)
    room = table["ceiling"] - table["floor"]
    assert room.between(told / 2 - 0.04, min(told / 2 + 0.04, 0.3)).all()
    names = ["normalised", "normalised_low", "normalised_high"]
    assert (table[names].isna() if blank else table[names].notna()).all(axis=None)
    assert not blank or (room < 0.1).all()


def test_normalised_is_blank_where_floor_and_ceiling_are_equal_in_every_game() -> None:
    """How many squares are empty depends on the move number alone."""

    def empty(language: int, layer: int, scene: Scene) -> np.ndarray:
        return np.ones((len(scene.move), 16), np.int8)

    table = align(copying(), planted(empty), random_games(60, board=4, seed=1), resamples=50)
    assert table["normalised_low"].isna().all()


def half_the_games(language: int, layer: int, scene: Scene) -> np.ndarray:
    """Language 1 says the board in every other game, and another game's board in the rest."""
    return mismatched(scene, (scene.game % 2 == 1) & (language == 1), seed=int(scene.games.moves.sum()) % 997)


def test_the_interval_of_accuracy_is_over_games() -> None:
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


def test_the_interval_of_normalised_covers_the_truth() -> None:
    """By planting half of the games say their board, so the truth is 0.5; of 40 samples most hold it."""
    covered, widths = 0, []
    for sample in range(40):
        games = random_games(40, board=4, seed=100, start=40 * sample)
        of: Any = {"targets": [1], "symmetries": ["identity"], "resamples": 200}
        row = pair(align(copying(languages=1), planted(half_the_games), games, **of), 0, 1)
        covered += row["normalised_low"] < 0.5 < row["normalised_high"]
        widths.append(row["normalised_high"] - row["normalised_low"])
    assert covered >= 32
    assert max(widths) < 0.5


def test_align_follows_its_seed() -> None:
    probes, games = copying(), random_games(30, board=4, seed=1)
    first, again, other = (align(probes, planted(noisy), games, resamples=30, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["accuracy"] == other["accuracy"]).all()
    assert (first["low"] != other["low"]).any()


def test_align_on_scores_probes_in_another_model_against_the_ceiling_of_their_own() -> None:
    """The probes' own model says the board, the other says its half turn."""
    games, turn = random_games(60, board=4, seed=1), SYMMETRIES["half_turn"]
    own, other = (written(code, games, layers=[0], languages=[0, 1]) for code in (truthful, through(turn, turn)))
    alone, against = align_on(copying(), other, resamples=9), align_on(copying(), other, own=own, resamples=9)
    assert (against["ceiling"] == 1).all()
    assert (against["ceiling_target"] == 1).all()
    assert (alone["ceiling"] < 0.7).all()
    assert pair(against, 0, 0, "half_turn")["normalised"] == pytest.approx(1)
    assert pair(against, 0, 1)["predicted"] == 1
    unchanged = ["accuracy", "low", "high", "differing", "occupied", "majority", "floor"]
    pd.testing.assert_frame_equal(alone[unchanged], against[unchanged])
    with pytest.raises(ValueError, match="other games"):
        align_on(copying(), other, own=written(truthful, games[:50], layers=[0], languages=[0, 1]))


def test_best_layer_is_chosen_by_the_source_alone() -> None:
    """Each language is right at a layer of its own, and the other pairs and symmetries have no say."""

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        best = {0: 1, 1: -1}[language]
        return scene.truth() if layer == best else mismatched(scene, np.full(len(scene.move), True), seed=1)

    table = align(copying(layers=(-1, 0, 1)), planted(code), random_games(20, board=4, seed=1), resamples=2)
    assert (best_layer(table, 0), best_layer(table, 1)) == (1, -1)
    misleading = (table["source"] != table["target"]) | (table["symmetry"] != "identity")
    raised = table.assign(accuracy=np.where(misleading & (table["layer"] == 0), 2.0, table["accuracy"]))
    assert (best_layer(raised, 0), best_layer(raised, 1)) == (1, -1)
    with pytest.raises(ValueError, match="source 7"):
        best_layer(table, 7)


@pytest.mark.parametrize("frame", ["absolute", "relative"])
def test_align_on_a_real_model(frame: Frame) -> None:
    """Random weights: each language is decoded in its own tokens better than in the other's."""
    checkpoint = tiny_checkpoint("unified")
    probes = fit_probes(checkpoint, random_games(200, board=4, seed=1), frame=frame, batch=128, epochs=4, seed=0)
    games = random_games(60, board=4, seed=2)
    table = align(probes, checkpoint, games, resamples=50)
    hooks = ["blocks.0.hook_resid_pre", "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
    assert list(dict.fromkeys(zip(table["layer"], table["hook"], strict=True))) == list(
        zip((-1, 0, 1), hooks, strict=True)
    )
    assert len(table) == 3 * 2 * 2 * 4
    rows = collect(checkpoint, games, layers=[0])
    kept, classes = rows.labels(frame)
    expected = (probes.predict(rows.at(2, 0)[torch.from_numpy(kept)], 1, 0) == classes).mean()
    assert row_of(table, layer=0, source=1, target=2, symmetry="identity")["accuracy"] == pytest.approx(expected)
    across = table[(table["source"] != table["target"]) & (table["symmetry"] == "identity")]
    assert len(across) == 6
    assert (across["ceiling"] > across["high"]).all()
    assert len(align_by_move(probes, checkpoint, games, layer=1)) == 2 * 2 * 4 * 11
    with pytest.raises(ValueError, match=r"layer 7: .*\[-1, 0, 1\]"):
        align_by_move(probes, checkpoint, games, layer=7)


def test_probes_of_another_model_are_refused_unless_it_is_named() -> None:
    games, model = random_games(30, board=4, seed=1), tiny_checkpoint()
    other = model.untrained(seed=1)
    probes = fit_probes(model, random_games(30, board=4, seed=2), layers=[0], epochs=1, seed=0)
    rows = collect(other, games, layers=[0])
    for wrong in (
        lambda: align(probes, other, games),
        lambda: align_on(probes, rows),
        lambda: align_by_move(probes, other, games, layer=0),
        lambda: probes.boards(rows, 0, 0),
        lambda: other.read(games, 0).edited(FlipSquares(probes, squares="a1", layer=0)),
    ):
        with pytest.raises(ValueError, match="fitted on another model"):
            wrong()
    across = align_on(probes, rows, own=collect(model, games, layers=[0]), resamples=10)
    named = align(probes.on(other), other, games, resamples=10)
    assert across["accuracy"].equals(named["accuracy"])


def test_games_that_probes_were_fitted_on_are_refused_or_counted(tmp_path: Path) -> None:
    model, fit = tiny_checkpoint(), random_games(30, board=4, seed=2)
    probes = Probes.load(fit_probes(model, fit, layers=[0], epochs=1, seed=0).save(tmp_path / "probes.safetensors"))
    with pytest.raises(ValueError, match="fitted on all of these games"):
        align(probes, model, fit[:10])
    both = Games(np.concatenate([fit[:10].moves, random_games(9, board=4, seed=3).moves]), 4)
    assert (align(probes, model, both, resamples=10)["games_fitted"] == both.among(fit).sum()).all()

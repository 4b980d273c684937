"""Symmetries between planted languages: chosen on one half, scored on the other; compared by square; and whether they compose."""

from itertools import permutations

import numpy as np
import pytest

from mothello_interp.alignment import align
from mothello_interp.othello import CONTROLS, SYMMETRIES, Symmetry, random_games
from mothello_interp.probes import fit_probes
from mothello_interp.symmetries import (
    CycleConsistency,
    align_up_to_symmetry,
    compare_symmetries,
    cycle_consistency_test,
)
from tests.alignment.scene import (
    Code,
    Scene,
    agreement,
    copying,
    mismatched,
    pair,
    planted,
    reading,
    row_of,
    through,
    truthful,
)
from tests.conftest import tiny_checkpoint

EIGHT = SYMMETRIES | CONTROLS
CHOSEN = ["layer", "hook", "source", "target", "symmetry", "accuracy", "low", "high", "differing", "majority", "floor"]
CHOSEN += ["ceiling", "ceiling_target"]
CHOSEN += ["normalised", "runner_up", "runner_up_accuracy", "margin", "margin_low", "margin_high", "margin_ceiling"]
CHOSEN += ["games"]
GAMES = random_games(60, board=4, seed=3)


def test_align_up_to_symmetry_chooses_on_one_half_and_scores_on_the_other() -> None:
    """Language 1 changes its map between the halves: the choice of the first is scored on the second."""
    games = random_games(81, board=4, seed=4)
    first_half = {game.tobytes() for game in games.moves[:40]}
    first, second = SYMMETRIES["diagonal"], SYMMETRIES["half_turn"]

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        if language == 0:
            return scene.truth()
        early = np.array([game.tobytes() in first_half for game in scene.games.moves])[scene.game]
        return np.where(early[:, None], first.boards(scene.truth()), second.boards(scene.truth()))

    assert len(first_half) == 40
    table = align_up_to_symmetry(copying(layers=(0, 1)), planted(code), games, layer=1)
    assert list(table) == CHOSEN
    assert list(zip(table["source"], table["target"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    row = row_of(table, source=0, target=1)
    assert (row["layer"], row["symmetry"], row["games"]) == (1, "diagonal", 41)
    held_out = Scene.of(games[40:])
    assert row["accuracy"] == pytest.approx(agreement(held_out, second, first))
    chosen_on = Scene.of(games[:40])
    others = {
        name: agreement(chosen_on, first, symmetry) for name, symmetry in SYMMETRIES.items() if name != "diagonal"
    }
    runner_up = max(others, key=lambda name: others[name])
    assert row["runner_up"] == runner_up
    assert row["runner_up_accuracy"] == pytest.approx(agreement(held_out, second, SYMMETRIES[runner_up]))
    scored = pair(align(copying(layers=(1,)), planted(code), games[40:], resamples=2), 0, 1, "diagonal")
    for name in ("accuracy", "differing", "majority", "floor", "ceiling", "ceiling_target", "normalised"):
        assert row[name] == pytest.approx(scored[name], nan_ok=True), name
    assert row_of(table, source=0, target=0)["symmetry"] == "identity"
    assert row_of(table, source=0, target=0)["accuracy"] == 1


def test_align_up_to_symmetry_between_two_models_takes_the_targets_from_the_other_and_the_ceiling_from_its_own() -> (
    None
):
    """The other model's languages say the board through a symmetry each, where those of the probes' model are noisy."""
    noise = np.random.default_rng(0)
    other = planted(through(SYMMETRIES["diagonal"], SYMMETRIES["half_turn"]))
    home = planted(lambda language, layer, scene: mismatched(scene, noise.random(len(scene.game)) < 0.2, seed=0))
    table = align_up_to_symmetry(copying(languages=1), other, GAMES, layer=0, own=home, resamples=2)
    assert list(zip(table["source"], table["target"], table["symmetry"], strict=True)) == [
        (0, 0, "diagonal"),
        (0, 1, "half_turn"),
    ]
    assert (table["accuracy"] == 1).all()
    assert (table["ceiling"] < 0.95).all()
    assert table["ceiling_target"].isna().all()


@pytest.mark.parametrize("name", EIGHT)
def test_the_margin_of_an_aligned_pair_is_that_of_a_language_with_itself(name: str) -> None:
    """An in-language probe is right wherever two images differ, and the other image never is: the margin is 1."""
    own = SYMMETRIES["identity"], EIGHT[name]
    table = align_up_to_symmetry(
        reading(*own), planted(through(*own)), GAMES, layer=0, symmetries=tuple(EIGHT.values())
    )
    row = row_of(table, source=0, target=1)
    assert row["symmetry"] == name
    assert row["margin"] == row["margin_low"] == row["margin_high"] == row["margin_ceiling"] == 1
    assert row_of(table, source=1, target=0)["symmetry"] == EIGHT[name].inverse.name


def test_the_margin_and_its_ceiling_count_the_squares_where_the_images_differ() -> None:
    """A target that says its board in most rows, its quarter turn in the rest; a source that does so in fewer rows. The ceiling
    is of the quarter turn, not of its inverse, which the source never says."""
    turn, back = CONTROLS["quarter_turn"], CONTROLS["three_quarter_turn"]

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        often = (scene.game % (3 if language else 5) > 0)[:, None]
        return np.where(often, scene.truth(), turn.boards(scene.truth()))

    eight = tuple(EIGHT.values())
    table = align_up_to_symmetry(copying(), planted(code), GAMES, layer=0, symmetries=eight, resamples=200)
    row = row_of(table, source=0, target=1)
    assert (row["symmetry"], row["runner_up"]) == ("identity", "quarter_turn")
    scene = Scene.of(GAMES[30:])
    board, own, said = scene.truth(), code(0, 0, scene), code(1, 0, scene)

    def margin(of: np.ndarray, image: np.ndarray) -> float:
        differ = board != image
        return float((of == board)[differ].mean() - (of == image)[differ].mean())

    assert row["margin"] == pytest.approx(margin(said, turn.boards(board)))
    assert row["margin_low"] < row["margin"] < row["margin_high"] < 1
    assert row["margin_ceiling"] == pytest.approx(margin(own, turn.boards(board)))
    assert margin(own, back.boards(board)) > row["margin_ceiling"] + 0.05


def compared(code: Code, *maps: str) -> dict[str, np.ndarray]:
    first, second = (SYMMETRIES[name] for name in maps)
    probes, games = copying(), random_games(200, board=4, seed=2)
    place = {"layer": 0, "source": 0, "target": 1}
    table = compare_symmetries(probes, planted(code), games, **place, first=first, second=second, resamples=99)
    return {str(name): table[name].to_numpy() for name in table}


def test_compare_symmetries_separates_a_mixture_square_by_square() -> None:
    """The upper half of the board follows one map, the lower half another."""
    first, second = SYMMETRIES["identity"], SYMMETRIES["half_turn"]

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        upper = np.arange(16) < 8
        return np.where(upper, first.boards(scene.truth()), second.boards(scene.truth())) if language else scene.truth()

    found = compared(code, "identity", "half_turn")
    upper, open_ = np.arange(16) < 8, found["cells"] > 0
    assert not found["fixed"].any()
    assert found["first"][upper & open_].tolist() == found["low"][upper & open_].tolist() == [1] * 8
    assert found["second"][~upper & open_].tolist() == [1] * 8
    assert found["high"][~upper & open_].tolist() == [-1] * 8
    assert found["agreed"][open_].tolist() == [1] * 16
    assert found["first_floor"][upper & open_].max() < 0.8


def test_compare_symmetries_finds_both_images_at_every_square_of_a_superposition() -> None:
    """Each row follows one of two maps, by its game: every square has its share of both."""
    first, second = SYMMETRIES["identity"], SYMMETRIES["half_turn"]

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        odd = (scene.game % 2 == 1)[:, None]
        return np.where(odd, first.boards(scene.truth()), second.boards(scene.truth())) if language else scene.truth()

    found = compared(code, "identity", "half_turn")
    assert (np.abs(found["first"] - found["second"]) < 0.35).all()
    assert np.abs(found["neither"]).max() < 1e-12
    assert (found["low"] < 0).sum() >= 12
    assert (found["high"] > 0).sum() >= 12


def test_compare_symmetries_finds_only_the_squares_that_both_maps_fix() -> None:
    """The diagonal says the board, all else comes from other games."""

    def code(language: int, layer: int, scene: Scene) -> np.ndarray:
        other = mismatched(scene, np.full(len(scene.move), True), seed=2)
        return np.where(np.arange(16) % 5 == 0, scene.truth(), other) if language else scene.truth()

    found = compared(code, "identity", "diagonal")
    assert np.flatnonzero(found["fixed"]).tolist() == [0, 5, 10, 15]
    assert found["cells"][found["fixed"]].tolist() == [0] * 4
    assert found["agreed"][found["fixed"]].tolist() == [1] * 4
    open_ = found["cells"] > 0
    assert np.abs(found["first"] - found["first_floor"])[open_].max() < 0.1
    assert np.abs(found["second"] - found["second_floor"])[open_].max() < 0.1
    assert np.abs(found["agreed"] - found["agreed_floor"])[open_].max() < 0.1


def composed(*own: Symmetry) -> dict[tuple[int, int], Symmetry]:
    """The maps of languages each of which sees the board through a symmetry of its own."""
    return {(a, b): own[a].inverse @ own[b] for a, b in permutations(range(len(own)), 2)}


def test_cycle_consistency_is_complete_for_one_shared_representation() -> None:
    own = [SYMMETRIES[name] for name in ("identity", "half_turn", "diagonal", "identity", "antidiagonal")]
    found = cycle_consistency_test(composed(*own))
    assert cycle_consistency_test({pair: one.name for pair, one in composed(*own).items()}) == found
    assert found == CycleConsistency(5, 10, 10, 10, 10, 6, 4.0**-6, found.p_shuffled, 0)
    assert found.p_shuffled < 0.05


def test_cycle_consistency_counts_every_arrangement_of_the_maps_found() -> None:
    """Three languages, two diagonals and an identity: all three arrangements compose. With one of each, none of the six does."""
    names = ("identity", "diagonal", "half_turn")
    for three, p in ((("identity", "diagonal", "diagonal"), 1.0), (names, 1.0)):
        maps = {}
        for (a, b), name in zip(((0, 1), (0, 2), (1, 2)), three, strict=True):
            maps[a, b] = maps[b, a] = SYMMETRIES[name]
        found = cycle_consistency_test(maps)
        assert (found.consistent, found.p_shuffled) == (int(three != names), p)
        assert found.p_random == (0.25 if three != names else 1)


def test_cycle_consistency_of_six_languages_draws_maps() -> None:
    own = [SYMMETRIES[name] for name in ("identity", "half_turn", "diagonal", "identity", "antidiagonal", "diagonal")]
    found = cycle_consistency_test(composed(*own), draws=99)
    assert (found.consistent, found.p_random, found.draws) == (20, 1 / 100, 99)


def test_cycle_consistency_depends_on_the_order_of_composition() -> None:
    """Quarter turns and reflections do not commute: maps composed the other way round fail."""
    own = [EIGHT[name] for name in ("identity", "quarter_turn", "diagonal", "flip_rows")]
    group = tuple(EIGHT.values())
    right = composed(*own)
    wrong = {(a, b): own[b] @ own[a].inverse for a, b in permutations(range(4), 2)}
    assert cycle_consistency_test(right, symmetries=group, draws=9).consistent == 4
    assert cycle_consistency_test(wrong, symmetries=group, draws=9).consistent < 4


def test_maps_that_differ_by_direction_are_not_consistent() -> None:
    maps = composed(*[SYMMETRIES["identity"]] * 4)
    maps[1, 0] = SYMMETRIES["half_turn"]
    found = cycle_consistency_test(maps, draws=9)
    assert (found.mutual, found.pairs, found.consistent, found.triangles) == (5, 6, 2, 4)


def test_symmetries_refuse_what_cannot_be_tested() -> None:
    maps = composed(*[SYMMETRIES["identity"]] * 3)
    with pytest.raises(ValueError, match=r"no map for \[\(2, 1\)\]"):
        cycle_consistency_test({pair: symmetry for pair, symmetry in maps.items() if pair != (2, 1)})
    with pytest.raises(ValueError, match="maps through quarter_turn"):
        cycle_consistency_test(maps | {(0, 1): CONTROLS["quarter_turn"]})
    with pytest.raises(ValueError, match="three or more languages"):
        cycle_consistency_test(composed(*[SYMMETRIES["identity"]] * 2))
    for call in (
        lambda: cycle_consistency_test(maps, symmetries=(SYMMETRIES["identity"], CONTROLS["quarter_turn"])),
        lambda: align_up_to_symmetry(copying(), planted(truthful), GAMES, layer=0, symmetries=("diagonal",)),
    ):
        with pytest.raises(ValueError, match="not closed"):
            call()
    with pytest.raises(ValueError, match="diagonal against itself"):
        compared(truthful, "diagonal", "diagonal")
    with pytest.raises(ValueError, match=r"layer 1: .*\[0\]"):
        align_up_to_symmetry(copying(), planted(truthful), GAMES, layer=1)


def test_align_up_to_symmetry_on_a_real_model() -> None:
    checkpoint = tiny_checkpoint("unified")
    probes = fit_probes(checkpoint, random_games(100, board=4, seed=1), batch=128, epochs=2, seed=0)
    assert len(align_up_to_symmetry(probes, checkpoint, GAMES, layer=0, resamples=9)) == 2 * 2

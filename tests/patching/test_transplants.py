"""State transplant: by hand, on a planted board, and through a symmetry of it."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.models import load
from mothello_interp.othello import CONTROLS, SYMMETRIES, Games, random_games, replay
from mothello_interp.patching import cut, transplant
from mothello_interp.patching.transplants import _partners
from tests.conftest import every_world, tiny_checkpoint
from tests.patching.cases import answered, hooks_of, maps_of, sharp, state_at, written
from tests.planted import LAYERS, openings, planted

GAMES = cut(random_games(40, board=4, seed=7), 5, seed=1, earliest=4, latest=4)


@every_world
def test_transplant_by_hand(world: str) -> None:
    """Every mass of the table, in the base's words and in the donor's, one game and layer at a time."""
    checkpoint = sharp(world)
    base, donor = checkpoint.mothello.inputs[:2]
    spoken, other_words = (checkpoint.mothello.output_of(language) for language in (base, donor))
    legal = replay(GAMES).legal[np.arange(len(GAMES)), GAMES.lengths]
    giver, third = _partners(GAMES.lengths, 0)
    table = transplant(checkpoint, GAMES, base=base, donor=donor, resamples=20)
    assert [*table["layer"]] == [-1, 0, 1]
    differ = (checkpoint.mothello.move_tokens[spoken] != checkpoint.mothello.move_tokens[other_words]).any(axis=1)
    for row in table.to_dict("records"):
        found: dict[str, list[float]] = {}
        for game, moves in enumerate(GAMES.moves):
            ours, theirs, thirds = (legal[who] for who in (game, giver[game], third[game]))
            if not ((theirs & ~ours).any() and (thirds & ~ours).any() and (ours & ~theirs).any()):
                continue
            _, ends = written(checkpoint.mothello, base, moves)
            state = state_at(checkpoint, donor, GAMES.moves[giver[game]], 4, row["hook"])
            put = (row["hook"], ends[4], state, None)
            said, elsewhere = (answered(checkpoint, base, moves, words, put) for words in (spoken, other_words))
            plain = answered(checkpoint, base, moves, spoken)
            values = {"mass": said[theirs & ~ours], "zero": said[thirds & ~ours], "kept": said[ours & ~theirs]}
            values |= {"unpatched": plain[theirs & ~ours], "kept_unpatched": plain[ours & ~theirs]}
            values |= {"donor_words": elsewhere[theirs & ~ours & differ]}
            for name, value in values.items():
                found.setdefault(name, []).append(value.sum())
        for name, each in found.items():
            assert row[name] == pytest.approx(np.mean(each), rel=2e-3, abs=1e-6), name
        assert row["games"] == len(found["mass"]) >= 3
        assert row["dropped"] == len(GAMES) - row["games"]
        assert row["low"] <= row["mass"] <= row["high"]
        assert row["zero_low"] <= row["zero"] <= row["zero_high"]
    assert (table["mass"] / table["unpatched"] - 1).abs().max() > 0.1


def test_partners_have_the_same_length() -> None:
    """Each game gives to one other and is the third of one; two of a length are too few."""
    lengths = np.array([3, 5, 3, 4, 3, 4, 5, 5, 5])
    giver, third = _partners(lengths, 2)
    left = np.flatnonzero(giver < 0)
    assert [*left] == [3, 5] == [*np.flatnonzero(third < 0)]
    kept = np.delete(np.arange(9), left)
    for partner in (giver[kept], third[kept]):
        assert (lengths[partner] == lengths[kept]).all()
        assert sorted(partner) == sorted(kept)
    assert (giver[kept] != kept).all()
    assert (third[kept] != kept).all()
    assert (giver[kept] != third[kept]).all()


def at_layer_1(*, shared: bool, base: int, donor: int, **settings: object) -> Any:
    table = transplant(planted(shared=shared), openings(40, seed=3), base=base, donor=donor, resamples=5, **settings)  # type: ignore[arg-type]
    row: Any = table.set_index("layer").loc[1].to_dict()
    return row


@pytest.mark.parametrize(("base", "donor"), [(0, 1), (1, 0), (0, 0)])
def test_a_planted_board_is_carried_over(base: int, donor: int) -> None:
    """Where the code is shared: the donor's moves become legal, in the base's words; what they hold of the base's is gone."""
    row = at_layer_1(shared=True, base=base, donor=donor)
    assert row["unpatched"] < 0.01
    assert row["mass"] > row["zero"] + 0.2
    assert row["kept"] < 0.01
    assert row["kept_unpatched"] > 0.2
    assert row["donor_words"] < 0.01
    own = at_layer_1(shared=True, base=base, donor=base)
    assert row["mass"] == pytest.approx(own["mass"], abs=1e-4)


def test_behind_the_board_the_tongue_comes_along() -> None:
    """At the last layer the donor's moves are said in the donor's words."""
    table: Any = transplant(planted(), openings(40, seed=3), base=0, donor=1, resamples=5).set_index("layer")
    own: Any = transplant(planted(), openings(40, seed=3), base=1, donor=1, resamples=5).set_index("layer")
    assert table.loc[LAYERS - 1, "mass"] < 0.01
    assert table.loc[LAYERS - 1, "donor_words"] == pytest.approx(own.loc[LAYERS - 1, "mass"], abs=1e-4)


def test_two_codes_need_a_map() -> None:
    """A board in another code is no board; an orthogonal map fitted on other games carries it over."""
    plain, own = at_layer_1(shared=False, base=0, donor=1), at_layer_1(shared=False, base=0, donor=0)
    assert abs(plain["mass"] - plain["zero"]) < 0.05
    maps = maps_of(planted(shared=False), openings(200, seed=9), base=0, donor=1)
    turned = at_layer_1(shared=False, base=0, donor=1, through=maps)
    assert turned["mass"] == pytest.approx(own["mass"], abs=0.05)
    assert turned["mass"] > turned["zero"] + 0.2


@pytest.mark.parametrize("name", ["diagonal", "quarter_turn"])
def test_a_board_seen_through_a_symmetry(name: str) -> None:
    """Language 1 writes each square with the embedding of its image: its states are language 0's of the turned game, and what
    is counted through the map is what language 0 counts of the game itself."""
    checkpoint, turn = sharp("naive"), (SYMMETRIES | CONTROLS)[name]
    weights = checkpoint.model.W_E.data
    words = torch.from_numpy(checkpoint.mothello.move_tokens[:, :, 0].astype(np.int64))
    playable = words[0] > 0
    before = weights.clone()
    try:
        weights[words[1]] = before[words[0, torch.from_numpy(turn.squares(4))]]
        weights[0] = before[0]
        found = transplant(checkpoint, GAMES, base=0, donor=1, symmetries=(turn, SYMMETRIES["identity"]), resamples=5)
    finally:
        weights.copy_(before)
    assert playable.sum() == 12
    assert [*found["symmetry"]] == [turn.name, "identity"] * 3
    legal = replay(GAMES).legal[np.arange(len(GAMES)), GAMES.lengths]
    giver, third = _partners(GAMES.lengths, 0)
    images = turn.games(GAMES)
    for row in found[found["symmetry"] == turn.name].to_dict("records"):
        each = []
        for game, moves in enumerate(GAMES.moves):
            ours, (theirs, thirds) = legal[game], (turn.boards(legal[[who[game]]])[0] for who in (giver, third))
            if (theirs & ~ours).any() and (thirds & ~ours).any() and (ours & ~theirs).any():
                state = state_at(checkpoint, 0, images.moves[giver[game]], 4, row["hook"])
                said = answered(checkpoint, 0, moves, 0, (row["hook"], 4, state, None))
                each.append(said[theirs & ~ours].sum())
        assert row["mass"] == pytest.approx(np.mean(each), rel=2e-3)
        assert row["games"] == len(each)


@cache
def mini(regime: str) -> Any:
    games = cut(random_games(80, board=6, seed=8), 60, seed=0, earliest=8, latest=14)
    checkpoint = load(f"mini/atomic-atomic-{regime}")
    first, second = checkpoint.mothello.inputs
    return transplant(checkpoint, games, base=first, donor=second, resamples=50).set_index("layer")


def test_trained_models() -> None:
    """Four anchors: the board arrives at layer 0 and is said in the base's words, at layer 3 in the donor's. Naive: the model
    changes over to the donor's words at once. Unified: there is nothing to change over to."""
    assert mini("anchors4").loc[0, "mass"] > mini("anchors4").loc[0, "zero"] + 0.1
    assert mini("anchors4").loc[3, "donor_words"] > 0.4 > 0.2 > mini("anchors4").loc[3, "mass"]
    assert mini("anchors0").loc[0, "mass"] < 0.05
    assert mini("unified").loc[3, "mass"] > 0.5
    assert not mini("unified")["donor_words"].any()


def test_transplant_follows_its_seed() -> None:
    games = cut(random_games(80, board=4, seed=7), 20, seed=1, earliest=3, latest=5)
    first = transplant(sharp(), games, base=0, donor=1, resamples=50, seed=1)
    pd.testing.assert_frame_equal(transplant(sharp(), games, base=0, donor=1, resamples=50, seed=1), first)
    assert (transplant(sharp(), games, base=0, donor=1, resamples=50, seed=2)["mass"] != first["mass"]).any()
    assert hooks_of(sharp().model) == 0


def test_games_that_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="2 games, no three of one length: pass more games, or cut them alike"):
        transplant(tiny_checkpoint(), GAMES[:2], base=0, donor=1)
    with pytest.raises(ValueError, match="a game is over"):
        transplant(tiny_checkpoint(), random_games(4, board=4, seed=0), base=0, donor=1)
    alike = Games(GAMES.moves[[0, 0, 0]], 4)
    with pytest.raises(ValueError, match="3 games, and none whose partners allow moves of their own"):
        transplant(tiny_checkpoint(), alike, base=0, donor=1)


def test_the_donors_words_need_room() -> None:
    """The words of a longer language do not fit behind a long game of a shorter one."""
    checkpoint = tiny_checkpoint("unified")
    long = cut(random_games(60, board=4, seed=0), 12, seed=0, earliest=10, latest=10)
    table = transplant(checkpoint, long, base=1, donor=2, resamples=5)
    assert not table["donor_words"].any()


def test_maps_through_another_symmetry() -> None:
    maps = maps_of(planted(), openings(60, seed=9), base=0, donor=1, kind="mean_shift")
    with pytest.raises(ValueError, match=r"asked for base 0, donor 1 \(half_turn\)"):
        transplant(planted(), openings(9, seed=1), base=0, donor=1, symmetries=(SYMMETRIES["half_turn"],), through=maps)

"""Interchange: by hand, one game and place at a time, and on models whose answer is known."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mothello_interp.models import load
from mothello_interp.othello import SYMMETRIES, Games, random_games, replay
from mothello_interp.patching import HOOKS, cut, interchange, transplant
from mothello_interp.patching.pairs import another
from mothello_interp.patching.runs import Mass
from tests.conftest import every_world, tiny_checkpoint
from tests.patching.cases import answered, hooks_of, maps_of, sharp, state_at, written
from tests.planted import LAYERS, openings, planted

GAMES = cut(random_games(60, board=4, seed=7), 3, seed=1, earliest=2, latest=6)


def legal_behind(games: Games) -> np.ndarray:
    legal: np.ndarray = replay(games).legal[np.arange(len(games)), games.lengths]
    return legal


@every_world
@pytest.mark.parametrize("hook", ["resid_post", "mlp_out", "z"])
def test_interchange_by_hand(world: str, hook: str) -> None:
    """Legal mass along the tokens of a move, with the donor's state of the same game and of another one; and how far off."""
    checkpoint = sharp(world)
    base, donor = checkpoint.mothello.inputs[:2]
    spoken, legal = checkpoint.mothello.output_of(base), legal_behind(GAMES)
    table = interchange(checkpoint, GAMES, base=base, donor=donor, hook=hook, back=(0, 1), resamples=20)
    other = another(GAMES.lengths, 0)
    plain = [answered(checkpoint, base, moves, spoken) for moves in GAMES.moves]
    assert len(table) == {"resid_post": 3, "mlp_out": 2, "z": 4}[hook] * 2
    for row in table.to_dict("records"):
        head = None if row["head"] < 0 else row["head"]
        found = {"legal_mass": 0.0, "zero": 0.0, "kl": 0.0, "zero_kl": 0.0}
        for game, moves in enumerate(GAMES.moves):
            _, ends = written(checkpoint.mothello, base, moves)
            here, there = (int(GAMES.lengths[index]) - 1 - row["back"] for index in (game, other[game]))
            for name, giver, move in (("legal_mass", game, here), ("zero", other[game], min(here, there))):
                state = state_at(checkpoint, donor, GAMES.moves[giver], move, row["hook"], head)
                said = answered(checkpoint, base, moves, spoken, (row["hook"], ends[here], state, head))
                found[name] += said[legal[game]].sum() / 3
                p, q = (np.append(part, max(1 - part.sum(), 1e-12)) for part in (plain[game], said))
                sure = p > 0
                found["kl" if name == "legal_mass" else "zero_kl"] += (p[sure] * np.log(p[sure] / q[sure])).sum() / 3
        for name, value in found.items():
            assert row[name] == pytest.approx(value, rel=2e-3, abs=1e-3 if "kl" in name else 1e-6), name
        assert row["ceiling"] == pytest.approx(
            np.mean([p[w].sum() for p, w in zip(plain, legal, strict=True)]), abs=1e-5
        )
    assert (table["legal_mass"] / table["ceiling"] - 1).abs().max() > 0.1


@every_world
@pytest.mark.parametrize("mass", ["first", "word"])
def test_its_own_state_changes_nothing(world: str, mass: Mass) -> None:
    checkpoint = sharp(world)
    language = checkpoint.mothello.inputs[0]
    for hook in (*HOOKS, "z"):
        table = interchange(checkpoint, GAMES, base=language, donor=language, hook=hook, mass=mass, resamples=5)
        np.testing.assert_allclose(table["legal_mass"], table["ceiling"], atol=1e-5)
        np.testing.assert_allclose(table["kl"], 0, atol=1e-4)
        assert table["zero_kl"].max() > 0.001


def test_first_tokens_are_words_where_words_are_tokens() -> None:
    """And several words that begin alike count together where they are not."""
    words, first = (interchange(sharp(), GAMES, base=0, donor=1, mass=mass, resamples=20) for mass in ("word", "first"))
    pd.testing.assert_frame_equal(
        words.drop(columns=["kl", "zero_kl"]), first.drop(columns=["kl", "zero_kl"]), atol=1e-5
    )
    long = sharp("compositional")
    words, first = (interchange(long, GAMES, base=0, donor=1, mass=mass, resamples=5) for mass in ("word", "first"))
    assert (first["legal_mass"] > words["legal_mass"]).all()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("base", "donor"), [(0, 1), (1, 0)])
def test_a_planted_board(shared: bool, base: int, donor: int) -> None:
    """Where the code is shared the other language's board is as good as one's own; behind block 2 it answers in its own words."""
    table = interchange(planted(shared=shared), openings(12, seed=3), base=base, donor=donor, resamples=5)
    masses: Any = table.set_index("layer")
    assert masses["ceiling"].iloc[0] > 0.99
    assert masses.loc[1, "legal_mass"] == pytest.approx(1 if shared else masses.loc[1, "zero"], abs=0.01)
    assert masses.loc[1, "zero"] < 0.8
    assert masses.loc[LAYERS - 1, "legal_mass"] < 0.01


def test_through_a_map() -> None:
    """An orthogonal map fitted on other games finds the other code of the planted board, the mean shift does not, nor one of
    re-paired games."""
    checkpoint, games = planted(shared=False), openings(12, seed=3)
    fitted = openings(200, seed=9)
    found = {}
    for name, settings in {"turned": {}, "shifted": {"kind": "mean_shift"}, "re-paired": {"mismatched": True}}.items():
        maps = maps_of(checkpoint, fitted, base=0, donor=1, **settings)  # type: ignore[arg-type]
        table: Any = interchange(checkpoint, games, base=0, donor=1, through=maps, resamples=5).set_index("layer")
        found[name] = table.loc[1, "legal_mass"]
    assert found["turned"] > 0.95
    assert max(found["shifted"], found["re-paired"]) < 0.85


@cache
def mini(regime: str) -> Any:
    games = cut(random_games(60, board=6, seed=8), 40, seed=0)
    checkpoint = load(f"mini/atomic-atomic-{regime}")
    first, second = checkpoint.mothello.inputs
    return interchange(checkpoint, games, base=first, donor=second, resamples=50).set_index("layer")


def test_trained_models() -> None:
    """Unified languages are as good as one, four anchors in the lower layers alone, naive ones as bad as another game."""
    assert mini("unified").loc[2, "legal_mass"] > mini("unified").loc[2, "ceiling"] - 0.02
    assert mini("anchors4").loc[0, "legal_mass"] > mini("anchors4").loc[0, "ceiling"] - 0.1
    assert mini("anchors4").loc[2, "legal_mass"] < 0.4
    assert mini("anchors0").loc[1, "legal_mass"] == pytest.approx(mini("anchors0").loc[1, "zero"], abs=0.05)


def test_intervals_are_around_their_values() -> None:
    table = mini("anchors4")
    for name, prefix in (("legal_mass", ""), ("zero", "zero_")):
        assert (table[f"{prefix}low"] <= table[name]).all()
        assert (table[f"{prefix}high"] >= table[name]).all()


def test_interchange_follows_its_seed() -> None:
    first = interchange(sharp(), GAMES, base=0, donor=1, resamples=50, seed=1)
    pd.testing.assert_frame_equal(interchange(sharp(), GAMES, base=0, donor=1, resamples=50, seed=1), first)
    assert hooks_of(sharp().model) == 0


def test_symmetries_by_their_names() -> None:
    """As tables have them, wherever a state goes through one."""
    named, given = "diagonal", SYMMETRIES["diagonal"]
    asked: dict[str, Any] = {"base": 0, "donor": 1, "resamples": 20}
    one, other = (interchange(sharp(), GAMES, symmetry=which, **asked) for which in (named, given))
    pd.testing.assert_frame_equal(one, other)
    alike = cut(random_games(60, board=4, seed=7), 40, seed=1, earliest=4, latest=4)
    one, other = (transplant(sharp(), alike, symmetries=[which], **asked) for which in (named, given))
    pd.testing.assert_frame_equal(one, other)
    with pytest.raises(ValueError, match="symmetry 'quarter': known are identity, "):
        interchange(sharp(), GAMES, symmetry="quarter", **asked)


def test_games_that_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="1 games: two or more are needed"):
        interchange(tiny_checkpoint(), GAMES[:1], base=0, donor=1)
    with pytest.raises(ValueError, match="a game is over: cut games where a move follows, for example with cut"):
        interchange(tiny_checkpoint(), random_games(4, board=4, seed=0), base=0, donor=1)
    short = Games(np.where(np.arange(GAMES.moves.shape[1]) < 2, GAMES.moves, -1), 4)
    with pytest.raises(ValueError, match="a game of 2 moves: 3 or more are needed"):
        interchange(tiny_checkpoint(), short, base=0, donor=1, back=(0, 2))


def test_settings_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"hook='pattern': choose one of resid_pre, .*, or z for the heads"):
        interchange(tiny_checkpoint(), GAMES, base=0, donor=1, hook="pattern")
    with pytest.raises(ValueError, match='mass=\'last\': choose "word" or "first"'):
        interchange(tiny_checkpoint(), GAMES, base=0, donor=1, mass="last")  # type: ignore[arg-type]


def test_maps_of_something_else() -> None:
    maps = maps_of(planted(), openings(60, seed=9), base=0, donor=1, kind="mean_shift")
    with pytest.raises(ValueError, match="from language 1 to 0"):
        interchange(planted(), openings(4, seed=1), base=1, donor=0, through=maps)

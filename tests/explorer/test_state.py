"""What the explorer looks at: steps from one state to the next, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mothello_interp.explorer import Flip, Patch, State
from mothello_interp.othello import Games, IllegalGame, random_games, replay, square_name
from tests.conftest import tiny_checkpoint


def legal_names(state: State) -> list[str]:
    return [square_name(int(square), 4) for square in np.flatnonzero(replay(state.shown).legal[0, state.move])]


def test_play_steps_along_the_game_or_begins_another(state: State) -> None:
    onward = state.play(state.moves[5])
    assert (onward.game, onward.move, onward.games) == (1, 6, state.games)
    other = next(name for name in legal_names(state) if name != square_name(state.moves[5], 4))
    played = state.play(other)
    assert (played.game, played.move, len(played.games)) == (3, 6, 4)
    assert played.games[:3] == state.games
    assert played.moves[:5] == state.moves[:5]
    assert played.names[5] == other


def test_play_lengthens_the_game_at_its_end(state: State) -> None:
    short = replace(state, games=state.shown, game=0)
    played = short.play(legal_names(short)[0])
    assert (len(played.games), played.game, len(played.moves)) == (1, 0, 6)


def test_an_illegal_move_names_the_legal_ones(state: State) -> None:
    empty = np.flatnonzero(replay(state.shown).state[0, 4] == 0)
    illegal = next(name for name in (square_name(int(square), 4) for square in empty) if name not in legal_names(state))
    with pytest.raises(IllegalGame, match=f"{illegal} is not legal .legal there: {', '.join(legal_names(state))}"):
        state.play(illegal)


def test_steps_stay_on_the_game_and_more_games_are_shown(state: State) -> None:
    assert (state.at(-3).move, state.at(99).move) == (0, len(state.moves))
    more = state.joined_by(random_games(1, board=4, seed=9))
    assert (len(more.games), more.game) == (4, 3)


def test_edits_are_toggled(state: State) -> None:
    flip, patch = Flip("b2", 1), Patch(0, 2, 1)
    both = state.toggled(flip).toggled(patch)
    assert both.edits == (flip, patch)
    assert both.toggled(Flip("b2", 0)).edits == (patch,)
    assert both.toggled(patch).edits == (flip,)


def test_languages_change_places_and_another_model_keeps_what_it_has(state: State) -> None:
    both = replace(state, second=1)
    assert (both.reading(1).language, both.reading(1).second) == (1, 0)
    assert (state.reading(1).language, state.reading(1).second) == (1, None)
    other = replace(state, language=1, layer=0, edits=(Flip("b2", 0),)).read_by(tiny_checkpoint("unified"))
    assert (other.game, other.move, other.language, other.layer, other.edits) == (1, 5, 1, 0, ())
    assert state.read_by(tiny_checkpoint("unified")).language == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": 3}, "game 3: there are games 0 to 2"),
        ({"move": 40}, "move 40: game 1 has"),
        ({"language": 7}, r"language 7: tiny/atomic reads languages \[0, 1\]"),
        ({"second": 0}, "language 0 is shown already"),
        ({"second": 4}, "language 4: tiny/atomic reads"),
        ({"layer": 2}, r"layer 2: tiny/atomic has layers \[-1, 0, 1\]"),
        ({"games": random_games(1, board=6, seed=0)}, "games on a board of side 6: tiny/atomic plays on side 4"),
        ({"games": Games.from_lists([["a1"]], 4), "game": 0, "move": 0}, "a1 is not legal"),
        ({"edits": [Flip("h9", 0)]}, "'h9' is no square"),
        ({"edits": [Flip("b2", 5)]}, "layer 5"),
        ({"edits": [Patch(0, 99, 1)]}, "moves are numbered 0 to 11"),
        ({"edits": [Patch(0, 1, 5)]}, "language 5"),
        ({"edits": ["b2"]}, "'b2' is no edit"),
    ],
)
def test_what_does_not_fit_is_refused(state: State, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(state, **change)
    with pytest.raises(ValueError, match="no games: give at least one"):
        State.opening(state.checkpoint, state.games[:0])

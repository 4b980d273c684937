"""The effect of board edits: on a planted model it is all or nothing; errors are those counted by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mothello_interp.effects import edit_effect, edited_boards, legal_errors
from mothello_interp.interventions import NoEffectError
from mothello_interp.othello import random_games, replay
from mothello_interp.probes import fit_probes
from tests.cases import limit
from tests.conftest import every_world, tiny_checkpoint
from tests.othello import reference
from tests.planted import MOVES, exact_probes, planted


def legal_by_the_book(state: np.ndarray, mover: int, side: int) -> np.ndarray:
    """bool `[square]`, by the reference engine."""
    discs = {divmod(int(square), side): int(state[square]) for square in np.flatnonzero(state)}
    result = np.zeros(side * side, bool)
    for row, column in reference.legal_places(discs, side, mover):
        result[side * row + column] = True
    return result


@pytest.mark.parametrize(("side", "squares"), [(4, 1), (6, 1), (6, 3), (8, 2)])
def test_edited_boards_have_other_legal_moves(side: int, squares: int) -> None:
    """Each has that many discs flipped, and one legal move at least, by the reference engine; the seed decides."""
    games = random_games(120, board=side, seed=1)
    found = edited_boards(games, 40, squares=squares, seed=0)
    boards, ends = replay(found.games), found.games.lengths - 1
    assert (found.squares.sum(1) == squares).all()
    assert len(set(ends.tolist())) > 3
    assert 4 <= ends.min() <= ends.max() <= 3 * (side**2 - 4) // 4
    for game, end in enumerate(ends):
        state, mover = boards.state[game, end], int(boards.mover[game, end + 1])
        assert (state[found.squares[game]] != 0).all()
        assert np.array_equal(found.legal[game], legal_by_the_book(state, mover, side))
        after = np.where(found.squares[game], -state, state)
        assert np.array_equal(found.legal_edited[game], legal_by_the_book(after, mover, side))
    assert (found.legal != found.legal_edited).any(axis=1).all()
    assert found.legal_edited.any(axis=1).all()
    assert np.array_equal(edited_boards(games, 40, squares=squares, seed=0).squares, found.squares)
    assert not np.array_equal(edited_boards(games, 40, squares=squares, seed=1).squares, found.squares)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"earliest": 9, "latest": 8}, "earliest=9, latest=8"),
        ({"latest": 11}, "latest < 11"),
        ({"squares": 0}, "squares=0"),
        ({"squares": 10}, "no more squares than the 9 discs"),
        ({"n": 31}, r"gave .* edited boards, 31 asked for: pass more games"),
    ],
)
def test_edited_boards_refuse_what_cannot_be_had(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        edited_boards(random_games(30, board=4, seed=1), **{"n": 5, "seed": 0, **settings})


def test_legal_errors_by_hand() -> None:
    """Three legal moves: the three likeliest hold one of them, so two are wrong and two are missed."""
    legal = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], bool)
    probabilities = np.array([[0.5, 0.0, 0.1, 0.2, 0.3], [0.6, 0.3, 0.1, 0.0, 0.0]])
    assert legal_errors(probabilities, legal).tolist() == [4, 0]
    for odd in (probabilities[:, 1:], np.full_like(probabilities, np.nan)):
        with pytest.raises(ValueError, match="expected finite numbers, of one shape"):
            legal_errors(odd, legal)


def planted_effect(shared: bool, n: int = 30, **settings: Any) -> pd.DataFrame:
    boards = edited_boards(random_games(150, board=4, seed=3), n, seed=0, earliest=2, latest=MOVES - 1)
    probes = settings.pop("probes", exact_probes(shared=shared))
    return edit_effect(planted(shared=shared).read(boards.games, 1), boards, probes, resamples=50, **settings)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("onward", [True, False])
def test_edit_effect_on_a_planted_model(shared: bool, onward: bool) -> None:
    """Flipping discs at layer 1 makes the model play by the edited board; nothing else does anything."""
    table = planted_effect(shared, onward=onward)
    assert table["edit"].tolist() == ["random", "other", "own"] * 2
    assert table["source"].tolist() == [-1, 0, 1] * 2
    assert table["layer"].tolist() == [1] * 3 + [2] * 3
    assert table["hook"].iloc[0] == "blocks.1.hook_resid_post"
    facts = {
        "target": 1,
        "kind": "linear",
        "frame": "relative",
        "squares": 1,
        "games": 30,
        "onward": onward,
        "unedited": 0,
    }
    for column, value in facts.items():
        assert (table[column] == value).all()
    lengths = table.query("layer == 1")["length"]
    np.testing.assert_allclose(lengths, lengths.iloc[0], rtol=1e-5)
    rows: dict[Any, Any] = {(row["layer"], row["edit"]): row for row in table.to_dict("records")}
    floor = rows[1, "own"]["floor"]
    assert floor > 1
    assert all(row["floor_low"] < row["floor"] == floor < row["floor_high"] for row in rows.values())
    assert rows[1, "own"]["errors"] == rows[1, "own"]["low"] == rows[1, "own"]["high"] == 0
    assert rows[1, "other"]["errors"] == (0 if shared else floor)
    assert rows[1, "random"]["errors"] > floor / 2
    assert rows[2, "own"]["errors"] == rows[2, "other"]["errors"] == floor
    assert rows[1, "own"]["mass"] > 1 - 1e-6
    assert rows[1, "own"]["floor_mass"] < 0.9
    pd.testing.assert_frame_equal(planted_effect(shared, onward=onward), table)


def test_edit_effect_refuses_what_has_no_effect_or_no_place() -> None:
    blind = exact_probes()  # see no difference between mine and theirs
    blind.weights["weight"].zero_()
    with pytest.raises(NoEffectError, match="changed nothing in 10 games"):
        planted_effect(True, 10, probes=blind)
    with pytest.raises(ValueError, match=r"layer 0: these probes were fitted at layers \[1, 2\]"):
        planted_effect(True, 10, layers=[0])
    boards = edited_boards(random_games(60, board=4, seed=3), 10, seed=0)
    with pytest.raises(ValueError, match="is not of the 10 games whose boards are edited"):
        edit_effect(planted().read(boards.games[::-1], 0), boards, exact_probes())


@every_world
def test_edit_effect_is_the_same_however_many_rows_run_together(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Languages of several tokens a move included."""
    checkpoint = tiny_checkpoint(world)
    probes = fit_probes(checkpoint, random_games(30, board=4, seed=5), batch=64, epochs=4, seed=0)
    boards = edited_boards(random_games(40, board=4, seed=6), 6, seed=0)
    language = checkpoint.mothello.inputs[-1]
    reading, settings = checkpoint.read(boards.games, language), {"layers": [0], "sources": [language]}
    together = edit_effect(reading, boards, probes, resamples=5, **settings)  # type: ignore[arg-type]
    limit(monkeypatch, 40)
    alone = edit_effect(reading, boards, probes, resamples=5, **settings)  # type: ignore[arg-type]
    assert (together["mass"] != together["floor_mass"]).all()
    pd.testing.assert_frame_equal(alone, together, rtol=1e-4)

"""The effect of board edits: on a planted model it is all or nothing; errors are those counted by hand."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.interventions import NoEffectError, edit_effect, edited_boards, legal_errors
from mothello_interp.legality import continuation_probabilities, next_move_probabilities
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.probes import fit_probes
from tests.conftest import every_world, tiny_checkpoint
from tests.othello import reference
from tests.planted import MOVES, exact_probes, planted

both_kinds = pytest.mark.parametrize("shared", [True, False])


def legal_by_the_book(state: np.ndarray, mover: int, side: int) -> np.ndarray:
    """bool `[square]`."""
    discs = {divmod(int(square), side): int(state[square]) for square in np.flatnonzero(state)}
    result = np.zeros(side * side, bool)
    for row, column in reference.legal_places(discs, side, mover):
        result[side * row + column] = True
    return result


@pytest.mark.parametrize(("side", "squares"), [(4, 1), (6, 1), (6, 3), (8, 2)])
def test_edited_boards(side: int, squares: int) -> None:
    """Each has that many discs turned, other legal moves than before, and one at least, by the reference engine."""
    games = random_games(120, board=side, seed=1)
    found = edited_boards(games, 40, squares=squares, seed=0)
    boards, ends = replay(found.games), found.games.lengths - 1
    assert (found.squares.sum(1) == squares).all()
    assert len(set(ends.tolist())) > 3
    assert (ends.min(), ends.max()) >= (4, 4)
    assert ends.max() <= 3 * (side**2 - 4) // 4
    for game, end in enumerate(ends):
        state, mover = boards.state[game, end], int(boards.mover[game, end + 1])
        assert (state[found.squares[game]] != 0).all()
        assert np.array_equal(found.legal[game], legal_by_the_book(state, mover, side))
        after = np.where(found.squares[game], -state, state)
        assert np.array_equal(found.legal_edited[game], legal_by_the_book(after, mover, side))
    assert (found.legal != found.legal_edited).any(axis=1).all()
    assert found.legal_edited.any(axis=1).all()
    again = edited_boards(games, 40, squares=squares, seed=0)
    assert np.array_equal(again.squares, found.squares)
    assert not np.array_equal(edited_boards(games, 40, squares=squares, seed=1).squares, found.squares)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"earliest": 9, "latest": 8}, "earliest=9, latest=8"),
        ({"latest": 11}, "latest < 11"),
        ({"squares": 0}, "squares=0"),
        ({"squares": 10}, "no more squares than the 9 discs"),
        ({"n": 31}, "gave .* edited boards, 31 asked for: pass more games"),
    ],
)
def test_boards_that_cannot_be_had(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        edited_boards(random_games(30, board=4, seed=1), **{"n": 5, "seed": 0, **settings})


def test_errors_by_hand() -> None:
    """Three legal moves: the three likeliest hold one of them, so two are wrong and two are missed."""
    legal = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], bool)
    probabilities = np.array([[0.5, 0.0, 0.1, 0.2, 0.3], [0.6, 0.3, 0.1, 0.0, 0.0]])
    assert legal_errors(probabilities, legal).tolist() == [4, 0]
    for odd in (probabilities[:, 1:], np.full_like(probabilities, np.nan)):
        with pytest.raises(ValueError, match="expected finite numbers, of one shape"):
            legal_errors(odd, legal)


class TestOnAPlantedModel:
    """Turning discs at layer 1 makes the model play by the edited board; nothing else does anything."""

    @staticmethod
    @cache
    def table(shared: bool, onward: bool, language: int = 1) -> pd.DataFrame:
        boards = edited_boards(random_games(150, board=4, seed=3), 30, seed=0, earliest=2, latest=MOVES - 1)
        probes = exact_probes(shared=shared)
        return edit_effect(planted(shared=shared), boards, probes, language=language, onward=onward, resamples=50)

    @both_kinds
    @pytest.mark.parametrize("onward", [True, False])
    def test_errors(self, shared: bool, onward: bool) -> None:
        rows: dict[Any, Any] = {
            (row["layer"], row["edit"]): row for row in self.table(shared, onward).to_dict("records")
        }
        assert len(rows) == 6
        null = rows[1, "own"]["null"]
        assert null > 1
        for row in rows.values():
            assert row["unedited"] == 0
            assert row["null_low"] < row["null"] == null < row["null_high"]
        assert rows[1, "own"]["errors"] == rows[1, "own"]["low"] == rows[1, "own"]["high"] == 0
        assert rows[1, "other"]["errors"] == (0 if shared else null)
        assert rows[1, "random"]["errors"] > null / 2
        assert rows[2, "own"]["errors"] == rows[2, "other"]["errors"] == null
        assert rows[1, "own"]["mass"] > 1 - 1e-6
        assert rows[1, "own"]["null_mass"] < 0.9

    def test_columns(self) -> None:
        table = self.table(True, True)
        assert table["edit"].tolist() == ["random", "other", "own"] * 2
        assert table["source"].tolist() == [-1, 0, 1] * 2
        assert table["layer"].tolist() == [1] * 3 + [2] * 3
        assert table["hook"].iloc[0] == "blocks.1.hook_resid_post"
        for column, value in {"language": 1, "kind": "linear", "frame": "relative", "squares": 1, "games": 30}.items():
            assert (table[column] == value).all()
        assert table.groupby("layer")["length"].nunique().max() <= 3
        np.testing.assert_allclose(
            table.query("layer == 1")["length"], table.query("layer == 1")["length"].iloc[0], rtol=1e-5
        )

    def test_is_the_same_twice(self) -> None:
        pd.testing.assert_frame_equal(self.table.__wrapped__(True, True), self.table(True, True))


def test_an_edit_of_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes that see no difference between mine and theirs take no step."""
    boards = edited_boards(random_games(60, board=4, seed=3), 10, seed=0, earliest=2, latest=MOVES - 1)
    probes = exact_probes()
    probes.weights["weight"].zero_()
    with pytest.raises(NoEffectError, match="changed nothing in 10 games"):
        edit_effect(planted(), boards, probes, language=0)


def test_a_layer_without_probes() -> None:
    boards = edited_boards(random_games(60, board=4, seed=3), 10, seed=0, earliest=2, latest=MOVES - 1)
    with pytest.raises(ValueError, match=r"layer 0: these probes were fitted at layers \[1, 2\]"):
        edit_effect(planted(), boards, exact_probes(), language=0, layers=[0])


@every_world
def test_games_run_together_or_one_by_one(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Languages of several tokens a move included: a batch may hold a game once for each beginning of a word."""
    checkpoint = tiny_checkpoint(world)
    probes = fit_probes(checkpoint, random_games(30, board=4, seed=5), batch=64, epochs=4, seed=0)
    boards = edited_boards(random_games(40, board=4, seed=6), 6, seed=0)
    language = checkpoint.mothello.inputs[-1]
    settings: dict[str, Any] = {"language": language, "layers": [0], "resamples": 5, "sources": [language]}
    together = edit_effect(checkpoint, boards, probes, **settings)
    monkeypatch.setattr("mothello_interp.legality._CELLS", 1)
    alone = edit_effect(checkpoint, boards, probes, **settings)
    assert (together["mass"] != together["null_mass"]).all()
    pd.testing.assert_frame_equal(alone, together, rtol=1e-4)


@every_world
def test_probabilities_behind_the_last_move(world: str) -> None:
    """Those that `next_move_probabilities` gives there; games of several lengths."""
    checkpoint, games = tiny_checkpoint(world), random_games(7, board=4, seed=8)
    moves = np.where(np.arange(12) < np.array([1, 3, 5, 9, 11, 2, 10])[:, None], games.moves, -1)
    cut = Games(moves, 4)
    for language in checkpoint.mothello.inputs:
        found = continuation_probabilities(checkpoint, cut, language)
        everywhere = next_move_probabilities(checkpoint, games, language)
        np.testing.assert_allclose(found, everywhere[np.arange(7), cut.lengths - 1], atol=1e-5)
        seen: list[int] = []

        def run(
            tokens: torch.Tensor, game: np.ndarray, language: int = language, seen: list[int] = seen
        ) -> torch.Tensor:
            written = checkpoint.mothello.encode(cut[game], language)
            ends = written.last.max(axis=1).astype(int)
            for row, end in enumerate(ends):
                assert tokens[row, : end + 1].tolist() == written.tokens[row, : end + 1].tolist()
            seen.extend(game.tolist())
            logits: torch.Tensor = checkpoint.model(tokens)
            return logits

        assert np.array_equal(continuation_probabilities(checkpoint, cut, language, run=run), found)
        assert set(seen) == set(range(7))


def test_games_that_are_empty_or_full() -> None:
    for length, match in ((0, "games of 0 to 0 moves: expected 1 to 11"), (12, "games of 12 to 12 moves")):
        moves = random_games(40, board=4, seed=8).moves
        moves = np.where(np.arange(12) < length, moves[(moves >= 0).all(axis=1)][:1], -1)
        with pytest.raises(ValueError, match=match):
            continuation_probabilities(tiny_checkpoint(), Games(moves, 4), 0)

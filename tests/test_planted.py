"""The instruments on a model whose answers are known (`tests/planted.py`): they find what is planted and nothing else."""

from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import collect
from mothello_interp.interventions import (
    Ablate,
    Apply,
    Context,
    MeanShift,
    NoEffectError,
    ProjectOut,
    Replace,
    Steer,
    Transport,
)
from mothello_interp.legality import legal_accuracy
from mothello_interp.othello import Games, replay
from mothello_interp.reading import Reading
from tests.othello import reference
from tests.planted import (
    BOARD,
    LAYERS,
    LOUD,
    MOVES,
    PLACES,
    SHARP,
    WIDTH,
    board_code,
    flip_direction,
    openings,
    planted,
    swap_codes,
)

both_kinds = pytest.mark.parametrize("shared", [True, False])
both_languages = pytest.mark.parametrize("language", [0, 1])
GAMES = openings(16, seed=1)


def relative_boards(games: Games) -> np.ndarray:
    """1 mine, -1 theirs, 0 empty, `[game move square]`."""
    boards = replay(games)
    return (boards.state * boards.mover[:, 1:, None])[:, :MOVES]


def final_logits(reading: Reading) -> torch.Tensor:
    """The logits of each language's moves after the last move, `[game language square]`; -inf where there is no move."""
    with torch.inference_mode(), reading.hooks() as model:
        logits = model(reading.tokens[:, :MOVES])[:, -1]
    words = torch.from_numpy(reading.checkpoint.mothello.move_tokens[..., 0]).long()
    return logits[:, words].masked_fill(words == 0, -torch.inf)


def said(reading: Reading) -> np.ndarray:
    """The squares that are predicted as legal in a language that is written, bool `[game language square]`."""
    return (final_logits(reading) > (LOUD + 0.5) * SHARP).numpy()


def answers(reading: Reading) -> torch.Tensor:
    """Probabilities of the next move, `[game language square]`."""
    return torch.stack([torch.from_numpy(reading.final_moves(output)) for output in (0, 1)], dim=1)


def legal_after(relative: np.ndarray) -> np.ndarray:
    """The squares where "mine" may move on some boards, by the reference engine, bool `[game square]`."""
    result = np.zeros(relative.shape, bool)
    for game, board in enumerate(relative):
        discs = {divmod(int(square), BOARD): int(board[square]) for square in np.flatnonzero(board)}
        for row, column in reference.legal_places(discs, BOARD, 1):
            result[game, BOARD * row + column] = True
    return result


class TestTheModel:
    """It is what its description says."""

    @both_kinds
    def test_plays_by_the_rules_in_both_languages(self, shared: bool) -> None:
        table = legal_accuracy(planted(shared=shared).readings(openings(60, seed=2)))
        assert set(table["language"]) == {0, 1}
        assert set(table["move"]) == set(range(MOVES - 1))
        assert (table["top1"] == 1).all()
        assert (table["legal_mass"] > 1 - 1e-6).all()

    @both_kinds
    @both_languages
    def test_has_the_board_where_it_says(self, shared: bool, language: int) -> None:
        """At layers 1 and 2, exactly; nothing there before; and no word is left beside it."""
        rows = collect(planted(shared=shared), GAMES)
        board = torch.from_numpy(relative_boards(GAMES)[rows.game, rows.move])
        mine, theirs = (list(code) for code in board_code(language, shared=shared))
        for layer in (1, 2):
            found = rows.at(language, layer)
            assert torch.equal(found[:, mine], (board > 0).float())
            assert torch.equal(found[:, theirs], (board < 0).float())
            assert not found[:, [*PLACES["word"], *PLACES["slot"]]].any()
        for layer in (-1, 0):
            assert not rows.at(language, layer)[:, [*mine, *theirs]].any()
        other = [coordinate for code in board_code(1 - language, shared=shared) for coordinate in code]
        assert rows.at(language, 2)[:, other].any() == shared


class TestInterventions:
    """An edit of what is planted changes what it should, exactly there."""

    legal = legal_after(relative_boards(GAMES)[:, -1])

    @both_kinds
    @both_languages
    @pytest.mark.parametrize("layer", range(-1, LAYERS))
    def test_flipped_discs(self, shared: bool, language: int, layer: int) -> None:
        """The model plays by the rules of the edited board; after block 2 nothing is computed from it any more."""
        reading, boards = planted(shared=shared).read(GAMES, language), relative_boards(GAMES)[:, -1]
        changed = 0
        for square in (5, 6, 9, 10):
            after = boards.copy()
            after[:, square] *= -1
            directions = [flip_direction(square, language, shared=shared) * -int(board[square]) for board in boards]
            legal = legal_after(after if layer < 2 else boards)
            found = said(reading.edited(Steer(torch.stack(directions), layer=layer, moves="last")))
            assert np.array_equal(found[:, language], legal)
            assert not found[:, 1 - language].any()
            changed += int((legal != self.legal).any(axis=1).sum())
        assert (changed > 30) == (layer < 2)

    @both_languages
    def test_the_other_codes_board_is_not_used(self, language: int) -> None:
        """With two codes the other language's direction changes no prediction."""
        reading = planted(shared=False).read(GAMES, language)
        edited = reading.edited(Steer(flip_direction(5, 1 - language, shared=False), layer=1))
        assert torch.equal(answers(edited), answers(reading))

    def test_erasing_the_board(self) -> None:
        """Without it no square is better than another, in the same language; before layer 1 there is nothing to erase."""
        basis, reading = torch.eye(WIDTH)[[*PLACES["mine"], *PLACES["theirs"]]], planted().read(GAMES, 1)
        found = answers(reading.edited(ProjectOut(basis, layer=1)))
        torch.testing.assert_close(found[:, 1], (found[:, 1] > 0) / 12, atol=1e-4, rtol=0)
        with pytest.raises(NoEffectError, match="changed none"):
            answers(reading.edited(ProjectOut(basis, layer=0)))

    @pytest.mark.parametrize(("layer", "output"), [(1, 0), (2, 1)])
    def test_the_output_language(self, layer: int, output: int) -> None:
        """At layer 2 the languages' means differ in the output language: the same squares, in the other's tokens."""
        means = collect(planted(), openings(100, seed=5), layers=[1, 2])
        found = said(planted().read(GAMES, 0).edited(MeanShift(means, to=1, layer=layer, moves="last")))
        assert np.array_equal(found[:, output], self.legal)
        assert not found[:, 1 - output].any()

    @both_kinds
    def test_another_games_board_in_another_language(self, shared: bool) -> None:
        """A's state of another game at layer 1: B goes on from that game if the code is shared, or mapped."""
        checkpoint, other = planted(shared=shared), openings(40, seed=6)[-len(GAMES) :]
        legal = legal_after(relative_boards(other)[:, -1])
        put_in = checkpoint.read(GAMES, 1).patched(checkpoint.read(other, 0), 1)
        mapped = put_in.edited(Transport(lambda rows: rows @ swap_codes(), layer=1, moves="last"))
        assert np.array_equal(said(put_in if shared else mapped)[:, 1], legal)
        plain = answers(mapped if shared else put_in)
        torch.testing.assert_close(plain[:, 1], (plain[:, 1] > 0) / 12, atol=1e-4, rtol=0)
        states = collect(checkpoint, other, layers=[1], languages=[0])
        given = Replace(states.at(0, 1)[states.move == MOVES - 1], layer=1, moves="last")
        assert torch.equal(answers(checkpoint.read(GAMES, 1).edited(given)), answers(put_in))

    @pytest.mark.parametrize("block", range(LAYERS))
    @pytest.mark.parametrize("head", range(MOVES))
    def test_heads(self, block: int, head: int) -> None:
        """All of block 0's gather tokens; of the others' the first writes the language, and the rest write nothing."""
        silenced = planted().read(GAMES, 0).edited(Ablate("zero", layer=block, hook="z", head=head))
        if block > 0 and head > 0:
            with pytest.raises(NoEffectError, match="changed none"):
                answers(silenced)
            return
        found, legal = answers(silenced), torch.from_numpy(self.legal).float()
        own, other = (found[:, output] * legal for output in (0, 1))
        if block == 0:  # the dictionary does not fire: no square is better than another
            torch.testing.assert_close(found[:, 0], (found[:, 0] > 0) / 12, atol=1e-4, rtol=0)
        elif block == 1:  # nor is it known which language to write
            torch.testing.assert_close(found, (found > 0) / 25, atol=1e-4, rtol=0)
        else:  # the squares are right, and written in both languages alike
            torch.testing.assert_close(own, other)
            assert (found * legal[:, None]).sum((1, 2)).min() > 1 - 1e-6

    def test_only_the_moves_in_scope(self) -> None:
        """An edit of one move leaves the predictions after all others as they were."""
        reading, seen = planted().read(GAMES, 0), list[Any]()

        def flip(rows: torch.Tensor, context: Context) -> torch.Tensor:
            seen.append(context.move)
            return rows + flip_direction(5)

        with torch.inference_mode(), reading.edited(Apply(flip, layer=1, moves=3)).hooks() as model:
            after = model(reading.tokens)
        difference = (after - reading.checkpoint.model(reading.tokens)).abs().amax(dim=(0, 2))
        assert difference.nonzero().flatten().tolist() == [3]
        assert set(seen[0]) == {3}

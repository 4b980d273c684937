"""The instruments on a model whose answers are known (`tests/planted.py`): they find what is planted and nothing else."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.activations import collect
from mothello_interp.alignment import align
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
from mothello_interp.othello import Games, random_games, replay
from mothello_interp.pairs import Pairs, minimal_pairs
from mothello_interp.patching import recovery
from mothello_interp.probes import Probes, fit_probes
from mothello_interp.reading import Reading
from tests.othello import reference
from tests.planted import (
    BOARD,
    LAYERS,
    LOUD,
    MOVES,
    PLACES,
    SHARP,
    SQUARES,
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


@cache
def probes(shared: bool) -> Probes:
    return fit_probes(planted(shared=shared), openings(400, seed=3), kind="linear", frame="relative", batch=128, seed=0)


class TestProbes:
    """A probe reads the board where it stands, along the directions in which it was written."""

    @both_kinds
    def test_find_the_planted_directions(self, shared: bool) -> None:
        """Of all squares' planted directions a square's own is the nearest, and to move along it turns the disc read."""
        games = openings(600, seed=3)
        fitted = fit_probes(planted(shared=shared), games, layers=[1], epochs=60, batch=64, seed=0)
        rows = collect(planted(shared=shared), GAMES, layers=[1])
        for language in (0, 1):
            planted_ones = torch.stack([flip_direction(s, language, shared=shared) for s in range(SQUARES)])
            _, classes = rows.labels("relative")
            found = fitted.directions(language, 1)
            found = found[:, 2] - found[:, 0]
            cosines = torch.nn.functional.cosine_similarity(found[:, None], planted_ones[None], dim=2)
            assert torch.equal(cosines.argmax(1), torch.arange(SQUARES))
            assert torch.equal(cosines.argmax(0), torch.arange(SQUARES))
            assert cosines.diag().min() > 0.5
            for square in range(SQUARES):
                theirs = classes[:, square] == 0
                turned = rows.at(language, 1)[theirs] + planted_ones[square]
                expected = classes[theirs].copy()
                expected[:, square] = 2
                assert (fitted.predict(turned, language, 1) == expected).mean() > 0.97

    def test_read_the_board_from_layer_1_on(self) -> None:
        table = align(probes(True), planted(), openings(40, seed=1), resamples=1).query(
            "source == target and symmetry == 'identity'"
        )
        by_layer = table.groupby("layer")["accuracy"].min()
        assert by_layer[1] > 0.99
        assert by_layer[2] > 0.99
        assert by_layer[-1] < 0.9


class TestAlignment:
    """Transfer is complete where the code is shared, and at its floor where it is not."""

    def across(self, shared: bool) -> pd.DataFrame:
        table = align(probes(shared), planted(shared=shared), openings(40, seed=1), resamples=1)
        return table[table["source"] != table["target"]]

    def test_is_complete_at_the_planted_layers_alone(self) -> None:
        table = self.across(shared=True)
        identity = table[table["symmetry"] == "identity"].groupby("layer")["normalised"]
        assert identity.min()[[1, 2]].min() == pytest.approx(1)
        assert identity.max()[[-1, 0]].max() < 0.01
        other = table[(table["symmetry"] != "identity") & (table["layer"] == 1)]
        assert (other["accuracy"] < 0.8).all()

    def test_is_at_its_floor_with_two_codes(self) -> None:
        table = self.across(shared=False).query("layer < 2")
        identity = table[table["symmetry"] == "identity"]
        np.testing.assert_allclose(identity["accuracy"], identity["floor"], atol=0.01)


@cache
def pairs() -> Pairs:
    """They differ in move 2, so that the token from which the language is read stays as it is."""
    return minimal_pairs(random_games(1000, board=BOARD, seed=4), 12, seed=0, earliest=2, latest=2)


class TestPatching:
    """Recovery is complete where the prediction is decided, and 0 elsewhere."""

    @both_kinds
    @pytest.mark.parametrize(("source", "target"), [(0, 0), (1, 1), (0, 1), (1, 0)])
    def test_recovery(self, shared: bool, source: int, target: int) -> None:
        """Another language's state does the work of one's own where the code is shared; else no move is left (0.5)."""
        checkpoint = planted(shared=shared)
        clean, corrupted = checkpoint.read(pairs().clean, source), checkpoint.read(pairs().corrupted, target)
        table = recovery(clean, corrupted, resamples=2)
        grid = table.pivot(index="layer", columns="offset", values="recovery").to_numpy()
        own = np.array([[0.0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
        cross = np.array([[0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0.5], [0, 0, 0, 1.0 if shared else 0.5]])
        np.testing.assert_allclose(grid, own if source == target else cross, atol=0.03)


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

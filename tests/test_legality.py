"""Legality against one prefix at a time: greedy decoding, products of conditionals, and players whose score is known."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

from mothello_interp.corpus import Corpus
from mothello_interp.forward import FwdHooks, hook_name
from mothello_interp.interventions import Steer
from mothello_interp.languages import PAD
from mothello_interp.legality import legal_accuracy, summary
from mothello_interp.models import Checkpoint, build_model
from mothello_interp.othello import Games, full_length, random_games, replay, start_squares
from tests.cases import ended, every_language, limit, next_token, predicted, spans, written
from tests.conftest import tiny_checkpoint, tiny_spec
from tests.othello import reference
from tests.players import prefixes, tokens_of

COLUMNS = ["language", "move", "top1", "legal_mass", "chance", "prefixes", "open", "top1_known", "top1_own"]
PLAYABLE = sorted(set(range(16)) - set(start_squares(4)))


def some_games(n: int = 8) -> Games:
    """Whole games, games that end early, and some truncated after one move or more."""
    return ended(random_games(n, board=4, seed=58), np.where(np.arange(n) % 4 == 0, 1 + np.arange(n), full_length(4)))


@cache
def position(moves: tuple[int, ...]) -> reference.Position | None:
    """The position after some moves, by the reference engine; None if they break the rules."""
    if not moves:
        return reference.position(reference.start(4), 4, reference.BLACK)
    before, place = position(moves[:-1]), divmod(moves[-1], 4)
    if before is None or place not in before.legal:
        return None
    return reference.position(reference.play(before.discs, 4, place, before.mover), 4, -before.mover)


def after(games: Games, game: int, move: int) -> list[int]:
    """The legal squares after a move."""
    found = position(tuple(games.moves[game, : move + 1].tolist()))
    assert found is not None
    return [row * 4 + column for row, column in found.legal]


@cache
def beginner(world: str) -> Checkpoint:
    """A model that has seen enough games to write moves, legal and illegal ones."""
    checkpoint = Checkpoint(build_model(tiny_spec(world), seed=0), tiny_spec(world))
    learns = [weight for weight in checkpoint.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(learns, lr=1e-2)
    for step in range(60):
        batch = Corpus(checkpoint.mothello, seed=0, objective="sampled").batch(64 * step, 64)
        logits = checkpoint.model(torch.from_numpy(batch.tokens).long())
        targets = torch.from_numpy(batch.targets).long().flatten()
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=PAD).backward()
        optimizer.step()
        optimizer.zero_grad()
    checkpoint.model.eval()
    return checkpoint


def greedy(checkpoint: Checkpoint, language: int, moves: np.ndarray, hooks: FwdHooks = ()) -> int:  # type: ignore[assignment]
    """The square that greedy decoding names after a game, one token at a time; -1 where it names none."""
    mothello, game = checkpoint.mothello, written(checkpoint, language, moves)
    named = {tokens_of(mothello, mothello.output_of(language), square): square for square in PLAYABLE}
    begun: tuple[int, ...] = ()
    while begun not in named and len(begun) < max(map(len, named)) and game.shape[1] + len(begun) <= mothello.n_ctx:
        tokens = torch.cat([game, torch.tensor([begun], dtype=torch.long)], dim=1)
        begun += (int(next_token(checkpoint, tokens, hooks).argmax()),)
    return named.get(begun, -1)


@every_language
def test_greedy_moves_by_hand(world: str, language: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any batch."""
    checkpoint, games = beginner(world), some_games()
    reading, expected = checkpoint.read(games, language), np.full(games.moves.shape, -1)
    for game, move, _ in prefixes(checkpoint.mothello, games, language):
        expected[game, move] = greedy(checkpoint, language, games.moves[game, : move + 1])
    found = reading.greedy_moves()
    assert found.dtype == np.int16
    assert np.array_equal(found, expected)
    assert len(set(expected.ravel().tolist())) > 3
    limit(monkeypatch, 70)
    assert np.array_equal(reading.greedy_moves(), expected)


@pytest.mark.parametrize("world", ["compositional", "split"])
def test_legality_of_an_edited_reading_by_hand(world: str) -> None:
    """The edited state is there in every run of a prefix that holds it, whatever has been written after it."""
    checkpoint, games, language = beginner(world), ended(random_games(8, board=4, seed=58), 7), 0
    direction = torch.randn(16, generator=torch.Generator().manual_seed(0))
    reading = checkpoint.read(games, language)
    table = legal_accuracy(reading.edited(Steer(direction, scale=2, layer=0, moves=3)))
    sums = np.zeros((6, 2))
    for game, move, _ in prefixes(checkpoint.mothello, games, language):
        moves, legal = games.moves[game, : move + 1], after(games, game, move)
        hooks: FwdHooks = []
        if move >= 3:
            place = spans(checkpoint, language, moves)[3][-1]
            hooks = [(hook_name(0), lambda state, hook, place=place: _add(state, place, 2 * direction))]
        chance = predicted(checkpoint, language, moves, language, hooks)
        sums[move] += greedy(checkpoint, language, moves, hooks) in legal, chance[legal].sum()
    np.testing.assert_allclose(table[["top1", "legal_mass"]], sums / len(games), atol=1e-5)
    plain = legal_accuracy(reading)
    assert (np.abs(table["legal_mass"] - plain["legal_mass"]) > 1e-5).tolist() == [False] * 3 + [True] * 3


def _add(activation: torch.Tensor, place: int, direction: torch.Tensor) -> torch.Tensor:
    activation[:, place] += direction
    return activation


@every_language
def test_the_table_by_hand(world: str, language: int) -> None:
    """Shares over games at each move, from the moves and the probabilities tested above."""
    checkpoint, games = beginner(world), some_games(24)
    mothello, reading = checkpoint.mothello, checkpoint.read(games, language)
    table, top, spread = legal_accuracy(reading), reading.greedy_moves(), reading.next_moves()
    assert list(table) == COLUMNS
    assert (table["language"] == language).all()
    assert table["move"].tolist() == list(range(11))
    for row in table.to_dict("records"):
        move = row["move"]
        playing = [game for game, length in enumerate(games.lengths) if length > move + 1]
        legal = {game: after(games, game, move) for game in playing}
        hits = [top[game, move] in squares for game, squares in legal.items()]
        masses = [spread[game, move, squares].sum() for game, squares in legal.items()]
        shared = [
            any(
                all(
                    tokens_of(mothello, other, square) == tokens_of(mothello, language, square)
                    for square in games.moves[game, : move + 1]
                )
                for other in mothello.inputs
                if other != language
            )
            for game in playing
        ]
        assert row["prefixes"] == len(playing)
        assert row["top1"] == pytest.approx(np.mean(hits))
        assert row["legal_mass"] == pytest.approx(np.mean(masses))
        assert row["chance"] == pytest.approx(np.mean([len(squares) for squares in legal.values()]) / (11 - move))
        assert row["open"] == pytest.approx(np.mean(shared))
    assert 0 < np.average(table["top1"], weights=table["prefixes"]) < 1


def test_accuracy_without_anchors_by_hand() -> None:
    """Predictions that are anchors are left out of top1_own, prefixes of anchors alone out of top1_known."""
    checkpoint, games = beginner("atomic"), random_games(200, board=4, seed=1)
    anchors = {square for square, group in checkpoint.mothello.groups if 0 in group}
    table = legal_accuracy(checkpoint.read(games, 0), mass=False)
    row, legal, top = table.iloc[0], replay(games).legal[:, 1], checkpoint.read(games, 0).greedy_moves()[:, 0]
    hit = np.array([legal[game, square] if square >= 0 else False for game, square in enumerate(top)])
    own = np.array([square not in anchors for square in top])
    known = np.array([first not in anchors for first in games.moves[:, 0]])
    assert 0.1 < row["open"] < 0.5
    assert not table["open"].iloc[1:].any()
    assert row["open"] == pytest.approx(1 - known.mean())
    assert row["top1"] == pytest.approx(hit.mean())
    assert row["top1_known"] == pytest.approx(hit[known].mean())
    assert row["top1_own"] == pytest.approx(hit[own].mean(), nan_ok=True)


def test_languages_stand_in_one_table_and_the_mass_may_be_left_out() -> None:
    checkpoint, games = beginner("unified"), some_games(4)
    table = legal_accuracy(checkpoint.readings(games))
    assert table["language"].unique().tolist() == [1, 2]
    alone = legal_accuracy(checkpoint.read(games, 2))
    pd.testing.assert_frame_equal(table[table["language"] == 2].reset_index(drop=True), alone)
    without = legal_accuracy(checkpoint.readings(games), mass=False)
    pd.testing.assert_frame_equal(without, table.assign(legal_mass=np.nan))
    assert summary(without)["legal_mass"].isna().all()


def test_the_summary_is_over_prefixes() -> None:
    checkpoint, games = beginner("atomic"), some_games(24)
    table = legal_accuracy(checkpoint.readings(games))
    found = summary(table)
    assert list(found) == ["language", "top1", "legal_mass", "prefixes"]
    assert found["prefixes"].tolist() == [int((games.lengths - 1).sum())] * 2
    for row in found.to_dict("records"):
        own = table[table["language"] == row["language"]]
        for name in ("top1", "legal_mass"):
            assert row[name] == pytest.approx(np.average(own[name], weights=own["prefixes"]))
            assert row[name] != pytest.approx(own[name].mean(), abs=1e-6)


@pytest.mark.parametrize("transcripts", [[], ["b1"]], ids=["no games", "no second move"])
def test_nothing_to_measure(checkpoint: Checkpoint, transcripts: list[str]) -> None:
    assert list(legal_accuracy(checkpoint.readings(Games.from_transcripts(transcripts, 4)))) == COLUMNS


def test_final_moves_that_find_no_room() -> None:
    """A move of three tokens after a game almost as long as the context."""
    games = random_games(60, board=4, seed=3)
    games = games[games.lengths > 11][:4]
    split = tiny_checkpoint("split")
    with pytest.raises(ValueError, match="a move of language 0 take 24 tokens, the context has room for 23"):
        split.read(ended(games, 11), 1).final_moves(0)
    assert split.read(ended(games, 10), 1).final_moves(0).shape == (4, 16)

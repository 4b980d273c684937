"""Activations: the right rows of the right layer, whatever the batch, and labels that follow the engine."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp import activations as module
from mothello_interp.activations import all_layers, collect
from mothello_interp.forward import hook_name
from mothello_interp.languages import Encoded, Mothello
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, full_length, random_games
from tests.conftest import WORLDS, every_world, tiny_checkpoint
from tests.othello import reference


def some_games(n: int = 24) -> Games:
    """Finished games, games that end early with all passes, and unfinished ones down to a single move."""
    games = random_games(n, board=4, seed=31)
    ends = np.where(np.arange(n) % 5 == 0, 1 + np.arange(n) % 12, full_length(4))
    return Games(np.where(np.arange(full_length(4)) < ends[:, None], games.moves, -1), 4)


def test_where_a_layer_is_read(checkpoint: Checkpoint) -> None:
    assert hook_name(-1) == "blocks.0.hook_resid_pre"
    assert hook_name(1) == "blocks.1.hook_resid_post"
    assert all_layers(checkpoint) == (-1, 0, 1)


def test_rows_are_the_moves_that_a_model_reads(checkpoint: Checkpoint) -> None:
    """All moves but the last of a full game; the last move of a game that ended early has a row."""
    games = some_games()
    rows = collect(checkpoint, games)
    expected = [(game, move) for game, length in enumerate(games.lengths) for move in range(min(length, 11))]
    assert list(zip(rows.game.tolist(), rows.move.tolist(), strict=True)) == expected
    full, early = games.lengths == 12, (games.lengths < 12) & (np.arange(24) % 5 > 0)
    assert full.any()
    assert early.any()
    for game in np.flatnonzero(full):
        assert rows.move[rows.game == game].max() == 10
    for game in np.flatnonzero(early):
        assert rows.move[rows.game == game].max() == games.lengths[game] - 1
    assert rows.values.shape == (2, 3, len(expected), 16)
    assert rows.values.dtype == torch.float32
    assert (rows.languages, rows.layers, rows.games) == ((0, 1), (-1, 0, 1), games)


@every_world
def test_rows_are_those_of_run_with_cache(world: str) -> None:
    """One game at a time, without padding, at the last token of each move."""
    checkpoint, games = tiny_checkpoint(world), some_games()
    mothello = checkpoint.mothello
    rows = collect(checkpoint, games)
    for language in mothello.inputs:
        for game in range(len(games)):
            moves = [int(move) for move in games.moves[game] if move >= 0]
            words = [[int(token) for token in mothello.move_tokens[language, move] if token] for move in moves]
            ends = np.cumsum([len(word) for word in words]) - 1
            text = [token for word in words for token in word][: mothello.n_ctx]
            with torch.inference_mode():
                _, cache = checkpoint.model.run_with_cache(torch.tensor([text]))
            here = rows.game == game
            places = ends[rows.move[here]]
            for layer in (-1, 0, 1):
                expected = cache["resid_pre", 0] if layer == -1 else cache["resid_post", layer]
                found = rows.at(language, layer)[torch.from_numpy(here)]
                torch.testing.assert_close(found, expected[0, places], atol=1e-5, rtol=1e-5)


def test_layer_minus_one_is_the_embeddings(checkpoint: Checkpoint) -> None:
    games = some_games()
    rows = collect(checkpoint, games, layers=[-1])
    for language in (0, 1):
        token = checkpoint.mothello.move_tokens[language, games.moves[rows.game, rows.move], 0]
        with torch.inference_mode():
            expected = checkpoint.model.W_E[token] + checkpoint.model.W_pos[rows.move]
        torch.testing.assert_close(rows.at(language, -1), expected)


def test_layers_and_languages_are_kept_in_the_order_asked_for() -> None:
    checkpoint, games = tiny_checkpoint("unified"), some_games()
    rows = collect(checkpoint, games)
    assert rows.languages == (1, 2)
    some = collect(checkpoint, games, layers=[1, -1], languages=[2])
    assert (some.layers, some.languages, some.values.shape[:2]) == ((1, -1), (2,), (1, 2))
    for layer in (1, -1):
        assert torch.equal(some.at(2, layer), rows.at(2, layer))
        assert not torch.equal(some.at(2, layer), rows.at(1, layer))


@every_world
def test_batches_are_their_games_one_by_one(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, games = tiny_checkpoint(world), some_games()
    whole = collect(checkpoint, games)
    single = [collect(checkpoint, games[game : game + 1]) for game in range(len(games))]
    torch.testing.assert_close(torch.cat([rows.values for rows in single], dim=2), whole.values, atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(module, "_CELLS", 100)
    batched = collect(checkpoint, games)
    torch.testing.assert_close(batched.values, whole.values, atol=1e-5, rtol=1e-5)
    assert np.array_equal(batched.game, whole.game)


@every_world
def test_other_pad_tokens_change_nothing(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, games = tiny_checkpoint(world), some_games()
    before = collect(checkpoint, games)
    encode = Mothello.encode

    def noisy(self: Mothello, games: Games, language: int) -> Encoded:
        encoded = encode(self, games, language)
        noise = np.random.default_rng(0).integers(1, self.d_vocab, encoded.tokens.shape, dtype=np.int32)
        assert (encoded.tokens == 0).any()
        return Encoded(np.where(encoded.tokens == 0, noise, encoded.tokens), encoded.last)

    monkeypatch.setattr(Mothello, "encode", noisy)
    assert torch.equal(collect(checkpoint, games).values, before.values)


def test_labels_in_the_absolute_frame(checkpoint: Checkpoint) -> None:
    """Against the reference engine: 0 white, 1 empty, 2 black, on every row."""
    games = some_games()
    rows = collect(checkpoint, games, layers=[-1])
    kept, classes = rows.labels("absolute")
    assert np.array_equal(kept, np.arange(len(rows.game)))
    assert classes.dtype == np.int8
    for row in kept:
        position = after(games, rows.game[row], rows.move[row])
        expected = [1 + position.discs.get(divmod(square, 4), 0) for square in range(16)]
        assert classes[row].tolist() == expected


def test_labels_in_the_relative_frame(checkpoint: Checkpoint) -> None:
    """0 theirs, 1 empty, 2 mine, by who moves next; positions where nobody moves are left out."""
    games = some_games()
    rows = collect(checkpoint, games, layers=[-1])
    kept, classes = rows.labels("relative")
    positions = [after(games, game, move) for game, move in zip(rows.game, rows.move, strict=True)]
    assert kept.tolist() == [row for row, position in enumerate(positions) if position.mover]
    assert len(kept) < len(positions)
    by_parity = 0
    for row, found in zip(kept, classes, strict=True):
        position = positions[row]
        expected = [1 + position.mover * position.discs.get(divmod(square, 4), 0) for square in range(16)]
        assert found.tolist() == expected
        by_parity += position.mover == (-1) ** (rows.move[row] + 1)
    assert 0 < by_parity < len(kept)


def after(games: Games, game: int, move: int) -> Any:
    """The position behind a move, by the reference engine."""
    return reference.positions(games.moves[game, : move + 1].tolist(), 4)[-1]


def test_no_games(checkpoint: Checkpoint) -> None:
    assert collect(checkpoint, some_games()[:0]).values.shape == (2, 3, 0, 16)


def test_a_frame_that_is_none(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match=r"frame='mine': choose .absolute. .* or .relative."):
        collect(checkpoint, some_games(2)).labels("mine")  # type: ignore[arg-type]


@pytest.mark.parametrize("layer", [-2, 2])
def test_a_layer_that_is_none(checkpoint: Checkpoint, layer: int) -> None:
    with pytest.raises(ValueError, match=re.escape(f"layer {layer}: tiny/atomic has layers [-1, 0, 1]")):
        collect(checkpoint, some_games(2), layers=[0, layer])


@pytest.mark.parametrize(("world", "language"), [("atomic", 2), ("unified", 0)])
def test_a_language_that_is_none(world: str, language: int) -> None:
    assert world in WORLDS
    with pytest.raises(ValueError, match=f"language {language} is no input language of this Mothello: choose from"):
        collect(tiny_checkpoint(world), some_games(2), languages=[language])


def test_games_on_another_board(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="board"):
        collect(checkpoint, random_games(2, board=6, seed=0))


def test_no_layers(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="layers="):
        collect(checkpoint, some_games(2), layers=[])

"""Activations: the right rows of the right layer, whatever the batch, and labels that follow the engine."""

from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import Frame, all_layers, collect
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, random_games
from tests.cases import ended, limit, spans, written
from tests.conftest import every_world, tiny_checkpoint
from tests.othello import reference


def some_games(n: int = 24) -> Games:
    """Finished games, games that end early with all passes, and unfinished ones down to a single move."""
    return ended(random_games(n, board=4, seed=31), np.where(np.arange(n) % 5 == 0, 1 + np.arange(n) % 12, 12))


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
    """One game at a time, without padding, at the last token of each move; layer -1 is the embeddings."""
    checkpoint, games = tiny_checkpoint(world), some_games()
    mothello: Any = checkpoint.mothello
    rows = collect(checkpoint, games)
    assert rows.layers == all_layers(checkpoint) == (-1, 0, 1)
    for language in mothello.inputs:
        for game, moves in enumerate(games.moves):
            tokens = written(checkpoint, language, moves)[:, : mothello.n_ctx]
            with torch.inference_mode():
                _, cache = checkpoint.model.run_with_cache(tokens)
                embedded = checkpoint.model.W_E[tokens[0]] + checkpoint.model.W_pos[: tokens.shape[1]]
            here = rows.game == game
            ends = [place[-1] for place in spans(checkpoint, language, moves)]
            places = np.array(ends)[rows.move[here]]
            for layer, expected in ((-1, embedded), (0, cache["resid_post", 0][0]), (1, cache["resid_post", 1][0])):
                found = rows.at(language, layer)[torch.from_numpy(here)]
                torch.testing.assert_close(found, expected[places], atol=1e-5, rtol=1e-5)


def test_layers_and_languages_are_kept_in_the_order_asked_for() -> None:
    checkpoint, games = tiny_checkpoint("unified"), some_games()
    rows = collect(checkpoint, games)
    assert rows.languages == (1, 2)
    some = collect(checkpoint, games, layers=[1, -1], languages=[2])
    assert (some.layers, some.languages, some.values.shape[:2]) == ((1, -1), (2,), (1, 2))
    for layer in (1, -1):
        assert torch.equal(some.at(2, layer), rows.at(2, layer))
        assert not torch.equal(some.at(2, layer), rows.at(1, layer))


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint, games = tiny_checkpoint("split"), some_games()
    expected = collect(checkpoint, games)
    limit(monkeypatch, 100)
    torch.testing.assert_close(collect(checkpoint, games).values, expected.values, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frame", ["absolute", "relative"])
def test_labels_are_the_reference_engines_boards(checkpoint: Checkpoint, frame: Frame) -> None:
    """0 white, 1 empty, 2 black; or 0 theirs, 1 empty, 2 mine, by who moves next, where somebody does."""
    games = some_games()
    rows = collect(checkpoint, games, layers=[-1])
    positions = [after(games, game, move) for game, move in zip(rows.game, rows.move, strict=True)]
    kept, classes = rows.labels(frame)
    assert classes.dtype == np.int8
    assert kept.tolist() == [row for row, found in enumerate(positions) if found.mover or frame == "absolute"]
    by_parity = 0
    for row, found in zip(kept, classes, strict=True):
        sign = positions[row].mover if frame == "relative" else 1
        assert found.tolist() == [1 + sign * positions[row].discs.get(divmod(square, 4), 0) for square in range(16)]
        by_parity += sign == (-1) ** (rows.move[row] + 1)
    assert 0 < by_parity < len(kept)
    assert (len(kept) < len(positions)) == (frame == "relative")


def after(games: Games, game: int, move: int) -> Any:
    """The position behind a move, by the reference engine."""
    return reference.positions(games.moves[game, : move + 1].tolist(), 4)[-1]


def test_no_games(checkpoint: Checkpoint) -> None:
    assert collect(checkpoint, some_games()[:0]).values.shape == (2, 3, 0, 16)


def test_what_cannot_be_collected(checkpoint: Checkpoint) -> None:
    games = some_games(2)
    for layer in (-2, 2):
        with pytest.raises(ValueError, match=rf"layer {layer}: this model has layers -1 \(the embeddings\) to 1"):
            collect(checkpoint, games, layers=[0, layer])
    nothings: tuple[dict[str, list[int]], ...] = ({"layers": []}, {"languages": []})
    for nothing in nothings:
        with pytest.raises(ValueError, match="name at least one of each"):
            collect(checkpoint, games, **nothing)


def test_what_activations_do_not_hold(checkpoint: Checkpoint) -> None:
    rows = collect(checkpoint, some_games(2), layers=[0])
    with pytest.raises(ValueError, match="language 0 at layer 1 was not collected"):
        rows.at(0, 1)
    with pytest.raises(ValueError, match=r"frame='mine': choose .absolute. .* or .relative."):
        rows.labels("mine")  # type: ignore[arg-type]

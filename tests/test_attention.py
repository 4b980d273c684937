"""Attention by move: TransformerLens' own patterns, added up by hand, and a planted model whose heads are known."""

import numpy as np
import pytest
import torch

from mothello_interp.attention import attention_by_move, attention_overlap
from mothello_interp.othello import random_games
from tests.cases import limit, spans, written
from tests.conftest import every_world, tiny_checkpoint
from tests.planted import MOVES, openings, planted

GAMES = random_games(6, board=4, seed=3)


@every_world
def test_attention_by_hand(world: str) -> None:
    """One game and move at a time, from runs without padding."""
    checkpoint = tiny_checkpoint(world)
    for reading in checkpoint.readings(GAMES):
        found = attention_by_move(reading)
        assert found.shape == (2, 2, 6, 12, 12)
        for game, moves in enumerate(GAMES.moves):
            tokens = written(checkpoint, reading.language, moves)[:, : checkpoint.mothello.n_ctx]
            with torch.inference_mode():
                _, cache = checkpoint.model.run_with_cache(tokens)
            places = spans(checkpoint, reading.language, moves)
            expected = torch.zeros(2, 2, 12, 12)
            for move, query in enumerate(places[:11]):
                for key in range(move + 1):
                    for layer in range(2):
                        weights = cache[f"blocks.{layer}.attn.hook_pattern"][0, :, query[-1], places[key]]
                        expected[layer, :, move, key] = weights.sum(-1)
            torch.testing.assert_close(found[:, :, game], expected, atol=1e-5, rtol=0)
        read = found.sum(-1)
        torch.testing.assert_close(read, (read > 0.5).float(), atol=1e-5, rtol=0)


def test_batches_are_their_games(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = tiny_checkpoint("split").read(GAMES, 0)
    expected = attention_by_move(reading)
    limit(monkeypatch, 50)
    torch.testing.assert_close(attention_by_move(reading), expected, atol=1e-5, rtol=0)


def test_planted_heads_look_alike_in_both_languages() -> None:
    """In block 0, head h reads position h whatever the language and the game."""
    source, target = planted().readings(openings(8, seed=2))
    table = attention_overlap(source, target, resamples=5).set_index(["layer", "head"])
    found = attention_by_move(source)
    for head in range(MOVES):
        torch.testing.assert_close(found[0, head, :, MOVES - 1, head], torch.ones(8))
        values = table.loc[(0, head), ["overlap", "low", "high", "floor"]].to_numpy(float)
        np.testing.assert_allclose(values, 1, atol=1e-4)


def test_the_overlap_by_hand() -> None:
    """The smaller weight of each move, added up; with the next game's at the same move number it is the floor."""
    games = random_games(9, board=4, seed=5)
    source, target = tiny_checkpoint().readings(games)
    ours, theirs = attention_by_move(source), attention_by_move(target)
    table = attention_overlap(source, target, resamples=50)
    assert [*zip(table["layer"], table["head"], strict=True)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for row in table.to_dict("records"):
        values, floors = [], []
        for move in range(1, 11):
            playing = np.flatnonzero(games.lengths > move)
            for game, other in zip(playing, np.roll(playing, -1), strict=True):
                mine = ours[row["layer"], row["head"], game, move]
                pair = (theirs[row["layer"], row["head"], one, move] for one in (game, other))
                value, floor = (float(torch.minimum(mine, one).sum()) for one in pair)
                values.append(value)
                floors.append(floor)
        assert row["overlap"] == pytest.approx(np.mean(values), abs=1e-5)
        assert row["floor"] == pytest.approx(np.mean(floors), abs=1e-5)
        assert row["low"] <= row["overlap"] <= row["high"]
    itself = attention_overlap(source, source, resamples=5)
    np.testing.assert_allclose(itself["overlap"], 1, atol=1e-5)
    assert (itself["floor"] < 0.99).all()


def test_the_overlap_follows_its_seed() -> None:
    first, again, other = (attention_overlap(*tiny_checkpoint().readings(GAMES), seed=seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert (first["low"] != other["low"]).any()
    assert (first["floor"] == other["floor"]).all()


def test_games_that_do_not_suffice() -> None:
    source, target = tiny_checkpoint().readings(GAMES)
    with pytest.raises(ValueError, match="1 and 1 games: expected the same two or more"):
        attention_overlap(source.of(GAMES[:1]), target.of(GAMES[:1]))
    with pytest.raises(ValueError, match="3 and 3 games: expected the same"):
        attention_overlap(source.of(GAMES[:3]), target.of(GAMES[3:]))
    with pytest.raises(ValueError, match="0 games: pass at least one"):
        attention_by_move(source.of(GAMES[:0]))

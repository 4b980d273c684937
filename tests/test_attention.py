"""Attention by move: TransformerLens' own patterns, added up by hand, and a planted model whose heads are known."""

import numpy as np
import pytest
import torch

from mothello_interp import attention
from mothello_interp.attention import attention_by_move, attention_overlap
from mothello_interp.othello import Games, random_games
from tests.conftest import every_world, tiny_checkpoint
from tests.patching.cases import written
from tests.planted import MOVES, openings, planted

GAMES = random_games(6, board=4, seed=3)


@every_world
def test_attention_by_hand(world: str) -> None:
    """One game and move at a time, from runs without padding."""
    checkpoint = tiny_checkpoint(world)
    for language in checkpoint.mothello.inputs:
        found = attention_by_move(checkpoint, GAMES, language)
        assert found.shape == (2, 2, 6, 12, 12)
        for game, moves in enumerate(GAMES.moves):
            text, ends = written(checkpoint.mothello, language, moves)
            text = text[:, : checkpoint.mothello.n_ctx]
            with torch.inference_mode():
                _, cache = checkpoint.model.run_with_cache(text)
            expected = torch.zeros(2, 2, 12, 12)
            for layer in range(2):
                pattern = cache[f"blocks.{layer}.attn.hook_pattern"][0]
                for move, end in enumerate(ends):
                    for key, start in enumerate([0, *[place + 1 for place in ends[:-1]]]):
                        if end < text.shape[1] and key <= move:
                            expected[layer, :, move, key] = pattern[:, end, start : ends[key] + 1].sum(-1)
            torch.testing.assert_close(found[:, :, game], expected, atol=1e-5, rtol=0)
        read = found.sum(-1)
        torch.testing.assert_close(read, (read > 0.5).float(), atol=1e-5, rtol=0)


def test_batches_are_their_games(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = attention_by_move(tiny_checkpoint("split"), GAMES, 0)
    monkeypatch.setattr(attention, "_CELLS", 50)
    torch.testing.assert_close(attention_by_move(tiny_checkpoint("split"), GAMES, 0), expected, atol=1e-5, rtol=0)


def test_planted_heads_look_alike_in_both_languages() -> None:
    """In block 0, head h reads position h whatever the language and the game."""
    games = openings(8, seed=2)
    table = attention_overlap(planted(), games, 0, 1, resamples=5).set_index(["layer", "head"])
    found = attention_by_move(planted(), games, 0)
    for head in range(MOVES):
        torch.testing.assert_close(found[0, head, :, MOVES - 1, head], torch.ones(8))
        np.testing.assert_allclose(
            table.loc[(0, head), ["overlap", "low", "high", "zero"]].to_numpy(float), 1, atol=1e-4
        )


def test_the_overlap_by_hand() -> None:
    """The smaller weight of each move, added up; of itself it is 1, of another game it is less."""
    checkpoint, games = tiny_checkpoint(), random_games(9, board=4, seed=5)
    one, other = (attention_by_move(checkpoint, games, language) for language in (0, 1))
    table = attention_overlap(checkpoint, games, 0, 1, resamples=50)
    assert [*zip(table["layer"], table["head"], strict=True)] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for row in table.to_dict("records"):
        values = []
        for game, length in enumerate(games.lengths):
            for move in range(1, min(int(length), 11)):
                pair = one[row["layer"], row["head"], game, move], other[row["layer"], row["head"], game, move]
                values.append(float(torch.minimum(*pair).sum()))
        assert row["overlap"] == pytest.approx(np.mean(values), abs=1e-5)
        assert row["low"] <= row["overlap"] <= row["high"]
    itself = attention_overlap(checkpoint, games, 0, 0, resamples=5)
    np.testing.assert_allclose(itself["overlap"], 1, atol=1e-5)
    assert (itself["zero"] < 0.99).all()


def test_the_overlap_follows_its_seed() -> None:
    first, again, other = (attention_overlap(tiny_checkpoint(), GAMES, 0, 1, seed=seed) for seed in (0, 0, 1))
    assert first.equals(again)
    assert (first["low"] != other["low"]).any()
    assert (first["zero"] == other["zero"]).all()


def test_games_without_another() -> None:
    with pytest.raises(ValueError, match="1 games: two or more are needed"):
        attention_overlap(tiny_checkpoint(), Games(GAMES.moves[:1], 4), 0, 1)


def test_no_games() -> None:
    with pytest.raises(ValueError, match="0 games: pass at least one"):
        attention_by_move(tiny_checkpoint(), GAMES[:0], 0)

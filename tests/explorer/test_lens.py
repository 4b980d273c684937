"""The lens at one position: by hand, a token at a time, and on a model whose layers are known."""

import numpy as np
import pytest

from mothello_interp.explorer import State, view
from mothello_interp.explorer.lens import lens, states_by_layer
from mothello_interp.forward import hook_name
from mothello_interp.othello import random_games, replay, square_name
from tests.cases import ended, state_at
from tests.conftest import every_world, tiny_checkpoint
from tests.planted import LAYERS, openings, planted


@every_world
def test_every_layer_by_hand(world: str) -> None:
    """Of a move of several tokens the first alone; tokens of other languages keep their language's name."""
    checkpoint, game = tiny_checkpoint(world), ended(random_games(1, board=4, seed=1), 5)
    mothello = checkpoint.mothello
    for language in mothello.inputs:
        reading = checkpoint.read(game, language)
        output, squares = mothello.output_of(language), np.flatnonzero(replay(game).legal[0, 5])
        right = sorted({int(mothello.move_tokens[output, square, 0]) for square in squares})
        own = {mothello.vocabulary[token].split(":")[1] for token in mothello.tokens_of(output)}
        found = lens(reading, states_by_layer(reading)[:, -1], top=mothello.d_vocab)
        assert [row.layer for row in found] == [-1, 0, 1]
        for row in found:
            state = state_at(checkpoint, language, game.moves[0], 4, hook_name(row.layer))
            logits = checkpoint.model.unembed(checkpoint.model.ln_final(state[None, None]))
            chance = logits.softmax(-1)[0, 0].detach().numpy()
            assert row.legal == pytest.approx(chance[right].sum(), abs=1e-5)
            assert [p for _, p, _ in row.top] == pytest.approx(sorted(chance, reverse=True), abs=1e-5)
            assert sum(p for _, p, begins in row.top if begins) == pytest.approx(row.legal, abs=1e-5)
            assert {name for name, _, _ in row.top if ":" not in name} == own | {"<pad>"}


def test_a_model_without_a_last_norm_that_decides_at_the_end() -> None:
    """Before its last layer every token is as likely as another; then the legal moves are, and only they."""
    checkpoint, game = planted(), openings(1, seed=1)
    [column] = view(State(checkpoint, game, move=2, language=1))["columns"]
    legal = np.flatnonzero(replay(game).legal[0, 2]).tolist()
    uniform = len(legal) / checkpoint.mothello.d_vocab
    assert [row["legal"] for row in column["lens"]] == pytest.approx([uniform] * LAYERS + [1.0], abs=1e-4)
    assert {name for name, _, _ in column["lens"][-1]["top"]} <= {square_name(square, 4) for square in legal}
    assert all(begins for _, _, begins in column["lens"][-1]["top"])

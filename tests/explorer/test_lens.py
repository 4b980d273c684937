"""The lens at one position: by hand, a token at a time, and on a model whose layers are known."""

import numpy as np
import pytest

from mothello_interp.activations import collect
from mothello_interp.explorer import Reader, State, view
from mothello_interp.explorer.lens import lens
from mothello_interp.othello import random_games, replay, square_name
from tests.conftest import every_world, tiny_checkpoint
from tests.planted import LAYERS, openings, planted


@every_world
def test_every_layer_by_hand(world: str) -> None:
    """In words of several tokens the first alone; tokens of other languages keep their language's name."""
    checkpoint, game = tiny_checkpoint(world), random_games(1, board=4, seed=1)
    mothello, legal = checkpoint.mothello, replay(game).legal[0, 5]
    for language in mothello.inputs:
        rows = collect(checkpoint, game, languages=[language]).values[0, :, 4]
        shares = checkpoint.model.unembed(checkpoint.model.ln_final(rows[None])).softmax(-1)[0].detach().numpy()
        answer = mothello.output_of(language)
        right = {int(mothello.move_tokens[answer, square, 0]) for square in np.flatnonzero(legal)}
        found = lens(checkpoint, rows, language, legal, top=mothello.d_vocab)
        assert [row.layer for row in found] == [-1, 0, 1]
        for row, expected in zip(found, shares, strict=True):
            assert row.legal == pytest.approx(expected[list(right)].sum(), abs=1e-5)
            assert [p for _, p, _ in row.top] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
            assert sum(p for _, p, begins in row.top if begins) == pytest.approx(row.legal, abs=1e-5)
            own = {mothello.vocabulary[token].split(":")[1] for token in mothello.tokens_of(answer)}
            assert {name for name, _, _ in row.top if ":" not in name} == own | {"<pad>"}


def test_a_model_without_a_last_norm_that_decides_at_the_end() -> None:
    """Before its last layer every token is as likely as another; then the legal moves are, and only they."""
    checkpoint, game = planted(), openings(1, seed=1)
    state = State(checkpoint, game, move=2, language=1)
    [column] = view(state, Reader(checkpoint))["columns"]
    legal = np.flatnonzero(replay(game).legal[0, 2]).tolist()
    tokens = checkpoint.mothello.d_vocab
    assert [row["legal"] for row in column["lens"]] == pytest.approx([len(legal) / tokens] * LAYERS + [1.0], abs=1e-4)
    likeliest = {name for name, _, _ in column["lens"][-1]["top"]}
    assert likeliest <= {square_name(square, 4) for square in legal}
    assert all(begins for _, _, begins in column["lens"][-1]["top"])

"""The logit lens: TransformerLens' own reading of the residual stream, tables by hand, and a model whose layers are known."""

from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import collect
from mothello_interp.lens import fit_translators, lens_logits, logit_lens
from mothello_interp.models import Checkpoint
from mothello_interp.othello import Games, random_games, replay
from tests.conftest import every_world, tiny_checkpoint
from tests.planted import LAYERS, openings, planted

GAMES = random_games(6, board=4, seed=3)


@every_world
def test_every_layer_is_read_as_by_transformer_lens(world: str) -> None:
    """With the norm computed anew for each layer; the last layer is the model's own answer."""
    checkpoint = tiny_checkpoint(world)
    tokens = checkpoint.tokens(GAMES, checkpoint.mothello.inputs[-1])
    run_with_cache: Any = checkpoint.model.run_with_cache
    with torch.inference_mode():
        logits, cache = run_with_cache(tokens)
        layers = cache.accumulated_resid()
        theirs = checkpoint.model.unembed(cache.apply_ln_to_stack(layers, recompute_ln=True))
        found = lens_logits(checkpoint.model, layers)
    assert found.shape == (3, *logits.shape)
    torch.testing.assert_close(found, theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[-1], logits, atol=1e-5, rtol=0)
    assert (found[0] - logits).abs().max() > 0.1


@every_world
def test_the_table_by_hand(world: str) -> None:
    """Masses of each language's tokens and of its legal moves, one row and token at a time."""
    checkpoint = tiny_checkpoint(world)
    mothello, legal = checkpoint.mothello, replay(GAMES).legal
    table = logit_lens(checkpoint, GAMES, resamples=20)
    for language in mothello.inputs:
        rows, spoken = collect(checkpoint, GAMES), mothello.output_of(language)
        for layer in rows.layers:
            logits = lens_logits(checkpoint.model, rows.at(language, layer)).detach().softmax(-1).double().numpy()
            final = lens_logits(checkpoint.model, rows.at(language, rows.layers[-1])).detach().softmax(-1).numpy()
            sums: dict[tuple[int, bool], float] = {}
            entropy = kl = count = 0.0
            for game, move, p, q in zip(rows.game, rows.move, logits, final, strict=True):
                squares = np.flatnonzero(legal[game, move + 1])
                if not len(squares):
                    continue
                count += 1
                entropy -= (p * np.log(p)).sum()
                kl += (q * np.log(q / p)).sum()
                for token in range(mothello.d_vocab):
                    writers = [one for one in range(len(mothello.languages)) if token in mothello.tokens_of(one)]
                    answer = -1 if token in mothello.anchor_tokens or token == 0 else writers[0]
                    words = mothello.move_tokens[spoken if answer < 0 else answer]
                    right = bool(token > 0 and any(words[square, 0] == token for square in squares))
                    sums[answer, right] = sums.get((answer, right), 0.0) + p[token]
            here = table[(table["layer"] == layer) & (table["language"] == language)]
            assert here["mass"].sum() == pytest.approx(1, abs=1e-5)
            assert here["answer"].tolist() == [*range(len(mothello.languages)), -1]
            for row in here.to_dict("records"):
                hits, misses = (sums.get((row["answer"], kind), 0.0) / count for kind in (True, False))
                assert row["mass"] == pytest.approx(hits + misses, abs=1e-5)
                assert row["legal_mass"] == pytest.approx(hits, abs=1e-5)
                assert row["entropy"] == pytest.approx(entropy / count, abs=1e-4)
                assert row["kl"] == pytest.approx(kl / count, abs=1e-4)
                assert row["speaks"] == (row["answer"] == spoken)
                assert (row["kind"], row["rows"], row["games"]) == ("identity", count, len(GAMES))


def test_a_model_that_decides_at_the_end() -> None:
    """All layers before the last are silent: each token is as likely as another. Then the legal moves, in its own words."""
    table = logit_lens(planted(), openings(40, seed=1), resamples=20)
    before, after = table[table["layer"] < LAYERS - 1], table[table["layer"] == LAYERS - 1]
    np.testing.assert_allclose(before[before["answer"] >= 0]["mass"], 12 / 25, atol=1e-5)
    np.testing.assert_allclose(before["entropy"], np.log(25), atol=1e-4)
    np.testing.assert_allclose(after["legal_mass"], after["speaks"].astype(float), atol=1e-5)
    np.testing.assert_allclose(after["kl"], 0, atol=1e-5)


def test_intervals_and_seeds() -> None:
    table = logit_lens(tiny_checkpoint(), GAMES, resamples=200, seed=1)
    assert (table["low"] <= table["mass"]).all()
    assert (table["mass"] <= table["high"]).all()
    assert ((table["kl_low"] <= table["kl"]) & (table["kl"] <= table["kl_high"])).all()
    assert (table["high"] - table["low"]).max() > 0.01
    assert table.equals(logit_lens(tiny_checkpoint(), GAMES, resamples=200, seed=1))
    assert not table.equals(logit_lens(tiny_checkpoint(), GAMES, resamples=200, seed=2))


def test_translators_come_before_the_lens() -> None:
    checkpoint = tiny_checkpoint()
    translators = fit_translators(checkpoint, GAMES, epochs=1, batch=16)
    table = logit_lens(checkpoint, GAMES, translators=translators, languages=[0])
    assert set(table["kind"]) == {"affine"}
    assert set(table["language"]) == {0}
    rows = collect(checkpoint, GAMES)
    kept = np.flatnonzero(rows.boards.legal[rows.game, rows.move + 1].any(axis=1))
    said = lens_logits(checkpoint.model, translators.apply(rows.at(0, 0), 0)).detach().softmax(-1)[kept]
    own = said[:, checkpoint.mothello.owners == 0].sum(1).mean()
    row = table[(table["layer"] == 0) & table["speaks"]].iloc[0]
    assert row["mass"] == pytest.approx(float(own), abs=1e-5)


def test_nothing_to_predict(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="0 games without a move that another one follows"):
        logit_lens(checkpoint, Games(GAMES.moves[:0], 4))

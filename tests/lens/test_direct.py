"""Direct logit attribution: a sum that is exact, TransformerLens' own decomposition, and a model whose parts are known."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp.lens import attribute, direct_logits
from mothello_interp.models import Checkpoint, build_model
from mothello_interp.othello import random_games, replay
from tests.conftest import every_world, scramble, tiny_checkpoint, tiny_spec
from tests.planted import LAYERS, MOVES, openings, planted

GAMES = random_games(12, board=4, seed=3)


def logits_of(checkpoint: Checkpoint, language: int, game: np.ndarray, move: np.ndarray) -> torch.Tensor:
    """The model's logits behind each move, `[row vocab]`."""
    last = checkpoint.mothello.encode(GAMES, language).last
    with torch.inference_mode():
        logits: torch.Tensor = checkpoint.model(checkpoint.tokens(GAMES, language))
    return logits[game, last[game, move].astype(np.int64)]


def check_sum(checkpoint: Checkpoint) -> None:
    for language in checkpoint.mothello.inputs:
        found = direct_logits(checkpoint, GAMES, language)
        assert found.values.shape == (len(found.components), len(found.game), checkpoint.mothello.d_vocab)
        expected = logits_of(checkpoint, language, found.game, found.move)
        torch.testing.assert_close(found.values.sum(0), expected, atol=1e-4, rtol=1e-5)
        assert expected.std() > 0.1


@every_world
def test_components_add_up_to_the_logits(world: str) -> None:
    """Norms with weights and biases, biases everywhere."""
    check_sum(tiny_checkpoint(world))


@pytest.mark.parametrize("norm", ["RMS", "LNPre", None])
def test_components_add_up_under_other_norms(norm: str | None) -> None:
    """And without position embeddings."""
    spec = tiny_spec()
    shape: dict[str, Any] = {"n_layers": 2, "d_model": 16, "n_heads": 2, "d_head": 8, "d_mlp": 64, "act_fn": "gelu"}
    kinds: dict[str, Any] = {"normalization_type": norm, "positional_embedding_type": "rotary", "rotary_dim": 8}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = HookedTransformerConfig(**shape, **kinds, n_ctx=spec.mothello.n_ctx, d_vocab=spec.mothello.d_vocab)
        model = HookedTransformer(config)
    scramble(model)
    check_sum(Checkpoint(model.eval(), spec, {"seed": 0}, "other"))


def test_a_norm_that_is_not_known() -> None:
    checkpoint = tiny_checkpoint()
    kind = checkpoint.model.cfg.normalization_type
    try:
        checkpoint.model.cfg.normalization_type = "batch"
        with pytest.raises(ValueError, match="normalization_type='batch': expected LN, LNPre, RMS, RMSPre or None"):
            direct_logits(checkpoint, GAMES, 0)
    finally:
        checkpoint.model.cfg.normalization_type = kind


def test_components_are_those_of_transformer_lens() -> None:
    """Under a last norm without weights of its own, since TransformerLens leaves those out."""
    model: Any = build_model(tiny_spec(), seed=0).eval()
    scramble(model)
    torch.nn.init.ones_(model.ln_final.w)
    torch.nn.init.zeros_(model.ln_final.b)
    torch.nn.init.zeros_(model.unembed.b_U)
    checkpoint = Checkpoint(model, tiny_spec(), {"seed": 0}, "plain")
    found = direct_logits(checkpoint, GAMES, 1)
    with torch.inference_mode():
        _, cache = model.run_with_cache(checkpoint.tokens(GAMES, 1))
        stack, labels = cache.get_full_resid_decomposition(expand_neurons=False, return_labels=True)
        for token in (1, 7, model.cfg.d_vocab - 1):
            theirs = cache.logit_attrs(stack, token)[:, found.game, found.move]  # atomic: a move is a position
            for name, values in zip(labels, theirs, strict=True):
                ours = found.values[found.components.index(name), :, token]
                torch.testing.assert_close(ours, values, atol=1e-4, rtol=0)
    assert sorted(labels) == sorted(found.components)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = direct_logits(tiny_checkpoint("split"), GAMES, 0)
    monkeypatch.setattr("mothello_interp.lens.direct._CELLS", 60)
    found = direct_logits(tiny_checkpoint("split"), GAMES, 0)
    torch.testing.assert_close(found.values, expected.values, atol=1e-5, rtol=0)


def test_who_says_what_in_a_known_model() -> None:
    """The last MLP alone names squares, the last block's first head alone names the language."""
    table = attribute(planted(), openings(40, seed=1), resamples=20)
    assert len(table) == 2 * 2 * (3 + LAYERS * (MOVES + 1))
    sums = table.groupby(["language", "contrast"])["value"].sum()
    for language in (0, 1):
        for contrast, component in (("move", f"{LAYERS - 1}_mlp_out"), ("language", f"L{LAYERS - 1}H0")):
            here = table[(table["language"] == language) & (table["contrast"] == contrast)].set_index("component")
            assert here["value"].loc[component] > 10
            assert here["value"].loc[component] == pytest.approx(sums[language, contrast])
            if contrast == "move":  # squares of one language share its loudness
                others = here.drop(component)
                np.testing.assert_allclose(others["value"].astype(float), 0, atol=1e-4)


@every_world
def test_contrasts_by_hand(world: str) -> None:
    """The values add up to the contrasts of the model's logits, one row at a time."""
    checkpoint = tiny_checkpoint(world)
    mothello, boards = checkpoint.mothello, replay(GAMES)
    table = attribute(checkpoint, GAMES, resamples=20)
    for language in mothello.inputs:
        spoken = mothello.output_of(language)
        split = direct_logits(checkpoint, GAMES, language)
        logits = logits_of(checkpoint, language, split.game, split.move).double().numpy()
        anchors = set(mothello.anchor_tokens.tolist())
        own = sorted(set(mothello.tokens_of(spoken).tolist()) - anchors)
        rest = sorted(set(range(1, mothello.d_vocab)) - anchors - set(own))
        moves, tongues = [], []
        for game, move, row in zip(split.game, split.move, logits, strict=True):
            legal = np.flatnonzero(boards.legal[game, move + 1])
            empty = np.flatnonzero((boards.state[game, move] == 0) & ~boards.legal[game, move + 1])
            right = {int(mothello.move_tokens[spoken, square, 0]) for square in legal} - {0}
            wrong = {int(mothello.move_tokens[spoken, square, 0]) for square in empty} - {0} - right
            if right and wrong:
                moves.append(row[sorted(right)].mean() - row[sorted(wrong)].mean())
            tongues.append(row[own].mean() - row[rest].mean())
        sums = table[table["language"] == language].groupby("contrast")["value"].sum()
        assert sums["move"] == pytest.approx(np.mean(moves), abs=1e-4)
        assert sums["language"] == pytest.approx(np.mean(tongues), abs=1e-4)
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    heads = table[table["part"] == "head"]
    assert (heads["component"] == "L" + heads["layer"].astype(str) + "H" + heads["head"].astype(str)).all()
    assert set(table[table["layer"] == -1]["part"]) == {"embed", "pos_embed", "bias"}


def test_no_games() -> None:
    with pytest.raises(ValueError, match="0 games: pass at least one"):
        attribute(tiny_checkpoint(), GAMES[:0])

"""The logit lens by hand, TransformerLens' own, and the tuned lens on models whose remaining layers only shift or rotate."""

from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.activations import collect
from mothello_interp.interventions import Steer
from mothello_interp.lens import LogitLens, TunedLens, fit_tuned_lens, logit_lens
from mothello_interp.models import Checkpoint, ModelSpec
from mothello_interp.othello import Games, random_games, replay
from tests.architectures import LINEAR, NOT_LINEAR, architecture, built
from tests.conftest import every_world, tiny_checkpoint

GAMES = random_games(6, board=4, seed=3)
FIT, SCORE = random_games(300, board=4, seed=1), random_games(40, board=4, seed=2)
_WIDTH = 12


@pytest.mark.parametrize("kind", ["LN", *LINEAR, *NOT_LINEAR])
def test_the_lens_of_the_last_layer_is_the_model(kind: str) -> None:
    checkpoint = architecture(kind)
    reading, lens = checkpoint.read(GAMES, 1), LogitLens(checkpoint.model)
    game, move = reading.rows
    with torch.inference_mode():
        logits = checkpoint.model(reading.tokens)[game, reading.last[game, move]]
        torch.testing.assert_close(lens.logits(reading.states(1), 1), logits, atol=1e-5, rtol=1e-5)
        assert (lens.logits(reading.states(0), 0) - logits).abs().max() > 0.1


@every_world
def test_every_layer_is_decoded_as_by_transformer_lens(world: str) -> None:
    """With the norm computed anew for each layer."""
    checkpoint = tiny_checkpoint(world)
    reading, model = checkpoint.read(GAMES, checkpoint.mothello.inputs[-1]), checkpoint.model
    game, move = reading.rows
    with torch.inference_mode():
        _, cache = model.run_with_cache(reading.tokens)
        stack = cache.accumulated_resid()
        assert isinstance(stack, torch.Tensor)
        expected = model.unembed(cache.apply_ln_to_stack(stack, recompute_ln=True))
        for layer, logits in zip((-1, 0, 1), expected[:, game, reading.last[game, move]], strict=True):
            found = LogitLens(model).logits(reading.states(layer), layer)
            torch.testing.assert_close(found, logits, atol=1e-5, rtol=0)


@every_world
def test_the_table_by_hand(world: str) -> None:
    """Masses of each language's tokens and of its legal moves, one row and token at a time."""
    checkpoint = tiny_checkpoint(world)
    mothello, legal, rows = checkpoint.mothello, replay(GAMES).legal, collect(checkpoint, GAMES)
    table, lens = logit_lens(checkpoint.readings(GAMES), resamples=20), LogitLens(checkpoint.model)
    for language in mothello.inputs:
        output, final = mothello.output_of(language), probabilities(lens, rows.at(language, 1), 1)
        for layer in rows.layers:
            sums: dict[tuple[int, bool], float] = {}
            entropy = kl = count = 0.0
            here = probabilities(lens, rows.at(language, layer), layer)
            for game, move, p, q in zip(rows.game, rows.move, here, final, strict=True):
                squares = np.flatnonzero(legal[game, move + 1])
                if not len(squares):
                    continue
                count += 1
                entropy -= (p * np.log(p)).sum()
                kl += (q * np.log(q / p)).sum()
                for token in range(mothello.d_vocab):
                    writers = [one for one in range(len(mothello.languages)) if token in mothello.tokens_of(one)]
                    target = -1 if token in mothello.anchor_tokens or token == 0 else writers[0]
                    words = mothello.move_tokens[output if target < 0 else target]
                    right = bool(token > 0 and any(words[square, 0] == token for square in squares))
                    sums[target, right] = sums.get((target, right), 0.0) + p[token]
            found = table[(table["layer"] == layer) & (table["source"] == language)]
            assert found["mass"].sum() == pytest.approx(1, abs=1e-5)
            assert found["target"].tolist() == [*range(len(mothello.languages)), -1]
            for row in found.to_dict("records"):
                hits, misses = (sums.get((row["target"], kind), 0.0) / count for kind in (True, False))
                assert row["mass"] == pytest.approx(hits + misses, abs=1e-5)
                assert row["legal_mass"] == pytest.approx(hits, abs=1e-5)
                assert row["entropy"] == pytest.approx(entropy / count, abs=1e-4)
                assert row["kl"] == pytest.approx(kl / count, abs=1e-4)
                assert row["is_output"] == (row["target"] == output)
                assert (row["kind"], row["rows"], row["games"]) == ("identity", count, len(GAMES))


def probabilities(lens: LogitLens | TunedLens, rows: torch.Tensor, layer: int) -> np.ndarray:
    return lens.logits(rows, layer).detach().softmax(-1).double().numpy()


def test_the_table_of_an_edited_reading_is_that_of_the_edited_run() -> None:
    reading = tiny_checkpoint("split").read(GAMES, 0)
    reading = reading.edited(Steer(torch.ones(16), layer=0))
    game, move = (rows[replay(GAMES).mover[reading.rows[0], reading.rows[1] + 1] != 0] for rows in reading.rows)
    with torch.inference_mode(), reading.hooks() as model:
        chance = model(reading.tokens)[game, reading.last[game, move]].softmax(-1).numpy()
    table = logit_lens(reading, resamples=2).query("layer == 1").set_index("target")
    for target in (0, 1):
        expected = chance[:, reading.checkpoint.mothello.owners == target].sum(1).mean()
        assert table.loc[target, "mass"] == pytest.approx(expected, abs=1e-5)
    assert table["kl"].max() == pytest.approx(0, abs=1e-6)


def test_intervals_hold_their_values_and_follow_the_seed() -> None:
    readings = tiny_checkpoint().readings(GAMES)
    table, again, other = (logit_lens(readings, resamples=200, seed=seed) for seed in (1, 1, 2))
    for name, prefix in (("mass", ""), ("kl", "kl_")):
        assert table[name].between(table[f"{prefix}low"], table[f"{prefix}high"]).all()
    assert (table["high"] - table["low"]).max() > 0.01
    assert table.equals(again)
    assert not table.equals(other)


def test_nothing_to_predict(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="1 games without a move that another one follows"):
        logit_lens(checkpoint.read(Games(np.full((1, 12), -1, np.int8), 4), 0))


def without_norm(*, rotates: bool) -> Checkpoint:
    """Two blocks that each add a constant, or a linear image of their input: relu(x) - relu(-x) is x."""
    sizes: dict[str, Any] = {"n_layers": 2, "d_model": _WIDTH, "n_heads": 1, "d_mlp": 2 * _WIDTH}
    spec = ModelSpec.read({"world": {"board": 4, "languages": ["atomic", "atomic"]}, "model": sizes}, "linear")
    checkpoint = built(spec, normalization_type=None, act_fn="relu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in checkpoint.model.parameters():
            weight.zero_()
        model: Any = checkpoint.model
        for weight in (model.embed.W_E, model.pos_embed.W_pos, model.unembed.W_U):
            weight.normal_(generator=generator)
        for block in model.blocks:
            if rotates:
                block.mlp.W_in.copy_(torch.cat([torch.eye(_WIDTH), -torch.eye(_WIDTH)], 1))
                mixed = torch.randn(_WIDTH, _WIDTH, generator=generator) / _WIDTH**0.5
                block.mlp.W_out.copy_(torch.cat([mixed, -mixed]))
            else:
                block.mlp.b_out.normal_(generator=generator)
    return checkpoint


def fitted(checkpoint: Checkpoint, **options: Any) -> TunedLens:
    return fit_tuned_lens(collect(checkpoint, FIT), checkpoint.model, **options)


def scores(checkpoint: Checkpoint, lens: TunedLens | None) -> list[float]:
    """KL at the layers before the last, on other games."""
    means = logit_lens(checkpoint.readings(SCORE), lens, resamples=2).groupby("layer")["kl"].mean()
    assert means[1] == pytest.approx(0, abs=1e-5)
    return [float(means[layer]) for layer in (-1, 0)]


def test_a_shift_is_found_by_both_kinds_of_tuned_lens() -> None:
    checkpoint = without_norm(rotates=False)
    assert min(scores(checkpoint, None)) > 0.3
    assert max(scores(checkpoint, fitted(checkpoint, kind="bias", epochs=10))) < 0.01
    assert max(scores(checkpoint, fitted(checkpoint, kind="affine", epochs=10))) < 0.02


def test_a_rotation_is_found_by_the_affine_lens_alone() -> None:
    checkpoint = without_norm(rotates=True)
    assert min(scores(checkpoint, None)) > 0.3
    assert min(scores(checkpoint, fitted(checkpoint, kind="bias", epochs=10))) > 0.3
    assert max(scores(checkpoint, fitted(checkpoint, kind="affine", epochs=20))) < 0.06


def test_a_tuned_lens_maps_every_layer_but_the_last(checkpoint: Checkpoint) -> None:
    model, plain = checkpoint.model, LogitLens(checkpoint.model)
    found = fit_tuned_lens(collect(checkpoint, FIT, languages=[1]), model, kind="bias", epochs=1)
    assert (found.kind, found.layers, found.languages) == ("bias", (-1, 0), (1,))
    assert (found.weight.shape, found.bias.shape) == ((2, 16, 16), (2, 16))
    assert not found.weight.any()
    assert found.bias.any()
    affine = fitted(checkpoint, epochs=1)
    for layer in (-1, 0, 1):
        rows = collect(checkpoint, SCORE).at(0, layer)
        mapped = rows + rows @ affine.weight[layer + 1] + affine.bias[layer + 1] if layer < 1 else rows
        torch.testing.assert_close(affine.logits(rows, layer), plain.logits(mapped, layer))
    reading = checkpoint.read(SCORE, 0)
    table, states = logit_lens(reading, affine, resamples=2), collect(checkpoint, SCORE, layers=[0])
    assert set(table["kind"]) == {"affine"}
    kept = np.flatnonzero(states.boards.legal[states.game, states.move + 1].any(axis=1))
    own = probabilities(affine, states.at(0, 0), 0)[kept][:, checkpoint.mothello.owners == 0].sum(1).mean()
    assert table[(table["layer"] == 0) & table["is_output"]]["mass"].item() == pytest.approx(own, abs=1e-5)


def test_fitting_follows_its_seed_and_leaves_the_model_alone(checkpoint: Checkpoint) -> None:
    before = [weight.clone() for weight in checkpoint.model.parameters()]
    first, again, other = (fitted(checkpoint, epochs=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert all(torch.equal(old, new) for old, new in zip(before, checkpoint.model.parameters(), strict=True))
    assert all(weight.grad is None for weight in checkpoint.model.parameters())


def test_what_cannot_be_fitted_or_decoded(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match='kind=\'linear\': choose "affine" or "bias"'):
        fitted(checkpoint, kind="linear")
    with pytest.raises(ValueError, match=r"\d+ rows: fewer than one batch of 256"):
        fit_tuned_lens(collect(checkpoint, FIT[:4]), checkpoint.model)
    with pytest.raises(ValueError, match=r"rows of layers \[0\]: expected all, -1 to 1"):
        fit_tuned_lens(collect(checkpoint, FIT, layers=[0]), checkpoint.model)
    lens = fitted(checkpoint, epochs=1)
    with pytest.raises(ValueError, match=r"layer 3: this lens was fitted at layers \[-1, 0\]"):
        lens.logits(torch.zeros(2, 16), 3)
    with pytest.raises(ValueError, match=r"rows of shape \(2, 8\): this lens takes \[row 16\]"):
        lens.logits(torch.zeros(2, 8), 0)

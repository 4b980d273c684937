"""Direct logit attribution: a sum that is exact, TransformerLens' own decomposition, and a model whose parts are known."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mothello_interp.attribution import direct_logit_attribution, direct_logits
from mothello_interp.interventions import Ablate, Steer
from mothello_interp.models import Checkpoint, build_model
from mothello_interp.othello import random_games, replay
from mothello_interp.reading import Reading
from tests.architectures import LINEAR, NOT_LINEAR, architecture
from tests.cases import limit
from tests.conftest import every_world, scramble, tiny_checkpoint, tiny_spec

GAMES = random_games(12, board=4, seed=3)


def logits_of(reading: Reading, game: np.ndarray, move: np.ndarray) -> torch.Tensor:
    """The model's logits after each move, `[row vocab]`."""
    with torch.inference_mode(), reading.hooks() as model:
        logits: torch.Tensor = model(reading.tokens)
    return logits[game, reading.last[game, move]]


def check_sum(reading: Reading) -> None:
    found = direct_logits(reading)
    assert list(zip(found.game, found.move, strict=True)) == [
        (game, move) for game, length in enumerate(GAMES.lengths) for move in range(length - 1)
    ]
    expected = logits_of(reading, found.game, found.move)
    torch.testing.assert_close(found.values.sum(0), expected, atol=1e-4, rtol=1e-5)
    assert expected.std() > 0.1


@every_world
def test_components_add_up_to_the_logits(world: str) -> None:
    """Norms with weights and biases, biases everywhere, moves of several tokens."""
    for reading in tiny_checkpoint(world).readings(GAMES):
        check_sum(reading)


@pytest.mark.parametrize("kind", LINEAR)
def test_components_add_up_in_other_architectures(kind: str) -> None:
    check_sum(architecture(kind).read(GAMES, 1))


@pytest.mark.parametrize("kind", NOT_LINEAR)
def test_logits_that_are_no_sum_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="soft caps, norms after attention or the MLP"):
        direct_logits(architecture(kind).read(GAMES, 1))


def test_components_of_an_edited_reading(checkpoint: Checkpoint) -> None:
    """A head that is ablated writes nothing; what is added to the residual stream is no component."""
    reading = checkpoint.read(GAMES, 0).edited(Ablate("zero", layer=0, hook="z", head=1))
    check_sum(reading)
    found = direct_logits(reading)
    assert not found.values[found.components.index("L0H1")].any()
    with pytest.raises(ValueError, match="edits of the residual stream"):
        direct_logits(checkpoint.read(GAMES, 0).edited(Steer(torch.randn(16), layer=0)))


def test_components_are_those_of_transformer_lens() -> None:
    """Under a last norm without weights of its own, since TransformerLens leaves those out."""
    model: Any = build_model(tiny_spec(), seed=0).eval()
    scramble(model)
    torch.nn.init.ones_(model.ln_final.w)
    torch.nn.init.zeros_(model.ln_final.b)
    torch.nn.init.zeros_(model.unembed.b_U)
    reading = Checkpoint(model, tiny_spec(), {"seed": 0}, "plain").read(GAMES, 1)
    found = direct_logits(reading)
    with torch.inference_mode():
        _, cache = model.run_with_cache(reading.tokens)
        stack, labels = cache.get_full_resid_decomposition(expand_neurons=False, return_labels=True)
        for token in (1, 7, model.cfg.d_vocab - 1):
            theirs = cache.logit_attrs(stack, token)[:, found.game, found.move]  # atomic: a move is a position
            for name, values in zip(labels, theirs, strict=True):
                ours = found.values[found.components.index(name), :, token]
                torch.testing.assert_close(ours, values, atol=1e-4, rtol=0)
    assert sorted(labels) == sorted(found.components)


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = tiny_checkpoint("split").read(GAMES, 0)
    expected = direct_logits(reading)
    limit(monkeypatch, 60)
    torch.testing.assert_close(direct_logits(reading).values, expected.values, atol=1e-5, rtol=0)


@every_world
def test_contrasts_by_hand(world: str) -> None:
    """The values add up to the contrasts of the model's logits, one row at a time."""
    checkpoint = tiny_checkpoint(world)
    mothello, boards = checkpoint.mothello, replay(GAMES)
    table = direct_logit_attribution(checkpoint.readings(GAMES), resamples=20)
    for reading in checkpoint.readings(GAMES):
        output, split = reading.output, direct_logits(reading)
        logits = logits_of(reading, split.game, split.move).double().numpy()
        anchors = set(mothello.anchor_tokens.tolist())
        own = sorted(set(mothello.tokens_of(output).tolist()) - anchors)
        rest = sorted(set(range(1, mothello.d_vocab)) - anchors - set(own))
        moves, languages = [], []
        for game, move, row in zip(split.game, split.move, logits, strict=True):
            legal = np.flatnonzero(boards.legal[game, move + 1])
            empty = np.flatnonzero((boards.state[game, move] == 0) & ~boards.legal[game, move + 1])
            right = {int(mothello.move_tokens[output, square, 0]) for square in legal} - {0}
            wrong = {int(mothello.move_tokens[output, square, 0]) for square in empty} - {0} - right
            if right and wrong:
                moves.append(row[sorted(right)].mean() - row[sorted(wrong)].mean())
            languages.append(row[own].mean() - row[rest].mean())
        sums = table[table["language"] == reading.language].groupby("contrast")["value"].sum()
        assert sums["move"] == pytest.approx(np.mean(moves), abs=1e-4)
        assert sums["language"] == pytest.approx(np.mean(languages), abs=1e-4)
    assert table["value"].between(table["low"], table["high"]).all()
    heads = table[table["part"] == "head"]
    assert (heads["component"] == "L" + heads["layer"].astype(str) + "H" + heads["head"].astype(str)).all()
    assert set(table[table["layer"] == -1]["part"]) == {"embed", "pos_embed", "bias"}


def test_half_precision_is_refused() -> None:
    checkpoint = tiny_checkpoint()
    half = replace(checkpoint, model=deepcopy(checkpoint.model).bfloat16())
    with pytest.raises(ValueError, match=r"in torch.bfloat16"):
        direct_logits(half.read(random_games(3, board=4, seed=0), 0))

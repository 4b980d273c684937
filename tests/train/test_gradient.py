"""The gradient of a batch that is read in parts, one for each width, is that of the whole batch."""

from shutil import which
from typing import Any, Literal

import pytest
import torch
from transformer_lens import HookedTransformer

from mothello_interp.corpus import Corpus
from mothello_interp.languages import Mothello
from mothello_interp.models import ModelSpec, build_model
from tests.conftest import scramble, tiny_spec
from train import gradient as module
from train.gradient import add_gradients
from train.parallel import Processes
from train.step import entropy_sum, loss_sum

Gradients = dict[str, torch.Tensor]
THREE = {
    "world": {"board": 4, "languages": [{"type": "split", "seed": 1}, "compositional", "atomic"]},
    "model": {"n_layers": 2, "d_model": 16, "n_heads": 2},
}


def read_world(world: str) -> tuple[HookedTransformer, Mothello]:
    """A model of random parameters, and its languages; "three" is a world of three types in two widths."""
    spec = tiny_spec(world) if world != "three" else ModelSpec.read(THREE, "tiny")
    model = build_model(spec, seed=0)
    scramble(model)
    return model, spec.mothello


def gradients(model: HookedTransformer) -> Gradients:
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def fused(
    corpus: Corpus, world: str, *, n: int = 24, rank: int = 0, seed: tuple[int, ...] = (0,), dropout: float = 0.0
) -> tuple[Gradients, dict[str, float]]:
    """Gradients and sums of one batch."""
    model, _ = read_world(world)
    processes = Processes("cpu")
    processes.rank = rank
    sums = add_gradients(model, corpus.batch(0, n), corpus, processes, seed=seed, dropout=dropout)
    return gradients(model), sums


def plain(corpus: Corpus, world: str) -> tuple[Gradients, dict[str, float]]:
    """The same from HookedTransformer on the whole batch, padded to one width."""
    model, _ = read_world(world)
    batch = corpus.batch(0, 24)
    targets = torch.from_numpy(batch.targets)
    loss, count = loss_sum(model(torch.from_numpy(batch.tokens).long()), targets)
    (loss / count).backward()
    floor = entropy_sum(targets).item() if targets.ndim == 3 else 0.0
    return gradients(model), {"loss": loss.item(), "positions": count.item(), "floor": floor}


def calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """The second argument of every call to a function of the module, as it goes on."""
    seen = []
    whole = getattr(module, name)

    def watched(*arguments: Any, **settings: Any) -> Any:
        seen.append(arguments[1])
        return whole(*arguments, **settings)

    monkeypatch.setattr(module, name, watched)
    return seen


@pytest.mark.parametrize("world", ["compositional", "three", "unified"])
@pytest.mark.parametrize(("objective", "positions"), [("exact", None), ("exact", 90), ("sampled", 90)])
def test_parts_add_up_to_the_whole(
    monkeypatch: pytest.MonkeyPatch, world: str, objective: Literal["exact", "sampled"], positions: int | None
) -> None:
    monkeypatch.setattr(module, "POSITIONS", positions)
    corpus = Corpus(read_world(world)[1], seed=0, objective=objective)
    tokens = calls(monkeypatch, "fused_logits")
    found, sums = fused(corpus, world)
    expected, expected_sums = plain(corpus, world)
    assert sum(len(part) for part in tokens) == 24
    narrow, *_, wide = (part.shape[1] for part in tokens)
    assert narrow < wide == corpus.mothello.n_ctx
    assert len(tokens) == 2 if positions is None else len(tokens) > 4
    assert positions is None or max(part.numel() for part in tokens) <= positions
    assert sums == pytest.approx(expected_sums, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)


def test_what_is_dropped_depends_on_the_seed_alone() -> None:
    corpus = Corpus(tiny_spec("split").mothello, seed=0)
    seeds = ((1, 2), (1, 2), (1, 3))
    first, again, other = (fused(corpus, "split", seed=seed, dropout=0.3)[1]["loss"] for seed in seeds)
    assert first == again != other


def test_every_part_and_process_has_masks_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POSITIONS", 200)
    seeds = calls(monkeypatch, "_draws")
    corpus = Corpus(tiny_spec("compositional").mothello, seed=0)
    for rank in range(2):
        fused(corpus, "compositional", rank=rank, dropout=0.3)
    assert len(seeds) == len(set(seeds)) > 4


def test_a_process_without_games_adds_nothing() -> None:
    """As happens where there are more processes than games in a batch."""
    corpus = Corpus(tiny_spec().mothello, seed=0)
    found, sums = fused(corpus, "atomic", n=0)
    assert found == {}
    assert sums == {"loss": 0, "floor": 0, "positions": 0}


@pytest.mark.slow
@pytest.mark.skipif(which("c++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code while it compiles
def test_compiled_is_the_same_gradient() -> None:
    """Of languages in two widths, whose shares of a batch change from step to step."""
    model, mothello = read_world("three")
    corpus, processes = Corpus(mothello, 0), Processes("cpu")
    for start in (0, 24):
        found = []
        for compiled in (False, True):
            model.zero_grad()
            sums = add_gradients(model, corpus.batch(start, 24), corpus, processes, seed=(0,), compiled=compiled)
            found.append(({name: gradient.clone() for name, gradient in gradients(model).items()}, sums))
        (plainly, its_sums), (compiledly, their_sums) = found
        assert their_sums == pytest.approx(its_sums, rel=1e-5)
        for name, gradient in plainly.items():
            torch.testing.assert_close(compiledly[name], gradient, rtol=1e-4, atol=1e-6)

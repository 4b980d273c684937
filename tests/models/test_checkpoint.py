"""Checkpoints: what is saved comes back, whole or not at all; and names find the bundled ones."""

import json
import warnings
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mothello_interp.models import (
    Checkpoint,
    CheckpointError,
    ModelSpec,
    load_checkpoint,
    save_checkpoint,
)
from mothello_interp.models import checkpoint as checkpoint_module
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS, fingerprint
from tests.conftest import every_world, tiny_checkpoint, tiny_spec


def logits(checkpoint: Checkpoint) -> torch.Tensor:
    """What a model says about a fixed text."""
    tokens = torch.arange(2 * checkpoint.mothello.n_ctx).view(2, -1) % checkpoint.mothello.d_vocab
    with torch.inference_mode():
        result: torch.Tensor = checkpoint.model(tokens)
    return result


@pytest.fixture
def saved(tmp_path: Path, checkpoint: Checkpoint) -> Path:
    """A checkpoint on disk."""
    return save_checkpoint(tmp_path / "saved", checkpoint)


@every_world
def test_what_is_saved_comes_back(tmp_path: Path, world: str) -> None:
    before = tiny_checkpoint(world)
    folder = save_checkpoint(tmp_path / "run" / "checkpoint", before)
    assert folder == tmp_path / "run" / "checkpoint"
    after = load_checkpoint(folder)
    assert torch.equal(logits(after), logits(before))
    assert (after.spec, after.mothello, after.name) == (before.spec, before.mothello, "checkpoint")
    assert after.provenance == {"seed": 0}
    assert not after.model.training


def test_a_checkpoint_is_three_files(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == sorted([WEIGHTS, SPEC, PROVENANCE])
    hashes = {name: sha256((saved / name).read_bytes()).hexdigest() for name in (WEIGHTS, SPEC)}
    assert json.loads((saved / PROVENANCE).read_text(encoding="utf-8")) == {"seed": 0, "files": hashes}
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    assert saved.stat().st_mode & 0o777 == 0o755


def test_bfloat16_halves_the_file_and_rounds_the_weights(tmp_path: Path, saved: Path, checkpoint: Checkpoint) -> None:
    before = fingerprint(checkpoint)
    half = save_checkpoint(tmp_path / "half", checkpoint, dtype=torch.bfloat16)
    assert fingerprint(checkpoint) == before
    assert {weight.dtype for weight in load_file(half / WEIGHTS).values()} == {torch.bfloat16}
    assert (half / WEIGHTS).stat().st_size < 0.7 * (saved / WEIGHTS).stat().st_size
    again = dict(load_checkpoint(half).model.named_parameters())
    for name, weight in checkpoint.model.named_parameters():
        assert again[name].dtype == torch.float32
        assert torch.equal(again[name], weight.bfloat16().float())


def test_an_existing_folder_is_replaced_only_when_asked(saved: Path) -> None:
    other = tiny_checkpoint("split")
    with pytest.raises(FileExistsError, match="saved exists; choose another name or pass overwrite=True"):
        save_checkpoint(saved, other)
    assert load_checkpoint(saved).spec == tiny_spec()
    (saved / "stray").touch()
    save_checkpoint(saved, other, overwrite=True)
    assert torch.equal(logits(load_checkpoint(saved)), logits(other))
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    assert not (saved / "stray").exists()


def full_disk(*_: Any, **__: Any) -> None:
    """Stands in for anything that writes."""
    raise OSError(28, "No space left on device")


def half_written(path: Path, data: bytes) -> None:
    """A write that stops in the middle."""
    with path.open("wb") as file:
        file.write(data[:4])
    full_disk()


def refused(rename: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
    """A rename that fails the first time that something is put into place."""
    refusals = iter([True])

    def selective(path: Path, target: Path) -> Path:
        if target.name in ("new", "saved") and next(refusals, False):
            full_disk()
        return rename(path, target)

    return selective


@pytest.fixture(params=["weights", "spec", "rename", "rename into place"])
def failure(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the disk fills up."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "weights":
            patch.setattr(Path, "write_bytes", half_written)
        elif request.param == "rename into place":
            patch.setattr(checkpoint_module, "exchange", lambda one, other: False)
            patch.setattr(Path, "rename", refused(Path.rename))
        else:
            patch.setattr(checkpoint_module, "exchange", lambda one, other: False)
            patch.setattr(Path, {"spec": "write_text", "rename": "rename"}[request.param], full_disk)
        yield request.param


def test_a_failed_save_leaves_nothing(tmp_path: Path, checkpoint: Checkpoint, failure: str) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*new'"):
        save_checkpoint(tmp_path / "new", checkpoint)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_leaves_the_earlier_one(saved: Path, failure: str) -> None:
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(saved, tiny_checkpoint("split"), overwrite=True)
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]
    assert torch.equal(logits(load_checkpoint(saved)), logits(tiny_checkpoint()))


def test_provenance_that_is_no_json_leaves_nothing(tmp_path: Path, checkpoint: Checkpoint) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_checkpoint(tmp_path / "new", Checkpoint(checkpoint.model, checkpoint.spec, {"seed": {1}}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [WEIGHTS, SPEC, PROVENANCE])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=f"saved is no checkpoint: {name} missing"):
        load_checkpoint(saved)
    with pytest.raises(CheckpointError, match=f"{WEIGHTS}, {SPEC}, {PROVENANCE} missing"):
        load_checkpoint(saved / "nowhere")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (tiny_spec(n_layers=3), r"2 blocks, the spec asks for 3"),
        (tiny_spec(d_mlp=24), r"blocks\.0\.mlp\.W_in is \(16, 64\), the spec asks for \(16, 24\)"),
        (tiny_spec("split"), r"embed\.W_E is \(24, 16\)"),
    ],
    ids=["depth", "width", "vocabulary"],
)
def test_weights_that_do_not_fit_the_spec_are_named(saved: Path, spec: ModelSpec, message: str) -> None:
    (saved / PROVENANCE).write_text("{}", encoding="utf-8")  # without the hashes that tell of any change
    (saved / SPEC).write_text(spec.to_toml(), encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"does not fit spec\.toml: .*{message}"):
        load_checkpoint(saved)
    weights = load_file(saved / WEIGHTS)
    del weights["ln_final.b"]
    save_file(weights, saved / WEIGHTS)
    (saved / SPEC).write_text(tiny_spec().to_toml(), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"1 names differ, first 'ln_final\.b'"):
        load_checkpoint(saved)


@pytest.mark.parametrize("name", [WEIGHTS, SPEC])
def test_a_file_that_is_not_the_one_written_is_refused(saved: Path, name: str) -> None:
    """One bit of a weight, or another anchor of the same sizes."""
    data = (saved / name).read_bytes()
    changed = data[:-1] + bytes([data[-1] ^ 1]) if name == WEIGHTS else data.replace(b'"b1"', b'"a1"')
    assert changed != data
    (saved / name).write_bytes(changed)
    with pytest.raises(CheckpointError, match=f"{name} is not the file that was written"):
        load_checkpoint(saved)
    assert "files" not in load_checkpoint(save_checkpoint(saved.with_name("other"), tiny_checkpoint())).provenance


def test_a_checkpoint_is_replaced_in_one_step(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any step, there is one of both: no name is ever without a folder."""
    monkeypatch.setattr(Path, "rename", full_disk)
    save_checkpoint(saved, tiny_checkpoint("split"), overwrite=True)
    assert load_checkpoint(saved).spec == tiny_spec("split")
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


@pytest.mark.parametrize("keep", [0, 4, 1000, None])
def test_weights_cut_short_or_pickled_are_refused(saved: Path, keep: int | None) -> None:
    (saved / PROVENANCE).write_text("{}", encoding="utf-8")
    if keep is None:
        torch.save({"embed.W_E": torch.zeros(2)}, saved / WEIGHTS)
    else:
        (saved / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors cannot be read"):
        load_checkpoint(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"seed": ', ""), ('["seed"]', r"expected one table, found \['seed'\]"), ('{"files": 3}', "expected one table")],
)
def test_provenance_that_is_no_table_is_refused(saved: Path, text: str, message: str) -> None:
    (saved / PROVENANCE).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"provenance\.json cannot be read: {message}"):
        load_checkpoint(saved)


def test_the_untrained_control(checkpoint: Checkpoint) -> None:
    """Same architecture and languages, other weights, at the conventional scale; the model itself is not touched."""
    small = Checkpoint(checkpoint.model, tiny_spec(initializer_range=0.002, d_mlp=64), name="m")
    before = logits(checkpoint)
    control = small.untrained(seed=1)
    assert (control.name, control.provenance["steps"]) == ("m (random weights)", 0)
    assert control.mothello == small.mothello
    assert control.model.blocks[0].mlp.W_in.std().item() == pytest.approx(0.02, rel=0.2)
    assert torch.equal(logits(control), logits(small.untrained(seed=1)))
    assert not torch.equal(logits(control), logits(small.untrained(seed=2)))
    assert torch.equal(logits(checkpoint), before)


def own_model(**changes: Any) -> HookedTransformer:
    """A model made without this package, for the languages of `tiny_spec`."""
    mothello = tiny_spec().mothello
    sizes = {
        "n_layers": 2,
        "d_model": 16,
        "n_heads": 2,
        "d_head": 8,
        "n_ctx": mothello.n_ctx,
        "d_vocab": mothello.d_vocab,
    }
    config = {**sizes, "act_fn": "gelu", "normalization_type": "LN", "device": "cpu", "seed": 1, **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return HookedTransformer(HookedTransformerConfig(**config))


def test_a_longer_context_does_no_harm(tmp_path: Path) -> None:
    long = Checkpoint(own_model(n_ctx=40), tiny_spec())
    assert logits(long).shape == logits(tiny_checkpoint()).shape
    with pytest.raises(CheckpointError, match="a spec cannot describe this model: n_ctx is 40, by the spec 11"):
        save_checkpoint(tmp_path / "mine", long)


@pytest.mark.parametrize(
    ("name", "value"), [("d_vocab", 7), ("n_ctx", 5), ("d_model", 32), ("n_layers", 3), ("n_heads", 4)]
)
def test_a_model_that_does_not_fit_its_spec(name: str, value: int) -> None:
    with pytest.raises(CheckpointError, match=f"the model does not fit its spec: {name} is {value}, by the spec "):
        Checkpoint(own_model(**{name: value}), tiny_spec())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("act_fn", "relu"),
        ("normalization_type", "RMS"),
        ("positional_embedding_type", "shortformer"),
        ("output_logits_soft_cap", 3.0),
        ("attn_scores_soft_cap", 2.0),
        ("scale_attn_by_inverse_layer_idx", True),
        ("n_key_value_heads", 1),
    ],
)
def test_a_model_that_would_come_back_as_another_is_not_saved(tmp_path: Path, name: str, value: object) -> None:
    other = Checkpoint(own_model(**{name: value}), tiny_spec())
    with pytest.raises(CheckpointError, match=f"a spec cannot describe this model: {name} is {value!r}, by the spec"):
        save_checkpoint(tmp_path / "mine", other)
    assert list(tmp_path.iterdir()) == []


def shared(model: HookedTransformer) -> None:
    model.blocks[1].mlp = model.blocks[0].mlp


def tied(model: HookedTransformer) -> None:
    model.blocks[1].attn.b_O = model.blocks[0].attn.b_O


def other_nonlinearity(model: HookedTransformer) -> None:
    model.blocks[0].mlp.act_fn = torch.relu


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shared, r"blocks\.1\.mlp\.W_in is 'no weight of its own'"),
        (tied, r"blocks\.1\.attn\.b_O is 'no weight of its own'"),
        (other_nonlinearity, "changed by a module or hook"),
    ],
)
def test_modules_that_a_configuration_does_not_say_are_not_saved(
    tmp_path: Path, change: Callable[[HookedTransformer], None], message: str
) -> None:
    model = own_model()
    change(model)
    with pytest.raises(CheckpointError, match=message):
        save_checkpoint(tmp_path / "mine", Checkpoint(model, tiny_spec()))
    assert list(tmp_path.iterdir()) == []


def test_compiled_modules_are_unwrapped(tmp_path: Path) -> None:
    plain = Checkpoint(own_model(), tiny_spec())
    compiled: Any = torch.compile(own_model(), backend="eager")
    assert Checkpoint(compiled, tiny_spec()).model is compiled._orig_mod
    inside = Checkpoint(own_model(), tiny_spec())
    inside.model.blocks[0] = cast("Any", torch.compile(inside.model.blocks[0], backend="eager"))
    assert fingerprint(inside) == fingerprint(plain)
    assert torch.equal(logits(load_checkpoint(save_checkpoint(tmp_path / "mine", inside))), logits(plain))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_refused(saved: Path, value: float) -> None:
    model = own_model()
    torch.nn.init.constant_(model.blocks[1].mlp.W_in, value)
    with pytest.raises(CheckpointError, match=r"not finite, first blocks\.1\.mlp\.W_in"):
        Checkpoint(model, tiny_spec())
    weights = load_file(saved / WEIGHTS)
    weights["ln_final.b"][0] = value
    (saved / PROVENANCE).write_text("{}", encoding="utf-8")
    save_file(weights, saved / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"not finite, first ln_final\.b"):
        load_checkpoint(saved)


def test_a_type_that_spoils_the_weights_is_refused(tmp_path: Path) -> None:
    model = own_model()
    torch.nn.init.constant_(model.blocks[1].mlp.W_in, 1e5)
    for dtype in (torch.int8, torch.float16):
        with pytest.raises(CheckpointError, match=f"dtype={dtype}"):
            save_checkpoint(tmp_path / "mine", Checkpoint(model, tiny_spec()), dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_followed(tmp_path: Path, saved: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(saved, target_is_directory=True)
    save_checkpoint(link, tiny_checkpoint("split"), overwrite=True)
    assert link.is_symlink()
    assert load_checkpoint(saved).spec == tiny_spec("split")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "saved"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_checkpoint_is_not_replaced(tmp_path: Path, checkpoint: Checkpoint, kind: str) -> None:
    place = tmp_path / "work" / "notes"
    (place if kind == "folder" else place.parent).mkdir(parents=True)
    (place / "a" if kind == "folder" else place).write_text("dear")
    with pytest.raises(FileExistsError, match="is no checkpoint"):
        save_checkpoint(place, checkpoint, overwrite=True)
    assert (place / "a" if kind == "folder" else place).read_text() == "dear"


def test_the_fingerprint_is_of_values_whatever_their_type() -> None:
    half = Checkpoint(own_model().to(torch.bfloat16), tiny_spec())
    assert fingerprint(half) == fingerprint(Checkpoint(own_model().to(torch.bfloat16), tiny_spec()))
    assert fingerprint(half) != fingerprint(Checkpoint(own_model(), tiny_spec()))

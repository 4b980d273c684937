"""Models of the paper's authors (Hua et al. 2024): a minGPT state dict and a config file become a checkpoint of ours."""

import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_STORED, ZipFile

import torch
from einops import rearrange

from mothello_interp.hints import sha256_of
from mothello_interp.languages import authors_vocabulary, read_authors_config
from mothello_interp.models.build import build_model
from mothello_interp.models.checkpoint import Checkpoint, CheckpointError
from mothello_interp.models.spec import Architecture, ModelSpec, SpecError, World

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

Weights = dict[str, torch.Tensor]
_MASK = re.compile(r"blocks\.\d+\.attn\.mask")


def import_authors(weights: str | Path, config: str | Path, *, n_heads: int = 8) -> Checkpoint:
    """One of the authors' models, with the same logits: token by token those of theirs, in our numbering.

    Tokens that no move is written with (see `authors_vocabulary`) are left out and named in the provenance.

    Args:
        weights: a file of `torch.save(model.state_dict())`. Only tensors are read from it, no code is run.
        config: the file of `exp_configs` that the model was trained on.
        n_heads: heads of a layer, which the weights do not tell; theirs have 8.

    Returns:
        A checkpoint in evaluation mode. Its provenance names both files with their SHA-256.

    Raises:
        CheckpointError: for what is no such state dict, or does not fit the config or n_heads.
        SpecError: for what is no config of theirs.
    """
    try:
        mothello = read_authors_config(config)
    except ValueError as error:
        raise SpecError(str(error)) from None
    world = World(
        board=mothello.board,
        languages=mothello.languages,
        anchors=mothello.anchors,
        unified_output=mothello.unified_output,
    )
    vocabulary = authors_vocabulary(mothello)
    place = {name: index for index, name in enumerate(vocabulary)}
    order = torch.tensor([place[name] for name in mothello.vocabulary])
    shape = len(vocabulary), mothello.n_ctx
    architecture, converted = from_mingpt(read_tensors(weights), str(weights), shape, order, n_heads)
    spec = ModelSpec(world=world, model=architecture)
    model = model_with(spec, converted, str(weights))
    made = {
        "imported_from": "a checkpoint of the authors of arXiv 2404.12444",
        "weights": {"file": Path(weights).name, "sha256": sha256_of(weights)},
        "config": {"file": Path(config).name, "sha256": sha256_of(config)},
        "unused_tokens": sorted(set(vocabulary) - set(mothello.vocabulary)),
    }
    return Checkpoint(model, spec, made, Path(weights).stem)


def from_mingpt(
    stored: Weights, source: str, shape: tuple[int, int], order: torch.Tensor, n_heads: int
) -> tuple[Architecture, Weights]:
    """The sizes of a minGPT, and its weights as a HookedTransformer of ours has them.

    Args:
        stored: its state dict.
        source: what messages call it.
        shape: (d_vocab, n_ctx) that it must have.
        order: its number for each token of ours, int64 `[token]`.

    Raises:
        CheckpointError: for another model, or another number of heads than its width allows.
    """
    theirs = {name: value.float() for name, value in stored.items() if not _MASK.fullmatch(name)}
    embeddings, blocks = theirs.get("tok_emb.weight"), [name for name in theirs if name.startswith("blocks.")]
    if embeddings is None or embeddings.ndim != 2 or not blocks:
        raise CheckpointError(f"{source} is no minGPT: expected tok_emb.weight and blocks, not {list(theirs)[:3]}")
    d_model, n_layers = embeddings.shape[-1], len({name.split(".")[1] for name in blocks})
    if n_heads < 1 or d_model % n_heads:
        raise CheckpointError(f"{source} has a width of {d_model}, which n_heads={n_heads} does not divide")
    _check(theirs, source, n_layers, d_model, *shape)
    architecture = Architecture(n_layers=n_layers, d_model=d_model, n_heads=n_heads)
    return architecture, _converted(theirs, order, n_layers, n_heads)


def model_with(spec: ModelSpec, weights: Weights, source: str) -> "HookedTransformer":
    """The model of a spec with these weights, in evaluation mode.

    Raises:
        CheckpointError: for a name or shape that it does not have, or lacks, or values that are not finite.
    """
    model = build_model(spec, seed=0)
    expected = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    given = {name: tuple(weight.shape) for name, weight in weights.items()}
    if odd := sorted(name for name in expected.keys() | given if expected.get(name) != given.get(name)):
        differ = f"{odd[0]} is {given.get(odd[0], 'missing')}, expected {expected.get(odd[0], 'no such weight')}"
        raise CheckpointError(
            f"{source}: the weights do not fit {spec.model.n_layers} layers of {spec.model.d_model}: {differ}"
        )
    if spoilt := [name for name, weight in weights.items() if not weight.isfinite().all()]:
        raise CheckpointError(f"{source}: {spoilt[0]} holds values that are not finite")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model.eval()


def _converted(theirs: Weights, order: torch.Tensor, n_layers: int, n_heads: int) -> Weights:
    """Their weights under the names, shapes and token numbers of a HookedTransformer; `order` is `[token]`."""
    ours = {
        "embed.W_E": theirs["tok_emb.weight"][order],
        "pos_embed.W_pos": theirs["pos_emb"][0],
        "unembed.W_U": theirs["head.weight"][order].T,
        "unembed.b_U": torch.zeros(len(order), dtype=torch.float32),
    }
    norms = {"ln_f": "ln_final"}
    for layer in range(n_layers):
        block = f"blocks.{layer}"
        norms |= {f"{block}.{norm}": f"{block}.{norm}" for norm in ("ln1", "ln2")}
        for name, letter in (("query", "Q"), ("key", "K"), ("value", "V")):
            weight, bias = theirs[f"{block}.attn.{name}.weight"], theirs[f"{block}.attn.{name}.bias"]
            split = "(head d_head) d_model -> head d_model d_head"
            ours[f"{block}.attn.W_{letter}"] = rearrange(weight, split, head=n_heads)
            ours[f"{block}.attn.b_{letter}"] = rearrange(bias, "(head d_head) -> head d_head", head=n_heads)
        joined = "d_model (head d_head) -> head d_head d_model"
        ours[f"{block}.attn.W_O"] = rearrange(theirs[f"{block}.attn.proj.weight"], joined, head=n_heads)
        ours[f"{block}.attn.b_O"] = theirs[f"{block}.attn.proj.bias"]
        for index, way in ((0, "in"), (2, "out")):
            ours[f"{block}.mlp.W_{way}"] = theirs[f"{block}.mlp.{index}.weight"].T
            ours[f"{block}.mlp.b_{way}"] = theirs[f"{block}.mlp.{index}.bias"]
    for before, after in norms.items():
        ours |= {f"{after}.w": theirs[f"{before}.weight"], f"{after}.b": theirs[f"{before}.bias"]}
    return ours


def read_tensors(path: str | Path) -> Weights:
    """The tensors by name in a file of `torch.save(model.state_dict())`. No code in it is run.

    Raises:
        CheckpointError: for what is no such file.
    """
    data = BytesIO(Path(path).read_bytes())  # a missing file is none of the errors below
    try:
        with ZipFile(data) as archive:
            if packed := [part.filename for part in archive.infolist() if part.compress_type != ZIP_STORED]:
                raise ValueError(f"{packed[0]!r} in it is compressed, which torch.save does not do")
        data.seek(0)
        stored = torch.load(data, map_location="cpu", weights_only=True)
        _check_tensors(stored, len(data.getbuffer()))
    except Exception as error:  # zipfile and torch's unpickler have many ways to say that bytes are spoilt
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is no state dict of tensors alone: {reason}") from None
    return stored


def _check_tensors(stored: object, size: int) -> None:
    """ValueError for anything but plain tensors by name, together no larger than the file that they were in."""
    if not isinstance(stored, dict) or not all(isinstance(name, str) for name in stored):
        raise ValueError("expected torch.save(model.state_dict()), tensors by name")
    for name, value in stored.items():
        plain = type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout == torch.strided
        if not plain or value.device.type != "cpu" or value.is_complex() or value.is_quantized:
            raise ValueError(f"{name!r:.60} is no plain tensor")
    if (asked := sum(value.numel() * value.element_size() for value in stored.values())) > 2 * size:
        raise ValueError(f"its tensors have {asked} bytes, and the file {size}")


def _check(theirs: Weights, source: str, n_layers: int, d_model: int, d_vocab: int, n_ctx: int) -> None:
    """The names and shapes that a minGPT of these sizes has, and no others."""
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("tok_emb.weight", "head.weight"), (d_vocab, d_model))
    shapes["pos_emb"] = (1, n_ctx, d_model)
    linear = {f"attn.{name}": (d_model, d_model) for name in ("key", "query", "value", "proj")}
    linear |= {"mlp.0": (4 * d_model, d_model), "mlp.2": (d_model, 4 * d_model)}
    norms = ["ln_f"]
    for layer in range(n_layers):
        norms += [f"blocks.{layer}.ln1", f"blocks.{layer}.ln2"]
        for name, shape in linear.items():
            shapes |= {f"blocks.{layer}.{name}.weight": shape, f"blocks.{layer}.{name}.bias": shape[:1]}
    for norm in norms:
        shapes |= {f"{norm}.weight": (d_model,), f"{norm}.bias": (d_model,)}
    if odd := sorted(theirs.keys() ^ shapes.keys()):
        differ = f"{odd[0]!r} is {'unknown' if odd[0] in theirs else 'missing'} ({len(odd)} names differ)"
        raise CheckpointError(f"{source} is no minGPT of {n_layers} layers: {differ}")
    for name, expected in shapes.items():
        if (given := tuple(theirs[name].shape)) != expected:
            raise CheckpointError(f"{source} does not fit: {name} is {given}, expected {expected}")

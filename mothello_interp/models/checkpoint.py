"""Checkpoints: a folder with `weights.safetensors`, `spec.toml` and `provenance.json`, written atomically."""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialize

from mothello_interp.arguments import checked, several
from mothello_interp.hints import exchange, sha256_of, sync
from mothello_interp.languages import Mothello
from mothello_interp.models.build import build_model, config_of
from mothello_interp.models.spec import ModelSpec
from mothello_interp.othello import Games
from mothello_interp.reading import Reading

if TYPE_CHECKING:
    from transformer_lens import HookedTransformer

WEIGHTS, SPEC, PROVENANCE = "weights.safetensors", "spec.toml", "provenance.json"
_HASHES = "files"  # in the provenance on disk: the SHA-256 of the other two
_LONGEST = 2**20  # bytes of a provenance
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_SIZES = ("n_layers", "d_model", "n_heads", "d_vocab", "n_ctx")
_HARMLESS = re.compile(  # settings that change no logit of the weights there are
    "device|n_devices|dtype|seed|init_mode|init_weights|initializer_range|n_params|model_name|tokenizer_.*|checkpoint_.*"
    "|from_checkpoint|default_prepend_bos|original_architecture|trust_remote_code|use_(attn_result|split_qkv_input|attn_in"
    "|hook_mlp_in|hook_tokens)"
)


class CheckpointError(ValueError):
    """A checkpoint that is missing, incomplete or does not fit its spec."""


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """A model with its identity. Any HookedTransformer that reads the tokens of `spec.mothello` will do.

    Attributes:
        model: a TransformerLens HookedTransformer in float32, in evaluation mode.
        spec: world, languages and architecture.
        provenance: how it was made: seed, steps, games, versions, final metrics.
        name: what it was loaded as.

    Raises:
        CheckpointError: for a model of other sizes than the spec says (its context may be longer), or with weights that
            are not finite.

    Examples:
        >>> from mothello_interp import load, random_games
        >>> m = load("mini/atomic-atomic-anchors4")
        >>> m.spec.model.n_layers, m.provenance["seed"]
        (4, 0)
        >>> logits = m.model(m.tokens(random_games(2, board=6, seed=0), language=1))
        >>> logits.shape  # [game pos token]
        torch.Size([2, 31, 61])
    """

    model: "HookedTransformer"
    spec: ModelSpec
    provenance: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", getattr(self.model, "_orig_mod", self.model))  # of torch.compile
        sizes = getattr(self.model, "cfg", None)
        odd = _differences(sizes, self.spec, _SIZES) if sizes else {}
        if odd.get("n_ctx", (0, 0))[0] > self.mothello.n_ctx:
            del odd["n_ctx"]
        if odd:
            raise CheckpointError(f"the model does not fit its spec: {_in_words(odd)}; change one of the two")
        if sizes and (broken := [name for name, weight in _weights(self.model) if not weight.isfinite().all()]):
            raise CheckpointError(
                f"{len(broken)} weights of the model hold values that are not finite, first {broken[0]}"
            )

    def __repr__(self) -> str:
        languages = ", ".join(type(language).__name__ for language in self.mothello.languages)
        size = f"{self.spec.model.n_layers} layers of {self.spec.model.d_model}"
        return f"Checkpoint({self.name or 'model'}: {languages}, board of side {self.spec.board}, {size})"

    @property
    def mothello(self) -> Mothello:
        """Its languages over one vocabulary."""
        return self.spec.mothello

    def tokens(self, games: Games, language: int) -> torch.Tensor:
        """Games written in a language, as the model is given them: int64 `[game pos]`, at most n_ctx positions.

        Raises:
            ValueError: as `Mothello.encode`.
        """
        tokens = self.mothello.encode(games, language).tokens[:, : self.mothello.n_ctx]
        return torch.from_numpy(tokens).to(self.model.W_E.device).long()

    def read(self, games: Games, language: int) -> Reading:
        """The games as this model is given them in one input language: what every measure starts from.

        Raises:
            ValueError: for a language that is no input language, or games on another board.
        """
        return Reading(self, games, language)

    def readings(self, games: Games, languages: int | Sequence[int] | None = None) -> list[Reading]:
        """The same games in several input languages, all by default."""
        chosen = self.mothello.inputs if languages is None else several("languages", languages)
        return [self.read(games, language) for language in chosen]

    def untrained(self, seed: int = 0) -> "Checkpoint":
        """The same architecture with random weights: the control of every measure.

        The weights are drawn at the conventional scale 0.02, not at the spec's `initializer_range`: with tiny
        weights a random model would carry hardly any signal but the token embeddings.
        """
        architecture = self.spec.model.model_copy(update={"initializer_range": 0.02})
        spec = self.spec.model_copy(update={"model": architecture})
        model = build_model(spec, seed=seed, device=self.model.W_E.device).eval()
        return Checkpoint(model, spec, {"seed": seed, "steps": 0}, f"{self.name} (random weights)")


def check_kind(checkpoint: Checkpoint) -> None:
    """Is the model one that its spec describes in full?

    Raises:
        CheckpointError: for a model that would be read back as another one (see `build_model`), naming what differs.
    """
    settings = [name for name in checkpoint.model.cfg.to_dict() if not _HARMLESS.fullmatch(name)]
    odd = _differences(checkpoint.model.cfg, checkpoint.spec, settings)
    if odd := odd or _altered(checkpoint.model, checkpoint.spec):
        raise CheckpointError(
            f"a spec cannot describe this model: {_in_words(odd)}; keep its own files, and make it a Checkpoint again"
        )


def _altered(model: "HookedTransformer", spec: ModelSpec) -> dict[str, tuple[Any, Any]]:
    """Where modules of a model are not those of its configuration, in the form of `_differences`."""
    weights = dict(_weights(model))
    first = next(iter(weights.values()))
    twin = build_model(spec, seed=0, device=first.device).to(first.dtype, print_details=False).eval()
    found, said = ({name: tuple(weight.shape) for name, weight in of} for of in (weights.items(), _weights(twin)))
    if names := sorted(name for name in said.keys() | found if said.get(name) != found.get(name)):
        return {names[0]: (found.get(names[0], "no weight of its own"), said.get(names[0], "not there"))}
    twin.load_state_dict(weights, strict=False)  # buffers are no weights
    tokens = torch.arange(spec.mothello.n_ctx, device=first.device)[None] % spec.mothello.d_vocab
    with torch.inference_mode(), torch.compiler.set_stance("force_eager"):  # to compile takes minutes
        is_, says = model(tokens), twin(tokens)
    if torch.allclose(is_, says, rtol=1e-3, atol=1e-3 * float(says.abs().max()), equal_nan=True):
        return {}
    return {"model(tokens)": ("changed by a module or hook put into it", "what its weights alone give")}


@checked
def save_checkpoint(
    folder: str | Path, checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32, overwrite: bool = False
) -> Path:
    """Write a checkpoint atomically, by renaming a temporary folder: a reader sees all of it or nothing.

    Raises:
        CheckpointError: as `check_kind`; for a `dtype` that the weights do not survive.
        FileExistsError: if the folder exists and `overwrite` is False, or it is anything but a checkpoint.
        OSError: if it cannot be written; an existing checkpoint is left as it was.
    """
    folder = Path(folder)
    check_kind(checkpoint)
    weights = {name: weight.detach().to("cpu", dtype).contiguous() for name, weight in _weights(checkpoint.model)}
    if dtype not in _DTYPES or not all(weight.isfinite().all() for weight in weights.values()):
        raise CheckpointError(f"dtype={dtype}: weights are kept in {', '.join(map(str, _DTYPES))}, as far as they fit")
    if folder.exists() and not overwrite:
        raise FileExistsError(f"{folder} exists; choose another name or pass overwrite=True")
    if folder.exists() and not (folder / SPEC).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is no checkpoint, which alone is replaced; choose another name")
    home = folder.resolve()  # a link stays, and what it leads to is replaced
    home.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    try:
        (partial / WEIGHTS).write_bytes(serialize(weights))  # its save_file meets a full disk with no OSError
        (partial / SPEC).write_text(checkpoint.spec.to_toml(), encoding="utf-8")
        hashes = {_HASHES: {name: sha256_of(partial / name) for name in (WEIGHTS, SPEC)}}
        text = json.dumps({**checkpoint.provenance, **hashes}, indent=2) + "\n"
        (partial / PROVENANCE).write_text(text, encoding="utf-8")
        partial.chmod(0o755)
        for name in (WEIGHTS, SPEC, PROVENANCE, "."):
            sync(partial / name)
        _put_in_place(partial, home)
    except OSError as error:
        error.filename = str(folder)  # a failed write names no file
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _put_in_place(partial: Path, folder: Path) -> None:
    """Rename, or change places with an existing checkpoint, in one step where the system can: a kill leaves one of both."""
    if not folder.exists():
        partial.rename(folder)
    elif not exchange(partial, folder):
        aside = partial.with_name(f"{partial.name}.old")
        folder.rename(aside)
        try:
            partial.rename(folder)
        except OSError:
            aside.rename(folder)
            raise
        shutil.rmtree(aside)
    sync(folder.parent)


@checked
def load_checkpoint(folder: str | Path, *, device: str | torch.device = "cpu", name: str = "") -> Checkpoint:
    """Read a checkpoint folder. Nothing in it is executed or unpickled.

    Raises:
        CheckpointError: if files are missing, are not those that were written, or the weights do not fit the spec, naming
            the first that does not.
        SpecError: if its spec is not valid.
    """
    folder = Path(folder)
    missing = [file for file in (WEIGHTS, SPEC, PROVENANCE) if not (folder / file).is_file()]
    if missing:
        raise CheckpointError(f"{folder} is no checkpoint: {', '.join(missing)} missing")
    provenance = read_provenance(folder)
    hashes = provenance.pop(_HASHES, {})
    for file in (WEIGHTS, SPEC) if hashes else ():
        if sha256_of(folder / file) != hashes.get(file):
            raise CheckpointError(
                f"{folder / file} is not the file that was written: restore it, or, if you changed it, "
                f"delete {_HASHES!r} in {PROVENANCE}"
            )
    spec = ModelSpec.load(folder / SPEC)
    try:
        _check_sizes(folder, spec)
        stored = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS} cannot be read: {error}") from None
    model = build_model(spec, seed=0, device=device)
    expected = dict(_weights(model))
    if stored.keys() != expected.keys():
        odd = sorted(stored.keys() ^ expected.keys())
        raise CheckpointError(f"{folder / WEIGHTS} does not fit {SPEC}: {len(odd)} names differ, first {odd[0]!r}")
    with torch.no_grad():
        for key, weight in expected.items():
            if stored[key].shape != weight.shape:
                shapes = f"{tuple(stored[key].shape)}, the spec asks for {tuple(weight.shape)}"
                raise CheckpointError(f"{folder / WEIGHTS} does not fit {SPEC}: {key} is {shapes}")
            weight.copy_(stored[key])
    try:
        return Checkpoint(model.eval(), spec, provenance, name or folder.name)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: {error}") from None


def read_provenance(folder: Path) -> dict[str, Any]:
    """How a checkpoint was made, as its folder says.

    Raises:
        CheckpointError: for a file that is no table in JSON, or a very long one.
    """
    try:
        if (size := (folder / PROVENANCE).stat().st_size) > _LONGEST:
            raise ValueError(f"{size} bytes, expected {_LONGEST} at most")
        provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / PROVENANCE} cannot be read: {error}") from None
    if not isinstance(provenance, dict) or not isinstance(provenance.get(_HASHES, {}), dict):
        raise CheckpointError(f"{folder / PROVENANCE} cannot be read: expected one table, found {provenance!r:.40}")
    return provenance


def _check_sizes(folder: Path, spec: ModelSpec) -> None:
    """Compare the header of the weights with the spec, before a model is built that may be of any size."""
    said = config_of(spec)
    shapes = {
        "embed.W_E": (said.d_vocab, said.d_model),
        "pos_embed.W_pos": (said.n_ctx, said.d_model),
        "blocks.0.mlp.W_in": (said.d_model, said.d_mlp),
    }
    with safe_open(folder / WEIGHTS, "pt") as header:
        names = set(header.keys())
        found = {name: tuple(header.get_slice(name).get_shape()) for name in shapes.keys() & names}
    for name, shape in shapes.items():
        if found.get(name, shape) != shape:
            raise CheckpointError(
                f"{folder / WEIGHTS} does not fit {SPEC}: {name} is {found[name]}, the spec asks for {shape}"
            )
    blocks = len({name.split(".")[1] for name in names if name.startswith("blocks.")})
    if blocks != said.n_layers:
        raise CheckpointError(
            f"{folder / WEIGHTS} does not fit {SPEC}: {blocks} blocks, the spec asks for {said.n_layers}"
        )


@checked
def fingerprint(checkpoint: Checkpoint) -> str:
    """SHA-256 of the names and values of all weights, however they are stored."""
    digest = sha256()
    for name, weight in sorted(_weights(checkpoint.model)):
        digest.update(name.encode() + weight.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _differences(config: Any, spec: ModelSpec, names: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Where a model's configuration is not the one of its spec: (what it is, what the spec says) by name."""
    said = config_of(spec)
    both = {name: (getattr(config, name, None), getattr(said, name, None)) for name in names}
    return {name: (is_, says) for name, (is_, says) in both.items() if is_ != says}


def _in_words(differences: Mapping[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} is {is_!r}, by the spec {says!r}" for name, (is_, says) in differences.items())


def _weights(model: "HookedTransformer") -> list[tuple[str, torch.Tensor]]:
    return [(name.replace("_orig_mod.", ""), weight) for name, weight in model.named_parameters()]

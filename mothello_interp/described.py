"""Tensors with a description in one file: safetensors, written atomically; what is read is what was written."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from mothello_interp.hints import write_file

_KEY = "mothello_interp"  # in the metadata of a file


def write_described(path: str | Path, tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any]) -> Path:
    """Write tensors and what describes them, plain values, to one file; an existing one is replaced.

    Raises:
        OSError: if it cannot be written.
    """
    about = {**description, "sha256": _digest(tensors)}
    write_file(path, save(dict(tensors), {_KEY: json.dumps(about)}))
    return Path(path)


def read_described(path: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and the description that `write_described` was given. Nothing in the file is unpickled.

    Raises:
        ValueError: for another file, or a damaged one, naming it.
        OSError: if it cannot be read.
    """
    Path(path).open("rb").close()  # safetensors has errors of its own for files that are not there
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not isinstance(about, dict) or about.pop("sha256", "") != _digest(tensors):
            raise ValueError("its values are not those that were written")
    except (SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} is damaged, or another kind of file: {error}") from None
    return tensors, about


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """The SHA-256 of names, types, shapes and values."""
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

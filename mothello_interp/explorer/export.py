"""The explorer as one HTML file: model, probes, rules and page, for any browser, without Python and without a network."""

import base64
import json
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mothello_interp.activations import all_layers
from mothello_interp.explorer.bundle import PAGE, bundle
from mothello_interp.explorer.code import loadable
from mothello_interp.explorer.reader import Reader, games_for, opening_of
from mothello_interp.explorer.state import State, language_name
from mothello_interp.hints import write_file
from mothello_interp.models.checkpoint import check_kind
from mothello_interp.othello import Games

_PROBE_BYTES = 3  # of a float32, from the top: 17 bits of precision

Arrays = list[tuple[str, torch.Tensor, int]]  # name, values, stored bytes of each


def write_page(reader: Reader, path: str | Path, games: Games | None = None) -> Path:
    """The path of an HTML file with the board explorer of one checkpoint, written atomically.

    Weights are stored exactly, as bfloat16 where they are that (all bundled ones are), else as float32; probes to 17 bits.

    Args:
        reader: the checkpoint and its probes, fitted now if need be.
        games: to look through, a random one by default.

    Raises:
        CheckpointError: for a model of another kind than specs describe.
        ValueError: for MLP probes, or probes that lack a language or layer of the model.
        OSError: if it cannot be written.
    """
    text = page_text(reader, games_for(reader.checkpoint, 1, seed=0) if games is None else games)
    write_file(path, text)
    return Path(path)


def page_text(reader: Reader, games: Games) -> str:
    """The HTML."""
    check_kind(reader.checkpoint)
    arrays = [*_weights(reader), *_probes(reader)]
    facts = _facts(reader, games) | {"arrays": [[name, list(values.shape), width] for name, values, width in arrays]}
    weights = base64.b64encode(b"".join(_stored(values, width) for _, values, width in arrays)).decode()
    parts = {
        "title": escape(f"{reader.checkpoint.name or 'Multilingual Othello'}: board explorer"),
        "style": (PAGE / "explorer.css").read_text(encoding="utf-8"),
        "script": bundle("page"),
        "facts": json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c"),
        "weights": weights,
    }
    template = (PAGE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _facts(reader: Reader, games: Games) -> dict[str, Any]:
    """What the page is told besides arrays; keys as in `State` and in the model's configuration."""
    checkpoint, mothello, config = reader.checkpoint, reader.checkpoint.mothello, reader.checkpoint.model.cfg
    state = State.opening(checkpoint, games)
    sizes = ("n_layers", "d_model", "n_heads", "d_mlp", "n_ctx", "d_vocab", "eps")
    tokens = [[_plain(square) for square in language] for language in mothello.move_tokens]
    return {
        "name": state.name,
        "loadable": loadable(checkpoint),
        "opening": list(opening_of(checkpoint)),
        "board": checkpoint.spec.board,
        **{name: getattr(config, name) for name in sizes},
        "languages": [language_name(checkpoint, index) for index in range(len(mothello.languages))],
        "inputs": list(mothello.inputs),
        "outputs": [0 if mothello.unified_output else index for index in range(len(mothello.languages))],
        "vocabulary": list(mothello.vocabulary),
        "move_tokens": tokens,
        "frame": reader.fit().frame,
        "games": [_plain(game, -1) for game in games.moves],
        "move": state.move,
        "layer": state.layer,
    }


def _plain(values: Iterable[int], fill: int = 0) -> list[int]:
    return [int(value) for value in values if value != fill]


def _weights(reader: Reader) -> Arrays:
    named = [(name, weight.detach().cpu().float()) for name, weight in reader.checkpoint.model.named_parameters()]
    exact = all(torch.equal(weight.bfloat16().float(), weight) for _, weight in named)
    return [(name, weight, 2 if exact else 4) for name, weight in named]


def _probes(reader: Reader) -> Arrays:
    """`probes.LANGUAGE.LAYER.weight` [class*square d_model], and its bias."""
    probes, inputs, layers = reader.fit(), reader.checkpoint.mothello.inputs, all_layers(reader.checkpoint)
    lacks = not {*inputs} <= {*probes.languages} or not {*layers} <= {*probes.layers}
    if probes.kind == "mlp" or lacks:
        raise ValueError(
            f"{probes.kind} probes of languages {list(probes.languages)} at layers {list(probes.layers)}: "
            f"a page holds linear ones of all languages {list(inputs)} at all layers {list(layers)}"
        )
    arrays: Arrays = []
    for language in inputs:
        for layer in layers:
            site = probes.languages.index(language), probes.layers.index(layer)
            for name in ("weight", "bias"):
                values = probes.weights[name][site].T if name == "weight" else probes.weights[name][site].flatten()
                arrays.append((f"probes.{language}.{layer}.{name}", values, _PROBE_BYTES))
    return arrays


def _stored(values: torch.Tensor, width: int) -> bytes:
    """The top bytes of each float32, rounded to nearest."""
    bits = values.contiguous().numpy().astype("<f4").view("<u4").astype(np.uint64)
    dropped = 8 * (4 - width)
    half = (1 << dropped) >> 1
    kept = ((bits + half) >> dropped << dropped).astype("<u4")
    return kept.reshape(-1, 1).view(np.uint8)[:, 4 - width :].tobytes()

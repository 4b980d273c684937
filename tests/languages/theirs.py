"""The tokenizer of the paper's authors, rebuilt from the description of its format: what `authors.py` is checked against.

A token is a number from 0 counted over all languages; a model's index for it is one more, and 0 pads.
"""

from typing import Any

import numpy as np

CENTRE = {27, 28, 35, 36}
SQUARES = [square for square in range(64) if square not in CENTRE]


def tokenizer(config: dict[str, Any]) -> tuple[list[dict[int, list[int]]], int]:
    """The tokens of every square in each language, and how many tokens there are in all."""
    np.random.seed(config["train_seed"])  # noqa: NPY002 - theirs is the global generator
    count = 0
    written: list[dict[int, list[int]]] = []
    for language, kind in enumerate(config["language_types"]):
        words: dict[int, list[int]] = {}
        letters = count
        if kind == "compositional":
            count += 16
        for square in SQUARES:
            lowest = min((min(g) for g in config["overlap_toks"].get(square, []) if language in g), default=language)
            if lowest != language:
                words[square] = written[lowest][square]
            elif kind == "compositional":
                words[square] = [letters + square // 8, letters + 8 + square % 8]
            else:
                length = 1 if kind == "atomic" else np.random.randint(1, 4)  # noqa: NPY002
                words[square] = list(range(count, count + length))
                count += length
        written.append(words)
    return written, count


def dataset(config: dict[str, Any], game: list[int], language: int) -> tuple[list[int], list[int]]:
    """What a model of theirs reads and is to say, as indices: 0 pads and carries no loss."""
    written, _ = tokenizer(config)
    block = max(sum(len(words[square]) for square in SQUARES) for words in written)
    text = [token + 1 for square in game for token in written[language][square]]
    targets = list(text)
    if config["unified_output"]:
        targets = [0] * len(text)
        place = 0
        for square in game:
            targets[place] = written[0][square][0] + 1
            place += len(written[language][square])
    padding = [0] * (block - len(text))
    return (text + padding)[:-1], (targets + padding)[1:]

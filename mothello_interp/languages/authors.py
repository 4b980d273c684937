"""The config files of the paper's authors (Hua et al. 2024), read as a `Mothello` that writes what theirs writes.

A file is one Python dict of `language_types` (a list of "atomic", "split" and "compositional"), `overlap_toks` (square
to groups of languages that share its tokens, those of the lowest), `train_seed` and `unified_output`. All games are on
a board of side 8. Tokens are theirs up to their numbers; `authors_vocabulary` has them in the order of theirs.
"""

from ast import literal_eval
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mothello_interp.languages.language import Atomic, Compositional, Language, Split
from mothello_interp.languages.mothello import Mothello
from mothello_interp.othello import square_name, start_squares

_SIDE = 8
_LONGEST = 2**15  # bytes of a file; theirs have under 2**12
_MOST = 100  # languages
_KEYS = ("language_types", "overlap_toks", "train_seed", "unified_output")
_TYPES = ("atomic", "split", "compositional")


def read_authors_config(path: str | Path) -> Mothello:
    """The languages of one of the authors' `exp_configs/*.txt`. The file is read as a literal, never executed.

    The numbers of tokens of split languages are drawn as theirs are, by numpy's legacy generator from `train_seed`: 1 to 3 for each
    square that is not borrowed from a lower language, in the order of squares, languages in order.

    Raises:
        ValueError: for a file that is no such dict, naming the file and what is wrong in it.
    """
    try:
        if (size := Path(path).stat().st_size) > _LONGEST:
            raise ValueError(f"{size} bytes, expected {_LONGEST} at most")
        config = _checked(literal_eval(Path(path).read_text(encoding="utf-8-sig")))
        anchors = {square_from_authors(index): groups for index, groups in config["overlap_toks"].items()}
        languages = _languages(config["language_types"], anchors, config["train_seed"])
        return Mothello(_SIDE, tuple(languages), anchors, config["unified_output"])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{path} is no config of the authors: {error}") from None


def square_from_authors(index: int) -> int:
    """Our square for a square of theirs: the same number, for both count from the corner, row by row.

    Names differ: they call the row by its letter, players the column. Their 19 is `c4`, ours is `d3`.

    Raises:
        ValueError: for what is no square that is played.
    """
    if type(index) is not int or not 0 <= index < _SIDE**2 or index in start_squares(_SIDE):
        raise ValueError(f"{index!r} is no square that is played: expected 0 to 63 without {start_squares(_SIDE)}")
    return index


def authors_vocabulary(mothello: Mothello) -> tuple[str, ...]:
    """The names of all tokens as in `mothello.vocabulary`, at the places that they have in the authors' models.

    A compositional language has 16 tokens of its own there, also one that its anchors leave without use, which then is
    no token of `mothello`.

    Raises:
        ValueError: for another board, or a language type that they do not have.
    """
    if mothello.board != _SIDE:
        raise ValueError(f"a board of side {mothello.board}: the authors' games are on a board of side {_SIDE}")
    borrowed = {(square, member) for square, group in mothello.groups for member in group[1:]}
    names = ["<pad>"]
    for index, language in enumerate(mothello.languages):
        tokens = language.move_tokens(_SIDE)
        if isinstance(language, Compositional):
            pieces = [tokens[row * _SIDE][0] for row in range(_SIDE)] + [tokens[column][1] for column in range(_SIDE)]
        elif isinstance(language, Atomic | Split):
            own = [square for square in _played() if (square, index) not in borrowed]
            pieces = [piece for square in own for piece in tokens[square]]
        else:
            raise ValueError(f"language {index} is {language!r}: the authors have {', '.join(_TYPES)}")
        names += [f"{index}:{piece}" for piece in pieces]
    return tuple(names)


def _languages(types: list[str], anchors: Mapping[int, list[list[int]]], seed: int) -> list[Language]:
    random = np.random.RandomState(seed)
    languages: list[Language] = []
    for index, name in enumerate(types):
        if name == "split":
            borrowed = {sq for sq, groups in anchors.items() for g in groups if index in g and min(g) < index}
            drawn = {square: int(random.randint(1, 4)) for square in _played() if square not in borrowed}
            languages.append(Split(lengths=tuple(drawn.get(square, 1) for square in range(_SIDE**2))))
        else:
            languages.append(Atomic() if name == "atomic" else Compositional())
    return languages


def _played() -> list[int]:
    return [square for square in range(_SIDE**2) if square not in start_squares(_SIDE)]


def _checked(config: Any) -> dict[str, Any]:
    """The dict, if it is one of theirs."""
    if not isinstance(config, dict) or set(config) != set(_KEYS):
        found = f"the keys {list(config)!r:.200}" if isinstance(config, dict) else f"a {type(config).__name__}"
        raise ValueError(f"it holds {found}, where a dict of {', '.join(_KEYS)} is expected")
    types, anchors, seed, unified = (config[key] for key in _KEYS)
    listed = isinstance(types, list) and bool(types) and all(name in _TYPES for name in types)
    _expect(listed and len(types) <= _MOST, "language_types", types, f"a list of {', '.join(_TYPES)}, {_MOST} at most")
    _expect(type(seed) is int and 0 <= seed < 2**32, "train_seed", seed, "a whole number from 0 to 2**32 - 1")
    _expect(type(unified) is bool, "unified_output", unified, "True or False")
    _expect(isinstance(anchors, dict), "overlap_toks", anchors, "a dict from squares to groups of languages")
    for square, groups in anchors.items():
        _check_groups(square_name(square_from_authors(square), _SIDE), groups, len(types))
    return config


def _check_groups(name: str, groups: Any, n_languages: int) -> None:
    lists = isinstance(groups, list) and all(isinstance(group, list) and group for group in groups)
    members = [member for group in groups for member in group] if lists else [None]
    sound = all(type(member) is int and 0 <= member < n_languages for member in members)
    wanted = f"a list of groups of languages 0 to {n_languages - 1}, such as [[0, 1]]"
    _expect(sound, f"overlap_toks of {name}", groups, wanted)
    _expect(len(set(members)) == len(members), f"overlap_toks of {name}", groups, "each language once")


def _expect(sound: bool, name: str, given: Any, wanted: str) -> None:
    if not sound:
        raise ValueError(f"{name} is {given!r:.200}: expected {wanted}")

"""Language types: which tokens a move is written with.

A language type is a frozen dataclass with a method `move_tokens(board)` that gives, for every square, a tuple of token
names. Equal names are the same token. No tuple may be the beginning of another, so that text can be decoded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from mothello_interp.hints import did_you_mean
from mothello_interp.othello import Symmetry, square_name


@runtime_checkable
class Language(Protocol):
    """What every language type provides."""

    def move_tokens(self, board: int) -> Sequence[tuple[str, ...]]:
        """The token names of every square, row-major; start squares included, though they are never played."""
        ...


_MOST_PIECES = 16  # tokens of a move: games of more fit no context


@dataclass(frozen=True)
class Atomic:
    """Every move is one token of its own.

    Examples:
        >>> Atomic().move_tokens(6)[0]
        ('a1',)
    """

    def move_tokens(self, board: int) -> list[tuple[str, ...]]:
        return [(square_name(square, board),) for square in range(board * board)]


@dataclass(frozen=True)
class Split:
    """Every move is 1 to `max_pieces` tokens of its own; the numbers are drawn once, uniformly, from `seed`.

    `lengths` fixes the number of tokens of every square instead, row-major, for boards of that many squares.

    Examples:
        >>> Split(seed=1).move_tokens(4)[:2]
        [('a1/1', 'a1/2'), ('b1/1', 'b1/2')]
    """

    seed: int = 0
    max_pieces: int = 3
    lengths: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or not isinstance(self.max_pieces, int):
            raise ValueError(f"seed={self.seed!r}, max_pieces={self.max_pieces!r}: expected whole numbers")
        if not 1 <= self.max_pieces <= _MOST_PIECES:
            raise ValueError(f"max_pieces={self.max_pieces}: expected 1 to {_MOST_PIECES} tokens a move")
        if self.lengths is not None:
            object.__setattr__(self, "lengths", tuple(self.lengths))
            if not self.lengths or not 1 <= min(self.lengths) <= max(self.lengths) <= _MOST_PIECES:
                expected = f"the number of tokens of every square, row-major, 1 to {_MOST_PIECES}, or None to draw them"
                raise ValueError(f"lengths={self.lengths}: expected {expected}")

    def move_tokens(self, board: int) -> list[tuple[str, ...]]:
        lengths = self.lengths
        if lengths is None:
            lengths = tuple(np.random.default_rng(self.seed).integers(1, self.max_pieces + 1, board**2))
        if len(lengths) != board**2:
            given = f"Split has lengths for {len(lengths)} squares"
            raise ValueError(f"{given}: a board of side {board} has {board**2}")
        names = [square_name(square, board) for square in range(board**2)]
        return [tuple(f"{name}/{piece + 1}" for piece in range(n)) for name, n in zip(names, lengths, strict=True)]


@dataclass(frozen=True)
class Compositional:
    """Every move is two tokens, its row and then its column, which moves of one row or column share.

    Examples:
        >>> Compositional().move_tokens(6)[0:2]
        [('1', 'a'), ('1', 'b')]
    """

    def move_tokens(self, board: int) -> list[tuple[str, ...]]:
        names = [square_name(square, board) for square in range(board * board)]
        return [(name[1:], name[0]) for name in names]


_TYPES: dict[str, type[Any]] = {"atomic": Atomic, "split": Split, "compositional": Compositional}
_Type = TypeVar("_Type", bound=type)


def register_language(name: str) -> Callable[[_Type], _Type]:
    """Class decorator: make a frozen dataclass with `move_tokens(board)` known as `name` in specs and checkpoints.

    Loading a checkpoint never imports code, so register your own types before you load a model that uses them.

    Raises:
        ValueError: if the name is taken by another class, or for what is no such class.
    """

    def register(cls: _Type) -> _Type:
        taken = _TYPES.get(name)
        if taken and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"language type {name!r} is registered already, for {taken!r}; choose another name")
        settings = vars(cls).get("__dataclass_params__")  # its own: a class may inherit them and be no dataclass
        if settings is None or not settings.frozen or not hasattr(cls, "move_tokens"):
            mend = f"write @register_language({name!r}) above @dataclass(frozen=True)"
            raise ValueError(f"{cls!r}: a language is a frozen dataclass with move_tokens(board); {mend}")
        _TYPES[name] = cls
        return cls

    return register


@register_language("relabelled")
@dataclass(frozen=True)
class Relabelled:
    """A language seen through a symmetry of the board: the image of a square has the tokens of the square.

    A game in the language and the image of the game in its `Relabelled` are the same text. So a model cannot distinguish
    the two languages under one of the `SYMMETRIES`, except by anchors, which belong to a Mothello and are not moved.

    Attributes:
        language: the language, or its description as `language_from` takes it.
        symmetry: the name of a symmetry of the square, or the symmetry.

    Examples:
        >>> Relabelled("atomic", "flip_rows").move_tokens(4)[0]
        ('a4',)

    Raises:
        ValueError: for a symmetry that does not exist, or as `language_from`.
    """

    language: Language
    symmetry: str

    def __post_init__(self) -> None:
        if isinstance(self.language, str | Mapping):
            object.__setattr__(self, "language", language_from(self.language))
        if not isinstance(self.language, Language):
            raise ValueError(f"Relabelled {self.language!r}: expected a language, or the description of one")
        object.__setattr__(self, "symmetry", Symmetry.of(self.symmetry).name)

    def move_tokens(self, board: int) -> list[tuple[str, ...]]:
        tokens = self.language.move_tokens(board)
        return [tokens[square] for square in Symmetry.of(self.symmetry).inverse.squares(board)]


def language_from(description: str | Mapping[str, Any]) -> Language:
    """A language from its description in a spec: `"atomic"`, or `{"type": "split", "seed": 1}`.

    Raises:
        ValueError: for an unknown type or option, naming the nearest known one.
    """
    options: dict[str, Any] = {"type": description} if isinstance(description, str) else dict(description)
    name = options.pop("type", None)
    if not isinstance(name, str) or name not in _TYPES:
        hint = did_you_mean(name, _TYPES) or "your own types are made known with register_language before they are used"
        raise ValueError(f"unknown language type {name!r}: known are {', '.join(sorted(_TYPES))}; {hint}")
    known = _defaults(_TYPES[name])
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known) or f"its options are {list(known)}"
            raise ValueError(f"language type {name!r} does not take {options}: it has no option {option!r}; {hint}")
    try:
        return _TYPES[name](**options)
    except TypeError as error:
        raise ValueError(f"language type {name!r} does not take {options}: {error}") from None


def describe_language(language: Language) -> str | dict[str, Any]:
    """The description that `language_from` turns back into this language.

    Raises:
        ValueError: for a type that was never registered.
    """
    for name, cls in _TYPES.items():
        if type(language) is cls:
            defaults = _defaults(cls)
            options = {option: getattr(language, option) for option in defaults}
            if options == defaults:
                return name
            needed = {key: value for key, value in options.items() if value is not None or defaults[key] is not None}
            nested = {key: describe_language(value) for key, value in needed.items() if isinstance(value, Language)}
            return {"type": name, **needed, **nested}
    raise ValueError(f"{language!r} is of no registered language type; decorate its class with register_language(name)")


def _defaults(cls: type[Any]) -> dict[str, Any]:
    """The options of a language type, each with its default or MISSING."""
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(cls)
        if field.init
    }

"""What a public function accepts: a whole number where its annotation says `int`, a `Checkpoint` where it says so, no less."""

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from operator import index
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, get_args

P = ParamSpec("P")
R = TypeVar("R")
_OURS = "mothello_interp."
_MADE_BY = {
    "Checkpoint": "load(name) or Checkpoint(model, spec)",
    "Games": "random_games(n, board=..., seed=...)",
    "Reading": "checkpoint.read(games, language)",
    "Activations": "collect(checkpoint, games)",
    "Probes": "fit_probes(checkpoint, games, seed=...)",
}


def whole(name: str, value: object) -> int:
    """The value, if it is a whole number, of numpy or torch too.

    Raises:
        ValueError: for anything else: 2.5, 2.0, True, None, "2".
    """
    try:
        if type(value).__name__ not in ("bool", "bool_"):
            return index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise ValueError(f"{name}={value!r}: expected a whole number")


def several(name: str, values: int | Iterable[int]) -> tuple[int, ...]:
    """One whole number or several, as a tuple.

    Raises:
        ValueError: for anything else.
    """
    return tuple(whole(name, value) for value in (values if isinstance(values, Iterable) else (values,)))


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, made to refuse arguments that are not what its annotations say.

    Of annotations it reads `int`, `int | Sequence[int]` (one or several), `str | Path` and the classes of this package.

    Raises:
        ValueError: for what is no whole number.
        TypeError: for an object of another class.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # which Python puts in better words
            return function(*args, **kwargs)
        for name, value in given.items():
            _check(name, value, signature.parameters[name].annotation)
        return function(*args, **kwargs)

    return call


def _check(name: str, value: object, annotation: Any) -> None:
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    classes = tuple(kind for kind in kinds if isinstance(kind, type) and kind not in (int, Any))
    if isinstance(value, classes):
        return
    if int in kinds:
        several(name, value) if len(kinds) > len(classes) + 1 and isinstance(value, Iterable) else whole(name, value)
    elif len(classes) == len(kinds) and any(kind is Path or kind.__module__.startswith(_OURS) for kind in classes):
        expected = " or ".join(kind.__name__ for kind in classes if kind is not NoneType)
        hint = f", as {_MADE_BY[expected]} gives it" if expected in _MADE_BY else ""
        raise TypeError(f"{name}: {type(value).__name__}; expected {expected}{hint}")


def all_finite(values: Any) -> bool:
    """Whether a tensor holds neither infinity nor NaN; a finite sum, which is faster to compute, says so already."""
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())

"""Bars of work that takes more than two seconds, on a terminal or in a notebook; `TQDM_DISABLE=1` hides them."""

import os
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tqdm.auto import tqdm

T = TypeVar("T")
DELAY = 2  # seconds


def shown(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, one after the other, with a bar from the third second on that is gone at the end."""
    hidden = False if tqdm.__mro__[1].__module__ == "tqdm.notebook" else None  # None: unless on a terminal
    yield from tqdm(items, what, delay=DELAY, leave=False, disable=bool(os.environ.get("TQDM_DISABLE")) or hidden)

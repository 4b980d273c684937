"""A tiny model on a 4x4 board, with probes, and a game to look at."""

from collections.abc import Iterator
from typing import Any

import pytest

from mothello_interp.explorer import Reader, State
from mothello_interp.othello import random_games
from mothello_interp.probes import fit_probes
from tests.browser import BROWSER
from tests.conftest import tiny_checkpoint


@pytest.fixture(scope="session")
def readers() -> dict[str, Reader]:
    """One of each tiny world, with probes as the explorer would fit them, but on fewer games."""
    found = {}
    for world in ("atomic", "compositional", "split", "unified"):
        checkpoint = tiny_checkpoint(world)
        found[world] = Reader(checkpoint, fit_probes(checkpoint, random_games(20, board=4, seed=3), epochs=2, seed=0))
    return found


@pytest.fixture
def reader(readers: dict[str, Reader]) -> Reader:
    """Of two atomic languages."""
    return readers["atomic"]


@pytest.fixture
def state(reader: Reader) -> State:
    """Five moves into the second of three games."""
    games = random_games(3, board=4, seed=0)
    return State(reader.checkpoint, games, game=1, move=5, language=0, layer=1)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The one browser of these tests: Playwright's synchronous driver runs once a process."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()

"""The exported page in a real browser, opened from the file system: mouse, keyboard, links, widths, light and dark."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mothello_interp.explorer import Reader, State, View, write_page
from mothello_interp.explorer.links import to_link
from mothello_interp.models import load
from mothello_interp.othello import Games
from tests.browser import needs_browser
from tests.explorer.golden import recorded
from tests.explorer.test_browser import contrast, square

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.slow, needs_browser]
NAME = "mini/atomic-split-anchors4"
KINDS = (NAME, *(f"mini/{kind}" for kind in ("atomic-compositional-anchors4", "atomic-split-unified", "four-atomic")))


@pytest.fixture(scope="module")
def reader() -> Reader:
    """Of an atomic and a split language."""
    reader = Reader(load(NAME))
    reader.fit()
    return reader


@pytest.fixture(scope="module")
def address(reader: Reader, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the exported page."""
    return write_page(reader, tmp_path_factory.mktemp("page") / "page.html").as_uri()


@pytest.fixture(scope="module")
def context(browser: Any) -> Iterator[Any]:
    """Without a network, and with a clipboard."""
    context = browser.new_context(offline=True, permissions=["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture
def page(context: Any, address: str) -> Iterator[Any]:
    """The page, newly opened; it must not ask for anything, nor fail."""
    page, wrong = context.new_page(), []
    page.set_default_timeout(20_000)
    page.on("request", lambda request: wrong.append(request.url) if request.url.partition("#")[0] != address else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto(address)
    yield page
    page.close()
    assert [one for one in wrong if not one.startswith("data:")] == []


def differences(found: Any, expected: Any, place: str = "") -> list[str]:
    """Where two views are not the same to 1e-4."""
    if isinstance(expected, dict):
        names = expected.keys() | found.keys()
        return [line for name in names for line in differences(found.get(name), expected.get(name), f"{place}.{name}")]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{place}.{index}")]
    if isinstance(expected, float) and isinstance(found, float | int):
        return [] if abs(found - expected) <= 1.001e-4 else [f"{place}: {expected} is {found}"]
    return [] if found == expected else [f"{place}: {expected} is {found}"]


@pytest.mark.parametrize("name", KINDS)
def test_chromium_gives_the_views_of_python(context: Any, name: str, tmp_path: Path) -> None:
    reader, page = Reader(load(name)), context.new_page()
    page.goto(write_page(reader, tmp_path / "page.html").as_uri())
    for expected in recorded(reader, positions=24, seed=1):
        found: View = page.evaluate("link => { explorer.open(link); return explorer.get('view') }", expected["link"])
        ours, theirs = ({**one, "code": "", "game": ""} for one in (expected, found))
        assert differences(theirs, ours) == [], expected["link"]
    page.close()


def test_a_session_of_clicks_is_in_the_address(page: Any, context: Any, reader: Reader, address: str) -> None:
    """Play, flip, second language, head, and a copied link that opens the same in another tab."""
    legal = page.get_by_role("grid", name="Board").first.get_by_role("gridcell", name=": legal").first
    name = legal.get_attribute("aria-label")[:2]
    legal.click()
    sync_api.expect(square(page, "Board", name)).to_have_attribute("aria-label", re.compile("played last"))
    square(page, "Belief", name).click()
    page.get_by_text(f"flip {name} at layer 2 and later").wait_for()
    page.get_by_label("Second").select_option("1")
    page.get_by_label("Attention").select_option("3")
    sync_api.expect(page.locator("svg.arrows")).to_have_count(2)
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url == address + page.evaluate("explorer.get('view').link")
    assert f"&second=1&head=3&flip={name}@2.." in link
    other = context.new_page()
    other.goto(link)
    assert other.evaluate("explorer.get('view').columns") == page.evaluate("explorer.get('view').columns")
    other.close()


def test_a_malformed_link_says_so_and_starts_afresh(page: Any, reader: Reader) -> None:
    start = page.evaluate("explorer.get('view')")
    for fragment in ("#moves=zz", "#layer=9", "#moves=%E0%A4%A", "#flip"):
        page.evaluate("fragment => { location.hash = fragment }", fragment)
        sync_api.expect(page.get_by_role("alert")).to_contain_text("This link cannot be opened")
        assert page.evaluate("explorer.get('view')") == start
    page.get_by_role("button", name="One move on").click()
    sync_api.expect(page.get_by_role("alert")).to_be_hidden()
    games = Games.from_transcripts(["".join(start["game"]["moves"])], 6)
    assert page.url.endswith(to_link(State.opening(reader.checkpoint, games).at(9)))


def test_the_page_says_what_it_cannot_do(page: Any) -> None:
    page.get_by_text("Go on in Jupyter").click()
    assert page.get_by_text("Edits of your own in Python").is_visible()
    code = page.get_by_label("Code").inner_text()
    link = page.evaluate("explorer.get('view').link")
    assert code == f'from mothello_interp.explorer import Explorer\n\nExplorer("{NAME}", link="{link}")\n'


def test_the_keyboard_is_enough(page: Any) -> None:
    """Tab reaches the board, arrows move on it, Enter plays, and the focus stays."""
    legal = page.get_by_role("grid", name="Board").first.get_by_role("gridcell", name=": legal").first
    name = legal.get_attribute("aria-label")[:2]
    for _ in range(20):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.getAttribute('role')")
        if focused == "gridcell":
            break
    column, row = page.evaluate("document.activeElement.getAttribute('aria-label')")[:2]
    across, down = ord(name[0]) - ord(column), int(name[1]) - int(row)
    for key, times in (("Right", across), ("Left", -across), ("Down", down), ("Up", -down)):
        for _ in range(times):
            page.keyboard.press(f"Arrow{key}")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith(f"{name}: ")
    assert "played last" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert page.get_by_role("status").inner_text()


@pytest.mark.parametrize("width", [1300, 800, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_width_and_scheme(page: Any, width: int, scheme: str, tmp_path: Path) -> None:
    """Nothing is cut off, text stands out from its ground by 4.5 or more, and every control has a name."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.emulate_media(color_scheme=scheme)
    page.get_by_label("Second").select_option("1")
    page.get_by_label("Probe of").select_option("0")
    page.get_by_label("Attention").select_option("1")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert contrast(page.locator(".mothello-explorer")) >= 4.5
    nameless = "[...document.querySelectorAll('button, select, input')].filter(one => !one.ariaLabel && !one.textContent.trim()"
    assert page.evaluate(f"{nameless} && !one.closest('label')).length") == 0
    page.screenshot(path=tmp_path / "page.png", full_page=True)

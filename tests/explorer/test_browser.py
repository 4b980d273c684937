"""The explorer as its users meet it: JupyterLab in a real browser, the README's cell, mouse and keyboard."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from PIL import Image

from mothello_interp.explorer import Flip, Reader, State, View, view
from mothello_interp.models import load
from mothello_interp.othello import random_games, square_name
from tests.browser import needs_browser
from tests.explorer.lab import ROOT, notebook

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [pytest.mark.slow, needs_browser]

QUICKSTART = next(
    block
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    if "explorer = Explorer(" in block
)
ASK = "print([explorer.language, explorer.layer, explorer.move, [str(edit) for edit in explorer.edits]])"
_STARTING = 120_000  # milliseconds for a kernel to start and import torch, on a machine that is busy


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The notebook with its kernel idle and nothing run."""
    with notebook(tmp_path_factory.mktemp("lab"), [QUICKSTART, ASK]) as address:
        page = opened(browser, address)
        yield page
        page.close()


@pytest.fixture
def explorer(page: Any) -> Any:
    """A new explorer, shown, its probes fitted."""
    run_cell(page, 0)
    explorer = page.locator(".mothello-explorer")
    explorer.get_by_role("grid", name="Belief of language 0: atomic at layer 2").wait_for(timeout=_STARTING)
    return explorer


@pytest.fixture(scope="module")
def reader() -> Reader:
    """The README's checkpoint with the probes that the explorer fits."""
    reader = Reader(load("mini/atomic-atomic-anchors4"))
    reader.fit()
    return reader


def opened(browser: Any, address: str) -> Any:
    """The page at this address when its kernel is idle."""
    page = browser.new_page(viewport={"width": 1500, "height": 1500})
    page.set_default_timeout(10_000)
    page.goto(address)
    page.get_by_text("| Idle").wait_for(timeout=_STARTING)
    return page


def run_cell(page: Any, place: int) -> None:
    page.locator(".jp-CodeCell .cm-content").nth(place).click()
    page.keyboard.press("Shift+Enter")


def square(explorer: Any, grid: str, name: str) -> Any:
    """A square of the first board whose name begins like this."""
    return explorer.get_by_role("grid", name=grid).first.get_by_role("gridcell", name=re.compile(f"^{name}:"))


def occupied(explorer: Any) -> list[str]:
    """The squares with discs on the first board."""
    cells = (
        explorer.get_by_role("grid", name="Board").first.get_by_role("gridcell", name=re.compile("black|white")).all()
    )
    return [cell.get_attribute("aria-label")[:2] for cell in cells]


def check(explorer: Any, state: State, reader: Reader) -> View:
    """Every number on the boards and in the lens is what Python says."""
    shown = view(state, reader)
    for place, column in enumerate(shown["columns"]):
        section = explorer.locator("section.language").nth(place)
        labels = [cell.get_attribute("aria-label") for cell in section.get_by_role("gridcell").all()]
        board, belief = labels[:36], labels[36:]
        for index, share in enumerate(column["after"] or column["before"]):
            colour = {-1: "white", 0: "legal" if shown["position"]["legal"][index] else "not legal", 1: "black"}
            assert board[index].startswith(f"{square_name(index, 6)}: {colour[shown['position']['discs'][index]]}")
            percents = re.findall(r"([\d.]+)%", board[index])
            assert not percents or float(percents[0]) == pytest.approx(100 * share, abs=0.51)
            disc = {-1: "white", 0: "empty", 1: "black"}[column["belief"]["discs"][index]]
            assert f"read as {disc}" in belief[index]
            assert ("in truth" in belief[index]) == column["belief"]["wrong"][index]
        assert section.locator(".wrong").count() == sum(column["belief"]["wrong"])
        bars = [float(text.rstrip("%")) for text in section.locator(".lens .bar").all_inner_texts()]
        assert bars == pytest.approx([100 * row["legal"] for row in column["lens"]], abs=0.51)
    return shown


def picture(explorer: Any, path: Path) -> np.ndarray:
    """What the boards look like with the mouse and the focus elsewhere, `[y x channel]`."""
    explorer.page.mouse.move(2, 2)
    explorer.page.evaluate("document.activeElement.blur()")
    explorer.locator(".languages").screenshot(path=path)
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_session(explorer: Any, reader: Reader, tmp_path: Path) -> None:
    """Three moves, a flip and back, a second language, another language and layer; Python sees all of it."""
    state = State(reader.checkpoint, random_games(1, board=6, seed=0), move=8, layer=2)
    check(explorer, state, reader)
    for _ in range(3):
        name = square_name(int(np.flatnonzero(view(state)["position"]["legal"])[-1]), 6)
        square(explorer, "Board", name).click()
        state = state.play(name)
        sync_api.expect(square(explorer, "Board", name)).to_have_attribute("aria-label", re.compile("played last"))
    check(explorer, state, reader)
    plain = picture(explorer, tmp_path / "plain.png")

    target = next(index for index, disc in enumerate(view(state)["position"]["discs"]) if disc)
    name = square_name(target, 6)
    square(explorer, "Belief", name).click()
    explorer.get_by_text(f"flip {name} at layer 2 and later").wait_for()
    flipped = check(explorer, state.toggled(Flip(name, 2)), reader)
    assert flipped["columns"][0]["after"] != flipped["columns"][0]["before"]
    assert not np.array_equal(picture(explorer, tmp_path / "flipped.png"), plain)
    square(explorer, "Belief", name).click()
    explorer.get_by_text(f"flip {name}").wait_for(state="detached")
    again = picture(explorer, tmp_path / "again.png")
    np.testing.assert_array_equal(again, plain)

    explorer.get_by_label("Second").select_option("1")
    explorer.get_by_label("Layer", exact=True).select_option("1")
    explorer.get_by_role("grid", name="Belief of language 1: atomic at layer 1").wait_for()
    explorer.get_by_label("Language", exact=True).select_option("1")
    explorer.locator("section.language").first.get_by_role("heading", name="Language 1: atomic").wait_for()
    explorer.get_by_role("button", name="Patch").click()
    explorer.get_by_text("patch layer 1 at move 10 from language 0").wait_for()
    run_cell(explorer.page, 1)
    answer = explorer.page.locator(".jp-OutputArea-output pre").last
    sync_api.expect(answer).to_have_text("[1, 1, 11, ['patch layer 1 at move 10 from language 0']]\n")


def test_the_keyboard_is_enough(explorer: Any) -> None:
    """Arrows move on the board, Enter plays, and the focus stays where it was."""
    page = explorer.page
    square(explorer, "Board", "b2").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert re.match("a4: legal, ", focused)
    page.keyboard.press("Enter")
    sync_api.expect(square(explorer, "Board", "a4")).to_have_attribute("aria-label", "a4: black, played last")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "a4: black, played last"
    page.keyboard.press("ArrowDown")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.key") == "lens0-1":
            break
    page.keyboard.press("Space")
    explorer.get_by_role("grid", name="Belief of language 0: atomic at layer 1").wait_for()


def test_what_goes_wrong_is_said_and_the_page_goes_on(explorer: Any) -> None:
    """An edit from Python that breaks later on."""
    explorer.get_by_label("Language", exact=True).evaluate(
        "select => { select.add(new Option('9: none', '9')); select.value = '9'; "
        "select.dispatchEvent(new Event('change')) }"
    )
    sync_api.expect(explorer.get_by_role("alert")).to_contain_text("language 9: mini/atomic-atomic-anchors4 reads")
    explorer.get_by_role("button", name="One move on").click()
    sync_api.expect(explorer.get_by_role("alert")).to_be_hidden()
    sync_api.expect(explorer.get_by_label("Moves played")).to_have_value("9")


def test_clicks_thirty_milliseconds_apart_all_count(explorer: Any) -> None:
    """Steps by one button, and presses during which the board is drawn anew: it stays where it was."""
    page, forward = explorer.page, explorer.get_by_role("button", name="One move on")
    forward.click(click_count=5, delay=30)
    sync_api.expect(explorer.get_by_label("Moves played")).to_have_value("13")
    flipped = [square(explorer, "Belief", name) for name in occupied(explorer)[:4]]
    places = [one.bounding_box() for one in flipped]
    for place in places:
        page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        page.mouse.down()
        page.wait_for_timeout(30)
        page.mouse.up()
    sync_api.expect(explorer.locator(".edits li")).to_have_count(4, timeout=20_000)
    assert [one.bounding_box() for one in flipped] == places


def test_of_quick_changes_the_last_checkpoint_is_fitted(explorer: Any) -> None:
    """The arrow keys in the list, as one who looks for a name."""
    explorer.evaluate(
        "root => { root.heard = new Set(); new MutationObserver(() => root.heard.add(root.querySelector('.status').textContent +"
        " root.querySelector('select').value)).observe(root, {subtree: true, childList: true, characterData: true}) }"
    )
    chosen = explorer.get_by_label("Checkpoint")
    for name in ("mini/atomic-atomic-unified", "mini/atomic-split-anchors4", "mini/four-naive"):
        chosen.select_option(name)
    explorer.get_by_text("mini/four-naive was trained only").wait_for()
    explorer.get_by_role("grid", name="Belief of language").wait_for(timeout=_STARTING)
    notices = explorer.evaluate("root => [...root.heard].filter(text => text.startsWith('Fitting'))")
    assert [text.partition(" ...")[2] for text in notices] == ["mini/four-naive"]


def test_light_and_dark(explorer: Any, tmp_path: Path) -> None:
    """JupyterLab's dark theme turns the page; text stands out from its ground by 4.5 or more in both (WCAG AA)."""
    page = explorer.page
    light = picture(explorer, tmp_path / "light.png")
    assert contrast(explorer) >= 4.5
    set_theme(page, "Dark")
    dark = picture(explorer, tmp_path / "dark.png")
    assert light.mean() > 180
    assert dark.mean() < 100
    assert contrast(explorer) >= 4.5
    set_theme(page, "Light")
    np.testing.assert_array_equal(picture(explorer, tmp_path / "light.png"), light)


def test_the_quickstart_notebook(browser: Any, tmp_path: Path) -> None:
    """Run from the menu, without an error; three moves in the explorer at its end."""
    written = nbformat.read(ROOT / "notebooks" / "01_quickstart.ipynb", as_version=4)
    cells = [cell.source for cell in written.cells if cell.cell_type == "code"]
    with notebook(tmp_path, cells) as address:
        page = opened(browser, address)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
        explorer = page.locator(".mothello-explorer")
        explorer.get_by_role("grid", name="Belief of language 0: atomic").wait_for(timeout=2 * _STARTING)
        for _ in range(3):
            legal = explorer.get_by_role("grid", name="Board").first.get_by_role("gridcell", name=": legal").first
            name = legal.get_attribute("aria-label")[:2]
            legal.click()
            played = square(explorer, "Board", name)
            sync_api.expect(played).to_have_attribute("aria-label", re.compile("played last"))
        assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
        page.screenshot(path=tmp_path / "quickstart.png")
        page.close()


def set_theme(page: Any, name: str) -> None:
    """By JupyterLab's own menu."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Theme", exact=True).hover()
    page.locator(".lm-Menu-itemLabel").get_by_text(f"JupyterLab {name}", exact=True).click()
    page.locator(f"[data-jp-theme-light={'true' if name == 'Light' else 'false'}]").first.wait_for(state="attached")
    page.wait_for_function("!document.getAnimations().length")


def contrast(explorer: Any) -> float:
    """The WCAG contrast of text and ground, the lower of the page's and a square's."""
    square = explorer.get_by_role("gridcell").first
    return min(_contrast(explorer), _contrast(square))


def _contrast(element: Any) -> float:
    colours = element.evaluate(
        "root => ['color', 'backgroundColor'].map(name => {"
        "  const pen = new OffscreenCanvas(1, 1).getContext('2d');"
        "  pen.fillStyle = getComputedStyle(root)[name]; pen.fillRect(0, 0, 1, 1);"
        "  return [...pen.getImageData(0, 0, 1, 1).data] })"
    )
    shares = np.array(colours)[:, :3] / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return float((high + 0.05) / (low + 0.05))

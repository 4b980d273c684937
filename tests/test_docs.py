"""The documentation is true: what it shows runs, and the site stands alone."""

import html.parser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from docs.notebooks import notebook_page
from docs.science import science
from docs.write_pages import NOTEBOOKS, PAGES, modules, readme_section, write_pages
from mothello_interp.languages import language

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r'^```(\w+)(?: title="(.+?)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
QUICK = ["how-to/activations.md", "how-to/intervention.md", "how-to/measure.md"]
SLOW = ["how-to/analysis.md", "how-to/language.md", "how-to/training.md"]


def follow(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what a page says, from the top: write its titled blocks to files, run its shell and Python blocks."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(language, "_TYPES", dict(language._TYPES))
    paths = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    names: dict[str, Any] = {"__name__": Path(page).stem}
    for kind, title, text in FENCE.findall((PAGES / page).read_text(encoding="utf-8")):
        if title:
            Path(title).write_text(text, encoding="utf-8")
        elif kind == "sh":
            done = subprocess.run(
                ["bash", "-ec", text], capture_output=True, text=True, env=os.environ | paths, check=False
            )
            assert done.returncode == 0, done.stderr
        else:
            assert kind == "python", f"{page} has a block of {kind} that nothing runs"
            exec(compile(text, page, "exec"), names)


def test_every_page_with_code_is_followed() -> None:
    with_code = {
        page.relative_to(PAGES).as_posix() for page in PAGES.rglob("*.md") if FENCE.search(page.read_text("utf-8"))
    }
    assert with_code == {*QUICK, *SLOW, "guide.md"}  # the guide: see test_readme


@pytest.mark.parametrize("page", [*QUICK, *(pytest.param(page, marks=pytest.mark.slow) for page in SLOW)])
def test_a_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "analyses", tmp_path / "analyses", ignore=shutil.ignore_patterns("tables", "__pycache__"))
    follow(page, tmp_path, monkeypatch)
    if page == "how-to/analysis.md":
        assert 'id="strength"' in (tmp_path / "figures" / "strength.html").read_text(encoding="utf-8")


def test_a_page_that_lies_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that fails, in either language."""
    for block, error in (("```python\n1 / 0\n```", ZeroDivisionError), ("```sh\nfalse\n```", AssertionError)):
        (tmp_path / "page.md").write_text(block, encoding="utf-8")
        with pytest.raises(error):
            follow(str(tmp_path / "page.md"), tmp_path, monkeypatch)


def test_a_section_of_the_readme_is_taken_whole(tmp_path: Path) -> None:
    section = readme_section("Where to go on", Path("notebooks"))
    assert section.startswith("## Where to go on\n")
    assert section.count("\n## ") == 0
    assert re.findall(r"\]\((\d.*?)\)", section) == [f"{path.stem}.md" for path in NOTEBOOKS]
    assert "](../how-to/language.md)" in section
    assert "](anchors.png)" in readme_section("")
    assert readme_section("").startswith("# mothello-interp\n")
    with pytest.raises(ValueError, match="has no section 'Notbooks'; it has: Two commands, "):
        readme_section("Notbooks")


def executed(path: Path, folder: Path) -> Path:
    """A copy of the notebook whose code cells have an output of each kind, as a kernel leaves them."""
    notebook = nbformat.read(path, as_version=4)
    figure = {"data": [{"type": "bar", "name": "</script>"}], "layout": {"height": 200}}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Explorer()"}
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="\x1b[31ma1\x1b[0m is legal\n"),
        nbformat.v4.new_output("display_data", {"application/vnd.plotly.v1+json": figure, "text/html": "<b>no</b>"}),
        nbformat.v4.new_output("execute_result", {"text/html": "<table>\n\n  <tr></tr></table>"}, execution_count=1),
        nbformat.v4.new_output("execute_result", {"text/plain": "0.5"}, execution_count=1),
        nbformat.v4.new_output("display_data", widget),
    ]
    for cell, output in zip([cell for cell in notebook.cells if cell.cell_type == "code"], outputs, strict=False):
        cell.outputs = [output]
    nbformat.write(notebook, folder / path.name)
    return folder / path.name


def test_a_notebook_becomes_a_page(tmp_path: Path) -> None:
    """Without outputs, with outputs of each kind, and with outputs of other cells."""
    path, names = NOTEBOOKS[0], [notebook.stem for notebook in NOTEBOOKS]
    plain = notebook_page(path, tmp_path / path.name, names)
    assert plain.startswith("# 1. ")
    assert f"[{path.name}]({path.name})" in plain
    assert plain.count("```python\n") >= 5
    assert "draws what is not shown here" in plain
    assert "<script" not in plain
    ran = executed(path, tmp_path)
    page = notebook_page(path, ran, names)
    assert "```text\na1 is legal\n```" in page
    assert page.count("Plotly.newPlot(") == 1
    assert r'"name": "<\/script>"' in page
    assert '{"height": 200}, {"responsive": true' in page
    assert "<b>no</b>" not in page
    assert '<div class="numbers" data-search-exclude><table>\n<tr></tr></table></div>' in page
    assert "```text\n0.5\n```" in page
    assert "Here stands the board explorer" in page
    assert "Explorer()" not in page
    ran.write_text(ran.read_text(encoding="utf-8").replace("import", "import  ", 1), encoding="utf-8")
    assert notebook_page(path, ran, names) == plain


def test_the_science_page_says_what_there_is_and_what_is_missing(tmp_path: Path) -> None:
    """One analysis with a figure, one without a picture, one with nothing."""
    figures = tmp_path / "figures"
    figures.mkdir()
    for name in ("cka.html", "cka.png", "cka.csv", "legality.html"):
        (figures / name).write_text(name)
    text = "# Question\n\nThe answer.\n\nCaption, see [moves](moves.html).\n\n## Method\n\n- [as](index.html#task)\n"
    (figures / "cka.md").write_text(text)
    (figures / "cka-headline.csv").write_text("regime,value\nnaive <a>,0.12345\nunified,\n")
    page = science(figures, tmp_path / "copies", order=["cka", "legality", "moves"])
    cka, legality, moves = re.split("^## ", page, flags=re.MULTILINE)[1:]
    assert re.match(r"Does CKA tell .*\? { #cka }\n\n\*\*The answer\.\*\*\n\n", cka)
    assert "Caption, see [moves](#moves).\n\n### Method\n\n- [as](#task)" in cka
    assert "](figures/cka.png)](figures/cka.html)" in cka
    assert "<tr><td>naive &lt;a&gt;</td><td>0.123</td></tr><tr><td>unified</td><td>-</td></tr>" in cka
    assert "(figures/legality.html)" in legality
    assert "legality.png" not in legality
    assert "-m analyses moves" in moves
    assert "No figure yet" in moves
    assert "No figure yet" not in cka + legality
    copied = {path.name for path in (tmp_path / "copies").iterdir()}
    assert copied == {"cka.html", "cka.png", "cka.csv", "legality.html"}


class Parts(html.parser.HTMLParser):
    """What a page loads, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.linked: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "poster", "data", "action") and value:
                (self.linked if tag == "a" else self.loaded).add(value)


def parts(text: str) -> Parts:
    found = Parts()
    found.feed(text)
    found.loaded |= set(
        re.findall(r"url\([\"']?(.*?)[\"']?\)", "".join(re.findall(r"<style.*?</style>", text, re.DOTALL)))
    )
    return found


def outside(addresses: set[str]) -> set[str]:
    return {address for address in addresses if re.match(r"(\w+:)?//", address)}


def test_the_reader_sees_what_a_page_loads() -> None:
    page = (
        '<img src="//a/b.png"><link href="https://c/d.css"><style>@import url("http://e/f")</style><a href="https://g">'
    )
    assert outside(parts(page).loaded) == {"//a/b.png", "https://c/d.css", "http://e/f"}
    assert outside(parts(page).linked) == {"https://g"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, of this checkout; a warning is an error (under --quiet it would be none)."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "notebooks").mkdir()
    executed(NOTEBOOKS[0], folder / "notebooks")
    write_pages(folder / "build" / "docs", figures=ROOT / "figures", notebooks=folder / "notebooks")
    (folder / "docs").mkdir()
    settings = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8").replace("paths: [..]", f'paths: ["{ROOT}"]')
    (folder / "docs" / "mkdocs.yml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(folder / "docs" / "mkdocs.yml")]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=quiet, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.mark.slow
def test_the_site_needs_no_network(site: Path) -> None:
    """Nothing that a page or style sheet loads lies outside, and all that lies inside is there."""
    pages = [page for page in site.rglob("*.html") if page.parent.name != "figures" and page.name != "404.html"]
    assert len(pages) > 20
    assert (
        "../figures/plotly.min.js"
        in parts((site / "notebooks" / f"{NOTEBOOKS[0].stem}.html").read_text("utf-8")).loaded
    )
    for page in pages:
        found = parts(page.read_text(encoding="utf-8"))
        assert not outside(found.loaded), page
        for address in found.loaded | found.linked:
            place = address.partition("#")[0].partition("?")[0]
            if place and not re.match(r"(\w+:)", address):
                assert (page.parent / place).exists(), f"{page} names {address}"
    for sheet in site.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not outside(set(re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", text))), sheet


@pytest.mark.slow
def test_the_site_has_every_module_notebook_and_analysis(site: Path) -> None:
    assert {page.stem for page in (site / "reference").glob("*.html")} == {*modules(), "index"}
    assert {page.stem for page in (site / "notebooks").glob("[0-9]*.html")} == {path.stem for path in NOTEBOOKS}
    text = (site / "science.html").read_text(encoding="utf-8")
    assert {path.stem for path in (ROOT / "analyses").glob("[!_]*.py")} <= set(re.findall(r'<h2 id="(\w+)"', text))
    assert 'id="mothello_interp.othello.random_games"' in (site / "reference" / "othello.html").read_text(
        encoding="utf-8"
    )

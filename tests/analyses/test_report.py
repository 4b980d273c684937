"""The report: one page that holds every figure, loads nothing from elsewhere, and is made of whatever was run."""

import json
import re
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from analyses import _report, _runner
from analyses._report import write_report
from tests.analyses.conftest import run
from tests.analyses.page import Page


@pytest.fixture(scope="module")
def page(out: Path) -> Page:
    return Page(out / "index.html")


def test_every_figure_is_there(out: Path, page: Page) -> None:
    """As it was drawn, in a place of its own."""
    assert list(page.figures) == list(_runner.find())
    for name, figure in page.figures.items():
        saved = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        assert figure["data"] == saved["data"]
        assert figure["layout"].pop("autosize") is True
        assert figure["layout"] == saved["layout"]
        assert page.ids.count(f"figure-{name}") == 1


def test_plotly_is_there_once(out: Path) -> None:
    """And before the figures that need it."""
    text = (out / "index.html").read_text(encoding="utf-8")
    assert text.count(get_plotlyjs()) == 1
    assert text.index(get_plotlyjs()) < text.index("Plotly.newPlot(")
    assert len(text) < len(get_plotlyjs()) + 50_000 * len(_runner.find())


def test_nothing_is_loaded_from_elsewhere(out: Path, page: Page) -> None:
    """In the report and in the page of each figure: no script, style, image or font from a network."""
    assert page.sources == []
    assert not re.search(r"@import|url\(", "".join(page.inside["style"]))
    for name in _runner.find():
        single = Page(out / f"{name}.html")
        assert single.sources == ["plotly.min.js"]
        assert (out / "plotly.min.js").exists()


def test_contents_and_files_lead_somewhere(out: Path, page: Page) -> None:
    inside = [link for link in page.links if link.startswith("#")]
    assert inside == [f"#{name}" for name in _runner.find()]
    for link in inside:
        assert page.ids.count(link[1:]) == 1
    files = [link for link in page.links if not link.startswith("#")]
    assert files == [f"{name}.{kind}" for name in _runner.find() for kind in ("csv", "html")]
    for file in files:
        assert (out / file).is_file()


def test_titles_texts_and_commands(page: Page) -> None:
    """What each analysis says of itself, word by word, and how to run it again."""
    paragraphs = {" ".join(text.split()) for text in page.inside["p"]}
    for analysis, title, section in zip(
        _runner.find().values(), page.inside["h2"], page.inside["section"], strict=True
    ):
        assert title == analysis.title
        assert {" ".join(part.split()) for part in analysis.text.split("\n\n")} <= paragraphs
        assert f"python -m analyses {analysis.name}." in section


def test_headlines_are_shown(out: Path, page: Page) -> None:
    for name, section in zip(_runner.find(), page.inside["section"], strict=True):
        headline = pd.read_csv(out / f"{name}-headline.csv")
        for column in headline:
            assert str(column) in section
        for label in headline.get("regime", ()):  # similarity's is a row a measure
            assert label in section
        number = float(headline.select_dtypes("float").to_numpy()[0, 0])
        assert f"{number:.3f}" in section


def test_stored_rows_are_owned_up_to(page: Page, tmp_path: Path) -> None:
    """With their seeds; a report without any says nothing of them."""
    for section in page.inside["section"]:
        assert "Seeds 3 come from stored tables" in section
    run(["legality"], tmp_path)
    table = pd.read_csv(tmp_path / "legality.csv")
    table[table["origin"] == "computed"].to_csv(tmp_path / "legality.csv", index=False)
    write_report(tmp_path)
    assert "stored" not in Page(tmp_path / "index.html").inside["section"][0]


@pytest.mark.parametrize("names", [["moves"], ["patching", "cka"], []])
def test_a_report_of_what_was_run(names: list[str], tmp_path: Path) -> None:
    """In the order of the analyses; the others are not mentioned."""
    run(names, tmp_path)
    page = Page(write_report(tmp_path))
    assert list(page.figures) == sorted(names)
    assert page.links.count("moves.csv") == ("moves" in names)
    assert [link for link in page.links if link.startswith("#")] == [f"#{name}" for name in sorted(names)]
    assert len(page.inside["script"]) == 1 + len(names)


def test_pictures_are_linked_where_they_are(tmp_path: Path) -> None:
    run(["moves"], tmp_path)
    for kind in ("png", "svg"):
        (tmp_path / f"moves.{kind}").touch()
    page = Page(write_report(tmp_path))
    assert page.links == ["#moves", "moves.csv", "moves.html", "moves.png", "moves.svg"]


def test_signs_that_mean_something_in_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In titles, texts, tables and figures they are only signs."""
    nasty = "a < b & </script></section> {braces}"
    run(["moves"], tmp_path)
    analysis = _runner.Analysis("moves", nasty, f"one {nasty}\n\ntwo")
    monkeypatch.setattr(_report, "find", lambda: {"moves": analysis})
    figure = go.Figure(layout={"title": {"text": nasty}})
    (tmp_path / "moves.json").write_text(figure.to_json(), encoding="utf-8")
    pd.DataFrame({nasty: [nasty]}).to_csv(tmp_path / "moves-headline.csv", index=False)
    page = Page(write_report(tmp_path))
    assert page.inside["h2"] == [nasty]
    assert page.inside["li"] == [nasty]
    assert f"one {nasty}" in page.inside["p"]
    assert (page.inside["th"], page.inside["td"]) == ([nasty], [nasty])
    assert page.figures["moves"]["layout"]["title"]["text"] == nasty

"""The report: one page that holds every figure, loads nothing from elsewhere, and is made of whatever was run."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from plotly.offline import get_plotlyjs
from rich.console import Console

from analyses import _report, _runner
from analyses._report import write_report
from analyses._story import _verdict, write_story
from tests.analyses.test_figures import table_of

VOID = {"meta", "link", "img", "br", "hr", "input"}
FIGURE = re.compile(r"const f = (\{.*\});\nPlotly\.newPlot\(\"figure-(\w+)\"")


class Page(HTMLParser):
    """A page as a browser reads it: its text, identities, links and scripts; every tag must be closed in its order."""

    def __init__(self, path: Path):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        self.sources += [values[key] for key in ("src", "href", "data", "srcset") if key in values and tag != "a"]
        if tag not in VOID:
            self.open.append(tag)
            self.inside.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.inside[tag][-1] += data

    @property
    def figures(self) -> dict[str, Any]:
        """The figures that its scripts draw, by the analysis."""
        found = [match for script in self.inside["script"] for match in FIGURE.findall(script)]
        return {name: json.loads(figure) for figure, name in found}


def run(names: list[str], out: Path) -> None:
    """Run analyses on tables that are there already."""
    for name in names:
        analysis = _runner.find()[name]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_runner, "has_browser", lambda: False)
            patch.setattr(analysis.module(), "compute", lambda zoo, name=name, **inputs: table_of(name))
            _runner.run(analysis, out, Console(quiet=True))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every analysis and the report."""
    folder = tmp_path_factory.mktemp("figures")
    run(list(_runner.find()), folder)
    assert write_report(folder) == folder / "index.html"
    return folder


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


def test_plotly_is_there_once(out: Path, page: Page) -> None:
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
    assert files.pop(0) == "symmetries.html"
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
        for label in headline.get("regime", ()):  # similarity's columns are the regimes
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


def test_a_report_is_written_anew(tmp_path: Path) -> None:
    run(["moves"], tmp_path)
    first = write_report(tmp_path).read_bytes()
    assert write_report(tmp_path).read_bytes() == first
    run(["cka"], tmp_path)
    assert set(Page(write_report(tmp_path)).figures) == {"cka", "moves"}


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


def test_figures_on_a_page_are_figures(out: Path) -> None:
    """They open in plotly from the JSON that the report is made of."""
    for name in _runner.find():
        figure = pio.read_json(out / f"{name}.json")
        assert len(figure.data) > 3
        assert figure.layout.template.layout.paper_bgcolor == "white"


def test_the_story_of_the_symmetries(out: Path, tmp_path: Path) -> None:
    """It needs five figures, loads plotly from beside it, and says what the tables say."""
    page = Page(out / "symmetries.html")
    assert page.sources == ["plotly.min.js"]
    assert set(page.figures) == {"many_languages", "seeds", "symmetry", "preferences", "mixtures"}
    text = (out / "symmetries.html").read_text(encoding="utf-8")
    found = pd.read_csv(out / "symmetry-headline.csv").query("weights == 'trained'")
    for _, row in found[found["regime"].str.contains("naive")].iterrows():
        assert f"{row['regime']}, seed {row['seed']}: {row['raised pairs']} pairs" in text
        assert f"{row['recovery, best map']:.2f}" in text
    assert 'href="symmetries.html"' in (out / "index.html").read_text(encoding="utf-8")
    run(["moves", "symmetry"], tmp_path)
    write_report(tmp_path)
    assert not (tmp_path / "symmetries.html").exists()
    assert "symmetries.html" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_no_story_is_told_from_tables_of_another_version(out: Path, tmp_path: Path) -> None:
    """A column that is not there leaves the report without it, and whole."""
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    (tmp_path / "symmetries.html").unlink()
    assert write_story(tmp_path)
    (tmp_path / "symmetries.html").unlink()
    headline = tmp_path / "preferences-headline.csv"
    pd.read_csv(headline).drop(columns="directions with a map").to_csv(headline, index=False)
    page = Page(write_report(tmp_path))
    assert "preferences" in page.figures
    assert not (tmp_path / "symmetries.html").exists()


def test_the_story_counts_triples_where_there_are_some() -> None:
    row = {"regime": "5 naive languages", "seed": 3, "raised pairs": "9 of 10"}
    assert _verdict(pd.Series(row)) == "5 naive languages, seed 3: 9 of 10 pairs"
    row |= {"triples that compose": "7 of 10", "p, random maps": 0.25, "p, shuffled": 0.5}
    expected = "5 naive languages, seed 3: 9 of 10 pairs, 7 of 10 triples (p = 0.2500 and 0.5000)"
    assert _verdict(pd.Series(row)) == expected

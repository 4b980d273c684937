"""The report: an article, a gallery and a page for each figure, that load nothing from elsewhere, of whatever was run."""

import json
import re
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest

from analyses import _report, _runner
from analyses._report import ARTICLE, write_report
from mothello_interp.explorer import Explorer
from tests.analyses.conftest import run
from tests.analyses.page import Page

OTHERS = [name for name in _runner.find() if name not in ARTICLE]


@pytest.fixture(scope="module")
def article(out: Path) -> Page:
    return Page(out / "index.html")


def test_the_article_has_its_figures_in_order(out: Path, article: Page) -> None:
    """As they were drawn, with their parts: question, answer, figure, caption, details with table and command."""
    assert tuple(article.figures) == ARTICLE
    assert article.inside["h2"] == [_runner.find()[name].title for name in ARTICLE]
    for name, section in zip(ARTICLE, article.inside["section"], strict=True):
        saved = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        assert article.figures[name]["data"] == saved["data"]
        assert article.ids.count(f"figure-{name}") == 1
        assert f"python -m analyses {name}." in section
        assert "Seeds 3 come from stored tables" in section
        for column in pd.read_csv(out / f"{name}-headline.csv").columns[:8]:
            assert str(column) in section
    assert len(article.inside["figcaption"]) == len(article.inside["details"]) == len(ARTICLE)


def test_the_gallery_leads_to_every_other_figure(out: Path) -> None:
    gallery = Page(out / "all.html")
    assert [link for link in gallery.links if link != "index.html"] == [f"{name}.html" for name in OTHERS]
    assert gallery.inside["h2"] == [_runner.find()[name].title for name in OTHERS]
    for name in OTHERS:
        assert list(Page(out / f"{name}.html").figures) == [name]


def test_nothing_is_loaded_from_elsewhere_and_links_lead_somewhere(out: Path) -> None:
    """No script, style, image or font from a network; of links one alone, to the paper."""
    for name in ("index", "all", *_runner.find()):
        page = Page(out / f"{name}.html")
        assert set(page.sources) <= {"plotly.min.js"}
        assert not re.search(r"@import|url\(", "".join(page.inside["style"]))
        for link in page.links:
            file, _, place = link.partition("#")
            assert link == "https://arxiv.org/abs/2404.12444" or (out / (file or f"{name}.html")).is_file(), link
            if place:
                assert Page(out / file).ids.count(place) == 1, link
    assert (out / "plotly.min.js").exists()


@pytest.mark.parametrize("names", [["moves"], ["patching", "cka"], []])
def test_a_report_of_what_was_run(names: list[str], tmp_path: Path) -> None:
    """The others are not mentioned, and the abstract says that it needs them."""
    run(names, tmp_path)
    write_report(tmp_path)
    page = Page(tmp_path / "index.html")
    assert list(page.figures) == [name for name in names if name in ARTICLE]
    assert [link for link in Page(tmp_path / "all.html").links if link != "index.html"] == [
        f"{name}.html" for name in sorted(names) if name not in ARTICLE
    ]
    assert "The abstract needs every figure" in "".join(page.inside["p"])


def test_pictures_and_long_tables(tmp_path: Path) -> None:
    """Pictures are linked where they are; of a table eight columns are shown, and said where the rest is."""
    run(["moves"], tmp_path)
    (tmp_path / "moves.svg").touch()
    wide = pd.read_csv(tmp_path / "moves-headline.csv").assign(one=1, two=2, three=3)
    wide.to_csv(tmp_path / "moves-headline.csv", index=False)
    write_report(tmp_path)
    page = Page(tmp_path / "moves.html")
    assert page.links[2:] == ["moves.csv", "moves.svg", "moves-headline.csv"]
    assert len(page.inside["th"]) == 8
    assert f"All 3 rows and {len(wide.columns)} columns are in moves-headline.csv" in "".join(page.inside["p"])
    assert Page(tmp_path / "all.html").sources == ["moves.svg"]


def test_signs_that_mean_something_in_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In texts, tables and figures they are only signs."""
    nasty = "a < b & </script></section> braces"
    run(["moves"], tmp_path)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "moves.md").write_text(f"# {nasty}\n\none {nasty}\n\ntwo {nasty}\n", encoding="utf-8")
    monkeypatch.setattr(_report._text, "TEXTS", tmp_path / "text")
    (tmp_path / "text" / "article.md").write_text("# Title\n", encoding="utf-8")
    figure = go.Figure(layout={"title": {"text": nasty}})
    (tmp_path / "moves.json").write_text(figure.to_json(), encoding="utf-8")
    pd.DataFrame({nasty: [nasty]}).to_csv(tmp_path / "moves-headline.csv", index=False)
    monkeypatch.setattr(_report, "find", lambda: {"moves": None, "cka": None})
    write_report(tmp_path)
    page = Page(tmp_path / "moves.html")
    assert page.inside["h1"] == [nasty]
    assert f"one {nasty}" in page.inside["p"]
    assert page.inside["figcaption"] == [f"two {nasty}"]
    assert (page.inside["th"], page.inside["td"]) == ([nasty], [nasty])
    assert page.figures["moves"]["wide"]["title"]["text"] == nasty


@pytest.mark.slow
def test_the_explorer_shows_what_the_article_sends_there() -> None:
    """In the model that `make figures` exports: a belief that fits as a mirror image alone, and a patch that is right."""
    (name,) = re.findall(rf"export (\S+) --output figures/{_report.EXPLORER}", Path("Makefile").read_text("utf-8"))
    seen = {figure: Explorer(name, link=link) for figure, (_, link) in _report._SEEN.items()}
    mirrored = seen["symmetry"]
    mirrored.probes  # noqa: B018 - fits them
    fits = mirrored.view["columns"][0]["belief"]["fits"]
    assert fits[mirrored.symmetry] > 0.9 > 0.8 > max(fits[other] for other in fits if other != mirrored.symmetry)
    ((before, after),) = [column["mass"]["true"] for column in seen["patching"].view["columns"][:1]]
    assert abs(before - after) < 0.03

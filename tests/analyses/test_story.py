"""The story of the symmetries: told from headlines, and only from whole ones."""

import shutil
from pathlib import Path

import pandas as pd

from analyses._report import write_report
from analyses._story import _verdict, write_story
from tests.analyses.conftest import run
from tests.analyses.page import Page


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

"""The story of the symmetries: told from headlines, and only from whole ones."""

import re
import shutil
from pathlib import Path

import pandas as pd

from analyses._report import write_report
from analyses._story import _random, _table, write_story
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
        cells = [
            f"{row['regime']}, seed {row['seed']}",
            row["raised pairs"],
            row.fillna("-")["maps"],
            f"{row['normalised']:.2f}",
        ]
        assert re.search(r"\s*".join(f"<td>{re.escape(cell)}</td>" for cell in cells), text)
        if not row["best map first"].endswith(" of 0"):
            assert f"<td>{row['recovery, best map']:.2f}</td>" in text
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


def test_a_table_of_the_story() -> None:
    """A row a model; what it does not have is a dash."""
    rows = pd.DataFrame({"regime": "5 naive languages", "seed": [3, 4], "p, shuffled": [0.25, None], "pairs": [7, 9]})
    cells = re.findall("<td>(.*)</td>", _table(rows, ["pairs", "p, shuffled", "triples"]))
    assert cells == ["5 naive languages, seed 3", "7", "0.2500", "-", "5 naive languages, seed 4", "9", "-", "-"]


def test_random_models_are_counted_once() -> None:
    rows = [
        (0.48, "0 of 10", "1 of 10", "2 of 20"),
        (0.48, "0 of 10", "1 of 10", "2 of 20"),
        (0.47, "1 of 6", "1 of 6", "0 of 12"),
    ]
    found = pd.DataFrame(rows, columns=["accuracy", "raised pairs", "raised, of eight", "flip or quarter turn"])
    told = _random(found.assign(weights="random", floor=0.4, margin=0.1))
    assert "2 models, 1 of 16 pairs are raised; with eight candidates 2" in told
    assert "in 2 of 32 directions" in told

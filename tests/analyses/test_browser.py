"""The report in a real browser, from a bundled checkpoint to the curves on the page."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.browser import BROWSER, needs_browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--virtual-time-budget=20000",
]


@pytest.mark.slow
@needs_browser
def test_an_analysis_ends_on_a_page_that_draws(tmp_path: Path) -> None:
    """`python -m analyses legality` in an empty folder: its table, its images, and the figure drawn offline on its page."""
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "analyses", "legality", "--out", str(tmp_path / "figures")],
        check=True,
        capture_output=True,
        cwd=root,
    )
    out = tmp_path / "figures"
    table = pd.read_csv(out / "legality.csv")
    bundled = table[table["origin"] == "computed"]
    by_regime = (bundled["top1"] * bundled["prefixes"]).groupby(bundled["regime"]).sum()
    assert (by_regime / bundled.groupby("regime")["prefixes"].sum()).min() >= 0.97
    assert (out / "legality.png").stat().st_size > 20_000
    assert "<svg" in (out / "legality.svg").read_text(encoding="utf-8")
    assert BROWSER is not None
    page = subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", (out / "legality.html").as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    assert page.count('class="main-svg"') >= 1
    assert page.count('class="trace scatter') >= 3 * 3

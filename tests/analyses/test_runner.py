"""The runner: what it finds, and what it writes."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest
from rich.console import Console

from analyses import _runner
from analyses._models import BUNDLED
from mothello_interp import plots


def test_every_analysis_says_what_it_shows() -> None:
    """A title of one line, how to read the figure, and what could fool it."""
    found = _runner.find()
    assert {"anchors", "moves", "cka", "patching", "legality"} <= set(found)
    assert list(found) == sorted(found)
    for name, analysis in found.items():
        assert analysis.name == name
        assert not name.startswith("_")
        assert 20 < len(analysis.title) < 110
        assert "\n" not in analysis.title
        assert "What could fool it: " in analysis.text
        assert not analysis.text.startswith("\n")
        assert analysis.module().__name__ == f"analyses.{name}"
        documented = analysis.module().__doc__
        assert documented is not None
        assert documented.startswith(analysis.title)


def test_sources_are_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that begin with an underscore are no analyses."""
    (tmp_path / "second.py").write_text('"""Is it?\n\nIt is,\nand how.\n"""\nraise SystemExit\n', encoding="utf-8")
    (tmp_path / "first.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "_helper.py").write_text('"""No analysis"""\n', encoding="utf-8")
    monkeypatch.setattr(_runner, "HERE", tmp_path)
    second = _runner.Analysis("second", "Is it?", "It is,\nand how.")
    assert _runner.find() == {"first": _runner.Analysis("first", "", ""), "second": second}


TABLE = pd.DataFrame({"regime": "naive", "origin": "computed", "layer": [0, 1], "value": [1 / 3, 2e-7]})


def made(monkeypatch: pytest.MonkeyPatch, name: str = "moves") -> _runner.Analysis:
    """An analysis whose functions give what a test can foretell."""
    analysis = _runner.find()[name]
    module = analysis.module()
    monkeypatch.setattr(_runner.Analysis, "table", lambda *given: TABLE)
    monkeypatch.setattr(module, "figure", lambda table: go.Figure(go.Scatter(x=table["layer"], y=table["value"])))
    monkeypatch.setattr(module, "headline", lambda table: table.groupby("regime", as_index=False)["value"].mean())
    return analysis


def test_an_analysis_gets_the_inputs_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """None where they are not given."""
    found = _runner.find()
    assert {name: analysis.takes for name, analysis in found.items() if analysis.takes} == {"realgames": ("wthor",)}
    got: list[dict[str, Any]] = []
    monkeypatch.setattr(found["realgames"].module(), "compute", lambda zoo, **inputs: got.append(inputs))
    for given in ({}, {"wthor": Path("games")}):
        found["realgames"].table(BUNDLED, given)
    assert got == [{"wthor": None}, {"wthor": Path("games")}]


def test_what_a_run_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table, its headline, and the figure as JSON and as a page that needs no network."""
    monkeypatch.setattr(_runner, "has_browser", lambda: False)
    out = tmp_path / "a" / "b"
    _runner.run(made(monkeypatch), out, Console(quiet=True))
    written = {path.name for path in out.iterdir()}
    assert written == {"moves.csv", "moves-headline.csv", "moves.html", "moves.json", "plotly.min.js"}
    pd.testing.assert_frame_equal(pd.read_csv(out / "moves.csv"), TABLE, rtol=1e-5)
    assert pd.read_csv(out / "moves-headline.csv")["value"].tolist() == [pytest.approx(1 / 6, rel=1e-3)]
    (trace,) = json.loads((out / "moves.json").read_text(encoding="utf-8"))["data"]
    assert trace["type"] == "scatter"
    assert 'src="plotly.min.js"' in (out / "moves.html").read_text(encoding="utf-8")


def test_what_a_run_draws_with_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def write_image(figure: go.Figure, *paths: Path) -> None:
        drawn.extend(path.name for path in paths)

    monkeypatch.setattr(_runner, "has_browser", lambda: True)
    monkeypatch.setattr(plots, "write_image", write_image)
    _runner.run(made(monkeypatch), tmp_path, Console(quiet=True))
    assert drawn == ["moves.png", "moves.svg", "moves.pdf"]

"""The runner: what it finds, and what it writes."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from analyses import _runner, _text
from analyses._models import BUNDLED, NoModels
from mothello_interp import plots
from tests.train.test_full_disk import room_for


def test_sources_are_read_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The title is that of the text. Names that begin with an underscore are no analyses."""
    (tmp_path / "second.py").write_text("raise SystemExit\n", encoding="utf-8")
    (tmp_path / "_helper.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "second.md").write_text("# Is it?\n\nIt {{ is }}.\n", encoding="utf-8")
    monkeypatch.setattr(_runner, "HERE", tmp_path)
    monkeypatch.setattr(_text, "TEXTS", tmp_path)
    assert _runner.find() == {"second": _runner.Analysis("second", "Is it?")}


def test_an_analysis_without_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "second.py").touch()
    monkeypatch.setattr(_runner, "HERE", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"second\.md"):
        _runner.find()


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
    """The table, its headline, and the figure as JSON."""
    _runner.run(made(monkeypatch), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"moves.csv", "moves-headline.csv", "moves.json"}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "moves.csv"), TABLE, rtol=1e-5)
    assert pd.read_csv(tmp_path / "moves-headline.csv")["value"].tolist() == [pytest.approx(1 / 6, rel=1e-3)]
    (trace,) = json.loads((tmp_path / "moves.json").read_text(encoding="utf-8"))["data"]
    assert trace["type"] == "scatter"


def test_a_full_disk_leaves_the_earlier_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = made(monkeypatch)
    _runner.run(analysis, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for room in (20, 60, 500):  # the table does not fit, then the figure
        with room_for(room), pytest.raises(OSError, match="File too large"):
            _runner.run(analysis, tmp_path)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_pictures_are_drawn_in_one_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(plots, "write_images", asked.append)
    for name in ("moves", "cka"):
        (tmp_path / f"{name}.json").write_text(go.Figure(layout_title_text=name).to_json(), encoding="utf-8")
    _runner.write_images(["moves", "cka"], tmp_path)
    ((first, second),) = asked
    assert [path.name for path in first[1]] == ["moves.png", "moves.svg", "moves.pdf"]
    assert second[0].layout.title.text == "cka"


def test_analyses_run_side_by_side(tmp_path: Path) -> None:
    """Each in a process of its own; what one raises comes out with its name, and the other is done."""
    found = _runner.find()
    results = {}
    for name, done in _runner.run_side_by_side([found["emergence"], found["heads"]], tmp_path, scale="midi", runs=None):
        results[name] = done.exception()
    assert set(results) == {"emergence", "heads"}
    assert isinstance(results["emergence"], NoModels)
    assert results["heads"] is None or isinstance(results["heads"], NoModels)

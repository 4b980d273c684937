"""The command line: what it lists, refuses, runs and records."""

import shutil
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from analyses import _record, _report, _runner
from analyses.__main__ import app
from mothello_interp.models import save_checkpoint
from mothello_interp.models.zoo import BUNDLE
from tests.conftest import shown_without, tiny_checkpoint

ROOT = Path(_runner.HERE).parent


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], "Where do two languages align?"),
        (["--help"], "Is the shared representation used, or only"),
        (["anchors", "--help"], "Where do two languages align?"),
    ],
)
def test_help_is_there_without_loading_torch(arguments: list[str], shown: str) -> None:
    output = shown_without({"torch", "transformer_lens", "plotly", "pandas", "numba", "jinja2"}, "analyses", arguments)
    assert shown in output
    if not arguments:
        for analysis in _runner.find().values():
            assert any(line.split()[:1] == [analysis.name] for line in output.splitlines())
            assert analysis.title in output


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})


def test_an_analysis_that_is_none() -> None:
    result = invoke("anchrs")
    assert result.exit_code == 2
    assert "anchrs" in result.output
    recorded = invoke("record", "anchrs", "somewhere")
    assert recorded.exit_code == 1
    assert "no analysis 'anchrs'; there are: anchors, cka," in recorded.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["anchors", "--seed", "1"],
        ["all", "--fast"],
        ["anchors", "cka"],
        ["anchors", "--runs", "/nowhere"],
        ["all", "--checkpoint", "/nowhere"],
        ["cka", "--device", "cpuu"],
    ],
)
def test_an_option_that_is_none(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run before the mistake is found."""
    monkeypatch.setattr(_runner, "run", pytest.fail)
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert arguments[1] in result.output


@pytest.mark.parametrize("browser", [False, True])
def test_commands_run_analyses_and_write_the_report(
    browser: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[tuple[Any, ...]] = []

    def note(analysis: _runner.Analysis, out: Path, inputs: dict[str, Any], **zoo: Any) -> None:
        run.append((analysis.name, out, *zoo.values(), *(value for value in inputs.values() if value is not None)))

    def side_by_side(analyses: Any, *given: Any, **zoo: Any) -> Any:
        for analysis in analyses:
            done = Future[None]()
            note(analysis, *given, **zoo)
            done.set_result(None)
            yield analysis.name, done

    pictures: list[list[str]] = []
    monkeypatch.setattr(_runner, "run", note)
    monkeypatch.setattr(_runner, "run_side_by_side", side_by_side)
    monkeypatch.setattr(_runner, "has_browser", lambda: browser)
    monkeypatch.setattr(_runner, "write_images", lambda names, out: pictures.append(names))
    monkeypatch.setattr(_report, "write_report", lambda out, zoo: [])
    result = invoke("all", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert run == [(name, tmp_path, "mini", None, "cpu", (), None) for name in _runner.find()]
    assert "index.html" in result.output
    assert ("No Chrome or Chromium found" in result.output) != browser
    assert pictures == [list(_runner.find())] * browser
    assert f"{len(run)} of {len(run)}" in result.output
    run.clear()
    mine = str(tmp_path)
    chosen = ("--scale", "paper", "--runs", mine, "--device", "meta", "--checkpoint", mine, "--tables", mine)
    assert invoke("cka", "--out", mine, *chosen).exit_code == 0
    assert run == [("cka", tmp_path, "paper", tmp_path, "meta", (tmp_path,), tmp_path)]
    run.clear()
    assert invoke("realgames", "--out", mine, "--wthor", mine).exit_code == 0
    assert invoke("cka", "--out", mine, "--wthor", mine).exit_code == 2
    assert invoke("transfer", "--out", mine, "--device", "cpu").exit_code == 2  # its rows are stored
    assert invoke("all", "--out", mine, "--wthor", mine).exit_code == 0
    plain = ("mini", None, "cpu", (), None)
    assert run == [(name, tmp_path, *plain, tmp_path) for name in ("realgames", *_runner.find())]


def test_sentences_that_numbers_do_not_support(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They fail the command, after the pages are written; not so of other models than those the texts are about."""
    monkeypatch.setattr(_runner, "run", lambda *given, **zoo: None)
    monkeypatch.setattr(_runner, "has_browser", lambda: False)
    monkeypatch.setattr(_report, "write_report", lambda out, zoo: ["cka.md: CKA is 0.1 [not above 0.7]."])
    result = invoke("cka", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "numbers do not support" in result.output
    assert "cka.md: CKA is 0.1 [not above 0.7]." in result.output
    assert invoke("cka", "--out", str(tmp_path), "--runs", str(tmp_path)).exit_code == 0


def test_games_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder without any, a broken file, and none where some are needed."""
    given = ("--wthor", str(tmp_path), "--out", str(tmp_path / "figures"))
    assert "holds no .wtb file" in invoke("realgames", *given).output
    bundled = str(BUNDLE / "mini" / "atomic-atomic-anchors4")
    assert "name the folder of their .wtb files with --wthor" in invoke("record", "realgames", bundled).output
    refused = invoke("record", "moves", bundled, "--wthor", str(tmp_path))
    assert (refused.exit_code, refused.output) == (1, "error: moves measures no real games; leave out --wthor\n")
    (tmp_path / "a.wtb").write_bytes(bytes(16 + 67))
    refused = invoke("record", "realgames", bundled, "--wthor", str(tmp_path))
    assert refused.exit_code == 1
    assert "6x6" in refused.output


def test_an_out_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before anything is measured."""
    monkeypatch.setattr(_runner, "run", pytest.fail)
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = invoke("cka", "--out", str(tmp_path / "file" / "figures"))
    assert result.exit_code == 1
    assert "figures cannot be made" in result.output
    assert "choose another --out" in result.output


def test_the_command_that_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a finished run its checkpoint is taken."""
    asked: list[Any] = []

    def record(name: str, measure: Any, folders: list[Path], tables: Path) -> Path:
        asked.append((name, measure, folders))
        assert tables == Path("analyses/tables")
        return tmp_path / "moves.csv"

    monkeypatch.setattr(_record, "record", record)
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    result = invoke("record", "moves", str(tmp_path / "run"), str(tmp_path / "plain"))
    assert result.exit_code == 0, result.output
    measure = _runner.find()["moves"].module().measure
    assert asked == [("moves", measure, [tmp_path / "run" / "checkpoint", tmp_path / "plain"])]
    assert invoke("record", "cosine", str(tmp_path / "run")).exit_code == 0
    assert asked[1][1] == _runner.find()["cosine"].module()._kept  # less than it draws


OWN = '''"""How wide is it?"""
import pandas as pd
import plotly.graph_objects as go

MODELS = {}

def measure(checkpoint):
    return pd.DataFrame({"width": [FACTOR * checkpoint.spec.model.d_model]})

def figure(table):
    return go.Figure(go.Scatter(y=table["width"]))

def headline(table):
    return table[["regime", "width"]]
'''


def test_own_runs_a_file_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And measures again where it was changed; what is no analysis is refused."""
    monkeypatch.setattr(_runner, "has_browser", lambda: False)
    folder = save_checkpoint(tmp_path / "tiny", tiny_checkpoint())
    for factor in (1, 10):
        file = tmp_path / "wide.py"
        file.write_text(OWN.replace("FACTOR", str(factor)), encoding="utf-8")
        result = invoke("own", str(file), "--checkpoint", str(folder), "--out", str(tmp_path / "out"))
        assert result.exit_code == 0, result.output
        assert "wide: computed tiny, seeds 0" in result.output
        assert (tmp_path / "out" / "wide-headline.csv").read_text("utf-8") == f"regime,width\ntiny,{16 * factor}\n"
    assert (tmp_path / "out" / "wide.html").exists()
    for name, text, said in (
        ("cka", OWN, "not taken"),
        ("a b", OWN, "not taken"),
        ("half", "figure = 1", "measure, headline"),
    ):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        result = invoke("own", str(tmp_path / f"{name}.py"))
        assert (result.exit_code, said in result.output) == (1, True)


def test_a_scale_without_models(tmp_path: Path) -> None:
    """One analysis alone says so and fails; among all of them it is left out."""
    alone = CliRunner().invoke(app, ["anchors", "--scale", "paper", "--out", str(tmp_path / "a")])
    assert (alone.exit_code, alone.output[:7]) == (1, "error: ")
    assert "paper/atomic-atomic-anchors0" in alone.output
    together = CliRunner().invoke(app, ["all", "--scale", "paper", "--out", str(tmp_path / "b")])
    assert together.exit_code == 0, together.output
    assert "anchors: left out, for there is no model of it" in together.output
    assert "known by stored rows alone" in (tmp_path / "b" / "index.html").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["anchors", "--scale", "maxi"]).exit_code == 2


@pytest.mark.parametrize(
    ("name", "scale", "said"),
    [
        ("sharing", "paper", "sharing: it has no models of scale 'paper'; leave out --scale"),
        ("transfer", "midi", "transfer: none of midi/transfer-atomic-naive-mini-language0, "),
        ("emergence", "midi", "midi/atomic-atomic-anchors4, midi/twenty-atomic has stored rows or lies in a folder"),
        ("emergence", "paper", "none of paper/atomic-atomic-anchors0"),
    ],
)
def test_a_scale_that_an_analysis_has_nothing_of(name: str, scale: str, said: str, tmp_path: Path) -> None:
    """Not the rows of another scale instead."""
    result = invoke(name, "--scale", scale, "--out", str(tmp_path / "figures"))
    assert (result.exit_code, result.output[:7]) == (1, "error: ")
    assert said in result.output.replace("\n", " ")


def test_figures_are_redrawn_without_a_model(out: Path, tmp_path: Path) -> None:
    """From their CSV alone, to the byte, the report with them; neither torch nor a checkpoint is loaded."""
    shutil.copytree(out, tmp_path / "figures")
    names = [f"{name}.{kind}" for name in _runner.find() for kind in ("json", "html", "md")] + ["all.html"]
    for name in [*names, "index.html"]:
        (tmp_path / "figures" / name).unlink()
    code = (
        "import sys\nfrom pathlib import Path\nfrom analyses import __main__, _runner\n"
        "_runner.has_browser = lambda: False  # images take a second each\n"
        f"try: __main__.redraw(None, Path({str(tmp_path / 'figures')!r}))\n"
        "except SystemExit as broken: assert 'do not support' in str(broken)  # random results\n"
        "assert not {'torch', 'transformer_lens'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    for name in [*names, "index.html"]:
        assert (tmp_path / "figures" / name).read_bytes() == (out / name).read_bytes(), name


def test_there_is_nothing_to_redraw(tmp_path: Path) -> None:
    result = invoke("redraw", "--out", str(tmp_path))
    assert (result.exit_code, "holds the CSV of no analysis" in result.output) == (1, True)

"""The page without Python: its own code in node gives the views that Python gives; what can be exported, and what not."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from mothello_interp.explorer import Reader, write_page
from mothello_interp.explorer.__main__ import app
from mothello_interp.explorer.reader import FIT
from mothello_interp.models import bundled_names, load, save_checkpoint
from mothello_interp.othello import random_games
from mothello_interp.probes import Probes, fit_probes
from tests.conftest import WORLDS, tiny_checkpoint
from tests.explorer.golden import recorded

HERE = Path(__file__).parent
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")


def in_node(folder: Path, readers: dict[str, Reader], positions: int) -> str:
    """What node's test runner says of the views of these readers, shown by their exported pages."""
    golden = {}
    for name, reader in readers.items():
        page = write_page(reader, folder / f"{name.replace('/', '_')}.html")
        golden[name] = {"page": str(page), "views": recorded(reader, positions=positions, seed=0)}
    (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    return node_report("golden.test.js", GOLDEN=str(folder / "golden.json"))


def node_report(file: str, **variables: str) -> str:
    """The report of node's test runner."""
    assert NODE
    command = [NODE, "--test", "--test-reporter=spec", str(HERE / file)]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_node
def test_the_page_gives_the_views_of_python(readers: dict[str, Reader], tmp_path: Path) -> None:
    """Every language type on a small board, in both frames of the probes."""
    atomic = readers["atomic"]
    games = random_games(20, board=4, seed=3)
    absolute = fit_probes(atomic.checkpoint, games, frame="absolute", epochs=2, seed=0)
    several = {**readers, "absolute": Reader(atomic.checkpoint, absolute)}
    assert in_node(tmp_path, several, positions=12).count("✔") == len(WORLDS) + 1


@pytest.mark.slow
@needs_node
@pytest.mark.parametrize("name", bundled_names())
def test_the_page_of_a_bundled_model_gives_the_views_of_python(name: str, tmp_path: Path) -> None:
    reader = Reader(load(name))
    assert in_node(tmp_path, {name: reader}, positions=24).count("✔") == 1
    size = (tmp_path / f"{name.replace('/', '_')}.html").stat().st_size
    assert size <= 3.5e6 or name.startswith("midi")


@needs_node
def test_rules_links_and_arithmetic_of_the_page() -> None:
    assert "✔" in node_report("page.test.js")


def test_a_page_holds_the_weights_exactly_and_asks_for_nothing(readers: dict[str, Reader], tmp_path: Path) -> None:
    text = write_page(readers["atomic"], tmp_path / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    facts = json.loads(text.split('id="facts">')[1].split("<")[0])
    assert {width for name, _, width in facts["arrays"] if not name.startswith("probes.")} == {4}


def test_a_name_from_a_file_stays_text(readers: dict[str, Reader], tmp_path: Path) -> None:
    """In the title, in JSON, and in the line of Python."""
    name = "</script><script>alert('x')//"
    reader = replace_reader(readers["atomic"], name=name)
    text = write_page(reader, tmp_path / "page.html").read_text(encoding="utf-8")
    assert name not in text
    assert text.count("<script") == 3


@pytest.mark.parametrize("fault", ["mlp", "languages", "layers"])
def test_probes_that_a_page_cannot_hold_are_refused(readers: dict[str, Reader], tmp_path: Path, fault: str) -> None:
    faults: dict[str, dict[str, Any]] = {
        "mlp": {"kind": "mlp"},
        "languages": {"languages": [0]},
        "layers": {"layers": [0]},
    }
    checkpoint = tiny_checkpoint()
    probes: Probes = fit_probes(checkpoint, random_games(5, board=4, seed=3), epochs=1, seed=0, **faults[fault])
    with pytest.raises(ValueError, match="a page holds linear ones of all languages"):
        write_page(Reader(checkpoint, probes), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_bfloat16_takes_two_bytes_and_stays_exact(readers: dict[str, Reader], tmp_path: Path) -> None:
    checkpoint = load("mini/atomic-atomic-anchors4")
    games = random_games(20, board=6, seed=3)
    reader = Reader(checkpoint, fit_probes(checkpoint, games, epochs=1, batch=256, seed=0))
    text = write_page(reader, tmp_path / "page.html").read_text(encoding="utf-8")
    facts = json.loads(text.split('id="facts">')[1].split("<")[0])
    assert {width for name, _, width in facts["arrays"] if not name.startswith("probes.")} == {2}
    assert all(torch.equal(weight, weight.bfloat16().float()) for weight in checkpoint.model.parameters())


def replace_reader(reader: Reader, *, name: str) -> Reader:
    """The same with another name."""
    return Reader(replace(reader.checkpoint, name=name), reader.probes)


def test_the_command_writes_a_page_or_says_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIT, "games", 5)
    own, page = str(save_checkpoint(tmp_path / "own", tiny_checkpoint())), tmp_path / "page.html"
    done = CliRunner().invoke(app, ["export", own, "-o", str(page)])
    assert done.exit_code == 0, done.output
    assert f"{page}: 0.1 MB" in done.output
    for arguments, message in (
        (["mini/nonsense", "-o", str(page)], "no checkpoint 'mini/nonsense'"),
        ([own, "-o", str(tmp_path / "none" / "page.html")], "there is no folder"),
    ):
        refused = CliRunner().invoke(app, ["export", *arguments])
        assert refused.exit_code == 1
        assert message in refused.output + str(refused.exception)

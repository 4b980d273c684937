"""What the README and the guide say is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analyses._text import fill
from benchmarks.bundle import guide_row
from docs.write_pages import readme_section
from mothello_interp import bundled
from tests.analyses.conftest import stored_headline

ROOT = Path(__file__).parent.parent
README, GUIDE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/pages/guide.md"))


def run(example: str, folder: Path) -> str:
    """What it prints, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", example],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_example_prints_what_it_says(tmp_path: Path) -> None:
    """Every word and, to 0.02 on any machine, every number."""
    found = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)
    assert found
    for said, printed in zip(found[2].split(), run(found[1], tmp_path).split(), strict=True):
        number = re.fullmatch(r"-?[\d.]+", said)
        assert float(printed) == pytest.approx(float(said), abs=0.02) if number else printed == said


def test_the_first_examples_of_the_guide_run(tmp_path: Path) -> None:
    """Up to those about checkpoints, one after the other."""
    examples = GUIDE.partition("## Figures")[0]
    run("\n".join(re.findall(r"```python\n(.*?)```", examples, re.DOTALL)), tmp_path)


def test_findings_are_what_stored_tables_say() -> None:
    """Word for word the text that `analyses/text/findings.md` gives; every claim in it holds."""
    names = ("anchors", "patching", "similarity", "symmetry", "transfer")
    text = fill("findings", {name: stored_headline(name) for name in names})
    assert text.broken == []
    _, findings = text.markdown.split("\n\n", 1)
    assert findings.split() == readme_section("What we found").partition("\n\nEvery number")[0].split()[4:]


def test_the_table_of_bundled_models_is_what_their_files_say() -> None:
    for row in bundled().to_dict("records"):
        assert guide_row(row) in GUIDE  # type: ignore[arg-type]


def test_every_file_of_the_tree_exists() -> None:
    """The tree names files that exist."""
    tree = re.search(r"```\n(mothello_interp/.*?)```", README, re.DOTALL)
    assert tree
    folder = room = ""
    for line in tree[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.findall(r"[\w]+(?:\.py|/)", line.split("   ")[0] if depth == 0 else line.lstrip().split("   ")[0])
        for name in names:
            if depth == 0:
                folder = ""
            room = names[0] if depth == 0 and line.startswith(names[0]) else room
            path = ROOT / ("" if depth == 0 else room) / (folder if depth == 2 else "") / name
            assert path.exists(), path
            if name.endswith("/") and depth == 1:
                folder = name


def test_development_adds_to_the_run_time_lock() -> None:
    """What figures are made with is what tests run with."""
    run, develop = (set((ROOT / f"requirements{kind}.lock").read_text("utf-8").splitlines()) for kind in ("", "-dev"))
    assert run < develop

"""What the README says runs."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.bundle import readme_row
from mothello_interp import bundled

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_examples_run(tmp_path: Path) -> None:
    """The first two Python blocks, as they stand, one after the other in a fresh interpreter."""
    example = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[:2])
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "normalised" in done.stdout


def test_the_table_of_bundled_models_is_what_their_files_say() -> None:
    table = "".join(map(readme_row, bundled().to_dict("records")))  # type: ignore[arg-type]
    assert f"---|\n{table}\n" in README


def test_every_analysis_is_in_the_table() -> None:
    """The table of figures names exactly the analyses there are."""
    there = {path.stem for path in (ROOT / "analyses").glob("[!_]*.py")}
    assert set(re.findall(r"`python -m analyses (\w+)` \|", README)) == there


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

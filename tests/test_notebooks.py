"""Notebooks: in git without outputs, short, and all of them run from the first cell to the last."""

import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


@each
def test_a_notebook_is_plain_and_stripped(path: Path) -> None:
    """Version 4.5 with ids of its own, the kernel that everybody has, and nothing that a run leaves behind."""
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells) <= 30
    for cell in notebook.cells:
        assert cell.metadata == {}, cell.id
        assert cell.source.strip(), cell.id
        if cell.cell_type == "code":
            assert cell.outputs == [], cell.id
            assert cell.execution_count is None, cell.id


@each
def test_a_notebook_teaches(path: Path) -> None:
    """A question first, words about what could fool the reader, and an exercise at the end."""
    words = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    assert words[0].startswith(f"# {int(path.name[:2])}. ")
    assert "**Question.**" in words[0]
    assert "\n## What would fool you\n" in "\n".join(words)
    assert "\n## Exercise\n" in words[-1]


def test_notebooks_are_numbered_and_in_the_readme() -> None:
    names = [path.name for path in NOTEBOOKS]
    assert [int(name[:2]) for name in names] == list(range(1, len(names) + 1))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(notebooks/(\w+\.ipynb)\)", readme) == names


def execute(notebook: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all cells in a fresh kernel of this interpreter, in an empty folder, on one thread."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
    work = folder / "work"
    work.mkdir()
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(work)}})
    client.execute()


def printed(notebook: Any) -> str:
    return "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", []))


@pytest.mark.slow
def test_a_cell_that_fails_is_noticed_and_the_interpreter_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["import sys, mothello_interp, train", "print(sys.executable, mothello_interp.__file__)", "1 / 0"]
    cells = [nbformat.v4.new_code_cell(line) for line in lines]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(notebook, tmp_path, monkeypatch)
    assert printed(notebook).split() == [sys.executable, str(ROOT / "mothello_interp" / "__init__.py")]


@pytest.mark.slow
@each
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first cell to the last without an error, and without a warning that a reader would see."""
    notebook = read(path)
    execute(notebook, tmp_path, monkeypatch)
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out.text for out in outputs if out.output_type == "stream" and out.name == "stderr"]
    assert any("application/vnd.plotly.v1+json" in out.get("data", {}) for out in outputs)

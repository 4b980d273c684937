"""What a cached result depends on: the code that its analysis uses, and no other."""

import subprocess
import sys
from pathlib import Path

import pytest

from analyses import _sources
from analyses._runner import find
from analyses._sources import key, sources
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS

LIBRARY = {
    "__init__": "if TYPE_CHECKING:\n    from mothello_interp.lazy import late, never\n\ndef __getattr__(name): ...\n",
    "lazy": "from mothello_interp import deep\ndef late(): ...\n",
    "deep/__init__": "from mothello_interp.deep.er import x\n",
    "deep/er": "x = 1\n",
    "inside": "y = 1\n",
    "other": "z = 1\n",
    "plots/__init__": "def draw(): ...\n",
}
ANALYSES = {
    "one": '"""Is it?"""\nfrom analyses._shared import s\nfrom mothello_interp import late, plots\ndef f():\n    from .two import t\n',
    "_shared": "def s():\n    import mothello_interp.inside as i\n",
    "two": "t = 1\n",
    "three": "",
}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Analyses, a library and a checkpoint in a folder of their own."""
    for top, files in (("mothello_interp", LIBRARY), ("analyses", ANALYSES)):
        for name, text in files.items():
            (tmp_path / top / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / top / f"{name}.py").write_text(text, encoding="utf-8")
    for name in (WEIGHTS, SPEC, PROVENANCE):
        (tmp_path / name).write_text("", encoding="utf-8")
    monkeypatch.setattr(_sources, "HERE", tmp_path / "analyses")
    monkeypatch.setattr(_sources, "LIBRARY", tmp_path / "mothello_interp")
    return tmp_path


def test_a_key_changes_with_every_file_that_is_used_and_with_no_other(house: Path) -> None:
    """Used: imported at the top, in a function, by what is imported, or by the package when a name is first asked for."""
    used = {*(f"mothello_interp/{name}" for name in LIBRARY), "analyses/one", "analyses/_shared", "analyses/two"}
    used -= {"mothello_interp/other", "mothello_interp/plots/__init__"}
    before = key("one", house)
    for file in sorted(house.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        file.write_text(f"{text}\nbetter = 1\n", encoding="utf-8")
        name = file.relative_to(house).with_suffix("").as_posix()
        assert (key("one", house) != before) == (name in used), name
        file.write_text(text, encoding="utf-8")
    assert key("one", house) == before


def test_a_key_changes_with_the_model_and_with_inputs_and_not_with_words(house: Path) -> None:
    before = key("one", house)
    for name in (WEIGHTS, SPEC, PROVENANCE):
        (house / name).write_text("other", encoding="utf-8")
        assert key("one", house) != before
        (house / name).write_text("", encoding="utf-8")
    one = house / "analyses" / "one.py"
    one.write_text(one.read_text(encoding="utf-8").replace("Is it?", "It is.") + "# a comment\n", encoding="utf-8")
    assert key("one", house) == before
    assert key("one", house, [one]) != before


def test_a_name_from_nowhere_counts_as_the_whole_library(house: Path) -> None:
    (house / "analyses" / "one.py").write_text("from mothello_interp import unheard\n", encoding="utf-8")
    assert house / "mothello_interp" / "other.py" in sources("analyses.one").values()


def test_no_analysis_runs_code_that_its_key_does_not_cover() -> None:
    """All that is loaded by measuring, drawing left out; and analyses do not all use the whole library."""
    code = (
        "import sys\nfrom analyses import legality\nfrom mothello_interp.models import load\n"
        "legality.measure(load('mini/atomic-atomic-anchors4'), games=2)\nprint(*sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.split(".")[0] in ("analyses", "mothello_interp")}
    drawing = {name for name in loaded if name.startswith("mothello_interp.plots")}
    covered = {analysis: set(sources(f"analyses.{analysis}")) for analysis in find()}
    assert loaded - drawing <= covered["legality"]
    assert "mothello_interp.alignment" in covered["moves"] - covered["legality"]
    assert not any("mothello_interp.explorer" in names for names in covered.values())

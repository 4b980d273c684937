"""The house's order, read from its imports: what stands below knows nothing of what stands above."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = "mothello_interp"
FLOORS = [
    {"hints", "arguments", "progress"},
    {"othello"},
    {"languages", "plots", "parquet"},
    {"corpus", "stats", "forward", "measure"},
    {"decoding"},
    {"reading"},
    {"models"},
    {"activations", "described"},
    {"storage", "legality", "lens", "attribution", "attention", "probes", "procrustes"},
    {"maps", "similarity", "alignment"},
    {"interventions", "symmetries", "pairs", "grids", "comparison", "dictionary"},
    {"effects", "exchange"},
    {"patching"},
    {"transfer", "preferences"},
    {"explorer"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}  # a room of no floor stands above all
BESIDE: set[tuple[str, str]] = set()  # inside a floor, who may know whom
WITHOUT_TORCH = {"hints", "parquet", "arguments", "othello", "languages", "plots", "corpus"}


def imports(path: Path, root: Path = ROOT) -> set[str]:
    """Full names of all that a file imports, inside functions too, but for types alone: `a.b` for `from a import b`."""
    found: set[str] = set()
    package, tree = path.relative_to(root).parent.parts, ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def files(folder: str) -> Iterator[tuple[str, Path]]:
    """(room, file) for every Python file below a folder of the repository."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path.relative_to(ROOT / folder).with_suffix("").parts[0], path


def tops(path: Path) -> set[str]:
    """The packages that a file imports from."""
    return {name.split(".")[0] for name in imports(path)}


def floor(room: str) -> int:
    """How high a room stands."""
    return FLOOR.get(room, len(FLOORS))


def may_know(room: str, other: str) -> bool:
    """Whether one room of the library may import another."""
    return room == other or floor(other) < floor(room) or (room, other) in BESIDE


library = [(room, path) for room, path in files(LIBRARY) if room != "__init__"]
ROOMS = {room for room, _ in library}
every_file = pytest.mark.parametrize(
    ("room", "path"), library, ids=[str(path.relative_to(ROOT / LIBRARY)) for _, path in library]
)


@every_file
def test_imports_run_one_way(room: str, path: Path) -> None:
    for name in imports(path):
        first, *rest = name.split(".")
        if first == LIBRARY:
            assert rest, f"{path} imports the whole library"
            assert rest[0] in ROOMS, f"{path} imports {rest[0]} from the front door: name its module"
            assert may_know(room, rest[0]), f"{room} may not know {rest[0]}"


@every_file
def test_the_library_knows_nobody_who_uses_it(room: str, path: Path) -> None:
    assert not tops(path) & {"train", "analyses", "tests", "notebooks"}


@every_file
def test_the_world_and_the_words_need_no_torch(room: str, path: Path) -> None:
    if room in WITHOUT_TORCH:
        assert not tops(path) & {"torch", "transformer_lens", "safetensors"}


def test_plots_know_no_model_and_no_analysis() -> None:
    """Tables come in: of the library a plot knows at most the board."""
    for room, path in library:
        if room == "plots":
            known = {name.split(".")[1] for name in imports(path) if name.startswith(f"{LIBRARY}.")}
            assert known <= {"plots", "othello", "hints"}


def test_languages_know_no_rule() -> None:
    """They take and give games; who may move where is not their business."""
    rules = {f"{LIBRARY}.othello.{name}" for name in ("replay", "kernels", "random_games", "perft")}
    for room, path in library:
        if room == "languages":
            assert not {name for name in imports(path) if any(name.startswith(rule) for rule in rules)}


def test_analyses_never_train() -> None:
    for _, path in files("analyses"):
        assert "train" not in tops(path), path


def test_training_knows_no_analysis() -> None:
    for _, path in files("train"):
        assert not tops(path) & {"analyses", "tests"}, path


def test_the_rooms_are_read(tmp_path: Path) -> None:
    """The reader sees imports of every form, and the house is not empty."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    text = "import torch.nn as nn\nfrom . import c\nfrom ..d import e\nfrom f.g import h\n\ndef x():\n    import k\n"
    (tmp_path / "a" / "b" / "m.py").write_text(text, encoding="utf-8")
    assert imports(tmp_path / "a" / "b" / "m.py", tmp_path) == {"torch.nn", "a.b.c", "a.d.e", "f.g.h", "k"}
    assert set(FLOOR) <= ROOMS
    assert f"{LIBRARY}.othello.Games" in set().union(*(imports(path) for _, path in library))
    assert not may_know("othello", "languages")
    assert not may_know("probes", "alignment")
    assert may_know("alignment", "probes")
    assert may_know("a_new_experiment", "patching")
    assert not may_know("patching", "a_new_experiment")


def test_no_name_of_the_package_is_also_a_module() -> None:
    """`from package import name` would give the module, once somebody has imported it."""
    names = importlib.import_module(LIBRARY).__all__
    assert not {path.stem for path in (ROOT / LIBRARY).iterdir()} & set(names)


def test_every_name_of_the_package_is_there() -> None:
    package = importlib.import_module(LIBRARY)
    assert sorted(dir(package)) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="alling"):
        _ = package.alling

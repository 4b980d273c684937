"""What a cached result depends on: the model's files, and the code that its analysis uses, found by reading imports."""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import mothello_interp

HERE = Path(__file__).parent
LIBRARY = Path(mothello_interp.__file__).parent
_DRAWING = "mothello_interp.plots"  # no result depends on how it is drawn
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def key(analysis: str, folder: Path, inputs: Sequence[Path] = ()) -> str:
    """A hash of a checkpoint's files, the sources that an analysis uses and other files it reads; comments and docstrings
    play no part."""
    from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS

    read = [*(folder / part for part in (WEIGHTS, SPEC, PROVENANCE)), *inputs]
    parts = [hashlib.sha256(file.read_bytes()).hexdigest() for file in read]
    return hashlib.sha256("".join([*parts, code_of(f"analyses.{analysis}")]).encode()).hexdigest()[:16]


def code_of(module: str) -> str:
    """A hash of the sources that a module uses."""
    parts = [_read(file.read_text(encoding="utf-8"))[0] for _, file in sorted(sources(module).items())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def sources(module: str) -> dict[str, Path]:
    """The files of the library and of the analyses that a module uses, by module: what it imports, inside functions too,
    and what that imports; of names that a package imports when they are first used, where they come from."""
    found: dict[str, Path] = {}
    waiting = {module}
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is None or name in found or name.startswith(_DRAWING):
            continue
        found[name] = file
        waiting.add(name.rpartition(".")[0])  # importing a module runs the package it is in
        waiting.update(*(_origin(*used) for used in _imports(name, file)))
    return found


def _file(name: str) -> Path | None:
    """Where a module or package lies, if it is one of the analyses (one of the user's, once imported) or of the library."""
    top, *rest = name.split(".")
    if top not in ("analyses", "mothello_interp"):
        return None
    if top == "analyses" and (loaded := getattr(sys.modules.get(name), "__file__", None)):
        return Path(loaded)
    place = (HERE if top == "analyses" else LIBRARY).joinpath(*rest)
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file()), None)


def _imports(name: str, file: Path, *, typing: bool = False) -> Iterator[tuple[str, str]]:
    """(module, name in it) of what a file imports when it runs, or what it shows to type checkers alone."""
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    _, running, shown = _read(file.read_text(encoding="utf-8"))
    for level, origin, imported in shown if typing else running:
        above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
        yield ".".join(filter(None, [*above, origin])), imported


def _origin(module: str, name: str) -> set[str]:
    """The modules that `from module import name` reads: all of a package, if it does not say where a name comes from."""
    file = _file(module)
    if file is None or not name:
        return {module}
    if _file(f"{module}.{name}"):
        return {f"{module}.{name}"}
    if not re.search(r"^(def )?__getattr__\b", file.read_text(encoding="utf-8"), re.MULTILINE):
        return {module}
    lazy = [file.with_suffix(".pyi")] if file.with_suffix(".pyi").exists() else [file]
    for origin, imported in (found for path in lazy for found in _imports(module, path, typing=path == file)):
        if imported == name:
            return {module, *_origin(origin, name)}
    return {
        ".".join([module, *path.relative_to(file.parent).with_suffix("").parts]) for path in file.parent.rglob("*.py")
    }


@cache
def _read(text: str) -> tuple[str, list[tuple[int, str, str]], list[tuple[int, str, str]]]:
    """A hash of a file's code without comments and docstrings; what it imports when it runs; what for type checkers alone."""
    tree = ast.parse(text)
    blocks = [part for part in ast.walk(tree) if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING"]
    typing = {id(part) for block in blocks for statement in block.body for part in ast.walk(statement)}
    imports: tuple[list[tuple[int, str, str]], list[tuple[int, str, str]]] = [], []
    for part in ast.walk(tree):
        if isinstance(part, ast.Import):
            imports[id(part) in typing].extend((0, alias.name, "") for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            imports[id(part) in typing].extend((part.level, part.module or "", alias.name) for alias in part.names)
        if isinstance(part, _DOCUMENTED) and ast.get_docstring(part) is not None:
            part.body = part.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), *imports

"""Every text that a person reads: in the field's words, with names that exist; help that fits a screen."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import analyses.__main__ as analyses
import train.__main__ as train
from mothello_interp.explorer import __main__ as explorer

ROOT = Path(__file__).parent.parent
OLD = re.compile(
    r"""(?ix)\b(
    tongues? | (?<!`)words?(?!`) | spoken | speaks | abroad | at\ home | donors? | beside | behind | turned | contest
  | whole(?!\ numbers?) | meets? | met | kin | re-?paired | dealt\ anew | of\ the\ way | carr(y|ies|ied)\ over
  | asks?\ nothing | at\ once\ or\ not\ at\ all | pairs?\ (are\ |is\ )?raised | raised\ pairs?
  | (told|tells?|telling)(\ \w+){0,4}\ apart | (a|the|best|pure|by)\ guess | guess(es|ing)
  | (its|own|each|a)\ (null|zero) | (shared?|common|own|one|same|two|nonlinear)\ codes? | codes?\ of\ the\ board
  | probes?(\ \S+){0,3}\ reads? | models?(\ that|\ which)?\ reads? | goes\ on
  | fit_translators | SwapMeans | answer_masses | group_test | carry_out
    )\b""",
)
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/pages/**/*.md"), *ROOT.glob("analyses/text/*.md")]
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
SOURCES = [
    path for folder in ("mothello_interp", "train", "analyses", "docs") for path in (ROOT / folder).rglob("*.py")
]
TESTS = sorted((ROOT / "tests" / "campaigns").glob("*.py"))


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """What a file says to a person, with the line or cell: of Python its strings, which are docstrings, messages and help."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        strings = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        yield from ((node.lineno, node.value) for node in strings if isinstance(node.value, str))
    elif path.suffix == ".ipynb":
        yield from enumerate("".join(cell["source"]) for cell in json.loads(text)["cells"])
    else:
        yield 1, text


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS, *SOURCES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_text_is_in_the_words_of_the_field(path: Path) -> None:
    found = [
        f"{place}: ...{text[max(0, hit.start() - 40) : hit.end() + 20]}..."
        for place, text in texts(path)
        for hit in OLD.finditer(" ".join(text.split()))
    ]
    assert not found, "\n".join(found)


def test_names_in_a_text_exist() -> None:
    """A name in backticks is in the sources, in the code of the text itself, or of TransformerLens."""
    words = re.compile(r"\w+")
    known = {"run_with_hooks"}.union(*(words.findall(path.read_text(encoding="utf-8")) for path in (*SOURCES, *TESTS)))
    fence = re.compile(r"```.*?```", re.DOTALL)
    for path in [*PAGES, *NOTEBOOKS]:
        said = "\n\n".join(text for _, text in texts(path))
        code = said if path in NOTEBOOKS else "".join(fence.findall(said))
        own = set(words.findall(re.sub("`.*?`", "", code) if path in NOTEBOOKS else code))
        names = set(re.findall(r"`([A-Za-z_]{3,})[`(]", fence.sub("", said)))
        assert names <= known | own, f"{path} names {names - known - own}"


@pytest.mark.parametrize("module", [analyses, train, explorer], ids=lambda module: module.__name__)
def test_help_fits_a_screen(module: Any) -> None:
    """Of every command: 80 columns, and of those with options 24 lines."""
    commands = typer.main.get_command(module.app).commands  # type: ignore[attr-defined]
    for given in ([], *([name] for name in commands)):
        shown = CliRunner().invoke(module.app, [*given, "--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
        assert "--help" in shown
        assert max(map(len, shown.splitlines())) <= 80, shown
        assert len(shown.splitlines()) <= (24 if given else 48), shown

"""`python -m docs.write_pages FOLDER NOTEBOOKS`: the pages of the site as Markdown, with all that is written elsewhere filled in.

Pages come from docs/pages. Where one says `<!-- README: Heading -->` stands that section of the README, and for
`<!-- SCIENCE -->` the analyses' texts and figures as `make figures` left them. Added are a page for every notebook and, for the
reference, one for every module of the library.
"""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

from plotly.offline import get_plotlyjs

import mothello_interp
from analyses._report import ARTICLE
from analyses._runner import find
from docs.notebooks import PLOTLY, notebook_page
from docs.science import science

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "pages"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def write_pages(folder: Path, *, figures: Path, notebooks: Path) -> None:
    """Write every page of the site to a folder, which must be empty or new.

    Args:
        figures: where `make figures` wrote; what is not there is left out, and the page says how to make it.
        notebooks: where the notebooks lie that were run; of one that does not, the page shows text and code.

    Raises:
        ValueError: if a page names a section that the README does not have.
    """
    shutil.copytree(PAGES, folder)
    shutil.copy(ROOT / "docs" / "anchors.png", folder)
    _write(folder / "notebooks" / "index.md", _notebooks())
    for path in NOTEBOOKS:
        text = notebook_page(path, notebooks / path.name, [other.stem for other in NOTEBOOKS])
        _write(folder / "notebooks" / f"{path.stem}.md", text)
        shutil.copy(path, folder / "notebooks")
    for name, module in modules().items():
        _write(folder / "reference" / f"{name}.md", f"---\ntitle: {name}\n---\n# {module}\n\n::: {module}\n")
    _write(folder / "reference" / "index.md", front_door())
    for page in folder.rglob("*.md"):
        _fill_in(page, page.parent.relative_to(folder), figures)
    _write(folder / PLOTLY, get_plotlyjs())


def _fill_in(page: Path, where: Path, figures: Path) -> None:
    """Put in place what a page names."""
    text = page.read_text(encoding="utf-8")
    if "<!-- SCIENCE -->" in text:
        text = text.replace("<!-- SCIENCE -->", science(figures, page.parent / "figures", order=analyses_in_order()))
    _write(page, re.sub(r"<!-- README: ?(.*?) ?-->", lambda found: readme_section(found[1], where), text))


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def analyses_in_order() -> list[str]:
    """The analyses: those of the article in its order, then the others."""
    return [*ARTICLE, *(name for name in find() if name not in ARTICLE)]


def readme_section(heading: str, where: Path = Path()) -> str:
    """A section of the README with its heading, its links as a page in folder `where` needs them; "" is what stands first.

    Raises:
        ValueError: if the README has no such heading.
    """
    parts = re.split(r"^(?=## )", readme(), flags=re.MULTILINE)
    sections = {"": parts[0]} | {part.partition("\n")[0].removeprefix("## "): part for part in parts[1:]}
    if heading not in sections:
        raise ValueError(f"the README has no section {heading!r}; it has: {', '.join(filter(None, sections))}")

    def moved(link: re.Match[str]) -> str:
        target = link[1].removeprefix("docs/").removeprefix("pages/").replace(".ipynb", ".md")
        return f"]({os.path.relpath(target, where)})"

    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", moved, sections[heading])


def _notebooks() -> str:
    """The list of notebooks, as the README has it."""
    listed = re.findall(r"^ *(\d+\. )\[(.+?)\]\(notebooks/(\w+)\.ipynb\)(.*)$", readme(), re.MULTILINE)
    lines = [f"{number}[{title}]({name}.md){rest}" for number, title, name, rest in listed]
    return "\n".join(
        ["# Notebooks\n\nEach asks one question of the bundled checkpoints and is shown as it ran.\n", *lines, ""]
    )


def modules() -> dict[str, str]:
    """Short and full name of every public module and package right below `mothello_interp`."""
    library = ROOT / "mothello_interp"
    names = [path.stem for path in library.glob("[!_]*.py")] + [
        path.parent.name for path in library.glob("*/__init__.py")
    ]
    return {name: f"{library.name}.{name}" for name in sorted(names)}


def front_door() -> str:
    """The modules in a line each, and which names `mothello_interp` itself has of them."""
    stub = ast.parse((ROOT / "mothello_interp" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module) for node in imports for alias in node.names}
    rows = [f"# Reference\n\n{mothello_interp.__doc__}"]
    for name, module in modules().items():
        folder = ROOT / "mothello_interp" / name
        source = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        said = (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        exported = [alias for alias in mothello_interp.__all__ if homes[alias] == name]
        links = ", ".join(f"[`{export}`][{module}.{export}]" for export in exported)
        rows.append(
            f"**[`{name}`]({name}.md)**: {said}" + (f"  \n`from mothello_interp import` {links}" if links else "")
        )
    return "\n\n".join(rows) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python -m docs.write_pages FOLDER NOTEBOOKS, given {sys.argv[1:]}")
    target, notebooks = map(Path, sys.argv[1:])
    shutil.rmtree(target, ignore_errors=True)
    write_pages(target, figures=ROOT / "figures", notebooks=notebooks)

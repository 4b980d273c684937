"""The science page: of every analysis the question, the answer, the figure, the method and the headline table."""

import ast
import csv
import html
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from analyses._runner import HERE, Analysis, find

LONG = 12  # rows; a longer table is folded


def science(figures: Path, copies: Path, *, order: Sequence[str]) -> str:
    """A section for every analysis, of its docstring and of what `make figures` left.

    Args:
        figures: the folder it wrote to; an analysis that left nothing there gets a line that says how to make it.
        copies: folder next to the page, called figures, for what the page shows and links; plotly.min.js has to join it.
        order: names of the analyses.
    """
    copies.mkdir()
    found = find()
    pages = [f"{name}{end}" for name in found for end in (".png", ".html", ".csv")]
    for name in [*pages, "index.html", "all.html", "explorer.html"]:
        if (figures / name).exists():
            shutil.copy(figures / name, copies)
    article = ["The main figures make [one article](figures/index.html)."] * (figures / "index.html").exists()
    return "\n\n".join([*article, *(_section(found[name], figures) for name in order)]) + "\n"


def _section(analysis: Analysis, figures: Path) -> str:
    """One analysis: its text as `make figures` filled it in, with the figure after the answer and the table at the end."""
    parts, name = [f"## {analysis.title} {{ #{analysis.name} }}"], analysis.name
    text = figures / f"{name}.md"
    _, answer, caption, *details = text.read_text(encoding="utf-8").strip().split("\n\n") if text.exists() else [""] * 3
    parts += [answer and f"**{answer}**", _figure(analysis, figures), caption]
    parts += [re.sub(r"^## ", "### ", part) for part in details]
    if (table := figures / f"{name}-headline.csv").exists():
        parts.append(_numbers(analysis, table))
    # all figures are on this page
    return re.sub(r"\]\((?:index\.html#(\w+)|(\w+)\.html)\)", r"](#\1\2)", "\n\n".join(filter(None, parts)))


def _figure(analysis: Analysis, figures: Path) -> str:
    name, command = analysis.name, f"`.venv/bin/python -m analyses {analysis.name}`"
    if not (figures / f"{name}.html").exists():
        return box('!!! info "No figure yet"', f"`make figures` draws all, {command} this one. Then `make docs` again.")
    links = f"[Interactive figure](figures/{name}.html), [all rows](figures/{name}.csv), made by {command}"
    if (figures / f"{name}.png").exists():
        return f"[![{analysis.title}](figures/{name}.png)](figures/{name}.html)\n\n{links}."
    return f"{links}. (It stands here as a picture where a Chrome or Chromium was installed then.)"


def _numbers(analysis: Analysis, table: Path) -> str:
    """The headline table under what its function says of it, folded if it is long."""
    source = ast.parse((HERE / f"{analysis.name}.py").read_text(encoding="utf-8"))
    made_by = next(part for part in source.body if isinstance(part, ast.FunctionDef) and part.name == "headline")
    with table.open(encoding="utf-8", newline="") as file:
        head, *rows = ([_short(cell) for cell in row] for row in csv.reader(file))
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    names = "".join(f"<th>{name}</th>" for name in head)
    markup = f'<div class="numbers" data-search-exclude><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>'
    mark = "???" if len(rows) > LONG else "???+"
    return box(f'{mark} abstract "Summary: {len(rows)} rows"', f"{ast.get_docstring(made_by) or ''}\n\n{markup}")


def _short(cell: str) -> str:
    """A number to three decimals; other text as it is, and "-" for none."""
    return f"{float(cell):.3f}" if re.fullmatch(r"-?\d*\.\d+(e[-+]\d+)?", cell) else html.escape(cell) or "-"


def box(head: str, text: str) -> str:
    """An admonition."""
    return f"{head}\n" + "\n".join(f"    {line}".rstrip() for line in text.strip().splitlines())

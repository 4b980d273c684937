"""The page of a notebook: its text and code and, where it was run, what each cell printed and drew."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.science import box

PLOTLY = "figures/plotly.min.js"  # from the root of the site, which has it once
_FIGURE = "application/vnd.plotly.v1+json"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_ESCAPES = re.compile(r"\x1b\[[\d;]*m")


def notebook_page(path: Path, ran: Path, others: Sequence[str]) -> str:
    """A notebook as Markdown.

    Args:
        path: the notebook, without outputs.
        ran: the same with outputs; where it is missing, or of other cells, the page says how to make it.
        others: names of all notebooks, which link to one another.
    """
    cells = _cells(path)
    outputs = _outputs(cells, ran)
    parts = []
    for place, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            parts.append(_source(cell).replace("<details>", "<details markdown>"))
        else:
            parts.append(f"```python\n{_source(cell)}\n```")
            parts += [_shown(output, f"out-{place}-{number}") for number, output in enumerate(outputs[place])]
    title, _, rest = parts[0].partition("\n")
    opened = f"`make lab` opens it in JupyterLab, as [{path.name}]({path.name})"
    if any(outputs):
        note = box('!!! note "A notebook, as it ran"', f"{opened}, to change and run again.")
        script = f'<script src="../{PLOTLY}"></script>'
    else:
        note, script = box('!!! note "A notebook to be run"', f"{opened}; it then draws what is not shown here."), ""
    text = re.sub(
        rf"\]\(({'|'.join(others)})\.ipynb\)", r"](\1.md)", "\n\n".join([rest.strip(), *filter(None, parts[1:])])
    )
    return "\n\n".join(filter(None, [title, note, script, text]))


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _outputs(cells: list[dict[str, Any]], ran: Path) -> list[list[dict[str, Any]]]:
    """The outputs of every cell; none at all if the notebook was changed since it ran."""
    then = _cells(ran) if ran.exists() else []
    if [_source(cell) for cell in then] != [_source(cell) for cell in cells]:
        return [[] for _ in cells]
    return [cell.get("outputs", []) for cell in then]


def _shown(output: dict[str, Any], name: str) -> str:
    """One output: a figure to point at, a table, or text."""
    data = output.get("data", {})
    if _FIGURE in data:
        figure = {"config": {}} | data[_FIGURE]
        arguments = ", ".join(json.dumps(figure[part]) for part in ("data", "layout"))
        arguments += ", " + json.dumps({**figure["config"], "responsive": True, "displaylogo": False})
        arguments = arguments.replace("</", r"<\/")  # nothing may end the script early
        return f'<div id="{name}"></div>\n<script>Plotly.newPlot("{name}", {arguments});</script>'
    if _WIDGET in data:
        return box('!!! info "Here stands the board explorer"', "It runs in JupyterLab: see the front page.")
    if "text/html" in data:
        markup = re.sub(r"\s*\n\s*", "\n", "".join(data["text/html"]))
        return f'<div class="numbers" data-search-exclude>{markup}</div>'
    said = output.get("traceback") or output.get("text") or data.get("text/plain", [])
    text = _ESCAPES.sub("", ("\n" if "traceback" in output else "").join(said))
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""

"""Find the analyses, run them, and write what they give: CSV, interactive HTML, PNG, SVG and PDF."""

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    import pandas as pd

    from analyses._models import Zoo

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Analysis:
    """One file of this folder. Its docstring is the figure's title (first line) and how to read it (the rest); `takes`
    are the inputs that its `compute` has parameters for, beside the models."""

    name: str
    title: str
    text: str
    takes: tuple[str, ...] = ()

    def module(self) -> ModuleType:
        """The module, with `measure`, `figure` and `headline`."""
        return importlib.import_module(f"analyses.{self.name}")

    def table(self, zoo: "Zoo", inputs: Mapping[str, Any] = MappingProxyType({})) -> "pd.DataFrame":
        """The module's `compute(zoo, ...)`, if it has one; else `measure` over its `MODELS` (by default the three regimes),
        of which those that are not in a folder of runs are stored rows if `STORED` is True."""
        from analyses._models import MODELS, over_models

        module = self.module()
        if hasattr(module, "compute"):
            found: pd.DataFrame = module.compute(zoo, **{name: inputs.get(name) for name in self.takes})
            return found
        models, stored = getattr(module, "MODELS", MODELS), getattr(module, "STORED", False)
        return over_models(self.name, module.measure, models, zoo=zoo, stored=stored)


def find() -> dict[str, Analysis]:
    """Every analysis by name, read from the sources without importing them."""
    found = {}
    for path in sorted(HERE.glob("[!_]*.py")):
        source = ast.parse(path.read_text(encoding="utf-8"))
        title, _, text = (ast.get_docstring(source) or "").partition("\n")
        computes = [part for part in source.body if isinstance(part, ast.FunctionDef) and part.name == "compute"]
        takes = tuple(argument.arg for part in computes for argument in part.args.args[1:])
        found[path.stem] = Analysis(path.stem, title, text.strip(), takes)
    return found


def run(
    analysis: Analysis, out: Path, console: Console, inputs: Mapping[str, Any] = MappingProxyType({}), **settings: Any
) -> None:
    """Compute (or take from the cache) the table, write it and its headline, and draw it.

    Inputs: by the names in `takes`, None what is not given; settings: of `_models.Zoo`.
    """
    from analyses._models import Zoo

    table = analysis.table(Zoo(**settings), inputs)
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / f"{analysis.name}.csv", index=False, float_format="%.6g")
    headline = analysis.module().headline(table)
    headline.to_csv(out / f"{analysis.name}-headline.csv", index=False, float_format="%.4g")
    draw(analysis, out, console)


def draw(analysis: Analysis, out: Path, console: Console) -> None:
    """Draw an analysis from its CSV: its figure as JSON and HTML, and as images where a browser is installed."""
    import pandas as pd

    figure = analysis.module().figure(pd.read_csv(out / f"{analysis.name}.csv"))
    figure.write_html(out / f"{analysis.name}.html", include_plotlyjs="directory")
    (out / f"{analysis.name}.json").write_text(figure.to_json(), encoding="utf-8")
    written = f"{analysis.name}: csv, html"
    if has_browser():
        from mothello_interp.plots import write_image

        write_image(figure, *(out / f"{analysis.name}.{kind}" for kind in ("png", "svg", "pdf")))
        written += ", png, svg, pdf"
    console.print(written)


def has_browser() -> bool:
    """Whether kaleido finds a Chrome or Chromium to draw static images with."""
    from choreographer.browsers import Chromium

    return Chromium.find_browser(skip_local=False) is not None

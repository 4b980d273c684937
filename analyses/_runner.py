"""Find the analyses, run them, and write what they give: tables, the figure as JSON, and PNG, SVG and PDF."""

import ast
import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from analyses._text import title_of
from mothello_interp.hints import write_file

if TYPE_CHECKING:
    import pandas as pd

    from analyses._models import Zoo

HERE = Path(__file__).parent
_LONGEST = ("symmetry", "anchors", "structure", "patching", "interventions", "table1", "cka", "heads", "transplant")
NO_INPUTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Analysis:
    """One file of this folder, with its text in `text/`, or one of the user's without a text.

    Attributes:
        takes: the inputs that its `compute` has parameters for, with the models.
        stored: whether it draws stored rows of the bundled models.
        own: whether it is a file of the user's.
    """

    name: str
    title: str
    takes: tuple[str, ...] = ()
    stored: bool = False
    own: bool = False

    def module(self) -> ModuleType:
        """The module, with `measure`, `figure` and `headline`."""
        return importlib.import_module(f"analyses.{self.name}")

    def table(self, zoo: "Zoo", given: Mapping[str, Any] = NO_INPUTS) -> "pd.DataFrame":
        """The module's `compute(zoo, ...)`, if it has one; else `measure` over its `MODELS` (by default the three regimes),
        of which those that are not in a folder of runs are stored rows if `STORED` is True; `INPUTS` are other files it reads."""
        from analyses._models import MODELS, over_models

        module = self.module()
        if hasattr(module, "compute"):
            found: pd.DataFrame = module.compute(zoo, **{name: given.get(name) for name in self.takes})
            return found
        models, inputs = getattr(module, "MODELS", MODELS), getattr(module, "INPUTS", ())
        return over_models(self.name, module.measure, models, zoo=zoo, stored=self.stored, inputs=inputs)


def find() -> dict[str, Analysis]:
    """Every analysis by name, read from the sources without importing them."""
    paths = sorted(HERE.glob("[!_]*.py"))
    return {path.stem: Analysis(path.stem, title_of(path.stem), *_read(path)) for path in paths}


def own(file: Path) -> Analysis:
    """The analysis in a file of the user's, which is imported as if it lay here.

    Raises:
        ValueError: for a file that is no analysis, or goes by the name of one that there is.
    """
    name = f"analyses.{file.stem}"
    spec = spec_from_file_location(name, file)
    if (HERE / file.name).exists() or not file.stem.isidentifier() or not spec or not spec.loader:
        raise ValueError(f"{file}: give it the name of a Python module that is not taken in {HERE}")
    sys.modules[name] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    makes = "compute" if hasattr(module, "compute") else "measure"
    if missing := [part for part in (makes, "figure", "headline") if not hasattr(module, part)]:
        raise ValueError(f"{file} lacks {', '.join(missing)}: see {HERE / 'moves.py'} for what an analysis has")
    return Analysis(file.stem, (module.__doc__ or file.stem).partition("\n")[0], *_read(file), own=True)


def _read(file: Path) -> tuple[tuple[str, ...], bool]:
    """What a file's source says of an Analysis: `takes` and `stored`."""
    source = ast.parse(file.read_text(encoding="utf-8")).body
    computes = [part for part in source if isinstance(part, ast.FunctionDef) and part.name == "compute"]
    takes = tuple(argument.arg for part in computes for argument in part.args.args[1:])
    return takes, any(ast.unparse(part) == "STORED = True" for part in source)


def run(analysis: Analysis, out: Path, inputs: Mapping[str, Any] = NO_INPUTS, **settings: Any) -> None:
    """Compute (or take from the cache) the table, write it, and draw it.

    Inputs: by the names in `takes`, None what is not given; settings: of `_models.Zoo`.
    """
    from analyses._models import Zoo

    table = analysis.table(Zoo(**settings), inputs)
    write_file(out / f"{analysis.name}.csv", table.to_csv(index=False, float_format="%.6g"))
    draw(analysis, out)


def draw(analysis: Analysis, out: Path) -> None:
    """Write an analysis' headline and its figure, as JSON, from its CSV."""
    import pandas as pd

    table = pd.read_csv(out / f"{analysis.name}.csv")
    headline = analysis.module().headline(table)
    figure = analysis.module().figure(table)
    write_file(out / f"{analysis.name}-headline.csv", headline.to_csv(index=False, float_format="%.6g"))
    write_file(out / f"{analysis.name}.json", figure.to_json())
    if analysis.own:  # the report has a page of the others
        write_file(out / f"{analysis.name}.html", figure.to_html())


def run_side_by_side(
    analyses: Sequence[Analysis], out: Path, inputs: Mapping[str, Any] = NO_INPUTS, **settings: Any
) -> Iterator[tuple[str, Future[None]]]:
    """Run them two at a time, each on half of the processor's cores, the longest first; those that are done, in the order in
    which they end."""
    cores = os.cpu_count() or 1
    workers = min(2, cores)
    spawn = get_context("spawn")  # a forked process would inherit torch's threads without their locks
    with ProcessPoolExecutor(workers, spawn, initializer=_use_cores, initargs=(cores // workers,)) as pool:
        order = sorted(analyses, key=lambda one: _LONGEST.index(one.name) if one.name in _LONGEST else len(_LONGEST))
        waiting = {pool.submit(run, analysis, out, dict(inputs), **settings): analysis.name for analysis in order}
        yield from ((waiting[done], done) for done in as_completed(waiting))


def _use_cores(cores: int) -> None:
    """So many threads for all that this process computes; before torch and numba are imported."""
    os.environ |= {"OMP_NUM_THREADS": str(cores), "NUMBA_NUM_THREADS": str(cores)}


def write_images(names: Sequence[str], out: Path) -> None:
    """PNG, SVG and PDF of analyses that are drawn as JSON, all in one browser."""
    import plotly.io as pio

    from mothello_interp.plots import write_images

    figures = {name: pio.read_json(out / f"{name}.json") for name in names}
    write_images(
        [(figure, [out / f"{name}.{kind}" for kind in ("png", "svg", "pdf")]) for name, figure in figures.items()]
    )


def has_browser() -> bool:
    """Whether kaleido finds a Chrome or Chromium to draw static images with."""
    from choreographer.browsers import Chromium

    return Chromium.find_browser(skip_local=False) is not None

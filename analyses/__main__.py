"""`python -m analyses`: every figure and table of the report, from the bundled checkpoints."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from analyses import _runner
from mothello_interp.hints import check_text, with_options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class Scale(StrEnum):
    """Which presets the models come from."""

    MINI = "mini"
    MIDI = "midi"
    PAPER = "paper"


FIGURES, TABLES = Path("figures"), Path("analyses/tables")


def _known(device: str) -> str:
    """A device that is there; torch is loaded for others than the processor alone."""
    if device != "cpu":
        from mothello_interp.models.build import device_of

        try:
            device_of(device)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return device


def _folder(text: str) -> Any:
    """An option whose value is a folder that exists."""
    return typer.Option(metavar="FOLDER", exists=True, file_okay=False, help=text)


Wthor = Annotated[Path | None, _folder("real games: .wtb files of the WTHOR database")]


@dataclass(frozen=True)
class Options:
    """Which models are measured, and where figures go; an analysis offers those that it can use."""

    out: Annotated[Path, typer.Option(metavar="FOLDER", help="where figures go")] = FIGURES
    scale: Annotated[Scale, typer.Option(metavar="SIZE", help="mini, midi or paper models")] = Scale.MINI
    runs: Annotated[Path | None, _folder("finished runs to measure as well")] = None
    checkpoint: Annotated[list[Path] | None, _folder("checkpoint to measure as well; may be repeated")] = None
    tables: Annotated[Path | None, _folder("tables of `record` to show as well")] = None
    device: Annotated[str, typer.Option(metavar="NAME", help="where models run, such as cuda", callback=_known)] = "cpu"
    wthor: Wthor = None

    def run(self, analyses: Sequence[_runner.Analysis]) -> None:
        """Run these analyses."""
        zoo: dict[str, Any] = {"scale": self.scale.value, "runs": self.runs, "device": self.device}
        zoo |= {"checkpoints": tuple(self.checkpoint or ()), "tables": self.tables}
        _run(analyses, self.out, {"wthor": self.wthor}, **zoo)


@app.callback(invoke_without_command=True)
def _list(context: typer.Context) -> None:
    """Draw the figures and tables of the report; without a command, list them."""
    if context.invoked_subcommand is None:
        table = Table("analysis", "question", box=None)
        for analysis in _runner.find().values():
            table.add_row(analysis.name, analysis.title)
        Console().print(table)
        typer.echo("\nOne: python -m analyses NAME    all, with the report: python -m analyses all")


@app.command("all")
@with_options(Options)
def run_all(*, options: Options) -> None:
    """Run every analysis and write the report, `index.html`."""
    options.run(list(_runner.find().values()))


@app.command("own")
@with_options(Options)
def run_own(
    *,
    file: Annotated[Path, typer.Argument(help="a Python file", exists=True, dir_okay=False)],
    options: Options,
) -> None:
    """Run an analysis of your own, from a file anywhere."""
    try:
        analysis = _runner.own(file)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    options.run([analysis])


@app.command("redraw")
def redraw(
    names: Annotated[list[str] | None, typer.Argument(help="analyses; all by default")] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="where their tables are")] = FIGURES,
) -> None:
    """Draw figures and report again from their tables."""
    chosen = [analysis for analysis in _runner.find().values() if not names or analysis.name in names]
    ready = [analysis for analysis in chosen if (out / f"{analysis.name}.csv").exists()]
    if not ready:
        raise SystemExit(
            f"error: {out} holds the CSV of no analysis; run some first: python -m analyses all --out {out}"
        )
    for analysis in ready:
        _runner.draw(analysis, out)
    _finish([analysis.name for analysis in ready], out)


@app.command("record")
def record(
    name: Annotated[str, typer.Argument(help="an analysis")],
    folders: Annotated[list[Path], typer.Argument(help="checkpoints or finished runs")],
    wthor: Wthor = None,
    tables: Annotated[Path, typer.Option(metavar="FOLDER", help="where the rows are written")] = TABLES,
) -> None:
    """Store rows of other models; `NAME --tables` shows them."""
    from analyses import _record

    found = _runner.find()
    if name not in found:
        raise SystemExit(f"error: no analysis {name!r}; there are: {', '.join(found)}")
    takes, module = found[name].takes, found[name].module()
    measure = getattr(module, "_kept", module.measure)  # an analysis may keep less than it draws
    if wthor is not None and "wthor" not in takes:
        raise SystemExit(f"error: {name} measures no real games; leave out --wthor")
    if "wthor" in takes:
        measure = partial(measure, wthor=wthor)
    inside = [folder / "checkpoint" if (folder / "checkpoint").exists() else folder for folder in folders]
    try:
        typer.echo(_record.record(name, measure, inside, tables))
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None


def _run(analyses: Sequence[_runner.Analysis], out: Path, inputs: dict[str, Any], **zoo: Any) -> None:
    """Run these analyses, each from one process if it is alone, else two at a time; then draw pictures and pages."""
    from analyses._models import NoInput, NoModels
    from mothello_interp.othello import IllegalGame

    console, began, drawn = Console(), time.perf_counter(), list[str]()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"error: {out} cannot be made ({error.strerror}); choose another --out") from None
    for name, result in _results(analyses, out, inputs, **zoo):
        try:
            result()
        except (IllegalGame, NoInput) as error:
            raise SystemExit(f"error: {error}") from None
        except NoModels as error:
            if len(analyses) == 1:
                raise SystemExit(f"error: {error}") from None
            console.print(f"{name}: left out, for there is no model of it")
            continue
        drawn.append(name)
        console.print(f"{name}: done, {len(drawn)} of {len(analyses)}, after {time.perf_counter() - began:.0f} s")
    _say_measured([analysis for analysis in analyses if analysis.name in drawn], out, **zoo)
    _finish(drawn, out, **zoo)


def _say_measured(analyses: Sequence[_runner.Analysis], out: Path, **zoo: Any) -> None:
    """What was measured for these analyses, what is stored, and which runs were left out."""
    import pandas as pd

    from analyses._models import MODELS, Zoo

    console, known = Console(), set[str]()
    for analysis in analyses:
        name = analysis.name
        known.update(getattr(analysis.module(), "MODELS", MODELS))
        rows = pd.read_csv(out / f"{name}.csv") if (out / f"{name}.csv").exists() else pd.DataFrame()
        if {"regime", "seed", "origin"} <= set(rows):
            for (origin, regime), group in rows.groupby(["origin", "regime"], sort=False):
                seeds = ", ".join(map(str, sorted(group["seed"].unique())))
                console.print(f"{name}: {origin} {regime}, seeds {seeds}", markup=False, highlight=False)
    for folder in Zoo(**zoo).unused(known):
        console.print(
            f"left out {folder}: none of these analyses lists its preset; measure it with --checkpoint {folder}",
            markup=False,
        )


def _results(
    analyses: Sequence[_runner.Analysis], out: Path, inputs: dict[str, Any], **zoo: Any
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Names, and what raises if it did not go well."""
    if len(analyses) == 1:
        yield analyses[0].name, partial(_runner.run, analyses[0], out, inputs, **zoo)
        return
    for name, done in _runner.run_side_by_side(analyses, out, inputs, **zoo):
        yield name, done.result


def _finish(drawn: list[str], out: Path, **zoo: Any) -> None:
    """Draw pictures, write the pages and say where they are; of the bundled models every sentence has to hold."""
    from analyses import _models, _report

    console, models = Console(), _models.Zoo(**zoo)
    if _runner.has_browser():
        with console.status(f"drawing PNG, SVG and PDF of {len(drawn)} figures"):
            _runner.write_images(drawn, out)
    else:
        console.print("No Chrome or Chromium found, so no PNG, SVG and PDF: install one, or run `plotly_get_chrome`.")
    broken = _report.write_report(out, models)
    console.print(f"Open {out / (f'{drawn[0]}.html' if len(drawn) == 1 else 'index.html')}")
    if broken and models == _models.BUNDLED:
        raise SystemExit("error: numbers do not support these sentences, see analyses/text:\n" + "\n".join(broken))


def _add(analysis: _runner.Analysis) -> None:
    """Register the command of an analysis: real games and a device are offered where they make a difference."""
    left_out = ["wthor"] * ("wthor" not in analysis.takes) + ["device"] * analysis.stored

    @app.command(analysis.name, help=analysis.title, short_help=analysis.title)
    @with_options(Options, *left_out)
    def command(*, options: Options) -> None:
        options.run([analysis])


for _analysis in _runner.find().values():
    _add(_analysis)

if __name__ == "__main__":
    check_text(sys.argv)
    app(prog_name="python -m analyses")

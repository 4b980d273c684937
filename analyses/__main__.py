"""`python -m analyses`: every figure and table of the report, from the bundled checkpoints."""

import time
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from analyses import _runner

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


class Scale(StrEnum):
    """Which presets the models come from."""

    MINI = "mini"
    MIDI = "midi"
    PAPER = "paper"


Out = Annotated[Path, typer.Option(help="folder to write to")]
Size = Annotated[
    Scale, typer.Option(help="size of the models; of midi one is bundled, of paper give your own with --runs")
]
Runs = Annotated[
    Path | None,
    typer.Option(
        help="measure the finished runs in this folder as well, RUNS/PRESET-seedS", exists=True, file_okay=False
    ),
]
Checkpoint = Annotated[
    list[Path] | None,
    typer.Option(
        help="measure this checkpoint as a regime of its own; may be given several times", exists=True, file_okay=False
    ),
]
Tables = Annotated[
    Path | None, typer.Option(help="take the rows that `record` wrote to this folder too", exists=True, file_okay=False)
]
Wthor = Annotated[
    Path | None,
    typer.Option(help="folder of real games, the .wtb files of the WTHOR database", exists=True, file_okay=False),
]


def _known(device: str) -> str:
    """A device that is there; torch is asked about others than the processor alone."""
    if device != "cpu":
        from mothello_interp.models.build import device_of

        try:
            device_of(device)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    return device


Device = Annotated[str, typer.Option(help="where models are put, such as cuda", callback=_known)]
FIGURES, TABLES = Path("figures"), Path("analyses/tables")


@app.callback(invoke_without_command=True)
def _list(context: typer.Context) -> None:
    """List the analyses; run one by its name, or `all` of them and the report."""
    if context.invoked_subcommand is None:
        table = Table("analysis", "question", box=None)
        for analysis in _runner.find().values():
            table.add_row(analysis.name, analysis.title)
        Console().print(table)
        typer.echo("\nRun one with: python -m analyses NAME       all and the report: python -m analyses all")


@app.command("all")
def run_all(
    out: Out = FIGURES,
    scale: Size = Scale.MINI,
    runs: Runs = None,
    checkpoint: Checkpoint = None,
    tables: Tables = None,
    device: Device = "cpu",
    wthor: Wthor = None,
) -> None:
    """Run every analysis and write the report, `index.html`."""
    own = tuple(checkpoint or ())
    zoo = {"scale": scale.value, "runs": runs, "device": device, "checkpoints": own, "tables": tables}
    _run(list(_runner.find()), out, {"wthor": wthor}, **zoo)


@app.command("redraw")
def redraw(out: Out = FIGURES) -> None:
    """Draw every figure again from its CSV in the folder, and write the report: no model is loaded."""
    ready = [analysis for analysis in _runner.find().values() if (out / f"{analysis.name}.csv").exists()]
    if not ready:
        raise SystemExit(
            f"error: {out} holds the CSV of no analysis; run some first: python -m analyses all --out {out}"
        )
    for analysis in ready:
        _runner.draw(analysis, out, Console())
    _finish(out)


@app.command("record")
def record(
    name: Annotated[str, typer.Argument(help="an analysis")],
    folders: Annotated[list[Path], typer.Argument(help="checkpoints, or folders of finished runs")],
    wthor: Wthor = None,
    tables: Annotated[Path, typer.Option(help="folder to write to; show its rows with NAME --tables FOLDER")] = TABLES,
) -> None:
    """Keep an analysis' rows for models that are not bundled, with provenance, in a folder of tables."""
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


def _run(names: list[str], out: Path, inputs: dict[str, Any], **zoo: Any) -> None:
    from analyses._models import NoInput, NoModels
    from mothello_interp.othello import IllegalGame

    console = Console()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"error: {out} cannot be made ({error.strerror}); choose another --out") from None
    for name in names:
        began = time.perf_counter()
        try:
            _runner.run(_runner.find()[name], out, console, inputs, **zoo)
        except (IllegalGame, NoInput) as error:
            raise SystemExit(f"error: {error}") from None
        except NoModels as error:
            if len(names) == 1:
                raise SystemExit(f"error: {error}") from None
            console.print(f"{name}: left out, for there is no model of it")
            continue
        console.print(f"  {time.perf_counter() - began:.0f} s")
    _finish(out, **zoo)
    _say_measured(names, out, **zoo)


def _say_measured(names: list[str], out: Path, **zoo: Any) -> None:
    """What was measured for these analyses, what is stored, and which runs were left out."""
    import pandas as pd

    from analyses._models import MODELS, Zoo

    console, known = Console(), set[str]()
    for name in names:
        known.update(getattr(_runner.find()[name].module(), "MODELS", MODELS))
        if (out / f"{name}.csv").exists():
            rows = pd.read_csv(out / f"{name}.csv", usecols=["regime", "seed", "origin"]).drop_duplicates()
            for (origin, regime), group in rows.groupby(["origin", "regime"], sort=False):
                seeds = ", ".join(map(str, sorted(group["seed"].unique())))
                console.print(f"{name}: {origin} {regime}, seeds {seeds}", markup=False, highlight=False)
    for folder in Zoo(**zoo).unused(known):
        console.print(
            f"left out {folder}: none of these analyses lists its preset; measure it with --checkpoint {folder}",
            markup=False,
        )


def _finish(out: Path, **zoo: Any) -> None:
    """Write the report and say where it is."""
    from analyses import _models, _report

    if not _runner.has_browser():
        Console().print("No Chrome or Chromium found, so no PNG, SVG and PDF: install one, or run `plotly_get_chrome`.")
    Console().print(f"Open {_report.write_report(out, _models.Zoo(**zoo))}")


def _add(analysis: _runner.Analysis) -> None:
    """Register the command of an analysis, with the option of real games if it takes them."""

    def with_games(
        out: Out = FIGURES,
        scale: Size = Scale.MINI,
        runs: Runs = None,
        checkpoint: Checkpoint = None,
        tables: Tables = None,
        device: Device = "cpu",
        wthor: Wthor = None,
    ) -> None:
        own = tuple(checkpoint or ())
        zoo = {"scale": scale.value, "runs": runs, "device": device, "checkpoints": own, "tables": tables}
        _run([analysis.name], out, {"wthor": wthor}, **zoo)

    def command(
        out: Out = FIGURES,
        scale: Size = Scale.MINI,
        runs: Runs = None,
        checkpoint: Checkpoint = None,
        tables: Tables = None,
        device: Device = "cpu",
    ) -> None:
        with_games(out, scale, runs, checkpoint, tables, device)

    register = app.command(analysis.name, help=f"{analysis.title}\n\n{analysis.text}")
    register(with_games if "wthor" in analysis.takes else command)


for _analysis in _runner.find().values():
    _add(_analysis)

if __name__ == "__main__":
    app(prog_name="python -m analyses")

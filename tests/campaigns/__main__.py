"""`python -m tests.campaigns kill|fuzz --minutes N`: break things at random for so long, and print counts and what was found."""

from typing import Annotated

import typer

from tests.campaigns.fuzz import fuzz
from tests.campaigns.kill import kill

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Minutes = Annotated[float, typer.Option(help="how long")]
Seed = Annotated[int, typer.Option(help="of what is drawn")]


def _report(counts: dict[str, int], found: list[str]) -> None:
    for name, count in counts.items():
        typer.echo(f"{name}: {count:,}")
    typer.echo("\n".join([f"findings: {len(found)}", *found[:20]]))
    raise typer.Exit(bool(found))


@app.command("kill")
def _kill(minutes: Minutes = 1, seed: Seed = 0) -> None:
    """Kill tiny trainings at random, before file operations and by full disks: each has to end as one left alone does."""
    _report(*kill(60 * minutes, seed))


@app.command("fuzz")
def _fuzz(minutes: Minutes = 1, seed: Seed = 0) -> None:
    """Give every reader spoilt files: it has to give a value, or an error of ours that names the file, soon and in little memory."""
    _report(*fuzz(60 * minutes, seed))


if __name__ == "__main__":
    app(prog_name="python -m tests.campaigns")

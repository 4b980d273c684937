"""`python -m mothello_interp.explorer export NAME`: the board explorer of a checkpoint as one HTML file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mothello_interp.hints import check_text

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def _main() -> None:
    """The board explorer without Jupyter."""


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="bundled name, folder or Hub name (org/name)")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="file to write")] = Path(
        "explorer.html"
    ),
) -> None:
    """Write the explorer of a checkpoint as one HTML file.

    The file needs neither Python nor a network.
    """
    from mothello_interp.explorer import Reader, write_page
    from mothello_interp.models import load

    if not output.parent.is_dir():
        raise SystemExit(f"{output}: there is no folder {output.parent}")
    try:
        reader = Reader(load(name))
        typer.echo("Fitting board probes ...", err=True)
        write_page(reader, output)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB; open it in a browser")


if __name__ == "__main__":
    check_text(sys.argv)
    app(prog_name="python -m mothello_interp.explorer")

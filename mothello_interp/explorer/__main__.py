"""`python -m mothello_interp.explorer export NAME`: the board explorer of a checkpoint as one HTML file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mothello_interp.hints import check_text

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def _main() -> None:
    """The board explorer, outside Jupyter."""


@app.command()
def export(
    name: Annotated[
        str, typer.Argument(help="a bundled name, a checkpoint folder, or org/name on the Hugging Face Hub")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="HTML file to write")] = Path("explorer.html"),
) -> None:
    """Write the explorer of one checkpoint to an HTML file that needs neither Python nor a network."""
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
    app()

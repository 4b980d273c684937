"""A figure for a page of text: as wide as the text of a paper, its letters no smaller than a footnote."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import plotly.graph_objects as go

from mothello_interp.hints import write_file

WIDTH = 6.75  # inches: the text of a page in two columns, as of ICML; no letter is under 7 points at this width
_LAYOUT_WIDTH = 825  # pixels in which the panels are laid out: there, 14 pixels are 8 points of the page
_SCREEN, _PRINT = 96, 300  # pixels an inch, of drawings and of bitmaps
_BELOW = 72  # pixels from the panels to the legend, for ticks and names of the axes
_ROW, _LINE = 22, 15  # pixels of a row of the legend, and of a line of a tick's name
_LETTER, _MARK = 7.5, 55  # pixels of one letter in it, and of the mark before a name
_HEIGHT, _MARGIN = 450, 60  # pixels that a figure has by default, and above or below its panels in this theme
_PATIENCE, _EACH, _PARTING = 180, 5, 15  # seconds: for the browser to start, for each picture, and to close


def for_paper(figure: go.Figure) -> go.Figure:
    """A copy with its legend below the panels, which have the full width; a horizontal legend stays where it is."""
    copy = go.Figure(figure)
    names = [trace.name for trace in copy.data if trace.name and trace.showlegend is not False]
    if len(names) < 2 or copy.layout.legend.orientation == "h":
        return copy.update_layout(width=_LAYOUT_WIDTH)
    columns = max(1, int((_LAYOUT_WIDTH - 90) // (max(map(len, names)) * _LETTER + _MARK)))
    rows = -(-len(names) // columns)
    height = copy.layout.height or _HEIGHT
    panels, ticks = height - 2 * _MARGIN, _LINE * (_tick_lines(copy) - 1)
    copy.update_layout(
        width=_LAYOUT_WIDTH,
        height=height + rows * _ROW + ticks,
        margin={"r": 20 if not any(getattr(trace, "showscale", False) for trace in copy.data) else 90},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -(_BELOW + ticks) / panels, "yanchor": "top"},
    )
    return copy


def _tick_lines(figure: go.Figure) -> int:
    """Lines of the longest name of a tick of an x axis."""
    return max(
        (str(name).count("<br>") + 1 for axis in figure.select_xaxes() for name in axis.ticktext or ()), default=1
    )


def write_image(figure: go.Figure, *paths: str | Path) -> None:
    """Write the figure at the width of a paper: `.pdf` and `.svg` as drawings, `.png` with 300 pixels an inch.

    Nothing is loaded from a network, hence no MathJax: text in `$...$` is drawn as it stands.

    Args:
        figure: of plotly, in any theme.
        paths: files to write; their endings say the formats. Existing files are replaced.

    Raises:
        ValueError: for another ending.
        RuntimeError: (of kaleido) if neither Chrome nor Chromium is installed, or if the browser is stuck for minutes.
    """
    write_images([(figure, paths)])


def write_images(figures: Iterable[tuple[go.Figure, Iterable[str | Path]]]) -> None:
    """Write several figures, each to its paths, from one browser; all else as in `write_image`."""
    pictures = [picture for figure, paths in figures for picture in _pictures(figure, [Path(path) for path in paths])]
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside:  # a notebook's own thread has a loop already
        drawn = [Path(folder) / f"{index}{picture['path'].suffix}" for index, picture in enumerate(pictures)]
        elsewhere = [picture | {"path": file} for picture, file in zip(pictures, drawn, strict=True)]
        beside.submit(asyncio.run, _draw(elsewhere)).result()
        for picture, file in zip(pictures, drawn, strict=True):
            write_file(picture["path"], file.read_bytes())


def _pictures(figure: go.Figure, files: list[Path]) -> list[dict[str, Any]]:
    """What kaleido is asked for, one a file."""
    for file in files:
        if file.suffix not in (".pdf", ".svg", ".png"):
            raise ValueError(f"cannot write {file.name}: the name must end in .pdf, .svg or .png")
    dots = [_PRINT if file.suffix == ".png" else _SCREEN for file in files]
    drawn = for_paper(figure)
    size = {"width": _LAYOUT_WIDTH, "height": drawn.layout.height or _HEIGHT}
    return [
        {"fig": drawn, "path": file, "opts": size | {"format": file.suffix[1:], "scale": WIDTH * each / _LAYOUT_WIDTH}}
        for file, each in zip(files, dots, strict=True)
    ]


async def _draw(pictures: list[dict[str, Any]]) -> None:
    """Draw them in one browser. Kaleido by itself waits for ever: for MathJax's server, or for a browser that is stuck."""
    from kaleido import Kaleido

    browser, patience = Kaleido(mathjax=False), _PATIENCE + _EACH * len(pictures)
    try:
        async with asyncio.timeout(patience) as limit:
            await browser.open()
            await browser.write_fig_from_object(pictures, cancel_on_error=True)
    except (TimeoutError, RuntimeError) as error:
        if not limit.expired():
            raise
        message = (
            f"Chrome or Chromium has not drawn in {patience} s; the environment variable BROWSER_PATH names another"
        )
        raise RuntimeError(message) from error
    finally:
        try:
            async with asyncio.timeout(_PARTING):
                await browser.close()
        except TimeoutError:
            browser.subprocess.kill()

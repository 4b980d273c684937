"""A figure for a page of text: as wide as the text of a paper, its letters no smaller than a footnote."""

from pathlib import Path

import plotly.graph_objects as go

WIDTH = 6.75  # inches: the text of a page in two columns, as of ICML; no letter is under 7 points at this width
_LAYOUT_WIDTH = 825  # pixels in which the panels are laid out: there, 14 pixels are 8 points of the page
_SCREEN, _PRINT = 96, 300  # pixels an inch, of drawings and of bitmaps
_BELOW, _ROW, _LETTER, _SYMBOL = (
    62,
    22,
    7.5,
    55,
)  # pixels: axis labels, a row of the legend, one of its letters, its mark
_MARGINS = 60 + 60  # above and below the panels


def for_paper(figure: go.Figure) -> go.Figure:
    """A copy with its legend below the panels, which have the whole width."""
    copy = go.Figure(figure)
    names = [trace.name for trace in copy.data if trace.name and trace.showlegend is not False]
    if len(names) < 2:
        return copy.update_layout(width=_LAYOUT_WIDTH)
    columns = max(1, int((_LAYOUT_WIDTH - 90) // (max(map(len, names)) * _LETTER + _SYMBOL)))
    rows = -(-len(names) // columns)
    panels = copy.layout.height - _MARGINS
    copy.update_layout(
        width=_LAYOUT_WIDTH,
        height=copy.layout.height + rows * _ROW,
        margin={"r": 20 if not any(getattr(trace, "showscale", False) for trace in copy.data) else 90},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": -_BELOW / panels, "yanchor": "top"},
    )
    return copy


def write_image(figure: go.Figure, path: str | Path) -> None:
    """Write the figure at the width of a paper: `.pdf` and `.svg` as drawings, `.png` with 300 pixels an inch.

    Args:
        figure: with a height in its layout, as all figures of this package have.
        path: its ending says the format; an existing file is replaced.

    Raises:
        ValueError: for another ending.
        RuntimeError: (of kaleido) if neither Chrome nor Chromium is installed.
    """
    path = Path(path)
    if path.suffix not in (".pdf", ".svg", ".png"):
        raise ValueError(f"cannot write {path.name}: the name must end in .pdf, .svg or .png")
    dots = _PRINT if path.suffix == ".png" else _SCREEN
    for_paper(figure).write_image(path, scale=WIDTH * dots / _LAYOUT_WIDTH)

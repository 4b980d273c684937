"""Tables in, plotly figures out: one theme, the few kinds of panel that the analyses share, and boards."""

from mothello_interp.plots.attention import add_attention, attention_figure
from mothello_interp.plots.board import add_board, draw_boards
from mothello_interp.plots.narrow import for_phone
from mothello_interp.plots.panels import (
    Line,
    add_categories,
    add_heatmap,
    add_label,
    add_lines,
    bounds,
    facet,
    layer_axis,
    panel_grid,
)
from mothello_interp.plots.paper import for_paper, write_image, write_images
from mothello_interp.plots.tables import plot_alignment, plot_recovery
from mothello_interp.plots.theme import COLOURS, LANGUAGES, layer_name, themed

__all__ = [
    "COLOURS",
    "LANGUAGES",
    "Line",
    "add_attention",
    "add_board",
    "add_categories",
    "add_heatmap",
    "add_label",
    "add_lines",
    "attention_figure",
    "bounds",
    "draw_boards",
    "facet",
    "for_paper",
    "for_phone",
    "layer_axis",
    "layer_name",
    "panel_grid",
    "plot_alignment",
    "plot_recovery",
    "themed",
    "write_image",
    "write_images",
]

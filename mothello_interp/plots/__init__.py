"""Tables in, plotly figures out: one theme, the few kinds of panel that the analyses share, and boards."""

from mothello_interp.plots.attention import add_attention, attention_figure
from mothello_interp.plots.board import add_board, draw_boards
from mothello_interp.plots.panels import add_categories, add_curve, add_heatmap, layer_axis, panel_grid
from mothello_interp.plots.paper import for_paper, write_image
from mothello_interp.plots.theme import COLOURS, LANGUAGES, layer_name, themed

__all__ = [
    "COLOURS",
    "LANGUAGES",
    "add_attention",
    "add_board",
    "add_categories",
    "add_curve",
    "add_heatmap",
    "attention_figure",
    "draw_boards",
    "for_paper",
    "layer_axis",
    "layer_name",
    "panel_grid",
    "themed",
    "write_image",
]

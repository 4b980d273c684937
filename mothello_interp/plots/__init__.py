"""Tables in, plotly figures out: one theme, and the few kinds of panel that the analyses share."""

from mothello_interp.plots.panels import add_categories, add_curve, add_heatmap, panel_grid
from mothello_interp.plots.theme import COLOURS, LANGUAGES, layer_name, themed

__all__ = ["COLOURS", "LANGUAGES", "add_categories", "add_curve", "add_heatmap", "layer_name", "panel_grid", "themed"]

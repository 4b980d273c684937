"""A figure in one call from a table that the library returns."""

import pandas as pd
import plotly.graph_objects as go

from mothello_interp.plots.panels import Line, bounds, facet, layer_axis
from mothello_interp.plots.theme import LANGUAGES


def plot_alignment(table: pd.DataFrame) -> go.Figure:
    """Accuracy of board probes by layer, with ceiling, floor and majority baseline: a panel for each pair of languages.

    Args:
        table: as `align` returns it; of its symmetries the identity is drawn.

    Raises:
        ValueError: for a table without pairs of two languages.
    """
    pairs = table[(table["source"] != table["target"]) & (table["symmetry"] == "identity")]
    lines = [
        *bounds("ceiling", "floor", "majority"),
        Line("accuracy", "cross-lingual", LANGUAGES[0], width=4, band=("low", "high")),
    ]
    return layer_axis(facet(_by_pair(pairs), {"accuracy": lines}, x="layer", by="pair"), pairs["layer"])


def plot_recovery(table: pd.DataFrame) -> go.Figure:
    """Normalised recovery of the changed move's state by layer, with the floor: a panel for each pair of languages.

    Args:
        table: as `recovery` returns it for one hook; of its offsets the last is drawn, the state that predicts.

    Raises:
        ValueError: for a table without rows.
    """
    last = table[table["offset"] == table["offset"].max()]
    lines = [*bounds("floor"), Line("recovery", "recovery", LANGUAGES[0], width=4, band=("low", "high"))]
    return layer_axis(facet(_by_pair(last), {"recovery": lines}, x="layer", by="pair"), last["layer"])


def _by_pair(table: pd.DataFrame) -> pd.DataFrame:
    """With a column that names source and target."""
    if table.empty:
        raise ValueError(
            "expected a table with at least one pair of languages, given one without: measure two languages"
        )
    return table.assign(pair=[f"language {a} to {b}" for a, b in zip(table["source"], table["target"], strict=True)])

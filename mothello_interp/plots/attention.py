"""Attention patterns: heads next to each other, languages below each other."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from mothello_interp.plots.panels import add_heatmap, panel_grid


def attention_figure(table: pd.DataFrame, *, names: Mapping[int, str] | None = None) -> go.Figure:
    """The pattern of every head in every language: a row a language, a column a head.

    Args:
        table: columns language, layer, head, move (that attends), other_move (that is attended to) and weight (0 to 1).
        names: what languages are called; "language 0" and so on by default.

    Raises:
        ValueError: for a table without rows.
    """
    if table.empty:
        raise ValueError("a table without rows: there is no pattern to draw")
    heads = list(table[["layer", "head"]].drop_duplicates().itertuples(index=False, name=None))
    languages = list(dict.fromkeys(table["language"]))
    titles = [[f"layer {layer}, head {head}" for layer, head in heads], *[[""] * len(heads)] * (len(languages) - 1)]
    called = [(names or {}).get(language, f"language {language}") for language in languages]
    figure = panel_grid(titles, x="move attended to", y=[f"{name}<br>move" for name in called])
    for row, language in enumerate(languages, 1):
        for column, (layer, head) in enumerate(heads, 1):
            here = table[(table["language"] == language) & (table["layer"] == layer) & (table["head"] == head)]
            add_attention(figure, here, row=row, column=column)
    return figure.update_layout(margin_l=90)


def add_attention(figure: go.Figure, table: pd.DataFrame, *, row: int, column: int) -> None:
    """One head's pattern in one language, the first move on top; columns as in `attention_figure`."""
    add_heatmap(figure, table, x="other_move", y="move", z="weight", limits=(0, 1), row=row, column=column, text=False,
                diverging=False)  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False, row=row, col=column)
    figure.update_xaxes(showgrid=False, row=row, col=column)

"""Figures in one call."""

import pandas as pd
import pytest

from mothello_interp.plots import plot_alignment, plot_recovery

ALIGNED = pd.DataFrame(
    [
        {
            "source": a,
            "target": b,
            "symmetry": symmetry,
            "layer": layer,
            "accuracy": 0.8 + a / 10,
            "low": 0.7,
            "high": 0.9,
        }
        | {"floor": 0.5, "ceiling": 0.95, "majority": 0.6}
        for a in (0, 1)
        for b in (0, 1)
        for symmetry in ("identity", "half_turn")
        for layer in (-1, 0)
    ]
)


def test_plot_alignment_draws_the_pairs_of_two_languages() -> None:
    figure = plot_alignment(ALIGNED)
    assert [text.text for text in figure.layout.annotations][:2] == ["language 0 to 1", "language 1 to 0"]
    drawn = [list(trace.y) for trace in figure.data if trace.name == "cross-lingual" and trace.mode == "lines+markers"]
    drawn = drawn or [list(trace.y) for trace in figure.data if trace.name == "cross-lingual"]
    assert [0.8, 0.8] in drawn
    assert [0.9, 0.9] in drawn


def test_plot_recovery_draws_the_last_offset() -> None:
    row = {"source": 0, "target": 1, "low": 0.1, "high": 0.9, "floor": 0.2}
    table = pd.DataFrame([row | {"layer": layer, "offset": o, "recovery": o} for layer in (0, 1) for o in (0, 1)])
    assert [1, 1] in [list(trace.y) for trace in plot_recovery(table).data if trace.name == "recovery"]


def test_a_table_of_one_language_is_refused() -> None:
    with pytest.raises(ValueError, match="two languages"):
        plot_alignment(ALIGNED[ALIGNED["source"] == ALIGNED["target"]])

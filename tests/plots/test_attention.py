"""Attention patterns hold exactly the weights of their table, the first move on top."""

import numpy as np
import pandas as pd
import pytest

from mothello_interp.plots import attention_figure


def patterns() -> pd.DataFrame:
    """Two languages, two heads, three moves, in no order."""
    keys = [(a, b, c, d) for a in (0, 2) for b in (0, 1) for c in range(3) for d in range(3)]
    table = pd.DataFrame(keys, columns=["language", "head", "move", "other_move"])
    return table.assign(layer=1, weight=np.linspace(0, 1, len(table))).sample(frac=1, random_state=0)


def test_a_row_a_language_and_a_column_a_head() -> None:
    table = patterns()
    figure = attention_figure(table.sort_values(["language", "head"]), names={2: "split"})
    titles = ["layer 1, head 0", "layer 1, head 1", "move attended to"]
    assert [note.text for note in figure.layout.annotations] == titles
    assert [figure.get_subplot(row, 1).yaxis.title.text for row in (1, 2)] == ["language 0<br>move", "split<br>move"]
    for place, trace in enumerate(figure.data):
        here = table[(table["language"] == (0, 2)[place // 2]) & (table["head"] == place % 2)]
        np.testing.assert_allclose(trace.z, here.pivot(index="move", columns="other_move", values="weight"))
        assert (trace.zmin, trace.zmax, trace.zmid) == (0, 1, None)
        assert trace.showscale == (place == 0)
        assert figure.get_subplot(place // 2 + 1, place % 2 + 1).yaxis.autorange == "reversed"


def test_a_table_without_rows() -> None:
    with pytest.raises(ValueError, match="there is no pattern to draw"):
        attention_figure(patterns()[:0])

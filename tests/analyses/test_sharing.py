"""Alignment of runs compared where they are equally good."""

import numpy as np
import pandas as pd

from tests.analyses.conftest import module_of
from tests.analyses.drawn import equal


def test_sharing_compares_where_models_are_equally_good() -> None:
    """Half-way between the steps around the level; at the first step if that is beyond; nowhere if it is never reached."""
    base = {"games": [100, 200], "best": [0.2, 0.6], "normalised": [0.1, 0.2], "not_identity": [0.0, 1.0]}
    tables = [
        pd.DataFrame({"regime": "init 0.02, 4 anchors", "seed": seed, "legal": legal, **base})
        for seed, legal in enumerate(([0.88, 0.92], [0.93, 0.95], [0.8, 0.89]))
    ]
    table = pd.concat(tables).assign(origin="stored")
    headline = module_of("sharing").headline(table).iloc[0]
    assert headline[["seeds", "reached"]].tolist() == [3, 2]
    equal(headline[["alignment", "lowest", "highest", "identity", "games"]], [0.3, 0.2, 0.4, 0.125, 125])
    equal(headline[["at the end", "legal"]], [0.6, 0.92])
    drawing = module_of("sharing").figure(table)
    dots = [trace for trace in drawing.data if trace.mode == "markers" and trace.x is not None and len(trace.x)]
    equal(dots[0].y, [0.4, 0.2, np.nan])
    equal(sorted(dots[-1].x), [0.2, 0.4, np.nan])

"""Legality, alignment and similarity along training."""

import numpy as np
import pytest

from analyses._models import REGIMES
from mothello_interp.models import load
from tests.analyses.conftest import labels_of, module_of, table_of
from tests.analyses.drawn import curve, equal


def test_emergence_draws_its_table() -> None:
    table, figure = table_of("emergence"), module_of("emergence").figure(table_of("emergence"))
    curves = {"legal, top-1": "legal", "alignment": "normalised", "alignment, best symmetry": "best", "CKA": "cka"}
    for panel, regime in enumerate(labels_of("emergence"), 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        for name, column in {**curves, "retrieval": "retrieval"}.items():
            equal(curve(figure, name, panel=panel).x, [300, 1000])
            equal(curve(figure, name, panel=panel).y, here[column])
    assert figure.layout.xaxis.type == "log"
    row = module_of("emergence").headline(table.assign(cka=np.where(table["games"] == 300, 0.4, 0.6))).iloc[0]
    assert (row["cka passes 0.5 at"], row["cka, end"]) == (1000, 0.6)


def test_emergence_of_a_model_without_steps() -> None:
    with pytest.raises(ValueError, match=r"no checkpoints in .*steps; train with --keep 12"):
        module_of("emergence").measure(load(REGIMES["naive"]))

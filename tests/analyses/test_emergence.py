"""Legality, alignment and similarity along training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyses._models import REGIMES
from analyses.emergence import over_steps
from mothello_interp.models import load, save_checkpoint
from tests.analyses.conftest import labels_of, module_of, table_of
from tests.analyses.drawn import curve, equal
from tests.conftest import tiny_checkpoint


def test_emergence_draws_its_table() -> None:
    """The steps; random weights stand in the headline alone."""
    table, figure = table_of("emergence"), module_of("emergence").figure(table_of("emergence"))
    assert table["games"].unique().tolist() == [0, 300, 1000]
    curves = {
        "top-1 legal": "legal",
        "normalised alignment": "normalised",
        "alignment, best symmetry": "best",
        "CKA": "cka",
    }
    for panel, regime in enumerate(labels_of("emergence"), 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["games"] > 0)]
        for name, column in {**curves, "retrieval": "retrieval"}.items():
            equal(curve(figure, name, panel=panel).x, [300, 1000])
            equal(curve(figure, name, panel=panel).y, here[column])
    assert figure.layout.xaxis.type == "log"
    rising = table["games"].map({0: 0.9, 300: 0.4, 1000: 0.6})
    row = module_of("emergence").headline(table.assign(legal=rising, cka=rising)).iloc[0]
    assert row[["legal passes 0.5 at", "legal, end"]].tolist() == [1000, 0.6]
    assert row[["CKA, random weights", "CKA, first step", "CKA, lowest", "CKA, end"]].tolist() == [0.9, 0.4, 0.4, 0.6]
    assert np.isnan(row["alignment at 0.9 legal"])


def test_emergence_of_a_model_without_steps() -> None:
    with pytest.raises(ValueError, match=r"no checkpoints in .*steps; train with --keep 12"):
        module_of("emergence").measure(load(REGIMES["naive"]))


@pytest.mark.parametrize("what", [{"seed": 1}, {"training": {"lr": 0.1}}])
def test_steps_of_another_run_are_refused(tmp_path: Path, what: dict[str, Any]) -> None:
    """Left in the folder by an earlier attempt, say."""
    final = tiny_checkpoint()
    for place, made in {"steps/300": {}, "steps/1000": what, "checkpoint": {}}.items():
        save_checkpoint(tmp_path / place, replace(final, provenance={**final.provenance, **made}))
    key = next(iter(what))
    with pytest.raises(ValueError, match=rf"steps/1000: of a run with another {key} than .*checkpoint; delete it"):
        over_steps(load(tmp_path / "checkpoint"), lambda step: {})

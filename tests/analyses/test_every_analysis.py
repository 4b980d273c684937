"""Every figure and headline is drawn from its table alone, and can be redrawn from the CSV; every measure can be repeated."""

import ast
import io
import json
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from analyses._models import REGIMES
from analyses._runner import HERE, find
from tests.analyses.conftest import RESULTS, SETTINGS, labels_of, measure, measured, module_of, table_of

every_analysis = pytest.mark.parametrize("name", find())


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def content(figure: go.Figure) -> Any:
    return json.loads(figure.to_json())


def test_every_analysis_is_tested() -> None:
    assert set(find()) == set(SETTINGS) == set(RESULTS)


@every_analysis
def test_four_functions_are_public(name: str) -> None:
    """And nothing else: no constant, no class."""
    names = set()
    for node in ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            assert ast.get_docstring(node), f"{node.name} has no docstring"
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    assert {public for public in names if not public.startswith("_")} == {"measure", "compute", "figure", "headline"}


@pytest.mark.parametrize("name", sorted(set(find()) - {"similarity"}))
def test_compute_is_the_measure_over_the_models(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the analysis' own name, which the cache and the stored tables go by."""
    asked = []

    def over_models(analysis: str, measure: Any, *models: Any, **settings: Any) -> pd.DataFrame:
        asked.append((analysis, measure))
        return table_of(name)

    monkeypatch.setattr(module_of(name), "over_models", over_models)
    assert module_of(name).compute() is table_of(name)
    assert asked == [(name, module_of(name).measure)]


@every_analysis
def test_a_measure_is_the_same_twice(name: str) -> None:
    """And its columns leave regime, seed and origin to the runner."""
    first = measured(name)
    pd.testing.assert_frame_equal(measure(name), first)
    assert len(first) > 0
    assert not {"regime", "seed", "origin"} & set(first)
    assert {column for column in RESULTS[name] if not column.startswith("transfer_")} <= set(first)


@every_analysis
@pytest.mark.parametrize("which", [slice(None), slice(-1, None), slice(1, None, -1)], ids=["all", "last", "backwards"])
def test_a_figure_is_redrawn_from_its_csv(name: str, which: slice) -> None:
    """Equal to the last digit, whichever regimes were measured, in whatever order; the headline too."""
    regimes = list(labels_of(name))[which]
    table = table_of(name)[table_of(name)["regime"].isin(regimes)]
    table = table.sort_values("regime", key=lambda column: column.map(regimes.index), kind="stable")
    again = read(table.to_csv(index=False))
    assert content(module_of(name).figure(again)) == content(module_of(name).figure(table))
    headline = module_of(name).headline(table)
    pd.testing.assert_frame_equal(module_of(name).headline(again), headline)
    if "regime" in headline:  # similarity's is a row a measure
        assert {labels_of(name)[regime] for regime in regimes} == set(headline["regime"])


@every_analysis
def test_a_table_of_the_bundled_models_alone(name: str) -> None:
    """No stored rows: there is nothing to draw of other seeds."""
    table = table_of(name)
    alone = read(table[table["origin"] == "computed"].to_csv(index=False))
    assert len(module_of(name).figure(alone).data) > 0
    assert len(module_of(name).headline(alone)) > 0


@every_analysis
def test_drawing_leaves_the_table_as_it_is(name: str) -> None:
    table = table_of(name).copy(deep=True)
    module_of(name).figure(table)
    module_of(name).headline(table)
    pd.testing.assert_frame_equal(table, table_of(name))


@pytest.mark.parametrize("name", ["anchors", "cka", "legality", "lens", "moves", "patching", "transfer"])
def test_panels_are_titled_by_their_regime(name: str) -> None:
    """In the order of the table, which is that of the regimes."""
    notes = module_of(name).figure(table_of(name)).layout.annotations
    titles = [note.text for note in notes if note.y > 0]  # at 0 stands the name of the x axes
    if name == "anchors":
        assert titles.pop() == "atomic + atomic"
    assert [title.split(", layer")[0] for title in titles] == [labels_of(name)[regime] for regime in REGIMES]


@every_analysis
def test_the_legend_names_everything_once(name: str) -> None:
    figure = module_of(name).figure(table_of(name))
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert len(named) == len(set(named))
    assert set(named) == {trace.name for trace in figure.data if trace.name}

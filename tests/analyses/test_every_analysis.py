"""Every figure and headline is drawn from its table alone, and can be redrawn from the CSV; every measure can be repeated."""

import ast
import io
import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from analyses import _models
from analyses._models import REGIMES
from analyses._runner import HERE, find
from mothello_interp.plots import for_paper
from tests.analyses.conftest import RESULTS, SIZES, labels_of, measure, measured, module_of, table_of

every_analysis = pytest.mark.parametrize("name", find())


def read(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def content(figure: go.Figure) -> Any:
    return json.loads(figure.to_json())


def test_every_analysis_is_tested() -> None:
    assert set(find()) == set(SIZES) == set(RESULTS)


@every_analysis
def test_an_analysis_is_three_functions_and_its_models(name: str) -> None:
    """That is all its shape; where it has no `compute`, these are the models that it is run on."""
    module, found = module_of(name), find()[name]
    parts = [getattr(module, part) for part in ("measure", "figure", "headline")]
    assert all(callable(part) and part.__doc__ for part in parts)
    body = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8")).body
    assert all(ast.get_docstring(part) for part in body if isinstance(part, ast.FunctionDef))
    if not hasattr(module, "compute"):
        asked: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_models, "over_models", lambda *given, **settings: asked.append((given, settings)))
            found.table(_models.BUNDLED)
        models = getattr(module, "MODELS", _models.MODELS)
        settings = {
            name: getattr(module, name.upper(), default) for name, default in (("stored", False), ("inputs", ()))
        }
        settings |= {"zoo": _models.BUNDLED}
        assert asked == [((name, module.measure, models), settings)]


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
    titles = [note.text for note in notes if note.yref == "paper" and note.y > 0]  # at 0 stands the name of the x axes
    assert [title.split(", layer")[0] for title in titles] == [labels_of(name)[regime] for regime in REGIMES]


@every_analysis
def test_the_legend_names_everything_once(name: str) -> None:
    figure = module_of(name).figure(table_of(name))
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert len(named) == len(set(named))


@every_analysis
def test_letters_are_no_smaller_than_seven_points_in_print(name: str) -> None:
    """12 pixels of the 825 that are 6.75 inches."""

    def sizes(part: Any) -> Iterator[float]:
        for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
            if key in ("font", "tickfont", "textfont") and isinstance(value, dict) and "size" in value:
                yield value["size"]
            yield from sizes(value)

    assert min(sizes(for_paper(module_of(name).figure(table_of(name))).to_plotly_json())) >= 12

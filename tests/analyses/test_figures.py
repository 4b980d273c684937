"""Every figure and headline is drawn from its table alone, holds the table's numbers, and can be redrawn from the CSV."""

import ast
import importlib
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from analyses import _maps, _matrix, _models, _steps, _transfer
from analyses._models import LABELS, REGIMES
from analyses._runner import HERE, find
from mothello_interp.activations import collect
from mothello_interp.models import Checkpoint, ModelSpec, build_model, load, save_checkpoint
from mothello_interp.othello import SYMMETRIES, random_games, write_wthor
from mothello_interp.plots import COLOURS, LANGUAGES
from mothello_interp.similarity import MEASURES, SAME_COORDINATES
from tests.conftest import tiny_checkpoint
from train.finetune import finetune
from train.settings import Recipe, Training

# What makes each measure quick, and the columns that hold its results.
SETTINGS: dict[str, dict[str, int]] = {
    "anchors": {"_FIT": 40, "_CHOOSE": 10, "_SCORE": 20},
    "cka": {"_GAMES": 320, "_PERMUTATIONS": 3},
    "cosine": {"_GAMES": 40},
    "emergence": {"_SIMILAR": 320, "_PERMUTATIONS": 3},
    "four_languages": {},
    "heads": {"_PAIRS": 6, "_GAMES": 8, "_MOVES": 6},
    "interventions": {"_FIT": 30, "_BOARDS": 12},
    "legality": {"_GAMES": 40},
    "lens": {"_FIT": 40, "_SCORE": 6, "_ATTRIBUTE": 4, "_EPOCHS": 1},
    "many_languages": {},
    "mixtures": {"_FIT": 40, "_CHOOSE": 10, "_SCORE": 20, "_RESAMPLES": 9},
    "moves": {"_FIT": 40, "_CHOOSE": 10, "_SCORE": 20},
    "patching": {"_PAIRS": 8, "_GAMES": 36, "_FIT": 10},
    "preferences": {"_DRAWS": 2, "_GAMES": 20},
    "realgames": {"_GAMES": 20, "_CHOOSE": 10},
    "seeds": {},
    "sharing": {"_NEAR": 0},
    "similarity": {"_GAMES": 320, "_FIT": 40, "_SCORE": 20, "_PERMUTATIONS": 2},
    "structure": {"_FIT": 80, "_SCORE": 20},
    "symmetry": {"_PAIRS": 12},
    "transfer": {},
    "transplant": {"_GAMES": 40},
}
TRANSFER = ["top1", "top1_any", "mass_own", "mass_source", "alignment", "low", "high", "floor", "ceiling"]
RESULTS = {
    "anchors": ["accuracy", "low", "high", "floor", "ceiling", "guess", "predicted", "normalised"],
    "cka": ["value", "low", "high", "null", "null_high"],
    "cosine": ["distance", "low", "high", "null"],
    "emergence": ["legal", "normalised", "normalised_low", "normalised_high", "best", "cka", "retrieval"],
    "four_languages": TRANSFER,
    "heads": ["recovery", "low", "high", "zero", "estimate", "overlap", "weight"],
    "interventions": ["errors", "low", "high", "null", "unedited"],
    "legality": ["top1", "legal_mass", "guess"],
    "lens": ["mass", "low", "high", "legal_mass", "entropy", "kl", "kl_low", "kl_high", "value"],
    "many_languages": ["accuracy", "predicted", "floor", "guess"],
    "moves": ["accuracy", "guess", "predicted", "floor", "ceiling"],
    "patching": ["recovery", "low", "high", "zero", "legal_mass", "ceiling", "mass", "donor_words"],
    "preferences": ["coefficient", "legal_before", "legal_after", "normalised"],
    "mixtures": ["first", "second", "low", "high", "first_null", "agreed", "agreed_null", "margin"],
    "realgames": ["top1", "accuracy", "floor", "ceiling"],
    "sharing": ["best", "normalised", "not_identity"],
    "similarity": ["value", "low", "high", "null_high", "transfer_own", "transfer_any"],
    "seeds": ["accuracy", "floor", "guess"],
    "structure": ["accuracy", "low", "high", "chance", "normalised"],
    "symmetry": [
        "accuracy",
        "normalised",
        "predicted",
        "floor",
        "ceiling",
        "margin",
        "margin_ceiling",
        "recovery",
        "zero",
    ],
    "transfer": TRANSFER,
    "transplant": ["mass", "low", "high", "zero", "kept", "unpatched", "donor_words"],
}
every_analysis = pytest.mark.parametrize("name", find())


def module_of(name: str) -> Any:
    return importlib.import_module(f"analyses.{name}")


def labels_of(name: str) -> dict[str, str]:
    """The regimes of an analysis, and how it calls them."""
    if name == "similarity":
        return LABELS | {regime: regime for regime in list(module_of(name)._TRANSFER.values())[:2]}
    if name == "sharing":
        return {regime: regime for regime in list(module_of(name)._MODELS.values())}
    if name in ("emergence", "preferences", "transplant"):
        return {regime: LABELS.get(regime, regime) for regime in module_of(name)._MODELS.values()}
    if name in ("many_languages", "mixtures", "seeds", "symmetry"):
        return {regime: regime for regime in module_of(name)._MODELS.values()}
    return _transfer.NAMED if name in ("four_languages", "transfer") else LABELS


def measure(name: str) -> pd.DataFrame:
    """What the analysis measures on a tiny model; patching needs one that has learned something."""
    if name in ("many_languages", "seeds"):
        return measured_matrix()
    if name in ("four_languages", "transfer"):
        return pd.concat([fine_tuned(schedule) for schedule in ("mini", "mini-rising")], ignore_index=True)
    if name in ("emergence", "sharing"):
        return step_by_step(name)
    if name == "realgames":
        return on_real_games()
    checkpoint = (
        load(REGIMES["anchors"]) if name in ("heads", "patching", "symmetry", "transplant") else tiny_checkpoint()
    )
    with pytest.MonkeyPatch.context() as patch:
        for setting, value in SETTINGS[name].items():
            patch.setattr(module_of(name), setting, value)
        patch.setattr(_maps, "FIT", 40)
        patch.setattr(_maps, "SCORE", 20)
        patch.setattr(module_of("symmetry"), "SCORE", 20)
        table: pd.DataFrame = module_of(name).measure(checkpoint)
    return table


def step_by_step(name: str) -> pd.DataFrame:
    """Two steps of a run, the second with other weights."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_steps, "FIT", 40)
        patch.setattr(_steps, "SCORE", 20)
        for setting, value in SETTINGS[name].items():
            patch.setattr(module_of(name), setting, value)
        save_checkpoint(Path(folder) / "steps" / "1000", tiny_checkpoint().untrained())
        for place in ("steps/300", "checkpoint"):
            save_checkpoint(Path(folder) / place, tiny_checkpoint())
        table: pd.DataFrame = module_of(name).measure(load(Path(folder) / "checkpoint"))
    return table


def on_real_games() -> pd.DataFrame:
    """An untrained model of the real board; half of the games of one file stand in the other as well."""
    games = random_games(60, board=8, seed=9)
    sizes = {"n_layers": 2, "d_model": 16, "n_heads": 2}
    spec = ModelSpec.read({"world": {"board": 8, "languages": ["atomic", "atomic"]}, "model": sizes}, "untrained")
    untrained = Checkpoint(build_model(spec, seed=0).eval(), spec, {"seed": 0}, "untrained")
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for setting, value in SETTINGS["realgames"].items():
            patch.setattr(module_of("realgames"), setting, value)
        write_wthor(Path(folder) / "WTH_1977.wtb", games[:40])
        write_wthor(Path(folder) / "WTH_2018.wtb", games[20:])
        table: pd.DataFrame = module_of("realgames").measure(untrained, Path(folder))
    return table


def measured_matrix() -> pd.DataFrame:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_matrix, "FIT", 40)
        patch.setattr(_matrix, "SCORE", 20)
        return _matrix.measure_matrix(tiny_checkpoint())


def fine_tuned(schedule: str) -> pd.DataFrame:
    """What the analysis reads of a short fine-tuning."""
    training = Training(games=64, corpus_games=32, batch=16, evaluate_every=32, warmup=16)
    with TemporaryDirectory() as folder:
        finetune(
            Recipe(training=training, name=schedule), tiny_checkpoint(), Path(folder), language=0, seed=0, quiet=True
        )
        table: pd.DataFrame = module_of("transfer").measure(load(Path(folder) / "checkpoint"))
    return table


measured = cache(measure)


@cache
def table_of(name: str) -> pd.DataFrame:
    """The measured table for every regime and two seeds, with random results, so that every number is told from all others."""
    rng = np.random.default_rng(0)
    parts = []
    for regime in labels_of(name):
        for seed, origin in ((0, "computed"), (3, "stored")):
            part = measured(name).assign(regime=regime, seed=seed, origin=origin)
            parts.append(part.assign(**{column: rng.uniform(0.1, 0.9, len(part)) for column in RESULTS[name]}))
    table = pd.concat(parts, ignore_index=True)
    front = ["regime", "seed", "origin"]
    return table[front + [column for column in table if column not in front]]


def traces(figure: go.Figure, name: str, *, panel: int) -> list[Any]:
    """The traces of a name in the panel of a column, bands left out."""
    axis = "x" if panel == 1 else f"x{panel}"
    return [trace for trace in figure.data if trace.name == name and trace.xaxis == axis]


def curve(figure: go.Figure, name: str, *, panel: int) -> Any:
    (found,) = traces(figure, name, panel=panel)
    return found


def equal(drawn: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(drawn, float), np.asarray(expected, float), rtol=1e-12)


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
    """Equal to the last digit, whichever regimes were measured; the headline too."""
    regimes = list(labels_of(name))[which]
    table = table_of(name)[table_of(name)["regime"].isin(regimes)]
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


def test_anchors_draws_its_table() -> None:
    """Both directions averaged, linear probes; the first seed thick, the other thin, the symmetries dashed."""
    table, figure = table_of("anchors"), module_of("anchors").figure(table_of("anchors"))
    cross = table[(table["source"] != table["target"]) & (table["kind"] == "linear")]
    by = ["regime", "seed", "weights", "symmetry", "layer"]
    means = cross.groupby(by)[RESULTS["anchors"]].mean()
    for panel, regime in enumerate(REGIMES, 1):
        main = means.xs((regime, 0, "trained", "identity"))
        drawn = curve(figure, "other language", panel=panel)
        equal(drawn.x, [-1, 0, 1])
        equal(drawn.y, main["accuracy"])
        assert (drawn.line.color, drawn.line.width) == (COLOURS[regime], 4)
        for line in ("ceiling", "floor", "guess"):
            equal(curve(figure, line, panel=panel).y, main[line])
        other = curve(figure, "other seeds", panel=panel)
        equal(other.y, means.xs((regime, 3, "trained", "identity"))["accuracy"])
        assert (other.line.color, other.line.width) == (COLOURS[regime], 1)
        equal(curve(figure, "random weights", panel=panel).y, means.xs((regime, 0, "random", "identity"))["accuracy"])
        for symmetry in set(SYMMETRIES) - {"identity"}:
            drawn = curve(figure, f"through the {symmetry.replace('_', ' ')}", panel=panel)
            equal(drawn.y, means.xs((regime, 0, "trained", symmetry))["accuracy"])
            assert (drawn.line.color, drawn.line.dash) == (COLOURS[symmetry], "dash")
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 3
    for band, regime in zip(bands, REGIMES, strict=True):
        main = means.xs((regime, 0, "trained", "identity"))
        equal(band.y, [*main["high"], *main["low"][::-1]])


def test_table_1_is_drawn_beside_the_papers() -> None:
    """Every direction and seed a dot, their mean a line; the paper's values where they belong."""
    one = table_of("anchors").assign(regime="split, 2 anchors")
    table = pd.concat([table_of("anchors"), one], ignore_index=True)
    figure = module_of("anchors").figure(table)
    mlp = table[(table["source"] != table["target"]) & (table["kind"] == "mlp") & (table["symmetry"] == "identity")]
    expected = {4: {"naive": 0, "anchors": 4}, 5: {"split, 2 anchors": 2}}
    paper = {4: [0.53, 0.82, 0.97, 0.97], 5: [0.47, 0.47, 0.73, 0.97]}
    for panel, anchors in expected.items():
        here = mlp[mlp["regime"].isin(anchors)]
        here = here.assign(anchors=here["regime"].map(anchors))
        means = here.groupby("anchors")[["accuracy", "floor", "guess", "ceiling"]].mean()
        for name, column in (("ours", "accuracy"), ("floor", "floor"), ("guess", "guess"), ("ceiling", "ceiling")):
            equal(curve(figure, name, panel=panel).x, list(anchors.values()))
            equal(curve(figure, name, panel=panel).y, means[column])
        dots = curve(figure, "each direction and seed", panel=panel)
        equal(sorted(dots.y), sorted(here["accuracy"]))
        assert dots.mode == "markers"
        drawn = curve(figure, "the paper's", panel=panel)
        equal(drawn.x, [0, 1, 2, 4])
        equal(drawn.y, paper[panel])


def test_the_headline_of_anchors() -> None:
    """At the layer that each source chose on other games, by hand for the naive model and linear probes."""
    table = table_of("anchors")
    headline = module_of("anchors").headline(table)
    assert len(headline) == 6
    row = headline[(headline["regime"] == LABELS["naive"]) & headline["probe"].str.startswith("linear")].iloc[0]
    here = (table["regime"] == "naive") & (table["kind"] == "linear") & (table["weights"] == "trained")
    rows = table[here & table["chosen"] & (table["source"] != table["target"])]
    identity = rows[rows["symmetry"] == "identity"]
    assert len(identity) == 4
    for column in ("accuracy", "floor", "ceiling"):
        assert row[column] == pytest.approx(identity[column].mean())
    seeds = [identity.loc[identity["seed"] == seed, "normalised"].mean() for seed in (0, 3)]
    assert row["normalised, each seed"] == ", ".join(f"{value:.2f}" for value in seeds)
    assert row["normalised, lowest of any direction and seed"] == identity["normalised"].min() < min(seeds)
    best = rows[rows["best"]].sort_values(["seed", "source"])
    assert len(best) == 4
    named = [name if value >= 0.2 else "none" for name, value in zip(best["symmetry"], best["normalised"], strict=True)]
    assert {"none"} < set(named)
    assert row["best symmetry, each pair and seed"] == ", ".join(dict.fromkeys(named))
    assert row["normalised under it"] == pytest.approx(best["normalised"].mean())
    assert row["paper's accuracy"] == 0.53


def test_the_best_symmetry_is_chosen_on_other_games(monkeypatch: pytest.MonkeyPatch) -> None:
    """One a layer and pair, and it stays the same when the scores are of games on which another would win."""
    table = measured("anchors")
    keys = ["weights", "kind", "layer", "source", "target"]
    assert (table.groupby(keys)["best"].sum() == 1).all()
    monkeypatch.setitem(module_of("anchors")._SEEDS, "score", 99)
    other = measure("anchors")
    assert (other["accuracy"] != table["accuracy"]).any()
    pd.testing.assert_series_equal(other["best"], table["best"])


def test_the_headline_of_a_model_that_knows_no_board() -> None:
    table = measured("anchors").assign(regime="naive", seed=0, origin="computed")
    assert table["normalised"].isna().any()
    assert len(module_of("anchors").headline(table.assign(normalised=np.nan))) == 2


def test_cka_draws_its_table() -> None:
    """The three measures in their colours: languages thick, the controls dashed and dotted."""
    table = pd.concat(
        [
            table_of("cka"),
            table_of("cka").query("comparison == 'languages' and seed == 3").assign(comparison="another seed"),
        ]
    )
    figure = module_of("cka").figure(table)
    for panel, regime in enumerate(REGIMES, 1):
        for measure in ("cka", "retrieval", "cosine"):
            here = table[(table["regime"] == regime) & (table["measure"] == measure)]
            styles = {"languages": (measure, 0, "solid"), "random weights": (f"{measure}: random weights", 0, "dash")}
            styles["another seed"] = (f"{measure}: another seed", 3, "dot")
            for comparison, (name, seed, dash) in styles.items():
                rows = here[(here["comparison"] == comparison) & (here["seed"] == seed)].sort_values("layer")
                drawn = curve(figure, name, panel=panel)
                equal(drawn.x, [-1, 0, 1])
                equal(drawn.y, rows["value"])
                assert (drawn.line.color, drawn.line.dash) == (COLOURS[measure], dash)
            bands = [trace for trace in figure.data if trace.fill and trace.legendgroup == measure]
            rows = here[(here["comparison"] == "languages") & (here["seed"] == 0)].sort_values("layer")
            equal(bands[panel - 1].y, [*rows["high"], *rows["low"][::-1]])


def test_the_headline_of_cka() -> None:
    """Mean over the layers behind the embeddings."""
    table = table_of("cka")
    headline = module_of("cka").headline(table)
    here = table[(table["regime"] == "unified") & (table["measure"] == "cosine") & (table["layer"] >= 0)]
    here = here[here["comparison"] == "languages"]
    picked = headline["regime"].eq(LABELS["unified"]) & headline["measure"].eq("cosine")
    row = headline[picked & headline["comparison"].eq("languages")].iloc[0]
    seeds = [here.loc[here["seed"] == seed, "value"].mean() for seed in (0, 3)]
    assert row["value, each seed"] == ", ".join(f"{value:.3f}" for value in seeds)
    assert row["null, 95%"] == pytest.approx(here["null_high"].mean())


def test_interventions_draws_its_table() -> None:
    """A row a kind of probe and number of discs; both languages averaged; other seeds of the other language's probe."""
    table, figure = table_of("interventions"), module_of("interventions").figure(table_of("interventions"))
    places = ["regime", "seed", "kind", "squares", "edit", "layer"]
    means = table.groupby(places)[RESULTS["interventions"]].mean()
    for row, (kind, discs) in enumerate((("linear", 1), ("linear", 3), ("mlp", 1))):
        for column, regime in enumerate(REGIMES, 1):
            panel = 3 * row + column
            own, other, random = (means.xs((regime, 0, kind, discs, edit)) for edit in ("own", "other", "random"))
            drawn = curve(figure, "own probe", panel=panel)
            equal(drawn.x, [-1, 0, 1])
            equal(drawn.y, own["errors"])
            equal(curve(figure, "no edit", panel=panel).y, own["null"])
            equal(curve(figure, "no edit, true board", panel=panel).y, own["unedited"])
            equal(curve(figure, "random direction", panel=panel).y, random["errors"])
            thick = curve(figure, "other language's probe", panel=panel)
            equal(thick.y, other["errors"])
            assert (thick.line.color, thick.line.width) == (COLOURS[regime], 4)
            equal(curve(figure, "other seeds", panel=panel).y, means.xs((regime, 3, kind, discs, "other"))["errors"])
            axis = "x" if panel == 1 else f"x{panel}"
            (band,) = [trace for trace in figure.data if trace.fill == "toself" and trace.xaxis == axis]
            equal(band.y, [*other["high"], *other["low"][::-1]])


def test_the_headline_of_interventions() -> None:
    """At the layer at which the own probe leaves the fewest errors."""
    table = table_of("interventions")
    headline = module_of("interventions").headline(table)
    assert len(headline) == 9
    picked = headline["regime"].eq(LABELS["anchors"]) & headline["probe"].eq("linear") & headline["discs turned"].eq(3)
    (row,) = headline[picked].to_dict("records")
    here = table.query("regime == 'anchors' and kind == 'linear' and squares == 3")
    own = here[here["edit"] == "own"].groupby("layer")["errors"].mean()
    assert row["layer"] == own.idxmin()
    assert row["own probe"] == pytest.approx(own.min())
    at = here[here["layer"] == row["layer"]]
    other = at[at["edit"] == "other"]
    assert row["other language's probe"] == pytest.approx(other["errors"].mean())
    assert (row["low"], row["high"]) == (other["low"].min(), other["high"].max())
    shares = []
    for seed in (0, 3):
        by_edit = at[at["seed"] == seed].groupby("edit")[["errors", "null"]].mean()
        gain = by_edit["null"] - by_edit["errors"]
        shares.append(gain["other"] / gain["own"])
    assert row["share of own, each seed"] == ", ".join(f"{value:.2f}" for value in shares)


def test_legality_draws_its_table() -> None:
    """What is NOT legal, by the move that is predicted, a colour a language; a curve without errors stays visible."""
    table = table_of("legality").copy()
    table.loc[table["move"] == 4, "top1"] = 1.0
    figure = module_of("legality").figure(table)
    for panel, regime in enumerate(REGIMES, 1):
        for language, letter in ((0, "A"), (1, "B")):
            rows = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["language"] == language)]
            drawn = curve(figure, f"language {letter}", panel=panel)
            equal(drawn.x, rows["move"] + 1)
            equal(drawn.y, np.where(rows["move"] == 4, 1e-4, 1 - rows["top1"]))
            mass = curve(figure, f"language {letter}: probability", panel=panel)
            equal(mass.y, 1 - rows["legal_mass"])
            assert drawn.line.color == mass.line.color == LANGUAGES[language]
            assert (drawn.line.dash, mass.line.dash) == ("solid", "dash")
        equal(curve(figure, "guess", panel=panel).y, 1 - rows["guess"])
        assert figure.get_subplot(1, panel).yaxis.type == "log"


def test_the_headline_of_legality() -> None:
    """Over all prefixes: later moves weigh as many prefixes as there are."""
    table = table_of("legality").copy()
    table["prefixes"] *= 5 - table["language"] - table["seed"]
    row = module_of("legality").headline(table).query("seed == 3 and language == 1").iloc[0]
    here = table[(table["regime"] == "naive") & (table["seed"] == 3) & (table["language"] == 1)]
    assert here["prefixes"].min() < here["prefixes"].max()
    assert row["regime"] == LABELS["naive"]
    for column in ("top1", "legal_mass", "guess"):
        assert row[column] == pytest.approx(np.average(here[column], weights=here["prefixes"]))
    assert row["prefixes"] == here["prefixes"].sum()


def test_moves_draws_its_table() -> None:
    table, figure = table_of("moves"), module_of("moves").figure(table_of("moves"))
    for panel, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        for symmetry in SYMMETRIES:
            rows = here[here["symmetry"] == symmetry].sort_values("move")
            drawn = curve(figure, symmetry.replace("_", " "), panel=panel)
            equal(drawn.x, rows["move"])
            equal(drawn.y, rows["accuracy"])
            assert drawn.line.color == COLOURS[symmetry]
        identity = here[here["symmetry"] == "identity"].sort_values("move")
        for line in ("ceiling", "floor", "guess"):
            equal(curve(figure, line, panel=panel).y, identity[line])
        assert figure.layout.annotations[panel - 1].text == f"{LABELS[regime]}, layer {here['layer'].iloc[0]}"


def test_the_headline_of_moves() -> None:
    """The later half of the moves."""
    table = table_of("moves")
    late = table[(table["move"] > table["move"].max() / 2) & (table["regime"] == "anchors")]
    row = module_of("moves").headline(table).set_index("regime").loc[LABELS["anchors"]]
    for symmetry in SYMMETRIES:
        assert row[symmetry] == pytest.approx(late.loc[late["symmetry"] == symmetry, "accuracy"].mean())


def test_patching_draws_its_table() -> None:
    """Three grids on one scale, then curves by the donor's state; both directions averaged."""
    table, figure = table_of("patching"), module_of("patching").figure(table_of("patching"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        pairs = here[here["part"] == "pairs"]
        own, cross = pairs[pairs["base"] == pairs["donor"]], pairs[pairs["base"] != pairs["donor"]]
        for row, (rows, value) in enumerate(((own, "recovery"), (cross, "recovery"), (cross, "zero"))):
            drawn = heatmap(figure, 3 * row + column)
            expected = rows.groupby(["offset", "layer"])[value].mean()
            assert (list(drawn.x), list(drawn.y)) == ([-1, 0, 1, 2], [-1, 0, 1, 2])
            for offset in range(4):
                equal(drawn.z[offset], expected.loc[offset - 1])
            assert (drawn.zmin, drawn.zmax, drawn.zmid) == (-1, 1, 0)
        for row, (part, mass) in enumerate((("interchange", "legal_mass"), ("transplant", "mass")), 3):
            asked, panel = here[here["part"] == part], 3 * row + column
            for state in ("as it is", "shifted", "turned", "turned, re-paired"):
                means = asked[asked["state"] == state].groupby("layer")[mass].mean()
                equal(curve(figure, f"other language, {state}", panel=panel).y, means)
            plain = asked[asked["state"] == "as it is"].groupby("layer")
            equal(curve(figure, "another game's state", panel=panel).y, plain["zero"].mean())
            ceiling = (
                plain["ceiling"] if part == "interchange" else asked[asked["state"] == "own"].groupby("layer")["mass"]
            )
            equal(curve(figure, "own state", panel=panel).y, ceiling.mean())
        equal(curve(figure, "as it is, in the donor's words", panel=12 + column).y, plain["donor_words"].mean())
    assert list(figure.layout.xaxis13.ticktext) == ["emb", "0", "1", "2", "3"]


def test_the_headline_of_patching() -> None:
    """Pairs at the last shared move: the share of the way from the zero to the ceiling; and the masses of all layers."""
    table = table_of("patching")
    headline = module_of("patching").headline(table)
    assert set(headline["layer"]) == {0, 1, 2, 3}
    row = headline.query("layer == 1 and seed == 3").set_index("regime").loc[LABELS["unified"]]
    at = table[(table["regime"] == "unified") & (table["seed"] == 3) & (table["layer"] == 1)]
    here = at[(at["part"] == "pairs") & (at["offset"] == 2)]
    own, cross = here[here["base"] == here["donor"]], here[here["base"] != here["donor"]]
    assert (len(own), len(cross)) == (2, 2)
    zero = cross["zero"].mean()
    assert row["recovery"] == pytest.approx(cross["recovery"].mean())
    assert row["another game"] == pytest.approx(zero)
    assert row["share"] == pytest.approx((cross["recovery"].mean() - zero) / (own["recovery"].mean() - zero))
    assert (row["low"], row["high"]) == (cross["low"].min(), cross["high"].max())
    same, other = (at[(at["part"] == part) & (at["state"] == "turned")] for part in ("interchange", "transplant"))
    assert row["interchange: turned"] == pytest.approx(same["legal_mass"].mean())
    assert row["transplant: turned"] == pytest.approx(other["mass"].mean())
    assert row["transplant: own"] == pytest.approx(at[at["state"] == "own"]["mass"].mean())


def test_heads_draws_its_table() -> None:
    """Heads at the last shared move, the estimate against every cell, the overlap, and one head's pattern twice."""
    table, figure = table_of("heads"), module_of("heads").figure(table_of("heads"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        pairs = here[here["part"] == "pairs"]
        across = pairs["base"] != pairs["donor"]
        ends = pairs[(pairs["place"] == "z") & (pairs["offset"] == 2)]
        own = ends["base"] == ends["donor"]
        for row, (rows, value) in enumerate(((ends[own], "recovery"), (ends[~own], "recovery"), (ends[~own], "zero"))):
            expected = rows.groupby(["layer", "head"])[value].mean().unstack()
            equal(heatmap(figure, 3 * row + column).z, expected)
        drawn = curve(figure, "MLP", panel=9 + column)
        rows = pairs[across & (pairs["place"] == "mlp_out")].sort_values("recovery")
        equal(drawn.x, rows["recovery"])
        equal(drawn.y, rows["estimate"])
        overlap = here[here["part"] == "overlap"]
        equal(curve(figure, "same game", panel=12 + column).y, overlap["overlap"])
        equal(curve(figure, "another game", panel=12 + column).y, overlap["zero"])
        pattern = here[here["part"] == "pattern"]
        for row, language in enumerate(pattern["language"].unique(), 5):
            cells = pattern[pattern["language"] == language].pivot(index="move", columns="other_move", values="weight")
            equal(heatmap(figure, 3 * row + column).z, cells)


def test_the_headline_of_heads() -> None:
    """The head that carries most in its own language; the correlations between languages."""
    table = table_of("heads")
    row = module_of("heads").headline(table).query("seed == 0").set_index("regime").loc[LABELS["naive"]]
    here = table[(table["regime"] == "naive") & (table["seed"] == 0)]
    pairs = here[here["part"] == "pairs"]
    ends = pairs[(pairs["place"] == "z") & (pairs["offset"] == 2)].assign(
        name=lambda t: t["layer"].map("L{:.0f}H".format)
    )
    ends["name"] += ends["head"].map("{:.0f}".format)
    own = ends[ends["base"] == ends["donor"]].groupby("name")["recovery"].mean()
    cross = ends[ends["base"] != ends["donor"]].groupby("name")["recovery"].mean()
    assert (row["head"], row["own language"]) == (own.idxmax(), pytest.approx(own.max()))
    assert row["other language"] == pytest.approx(cross[str(own.idxmax())])
    mlps = pairs[(pairs["place"] == "mlp_out") & (pairs["base"] != pairs["donor"])]
    assert row["r, MLP"] == pytest.approx(mlps["recovery"].corr(mlps["estimate"]))
    assert row["attention shared"] == pytest.approx(here["overlap"][here["part"] == "overlap"].mean())


def test_lens_draws_its_table() -> None:
    """Masses summed over answers, languages averaged; components in their order."""
    table, figure = table_of("lens"), module_of("lens").figure(table_of("lens"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        for kind, called in (("identity", "logit lens"), ("affine", "tuned lens")):
            lens = here[(here["part"] == "lens") & (here["kind"] == kind)]
            own = lens[lens["speaks"].astype(bool)].groupby("layer")
            equal(curve(figure, f"its own language, {called}", panel=column).y, own["mass"].mean())
            anchors = lens[lens["answer"] == -1].groupby("layer")["mass"].mean()
            equal(curve(figure, f"anchors, {called}", panel=column).y, anchors)
            legal = lens.groupby(["language", "layer"])["legal_mass"].sum().groupby("layer").mean()
            equal(curve(figure, f"legal in any words, {called}", panel=3 + column).y, legal)
            equal(curve(figure, f"KL from the answer, {called}", panel=6 + column).y, own["kl"].mean())
            equal(curve(figure, f"entropy, {called}", panel=6 + column).y, own["entropy"].mean())
        for row, contrast in ((3, "move"), (4, "language")):
            direct = here[(here["part"] == "direct") & (here["contrast"] == contrast)]
            for part, label in (("head", "heads"), ("mlp", "MLPs")):
                means = direct[direct["part_of"] == part].groupby("place")["value"].mean()
                drawn = curve(figure, label, panel=3 * row + column)
                equal(drawn.x, means.index)
                equal(drawn.y, means)
    row = module_of("lens").headline(table).query("seed == 3 and layer == '0' and lens == 'bias'").set_index("regime")
    here = table.query("regime == 'unified' and seed == 3 and layer == 0")
    lens = here[here["kind"] == "bias"]
    assert row.loc[LABELS["unified"], "own language"] == pytest.approx(lens[lens["speaks"] == True]["mass"].mean())  # noqa: E712
    wrote = here[(here["part"] == "direct") & (here["contrast"] == "move")].groupby("component")["value"].mean().sum()
    assert row.loc[LABELS["unified"], "to moves, this block"] == pytest.approx(wrote)


def test_transplant_draws_its_table() -> None:
    """The image that the probes named is thick, if it is raised."""
    table = table_of("transplant").assign(named="diagonal")
    table["normalised"] = np.where(table["regime"] == "naive", 0.1, 0.5)
    figure = module_of("transplant").figure(table)
    for panel, regime in enumerate(labels_of("transplant"), 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        across = here[here["base"] != here["donor"]].sort_values("layer")
        assert panel == ["4 naive languages, longer", "5 naive languages", "anchors", "naive"].index(regime) + 1
        equal(
            curve(figure, "own language", panel=panel).y,
            here[here["base"] == here["donor"]].sort_values("layer")["mass"],
        )
        for name in SYMMETRIES:
            drawn = curve(figure, name.replace("_", " "), panel=panel)
            equal(drawn.y, across[across["symmetry"] == name]["mass"])
            assert (drawn.line.width == 5) == (name == "diagonal" and regime != "naive")
            assert drawn.line.color == COLOURS[name]
        equal(curve(figure, "a third game's moves", panel=panel).y, across[across["symmetry"] == "identity"]["zero"])
    row = module_of("transplant").headline(table).query("seed == 3").set_index("regime").loc["5 naive languages"]
    at = table.query("regime == '5 naive languages' and seed == 3 and layer == 0 and base != donor").set_index(
        "symmetry"
    )
    assert (row["the probes name"], row["mass"]) == ("diagonal", at.loc["diagonal", "mass"])
    assert row["highest of the others"] == at.drop("diagonal")["mass"].max()
    assert row["most legal"] == str(at["mass"].idxmax()).replace("_", " ")


def test_preferences_draw_their_table() -> None:
    """Every pair once at the image named best, coloured, once at the second, twice at the last; means over draws with
    Student's interval; who comes first is counted among pairs that have a map."""
    table = table_of("preferences").assign(first="diagonal", second="half_turn", normalised=0.5)
    table["raised"] = table["regime"] != "naive"
    figure = module_of("preferences").figure(table)
    for panel, regime in enumerate(labels_of("preferences"), 1):
        here = table[(table["regime"] == regime) & (table["source"] != table["target"])]
        draws = here.groupby(["seed", "source", "target", "symmetry"])["coefficient"]
        means, spread = draws.mean(), draws.std()
        best = curve(figure, "named best: diagonal", panel=panel)
        equal(best.y, means.xs("diagonal", level="symmetry"))
        half = 12.7062 * spread.xs("diagonal", level="symmetry") / np.sqrt(2)  # Student's t of one degree
        np.testing.assert_allclose(best.error_y.array, half, rtol=1e-4)
        assert best.marker.color == COLOURS["diagonal"]
        equal(curve(figure, "named second", panel=panel).y, means.xs("half_turn", level="symmetry"))
        equal(
            sorted(curve(figure, "named last", panel=panel).y),
            sorted(means.drop(["diagonal", "half_turn"], level="symmetry")),
        )
    rows = module_of("preferences").headline(table).query("seed == 3").set_index("regime")
    here = table.query("regime == 'anchors' and seed == 3 and source != target")
    wide = here.pivot_table("coefficient", ["source", "target"], "symmetry", aggfunc="mean")
    first, second = ((wide.idxmax(axis=1) == name).sum() for name in ("diagonal", "half_turn"))
    row, of = rows.loc[LABELS["anchors"]], len(wide)
    assert (row["directions with a map"], row["best first"]) == (f"{of} of {of}", f"{first} of {of}")
    assert row["second first"] == second
    assert row["carried over, best"] == pytest.approx(wide["diagonal"].mean())
    assert row["second"] == pytest.approx(wide["half_turn"].mean())
    assert row["last"] == pytest.approx(wide[["identity", "antidiagonal"]].to_numpy().mean())
    assert rows.loc[LABELS["naive"], "directions with a map"] == f"0 of {of}"


@pytest.mark.parametrize(
    ("name", "source", "target", "named"),
    [("transplant", "base", "donor", "named"), ("preferences", "source", "target", "first")],
)
def test_the_maps_are_those_of_symmetry(name: str, source: str, target: str, named: str) -> None:
    """Stored rows: the image named for a pair is the one that the analysis `symmetry` found, at the same layer."""
    there = pd.read_csv(_models.TABLES / "symmetry.csv")
    there = there.query("part == 'pairs' and layer == 0 and candidates == 4 and weights == 'trained'")
    found = {(model, seed, source, target): symmetry for model, seed, source, target, symmetry in
             there[["model", "seed", "source", "target", "symmetry"]].itertuples(index=False)}  # fmt: skip
    pairs = pd.read_csv(_models.TABLES / f"{name}.csv").drop_duplicates(["model", "seed", source, target])
    pairs = pairs[pairs[source] != pairs[target]]
    compared = 0
    for row in pairs.to_dict("records"):
        pair = (row["model"], row["seed"], row[source], row[target])
        if pair in found:  # not every model of the one is a model of the other
            assert found[pair] == row[named], pair
            compared += 1
    assert compared >= 8


def test_transfer_draws_its_table() -> None:
    """The lowest seed, the usual schedule full and the paper's faint; upper panel accuracy, lower panel answers."""
    table = table_of("transfer")
    figure = module_of("transfer").figure(table)
    for column, regime in enumerate(REGIMES, 1):
        for schedule, opacity in (("mini", 1.0), ("mini-rising", 0.35)):
            here = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["schedule"] == schedule)]
            target, source = (here[here["role"] == role].sort_values("epoch") for role in ("target", "source"))
            for axis, name, rows, y in (
                (column, "source, legal", source, "top1"),
                (column, "target, legal", target, "top1"),
                (column, "alignment", target, "alignment"),
                (column, "floor of alignment", target, "floor"),
                (column + 3, "target, legal in any words", target, "top1_any"),
                (column + 3, "target, legal", target, "top1"),
                (column + 3, "mass on its own words", target, "mass_own"),
                (column + 3, "mass on the source's words", target, "mass_source"),
            ):
                (drawn,) = (trace for trace in traces(figure, name, panel=axis) if trace.opacity == opacity)
                equal(drawn.x, rows["epoch"])
                equal(drawn.y, rows[y])


def test_transfer_of_a_model_that_was_not_fine_tuned() -> None:
    with pytest.raises(ValueError, match=r"no .*transfer\.csv; give the folder of a run of `python -m train finetune`"):
        module_of("transfer").measure(load(REGIMES["naive"]))


def test_the_headline_of_transfer() -> None:
    table = table_of("transfer")
    headline = module_of("transfer").headline(table)
    assert len(headline) == 3 * 2 * 2
    picked = headline["regime"].eq("8 anchor tokens") & headline["schedule"].eq("mini") & headline["seed"].eq(3)
    (row,) = headline[picked].to_dict("records")
    here = table[(table["regime"] == "anchors") & (table["seed"] == 3) & (table["schedule"] == "mini")]
    first, last = (here[here["games"] == games].set_index("role") for games in (0, 64))
    assert row["target, start"] == first.loc["target", "top1"]
    assert row["source, end"] == last.loc["source", "top1"]
    assert row["any words, end"] == last.loc["target", "top1_any"]
    assert row["alignment, end"] == last.loc["target", "alignment"]
    assert row["target, peak"] == here.loc[here["role"] == "target", "top1"].max()
    assert (row["paper: target, start"], row["paper: alignment, end"]) == (0.90, 0.94)


def heatmap(figure: go.Figure, panel: int) -> Any:
    """The one heat map of a panel, in reading order."""
    axis = "x" if panel == 1 else f"x{panel}"
    (found,) = [trace for trace in figure.data if trace.type == "heatmap" and trace.xaxis == axis]
    return found


def pairs_of(n: int, seed: int) -> pd.DataFrame:
    """A table of random accuracies of all pairs of n languages under the four symmetries."""
    rng = np.random.default_rng(seed)
    keys = [(a, b, g) for a in range(n) for b in range(n) for g in SYMMETRIES]
    table = pd.DataFrame(keys, columns=["source", "target", "symmetry"])
    columns = ["accuracy", "predicted", "floor", "guess", "ceiling"]
    return table.assign(**{name: rng.uniform(0.4, 0.9, len(table)) for name in columns}, seed=seed, origin="stored")


def test_seeds_draws_its_table() -> None:
    """Against the board, and against the best of its four images."""
    table = pd.concat([pairs_of(3, seed).assign(regime="5 naive languages") for seed in (0, 4)], ignore_index=True)
    figure = module_of("seeds").figure(table)
    for column, seed in enumerate((0, 4), 1):
        here = table[table["seed"] == seed]
        plain = here[here["symmetry"] == "identity"].pivot(index="source", columns="target", values="accuracy")
        equal(heatmap(figure, column).z, plain)
        equal(heatmap(figure, column + 2).z, here.groupby(["source", "target"])["accuracy"].max().unstack())
    row = module_of("seeds").headline(table).iloc[1]
    across = table[(table["seed"] == 4) & (table["symmetry"] == "identity") & (table["source"] != table["target"])]
    assert row["other language"] == f"{across['accuracy'].min():.2f} to {across['accuracy'].max():.2f}"


def many() -> pd.DataFrame:
    """Five languages in two clusters, related by the half turn: 0, 2 and 4 against 1 and 3."""
    table = pairs_of(5, 1).assign(regime="20 naive languages")
    best = np.where((table["source"] + table["target"]) % 2 == 0, "identity", "half_turn")
    return table.assign(accuracy=np.where(table["symmetry"] == best, 0.95, table["accuracy"]))


def test_many_languages_are_shown_in_clusters() -> None:
    table = many()
    figure = module_of("many_languages").figure(table)
    order = [0, 2, 4, 1, 3]
    assert list(figure.layout.xaxis.ticktext) == [str(language) for language in order]
    plain = table[table["symmetry"] == "identity"].pivot(index="source", columns="target", values="accuracy")
    equal(heatmap(figure, 1).z, plain.loc[order, order])
    equal(heatmap(figure, 2).z, np.full((5, 5), 0.95))


def test_the_headline_of_many_languages() -> None:
    """By the map that relates a pair: seen against the board, and what the map predicts at home."""
    table = many()
    rows = module_of("many_languages").headline(table).set_index("related by")
    assert set(rows.index) == {"identity", "half turn"}
    assert set(rows["clusters"]) == {"3, 2"}
    across = table[(table["source"] + table["target"]) % 2 == 1]
    turned = rows.loc["half turn"]
    assert turned["pairs"] == 12
    assert turned["against the board"] == pytest.approx(across.query("symmetry == 'identity'")["accuracy"].mean())
    assert turned["expected"] == pytest.approx(across.query("symmetry == 'half_turn'")["predicted"].mean())
    assert (turned["through the map"], turned["paper"]) == (pytest.approx(0.95), 0.53)


def test_cosine_draws_its_table() -> None:
    table = table_of("cosine")
    figure = module_of("cosine").figure(table)
    here = table[(table["part"] == "game") & (table["seed"] == 0) & (table["regime"] == "anchors")]
    for row, kind in ((2, "as it is"), (3, "less the mean")):
        for column, layer in enumerate((-1, 0, 1), 1):
            cells = here[(here["kind"] == kind) & (here["layer"] == layer)]
            drawn = heatmap(figure, 3 * row + column)
            equal(drawn.z, cells.pivot(index="move", columns="other_move", values="distance"))
            assert (drawn.zmin, drawn.zmax) == (0, 1.2)


def test_cosine_distances_by_hand() -> None:
    """The first full game of the seed, row against row."""
    checkpoint, table = tiny_checkpoint(), measured("cosine")
    games = random_games(80, board=4, seed=81)
    games = games[games.lengths == 12][:40]
    rows = collect(checkpoint, games, layers=[1])
    one, other = (rows.at(language, 1).numpy().reshape(40, 11, -1) for language in (0, 1))
    expected = 1 - one[0, 3] @ other[0, 7] / np.linalg.norm(one[0, 3]) / np.linalg.norm(other[0, 7])
    place = "part == 'game' and layer == 1 and move == 3 and other_move == 7"
    (row,) = table.query(f"{place} and kind == 'as it is'").to_dict("records")
    assert row["distance"] == pytest.approx(expected, abs=1e-5)
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    expected = 1 - one[0, 3] @ other[0, 7] / np.linalg.norm(one[0, 3]) / np.linalg.norm(other[0, 7])
    (row,) = table.query(f"{place} and kind == 'less the mean'").to_dict("records")
    assert row["distance"] == pytest.approx(expected, abs=1e-5)
    means = table.query("part == 'games' and layer == 1 and kind == 'as it is'").iloc[0]
    assert means["low"] <= means["distance"] <= means["high"]


def test_structure_draws_its_table() -> None:
    """Both directions averaged, a curve a change; the language probe above."""
    table, figure = table_of("structure"), module_of("structure").figure(table_of("structure"))
    for column, regime in enumerate(REGIMES, 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0)]
        identity = here[here["part"] == "identity"].sort_values("layer")
        equal(curve(figure, "language probe", panel=column).y, identity["accuracy"])
        equal(curve(figure, "chance", panel=column).y, identity["chance"])
        aligned = here[here["part"] == "alignment"]
        assert aligned["change"].nunique() == 6
        for change, rows in aligned.groupby("change"):
            equal(curve(figure, str(change), panel=column + 3).y, rows.groupby("layer")["normalised"].mean())
    row = module_of("structure").headline(table).set_index("regime").loc[LABELS["naive"]]
    inner = table[(table["regime"] == "naive") & (table["seed"] == 0) & (table["layer"] >= 0)]
    assert row["turned"] == pytest.approx(inner[inner["change"] == "turned"]["normalised"].mean())


def test_similarity_knows_what_fine_tuning_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's end beside the model that fine-tuning started from; nothing beside the others."""
    stored = table_of("similarity").drop(columns=["transfer_own", "transfer_any"])
    keys = ["regime", "role", "epoch", "top1", "top1_any"]
    name = "mini/transfer-atomic-naive-mini-language0"
    rows = [(name, "target", 0.0, 0.1, 0.2), (name, "target", 4.0, 0.3, 0.4), (name, "source", 4.0, 0.5, 0.6)]
    ends = pd.DataFrame(rows, columns=keys)
    monkeypatch.setattr(
        module_of("similarity"),
        "over_models",
        lambda analysis, *rest, **settings: ends if analysis == "transfer" else stored.copy(),
    )
    table = module_of("similarity").compute()
    known = table["regime"] == "atomic, naive (no anchors)"
    assert known.any()
    assert set(table[known]["transfer_own"]) == {0.3}
    assert set(table[known]["transfer_any"]) == {0.4}
    assert table[~known]["transfer_own"].isna().all()


def test_similarity_draws_its_table() -> None:
    """A row a measure, alignment first; in brackets what does not reach above its null."""
    table = table_of("similarity")
    figure = module_of("similarity").figure(table)
    order = ["alignment", *SAME_COORDINATES, *(name for name in MEASURES if name not in SAME_COORDINATES)]
    for panel, (regime, weights) in enumerate([*((name, "trained") for name in REGIMES), ("naive", "random")], 1):
        here = table[(table["regime"] == regime) & (table["seed"] == 0) & (table["weights"] == weights)]
        wide = here.pivot(index="measure", columns="layer", values="value")
        drawn = heatmap(figure, panel)
        equal(drawn.z, wide.loc[order])
        one = here[(here["measure"] == "cka") & (here["layer"] == 0)].iloc[0]
        label = f"{one['value']:.2f}" if one["value"] > one["null_high"] else f"({one['value']:.2f})"
        assert drawn.text[order.index("cka")][list(drawn.x).index(0)] == label
    row = module_of("similarity").headline(table).set_index("measure").loc["cka"]
    rows = table[(table["measure"] == "cka") & (table["layer"] == 0) & (table["weights"] == "trained")]
    assert row["models"] == len(rows)
    assert row["in any words"] == pytest.approx(rows["value"].corr(rows["transfer_any"], method="spearman"))


def test_mixtures_are_shown_from_the_middle_outwards() -> None:
    """Boards, rows from the top: the pairs between two maps above, the clearest below."""
    squares = [f"{letter}{number}" for number in (1, 2) for letter in "ab"]
    rows = []
    for target, margin in ((1, 0.4), (2, 0.0), (3, 0.2)):
        for place, square in enumerate(squares):
            low, high = (-0.1, 0.1) if place == 1 else (0.1, 0.3) if place < 3 else (-0.3, -0.1)
            row = {"square": square, "fixed": place == 0, "cells": 9, "first": 0.5 + place / 10, "second": 0.4}
            row |= {"low": low, "high": high, "first_null": 0.3, "agreed": 0.8, "agreed_null": 0.5, "margin": margin}
            rows.append({**row, "source": 0, "target": target, "best": "identity", "runner_up": "half_turn"})
    table = pd.DataFrame(rows).assign(regime="5 naive languages", seed=0)
    figure = module_of("mixtures").figure(table)
    titles = [note.text for note in figure.layout.annotations]
    assert [title.split(":")[1] for title in titles] == [
        " 0 to 2<br>identity, half turn",
        " 0 to 1<br>identity, half turn",
    ]
    equal(heatmap(figure, 1).z, [[0.1, 0.2], [0.3, 0.4]])
    assert [list(row) for row in heatmap(figure, 1).text] == [["x", "·"], ["", ""]]
    headline = module_of("mixtures").headline(table)
    assert headline["margin"].tolist() == [0.0, 0.2, 0.4]
    assert headline[["best squares", "runner-up squares", "of"]].iloc[0].tolist() == [2, 1, 4]


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
    equal(headline[["alignment", "least", "most", "identity", "games"]], [0.3, 0.2, 0.4, 0.125, 125])
    equal(headline[["best, end", "legal, end"]], [0.6, 0.92])
    drawing = module_of("sharing").figure(table)
    dots = [trace for trace in drawing.data if trace.mode == "markers" and trace.x is not None and len(trace.x)]
    equal(dots[0].y, [0.4, 0.2, np.nan])
    equal(dots[-1].x, [0.4, 0.2, np.nan])


def maps_of(own: Sequence[str]) -> pd.DataFrame:
    """All pairs of languages each of which sees the board through a symmetry of its own."""
    g = [SYMMETRIES[name] for name in own]
    rows = [(a, b, (g[a].inverse @ g[b]).name) for a in range(len(own)) for b in range(len(own))]
    table = pd.DataFrame(rows, columns=["source", "target", "symmetry"])
    facts: dict[str, Any] = {
        "normalised": 0.5,
        "margin": 0.3,
        "margin_low": 0.2,
        "margin_ceiling": 0.6,
        "accuracy": 0.7,
    }
    facts |= {"floor": 0.5, "ceiling": 0.9, "layer": 0, "part": "pairs", "weights": "trained", "candidates": 4}
    return table.assign(**facts, regime="5 naive languages", seed=0, origin="stored")


def symmetric(pairs: pd.DataFrame) -> pd.DataFrame:
    """With the parts that the figure and the headline need beside the pairs."""
    moves = [{"part": "moves", "symmetry": name, "move": move} for name in SYMMETRIES for move in range(3)]
    values: dict[str, Any] = {"accuracy": 0.6, "predicted": 0.7, "floor": 0.4, "regime": "5 naive languages", "seed": 0}
    eight = pairs.assign(candidates=8, symmetry=pairs["symmetry"].replace({"half_turn": "quarter_turn"}))
    effect: dict[str, Any] = {"part": "patching", "layer": 0, "target": 0, "regime": "5 naive languages", "seed": 0}
    effects = [
        {**effect, "source": source, "best": best, "recovery": value, "zero": 0.1}
        for source, best, value in ((0, True, 0.8), (1, True, 0.6), (1, False, 0.2), (2, False, 0.3))
    ]
    return pd.concat([pairs, eight, pd.DataFrame(moves).assign(**values), pd.DataFrame(effects)], ignore_index=True)


OWN = ("identity", "diagonal", "half_turn", "diagonal")


def test_symmetry_draws_maps_in_clusters() -> None:
    """Languages of one map side by side; a pair that is not raised in both directions is grey."""
    pairs = maps_of(OWN)
    weak = (pairs["source"] == 2) & (pairs["target"] == 0)
    figure = module_of("symmetry").figure(symmetric(pairs.assign(normalised=np.where(weak, 0.1, 0.5))))
    drawn = heatmap(figure, 1)
    assert list(drawn.x) == list(drawn.y) == ["1", "3", "0", "2"]
    assert [list(row) for row in drawn.customdata] == [
        ["identity", "identity", "diagonal", "antidiagonal"],
        ["identity", "identity", "diagonal", "antidiagonal"],
        ["diagonal", "diagonal", "identity", "none"],
        ["antidiagonal", "antidiagonal", "none", "identity"],
    ]
    assert [list(row) for row in drawn.z] == [[0, 0, 1, 2], [0, 0, 1, 2], [1, 1, 0, 4], [2, 2, 4, 0]]


def test_the_headline_of_symmetry() -> None:
    row = module_of("symmetry").headline(symmetric(maps_of(OWN))).iloc[0]
    assert row["raised pairs"] == "6 of 6"
    assert row["maps"] == "1 identity, 2 diagonal, 2 antidiagonal, 1 half turn"
    assert row["triples that compose"] == "4 of 4"
    assert row["chance that all do"] == 4.0**-3
    assert row["p, random maps"] == pytest.approx(1 / 64, abs=0.006)
    assert row["won by a control"] == "2 of 12"
    effects = row[["recovery, best map", "other maps", "another game", "own language"]]
    assert effects.tolist() == [0.6, 0.25, pytest.approx(0.1), 0.8]
    broken = maps_of(OWN)
    swapped = (broken["source"] == 0) & (broken["target"] == 2)
    broken.loc[swapped, "symmetry"] = "identity"
    row = module_of("symmetry").headline(symmetric(broken)).iloc[0]
    assert (row["raised pairs"], row["triples that compose"]) == ("5 of 6", "2 of 4")


def test_colours_and_labels_cover_the_regimes() -> None:
    assert set(REGIMES) == set(LABELS) <= set(COLOURS)
    for name in REGIMES.values():
        assert (Path(_models.BUNDLE) / name).is_dir()


def test_real_games_meet_no_copy_of_themselves() -> None:
    """Sixty different games in two files that share twenty."""
    games = random_games(60, board=8, seed=9)
    with TemporaryDirectory() as folder:
        write_wthor(Path(folder) / "b.WTB", games[20:])
        write_wthor(Path(folder) / "a.wtb", games[:40])
        (Path(folder) / "WTHOR.JOU").write_bytes(b"")
        assert module_of("realgames")._real_games(Path(folder)) == games


def test_curves_of_real_games() -> None:
    """Illegal share; home, abroad and floor of a probe of random games; the way up with either probe."""
    table = table_of("realgames").query("regime == 'anchors' and seed == 0")
    drawing = module_of("realgames").figure(table)
    for play in ("championship", "random"):
        kind = table[table["play"] == play]
        legality = kind[kind["fitted"].isna()].groupby("move")["top1"].mean()
        (drawn,) = traces(drawing, play, panel=1)
        equal(drawn.y, 1 - legality)
        abroad = kind[kind["fitted"].notna() & (kind["source"] != kind["target"])].groupby(["fitted", "move"])
        means = abroad[["ceiling", "accuracy", "floor"]].mean()
        for drawn, column in zip(traces(drawing, play, panel=2), means, strict=True):
            equal(drawn.y, means[column].xs("random"))
        for fitted in ("random", "championship"):
            here = means.xs(fitted)
            room = here["ceiling"] - here["floor"]
            expected = ((here["accuracy"] - here["floor"]) / room).where(room >= 0.1)
            equal(curve(drawing, f"{play}, fitted on {fitted}", panel=3).y, expected)

"""Tables over models: what is measured again and what not, and which rows are stored."""

import hashlib
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from analyses import _models, _record, _sources
from analyses.__main__ import app
from analyses._models import LABELS, REGIMES
from mothello_interp.models import Checkpoint, CheckpointError, build_model, load, save_checkpoint
from mothello_interp.models.checkpoint import PROVENANCE, SPEC, WEIGHTS
from mothello_interp.plots import COLOURS
from tests.conftest import tiny_spec


def test_colours_and_labels_cover_the_regimes() -> None:
    assert set(REGIMES) == set(LABELS) <= set(COLOURS)
    for name in REGIMES.values():
        assert (Path(_models.BUNDLE) / name).is_dir()


WORLD_OF = {"naive": "split", "anchors": "atomic", "unified": "unified"}


class House:
    """A library, two analyses and three checkpoints in a folder of their own, and a measure that counts its calls."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch):
        self.folder = folder
        self.calls: list[str] = []
        for name in ("fake", "other"):
            self.write(f"analyses/{name}.py", f"name = {name!r}")
        for regime, world in WORLD_OF.items():
            self.save(regime, world, seed=0)
        self.models = {f"tiny/{regime}": regime for regime in WORLD_OF}
        patch.setattr(_sources, "HERE", folder / "analyses")
        for module in (_models, _record):
            patch.setattr(module, "BUNDLE", folder / "models")
        patch.setattr("mothello_interp.models.zoo.BUNDLE", folder / "models")
        patch.setattr(_models, "CACHE", folder / "figures" / ".cache")
        patch.setattr(_models, "TABLES", folder / "tables")

    def write(self, file: str, text: str) -> None:
        (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / file).write_text(text, encoding="utf-8")

    def model(self, regime: str) -> Path:
        return self.folder / "models" / "tiny" / regime

    def save(self, regime: str, world: str, *, seed: int, weights: int = 0, **provenance: Any) -> Path:
        model = build_model(tiny_spec(world), seed=weights)
        preset = next(f"tiny/{regime}" for regime, name in WORLD_OF.items() if name == world)
        checkpoint = Checkpoint(model, tiny_spec(world), {"seed": seed, "preset": preset, **provenance})
        return save_checkpoint(self.model(regime), checkpoint, overwrite=True)

    def measure(self, checkpoint: Checkpoint, wthor: Path | None = None) -> pd.DataFrame:
        """Numbers of a model that no rounding spares, and one that is missing."""
        self.calls.append(checkpoint.provenance["preset"].removeprefix("tiny/"))
        weights = checkpoint.model.W_E.detach().double().numpy()
        values = [float(weights.sum() / 3), float(weights.std() * 1e-9), np.nan]
        return pd.DataFrame(
            {"layer": [-1, 0, 1], "value": values, "hook": ["a", "b", "c"], "chosen": [True, False, True]}
        )

    def over_models(self, name: str = "fake", **settings: Any) -> pd.DataFrame:
        """What is found, and in `calls` what was measured for it."""
        self.calls.clear()
        return _models.over_models(name, self.measure, **{"models": self.models, **settings})


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


def test_a_table_over_models(house: House) -> None:
    """Each model's own rows, below each other, with where they come from in front."""
    table = house.over_models()
    assert house.calls == ["naive", "anchors", "unified"]
    assert list(table) == ["regime", "seed", "origin", "layer", "value", "hook", "chosen"]
    assert list(table["regime"]) == [regime for regime in WORLD_OF for _ in range(3)]
    assert (table["seed"] == 0).all()
    assert (table["origin"] == "computed").all()
    assert list(table.index) == list(range(9))
    for regime in WORLD_OF:
        expected = house.measure(load(house.model(regime)))
        found = table[table["regime"] == regime].drop(columns=["regime", "seed", "origin"])
        pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)


def test_nothing_is_measured_twice(house: House) -> None:
    """And what comes from the cache is equal to the last digit."""
    first = house.over_models()
    second = house.over_models()
    assert house.calls == []
    pd.testing.assert_frame_equal(second, first, check_exact=True)


def test_a_result_that_was_cut_short_is_measured_again(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    first = house.over_models()
    for cached in _models.CACHE.glob("*.csv"):
        cached.write_bytes(cached.read_bytes()[:-9])
    pd.testing.assert_frame_equal(house.over_models(), first)
    assert house.calls == list(WORLD_OF)
    assert "is damaged" in capsys.readouterr().err


def test_other_weights_are_measured_again(house: House) -> None:
    """The changed model alone; and the old weights are still known when they come back."""
    first = house.over_models()
    house.save("anchors", "atomic", seed=0, weights=1)
    second = house.over_models()
    assert house.calls == ["anchors"]
    changed = first["regime"] == "anchors"
    assert (second.loc[changed, "value"].dropna() != first.loc[changed, "value"].dropna()).all()
    pd.testing.assert_frame_equal(second[~changed], first[~changed])
    house.save("anchors", "atomic", seed=0)
    pd.testing.assert_frame_equal(house.over_models(), first)
    assert house.calls == []


def test_another_analysis_has_results_of_its_own(house: House) -> None:
    house.over_models()
    house.over_models("other")
    assert house.calls == list(WORLD_OF)


def test_a_measure_that_fails_leaves_nothing_behind(house: House) -> None:
    """Models that were measured before it failed are not measured again."""

    def fails(checkpoint: Checkpoint) -> pd.DataFrame:
        if checkpoint.provenance["preset"] == "tiny/unified":
            raise RuntimeError
        return house.measure(checkpoint)

    with pytest.raises(RuntimeError):
        _models.over_models("fake", fails, house.models)
    table = house.over_models()
    assert house.calls == ["unified"]
    assert len(table) == 9


def test_a_run_killed_while_it_writes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pd.DataFrame.to_csv

    def half(table: pd.DataFrame, *arguments: Any, **settings: Any) -> None:
        whole(table.iloc[:1], *arguments, **settings)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", half)
        with pytest.raises(KeyboardInterrupt):
            house.over_models()
    assert len(house.over_models()) == 9


def test_stored_rows_are_marked(house: House) -> None:
    """They stand below the computed ones, and only those of the regimes asked for."""
    computed = house.over_models()
    kept = computed.drop(columns="origin").query("regime != 'anchors'").assign(seed=4, value=0.25)
    kept = kept.assign(model="tiny/" + kept["regime"]).drop(columns="regime")
    kept = pd.concat([kept, kept.assign(seed=0), kept.assign(model="tiny/other")])  # computed already; not asked for
    (house.folder / "tables").mkdir()
    kept.to_csv(house.folder / "tables" / "fake.csv", index=False)
    kept.to_csv(house.folder / "tables" / "nothing.csv", index=False)
    table = house.over_models()
    assert house.calls == []
    pd.testing.assert_frame_equal(table.iloc[:9], computed)
    stored = table.iloc[9:]
    assert (stored["origin"] == "stored").all()
    assert list(stored["regime"]) == ["naive"] * 3 + ["unified"] * 3
    assert (stored["seed"] == 4).all()
    assert (stored["value"] == 0.25).all()
    assert list(table.index) == list(range(15))
    some = house.over_models(models={"tiny/unified": "unified", "tiny/anchors": "anchors"})
    assert list(some.loc[some["origin"] == "stored", "regime"]) == ["unified"] * 3
    assert (house.over_models("other")["origin"] == "computed").all()


def test_recording_keeps_rows_and_where_they_come_from(house: House) -> None:
    """Measured now, whatever is cached, and from then on part of the table."""
    folders = [
        house.save("run1", "atomic", seed=1, weights=1, games=9),
        house.save("run2", "unified", seed=2, weights=2),
    ]
    house.over_models()
    house.calls.clear()
    target = _record.record("fake", house.measure, folders)
    assert house.calls == ["anchors", "unified"]
    assert target == house.folder / "tables" / "fake.csv"
    rows = pd.read_csv(target)
    assert list(zip(rows["model"], rows["seed"], strict=True)) == [("tiny/anchors", 1)] * 3 + [("tiny/unified", 2)] * 3
    expected = pd.concat([house.measure(load(folder)) for folder in folders], ignore_index=True)
    np.testing.assert_allclose(rows["value"], expected["value"], rtol=1e-5)
    assert list(rows["hook"]) == list(expected["hook"])
    facts = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    assert set(facts["models"]) == {"tiny/anchors-seed1", "tiny/unified-seed2"}
    about = facts["models"]["tiny/anchors-seed1"]
    assert about["made_by"] == {"preset": "tiny/anchors", "seed": 1, "games": 9}
    assert about["made_by"] == load(folders[0]).provenance
    assert about["weights_sha256"] == hashlib.sha256((folders[0] / WEIGHTS).read_bytes()).hexdigest()
    assert facts["version"]
    assert about["commands"] == [
        "python -m train pretrain tiny/anchors.toml --seed 1",
        "python -m analyses record fake runs/tiny/anchors-seed1",
    ]
    table = house.over_models()
    assert list(table["origin"]) == ["computed"] * 9 + ["stored"] * 6
    assert list(table.loc[table["origin"] == "stored", "seed"]) == [1] * 3 + [2] * 3


def test_commands_of_rows_that_need_more(house: House) -> None:
    """Checkpoints on the way, and the options of an analysis."""
    folder = house.save("run1/checkpoint", "atomic", seed=1)
    for games in (16, 32, 64):
        (folder.parent / "steps" / str(games)).mkdir(parents=True)
    target = _record.record("fake", partial(house.measure, wthor=Path("games")), [folder])
    about = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))["models"]["tiny/anchors-seed1"]
    assert about["commands"] == [
        "python -m train pretrain tiny/anchors.toml --seed 1 --keep 3",
        "python -m analyses record fake runs/tiny/anchors-seed1 --wthor WTHOR",
    ]


def test_a_folder_that_is_no_checkpoint_is_not_recorded(house: House) -> None:
    """It is an error, and the table that was there stays."""
    good, bad = house.save("run1", "atomic", seed=1), house.save("run2", "unified", seed=1)
    target = _record.record("fake", house.measure, [good])
    before = target.read_bytes()
    shutil.rmtree(bad)
    with pytest.raises(ValueError, match="no checkpoint"):
        _record.record("fake", house.measure, [good, bad])
    assert target.read_bytes() == before


def test_rows_of_other_models_stay(house: House) -> None:
    """A model and seed recorded again replaces its own rows alone."""
    first = house.save("run1", "atomic", seed=1)
    target = _record.record("fake", house.measure, [first, house.save("run2", "unified", seed=1)])
    before = pd.read_csv(target)
    house.save("run1", "atomic", seed=1, weights=3)
    _record.record("fake", house.measure, [first])
    _record.record("fake", house.measure, [house.save("run3", "atomic", seed=5)])
    after = pd.read_csv(target)
    assert list(after["model"]) == ["tiny/anchors"] * 6 + ["tiny/unified"] * 3
    assert list(after["seed"]) == [1] * 3 + [5] * 3 + [1] * 3
    assert after["value"][0] != before["value"][0]
    pd.testing.assert_frame_equal(after[6:].reset_index(drop=True), before[3:].reset_index(drop=True))
    facts = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    assert list(facts["models"]) == ["tiny/anchors-seed1", "tiny/anchors-seed5", "tiny/unified-seed1"]


def test_fine_tuned_from_another_start(house: House) -> None:
    """With the same seed it would take the place of the first one; from the same start it may."""
    runs = [
        house.save(f"run{n}", "atomic", seed=0, start={"preset": "tiny/x", "seed": n, "weights_sha256": str(n)})
        for n in (1, 2)
    ]
    target = _record.record("fake", house.measure, runs[:1])
    before = target.read_bytes()
    plain = house.save("run3", "atomic", seed=0)
    for other in (runs[1], plain):
        with pytest.raises(
            ValueError, match=r"fake.json has tiny/anchors-seed0 already, from another start; fine-tune"
        ):
            _record.record("fake", house.measure, [other])
    assert target.read_bytes() == before
    _record.record("fake", house.measure, runs[:1])


def test_rows_that_are_kept_at_one_time_are_all_there(house: House) -> None:
    """And a checkpoint that nobody could name is refused."""
    runs = [house.save(f"run{seed}", "atomic", seed=seed) for seed in range(1, 5)]
    meet = threading.Barrier(4, timeout=30)

    def measure(checkpoint: Checkpoint) -> pd.DataFrame:
        meet.wait()
        return pd.DataFrame({"value": range(3000)})

    with ThreadPoolExecutor(4) as pool:
        (target,) = set(pool.map(lambda run: _record.record("fake", measure, [run]), runs))
    assert pd.read_csv(target)["seed"].value_counts().to_dict() == dict.fromkeys(range(1, 5), 3000)
    assert len(json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))["models"]) == 4
    nameless = house.save("run5", "atomic", seed=5, preset=None)
    with pytest.raises(ValueError, match=r"run5: rows are kept by preset and seed"):
        _record.record("fake", house.measure, [nameless])


def test_a_model_that_is_not_what_it_says(house: House) -> None:
    """Its rows would stand under a name that others have."""
    other = house.save("run1", "atomic", seed=1)
    spec, provenance = other / SPEC, json.loads((other / PROVENANCE).read_text(encoding="utf-8"))
    spec.write_text(spec.read_text(encoding="utf-8").replace('"b1"', '"a2"'), encoding="utf-8")
    (other / PROVENANCE).write_text(json.dumps(provenance | {"files": {}}), encoding="utf-8")
    with pytest.raises(ValueError, match="run1 says it is tiny/anchors, but another spec goes by that name"):
        _record.record("fake", house.measure, [other])
    twice = [house.save("run3", "atomic", seed=2), house.save("run4", "atomic", seed=2)]
    with pytest.raises(ValueError, match="run4: tiny/anchors of seed 2 is given twice"):
        _record.record("fake", house.measure, twice)
    with pytest.raises(CheckpointError, match="missing"):
        _record.record("fake", house.measure, [twice[0], house.folder / "missing"])
    assert not house.calls  # nothing is measured before all are checked
    assert not (house.folder / "tables").exists()
    mine = [house.save("run5", "atomic", seed=1, preset="mine/x"), house.save("run6", "split", seed=2, preset="mine/x")]
    with pytest.raises(ValueError, match="run6 says it is mine/x, but another spec"):
        _record.record("fake", house.measure, mine)
    _record.record("fake", house.measure, mine[:1])
    with pytest.raises(ValueError, match="run6 says it is mine/x, but another spec"):
        _record.record("fake", house.measure, mine[1:])
    refused = CliRunner().invoke(app, ["record", "moves", str(other)])
    assert refused.exit_code == 1
    assert "error: " in refused.output
    assert "says it is tiny/anchors" in refused.output


def test_models_that_are_stored_alone(house: House) -> None:
    """One that is not bundled, and a measure too slow to be taken for a figure."""
    folder = house.save("../run1", "atomic", seed=0, weights=1)
    _record.record("fake", house.measure, [folder])
    house.calls.clear()
    table = house.over_models(stored=True)
    assert house.calls == []
    assert list(table["regime"]) == ["anchors"] * 3
    assert (table["origin"] == "stored").all()
    assert (house.over_models()["origin"] == "computed").all()
    with pytest.raises(
        ValueError, match=r"none of tiny/x is bundled, has stored rows or lies in a folder of runs.*record fake FOLDER"
    ):
        house.over_models(models={"tiny/x": "x"})
    with pytest.raises(_models.NoModels, match=r"none of tiny/x has stored rows"):
        house.over_models(models={"tiny/x": "x"}, stored=True)
    with pytest.raises(_models.NoModels, match=r"fake: it has no models of scale 'paper'"):
        house.over_models(stored=True, zoo=_models.Zoo("paper"))


def test_finished_runs_are_measured_too(house: House) -> None:
    """Behind the bundled models, by seed; of another scale they are all there is."""
    for scale, seed in (("tiny", 1), ("paper", 0), ("paper", 2)):
        run = f"../runs/{scale}/anchors-seed{seed}/checkpoint"
        house.save(f"../{run}", "atomic", seed=seed, weights=seed + 1)
    runs = house.folder / "runs"
    table = house.over_models(zoo=_models.Zoo(runs=runs))
    assert list(zip(table["regime"], table["seed"], strict=True))[::3] == [
        ("naive", 0),
        ("anchors", 0),
        ("anchors", 1),
        ("unified", 0),
    ]
    assert (table["origin"] == "computed").all()
    models = {"mini/anchors": "anchors", "mini/naive": "naive"}
    table = house.over_models(models=models, zoo=_models.Zoo("paper", runs))
    assert list(zip(table["regime"], table["seed"], strict=True))[::3] == [("anchors", 0), ("anchors", 2)]
    assert len(house.over_models(models=models, zoo=_models.Zoo("paper", runs), stored=True)) == 6
    assert house.calls == []
    with pytest.raises(_models.NoModels, match="none of paper/anchors, paper/naive is bundled"):
        house.over_models(models=models, zoo=_models.Zoo("paper"))


def test_a_checkpoint_of_the_users_is_a_regime_of_its_own(house: House) -> None:
    """By its folder's name; one that cannot be measured is left out, and said so."""
    run = house.save("../../runs/toy/checkpoint", "atomic", seed=7, weights=5)
    table = house.over_models(zoo=_models.Zoo(checkpoints=(run.parent,)))
    assert list(dict.fromkeys(table["regime"])) == [*WORLD_OF, "toy"]
    assert table[table["regime"] == "toy"]["seed"].unique().tolist() == [7]
    assert _models.LABELS["toy"] == "toy"


def test_a_checkpoint_that_cannot_be_measured_is_said(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    run = house.save("../../runs/toy/checkpoint", "atomic", seed=7, weights=5)

    def measure(checkpoint: Checkpoint) -> pd.DataFrame:
        if checkpoint.provenance["seed"] == 7:
            raise ValueError("too small")
        return house.measure(checkpoint)

    table = _models.over_models("fake", measure, house.models, zoo=_models.Zoo(checkpoints=(run,)))
    assert "toy" not in set(table["regime"])
    assert "left out" in (said := capsys.readouterr().err)
    assert "too small" in said


@pytest.mark.parametrize("change", ["model", "games"])
def test_a_run_that_differs_from_its_preset_is_refused(house: House, change: str) -> None:
    house.save("anchors", "atomic", seed=0, training={"games": 8, "lr": 1})
    run = house.save("../../runs/tiny/anchors-seed1/checkpoint", "atomic", seed=1, training={"games": 8, "lr": 1})
    zoo = _models.Zoo(runs=house.folder / "runs")
    assert "anchors" in set(house.over_models(zoo=zoo)["regime"])
    if change == "model":
        text = (run / "spec.toml").read_text(encoding="utf-8")
        (run / "spec.toml").write_text(text.replace("b1", "c1"), encoding="utf-8")
    else:
        house.save("../../runs/tiny/anchors-seed1/checkpoint", "atomic", seed=1, training={"games": 4, "lr": 1})
    with pytest.raises(_models.NoInput, match=f"differs from .* in {change}: .*--checkpoint"):
        house.over_models(zoo=zoo)


def test_runs_of_other_presets_are_known(house: House) -> None:
    mine = house.save("../../runs/tiny/mine-seed1/checkpoint", "atomic", seed=1)
    house.save("../../runs/tiny/anchors-seed1/checkpoint", "atomic", seed=1)
    found = _models.Zoo(runs=house.folder / "runs").unused(house.models)
    assert [folder.resolve() for folder in found] == [mine.resolve()]


def test_rows_are_kept_in_a_folder_of_the_users(house: House) -> None:
    folder = house.save("anchors", "atomic", seed=5)
    tables = house.folder / "mine" / "tables"
    assert _record.record("fake", house.measure, [folder], tables) == tables / "fake.csv"
    assert not (house.folder / "tables").exists()
    house.save("anchors", "atomic", seed=0)
    found = house.over_models(zoo=_models.Zoo(tables=tables))
    assert set(zip(found["origin"], found["seed"], strict=True)) == {("computed", 0), ("stored", 5)}

"""Presets: what they take from their base, what they refuse, and that ours load; and the command line in front."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mothello_interp.languages import Atomic
from mothello_interp.models import SpecError
from train.__main__ import app
from train.settings import PRESETS, Preset, Recipe

BASE = """
[world]
board = 4
languages = ["atomic", "atomic"]
anchors = ["b1"]
[model]
n_layers = 1
d_model = 16
n_heads = 2
[training]
games = 100
batch = 8
"""


def preset(folder: Path, **files: str) -> Preset:
    """Write files and load the last one."""
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return Preset.load(folder / f"{list(files)[-1]}.toml")


def test_what_a_preset_says(tmp_path: Path) -> None:
    loaded = preset(tmp_path, mine=BASE)
    assert loaded.name == f"{tmp_path.name}/mine"
    assert loaded.spec.mothello.languages == (Atomic(), Atomic())
    assert (loaded.training.games, loaded.training.batch, loaded.training.steps) == (100, 8, 12)
    assert loaded.training.objective == "exact"


def test_what_is_set_goes_before_the_base(tmp_path: Path) -> None:
    """Table by table, key by key, through two generations."""
    middle = 'extends = "base.toml"\n[training]\nlr = 0.1\nbatch = 4\n'
    over = 'extends = "middle.toml"\n[world]\nboard = 6\n[training]\nbatch = 2\n'
    loaded = preset(tmp_path, base=BASE, middle=middle, over=over)
    assert (loaded.spec.board, loaded.spec.mothello.anchors) == (6, ("b1",))
    assert (loaded.training.games, loaded.training.lr, loaded.training.batch) == (100, 0.1, 2)
    assert loaded.name.endswith("/over")


def test_anchors_are_replaced_not_added_to(tmp_path: Path) -> None:
    base = BASE.replace('anchors = ["b1"]', "anchors = { b1 = [[0, 1]] }")
    over = 'extends = "base.toml"\n[world.anchors]\na1 = [[0, 1]]\n'
    assert preset(tmp_path, base=base, over=over).spec.mothello.anchors == ("a1",)
    over = 'extends = "base.toml"\n[world]\nanchors = []\n'
    assert preset(tmp_path, base=base, over=over).spec.mothello.anchors == ()


def test_a_base_lies_beside_the_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes" / "base.toml").write_text(BASE, encoding="utf-8")
    monkeypatch.chdir(tmp_path.parent)
    assert preset(tmp_path, over='extends = "sizes/base.toml"\n').training.games == 100


@pytest.mark.parametrize("seed", [-1, 1 << 20, 10**30])
def test_a_seed_that_is_none(tmp_path: Path, seed: int) -> None:
    """Fine-tuning would read its games, or numpy not know it."""
    with pytest.raises(SpecError, match=f"seed {seed}: expected 0 to 1048575"):
        preset(tmp_path, mine=BASE).corpus(seed)


def test_the_corpus_of_a_preset(tmp_path: Path) -> None:
    settings = 'objective = "sampled"\nopening = ["b1", "a1"]\nlanguage_weights = [1, 3]\n'
    corpus = preset(tmp_path, mine=BASE + settings).corpus(5)
    assert (corpus.seed, corpus.objective, corpus.opening) == (5, "sampled", ("b1", "a1"))
    assert corpus.language_weights == (1, 3)


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a": 'extends = "a.toml"\n'}, ["a", "a"]),
        ({"a": 'extends = "b.toml"\n', "b": 'extends = "a.toml"\n'}, ["b", "a", "b"]),
    ],
    ids=["itself", "two"],
)
def test_a_circle_of_bases(tmp_path: Path, files: dict[str, str], circle: list[str]) -> None:
    with pytest.raises(SpecError, match="extend each other in a circle") as caught:
        preset(tmp_path, **files)
    assert str(caught.value).endswith(" -> ".join(str(tmp_path / f"{name}.toml") for name in circle))


REFUSED: dict[str, tuple[str, str]] = {
    "unknown table": (BASE + "[modle]\n", r"unknown table \[modle\].*'model'"),
    "unknown key": (BASE + "bach = 3\n", r"\[training\]: unknown key 'bach'.*'batch'"),
    "unknown key of the model": (BASE.replace("n_heads", "heads"), r"model: .*did you mean 'n_heads'"),
    "missing key": (BASE.replace("games = 100", ""), r"\[training\]: games: Field required"),
    "missing table": (BASE.partition("[model]")[0], "model: Field required"),
    "a recipe": ("[training]\ngames = 1\n", r"\[training\] alone is a recipe"),
    "a number in words": (BASE.replace("= 8", "= '8'"), r"batch: .*integer \(given: '8'\)"),
    "no whole number": (BASE.replace("= 8", "= 8.0"), r"batch: .*integer \(given: 8\.0\)"),
    "a rate in words": (BASE + "lr = '1e-3'\n", r"lr: .*number \(given: '1e-3'\)"),
    "a rate that is true": (BASE + "lr = true\n", r"lr: .*number \(given: True\)"),
    "a beta that is true": (BASE + "betas = [0.9, true]\n", r"betas\.1: .*number"),
    "betas that are one": (BASE + "betas = 0.9\n", r"betas: .*list \(given: 0\.9\)"),
    "an opening in one word": (BASE + "opening = 'b1a1'\n", r"opening: expected a list .*\(given: 'b1a1'\)"),
    "a rate that no float32 holds": (BASE + "lr = 1e300\n", r"lr: .*less than or equal to 100 \(given: 1e\+300\)"),
    "a number of more than 64 bits": (BASE + f"save_every = {2**70}\n", r"save_every: .*less than or equal to"),
    "no batch": (BASE.replace("batch = 8", "batch = 0"), r"batch: .*greater than 0 \(given: 0\)"),
    "mistyped extends": ('extend = "base.toml"\n' + BASE, r"unknown table \[extend\].*'extends'"),
    "no finite rate": (BASE + "lr = inf\n", r"lr: .*finite number \(given: inf\)"),
    "no finite weight": (BASE + "language_weights = [nan, 1]\n", r"language_weights\.0: .*finite number"),
    "a beta of one": (BASE + "betas = [0.9, 1.0]\n", r"betas\.1: .*less than 1 \(given: 1\.0\)"),
    "unknown objective": (BASE + 'objective = "exactly"\n', r"objective: .*\(given: 'exactly'\).*'exact'"),
    "unknown pairing": (BASE + 'pairing = "paralel"\n', "pairing: .*did you mean 'parallel'"),
    "unknown optimizer": (BASE + 'optimizer = "sgd"\n', r"optimizer: .*'adamw' or 'muon' \(given: 'sgd'\)$"),
    "missing base": ('extends = "nowhere.toml"\n', r"nowhere\.toml: there is no such file$"),
    "mistyped base": ('extends = "min.toml"\n', r"min\.toml: there is no such file.*'mine\.toml'"),
    "no TOML": ("[world", "not a TOML file"),
    "weights for other languages": (BASE + "language_weights = [1]\n", "give 2 numbers"),
    "an opening nobody may play": (BASE + 'opening = ["a1"]\n', "a1 is not legal"),
    "a base that is no name": ("extends = 3\n" + BASE, "extends"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_preset_that_cannot_be_used_names_file_and_key(tmp_path: Path, case: str) -> None:
    text, message = REFUSED[case]
    with pytest.raises(SpecError, match=message) as caught:
        preset(tmp_path, mine=text)
    assert "mine.toml" in str(caught.value) or "base" in case


ours = [path for scale in ("mini", "midi", "paper", "sharing") for path in sorted(PRESETS.glob(f"{scale}/[!_]*.toml"))]
recipes = sorted(PRESETS.glob("finetune/*.toml"))


@pytest.mark.parametrize("path", ours, ids=[str(path.relative_to(PRESETS)) for path in ours])
def test_our_presets(path: Path) -> None:
    """They load, they can be read at a glance, and their names say where they are."""
    loaded = Preset.load(path)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 15
    assert loaded.name == str(path.relative_to(PRESETS).with_suffix(""))
    assert len(loaded.corpus(0).batch(0, 2).games) == 2


def test_there_are_presets() -> None:
    """The same ones at both scales, one word apart, and a recipe to go on with."""
    names = {scale: {path.name for path in ours if path.parent.name == scale} for scale in ("mini", "paper")}
    assert names["mini"] == names["paper"]
    assert len(names["mini"]) >= 29
    assert {"mini.toml", "paper.toml"} <= {path.name for path in recipes}


def test_presets_of_sharing_differ_from_one_another_in_what_they_ask() -> None:
    """The scale of the initial weights and the anchors; or one thing alone; `redrawn` is what finite pairings differ from."""
    sharing = {path.stem: Preset.load(path) for path in ours if path.parent.name == "sharing"}
    base = sharing["init-0.02-anchors4"].model_dump(exclude={"name"}, mode="json")

    def flat(tables: dict[str, Any], inside: str = "") -> dict[str, Any]:
        return {
            place: value
            for key, item in tables.items()
            for place, value in (
                flat(item, f"{inside}{key}.") if isinstance(item, dict) else {f"{inside}{key}": item}
            ).items()
        }

    for name, preset in sharing.items():
        found = flat(preset.model_dump(exclude={"name"}, mode="json"))
        changed = {key.rpartition(".")[2] for key, value in found.items() if flat(base)[key] != value}
        if name.startswith("init-"):
            assert changed <= {"initializer_range", "anchors"}, name
        elif name == "redrawn":
            assert changed == {"corpus_games"}
        else:
            assert len(changed - {"corpus_games", "d_mlp"}) == 1, name
    assert len([name for name in sharing if name.startswith("init-")]) == 9


def test_our_anchors_are_nested() -> None:
    """Fewer are among more, none breaks only a part of the symmetries, and none lies in the opening."""
    for scale in ("mini", "paper"):
        fewer: set[str] = set()
        opening = Preset.load(PRESETS / scale / "transfer-atomic-naive.toml").training.opening
        for name in (
            "atomic-atomic-anchors1",
            "atomic-atomic-anchors2",
            "atomic-atomic-anchors4",
            "transfer-atomic-anchors8",
        ):
            spec = Preset.load(PRESETS / scale / f"{name}.toml").spec
            anchors = {str(square) for square in spec.mothello.anchors}
            assert fewer < anchors
            assert len(anchors) == int(name[-1])
            assert not anchors & set(opening)
            for square in anchors:
                column, row = "abcdefgh".index(square[0]), int(square[1]) - 1
                assert column != row
                assert column + row != spec.board - 1
            fewer = anchors


@pytest.mark.parametrize("path", recipes, ids=[path.name for path in recipes])
def test_our_recipes(path: Path) -> None:
    """Four epochs, measured five times in each."""
    training = Recipe.load(path).training
    assert training.games == 4 * training.corpus_games
    assert training.corpus_games == 5 * training.evaluate_every
    assert training.evaluate_every % training.batch == 0


REFUSED_RECIPES = {
    "a world": ("[world]\nboard = 4\n", r"table \[world\]; a recipe"),
    "an opening": ('[training]\ngames = 9\ncorpus_games = 3\nopening = ["c2"]\n', "opening has no place"),
    "weights": (
        "[training]\ngames = 9\ncorpus_games = 3\nlanguage_weights = [1, 2]\n",
        "language_weights has no place",
    ),
    "endless games": ("[training]\ngames = 9\n", "corpus_games must be set"),
    "a typo": ("[training]\ngame = 9\n", "unknown key 'game'; did you mean 'games'"),
    "another pairing": (
        '[training]\ngames = 9\ncorpus_games = 3\npairing = "parallel"\n',
        "pairing = 'parallel' has no place in one language",
    ),
    "a mistyped table": ("[trainig]\ngames = 9\n", r"table \[trainig\]; .* did you mean 'training'\?"),
}


@pytest.mark.parametrize("case", REFUSED_RECIPES)
def test_a_recipe_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    text, message = REFUSED_RECIPES[case]
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=rf"mine\.toml.*{message}"):
        Recipe.load(tmp_path / "mine.toml")


def invoke(*arguments: Any) -> tuple[int, str]:
    """Exit status and all that `python -m train` prints."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200", "TERM": "dumb"})
    return result.exit_code, result.output


def test_help_has_a_line_for_everything() -> None:
    shown = invoke("--help")[1]
    for words in (
        *("train/presets/mini", "paper", "train/presets/finetune", "pretrain", "finetune", "sweep", "export", "corpus"),
        *(
            "resumes with the same command",
            "metrics.csv",
            "--log wandb",
            "--log tensorboard",
            "--keep",
            "--device cuda",
        ),
        *("--compile", "accelerate launch -m train", "torchrun", "--jobs", "--dask tcp://", "org/name@revision"),
        "--import",
    ):
        assert words in shown, words


def test_presets_named_by_the_help_are_there() -> None:
    """And the files that describe their keys."""
    shown = invoke("--help")[1]
    for scale in sorted(folder.name for folder in PRESETS.iterdir()):
        assert scale in shown
    for file in ("train/settings.py", "mothello_interp/models/spec.py"):
        assert file in shown
        assert (PRESETS.parent.parent / file).exists()


@pytest.mark.parametrize(
    ("command", "default"),
    [
        ("pretrain", "runs/NAME-seedSEED"),
        ("finetune", "runs/NAME-RECIPE-languageL-seedSEED"),
        ("sweep", "1, or one a worker"),
    ],
)
def test_help_shows_defaults_that_depend(command: str, default: str) -> None:
    """They are not lost as markup of the terminal."""
    assert f"[default: ({default})" in invoke(command, "--help")[1]


@pytest.mark.parametrize("option", ["--threads=0", "--seed=-1", "--seed=1048576", "--keep=-1"])
@pytest.mark.parametrize("command", [["pretrain", "x.toml"], ["finetune", "x.toml", "--from", "x", "--language", "0"]])
def test_a_number_out_of_range_is_refused_at_once(command: list[str], option: str) -> None:
    status, shown = invoke(*command, option)
    assert status == 2
    assert f"Invalid value for '{option.partition('=')[0]}'" in shown


@pytest.mark.parametrize(
    "arguments",
    [["pretrain", "a.toml", "--sede", "3"], ["pretrain", "a.toml", "b.toml"], ["pretain", "a.toml"], ["pretrain"]],
    ids=["option", "argument", "command", "nothing"],
)
def test_an_unknown_option_is_an_error(arguments: list[str]) -> None:
    status, shown = invoke(*arguments)
    assert status == 2
    assert "Usage: " in shown


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("mini/atomic-atomic-anchor4.toml", "atomic-atomic-anchors4.toml"), ("mimi/four-naive.toml", "mini")],
    ids=["file", "folder"],
)
@pytest.mark.parametrize("command", [["pretrain"], ["sweep"], ["finetune", "--from", "x", "--language", "0"]])
def test_a_mistyped_preset_names_the_nearest(command: list[str], given: str, nearest: str) -> None:
    status, shown = invoke(*command, PRESETS / given)
    assert status == 1
    assert shown == f"error: {PRESETS / given}: there is no such file; did you mean '{nearest}'?\n"


def test_a_folder_is_no_preset() -> None:
    status, shown = invoke("pretrain", PRESETS / "mini")
    assert (status, shown) == (1, f"error: {PRESETS / 'mini'}: a folder; give one of the TOML files in it\n")

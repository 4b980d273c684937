"""Specs: what is refused, in which words, and that the text written is read back."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mothello_interp.languages import Atomic, Compositional
from mothello_interp.models import Architecture, ModelSpec, SpecError, World
from mothello_interp.othello import square_name, start_squares
from tests.conftest import WORLDS, every_world, tiny_spec

WORLD = {"board": 4, "languages": ["atomic", "compositional"]}
MODEL = {"n_layers": 1, "d_model": 16, "n_heads": 2}
SQUARES = [square_name(square, 4) for square in range(16) if square not in start_squares(4)]

languages = st.one_of(
    st.just("atomic"),
    st.just("compositional"),
    st.fixed_dictionaries({"type": st.just("split"), "seed": st.integers(0, 9), "max_pieces": st.integers(1, 4)}),
    st.fixed_dictionaries({"type": st.just("split"), "lengths": st.lists(st.integers(1, 3), min_size=16, max_size=16)}),
)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """Any world on a 4x4 board, as TOML would give it."""
    spoken = draw(st.lists(languages, min_size=2, max_size=4))
    unified = draw(st.booleans())
    everywhere = st.lists(st.sampled_from(SQUARES), unique=True, max_size=4)
    group = st.sets(st.integers(0, len(spoken) - 1), min_size=2).map(sorted)
    grouped = st.dictionaries(st.sampled_from(SQUARES), st.lists(group, min_size=1, max_size=1), max_size=4)
    spoken = ["atomic", *spoken] if unified else spoken
    return {"board": 4, "languages": spoken, "anchors": draw(everywhere | grouped), "unified_output": unified}


def read(**tables: Any) -> ModelSpec:
    """A spec with some tables replaced."""
    return ModelSpec.read({"world": WORLD, "model": MODEL} | tables, "here.toml")


def test_what_a_spec_says() -> None:
    spec = read()
    assert (spec.board, spec.mothello.board) == (4, 4)
    assert spec.mothello.languages == (Atomic(), Compositional())
    assert spec.model == Architecture(n_layers=1, d_model=16, n_heads=2, d_mlp=64, initializer_range=0.02)
    assert read(model={**MODEL, "d_mlp": 48}).model.d_mlp == 48
    assert Architecture(n_layers=1, d_model=16, n_heads=2).d_mlp == 64
    scale = read(model={**MODEL, "initializer_range": 1}).model.initializer_range
    assert (scale, type(scale)) == (1.0, float)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read().model.n_layers = 3  # type: ignore[misc]


def test_languages_by_number() -> None:
    """Short for the list, in the order given."""
    short = read(world={"board": 4, "languages": {"atomic": 2, "split": 1}})
    assert short == read(world={"board": 4, "languages": ["atomic", "atomic", "split"]})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"model": {**MODEL, "n_layer": 2}}, r"model: unknown key 'n_layer'; did you mean 'n_layers'\?"),
    "unknown key of the world": ({"world": {**WORLD, "anchor": ["a1"]}}, "world: .*did you mean 'anchors'"),
    "unknown key unlike any": ({"model": {**MODEL, "xyz": 2}}, r"unknown key 'xyz'\. Known are: n_layers, d_model"),
    "no number of languages": ({"world": {**WORLD, "languages": {"atomic": 0}}}, "atomic = 0: expected how many"),
    "a language for a list": (
        {"world": {**WORLD, "languages": {"type": "split"}}},
        "type = 'split': expected how many",
    ),
    "unknown table": ({"training": {}}, r"here.toml: unknown key 'training'.* Known are: world, model"),
    "missing key": ({"model": {"n_layers": 1, "d_model": 16}}, "here.toml: model.n_heads: Field required"),
    "not divisible": ({"model": {**MODEL, "n_heads": 3}}, "d_model = 16 is not divisible by n_heads = 3"),
    "no layers": ({"model": {**MODEL, "n_layers": 0}}, r"model.n_layers: .*greater than 0 \(given: 0\)"),
    "no initial weights": ({"model": {**MODEL, "initializer_range": 0}}, "model.initializer_range: .*greater than 0"),
    "anchor on a start square": ({"world": {**WORLD, "anchors": ["b2"]}}, "world: anchor b2: start squares"),
    "anchor off the board": ({"world": {**WORLD, "anchors": ["e1"]}}, "'e1' is no square of a board of side 4"),
    "anchor shared by nobody": ({"world": {**WORLD, "anchors": {"a1": [[0, 2]]}}}, "there are only 0 to 1"),
    "anchor in two groups": ({"world": {**WORLD, "anchors": {"a1": [[0, 1], [1, 0]]}}}, "in two of its groups"),
    "anchors that are numbers": (
        {"world": {**WORLD, "anchors": [3]}},
        r"world.anchors: expected a list of squares.*\[3\]",
    ),
    "anchors in one word": (
        {"world": {**WORLD, "anchors": "a1"}},
        r"here.toml: world.anchors: expected a list of squares, such as \[\"a1\", \"c1\"\] \(given: 'a1'\)$",
    ),
    "an anchor twice": ({"world": {**WORLD, "anchors": ["b1", "a1", "A1"]}}, "world.anchors: 'a1' stands there twice"),
    "an anchor without groups": ({"world": {**WORLD, "anchors": {"a1": [0, 1]}}}, r"anchors.a1.0: .*list \(given: 0\)"),
    "an anchor of nobody": ({"world": {**WORLD, "anchors": {"a1": [[0, "1"]]}}}, "anchors.a1.0.1: .*valid integer"),
    "an answer in words": (
        {"world": {**WORLD, "unified_output": "no"}},
        r"world.unified_output: Input should be a valid boolean \(given: 'no'\)",
    ),
    "a number in words": ({"model": {**MODEL, "n_heads": "2"}}, "model.n_heads: Input should be a valid integer"),
    "an answer for a number": (
        {"model": {**MODEL, "n_layers": True}},
        "model.n_layers: Input should be a valid integer",
    ),
    "a board that is none": ({"world": {**WORLD, "board": 4.0}}, "world.board: Input should be a valid integer"),
    "unknown language": (
        {"world": {**WORLD, "languages": ["atomc"]}},
        "world.languages: unknown language type 'atomc'.*did you mean 'atomic'",
    ),
    "unknown option of a language": (
        {"world": {**WORLD, "languages": [{"type": "split", "sed": 1}]}},
        "world.languages: language type 'split' does not take.*sed",
    ),
    "one language as text": ({"world": {**WORLD, "languages": "atomic"}}, "expected a list of languages"),
    "no language": ({"world": {**WORLD, "languages": []}}, "at least 1 needed"),
    "an output alone": ({"world": {"board": 4, "languages": ["atomic"], "unified_output": True}}, "at least 2 needed"),
    "an output of several tokens": (
        {"world": {"board": 4, "languages": ["compositional", "atomic"], "unified_output": True}},
        "must be like Atomic",
    ),
    "a board nobody plays on": ({"world": {**WORLD, "board": 5}}, "board=5"),
    "a language that is a number": ({"world": {**WORLD, "languages": ["atomic", 3]}}, "world.languages"),
    "a seed in words": ({"world": {**WORLD, "languages": [{"type": "split", "seed": "one"}]}}, "world.languages"),
    "a width of gigabytes": ({"model": {**MODEL, "d_model": 10**9}}, "model.d_model: .*less than or equal to 32768"),
    "layers without end": ({"model": {**MODEL, "n_layers": 2000}}, "model.n_layers: .*less than or equal to 256"),
    "a million languages": ({"world": {**WORLD, "languages": {"atomic": 10**6}}}, "1000000 languages: expected 100 at"),
    "a list as long": ({"world": {**WORLD, "languages": ["atomic"] * 101}}, "101 languages: expected 100 at most"),
    "moves without end": (
        {"world": {**WORLD, "languages": [{"type": "split", "max_pieces": 10**5}]}},
        "max_pieces=100000: expected 1 to 16",
    ),
    "a move without end": (
        {"world": {**WORLD, "languages": [{"type": "split", "lengths": [1] * 15 + [17]}]}},
        "row-major, 1 to 16",
    ),
    "lengths for another board": (
        {"world": {**WORLD, "languages": [{"type": "split", "lengths": [1, 2]}]}},
        "lengths for 2 squares: a board of side 4 has 16",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_spec_that_cannot_be_used(case: str) -> None:
    tables, message = REFUSED[case]
    with pytest.raises(SpecError, match=message):
        read(**tables)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        read(model={"n_layers": 0, "d_model": -1, "n_heads": 2})
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["model.n_layers", "model.d_model"]


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"spec\.toml: there is no such file"):
        ModelSpec.load(tmp_path / "spec.toml")


@pytest.mark.parametrize("content", [b"[world\nboard = 4", b"\xff\xfe", b"a = " + b"[" * 20_000])
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spec.toml").write_bytes(content)
    with pytest.raises(SpecError, match=r"spec\.toml: not a TOML file"):
        ModelSpec.load(tmp_path / "spec.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [("a" * 70_000, "70000 bytes"), ("a." * 10_000 + "a = 1", "parts"), ("'a' . " * 30 + "a = 1", "parts")],
)
def test_a_file_that_would_take_long_to_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "spec.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=said):
        ModelSpec.load(tmp_path / "spec.toml")


@pytest.mark.parametrize("world", WORLDS)
def test_the_text_is_read_back_from_a_file(tmp_path: Path, world: str) -> None:
    spec = tiny_spec(world, d_mlp=24, initializer_range=0.005)
    (tmp_path / "spec.toml").write_text(spec.to_toml(), encoding="utf-8")
    assert ModelSpec.load(tmp_path / "spec.toml") == spec
    (tmp_path / "spec.toml").write_text(spec.to_toml(), encoding="utf-8-sig")  # as Notepad saves it
    assert ModelSpec.load(tmp_path / "spec.toml") == spec


@given(worlds())
@settings(deadline=None, max_examples=50)
def test_to_toml_is_read_back_to_an_equal_spec(world: dict[str, Any]) -> None:
    spec = read(world=world)
    again = ModelSpec.read(tomllib.loads(spec.to_toml()), "text")
    assert again == spec
    assert again.mothello.vocabulary == spec.mothello.vocabulary
    assert again.to_toml() == spec.to_toml()


def test_anchors_in_groups_are_kept() -> None:
    world = {"board": 4, "languages": ["atomic"] * 4, "anchors": {"a1": [[0, 1], [2, 3]], "d4": [[1, 2]]}}
    mothello = ModelSpec.read(tomllib.loads(read(world=world).to_toml()), "text").mothello
    words = mothello.move_tokens[:, :, 0]
    assert words[0, 0] == words[1, 0] != words[2, 0] == words[3, 0]
    assert words[1, 15] == words[2, 15] not in (words[0, 15], words[3, 15])


@every_world
def test_a_world_made_in_python_is_the_one_in_toml(world: str) -> None:
    spec = tiny_spec(world)
    mothello = spec.mothello
    anchors = tuple(str(anchor) for anchor in mothello.anchors)
    assert (
        World(board=4, languages=mothello.languages, anchors=anchors, unified_output=mothello.unified_output)
        == spec.world
    )

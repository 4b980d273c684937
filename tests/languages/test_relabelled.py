"""Languages seen through a symmetry: one text for a game and its image, in every language and on every board."""

import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.languages import (
    Atomic,
    Compositional,
    Language,
    Mothello,
    Relabelled,
    Split,
    describe_language,
    exact_targets,
    language_from,
)
from mothello_interp.models import Architecture, ModelSpec, World
from mothello_interp.othello import CONTROLS, SYMMETRIES, Games, Symmetry, random_games, replay
from mothello_interp.othello.rules import SIDES

ALL = SYMMETRIES | CONTROLS
names = st.sampled_from(sorted(ALL))
sides = st.sampled_from(SIDES)
plain = st.one_of(st.just(Atomic()), st.just(Compositional()), st.builds(Split, seed=st.integers(0, 99)))


def text(mothello: Mothello, games: Games, language: int) -> list[list[str]]:
    """The names of all tokens written, game by game."""
    vocabulary = np.array(mothello.vocabulary)
    rows: list[list[str]] = vocabulary[mothello.encode(games, language).tokens].tolist()
    return rows


@given(language=plain, name=names, side=sides, seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_game_and_its_image_are_one_text(language: Language, name: str, side: int, seed: int) -> None:
    games = random_games(5, board=side, seed=seed)
    image = Relabelled(language, name)
    before, after = (Mothello(side, (Atomic(), spoken)) for spoken in (language, image))
    assert text(after, ALL[name].games(games), 1) == text(before, games, 1)
    assert after.decode(after.encode(ALL[name].games(games), 1).tokens, 1) == ALL[name].games(games)
    pieces = [list(word) for word in language.move_tokens(side)]
    p = ALL[name].squares(side)
    assert [list(image.move_tokens(side)[p[square]]) for square in range(side**2)] == pieces


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("second", ALL)
@pytest.mark.parametrize("first", ALL)
def test_images_of_images(first: str, second: str, side: int) -> None:
    """A quarter turn tells the order."""
    g, h = ALL[second], ALL[first]
    language = Split(seed=3)
    assert Relabelled(Relabelled(language, h.name), g.name).move_tokens(side) == Relabelled(
        language, (g @ h).name
    ).move_tokens(side)
    assert Relabelled(Relabelled(language, g.name), g.inverse.name).move_tokens(side) == language.move_tokens(side)


@pytest.mark.parametrize("symmetry", SYMMETRIES.values(), ids=lambda symmetry: symmetry.name)
def test_what_comes_next_is_the_same_too(symmetry: Symmetry) -> None:
    """Play is invariant under the four, so nothing in a text tells a language from its image."""
    language = Split(seed=1)
    before, after = (Mothello(6, (spoken,)) for spoken in (language, Relabelled(language, symmetry.name)))
    games = random_games(20, board=6, seed=2)
    images = symmetry.games(games)
    same = [after.vocabulary.index(name) for name in before.vocabulary]
    expected = exact_targets(before, games, replay(games).legal, 0)
    assert np.array_equal(exact_targets(after, images, replay(images).legal, 0)[..., same], expected)


def test_anchors_stay() -> None:
    mothello = Mothello(4, (Atomic(), Relabelled(Atomic(), "half_turn")), ["a1"])
    vocabulary = np.array(mothello.vocabulary)
    assert vocabulary[mothello.move_tokens[1, [0, 1, 15], 0]].tolist() == ["0:a1", "1:c4", "1:a1"]


@given(language=plain, first=names, second=names)
@settings(max_examples=25, deadline=None)
def test_descriptions(language: Language, first: str, second: str) -> None:
    image = Relabelled(Relabelled(language, first), second)
    assert language_from(describe_language(image)) == image
    assert Relabelled(describe_language(language), ALL[first]) == Relabelled(language, first)  # type: ignore[arg-type]
    spec = ModelSpec(
        world=World(board=4, languages=(language, image)), model=Architecture(n_layers=1, d_model=8, n_heads=1)
    )
    again = ModelSpec.read(tomllib.loads(spec.to_toml()), "here.toml")
    assert again == spec
    assert again.mothello.vocabulary == spec.mothello.vocabulary


def test_what_has_no_image() -> None:
    with pytest.raises(
        ValueError, match="symmetry 'half': known are identity, diagonal, antidiagonal, half_turn, quar"
    ):
        Relabelled(Atomic(), "half")
    with pytest.raises(ValueError, match="Relabelled 3: expected a language, or the description of one"):
        Relabelled(3, "half_turn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown language type 'atomc'"):
        language_from({"type": "relabelled", "language": "atomc", "symmetry": "half_turn"})

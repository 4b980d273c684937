"""Language types: the words they give, their descriptions, and the registry."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.languages import (
    Atomic,
    Compositional,
    Language,
    Mothello,
    Split,
    describe_language,
    language,
    language_from,
    register_language,
)
from mothello_interp.othello import random_games, square_name
from mothello_interp.othello.rules import SIDES

languages = st.one_of(
    st.just(Atomic()),
    st.just(Compositional()),
    st.builds(Split, seed=st.integers(0, 99), max_pieces=st.integers(1, 5)),
    st.builds(Split, lengths=st.lists(st.integers(1, 4), min_size=16, max_size=16).map(tuple)),
)


@dataclass(frozen=True)
class Numbered:
    """A language of a user: every square in two digits of some base."""

    base: int = 8

    def move_tokens(self, board: int) -> list[tuple[str, ...]]:
        return [tuple(map(str, divmod(square, self.base))) for square in range(board * board)]


@dataclass(frozen=True)
class Demanding:
    """A language of a user with a required option, one without a plain default, and one that is not an option."""

    base: int | None
    names: list[str] = field(default_factory=list)
    note: str | None = "plain"
    derived: int = field(init=False, default=0)

    def move_tokens(self, board: int) -> list[tuple[str, ...]]:
        return Numbered(self.base or board).move_tokens(board)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The registry as it was, again after the test."""
    with monkeypatch.context() as patch:
        patch.setattr(language, "_TYPES", dict(language._TYPES))
        yield


@pytest.mark.parametrize("side", SIDES)
def test_words_of_atomic(side: int) -> None:
    assert Atomic().move_tokens(side) == [(square_name(square, side),) for square in range(side * side)]


@pytest.mark.parametrize("side", SIDES)
def test_words_of_compositional(side: int) -> None:
    words = Compositional().move_tokens(side)
    assert [column + row for row, column in words] == [square_name(square, side) for square in range(side * side)]
    assert len({piece for word in words for piece in word}) == 2 * side


@given(st.integers(0, 2**32), st.integers(1, 5), st.sampled_from(SIDES))
@settings(deadline=None)
def test_words_of_split(seed: int, max_pieces: int, side: int) -> None:
    words = Split(seed, max_pieces).move_tokens(side)
    assert words == Split(seed, max_pieces).move_tokens(side)
    assert len(words) == side * side
    assert all(1 <= len(word) <= max_pieces for word in words)
    pieces = [piece for word in words for piece in word]
    assert len(set(pieces)) == len(pieces)


def test_words_of_split_are_drawn_by_the_seed() -> None:
    numbers = np.array([[len(word) for word in Split(seed).move_tokens(8)] for seed in range(40)])
    assert len({tuple(row) for row in numbers}) == 40
    share = np.bincount(numbers.ravel(), minlength=4)[1:] / numbers.size
    assert share == pytest.approx([1 / 3] * 3, abs=0.03)


def test_split_with_lengths_given() -> None:
    words = Split(lengths=(1, 2, 3, *[1] * 13)).move_tokens(4)
    assert words[:3] == [("a1/1",), ("b1/1", "b1/2"), ("c1/1", "c1/2", "c1/3")]
    assert Split(lengths=[1, 2]) == Split(lengths=(1, 2))  # type: ignore[arg-type]


def test_split_refuses_another_board() -> None:
    with pytest.raises(ValueError, match="Split has lengths for 16 squares: a board of side 6 has 36"):
        Split(lengths=(1,) * 16).move_tokens(6)


@given(languages)
@settings(deadline=None)
def test_descriptions_round_trip(spoken: Language) -> None:
    assert isinstance(spoken, Language)
    assert language_from(describe_language(spoken)) == spoken


def test_descriptions_are_plain() -> None:
    assert describe_language(Atomic()) == "atomic"
    assert describe_language(Compositional()) == "compositional"
    assert describe_language(Split()) == "split"
    assert describe_language(Split(seed=1)) == {"type": "split", "seed": 1, "max_pieces": 3}


def test_a_description_is_read_as_a_file_gives_it() -> None:
    description = {"type": "split", "lengths": [1] * 16}
    assert language_from(description) == Split(lengths=(1,) * 16)
    assert description == {"type": "split", "lengths": [1] * 16}


@pytest.mark.usefixtures("registry")
def test_a_language_of_ones_own() -> None:
    with pytest.raises(ValueError, match=r"Numbered\(base=8\) is of no registered language type; decorate its class"):
        describe_language(Numbered())
    assert register_language("numbered")(Numbered) is Numbered
    assert describe_language(Numbered()) == "numbered"
    assert describe_language(Numbered(9)) == {"type": "numbered", "base": 9}
    for spoken in (Numbered(), Numbered(9)):
        assert language_from(describe_language(spoken)) == spoken
        mothello = Mothello(8, (Atomic(), spoken), anchors=["d3"])
        games = random_games(5, board=8, seed=0)
        assert mothello.decode(mothello.encode(games, 1).tokens, 1) == games


@pytest.mark.usefixtures("registry")
def test_a_language_with_a_required_option() -> None:
    register_language("demanding")(Demanding)
    assert describe_language(Demanding(8)) == {"type": "demanding", "base": 8, "names": [], "note": "plain"}
    for spoken in (Demanding(8), Demanding(None), Demanding(9, ["a"], None)):
        assert language_from(describe_language(spoken)) == spoken
    with pytest.raises(ValueError, match=r"language type 'demanding' does not take \{\}: .*'base'"):
        language_from("demanding")
    with pytest.raises(ValueError, match=r"it has no option 'derived'"):
        language_from({"type": "demanding", "base": 8, "derived": 1})


@pytest.mark.usefixtures("registry")
def test_a_class_of_the_same_name_elsewhere_is_another() -> None:
    other = type("Atomic", (Numbered,), {"__module__": "elsewhere"})
    with pytest.raises(ValueError, match="language type 'atomic' is registered already"):
        register_language("atomic")(other)


@pytest.mark.usefixtures("registry")
def test_a_name_is_registered_once() -> None:
    register_language("numbered")(Numbered)
    register_language("numbered")(Numbered)  # again, as when a notebook cell runs twice
    with pytest.raises(ValueError, match=r"language type 'atomic' is registered already, for .*Atomic.*another name"):
        register_language("atomic")(Numbered)
    assert language_from("atomic") == Atomic()


@pytest.mark.usefixtures("registry")
def test_what_is_no_language_type() -> None:
    """It would fail only when a spec is read or written, after the training."""

    @dataclass
    class Changing:
        def move_tokens(self, board: int) -> list[tuple[str, ...]]:
            return Atomic().move_tokens(board)

    @dataclass(frozen=True)
    class Silent: ...

    class Plain(Numbered): ...

    for cls in (Changing, Silent, Plain):
        with pytest.raises(
            ValueError, match=rf"{cls.__name__}.*: a language is a frozen dataclass .*; write @register_"
        ):
            register_language("mine")(cls)


NO_LANGUAGES: list[tuple[Any, str]] = [
    (
        "atomik",
        "unknown language type 'atomik': known are atomic, compositional, relabelled, split; did you mean 'atomic'",
    ),
    ({"type": "splitt", "seed": 1}, r"unknown language type 'splitt': known are .*; did you mean 'split'\?"),
    ({"type": ["split"]}, r"unknown language type \['split'\]: known are .*; did you mean 'split'\?"),
    ("klingon", "known are .*; your own types are made known with register_language"),
    ({"seed": 1}, "known are .*; your own types are made known with register_language"),
    ({"type": "atomic", "seed": 1}, r"language type 'atomic' does not take \{'seed': 1\}: "),
    ({"type": "split", "sead": 1}, r"language type 'split' does not take \{'sead': 1\}: .*did you mean 'seed'\?"),
    ({"type": "split", "x": 1}, r"no option 'x'; its options are \['seed', 'max_pieces', 'lengths'\]"),
    ({"type": "split", "lengths": 3}, r"language type 'split' does not take \{'lengths': 3\}: "),
    ({"type": "split", "max_pieces": 0}, "max_pieces=0: expected 1 to 16"),
    ({"type": "split", "lengths": [1, 0]}, r"lengths=\(1, 0\): expected the number of tokens"),
    ({"type": "split", "lengths": []}, r"lengths=\(\): expected the number of tokens"),
]


@pytest.mark.parametrize(("description", "message"), NO_LANGUAGES)
def test_a_description_of_no_language_is_refused(description: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        language_from(description)

"""Mothello: games come back from their words, anchors are shared and nothing else is, and every refusal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.languages import PAD, Atomic, Compositional, Language, Mothello, Split
from mothello_interp.othello import (
    Games,
    IllegalGame,
    full_length,
    random_games,
    square_index,
    square_name,
    start_squares,
)
from mothello_interp.othello.rules import SIDES
from tests.conftest import WORLDS, tiny_spec

Groups = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Spelled:
    """A language made for a test: the words of the first squares as given, those of the others atomic."""

    first: tuple[tuple[str, ...], ...]

    def move_tokens(self, board: int) -> list[tuple[str, ...]]:
        return [*self.first, *Atomic().move_tokens(board)[len(self.first) :]]


@cache
def some_games(board: int) -> Games:
    """Random games, whole and begun, and one without a move."""
    games = random_games(40, board=board, seed=11)
    ends = np.where(np.arange(40) % 3 == 0, np.arange(40), full_length(board))
    return Games(np.where(np.arange(full_length(board)) < ends[:, None], games.moves, -1), board)


def playable(board: int) -> list[int]:
    """The squares that can be played."""
    return [square for square in range(board * board) if square not in start_squares(board)]


@st.composite
def input_languages(draw: st.DrawFn, board: int) -> Language:
    """One language of any type."""
    lengths = st.lists(st.integers(1, 4), min_size=board**2, max_size=board**2)
    types: list[st.SearchStrategy[Language]] = [
        st.just(Atomic()),
        st.just(Compositional()),
        st.builds(Split, seed=st.integers(0, 99), max_pieces=st.integers(1, 4)),
        st.builds(Split, lengths=lengths.map(tuple)),
    ]
    return draw(st.one_of(types))


@st.composite
def anchor_groups(draw: st.DrawFn, board: int, inputs: Sequence[int]) -> Groups:
    """Some squares, and for each a few disjoint groups of languages."""
    squares = draw(st.lists(st.sampled_from(playable(board)), max_size=8, unique=True))
    result: Groups = {}
    for square in squares:
        labels = draw(st.lists(st.integers(0, 3), min_size=len(inputs), max_size=len(inputs)))
        groups = [[member for member, label in zip(inputs, labels, strict=True) if label == of] for of in (1, 2, 3)]
        result[square_name(square, board)] = [group for group in groups if group]
    return result


@st.composite
def mothellos(draw: st.DrawFn) -> tuple[Mothello, Groups]:
    """Any Mothello: board, mix of languages, unified or not, anchors for all or in groups; and its anchors by group."""
    board = draw(st.sampled_from(SIDES))
    languages = draw(st.lists(input_languages(board), min_size=1, max_size=4))
    unified = draw(st.booleans())
    if unified:
        outputs: list[Language] = [Atomic(), Split(max_pieces=1)]
        languages = [draw(st.sampled_from(outputs)), *languages]
    inputs = range(int(unified), len(languages))
    if draw(st.booleans()):
        groups = draw(anchor_groups(board, inputs))
        return Mothello(board, tuple(languages), groups, unified), groups
    squares = draw(st.lists(st.sampled_from(playable(board)), max_size=8, unique=True))
    keys = [square if square % 2 else square_name(square, board) for square in squares]
    groups = {square_name(square, board): [list(inputs)] for square in squares}
    return Mothello(board, tuple(languages), keys, unified), groups


def spell(mothello: Mothello, groups: Groups, language: int, square: int) -> list[str]:
    """The word of a move by the definition: the group's first language owns the pieces of an anchor."""
    owner = language
    for group in groups.get(square_name(square, mothello.board), []):
        if language in group:
            owner = min(group)
    return [f"{owner}:{piece}" for piece in mothello.languages[owner].move_tokens(mothello.board)[square]]


@given(mothellos())
@settings(max_examples=60, deadline=None)
def test_games_come_back(case: tuple[Mothello, Groups]) -> None:
    mothello, _ = case
    games = some_games(mothello.board)
    for language in mothello.inputs:
        tokens = mothello.encode(games, language).tokens
        assert mothello.decode(tokens, language) == games
        assert mothello.decode(tokens[:0], language) == games[:0]


@given(mothellos(), st.data())
@settings(max_examples=60, deadline=None)
def test_tokens_and_their_last(case: tuple[Mothello, Groups], data: st.DataObject) -> None:
    mothello, groups = case
    language = data.draw(st.sampled_from(mothello.inputs))
    games = some_games(mothello.board)[:8]
    encoded = mothello.encode(games, language)
    playing = playable(mothello.board)
    assert mothello.width(language) == sum(len(spell(mothello, groups, language, square)) for square in playing)
    assert (encoded.tokens.dtype, encoded.last.dtype) == (np.int32, np.int16)
    assert encoded.tokens.shape == (8, mothello.width(language))
    assert encoded.last.shape == games.moves.shape
    for moves, tokens, last in zip(games.moves.tolist(), encoded.tokens, encoded.last.tolist(), strict=True):
        words = [spell(mothello, groups, language, move) for move in moves if move >= 0]
        text = [piece for word in words for piece in word]
        assert [mothello.vocabulary[token] for token in tokens[: len(text)]] == text
        assert (tokens[len(text) :] == PAD).all()
        assert last[: len(words)] == [end - 1 for end in accumulate(len(word) for word in words)]
        assert set(last[len(words) :]) <= {-1}


@given(mothellos())
@settings(max_examples=60, deadline=None)
def test_the_vocabulary(case: tuple[Mothello, Groups]) -> None:
    """Every token is a piece of somebody's word, has a name of its own, and only anchors are shared."""
    mothello, groups = case
    assert mothello.vocabulary[PAD] == "<pad>"
    assert len(set(mothello.vocabulary)) == mothello.d_vocab == len(mothello.vocabulary)
    tokens = [set(mothello.tokens_of(language).tolist()) for language in range(len(mothello.languages))]
    assert set.union(*tokens) == set(range(1, mothello.d_vocab))
    anchors = set(mothello.anchor_tokens.tolist())
    for one, other in combinations(range(len(tokens)), 2):
        assert tokens[one] & tokens[other] <= anchors
        for square in playable(mothello.board):
            name = square_name(square, mothello.board)
            together = any({one, other} <= set(group) for group in groups.get(name, []))
            same = np.array_equal(mothello.move_tokens[one, square], mothello.move_tokens[other, square])
            assert same == together
    shared = [
        spell(mothello, groups, group[0], square_index(name, mothello.board))
        for name, members in groups.items()
        for group in members
        if len(group) > 1
    ]
    assert {mothello.vocabulary[token] for token in anchors} == {piece for word in shared for piece in word}
    assert mothello.anchor_tokens.tolist() == sorted(anchors)


def test_an_anchor_is_written_by_the_first_of_its_group() -> None:
    languages = (Atomic(), Compositional(), Split(lengths=(3,) * 36), Atomic())
    mothello = Mothello(6, languages, {"c2": [[3, 1], [2, 0]], "a1": [[3, 2, 1]]})

    def word(language: int, name: str) -> list[str]:
        row = mothello.move_tokens[language, square_index(name, 6)]
        return [mothello.vocabulary[token] for token in row if token != PAD]

    assert [word(language, "c2") for language in range(4)] == [["0:c2"], ["1:2", "1:c"], ["0:c2"], ["1:2", "1:c"]]
    assert [word(language, "a1") for language in range(4)] == [["0:a1"], ["1:1", "1:a"], ["1:1", "1:a"], ["1:1", "1:a"]]
    assert word(2, "b1") == ["2:b1/1", "2:b1/2", "2:b1/3"]
    assert mothello.token_counts[:, square_index("c2", 6)].tolist() == [1, 2, 1, 2]
    assert mothello.move_tokens[:, list(start_squares(6))].max() == PAD


def test_anchors_for_all_leave_the_output_language_out() -> None:
    mothello = Mothello(6, (Atomic(), Atomic(), Compositional()), ["c2"], unified_output=True)
    square = square_index("c2", 6)
    assert mothello.inputs == (1, 2)
    assert mothello.groups == ((square, (1, 2)),)
    assert mothello.move_tokens[1, square].tolist() == mothello.move_tokens[2, square].tolist()
    assert mothello.move_tokens[0, square, 0] != mothello.move_tokens[1, square, 0]
    assert [mothello.output_of(language) for language in (1, 2)] == [0, 0]
    assert [Mothello(6, (Atomic(),) * 2).output_of(language) for language in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("mothello", "n_ctx", "d_vocab"),
    [
        (Mothello(8, (Atomic(), Atomic())), 59, 121),
        (Mothello(8, (Compositional(),)), 119, 17),
        (Mothello(8, (Atomic(), Compositional())), 119, 77),
        (Mothello(4, (Split(lengths=(3,) * 16),)), 35, 37),
        (Mothello(8, (Split(max_pieces=1), Atomic(), Atomic()), unified_output=True), 59, 181),
    ],
)
def test_sizes_are_those_worked_out_by_hand(mothello: Mothello, n_ctx: int, d_vocab: int) -> None:
    assert (mothello.n_ctx, mothello.d_vocab) == (n_ctx, d_vocab)


def test_equal_anchors_make_equal_mothellos() -> None:
    """However they are written: names, indices, capitals, groups, any order."""
    languages = (Atomic(), Split(), Compositional())
    plain = Mothello(6, languages, ["c2", "b5"])
    forms: list[Any] = [("b5", "c2"), {"c2", "b5"}, [8, 25], ["C2", "B5"], {25: [[2, 0, 1]], "c2": [[0, 1, 2]]}]
    forms += [["c2", 8, "b5", "B5"]]
    for anchors in forms:
        assert Mothello(6, languages, anchors) == plain
        assert hash(Mothello(6, languages, anchors)) == hash(plain)
        assert Mothello(6, languages, anchors).anchors == ("c2", "b5")
    grouped = Mothello(6, languages, {"c2": [[1, 0]]})
    assert grouped.anchors == {"c2": [[0, 1]]}
    assert grouped == Mothello(6, list(languages), grouped.anchors)  # type: ignore[arg-type]
    assert len({plain, grouped, Mothello(6, languages)}) == 3
    assert Mothello(6, (Atomic(),) * 4, {"c2": [[0, 1]], 8: [[2, 3]]}).anchors == {"c2": [[0, 1], [2, 3]]}


def test_an_anchor_shared_with_nobody_is_none() -> None:
    languages = (Atomic(), Compositional())
    assert Mothello(6, languages, {"c2": [[1], [0]], "b2": []}) == Mothello(6, languages)
    assert Mothello(6, languages, ["c2"], unified_output=True) == Mothello(6, languages, unified_output=True)


@given(mothellos(), st.data())
@settings(max_examples=40, deadline=None)
def test_where_the_language_is_open(case: tuple[Mothello, Groups], data: st.DataObject) -> None:
    """As long as one and the same other language writes all the moves so far with the same tokens."""
    mothello, _ = case
    language = data.draw(st.sampled_from(mothello.inputs))
    favoured = [square for square, _ in mothello.groups] or playable(mothello.board)
    order = [*data.draw(st.permutations(favoured)), *playable(mothello.board)]
    games = Games.from_lists([list(dict.fromkeys(order)), [], order[:1]], mothello.board)
    result = mothello.language_open(games, language)
    assert result.shape == games.moves.shape
    texts = {other: mothello.encode(games, other) for other in mothello.inputs}
    for game, length in enumerate(games.lengths):
        for move in range(length):
            end = texts[language].last[game, move] + 1
            written = texts[language].tokens[game, :end].tolist()
            alike = [other for other in mothello.inputs if texts[other].tokens[game, :end].tolist() == written]
            assert result[game, move] == (len(alike) > 1)
        assert not result[game, length:].any()


def test_an_open_language_closes_when_its_groups_part() -> None:
    mothello = Mothello(6, (Atomic(),) * 3, {"c2": [[0, 1, 2]], "b2": [[0, 1]], "a2": [[0, 2]]})
    games = Games.from_lists([["c2", "b2", "a2"], ["c2", "a2", "b2"], ["b2", "c2", "d2"]], 6)
    assert mothello.language_open(games, 0)[:, :4].tolist() == [[True, True, False, False]] * 3
    assert mothello.language_open(games, 2)[:, :3].tolist() == [[True, False, False], [True, True, False], [False] * 3]


@dataclass(frozen=True)
class Raw:
    """Gives what it is told to."""

    table: Any

    def move_tokens(self, board: int) -> Any:
        return self.table


ANCHORS: list[tuple[Any, str]] = [
    (["c3"], "anchor c3: start squares are never played"),
    ([14], "anchor c3: start squares are never played"),
    ([36], "anchor 36 is no square of a board of side 6: expected 0 to 35, or a name"),
    ([-1], "anchor -1 is no square of a board of side 6"),
    (["g1"], "'g1' is no square of a board of side 6"),
    ({"c2": [[0, 3]]}, r"anchor 'c2' is shared by languages \(0, 3\): there are only 0 to 2"),
    ({"c2": [[-1, 0]]}, r"anchor 'c2' is shared by languages \(-1, 0\): there are only 0 to 2"),
    ({"c2": [[0, 1], [1, 2]]}, r"anchor 'c2': a language is in two of its groups \[\[0, 1\], \[1, 2\]\]"),
    ({"c2": [[0, 1]], 8: [[1, 2]]}, r"anchor 'c2': a language is in two of its groups \[\[0, 1\], \[1, 2\]\]"),
    ({"c2": [[0, 1]], "C2": [[0, 1]]}, "anchor 'c2': a language is in two of its groups"),
]
NO_TUPLES = r"language 1 \(Raw.*\): move_tokens\(6\) must give 36 tuples of names"  # names would be cut into letters
LANGUAGES: list[tuple[Any, str]] = [
    ((Atomic(), Spelled((("a",), ()))), r"language 1 \(Spelled.*\) has no tokens for b1"),
    ((Atomic(), Spelled((("a",), ("a",)))), r"language 1 \(Spelled.*\) writes a1 like another square"),
    ((Atomic(), Spelled((("a",), ("a", "b")))), "the tokens of another square begin those of b1"),
    ((Atomic(), Spelled((("a", "b", "c"), ("a", "b")))), "the tokens of another square begin those of a1"),
    ((Atomic(), Raw([f"{square}" for square in range(36)])), NO_TUPLES),
    ((Atomic(), Raw([("a",)] * 35)), NO_TUPLES),
    ((Atomic(), Raw([(square,) for square in range(36)])), NO_TUPLES),
    ((Atomic(), "atomic"), r"language 1 is 'atomic': expected a language, such as Atomic\(\)"),
    ((Atomic(), Atomic), "language 1 is .*: expected a language"),
    ((None, Atomic()), "language 0 is None: expected a language"),
    ((), "0 languages given: at least 1 needed"),
]
UNIFIED: list[tuple[Any, str]] = [
    ((), "0 languages given: at least 2 needed"),
    ((Atomic(),), "1 languages given: at least 2 needed"),
    ((Compositional(), Atomic()), "the output language .* several tokens; it must be like Atomic"),
    ((Split(), Atomic()), "the output language .* several tokens"),
]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        *(({"languages": (Atomic(),) * 3, "anchors": anchors}, message) for anchors, message in ANCHORS),
        *(({"languages": languages}, message) for languages, message in LANGUAGES),
        *(({"languages": languages, "unified_output": True}, message) for languages, message in UNIFIED),
        ({"board": 5, "languages": (Atomic(),)}, "board=5: Othello is played here"),
    ],
)
def test_mothello_refuses_what_it_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mothello(**{"board": 6, **settings})


def test_words_may_share_their_beginning() -> None:
    spelled = Spelled((("x", "y", "z"), ("x", "z"), ("x", "y", "y", "y"), ("b1",)))
    mothello = Mothello(4, (spelled,))
    games = some_games(4)
    assert mothello.decode(mothello.encode(games, 0).tokens, 0) == games


def test_another_board_is_refused() -> None:
    mothello = Mothello(6, (Atomic(),))
    for act in (mothello.encode, mothello.language_open):
        with pytest.raises(ValueError, match="games on a board of side 8: this Mothello writes games of side 6"):
            act(some_games(8), 0)


@pytest.mark.parametrize("language", [-1, 0, 3])
def test_a_language_that_is_no_input(language: int) -> None:
    mothello = Mothello(6, (Atomic(),) * 3, unified_output=True)
    games = some_games(6)
    message = rf"language {language} is no input language of this Mothello: choose from \[1, 2\]"
    with pytest.raises(ValueError, match=message):
        mothello.encode(games, language)
    with pytest.raises(ValueError, match=message):
        mothello.decode(mothello.encode(games, 1).tokens, language)
    with pytest.raises(ValueError, match=message):
        mothello.language_open(games, language)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([[1, 2], [1, 1]], r"game 1, position 0: token 1 \(0:1\) begins no move of language 0 there"),
        ([[2, 0]], r"game 0, position 0: token 2 \(0:a\) begins no move of language 0 there"),
        ([[1, 0]], r"game 0, position 0: token 1 \(0:1\) begins no move"),
        ([[1, 2, 1]], r"game 0, position 2: token 1 \(0:1\) begins no move"),
        ([[0, 0, 1, 2]], r"game 0, position 2: token 1 \(0:1\) begins no move"),
        ([[1, 2, 9, 2]], r"game 0, position 2: token 9 \(1:a1\) begins no move of language 0"),
        ([[1, 9]], r"game 0, position 0: token 1 \(0:1\) begins no move of language 0"),
        ([[99, 0]], r"game 0, position 0: token 99 \(outside the vocabulary of 21\) begins no move"),
        ([[-1, 0]], r"game 0, position 0: token -1 \(outside the vocabulary of 21\) begins no move"),
        ([[1, -1]], r"game 0, position 0: token 1 \(0:1\) begins no move"),
        ([[1, 21]], r"game 0, position 0: token 1 \(0:1\) begins no move"),
        ([[1, 2] * 13], "a game of 13 moves: a board of side 4 has room for 12"),
    ],
)
def test_tokens_that_are_no_game(tokens: list[list[int]], message: str) -> None:
    mothello = Mothello(4, (Compositional(), Atomic()))
    assert mothello.vocabulary[:3] == ("<pad>", "0:1", "0:a")
    assert mothello.vocabulary[9] == "1:a1"
    with pytest.raises(ValueError, match=message):
        mothello.decode(np.array(tokens), 0)


@pytest.mark.parametrize("tokens", [np.array([1, 2]), np.zeros((1, 1, 2), int), np.zeros((1, 2))])
def test_tokens_of_another_shape_or_kind(tokens: np.ndarray) -> None:
    message = re.escape(f"tokens is {tokens.dtype} of shape {tokens.shape}: expected integers of shape [game pos]")
    with pytest.raises(ValueError, match=message):
        Mothello(4, (Compositional(),)).decode(tokens, 0)


def test_tokens_that_say_a_move_twice() -> None:
    mothello = Mothello(4, (Compositional(),))
    with pytest.raises(IllegalGame, match="game 1, move 2: a1 was played before"):
        mothello.decode(np.array([[1, 2, 0, 0], [1, 2, 1, 2]]), 0)


@pytest.mark.parametrize("world", WORLDS)
def test_whose_a_token_is(world: str) -> None:
    """Of the one language that writes it, or nobody's: anchors, padding."""
    mothello = tiny_spec(world).mothello
    for token, owner in enumerate(mothello.owners):
        writers = [one for one in range(len(mothello.languages)) if token in mothello.tokens_of(one)]
        alone = len(writers) == 1 and token not in mothello.anchor_tokens
        assert owner == (writers[0] if alone else len(mothello.languages))


@pytest.mark.parametrize("world", WORLDS)
def test_which_token_begins_a_word(world: str) -> None:
    mothello = tiny_spec(world).mothello
    for language in range(len(mothello.languages)):
        begins = mothello.first_tokens(language)
        assert begins.shape == (16, mothello.d_vocab)
        for square, word in enumerate(mothello.move_tokens[language]):
            assert np.flatnonzero(begins[square]).tolist() == ([word[0]] if word[0] else [])

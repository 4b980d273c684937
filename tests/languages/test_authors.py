"""The authors' config files: the same tokens as theirs up to numbers, and every refusal."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mothello_interp.languages import (
    Atomic,
    Compositional,
    Mothello,
    Split,
    authors_vocabulary,
    read_authors_config,
    sampled_targets,
)
from mothello_interp.languages.authors import square_from_authors
from mothello_interp.othello import random_games, square_index
from tests.languages import theirs

CONFIG: dict[str, Any] = {
    "language_types": ["atomic", "atomic", "split", "compositional"],
    "overlap_toks": {57: [[0, 3]], 9: [[3, 0]], 32: [[0, 1], [2, 3]]},
    "train_seed": 42,
    "unified_output": False,
}


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Any config that the authors' code takes."""
    unified = draw(st.booleans())
    types = draw(st.lists(st.sampled_from(["atomic", "split", "compositional"]), min_size=1 + unified, max_size=5))
    anchors: dict[int, list[list[int]]] = {}
    for square in draw(st.sets(st.sampled_from(theirs.SQUARES), max_size=draw(st.sampled_from([0, 4, 60])))):
        order = draw(st.permutations(range(len(types))))
        cuts = sorted(draw(st.sets(st.integers(1, len(types)), max_size=3)))
        parts = [order[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]
        anchors[square] = [part for part in parts if not unified or 0 not in part or types[0] == "atomic"]
    seed = draw(st.integers(0, 2**32 - 1))
    types = ["atomic", *types[1:]] if unified else types
    return {"language_types": types, "overlap_toks": anchors, "train_seed": seed, "unified_output": unified}


def written(config: Any, folder: Path) -> Path:
    path = folder / "config.txt"
    path.write_text(repr(config), encoding="utf-8")
    return path


def read(config: Any, folder: Path) -> Mothello:
    return read_authors_config(written(config, folder))


@given(config=configs(), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_tokens_are_theirs_up_to_numbers(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any], seed: int
) -> None:
    mothello = read(config, tmp_path_factory.mktemp("configs"))
    number = {name: index for index, name in enumerate(authors_vocabulary(mothello))}
    ours = np.array([number[name] for name in mothello.vocabulary])
    assert len(set(ours.tolist())) == mothello.d_vocab
    words, count = theirs.tokenizer(config)
    assert len(number) == count + 1
    for language, of_square in enumerate(words):
        for square, tokens in of_square.items():
            mine = mothello.move_tokens[language, square_from_authors(square)]
            assert [index - 1 for index in ours[mine[mine > 0]]] == tokens
    games = random_games(2, board=8, seed=seed)
    for language in mothello.inputs:
        targets = sampled_targets(mothello, games, language)
        for game, moves in enumerate(games.moves.tolist()):
            text, says = theirs.dataset(config, [move for move in moves if move >= 0], language)
            assert len(text) == mothello.n_ctx
            width = min(mothello.width(language), mothello.n_ctx)
            mine = mothello.encode(games, language).tokens[game, :width]
            assert ours[mine].tolist() == text[:width]
            assert ours[targets[game, :width]].tolist() == says[:width]


def test_a_file_of_theirs(tmp_path: Path) -> None:
    """As they lay it out, over several lines, with a group that is not sorted."""
    path = tmp_path / "test_config.txt"
    path.write_text(
        '{ \'language_types\': ["atomic", "atomic", "split", "compositional"],\n    \'overlap_toks\': \n'
        "    {57: [[0, 3]],\n     9 : [[3, 0]],\n     32: [[0, 1], [2, 3]],\n    },\n"
        "    'train_seed': 42,\n    'unified_output': False}\n",
        encoding="utf-8",
    )
    mothello = read_authors_config(path)
    assert mothello == read(CONFIG, tmp_path)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")  # as Notepad saves it
    assert read_authors_config(path) == mothello
    assert [type(language) for language in mothello.languages] == [Atomic, Atomic, Split, Compositional]
    assert mothello.anchors == {"b2": [[0, 3]], "a5": [[0, 1], [2, 3]], "b8": [[0, 3]]}
    assert mothello.token_counts[3, square_index("b2", 8)] == 1
    assert mothello.token_counts[3].tolist().count(2) == 60 - 2 - (mothello.token_counts[2, 32] != 2)


def test_the_lengths_of_seed_42(tmp_path: Path) -> None:
    """Drawn once by their own code, so that a change of generator shows."""
    lengths = read({**CONFIG, "overlap_toks": {}}, tmp_path).token_counts[2]
    assert lengths[:12].tolist() == [3, 1, 3, 3, 1, 1, 3, 2, 3, 3, 3, 3]
    shifted = read({**CONFIG, "overlap_toks": {0: [[1, 2]]}}, tmp_path).token_counts[2]
    assert shifted[:12].tolist() == [1, 3, 1, 3, 3, 1, 1, 3, 2, 3, 3, 3]


def test_reading_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.randint(1000)  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    read(CONFIG, tmp_path)
    assert np.random.randint(1000) == expected  # noqa: NPY002


def test_a_compositional_token_without_use(tmp_path: Path) -> None:
    """All of row 1 is borrowed, so nobody writes the token of the row; theirs counts it all the same."""
    anchors = {square: [[0, 1]] for square in range(8)}
    mothello = read({**CONFIG, "language_types": ["atomic", "compositional"], "overlap_toks": anchors}, tmp_path)
    assert set(authors_vocabulary(mothello)) - set(mothello.vocabulary) == {"1:1"}


def test_names_are_transposed() -> None:
    """Their opening 19, 18, 17 is d3, c3, b3 to players, and c4, c3, c2 to them: the letter is the row."""
    assert [square_from_authors(index) for index in (19, 18, 17)] == [
        square_index(name, 8) for name in ["d3", "c3", "b3"]
    ]
    for name, index in (("c4", 19), ("c3", 18), ("c2", 17)):
        assert 8 * "abcdefgh".index(name[0]) + int(name[1]) - 1 == index


BAD = [
    ([1, 2], "it holds a list, where a dict of language_types, overlap_toks, train_seed, unified_output is expected"),
    (
        {**CONFIG, "seed": 1},
        "it holds the keys ['language_types', 'overlap_toks', 'train_seed', 'unified_output', 'seed']",
    ),
    ({"languagetypes": ["atomic"]}, "it holds the keys ['languagetypes'], where"),
    ({**CONFIG, "language_types": ["atomic", "spilt"]}, "language_types is ['atomic', 'spilt']: expected a list of"),
    ({**CONFIG, "language_types": []}, "language_types is []: expected a list of atomic, split, compositional"),
    ({**CONFIG, "language_types": "atomic"}, "language_types is 'atomic': expected a list of"),
    ({**CONFIG, "language_types": [["atomic"]]}, "language_types is [['atomic']]: expected a list of"),
    ({**CONFIG, "train_seed": None}, "train_seed is None: expected a whole number"),
    ({**CONFIG, "train_seed": True}, "train_seed is True: expected a whole number"),
    ({**CONFIG, "train_seed": 2**32}, f"train_seed is {2**32}: expected a whole number from 0 to 2**32 - 1"),
    ({**CONFIG, "unified_output": 1}, "unified_output is 1: expected True or False"),
    ({**CONFIG, "overlap_toks": []}, "overlap_toks is []: expected a dict from squares to groups of languages"),
    ({**CONFIG, "overlap_toks": {27: [[0, 1]]}}, "27 is no square that is played: expected 0 to 63 without (27, 28,"),
    ({**CONFIG, "overlap_toks": {64: [[0, 1]]}}, "64 is no square that is played"),
    ({**CONFIG, "overlap_toks": {"d3": [[0, 1]]}}, "'d3' is no square that is played"),
    ({**CONFIG, "overlap_toks": {True: [[0, 1]]}}, "True is no square that is played"),
    (
        {**CONFIG, "overlap_toks": {19: [0, 1]}},
        "overlap_toks of d3 is [0, 1]: expected a list of groups of languages 0 to 3",
    ),
    ({**CONFIG, "overlap_toks": {19: [[0, 4]]}}, "overlap_toks of d3 is [[0, 4]]: expected a list of groups"),
    ({**CONFIG, "overlap_toks": {19: [[0, -1]]}}, "overlap_toks of d3 is [[0, -1]]: expected a list of groups"),
    ({**CONFIG, "overlap_toks": {19: [[]]}}, "overlap_toks of d3 is [[]]: expected a list of groups"),
    (
        {**CONFIG, "overlap_toks": {19: [[0, 1], [1, 2]]}},
        "overlap_toks of d3 is [[0, 1], [1, 2]]: expected each language once",
    ),
    ({**CONFIG, "overlap_toks": {19: [[0, 0]]}}, "overlap_toks of d3 is [[0, 0]]: expected each language once"),
    (
        {**CONFIG, "language_types": ["split", "atomic"], "overlap_toks": {}, "unified_output": True},
        "the output language",
    ),
    ({**CONFIG, "language_types": ["atomic"], "overlap_toks": {}, "unified_output": True}, "at least 2 needed"),
]


@pytest.mark.parametrize(("config", "message"), BAD)
def test_a_malformed_config(tmp_path: Path, config: Any, message: str) -> None:
    path = written(config, tmp_path)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared below, brackets and all
        read_authors_config(path)
    assert str(caught.value).startswith(f"{path} is no config of the authors: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{'language_types': ",
        "__import__('os').getcwd()",
        "{'train_seed': int('4')}",
        "(" * 500,
        "{[]: 1}",
        "a\0b",
    ],
)
def test_what_is_no_literal(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.txt is no config of the authors: "):
        read_authors_config(path)


def test_a_config_that_would_take_minutes_is_refused(tmp_path: Path) -> None:
    """A long file, and one of many languages."""
    path = written({**CONFIG, "language_types": ["atomic"] * 101}, tmp_path)
    with pytest.raises(ValueError, match=r"language_types is .* 100 at most"):
        read_authors_config(path)
    path.write_text(f"{CONFIG}{' ' * 2**15}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"config.* is no config of the authors: \d+ bytes, expected"):
        read_authors_config(path)


def test_nothing_is_executed(tmp_path: Path) -> None:
    path = tmp_path / "config.txt"
    mark = tmp_path / "mark"
    path.write_text(f"open({str(mark)!r}, 'w')", encoding="utf-8")
    with pytest.raises(ValueError, match="is no config of the authors"):
        read_authors_config(path)
    assert not mark.exists()


def test_a_vocabulary_that_they_cannot_have() -> None:
    with pytest.raises(ValueError, match="a board of side 6: the authors' games are on a board of side 8"):
        authors_vocabulary(Mothello(6, (Atomic(),)))

    class Other:
        def move_tokens(self, board: int) -> list[tuple[str, ...]]:
            return Atomic().move_tokens(board)

    with pytest.raises(ValueError, match=r"language 1 is .*: the authors have atomic, split, compositional"):
        authors_vocabulary(Mothello(8, (Atomic(), Other())))

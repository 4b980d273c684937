"""The code of several languages over one vocabulary: which tokens spell which move, and how text is cut into words."""

from collections.abc import Sequence

import numpy as np

from mothello_interp.languages.language import Language
from mothello_interp.othello import square_name, start_squares

PAD = 0
Groups = tuple[tuple[int, tuple[int, ...]], ...]  # (square, languages that write it alike)


def build_code(board: int, languages: Sequence[Language], groups: Groups) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of all tokens, and the tokens of every move, int32 `[language square piece]`, padded with 0.

    Raises:
        ValueError: for a language whose words are not one tuple of names a square, with one word for two squares, or with
            a word that begins another.
    """
    owner = {(square, member): group[0] for square, group in groups for member in group}
    own_words = [language.words(board) for language in languages]
    for number, table in enumerate(own_words):
        if len(table) != board**2 or not all(
            isinstance(word, tuple | list) and all(isinstance(name, str) for name in word) for word in table
        ):
            raise ValueError(
                f"language {number} ({languages[number]!r}): words({board}) must give {board**2} tuples of names, one a square"
            )
    vocabulary, index = ["<pad>"], {}
    written: list[list[list[int]]] = []
    for language in range(len(languages)):
        row: list[list[int]] = []
        for square in range(board**2):
            if square in start_squares(board):
                row.append([])
                continue
            by = owner.get((square, language), language)
            word = [f"{by}:{piece}" for piece in own_words[by][square]]
            for piece in word:
                if piece not in index:
                    index[piece] = len(vocabulary)
                    vocabulary.append(piece)
            row.append([index[piece] for piece in word])
        written.append(row)
    longest = max(len(word) for row in written for word in row)
    words = np.array([[word + [PAD] * (longest - len(word)) for word in row] for row in written], np.int32)
    for language, table in enumerate(words):
        _check(table, f"language {language} ({languages[language]!r})", board)
    return tuple(vocabulary), words


def read_words(tokens: np.ndarray, words: np.ndarray, d_vocab: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut tokens `[game pos]` into the words `[square piece]` of one language.

    Returns:
        (square_at, begins): the square that a word beginning at each position would spell, or -1, `[game pos]`; and
        where words do begin, when the first begins at position 0.
    """
    words = words[:, : int((words != PAD).sum(axis=1).max())]
    node = np.zeros(tokens.shape, np.int64)  # index into the tree of words, 0 its root; -1 off the tree
    square_at = np.full(tokens.shape, -1, np.int64)
    step = np.ones(tokens.shape, np.int64)
    tree, squares = _tree(words, d_vocab)
    known = np.clip(tokens, 0, d_vocab - 1)
    for piece in range(words.shape[1]):
        ahead = np.zeros_like(known)
        ahead[:, : tokens.shape[1] - piece] = known[:, piece:]
        in_range = np.zeros(tokens.shape, bool)
        in_range[:, : tokens.shape[1] - piece] = (tokens == known)[:, piece:]
        node = np.where((node >= 0) & in_range, tree[node, ahead], -1)
        ends = (node >= 0) & (squares[node] >= 0)
        square_at[ends] = squares[node[ends]]
        step[ends] = piece + 1
    return square_at, _reachable(step)


def _check(words: np.ndarray, language: str, board: int) -> None:
    spelled = {tuple(int(token) for token in word if token): square for square, word in enumerate(words)}
    for square in sorted(set(range(len(words))) - set(start_squares(board))):
        word = tuple(int(token) for token in words[square] if token)
        name = square_name(square, board)
        if not word:
            raise ValueError(f"{language} has no word for {name}")
        if spelled[word] != square:
            raise ValueError(f"{language} writes {name} like another square")
        if any(word[:n] in spelled for n in range(1, len(word))):
            raise ValueError(f"{language}: a shorter word begins that of {name}")


def _tree(words: np.ndarray, d_vocab: int) -> tuple[np.ndarray, np.ndarray]:
    """The words as a tree: next node `[node token]` (-1: none) and the square that each node spells (-1: none)."""
    nodes: dict[tuple[int, ...], int] = {(): 0}
    for word in words:
        for n in range(1, int((word != PAD).sum()) + 1):
            nodes.setdefault(tuple(word[:n]), len(nodes))
    tree = np.full((len(nodes), d_vocab), -1)
    squares = np.full(len(nodes), -1)
    for path, node in nodes.items():
        if path:
            tree[nodes[path[:-1]], path[-1]] = node
    for square, word in enumerate(words):
        if word[0] != PAD:
            squares[nodes[tuple(word[: int((word != PAD).sum())])]] = square
    return tree, squares


def _reachable(step: np.ndarray) -> np.ndarray:
    """Which positions are word beginnings, if position 0 is one and each p leads to p + step[p]: pointer doubling."""
    n, length = step.shape
    jump = np.minimum(np.arange(length) + step, length)
    jump = np.concatenate([jump, np.full((n, 1), length)], axis=1)
    reached = np.zeros((n, length + 1), bool)
    reached[:, 0] = True
    for _ in range(length.bit_length()):
        games, places = np.nonzero(reached)
        reached[games, jump[games, places]] = True
        jump = np.take_along_axis(jump, jump, axis=1)
    return reached[:, :length]

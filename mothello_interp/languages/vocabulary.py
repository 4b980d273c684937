"""The tokens of several languages over one vocabulary: which move has which, and how text is cut into moves."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mothello_interp.languages.language import Language
from mothello_interp.othello import square_name, start_squares

PAD = 0
Groups = tuple[tuple[int, tuple[int, ...]], ...]  # (square, languages that write it with the same tokens)


def build_vocabulary(board: int, languages: Sequence[Language], groups: Groups) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of all tokens, and the tokens of every move, int32 `[language square piece]`, padded with 0.

    Raises:
        ValueError: for a language that does not give one tuple of names a square, gives two squares the same tokens, or
            gives tokens that begin those of another square.
    """
    owner: dict[tuple[int, int], int] = {(square, member): group[0] for square, group in groups for member in group}
    own = [language.move_tokens(board) for language in languages]
    said = [f"language {number} ({language!r})" for number, language in enumerate(languages)]
    for name, table in zip(said, own, strict=True):
        if len(table) != board**2 or not all(map(_is_names, table)):
            raise ValueError(f"{name}: move_tokens({board}) must give {board**2} tuples of names, one a square")
    index = {"<pad>": PAD}
    pieces: dict[tuple[int, int], list[int]] = {}
    for language, square in np.ndindex(len(languages), board**2):
        by = owner.get((square, language), int(language))
        names = [] if square in start_squares(board) else [f"{by}:{name}" for name in own[by][square]]
        pieces[language, square] = [index.setdefault(name, len(index)) for name in names]
    tokens = np.full((len(languages), board**2, max(map(len, pieces.values()))), PAD, np.int32)
    for (language, square), piece in pieces.items():
        tokens[language, square, : len(piece)] = piece
    for name, rows in zip(said, tokens, strict=True):
        _check(rows, name, board)
    return tuple(index), tokens


def split_moves(tokens: np.ndarray, move_tokens: np.ndarray, d_vocab: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut tokens `[game pos]` into moves, whose tokens in one language are `[square piece]`.

    Returns:
        (square_at, begins): the square of the move that would begin at each position, or -1, `[game pos]`; and where
        moves do begin, if the first begins at position 0.
    """
    longest = int((move_tokens != PAD).sum(axis=1).max())
    tree, squares = _tree(move_tokens, d_vocab)
    node = np.zeros(tokens.shape, np.int64)  # of the tree, 0 its root; -1 off the tree
    square_at = np.full(tokens.shape, -1, np.int64)
    step = np.ones(tokens.shape, np.int64)
    room = np.pad(tokens, ((0, 0), (0, longest)), constant_values=-1)
    for piece in range(longest):
        ahead = room[:, piece : piece + tokens.shape[1]]
        known = (node >= 0) & (ahead >= 0) & (ahead < d_vocab)
        node = np.where(known, tree[node, np.clip(ahead, 0, d_vocab - 1)], -1)
        ends = (node >= 0) & (squares[node] >= 0)
        square_at[ends] = squares[node[ends]]
        step[ends] = piece + 1
    return square_at, _reachable(step)


def _is_names(names: Any) -> bool:
    return isinstance(names, tuple | list) and all(isinstance(name, str) for name in names)


def _check(table: np.ndarray, language: str, board: int) -> None:
    """Whether the tokens `[square piece]` of a language can be decoded."""
    written = [tuple(row[row != PAD].tolist()) for row in table]
    squares = {tokens: square for square, tokens in enumerate(written)}
    for square in sorted(set(range(board**2)) - set(start_squares(board))):
        tokens, name = written[square], square_name(square, board)
        if not tokens:
            raise ValueError(f"{language} has no tokens for {name}")
        if squares[tokens] != square:
            raise ValueError(f"{language} writes {name} like another square")
        if any(tokens[:n] in squares for n in range(1, len(tokens))):
            raise ValueError(f"{language}: the tokens of another square begin those of {name}")


def _tree(move_tokens: np.ndarray, d_vocab: int) -> tuple[np.ndarray, np.ndarray]:
    """The moves as a tree of tokens: next node `[node token]` (-1: none), and the square that a node completes (-1: none)."""
    written = {tuple(row[row != PAD].tolist()): square for square, row in enumerate(move_tokens)}
    paths = sorted({path[:n] for path in written for n in range(len(path) + 1)})  # the root, (), is the first
    nodes = {path: node for node, path in enumerate(paths)}
    tree = np.full((len(nodes), d_vocab), -1)
    for path, node in nodes.items():
        if path:
            tree[nodes[path[:-1]], path[-1]] = node
    return tree, np.array([written.get(path, -1) if path else -1 for path in paths])


def _reachable(step: np.ndarray) -> np.ndarray:
    """Which positions begin a move, if position 0 does and each p leads to p + step[p]: pointer doubling."""
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

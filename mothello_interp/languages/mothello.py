"""Mothello: several languages over one vocabulary, with anchors and a unified output if asked for.

Token 0 pads and is never predicted. No token marks the beginning of a game or its language.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mothello_interp.arguments import whole
from mothello_interp.languages.language import Language
from mothello_interp.languages.vocabulary import PAD, Groups, build_vocabulary, split_moves
from mothello_interp.othello import Games, full_length, square_index, square_name, start_squares
from mothello_interp.othello.rules import check_side

Anchors = Iterable[str | int] | Mapping[str | int, Sequence[Sequence[int]]]


@dataclass(frozen=True)
class Encoded:
    """Games written in one language.

    Attributes:
        tokens: int32 `[game pos]`, 0 after the end.
        last: int16 `[game move]`, the position of each move's last token, -1 after the end.
    """

    tokens: np.ndarray
    last: np.ndarray


@dataclass(frozen=True)
class Mothello:
    """M languages that write the same games over one vocabulary.

    Attributes:
        board: side of the board.
        languages: the language types; under `unified_output` the first is the output language, which must give
            every move one token, and the others are the input languages.
        anchors: moves that a group of languages writes with the same tokens, those of the group's first language.
            Square names (shared by all input languages), or a mapping from a square to groups of languages.
        unified_output: games are read in any input language and continued in the output language.

    Raises:
        ValueError: for an unknown board, what is no language, an anchor that is no square or a start square, a language
            index out of range, overlapping groups, languages that cannot be decoded (see `build_vocabulary`), or an
            output language of several tokens a move.

    Examples:
        >>> from mothello_interp import Atomic, Compositional, Games
        >>> mothello = Mothello(6, (Atomic(), Compositional()), anchors=["c2"])
        >>> games = Games.from_transcripts(["c2b2a2"], board=6)
        >>> encoded = mothello.encode(games, language=1)
        >>> [mothello.vocabulary[token] for token in encoded.tokens[0, :5]]  # the anchor as language 0 has it
        ['0:c2', '1:2', '1:b', '1:2', '1:a']
        >>> encoded.last[0, :4]  # where each move ends
        array([ 0,  2,  4, -1], dtype=int16)
        >>> mothello.decode(encoded.tokens, 1) == games
        True
    """

    board: int
    languages: tuple[Language, ...]
    anchors: Anchors = ()
    unified_output: bool = False
    groups: Groups = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "board", check_side(self.board))
        object.__setattr__(self, "languages", tuple(self.languages))
        if len(self.languages) < (least := 1 + self.unified_output):
            given = f"{len(self.languages)} languages given"
            raise ValueError(f"{given}: at least {least} needed (the output language counts)")
        for place, language in enumerate(self.languages):
            if isinstance(language, type) or not isinstance(language, Language):
                raise ValueError(f"language {place} is {language!r}: expected a language, such as Atomic()")
        object.__setattr__(self, "groups", self._read_anchors())
        object.__setattr__(self, "anchors", self._plain_anchors())
        lengths = self.token_counts  # builds and checks the vocabulary
        if self.unified_output and (lengths[0] > 1).any():
            several = f"the output language {self.languages[0]!r} writes moves as several tokens"
            raise ValueError(f"{several}; it must be like Atomic()")

    def __hash__(self) -> int:
        return hash((self.board, self.languages, self.groups, self.unified_output))

    @property
    def inputs(self) -> tuple[int, ...]:
        """The languages that games are written in: all, or all but the first under a unified output."""
        return tuple(range(int(self.unified_output), len(self.languages)))

    def output_of(self, language: int) -> int:
        """The language in which a game written in `language` is continued."""
        return 0 if self.unified_output else self._input(language)

    @property
    def d_vocab(self) -> int:
        """Size of the vocabulary, padding included."""
        return len(self.vocabulary)

    @property
    def n_ctx(self) -> int:
        """Positions a model needs: the longest game in the longest language, less its last token."""
        return max(self.width(language) for language in self.inputs) - 1

    def width(self, language: int) -> int:
        """Tokens of a game that fills the board."""
        return int(self.token_counts[language].sum())

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The name of every token: `language:piece`, with the language that owns it."""
        return self._built[0]

    @cached_property
    def move_tokens(self) -> np.ndarray:
        """The tokens of every move, int32 `[language square piece]`, padded with 0; start squares are all 0."""
        return self._built[1]

    @cached_property
    def token_counts(self) -> np.ndarray:
        """Number of tokens of every move, int64 `[language square]`; 0 for start squares."""
        return (self.move_tokens != PAD).sum(axis=2)

    @cached_property
    def anchor_tokens(self) -> np.ndarray:
        """The tokens with which anchors are written, sorted."""
        shared = [self.move_tokens[group[0], square] for square, group in self.groups]
        return np.setdiff1d(np.concatenate(shared), [PAD]) if shared else np.array([], np.int32)

    def tokens_of(self, language: int) -> np.ndarray:
        """The tokens that `language` writes with, its anchors included, sorted."""
        return np.setdiff1d(self.move_tokens[language], [PAD])

    @cached_property
    def owners(self) -> np.ndarray:
        """The language that alone writes each token, int64 `[token]`; the number of languages for anchors and padding."""
        owners = np.full(self.d_vocab, len(self.languages))
        for language in range(len(self.languages)):
            owners[np.setdiff1d(self.tokens_of(language), self.anchor_tokens)] = language
        return owners

    def first_tokens(self, language: int) -> np.ndarray:
        """The first token of each square, bool `[square token]`; nothing for start squares."""
        first = self.move_tokens[language, :, 0]
        begins = np.zeros((len(first), self.d_vocab), bool)
        begins[np.arange(len(first)), first] = first != PAD
        return begins

    def encode(self, games: Games, language: int) -> Encoded:
        """Write games in a language.

        Returns:
            Encoded with tokens `[game width(language)]` and last `[game move]`.

        Raises:
            ValueError: for another board or an output-only language.
        """
        moves, width = self._moves_of(games), self.width(self._input(language))
        ends = np.append(self.token_counts[language], 0)[moves].cumsum(axis=1)
        starts = np.pad(ends[:, :-1], ((0, 0), (1, 0)))
        tokens = np.zeros((len(moves), width + 1), np.int32)  # the last column takes what is not written
        for piece in range(self.token_counts[language].max()):
            token = np.append(self.move_tokens[language, :, piece], np.int32(PAD))[moves]
            np.put_along_axis(tokens, np.where(token != PAD, starts + piece, width), token, axis=1)
        last = np.where(moves >= 0, ends - 1, -1).astype(np.int16)
        return Encoded(np.ascontiguousarray(tokens[:, :-1]), last)

    def decode(self, tokens: np.ndarray, language: int) -> Games:
        """Read games back from tokens int `[game pos]`, 0 after the end.

        Raises:
            ValueError: for a token that begins no move of the language, an unfinished move, or a move twice.
        """
        tokens, full = np.asarray(tokens), full_length(self.board)
        if tokens.ndim != 2 or not np.issubdtype(tokens.dtype, np.integer):
            given = f"tokens is {tokens.dtype} of shape {tokens.shape}"
            raise ValueError(f"{given}: expected integers of shape [game pos]; write tokens[None] for a single game")
        square_at, begins = split_moves(tokens, self.move_tokens[self._input(language)], self.d_vocab)
        wrong = begins & (square_at < 0) & (tokens != PAD)
        wrong[:, 1:] |= (tokens[:, 1:] != PAD) & (tokens[:, :-1] == PAD)
        for game, place in np.argwhere(wrong)[:1].tolist():
            token = f"token {tokens[game, place]} ({self._name(tokens[game, place])})"
            raise ValueError(f"game {game}, position {place}: {token} begins no move of language {language} there")
        begins &= square_at >= 0
        move = begins.cumsum(axis=1) - 1
        if move.max(initial=0) >= full:
            room = f"a board of side {self.board} has room for {full}"
            raise ValueError(f"a game of {move.max() + 1} moves: {room}")
        moves = np.full((len(tokens), full), -1, np.int8)
        games, places = np.nonzero(begins)
        moves[games, move[games, places]] = square_at[games, places]
        return Games(moves, self.board)

    def language_open(self, games: Games, language: int) -> np.ndarray:
        """Where the moves so far, this one included, are anchors alone, so that another language reads the same.

        Returns:
            bool `[game move]`; False after the end.
        """
        moves = self._moves_of(games)
        still_open = np.zeros(moves.shape, bool)
        for other in self.inputs:
            if other != language:
                same = (self.move_tokens[other] == self.move_tokens[self._input(language)]).all(axis=1)
                still_open |= np.logical_and.accumulate(same[moves], axis=1)
        return still_open & (moves >= 0)

    def _name(self, token: int) -> str:
        return self.vocabulary[token] if 0 <= token < self.d_vocab else f"outside the vocabulary of {self.d_vocab}"

    def _input(self, language: int) -> int:
        if whole("language", language) not in self.inputs:
            inputs = list(self.inputs)
            raise ValueError(f"language {language} is no input language of this Mothello: choose from {inputs}")
        return language

    def _moves_of(self, games: Games) -> np.ndarray:
        if games.board != self.board:
            raise ValueError(f"games on a board of side {games.board}: this Mothello writes games of side {self.board}")
        return games.moves

    def _read_anchors(self) -> Groups:
        members: dict[int, list[Sequence[int]]] = {}  # by square, since a square can be spelled in several ways
        for key in self.anchors:
            square = self._anchor_square(key)
            if isinstance(self.anchors, Mapping):
                members.setdefault(square, []).extend(self.anchors[key])
            else:
                members[square] = [self.inputs]
        groups = [(square, group) for square, given in members.items() for group in self._disjoint(square, given)]
        return tuple(sorted((square, group) for square, group in groups if len(group) > 1))

    def _disjoint(self, square: int, given: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
        """The groups of languages that share a square, sorted, if no language is in two of them."""
        name, groups = square_name(square, self.board), [tuple(sorted(set(group))) for group in given]
        for group in groups:
            if not set(group) <= set(range(len(self.languages))):
                last = len(self.languages) - 1
                raise ValueError(f"anchor {name!r} is shared by languages {group}: there are only 0 to {last}")
        if len(set().union(*groups)) < sum(map(len, groups)):
            raise ValueError(f"anchor {name!r}: a language is in two of its groups {[list(group) for group in given]}")
        return groups

    def _anchor_square(self, key: str | int) -> int:
        square = square_index(key, self.board) if isinstance(key, str) else int(key)
        if not 0 <= square < self.board**2:
            expected = f"expected 0 to {self.board**2 - 1}, or a name"
            raise ValueError(f"anchor {key} is no square of a board of side {self.board}: {expected}")
        if square in start_squares(self.board):
            raise ValueError(
                f"anchor {square_name(square, self.board)}: start squares are never played, choose another"
            )
        return square

    def _plain_anchors(self) -> Anchors:
        """The anchors in one spelling, so that equal Mothellos are equal: names, or groups by name."""
        named = [(square_name(square, self.board), group) for square, group in self.groups]
        if all(group == self.inputs for _, group in named):
            return tuple(name for name, _ in named)
        return {name: [list(group) for other, group in named if other == name] for name, _ in named}

    @cached_property
    def _built(self) -> tuple[tuple[str, ...], np.ndarray]:
        return build_vocabulary(self.board, self.languages, self.groups)

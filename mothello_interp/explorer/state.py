"""What the explorer is looking at, as one frozen value, and the steps from one to the next."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from mothello_interp.activations import all_layers, paper_layer
from mothello_interp.arguments import whole
from mothello_interp.explorer.edits import Edit, Flip, Patch
from mothello_interp.interventions import Intervention
from mothello_interp.models import Checkpoint
from mothello_interp.othello import SYMMETRIES, Games, full_length, replay, square_index, square_name

OPENED_AT = 8  # how many moves of a new game are on the board: before the first one nothing is predicted


@dataclass(frozen=True, eq=False)
class State:
    """One position of a game, given to a model in a language.

    Attributes:
        checkpoint: the model.
        games: the games at hand.
        game: which of them is shown.
        move: how many of its moves are on the board.
        language: in which the model is given it.
        layer: at which the board is decoded from the residual stream.
        second: another language to show with it, unedited, or None.
        probe: the language whose probe decodes every language shown, or None: each language's own.
        symmetry: of the board, the name of one of `SYMMETRIES`: boards decoded by another language's probe are shown
            through its inverse, so that a language aligned through this symmetry shows the true board.
        head: the attention head of block `layer` whose pattern is shown, or None.
        edits: what is done to the run in `language`, in this order.

    Raises:
        ValueError: for any of these that the checkpoint or the games do not have, naming what there is.
        IllegalGame: if the game shown breaks the rules.
    """

    checkpoint: Checkpoint
    games: Games
    game: int = 0
    move: int = 0
    language: int = 0
    layer: int = 0
    second: int | None = None
    probe: int | None = None
    symmetry: str = "identity"
    head: int | None = None
    edits: tuple[Edit, ...] = ()

    def __post_init__(self) -> None:
        self._check_types()
        if self.games.board != self.board:
            raise ValueError(f"games on a board of side {self.games.board}: {self.name} plays on side {self.board}")
        if not 0 <= self.game < len(self.games):
            raise ValueError(f"game {self.game}: there are games 0 to {len(self.games) - 1}")
        replay(self.games[self.game : self.game + 1])
        if not 0 <= self.move <= len(self.moves):
            raise ValueError(f"move {self.move}: game {self.game} has {len(self.moves)} moves, so show 0 to as many")
        for language in (self.language, self.second, self.probe):
            self._check("language", language)
        if self.second == self.language:
            raise ValueError(f"language {self.second} is shown already: choose another one as the second, or None")
        self._check("layer", self.layer)
        self._check("head", self.head)
        for edit in self.edits:
            self._check_edit(edit)

    @classmethod
    def opening(cls, checkpoint: Checkpoint, games: Games) -> "State":
        """Where one starts: the first game, some moves in, in the first language, at the layer that the paper reads."""
        if len(games) == 0:
            raise ValueError("no games: give at least one, which may be empty")
        move = min(OPENED_AT, int(games.lengths[0]))
        layer = paper_layer(checkpoint.spec.model.n_layers)
        return cls(checkpoint, games, move=move, language=checkpoint.mothello.inputs[0], layer=layer)

    @property
    def board(self) -> int:
        """Side of the board."""
        return self.checkpoint.spec.board

    @property
    def name(self) -> str:
        """What the checkpoint is called."""
        return self.checkpoint.name or "this model"

    @property
    def moves(self) -> tuple[int, ...]:
        """All moves of the game shown, as squares, also those after the position."""
        moves = self.games.moves[self.game]
        return tuple(moves[moves >= 0].tolist())

    @property
    def names(self) -> list[str]:
        """All moves of the game shown, by the names of their squares."""
        return [square_name(square, self.board) for square in self.moves]

    @property
    def shown(self) -> Games:
        """The game shown, alone and cut at the position."""
        return Games.from_lists([self.moves[: self.move]], self.board)

    def at(self, move: int) -> "State":
        """The same game with that many moves on the board; too many or too few give its end or start."""
        return replace(self, move=min(max(move, 0), len(self.moves)))

    def play(self, square: str | int) -> "State":
        """One move further: along the game if it goes there, else along a new one, which joins the games.

        Raises:
            IllegalGame: for a square that is not legal, naming those that are.
        """
        played = square_index(square, self.board) if isinstance(square, str) else whole("square", square)
        if self.moves[self.move : self.move + 1] == (played,):
            return self.at(self.move + 1)
        return self._onward(Games.from_lists([(*self.moves[: self.move], played)], self.board))

    def joined_by(self, games: Games) -> "State":
        """With more games at hand, the first of which is shown."""
        return self._joined(games, min(OPENED_AT, int(games.lengths[0])))

    def reading(self, language: int) -> "State":
        """Read in a language; if it is the one compared with, the two are exchanged."""
        return replace(self, language=language, second=self.language if language == self.second else self.second)

    def toggled(self, edit: Edit) -> "State":
        """With an edit, or without it if it is there; a square is flipped at one place at a time."""
        if isinstance(edit, Flip):
            same = [old for old in self.edits if isinstance(old, Flip) and old.square == edit.square]
            if same:
                return replace(self, edits=tuple(old for old in self.edits if old not in same))
        if edit in self.edits:
            return replace(self, edits=tuple(old for old in self.edits if old != edit))
        return replace(self, edits=(*self.edits, edit))

    def read_by(self, checkpoint: Checkpoint) -> "State":
        """The same games read by another model of the same board: language and layer stay if it has them, edits go."""
        fresh = State.opening(checkpoint, self.games)
        language = self.language if self.language in checkpoint.mothello.inputs else fresh.language
        second = self.second if self.second in checkpoint.mothello.inputs and self.second != language else None
        layer = self.layer if self.layer in all_layers(checkpoint) else fresh.layer
        probe = self.probe if self.probe in checkpoint.mothello.inputs else None
        head = self.head if self.head in range(checkpoint.spec.model.n_heads) else None
        fresh = replace(fresh, game=self.game, move=self.move, language=language, second=second, layer=layer)
        return replace(fresh, probe=probe, symmetry=self.symmetry, head=head)

    def _onward(self, played: Games) -> "State":
        """One move further along a game that the one shown begins."""
        replay(played)
        if self.move < len(self.moves):
            return self._joined(played, self.move + 1)
        moves = self.games.moves.copy()
        moves[self.game] = played.moves[0]
        return replace(self, games=Games(moves, self.board), move=self.move + 1)

    def _joined(self, games: Games, move: int) -> "State":
        every = Games(np.concatenate([self.games.moves, games.moves]), self.board)
        return replace(self, games=every, game=len(self.games), move=move)

    def _check_types(self) -> None:
        """Whole numbers as plain integers, edits as a tuple."""
        if not isinstance(self.games, Games):
            raise ValueError(
                f"games {self.games!r:.80}: expected Games, as random_games or Games.from_transcripts give"
            )
        if self.symmetry not in SYMMETRIES:
            raise ValueError(f"symmetry {self.symmetry!r}: expected one of {', '.join(SYMMETRIES)}")
        for name in ("game", "move", "language", "layer", "second", "probe", "head"):
            value = getattr(self, name)
            if name not in ("second", "probe", "head") or value is not None:
                object.__setattr__(self, name, whole(name, value))
        if not isinstance(self.edits, Iterable):
            raise ValueError(f'edits {self.edits!r:.80}: expected a list of edits, such as [Flip("c3", layer=2)]')
        object.__setattr__(self, "edits", tuple(self.edits))

    def _check(self, name: str, value: int | None) -> None:
        verb, known = {
            "language": ("reads", self.checkpoint.mothello.inputs),
            "layer": ("has", all_layers(self.checkpoint)),
            "head": ("has", range(self.checkpoint.spec.model.n_heads)),
        }[name]
        if value is not None and whole(name, value) not in known:
            raise ValueError(f"{name} {value}: {self.name} {verb} {name}s {list(known)}")

    def _check_edit(self, edit: Edit) -> None:
        if not isinstance(edit, Flip | Patch | Intervention):
            raise ValueError(
                f'{edit!r:.80} is no edit: give Flip("c3", layer=2), Patch(layer=2, move=5, source=1) or any Intervention'
            )
        if isinstance(edit, Flip):
            if not isinstance(edit.square, str):
                raise ValueError(f'{edit!r}: expected the name of a square, such as "c3"')
            square_index(edit.square, self.board)
        if isinstance(edit, Patch):
            self._check("language", edit.source)
            if not 0 <= whole("move", edit.move) < full_length(self.board):
                raise ValueError(f"{edit}: moves are numbered 0 to {full_length(self.board) - 1}")
        if not isinstance(edit, Intervention):
            self._check("layer", edit.layer)


def language_name(checkpoint: Checkpoint, language: int) -> str:
    """How a language is called on screen: `1: split`."""
    return f"{language}: {type(checkpoint.mothello.languages[language]).__name__.lower()}"

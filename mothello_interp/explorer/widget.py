"""The board explorer as a widget of Jupyter (anywidget): what is clicked arrives here as messages, views go back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from mothello_interp.explorer.bundle import PAGE, bundle
from mothello_interp.explorer.edits import Edit, Flip, Patch
from mothello_interp.explorer.reader import Reader
from mothello_interp.explorer.state import State
from mothello_interp.explorer.view import view
from mothello_interp.models import Checkpoint, bundled, load
from mothello_interp.othello import Games, random_games
from mothello_interp.probes import Probes


def _setting(name: str, doc: str, change: Callable[["Explorer", Any], None] | None = None) -> property:
    """A field of the state, to read and to set."""

    def plainly(self: "Explorer", value: Any) -> None:
        self.state = replace(self.state, **{name: value})

    return property(lambda self: getattr(self.state, name), change or plainly, doc=doc)


def _set_games(explorer: "Explorer", games: Games) -> None:
    start = State.opening(explorer.checkpoint, games)
    explorer.state = replace(explorer.state, games=games, game=0, move=start.move)


def _set_language(explorer: "Explorer", language: int) -> None:
    explorer.state = explorer.state.reading(language)


def _set_edits(explorer: "Explorer", edits: Sequence[Edit]) -> None:
    explorer._show(replace(explorer.state, edits=tuple(edits)), strict=True)


class Explorer(anywidget.AnyWidget):
    """A board to play with: show it as the last line of a cell.

    What is on screen can be read and set: `checkpoint`, `games`, `game`, `move`, `language`, `second`, `layer`, `edits`;
    `view` holds all numbers shown and `code` the lines that give them. What does not fit raises ValueError and changes
    nothing. Probes are fitted when they are first needed, once a checkpoint: some seconds for the bundled ones.

    Args:
        checkpoint: a name or path for `load`, or a checkpoint.
        games: to look through, a random one by default.
        probes: your own, for this checkpoint; where they do not reach is said on screen.
        seed: of random games.
        settings: `game`, `move`, `language`, `second`, `layer` and `edits`, as in `State`.
    """

    _esm = bundle("explorer")
    _css = PAGE / "explorer.css"
    view = traitlets.Dict().tag(sync=True)
    checkpoints = traitlets.List(traitlets.Unicode()).tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)

    game = _setting("game", "Which of the games is shown.")
    move = _setting("move", "How many of its moves are on the board.")
    second = _setting("second", "Another language to show beside it, unedited, or None.")
    layer = _setting("layer", "At which the board is decoded, and flipped by a click.")
    games = _setting("games", "The games at hand; when set, the first one is shown.", _set_games)
    language = _setting(
        "language", "Which the model is given; set to the second, the two change places.", _set_language
    )
    edits = _setting("edits", "Of the run in `language`: Flip, Patch, or any Intervention, in order.", _set_edits)

    def __init__(
        self,
        checkpoint: str | Path | Checkpoint = "mini/atomic-atomic-anchors4",
        games: Games | None = None,
        *,
        probes: Probes | None = None,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__()
        self._seed, self._drawn, self._on_screen = seed, 0, False
        found = checkpoint if isinstance(checkpoint, Checkpoint) else load(checkpoint)
        self._readers = [Reader(found, probes)]
        self._show(replace(State.opening(found, self._random(found) if games is None else games), **settings))
        self.on_msg(self._heard)

    @property
    def state(self) -> State:
        """All of it as one frozen value, which can also be set."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._show(state)

    @property
    def checkpoint(self) -> Checkpoint:
        """The model; set it by name, path or value. Games stay if the board is of the same size, edits go."""
        return self.state.checkpoint

    @checkpoint.setter
    def checkpoint(self, checkpoint: str | Path | Checkpoint) -> None:
        if not isinstance(checkpoint, Checkpoint):
            known = [reader.checkpoint for reader in self._readers if reader.checkpoint.name == str(checkpoint)]
            with self._busy(f"Loading {checkpoint} ..."):
                checkpoint = known[0] if known else load(checkpoint)
        same = checkpoint.spec.board == self.state.board
        self._show(self.state.read_by(checkpoint) if same else State.opening(checkpoint, self._random(checkpoint)))

    @property
    def probes(self) -> Probes:
        """The probes of this checkpoint: those given, else fitted, now if not before."""
        reader = self._reader(self.state)
        if reader.probes is None:
            self._fit(reader)
            self._show(self.state)
        return reader.fit()

    @property
    def code(self) -> str:
        """The lines that give what is on screen; empty where nothing is predicted."""
        return str(self.view["code"])

    def play(self, square: str) -> None:
        """Play a legal square, in a new game if the one shown goes on otherwise."""
        self._show(self.state.play(square))

    def flip(self, square: str, *, onward: bool = True) -> None:
        """Turn a disc over at the layer shown, or take that back."""
        self._show(self.state.toggled(Flip(square, self.layer, onward)), strict=True)

    def patch(self, move: int, source: int) -> None:
        """Put a move's state in another language in place of its own, at the layer shown, or take that back."""
        self._show(self.state.toggled(Patch(self.layer, move, source)), strict=True)

    def new_game(self) -> None:
        """Add a random game and show it."""
        self._show(self.state.joined_by(self._random(self.checkpoint)))

    def _show(self, state: State, *, strict: bool = False) -> None:
        """Send a view; on an error nothing changes. Strict: an edit that cannot be made is an error too."""
        reader = self._reader(state)
        if reader.probes is None and (self._on_screen or any(isinstance(edit, Flip) for edit in state.edits)):
            self._fit(reader)
        shown = view(state, reader)
        left_out = [edit["problem"] for edit in shown["edits"] if edit["left_out"]]
        if strict and left_out:
            raise ValueError(left_out[0])
        self._state = state
        if reader not in self._readers:
            self._readers.append(reader)
        self.checkpoints = list(dict.fromkeys([*bundled(), *(item.checkpoint.name for item in self._readers)]))
        self.view = shown

    def _reader(self, state: State) -> Reader:
        """The one of the state's checkpoint, new if need be."""
        return next((one for one in self._readers if one.checkpoint is state.checkpoint), Reader(state.checkpoint))

    def _fit(self, reader: Reader) -> None:
        with self._busy("Fitting board probes, once for this checkpoint ..."):
            reader.fit()

    def _random(self, checkpoint: Checkpoint) -> Games:
        self._drawn += 1
        return random_games(1, board=checkpoint.spec.board, seed=self._seed, start=self._drawn - 1)

    @contextmanager
    def _busy(self, notice: str) -> Iterator[None]:
        before, self.busy = self.busy, notice
        try:
            yield
        finally:
            self.busy = before

    def _heard(self, _: Any, message: Any, __: Any) -> None:
        """A message of the page: the name of what to do, and its arguments. What goes wrong is shown there."""
        self.problem = ""
        try:
            name, *arguments = message["do"]
            _ACTIONS[name](self, *arguments)
        except Exception as error:  # the page has nobody else to tell
            self.problem = str(error) or repr(error)

    def _opened(self) -> None:
        self._on_screen = True
        self._show(self.state)

    def _set(self, name: str, value: Any) -> None:
        if name not in ("checkpoint", "game", "move", "language", "second", "layer"):
            raise ValueError(f"the page cannot set {name!r}")
        setattr(self, name, value)

    def _drop(self, *places: int) -> None:
        kept = [edit for place, edit in enumerate(self.edits) if place not in places]
        self._show(replace(self.state, edits=tuple(kept)))


_ACTIONS: dict[str, Callable[..., None]] = {
    "opened": Explorer._opened,
    "set": Explorer._set,
    "play": Explorer.play,
    "flip": lambda explorer, square, onward: explorer.flip(square, onward=onward),
    "patch": Explorer.patch,
    "new game": Explorer.new_game,
    "drop": Explorer._drop,
    "clear": lambda explorer: explorer._drop(*range(len(explorer.edits))),
}

"""The board explorer as a widget of Jupyter (anywidget): what is clicked arrives here as messages, views go back."""

from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from mothello_interp.arguments import whole
from mothello_interp.explorer.bundle import PAGE, bundle
from mothello_interp.explorer.edits import Edit, Flip, Patch
from mothello_interp.explorer.links import from_link, to_link
from mothello_interp.explorer.reader import Reader, games_for
from mothello_interp.explorer.state import State
from mothello_interp.explorer.view import view
from mothello_interp.models import Checkpoint, bundled_names, load
from mothello_interp.othello import Games
from mothello_interp.probes import Probes

_SETTINGS = ("checkpoint", "game", "move", "language", "second", "layer", "probe", "symmetry", "head")


def _setting(name: str, doc: str, change: Callable[["Explorer", Any], None] | None = None) -> property:
    """A field of the state, to read and to set."""

    def plainly(self: "Explorer", value: Any) -> None:
        self.state = replace(self.state, **{name: value})

    return property(lambda self: getattr(self.state, name), change or plainly, doc=doc)


def _set_games(explorer: "Explorer", games: Games) -> None:
    shown = replace(explorer.state, games=games, game=0, move=0)
    explorer.state = shown.at(State.opening(explorer.checkpoint, games).move)


def _set_language(explorer: "Explorer", language: int) -> None:
    explorer.state = explorer.state.reading(language)


def _set_edits(explorer: "Explorer", edits: Sequence[Edit]) -> None:
    explorer._show(replace(explorer.state, edits=edits), strict=True)  # type: ignore[arg-type]  # State makes a tuple of it


def _name(given: Any) -> str | Path:
    """The name or path of a checkpoint."""
    if isinstance(given, str | Path):
        return given
    raise ValueError(f"checkpoint {given!r:.80}: expected a name, a folder or a Checkpoint, as load gives it")


def _label(checkpoint: Checkpoint, taken: Container[str]) -> str:
    """What a checkpoint is called in the menu, where each name stands once."""
    name = checkpoint.name or "this model"
    return next(label for number in count(1) if (label := name if number == 1 else f"{name} ({number})") not in taken)


class Explorer(anywidget.AnyWidget):
    """A board to play with: show it as the last line of a cell.

    What is on screen can be read and set: `checkpoint`, `games`, `game`, `move`, `language`, `second`, `layer`, `probe`,
    `symmetry`, `head`, `edits`; `view` holds all numbers shown, `code` the lines that give them, and `link` the state as
    the fragment of an address. What does not fit raises ValueError and changes nothing. Probes are fitted when they are
    first needed, once a checkpoint: some seconds for the bundled ones.

    Args:
        checkpoint: a name or path for `load`, or a checkpoint.
        games: to look through, by default a random one of the kind that the model was trained on.
        link: what to show first, as `Explorer.link` or the page's "Copy link" gives it, instead of `games`.
        probes: your own, for this checkpoint; where they do not reach is said on screen.
        seed: of random games.
        settings: `game`, `move`, `language`, `second`, `layer`, `probe`, `symmetry`, `head` and `edits`, as in `State`.
    """

    _esm = bundle("explorer")
    _css = PAGE / "explorer.css"
    view = traitlets.Dict().tag(sync=True)
    checkpoints = traitlets.List(traitlets.Unicode()).tag(sync=True)
    busy = traitlets.Unicode().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)

    game = _setting("game", "Which of the games is shown.")
    move = _setting("move", "How many of its moves are on the board.")
    second = _setting("second", "Another language to show with it, unedited, or None.")
    layer = _setting("layer", "At which the board is decoded, and flipped by a click.")
    probe = _setting("probe", "The language whose probe decodes every language shown, or None: each its own.")
    symmetry = _setting("symmetry", "Through which boards are seen that another language's probe decodes.")
    head = _setting("head", "Attention head of block `layer` whose pattern is shown, or None.")
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
        link: str | None = None,
        probes: Probes | None = None,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__()
        if link is not None and games is not None:
            raise ValueError("a link names its own game: give games or a link, not both")
        self._seed, self._drawn = whole("seed", seed), 0
        found = checkpoint if isinstance(checkpoint, Checkpoint) else load(_name(checkpoint))
        self._readers = {_label(found, ()): Reader(found, probes)}
        self._left: dict[int, State] = {}  # by side of the board, where its games were left
        given = self._random(found) if games is None else games
        self._show(replace(from_link(found, link) if link else State.opening(found, given), **settings))
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        shown = f"game {self.game} of {len(self.games)}, move {self.move}, language {self.language}, layer {self.layer}"
        return f"Explorer({self.checkpoint.name or 'model'}, {shown})"

    @property
    def state(self) -> State:
        """All of it as one frozen value, which can also be set."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._show(state)

    @property
    def checkpoint(self) -> Checkpoint:
        """The model; set it by name, path or value. Games stay with boards of their size, edits go."""
        return self.state.checkpoint

    @checkpoint.setter
    def checkpoint(self, checkpoint: str | Path | Checkpoint) -> None:
        if not isinstance(checkpoint, Checkpoint):
            name = str(_name(checkpoint))
            with self._busy(f"Loading {name} ..."):
                checkpoint = self._readers[name].checkpoint if name in self._readers else load(checkpoint)
        left = self._left.get(checkpoint.spec.board)
        self._show(left.read_by(checkpoint) if left else State.opening(checkpoint, self._random(checkpoint)))

    @property
    def probes(self) -> Probes:
        """The probes of this checkpoint: those given, else fitted, now if not before."""
        _, reader = self._reader(self.checkpoint)
        if reader.probes is None:
            self._fit(reader)
            self._show(self.state)
        return reader.fit()

    @property
    def code(self) -> str:
        """The lines that give what is on screen; empty where nothing is predicted."""
        return str(self._shown["code"])  # of our own: what is in `view` the page could have written

    @property
    def link(self) -> str:
        """The state as the fragment of an address, which the exported page and `Explorer(link=...)` open.

        Raises:
            ValueError: for an edit that exists in Python alone.
        """
        return to_link(self.state)

    def play(self, square: str) -> None:
        """Play a legal square, in a new game if the one shown continues otherwise."""
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
        label, reader = self._reader(state.checkpoint)
        if reader.probes is None and any(isinstance(edit, Flip) for edit in state.edits):
            self._fit(reader)
        shown = view(state, reader) | {"checkpoint": label}
        left_out = [edit["problem"] for edit in shown["edits"] if edit["left_out"]]
        if strict and left_out:
            raise ValueError(left_out[0])
        self._state, self._shown = state, shown
        self._left[state.board] = state
        self._readers[label] = reader
        self.checkpoints = self._menu()
        self.view = shown

    def _menu(self) -> list[str]:
        """What the page can load: the bundled checkpoints, and those that were shown."""
        return list(dict.fromkeys([*bundled_names(), *self._readers]))

    def _reader(self, checkpoint: Checkpoint) -> tuple[str, Reader]:
        """What a checkpoint is called in the menu, and its reader, new if need be."""
        for label, reader in self._readers.items():
            if reader.checkpoint is checkpoint:
                return label, reader
        return _label(checkpoint, self._readers), Reader(checkpoint)

    def _fit(self, reader: Reader) -> None:
        with self._busy("Fitting board probes, once for this checkpoint ..."):
            reader.fit()

    def _random(self, checkpoint: Checkpoint) -> Games:
        self._drawn += 1
        return games_for(checkpoint, 1, seed=self._seed, start=self._drawn - 1)

    @contextmanager
    def _busy(self, notice: str) -> Iterator[None]:
        before, self.busy = self.busy, notice
        try:
            yield
        finally:
            self.busy = before

    def _heard(self, _: Any, message: Any, __: Any) -> None:
        """A message of the page: what to do, its arguments, and a number to answer. What goes wrong is shown there."""
        self.problem = ""
        try:
            name, *arguments = message["do"]
            _ACTIONS[name](self, *arguments)
        except Exception as error:  # the page has nobody else to tell
            self.problem = str(error) or repr(error)
        finally:
            self.send({"answered": message.get("id") if isinstance(message, dict) else None})

    def _set(self, name: str, value: Any) -> None:
        if name not in _SETTINGS:
            raise ValueError(f"the page cannot set {name!r}")
        if name == "checkpoint" and value not in self._menu():
            raise ValueError(f"the page cannot load {value!r:.80}: it is not in the menu")
        setattr(self, name, value)

    def _turn(self, by: int) -> None:
        game = min(max(self.game + by, 0), len(self.games) - 1)
        self._show(replace(self.state, game=game, move=min(self.move, int(self.games.lengths[game]))))

    def _drop(self, text: str) -> None:
        self._show(replace(self.state, edits=tuple(edit for edit in self.edits if str(edit) != text)))


_ACTIONS: dict[str, Callable[..., None]] = {
    "fit": lambda explorer: explorer.probes,
    "set": Explorer._set,
    "step": lambda explorer, by: explorer._show(explorer.state.at(explorer.move + by)),
    "turn": Explorer._turn,
    "play": Explorer.play,
    "flip": lambda explorer, square, onward: explorer.flip(square, onward=onward),
    "patch": Explorer.patch,
    "new game": Explorer.new_game,
    "drop": Explorer._drop,
    "clear": lambda explorer: explorer._show(replace(explorer.state, edits=())),
}

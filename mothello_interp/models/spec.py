"""ModelSpec: everything that names a model - its world, languages and architecture - read from TOML and validated."""

import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from mothello_interp.hints import did_you_mean
from mothello_interp.languages import Language, Mothello, describe_language, language_from

MAX_LANGUAGES = 100
_LONGEST = 2**16  # bytes of a TOML file
_DEEPEST = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]+\s*\.\s*){20}")  # a key of more than 20 parts


class SpecError(ValueError):
    """A spec or preset that cannot be used; the message says which key, what was given and what is expected."""


class Strict(BaseModel):
    """A frozen table of settings in which an unknown key is an error that names the nearest known one.

    Nothing is guessed: text is no number, and true is not 1. A list of TOML may stand for a tuple, an int for a float.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True
    )

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    hint = did_you_mean(key, cls.model_fields)
                    known = ", ".join(cls.model_fields)
                    raise ValueError(f"unknown key {key!r}{'; ' + hint if hint else '.'} Known are: {known}")
            # so a list of TOML may stand for a tuple
            return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return values

    @classmethod
    def read(cls, values: Mapping[str, Any], source: str) -> Self:
        """The validated settings.

        Raises:
            SpecError: naming `source`, the key, and what is wrong with it.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = []
            for problem in error.errors():
                place = ".".join(str(part) for part in problem["loc"])
                given = "" if isinstance(problem["input"], Mapping) else f" (given: {_as_written(problem['input'])!r})"
                expected = problem["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
                if problem["type"] == "literal_error":
                    hint = did_you_mean(problem["input"], re.findall(r"'(\w+)'", problem["ctx"]["expected"]))
                    given += f"; {hint}" if hint else ""
                lines.append(f"{source}: {place + ': ' if place else ''}{expected}{given}")
            raise SpecError("\n".join(lines)) from None


def _as_written(value: Any) -> Any:
    """As TOML has it, where lists are lists."""
    return [_as_written(item) for item in value] if isinstance(value, tuple) else value


def listed_squares(value: Any) -> tuple[str, ...]:
    """The names in a list of squares.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ValueError('expected a list of squares, such as ["a1", "c1"]')
    return tuple(value)


def _repeated(counts: Mapping[str, Any]) -> list[str]:
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"{name} = {count!r}: expected how many languages of that type, such as {{ atomic = 20 }}")
    if sum(counts.values()) > MAX_LANGUAGES:
        raise ValueError(f"{sum(counts.values())} languages: expected {MAX_LANGUAGES} at most")
    return [name for name, count in counts.items() for _ in range(count)]


_GROUPS = TypeAdapter(dict[str, list[list[StrictInt]]])


class World(Strict):
    """What the games are and how they are written: the arguments of `Mothello`.

    Attributes:
        board: side of the board, 4, 6 or 8.
        languages: each a name, a table with a type, or a `Language`; `{ atomic = 20 }` is short for a list of twenty.
        anchors: list of squares that all input languages write alike, or a table of groups of languages by square.
        unified_output: whether games are continued in the first language, whatever the one they are read in.
    """

    board: int = 8
    languages: tuple[Any, ...]
    anchors: Any = ()
    unified_output: bool = False

    @field_validator("languages", mode="before")
    @classmethod
    def _read_languages(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            value = _repeated(value)
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise ValueError('expected a list of languages, such as ["atomic", {type = "split", seed = 1}]')
        for item in value:
            if not isinstance(item, str | Mapping | Language):
                raise ValueError(f"{item!r} is no language: expected a name, or a table with a type")
        if len(value) > MAX_LANGUAGES:
            raise ValueError(f"{len(value)} languages: expected {MAX_LANGUAGES} at most")
        return tuple(language_from(item) if isinstance(item, str | Mapping) else item for item in value)

    @field_validator("anchors", mode="before")
    @classmethod
    def _read_anchors(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _GROUPS.validate_python(value)
        squares = listed_squares(value)
        names = [name.lower() for name in squares]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} stands there twice")
        return squares

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        object.__setattr__(self, "anchors", self.mothello.anchors)  # one spelling, so that equal worlds are equal
        return self

    @cached_property
    def mothello(self) -> Mothello:
        """The languages of this world over one vocabulary."""
        return Mothello(self.board, self.languages, self.anchors, self.unified_output)


class Architecture(Strict):
    """The transformer.

    Attributes:
        n_layers: blocks.
        d_model: width of the residual stream.
        n_heads: attention heads of a block; they share d_model evenly.
        d_mlp: hidden width of an MLP, 4 * d_model by default.
        initializer_range: standard deviation of the initial weights.
    """

    n_layers: int = Field(gt=0, le=256)
    d_model: int = Field(gt=0, le=2**15)
    n_heads: int = Field(gt=0)
    d_mlp: int = Field(default=0, ge=0, le=2**17)
    initializer_range: float = Field(default=0.02, gt=0, le=1000)

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model = {self.d_model} is not divisible by n_heads = {self.n_heads}")
        if not self.d_mlp:
            object.__setattr__(self, "d_mlp", 4 * self.d_model)
        return self


class ModelSpec(Strict):
    """A model's identity.

    Attributes:
        world: board, languages, anchors, unified output.
        model: the architecture.

    Examples:
        >>> world = {"board": 6, "languages": ["atomic", "compositional"], "anchors": ["c1"]}
        >>> spec = ModelSpec.read({"world": world, "model": {"n_layers": 2, "d_model": 32, "n_heads": 2}}, "mine")
        >>> spec.mothello.d_vocab, spec.mothello.n_ctx
        (45, 62)
    """

    world: World
    model: Architecture

    @property
    def board(self) -> int:
        """Side of the board."""
        return self.world.board

    @property
    def mothello(self) -> Mothello:
        """The languages over one vocabulary."""
        return self.world.mothello

    @classmethod
    def load(cls, path: str | Path) -> "ModelSpec":
        """Read a `spec.toml` with its tables [world] and [model].

        Raises:
            SpecError: for anything that does not fit, naming the file and the key.
        """
        return cls.read(read_toml(path), str(path))

    def to_toml(self) -> str:
        """The text that `load` reads back to an equal spec."""
        mothello = self.mothello
        anchors = mothello.anchors
        world = {
            "board": self.board,
            "languages": [describe_language(language) for language in mothello.languages],
            "anchors": dict(anchors) if isinstance(anchors, Mapping) else list(anchors),
            "unified_output": mothello.unified_output,
        }
        return tomli_w.dumps({"world": world, "model": self.model.model_dump()})


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        SpecError: if the file is missing, naming the nearest one, or no TOML, or longer or deeper than any spec is.
    """
    try:
        if (size := Path(path).stat().st_size) > _LONGEST:
            raise SpecError(f"{path}: {size} bytes, expected {_LONGEST} at most")
        text = Path(path).read_text(encoding="utf-8-sig")
        if _DEEPEST.search(text):  # which would take time that grows with its square
            raise SpecError(f"{path}: a key of more than 20 parts")
        return tomllib.loads(text)
    except FileNotFoundError:
        hint = _nearest_file(Path(path))
        raise SpecError(f"{path}: there is no such file{'; ' + hint if hint else ''}") from None
    except IsADirectoryError:
        raise SpecError(f"{path}: a folder; give one of the TOML files in it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SpecError(f"{path}: not a TOML file: {error}") from None


def _nearest_file(path: Path) -> str:
    """A hint at what lies next to the first part of a path that is not there."""
    while not path.parent.is_dir():
        path = path.parent
    return did_you_mean(path.name, [other.name for other in path.parent.iterdir() if other.suffix == path.suffix], 0.75)

"""Presets: TOML files with the tables [world] and [model] (a ModelSpec) and [training]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mothello_interp.corpus import Corpus, Objective, Pairing
from mothello_interp.hints import did_you_mean
from mothello_interp.models.spec import ModelSpec, SpecError, Strict, listed_squares, read_toml
from train import SEEDS

PRESETS = Path(__file__).parent / "presets"
_MOST = 2**53  # games: counts are exact as floats up to there
_Beta = Annotated[float, Field(ge=0, lt=1)]


class Training(Strict):
    """How a model is trained. Amounts are in games, so that they do not change their meaning with the batch.

    Attributes:
        games: how many games are seen in all.
        batch: games a step.
        objective: "exact" or "sampled" targets, see `Corpus`.
        optimizer: "adamw", or "muon" for the transformer's weight matrices with AdamW for all else.
        lr: peak learning rate of AdamW.
        matrix_lr: peak learning rate of Muon, scaled so that an update is as large as AdamW's would be.
        betas: how much of their past AdamW's running means of gradient and squared gradient keep a step.
        weight_decay: decay a step is `lr * weight_decay` under either optimiser, on the parameters that `decay` names.
        decay: "matrices" (attention, MLP and unembedding, as minGPT and the paper), or "all" weights, embeddings
            included; never biases and layer norms.
        dropout: share of activations that are dropped, as in GPT-2: of the embeddings, of the attention pattern, and of
            what attention and MLP add to the residual stream. It happens in the training step alone.
        warmup: games over which the learning rate rises; it then falls along a cosine to `final_lr` of its peak.
        clip: largest norm of the gradient.
        opening: moves that every game begins with.
        language_weights: relative frequency of the input languages, equal if empty.
        corpus_games: 0 for games that never repeat, else the size of a finite set.
        pairing: which language is given which game, see `Corpus`.
        precision: "bfloat16" or "float32" products (weights stay float32); "auto" is bfloat16 where it is fast,
            and a run resumes in the one that it began with.
        evaluate_every: games between two lines of metrics, which show eight languages at most.
        save_every: games between two saves of the training state.
    """

    games: int = Field(gt=0, le=_MOST)
    batch: int = Field(default=256, gt=0, le=2**20)
    objective: Objective = "exact"
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(default=5e-4, gt=0, le=100)
    matrix_lr: float = Field(default=0.01, gt=0, le=100)
    betas: tuple[_Beta, _Beta] = (0.9, 0.95)
    weight_decay: float = Field(default=0.1, ge=0, le=1e6)
    decay: Literal["matrices", "all"] = "matrices"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    warmup: int = Field(default=25_600, ge=0, le=_MOST)
    final_lr: float = Field(default=0.1, ge=0, le=1)
    clip: float = Field(default=1.0, gt=0, le=1e30)
    opening: Annotated[tuple[str, ...], BeforeValidator(listed_squares)] = ()
    language_weights: tuple[float, ...] = ()
    corpus_games: int = Field(default=0, ge=0, le=_MOST)
    pairing: Pairing = "redrawn"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    evaluate_every: int = Field(default=25_600, gt=0, le=_MOST)
    save_every: int = Field(default=51_200, gt=0, le=_MOST)

    @property
    def steps(self) -> int:
        """Number of optimiser steps."""
        return max(1, self.games // self.batch)


class Recipe(Strict):
    """How to train a model that exists already.

    Attributes:
        training: the settings; games are not shown of one opening, and in one language alone.
        name: of the recipe.
    """

    training: Training
    name: str

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a TOML file with the table [training] alone; `extends` works as in a preset.

        Raises:
            SpecError: naming the file and the key.
        """
        tables = _tables(Path(path), ("training",), "a recipe for fine-tuning has [training] alone")
        training = Training.read(tables.get("training", {}), f"{path}: [training]")
        for key, why in (("opening", "fine-tuning"), ("language_weights", "one language")):
            if getattr(training, key):
                raise SpecError(f"{path}: [training]: {key} has no place in {why}")
        if training.pairing == "parallel":
            raise SpecError(f"{path}: [training]: pairing = 'parallel' has no place in one language")
        if not training.corpus_games:
            raise SpecError(f"{path}: [training]: corpus_games must be set, so that an epoch means something")
        return cls(training=training, name=Path(path).stem)


class Preset(Strict):
    """Everything that one command trains.

    Attributes:
        spec: the model.
        training: how to train it.
        name: how runs and checkpoints of it are called.
    """

    spec: ModelSpec
    training: Training
    name: str

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a preset; `extends = "_base.toml"` takes over what that file, next to this one, sets.

        Raises:
            SpecError: naming the file and the key.
        """
        path = Path(path)
        tables = _tables(path, ("world", "model", "training"), "a preset has [world], [model] and [training]")
        if tables.keys() == {"training"}:
            raise SpecError(
                f"{path}: [training] alone is a recipe, for python -m train finetune; a preset has [world] and [model] too"
            )
        spec = ModelSpec.read({key: tables[key] for key in ("world", "model") if key in tables}, str(path))
        training = Training.read(tables.get("training", {}), f"{path}: [training]")
        return cls.read(
            {"spec": spec, "training": training, "name": f"{path.resolve().parent.name}/{path.stem}"}, str(path)
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.corpus(0).batch(0, 1)
        return self

    def corpus(self, seed: int) -> Corpus:
        """The stream of batches that it trains on.

        Raises:
            SpecError: for a seed that is none.
        """
        if not 0 <= seed < SEEDS:
            raise SpecError(f"seed {seed}: expected 0 to {SEEDS - 1}")
        t = self.training
        return Corpus(self.spec.mothello, seed, t.objective, t.opening, t.language_weights, t.corpus_games, t.pairing)


def _tables(path: Path, known: tuple[str, ...], has: str) -> dict[str, Any]:
    """The tables of a file and its bases; another one is an error that says what the file `has`."""
    tables = _with_bases(path, ())
    for unknown in sorted(tables.keys() - set(known)):
        hint = did_you_mean(unknown, (*known, "extends"))
        raise SpecError(f"{path}: unknown table [{unknown}]; {has}{'. ' + hint if hint else ''}")
    return tables


def _with_bases(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in [earlier.resolve() for earlier in seen]:
        raise SpecError(f"{path}: presets extend each other in a circle: {' -> '.join(map(str, (*seen, path)))}")
    tables = read_toml(path)
    base = tables.pop("extends", None)
    if base is None:
        return tables
    if not isinstance(base, str):
        raise SpecError(f"{path}: extends = {base!r}: expected the name of a file next to this one")
    return _merge(_with_bases(path.parent / base, (*seen, path)), tables)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        table = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key != "anchors"
        merged[key] = _merge(merged[key], value) if table else value
    return merged

"""Fine-tuning: a trained model is trained further in one language, and all languages are recorded."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from mothello_interp.corpus import Corpus
from mothello_interp.models import Checkpoint
from mothello_interp.models.checkpoint import fingerprint
from mothello_interp.transfer import transfer_state
from train import SEEDS
from train.options import RunOptions, TrainingStopped
from train.pretrain import FINAL_GAMES, QuickLegality, held_out_accuracy
from train.run import Job, Record, run_job
from train.settings import Recipe

TRANSFER = "transfer.csv"
_FIT, _SCORE = 1000, 300


def finetune(
    recipe: Recipe, checkpoint: Checkpoint, folder: Path, *, language: int, seed: int, **options: Any
) -> Checkpoint:
    """The checkpoint after training on in one language; `folder/transfer.csv` has `transfer_state` along the way.

    Args:
        recipe: how to train; its corpus_games make an epoch, its evaluate_every the distance between records.
        checkpoint: where to start from.
        folder: of the run.
        language: the source language.
        seed: of the games.
        options: fields of `train.options.RunOptions`: threads, device, quiet, keep, log, compile.

    Raises:
        TrainingStopped: for a seed that is none, and as `check_language` and `train.run.run_job`.
    """
    check_language(checkpoint, language)
    if not 0 <= seed < SEEDS:
        raise TrainingStopped(f"--seed {seed}: expected 0 to {SEEDS - 1}")
    training, mothello, made_by = recipe.training, checkpoint.mothello, checkpoint.provenance
    weights = tuple(float(other == language) for other in mothello.inputs)
    games = training.corpus_games
    corpus = Corpus(mothello, seed + SEEDS, training.objective, (), weights, games, training.pairing)
    held_out = corpus.held_out(_FIT + _SCORE)
    start = {"preset": made_by.get("preset", checkpoint.name), "weights_sha256": fingerprint(checkpoint)}
    start["seed"] = made_by.get("seed")
    start |= {key: made_by[key] for key in ("recipe", "language", "start") if key in made_by}
    identity = {"spec": checkpoint.spec.to_toml(), "training": training.model_dump(mode="json"), "seed": seed}

    def measure(here: Checkpoint) -> list[dict[str, Any]]:
        table = transfer_state(here, source=language, fit=held_out[:_FIT], score=held_out[_FIT:], seed=seed)
        return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]

    def finish(trained: Checkpoint) -> dict[str, Any]:
        accuracy = held_out_accuracy(trained, corpus.held_out(FINAL_GAMES))
        return {"language": language, "recipe": recipe.name, "start": start, "held_out": accuracy}

    job = Job(
        name=f"{start['preset']}-{recipe.name}-language{language}",
        seed=seed,
        corpus=corpus,
        training=training,
        identity=identity | {"language": language, "start": start},
        start=lambda device: replace(checkpoint, model=deepcopy(checkpoint.model).to(device, print_details=False)),
        evaluate=QuickLegality(corpus),
        finish=finish,
        records=(Record(TRANSFER, training.evaluate_every, measure),),
    )
    return run_job(job, folder, RunOptions(**options))


def check_language(checkpoint: Checkpoint, language: int) -> None:
    """Raise TrainingStopped, before there is a folder, for a language that is none of the inputs."""
    inputs = list(checkpoint.mothello.inputs)
    if language not in inputs:
        raise TrainingStopped(f"--language {language}: {checkpoint.name} reads the languages {inputs}")

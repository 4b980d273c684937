"""Fine-tuning: a trained model goes on in one language, and what that does to the others is recorded on the way."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mothello_interp.corpus import Corpus
from mothello_interp.models import Checkpoint
from mothello_interp.models.checkpoint import fingerprint
from mothello_interp.transfer import transfer_state
from train import SEEDS
from train.carry_out import carry_out
from train.job import How, Job, Record
from train.pretrain import FINAL_GAMES, QuickLegality, held_out_accuracy
from train.settings import Recipe
from train.state import TrainingStopped

TRANSFER = "transfer.csv"
_FIT, _SCORE = 1000, 300


def finetune(
    recipe: Recipe, checkpoint: Checkpoint, folder: Path, *, language: int, seed: int, **how: Any
) -> Checkpoint:
    """Train a checkpoint on in one language; `folder/transfer.csv` has `transfer_state` at every record, the start too.

    Args:
        recipe: how to train; its corpus_games make an epoch, its evaluate_every the distance between records.
        checkpoint: where to start from.
        folder: of the run.
        language: the source language.
        seed: of the games.
        how: fields of `train.job.How`: threads, device, quiet, keep, log, compile.

    Raises:
        TrainingStopped: for a seed that is none, and as `check_language` and `carry_out`.
    """
    check_language(checkpoint, language)
    inputs = checkpoint.mothello.inputs
    if not 0 <= seed < SEEDS:
        raise TrainingStopped(f"--seed {seed}: expected 0 to {SEEDS - 1}")
    training = recipe.training
    alone = tuple(float(spoken == language) for spoken in inputs)
    corpus = Corpus(
        checkpoint.mothello, seed + SEEDS, training.objective, (), alone, training.corpus_games, training.pairing
    )
    made_by = checkpoint.provenance
    start = {"preset": made_by.get("preset", checkpoint.name), "weights_sha256": fingerprint(checkpoint)}
    start["seed"] = made_by.get("seed")
    start |= {key: made_by[key] for key in ("recipe", "language", "start") if key in made_by}
    identity = {"spec": checkpoint.spec.to_toml(), "training": training.model_dump(mode="json"), "seed": seed}
    identity |= {"language": language, "start": start}
    held_out = corpus.held_out(_FIT + _SCORE)

    def measure(here: Checkpoint, dtype: torch.dtype) -> list[dict[str, Any]]:
        table = transfer_state(here, source=language, fit=held_out[:_FIT], score=held_out[_FIT:], seed=seed)
        return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]

    record = Record(TRANSFER, training.evaluate_every, measure, start=True)
    name = f"{start['preset']}-{recipe.name}-language{language}"
    job = Job(name, seed, corpus, training, identity, QuickLegality(corpus), (record,))
    return carry_out(
        job,
        folder,
        How(**how),
        start=lambda device: replace(checkpoint, model=deepcopy(checkpoint.model).to(device, print_details=False)),
        finish=lambda trained: {
            "language": language,
            "recipe": recipe.name,
            "start": start,
            "held_out": held_out_accuracy(trained, corpus.held_out(FINAL_GAMES)),
        },
    )


def check_language(checkpoint: Checkpoint, language: int) -> None:
    """Before there is a folder: can the checkpoint go on in this language?

    Raises:
        TrainingStopped: for a language that is none of the inputs.
    """
    inputs = list(checkpoint.mothello.inputs)
    if language not in inputs:
        raise TrainingStopped(f"--language {language}: {checkpoint.name} reads the languages {inputs}")

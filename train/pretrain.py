"""Pretraining: a new model learns from games in all its languages."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mothello_interp.corpus import Corpus
from mothello_interp.languages import exact_targets
from mothello_interp.legality import legal_accuracy, summary
from mothello_interp.models import Checkpoint, build_model
from mothello_interp.othello import Games, replay
from train.options import RunOptions
from train.run import Job, run_job
from train.settings import Preset
from train.step import fused_logits

_EVALUATION_GAMES, _EVALUATION_LANGUAGES = 200, 8
FINAL_GAMES = 1000
_COMPARED = 20_000
_AT_ONCE = 32  # games, for memory


def pretrain(preset: Preset, folder: Path, *, seed: int, **options: Any) -> Checkpoint:
    """The checkpoint that a preset trained in `folder` ends with; resumes from the state found there.

    Args:
        preset: the model, and how to train it.
        folder: of the run.
        seed: of the weights and the stream of games.
        options: fields of `train.options.RunOptions`: threads, device, quiet, keep, log, compile.

    Raises:
        TrainingStopped: as `train.run.run_job`.
    """
    corpus = preset.corpus(seed)
    job = Job(
        name=preset.name,
        seed=seed,
        corpus=corpus,
        training=preset.training,
        identity={"spec": preset.spec.to_toml(), "training": preset.training.model_dump(mode="json"), "seed": seed},
        start=lambda device: Checkpoint(build_model(preset.spec, seed=seed, device=device), preset.spec),
        evaluate=QuickLegality(corpus),
        finish=lambda trained: held_out_facts(trained, corpus, preset.training.steps * preset.training.batch),
    )
    return run_job(job, folder, RunOptions(**options))


def held_out_facts(trained: Checkpoint, corpus: Corpus, games: int) -> dict[str, Any]:
    """`held_out_accuracy`, and the share of its games that are, move for move, among the first of those trained on.

    On 4x4 boards games repeat: half of 1,000 are among 20,000. On larger boards none is.
    """
    held_out = corpus.held_out(FINAL_GAMES)
    known = corpus.games(0, min(games, corpus.corpus_games or games, _COMPARED))
    share = round(float(held_out.among(known).mean()), 3)
    return {"held_out": held_out_accuracy(trained, held_out), "held_out_trained_on": share}


def held_out_accuracy(checkpoint: Checkpoint, games: Games) -> list[dict[Hashable, Any]]:
    """Top-1 legal accuracy over every proper prefix, one entry a language: language, top1, prefixes."""
    final = summary(legal_accuracy(checkpoint.readings(games), mass=False))
    return final[["language", "top1", "prefixes"]].round(5).to_dict("records")


class QuickLegality:
    """A quick measure during training: on held-out games, does the most likely next token continue a legal game?

    In the first eight input languages at most, one column each (`legal_0`); `held_out_accuracy` at the end has all.
    """

    def __init__(self, corpus: Corpus):
        games = corpus.held_out(_EVALUATION_GAMES)
        self.written = {
            language: _written(corpus, games, language) for language in corpus.mothello.inputs[:_EVALUATION_LANGUAGES]
        }

    def __call__(self, checkpoint: Checkpoint, dtype: torch.dtype) -> dict[str, float]:
        result = {}
        for language, (tokens, possible) in self.written.items():
            with torch.inference_mode():
                parts = tokens.to(checkpoint.model.W_E.device).split(_AT_ONCE)
                likeliest = torch.cat([fused_logits(checkpoint.model, part, dtype=dtype).argmax(-1) for part in parts])
            legal = np.take_along_axis(possible, likeliest.cpu().numpy()[..., None], 2)
            result[f"legal_{language}"] = round(float(legal.sum() / possible.any(axis=2).sum()), 5)
        return result


def _written(corpus: Corpus, games: Games, language: int) -> tuple[torch.Tensor, np.ndarray]:
    width = min(corpus.mothello.width(language), corpus.mothello.n_ctx)
    tokens = corpus.mothello.encode(games, language).tokens[:, :width]
    possible = exact_targets(corpus.mothello, games, replay(games).legal, language)[:, :width] > 0
    return torch.from_numpy(tokens), possible

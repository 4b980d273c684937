"""Pretraining: fresh games from the corpus, one step a batch, resumable at any moment."""

import platform
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from mothello_interp.corpus import Batch, Corpus
from mothello_interp.languages import exact_targets
from mothello_interp.legality import legal_accuracy, summary
from mothello_interp.models import Checkpoint, build_model, load_checkpoint, save_checkpoint
from mothello_interp.othello import Games, replay
from train.optim import Optimizer, learning_rate
from train.settings import Preset
from train.state import CHECKPOINT, METRICS, Metrics, TrainingStopped, load_state, save_state
from train.step import entropy_sum, fused_logits, loss_sum

_EVALUATION_GAMES = 200
FINAL_GAMES = 1000


def pretrain(preset: Preset, folder: Path, *, seed: int, threads: int, device: str, quiet: bool = False) -> Checkpoint:
    """Train a preset in `folder`, going on from the state found there, and write `folder/checkpoint`.

    Raises:
        TrainingStopped: for a loss that is not finite, a folder that cannot be written, a state of another preset, or a
            device that is not there.
    """
    _check_device(device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingStopped(f"{folder} cannot be made ({error.strerror}); choose another --out") from error
    if (folder / CHECKPOINT).exists():
        done = load_checkpoint(folder / CHECKPOINT)
        made = {"spec": done.spec.to_toml(), "training": done.provenance["training"], "seed": done.provenance["seed"]}
        _check_same(folder, made, _identity(preset, seed))
        return done
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        run = _Run.start(preset, folder, seed, device)
        run.train(threads, quiet)
        checkpoint = run.finish()
        save_checkpoint(folder / CHECKPOINT, checkpoint)
    return checkpoint


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise TrainingStopped(f"device {device!r} cannot be used here ({reason}); --device cpu always can") from error


def _identity(preset: Preset, seed: int) -> dict[str, Any]:
    """What makes a run the same run."""
    return {"spec": preset.spec.to_toml(), "training": preset.training.model_dump(mode="json"), "seed": seed}


def _check_same(folder: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    for key, value in wanted.items():
        if there[key] != value:
            raise TrainingStopped(
                f"{folder} holds a run with another {key} ({there[key]!r}, now {value!r}); "
                f"choose another --out, or delete it"
            )


def _no_sums() -> dict[str, float]:
    return {"loss": 0.0, "positions": 0.0, "floor": 0.0}


@dataclass
class _Run:
    """A model in training."""

    preset: Preset
    folder: Path
    seed: int
    checkpoint: Checkpoint
    optimizer: Optimizer
    metrics: Metrics
    dtype: torch.dtype
    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=_no_sums)  # since the last line of metrics

    @classmethod
    def start(cls, preset: Preset, folder: Path, seed: int, device: str) -> "_Run":
        model = build_model(preset.spec, seed=seed, device=device)
        optimizer = Optimizer(model, preset.training)
        saved = load_state(folder)
        if saved is not None:
            _check_same(folder, saved["identity"], _identity(preset, seed))
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
        metrics = Metrics(folder / METRICS, saved["metrics"] if saved else 0)
        run = cls(preset, folder, seed, Checkpoint(model, preset.spec), optimizer, metrics, _dtype(preset, device))
        if saved is not None:
            run.step, run.seconds, run.sums = saved["step"], saved["seconds"], saved["sums"]
        return run

    def train(self, threads: int, quiet: bool) -> None:
        training = self.preset.training
        corpus = self.preset.corpus(self.seed)
        probe = _Evaluation(corpus)
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        with ThreadPoolExecutor(1) as ahead, Progress(*columns, disable=quiet, speed_estimate_period=120) as bar:
            task = bar.add_task(self.preset.name, total=training.steps, completed=self.step)
            coming = self._prefetch(ahead, corpus, self.step, threads)
            while self.step < training.steps:
                began = time.perf_counter()
                batch = coming.result()
                coming = self._prefetch(ahead, corpus, self.step + 1, threads)
                targets = torch.from_numpy(batch.targets).to(self.device)
                loss, count = self._update(batch, targets)
                self.sums["loss"] += loss
                self.sums["positions"] += count
                self.sums["floor"] += entropy_sum(targets).item() if targets.ndim == 3 else 0.0
                self.step += 1
                self.seconds += time.perf_counter() - began
                bar.advance(task)
                if self._due(training.evaluate_every):
                    means = {name: self.sums[name] / self.sums["positions"] for name in ("loss", "floor")}
                    line = {"games": self.step * training.batch, **means, "seconds": round(self.seconds, 1)}
                    line |= probe.measure(self.checkpoint, self.dtype)
                    self.sums = _no_sums()
                    self.metrics.append(line)
                    bar.update(task, description=_describe(self.preset.name, line))
                if self._due(training.save_every):
                    self.save()

    def finish(self) -> Checkpoint:
        corpus = self.preset.corpus(self.seed)
        self.checkpoint.model.eval()
        final = summary(legal_accuracy(self.checkpoint, corpus.held_out(FINAL_GAMES), mass=False))
        training = self.preset.training
        provenance = {
            "preset": self.preset.name,
            "seed": self.seed,
            "training": training.model_dump(mode="json"),
            "games": self.step * training.batch,
            "steps": self.step,
            "minutes": round(self.seconds / 60, 1),
            "threads": torch.get_num_threads(),
            "precision": str(self.dtype).removeprefix("torch."),
            "held_out": final[["language", "top1", "prefixes"]].round(5).to_dict("records"),
            "versions": {name: version(name) for name in ("mothello-interp", "torch", "transformer-lens", "numpy")},
            "machine": platform.machine(),
            "commit": _commit(),
        }
        return Checkpoint(self.checkpoint.model, self.preset.spec, provenance, self.preset.name)

    def save(self) -> None:
        """Write the state from which the run goes on exactly."""
        state = {
            "identity": _identity(self.preset, self.seed),
            "model": self.checkpoint.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "sums": self.sums,
            "metrics": self.metrics.count,
        }
        save_state(self.folder, state)

    @property
    def device(self) -> torch.device:
        return self.checkpoint.model.W_E.device

    def _update(self, batch: Batch, targets: torch.Tensor) -> tuple[float, float]:
        tokens = torch.from_numpy(batch.tokens).to(self.device)
        loss, count = loss_sum(fused_logits(self.checkpoint.model, tokens, dtype=self.dtype), targets)
        if not torch.isfinite(loss):
            raise TrainingStopped(
                f"the loss is {loss.item()} at step {self.step}; what was saved before is kept in {self.folder}. "
                f"Try a smaller learning rate, or precision = 'float32'"
            )
        (loss / count).backward()
        self.optimizer.step(learning_rate(self.step, self.preset.training))
        return loss.item(), count.item()

    def _prefetch(self, ahead: ThreadPoolExecutor, corpus: Corpus, step: int, threads: int) -> Future[Batch]:
        size = self.preset.training.batch
        return ahead.submit(corpus.batch, step * size, size, threads=threads)

    def _due(self, every: int) -> bool:
        size = self.preset.training.batch
        return self.step * size // every > (self.step - 1) * size // every or self.step == self.preset.training.steps


class _Evaluation:
    """A quick measure during training: on held-out games, does the likeliest next token continue a legal game?"""

    def __init__(self, corpus: Corpus):
        games = corpus.held_out(_EVALUATION_GAMES)
        self.written = {language: _written(corpus, games, language) for language in corpus.mothello.inputs[:8]}

    def measure(self, checkpoint: Checkpoint, dtype: torch.dtype) -> dict[str, float]:
        result = {}
        for language, (tokens, possible) in self.written.items():
            with torch.inference_mode():
                logits = fused_logits(checkpoint.model, tokens.to(checkpoint.model.W_E.device), dtype=dtype)
            legal = np.take_along_axis(possible, logits.argmax(-1).cpu().numpy()[..., None], 2)
            result[f"legal_{language}"] = round(float(legal.sum() / possible.any(axis=2).sum()), 5)
        return result


def _written(corpus: Corpus, games: Games, language: int) -> tuple[torch.Tensor, np.ndarray]:
    width = min(corpus.mothello.width(language), corpus.mothello.n_ctx)
    tokens = corpus.mothello.encode(games, language).tokens[:, :width]
    possible = exact_targets(corpus.mothello, games, replay(games).legal, language)[:, :width] > 0
    return torch.from_numpy(tokens), possible


def _commit() -> str:
    """The checkout's commit, or "unknown" outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"


def _dtype(preset: Preset, device: str) -> torch.dtype:
    wanted = preset.training.precision
    if wanted == "auto":
        on_cpu = torch.device(device).type == "cpu"
        fast = torch.cpu._is_avx512_bf16_supported() if on_cpu else torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32


def _describe(name: str, line: dict[str, Any]) -> str:
    legal = " ".join(f"{value:.3f}" for key, value in line.items() if key.startswith("legal_"))
    above = f" ({line['loss'] - line['floor']:+.3f} above its floor)" if line["floor"] else ""
    return f"{name}  loss {line['loss']:.3f}{above}  legal {legal}"

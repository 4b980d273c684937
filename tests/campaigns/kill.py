"""Tiny trainings that are broken off at random, again and again: each has to end as one that was left alone."""

import os
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.train.tiny import measured, tiny_preset, train
from train.options import LOG, TrainingStopped
from train.pretrain import pretrain
from train.state import CHECKPOINT, METRICS, STATE, STEPS

_PRESET = tiny_preset(games=320, evaluate_every=64, save_every=32)
_OPERATIONS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")
_STOPPED = 3  # how a process ends whose training said that it cannot go on
_SECONDS = 120  # that no run may take


def kill(seconds: float, seed: int) -> tuple[dict[str, int], list[str]]:
    """How often trainings were broken off in each way and ended the same, and what else became of them."""
    draw, counts, found = random.Random(seed), Counter[str](), list[str]()
    with TemporaryDirectory() as place:
        alone = Path(place) / "alone"
        train(tiny_preset(games=16), Path(place) / "first")  # so that forked processes find all loaded and compiled
        began = time.monotonic()
        assert not _ended(alone, lambda: None), _last(alone)
        lasts = time.monotonic() - began
        while time.monotonic() < began + seconds:
            folder = Path(place) / f"run{counts['runs']}"
            counts["runs"] += 1
            for _ in range(draw.randint(1, 6)):
                way, stop = draw.choice(list(_WAYS.items()))
                status = _ended(folder, *stop(draw, lasts))
                expected = {0: "ended before", -signal.SIGKILL: way, _STOPPED: way}.get(status, "")
                counts[expected or f"ended with {status}"] += 1
                if not expected:
                    found.append(f"{folder.name}, {way}: ended with {status}: {_last(folder)}")
                if status == 0:
                    break
            if wrong := _compared(folder, alone):
                found.append(f"{folder.name}: {wrong}")
            counts["ended the same, to the bit"] += not wrong
    return dict(counts), found


def _ended(folder: Path, prepare: Callable[[], Any], after: float = _SECONDS) -> int:
    """How the process of a training ends, which is killed after so many seconds."""
    child = os.fork()
    if child == 0:
        _train(folder, prepare)
    end = time.monotonic() + after
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _train(folder: Path, prepare: Callable[[], Any]) -> None:
    """Train in this process and end it, without what a parent would do."""
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of its life
    try:
        prepare()
        pretrain(_PRESET, folder, seed=1, device="cpu", threads=1, quiet=True, keep=3)
        os._exit(0)
    except (TrainingStopped, OSError):
        os._exit(_STOPPED)
    except BaseException:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        folder.with_suffix(".error").write_text(traceback.format_exc(), encoding="utf-8")
        os._exit(1)


def _at_random(draw: random.Random, lasts: float) -> tuple[Callable[[], None], float]:
    return lambda: None, draw.random() * lasts


def _before_an_operation(draw: random.Random, lasts: float) -> tuple[Callable[[], None], float]:
    left = draw.randint(1, 60)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and arguments[1] not in (None, "r", "rb")
        left -= writes or event in _OPERATIONS
        if left <= 0:
            left = sys.maxsize  # for the hook is called by kill too
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.addaudithook(hook), _SECONDS


def _full_disk(draw: random.Random, lasts: float) -> tuple[Callable[[], None], float]:
    size = draw.randint(100, 20_000)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY)), _SECONDS


_WAYS = {"kills at random": _at_random, "kills before a file operation": _before_an_operation, "full disks": _full_disk}


def _compared(folder: Path, alone: Path) -> str:
    """What differs once the run is left alone; empty if nothing does."""
    if status := _ended(folder, lambda: None):
        return f"left alone it ends with {status}: {_last(folder)}"
    weights = [(run / CHECKPOINT / "weights.safetensors").read_bytes() for run in (folder, alone)]
    if weights[0] != weights[1]:
        return "other weights"
    if not measured(folder).equals(measured(alone)):
        return "other metrics"
    odd = {path.name for path in folder.iterdir()} - {CHECKPOINT, METRICS, STATE, STEPS, LOG}
    kept, wanted = (sorted(path.name for path in (run / STEPS).iterdir()) for run in (folder, alone))
    return f"left over: {odd or kept}" if odd or kept != wanted else ""


def _last(folder: Path) -> str:
    """The last line of what a process raised."""
    error = folder.with_suffix(".error")
    return error.read_text(encoding="utf-8").splitlines()[-1] if error.exists() else "nothing said"

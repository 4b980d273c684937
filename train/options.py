"""What all commands that train share: how a run is carried out, the user's own language types, the lock of a folder."""

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import extract_tb
from typing import Annotated

import typer

LOG = "run.log"


class TrainingStopped(RuntimeError):
    """Training cannot continue; the last good state is on disk."""


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out; nothing of it changes what is learned. Each is an option of the command line."""

    threads: Annotated[int, typer.Option(metavar="N", min=1, help="processor cores of one run")] = 1
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1")] = "cpu"
    quiet: Annotated[bool, typer.Option("--quiet", help="no progress bar")] = False
    keep: Annotated[int, typer.Option(metavar="N", min=0, help="log-spaced checkpoints to keep in steps/")] = 0
    log: Annotated[str | None, typer.Option(metavar="NAME", help="metrics to tensorboard or wandb too")] = None
    compile: Annotated[bool, typer.Option("--compile", help="compile the step, for a GPU")] = False

    def check(self, *, here: bool = True) -> None:
        """Raise TrainingStopped, before there is a folder, for what cannot be; `here` is False for another machine's device."""
        from train.log import check_log
        from train.parallel import check_device

        check_log(self.log)
        if self.keep < 0:
            raise TrainingStopped(f"--keep {self.keep}: give the number of checkpoints to keep on the way, 0 or more")
        check_device(self.device, here=here)


def import_languages(file: Path | None) -> None:
    """Run a Python file that registers language types; a second time in one process does nothing.

    Raises:
        TrainingStopped: in one line, for a file that is not there or that raises.
    """
    if file is None:
        return
    path = file.absolute()
    name = f"imported_{path.stem}_{sha256(bytes(path)).hexdigest()[:8]}"  # the same in every process, no other module's
    if name in sys.modules:
        return
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise TrainingStopped(f"--import {file}: expected a Python file that calls register_language")
    sys.modules[name] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == str(path)]
        at = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise TrainingStopped(f"--import {file}: {f'line {at}: ' if at else ''}{said}") from error


def folder_name(given: object, *, what: str) -> str:
    """A name that a file gives, if it can be a folder inside runs/: parts of letters, digits, `.`, `_` and `-`, none hidden.

    Raises:
        TrainingStopped: for any other, which might lie elsewhere.
    """
    if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z0-9_-][\w.-]*(/[A-Za-z0-9_-][\w.-]*)*", given, re.ASCII):
        raise TrainingStopped(f"{what} is {given!r:.60}, no name of a run: say where with --out")
    return given


@contextmanager
def run_lock(folder: Path) -> Iterator[Callable[[str], None]]:
    """Hold the run's folder until the end of the block; while another process holds it, wait.

    Gives a function that notes a line, with time, machine and process, in the locked file `folder/run.log`. The kernel
    releases the lock (`flock`) when its process ends or is killed. It holds between machines where their shared file
    system passes flock on (NFS 4, Lustre mounted with `flock`); elsewhere give one folder to one machine. A folder that
    cannot be written is a TrainingStopped, a file system without locks an OSError.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOG, fallback_to_soft=False, poll_interval=0.2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOG).touch()
    except OSError as error:
        raise TrainingStopped(f"{folder} cannot be written ({error.strerror}); choose another --out") from error
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{folder} is in training elsewhere: waiting for it (who: the end of {LOG} there)", file=sys.stderr)
        lock.acquire()

    def note(line: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with (folder / LOG).open("a", encoding="utf-8") as file:
            print(now, platform.node(), os.getpid(), line, file=file)

    try:
        yield note
    finally:
        lock.release()

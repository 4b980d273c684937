"""One training a run: a lock on the run's folder that dies with the process that holds it."""

import fcntl
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from train.state import TrainingStopped

LOG = "run.log"


@contextmanager
def alone(folder: Path) -> Iterator[Callable[[str], None]]:
    """Hold the run's folder until the end of the block; while another holds it, wait.

    Gives a function that notes a line, with time, machine and process, in the locked file `folder/run.log`.

    The lock is `flock`: the kernel releases it when its process ends, also when that is killed, so none is ever left
    behind. Who waited then goes on from what was saved. It holds between machines only where the file system they share
    passes flock on: NFS 4 does (a lock of a machine that was lost ends with its lease, a minute or two later), Lustre if
    mounted with `flock`, and many others keep it to one machine: there, give one folder to one machine.

    Raises:
        TrainingStopped: if the folder cannot be written.
        OSError: if its file system has no locks.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOG).open("a", encoding="utf-8")
    except OSError as error:
        raise TrainingStopped(f"{folder} cannot be written ({error.strerror}); choose another --out") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{folder} is in training elsewhere: waiting for it (who: the end of {LOG} there)", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)

        def note(line: str) -> None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            print(now, platform.node(), os.getpid(), line, file=file, flush=True)

        yield note

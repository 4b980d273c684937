"""The runs of a sweep: in processes of this machine, or on the workers of a Dask cluster."""

import os
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

from train.options import RunOptions, import_languages, run_lock
from train.pretrain import pretrain
from train.state import CHECKPOINT, STATE
from train.sweep import THERE, TRAINED, PlannedRun, Result, SweepError

_PATIENCE = 30  # seconds for the scheduler to answer, and for a first worker to join
_ATTEMPTS = 2  # of a run whose process is killed
_ONE_AT_A_TIME = threading.Lock()  # torch's seed and number of threads are the process's


def sweep(
    planned: Sequence[PlannedRun],
    *,
    at_once: int | None,
    options: RunOptions | None = None,
    dask: str | None = None,
    imported: Path | None = None,
) -> Iterator[tuple[PlannedRun, Result]]:
    """Train every run that has no checkpoint yet; gives each with its result as it finishes.

    Runs start in their order, at most `at_once` at a time (by default one here, one a worker on a cluster), each carried
    out as `options` says but without a progress bar. Here one at a time is trained in this very process, and several each
    in a process of its own. The workers of the Dask scheduler at the address `dask` must see the same folders. Where a
    process is killed, its run is tried again and resumes from its saved state.

    Raises:
        TrainingStopped: if `options` cannot be, or the cluster cannot be used. An error within a run is its result, and
            the others continue.
    """
    options = replace(options or RunOptions(), quiet=True)
    options.check(here=dask is None)
    if dask is None and (at_once or 1) == 1:
        for run in planned:
            yield run, train_planned(run, options)
        return
    file = imported.absolute() if imported else None
    with _workers(at_once, dask) as (pool, slots, work):
        waiting = iter(planned)
        running: dict[Future[Result], PlannedRun] = {}
        while True:
            for run in islice(waiting, slots - len(running)):
                there = replace(run, folder=run.folder.absolute())
                running[pool.submit(work, file, pickle.dumps(there), options)] = run
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), _result(future, dask)


def train_planned(run: PlannedRun, options: RunOptions) -> Result:
    """How a run ended, wherever it is trained; an error within it is its result.

    The lock makes it safe to train a run twice: a cluster that has lost sight of a worker gives its run to another one,
    which waits until the first has ended or died, and then finds a checkpoint or resumes from the saved state.
    """
    try:
        with _ONE_AT_A_TIME, run_lock(run.folder) as note:
            there = (run.folder / CHECKPOINT).exists()
            if not there:
                note("resumes" if (run.folder / STATE).exists() else "begins")
            try:
                trained = pretrain(run.preset, run.folder, seed=run.seed, **asdict(options))
            except Exception:
                note(traceback.format_exc())
                raise
            if not there:
                note("ends")
        made = trained.provenance
        top1 = {line["language"]: line["top1"] for line in made["held_out"]}
        return Result(THERE if there else TRAINED, made["steps"], made["minutes"], top1)
    except Exception as error:  # whatever it is, the other runs go on
        return Result.failure(error)


def _unpack_and_train(file: Path | None, packed: bytes, options: RunOptions) -> Result:
    """In another process, which needs the user's language types before it can unpack a preset of them."""
    threading.Thread(target=_die_with_the_parent, daemon=True).start()
    import_languages(file)
    return train_planned(pickle.loads(packed), options)


def _die_with_the_parent() -> None:
    """A sweep that is killed leaves no run that continues unseen."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_a_process(file: Path | None, packed: bytes, options: RunOptions) -> Result:
    """In a process of its own: one that is killed takes no other run with it."""
    for _ in range(_ATTEMPTS):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            future = process.submit(_unpack_and_train, file, packed, options)
            if not isinstance(future.exception(), BrokenProcessPool):
                break
    return future.result()


def _result(future: Future[Result], dask: str | None) -> Result:
    try:
        return future.result()
    except CancelledError:
        raise SweepError(f"--dask {dask}: the scheduler was lost; the same command continues with the rest") from None
    except Exception as error:  # its process was killed again and again
        return Result.failure(error)


@contextmanager
def _workers(at_once: int | None, dask: str | None) -> Iterator[tuple[Executor, int, Callable[..., Result]]]:
    """What takes runs, how many at once, and the function to give it."""
    if dask is None:
        with ThreadPoolExecutor(at_once) as pool:
            yield pool, at_once or 1, _in_a_process
    else:
        with _connect(dask) as client:
            yield client.get_executor(pure=False), at_once or sum(client.nthreads().values()), _unpack_and_train


@contextmanager
def _connect(address: str) -> Iterator[Any]:
    """A client of the scheduler at an address such as "tcp://node1:8786", with a worker at least.

    Raises SweepError if Dask is not installed, or there is no scheduler, or no worker, or one of several threads.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SweepError("--dask needs the package distributed: pip install 'mothello-interp[dask]'") from None
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SweepError(
            f"--dask {address}: no Dask scheduler there ({error}); start one with `dask scheduler`"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise SweepError(
                f"--dask {address}: no worker; start some with `dask worker {address} --nthreads 1`"
            ) from None
        wide = {worker: threads for worker, threads in client.nthreads().items() if threads > 1}
        for worker, threads in wide.items():
            raise SweepError(
                f"--dask {address}: worker {worker} has {threads} threads, but a process trains one model at a time: "
                f"start it with `dask worker {address} --nthreads 1 --nworkers {threads}`"
            )
        yield client

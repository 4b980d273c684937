"""Jobs on a Dask cluster, through joblib."""

from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any

from joblib._dask import DaskDistributedBackend

from train.sweep import SweepError

_PATIENCE = 30  # seconds for the scheduler to answer, and for a first worker to join


class Cluster(DaskDistributedBackend):
    """joblib's Dask backend with two things mended, both seen with joblib 1.6.

    A task that Dask gives up, because its worker died again and again or cannot import it, is never called back, and
    joblib waits for it forever: here it has the result `lost(error, *arguments)`. And a cluster of one thread is
    mistaken for no parallelism at all, so that joblib runs the tasks in the calling process.
    """

    def __init__(self, client: Any, lost: Callable[..., Any]):
        super().__init__(client=client)
        self._lost = lost

    @property
    def slots(self) -> int:
        """Jobs that the cluster can run at once, as of now."""
        return sum(self.client.nthreads().values())

    def effective_n_jobs(self, n_jobs: int) -> int:
        return max(2, self.slots)

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Future[Any]:
        future: Future[Any] = super().submit(func, callback)

        def give_up(ended: Future[Any]) -> None:
            error = ended.exception()
            if error is not None and callback is not None:
                callback([self._lost(error, *arguments, **options) for _, arguments, options in func.items])

        future.add_done_callback(give_up)
        return future


@contextmanager
def connect(address: str, lost: Callable[..., Any]) -> Iterator[Cluster]:
    """The cluster of the scheduler at an address such as "tcp://node1:8786", with a worker at least.

    Raises:
        SweepError: if Dask is not installed, or there is no scheduler, or no worker, or one of several threads, or the
            scheduler is lost within the block.
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
        try:
            yield Cluster(client, lost)
        except CancelledError:
            raise SweepError(
                f"--dask {address}: the scheduler was lost; the same command goes on with the rest"
            ) from None

"""Start a LocalCluster, or connect to a cluster that runs already.

    workers=4                   four new processes on this machine, ended with the block
    "tcp://host:8786"           any Dask cluster: by hand, Kubernetes, Slurm, SSH, cloud
    LABKIT_SCHEDULER=tcp://...  the same, for every lesson, without changing one
    LABKIT_SECURITY=tls         new processes whose connections are all encrypted
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys

import dask
from dask.utils import parse_bytes
from distributed import Client, LocalCluster
from distributed.system import MEMORY_LIMIT
from distributed.utils import get_mp_context

from labkit.cluster.janitor import scratch_folder
from labkit.errors import ClusterError, ConfigurationError
from labkit.records import usable_cores

# A fork server imports everything once; each worker is forked from it within milliseconds, and
# so is every worker of later clusters.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
PRELOAD = ["labkit.cluster.preload", "labkit.cluster.entry", "distributed.nanny",
           "distributed.http.worker", "distributed.http.worker.prometheus.core"]
SETTINGS = {
    "distributed.scheduler.no-workers-timeout": "30s",
    # The memory manager would drop replicas and move shards away from their peers.
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.comm.timeouts.tcp": "11s",
    # Dask looks once, so long after a worker's death, whether its nanny has brought it back, and
    # gives it up if it has just died again.
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.worker.preload": ["labkit.cluster.preload"],
    "distributed.worker.multiprocessing-method": METHOD,
    # At Dask's hundred looks a second its profiler costs a program that talks a fifth of its time.
    "distributed.worker.profile.interval": "100ms",
}
START_S = 60
CONNECT_S = 10
LEAST_BYTES = 100_000_000    # a worker that has imported NumPy and Dask takes 60 to 90 MB itself
LOOPBACK = "127.0.0.1"
NO_GUARD = "This script starts workers whenever it is imported"
GUARD = 'start the cluster under `if __name__ == "__main__":`'


def start_local(workers, stack, memory_limit, security):
    """Start `workers` processes on this machine; `stack` ends them.

    Returns
    -------
    Client

    Raises
    ------
    ConfigurationError
        For a memory limit that no worker can live with, or that this machine does not have.
    ClusterError
        If they do not start.
    """
    check_memory_limit(memory_limit)
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A new worker process runs the script that started it and has come to this line again.
        sys.exit(f"{NO_GUARD}: {GUARD}")
    scratch = stack.enter_context(scratch_folder())
    # Workers read the settings at their start and at every restart, the scheduler now.
    stack.enter_context(dask.config.set(SETTINGS))
    _start_fork_server()
    try:
        cluster = stack.enter_context(LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0", memory_limit=memory_limit, security=security,
            local_directory=scratch, silence_logs="CRITICAL"))
    except RuntimeError as error:
        raise ClusterError("The workers could not start.", got=error.__cause__ or error,
                           expected=f"{workers} new processes",
                           remedy=f"run `python -m labkit doctor`; in a script, {GUARD}") from None
    client = stack.enter_context(Client(cluster, timeout=START_S, set_as_default=False))
    _wait_for_workers(client, workers)
    return client


def check_memory_limit(limit):
    """Raise ConfigurationError unless Dask and this machine can keep this limit of a worker.

    Dask itself waits for ever for workers that die of their limit, and takes a number that is
    larger than the machine for the machine's.
    """
    if limit is None or isinstance(limit, str) and limit == "auto":
        return
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        nbytes = parse_bytes(limit) if isinstance(limit, str) else float(limit)
        nbytes *= MEMORY_LIMIT if 0 < nbytes <= 1 else 1
        if nbytes == 0 or LEAST_BYTES <= nbytes <= MEMORY_LIMIT:
            return
    raise ConfigurationError(
        "No worker can have this memory limit.", got=repr(limit), where="memory_limit=",
        expected=f"{LEAST_BYTES:,} to {MEMORY_LIMIT:,} bytes, which this machine has",
        remedy='pass for example "2GB", or "auto" for an equal share of the machine\'s memory')


def _start_fork_server():
    """Start the server of this process, if there is none, and let it import meanwhile."""
    context = get_mp_context()               # Dask sets a list of its own here, the first time
    if METHOD == "forkserver":
        from multiprocessing import forkserver  # not on Windows

        context.set_forkserver_preload(PRELOAD)
        forkserver.ensure_running()


def connect(address, stack, security):
    """Connect to the scheduler at `address`; `stack` disconnects, and ends nothing.

    Raises
    ------
    ClusterError
        If no scheduler answers there.
    """
    try:
        client = Client(address, timeout=CONNECT_S, security=security, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            "No Dask scheduler answers.", where=address, got=str(error),
            expected=f"a running `dask scheduler`, within {CONNECT_S} s",
            remedy="start one, or unset LABKIT_SCHEDULER to use this machine") from error
    except ValueError as error:
        raise ConfigurationError("This is not a scheduler's address.", got=repr(address),
                                 expected='something like "tcp://host:8786"',
                                 where="the address, or LABKIT_SCHEDULER",
                                 remedy="copy the line that `dask scheduler` prints") from error
    return stack.enter_context(client)


def resolve(workers_or_address, workers):
    """Return `(workers or None, address or None)` from what `labkit.cluster` was given."""
    if isinstance(workers_or_address, str):
        return workers, workers_or_address
    if workers_or_address is not None:
        if workers is not None:
            raise ConfigurationError("The number of workers was given twice.",
                                     got=f"{workers_or_address} and workers={workers}")
        workers = workers_or_address
    return workers, os.environ.get("LABKIT_SCHEDULER") or None


def default_workers():
    """Return how many workers to start when nobody says: one a core, from 2 to 4."""
    return min(4, max(2, usable_cores()))


def _wait_for_workers(client, workers):
    try:
        client.wait_for_workers(workers, timeout=START_S)
    except TimeoutError as error:
        raise ClusterError(
            "The workers did not start in time.", expected=f"{workers} in {START_S} s",
            got=len(client.scheduler_info(n_workers=-1)["workers"]),
            remedy="run `python -m labkit doctor`") from error


def wants_tls():
    """Return whether LABKIT_SECURITY asks for TLS; None if it says nothing."""
    wish = os.environ.get("LABKIT_SECURITY", "").lower()
    if wish not in ("", "tls"):
        raise ConfigurationError("This kind of security is not known.", expected="tls, or nothing",
                                 got=repr(wish), where="LABKIT_SECURITY",
                                 remedy="unset it, or set it to tls")
    return True if wish else None

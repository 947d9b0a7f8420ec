"""What every labkit worker does first, before Dask gives it work.

Jupyter's Interrupt button sends SIGINT to the whole process group, workers
included (dask/distributed#1925). A worker that ignores it survives; the client
stops the run by other means.
"""

from __future__ import annotations

import contextlib
import signal

from threadpoolctl import threadpool_limits


def dask_setup(worker):
    """Ignore Interrupt, and keep BLAS to one thread, for Dask's preload mechanism."""
    with contextlib.suppress(ValueError):       # only the main thread may set a handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A fork server imports NumPy before the worker's environment is set, too late for
    # OMP_NUM_THREADS to count.
    threadpool_limits(1)

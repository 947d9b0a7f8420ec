"""What every labkit worker does first, before Dask gives it work.

Jupyter's Interrupt button sends SIGINT to the whole process group, workers
included (dask/distributed#1925). A worker that ignores it survives; the client
stops the run by other means.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal

from threadpoolctl import threadpool_limits

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3              # of malloc.h


def dask_setup(worker):
    """Ignore Interrupt, and keep BLAS to one thread, for Dask's preload mechanism."""
    with contextlib.suppress(ValueError):       # only the main thread may set a handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A fork server imports NumPy before the worker's environment is set, too late for
    # OMP_NUM_THREADS to count.
    threadpool_limits(1)
    keep_freed_memory()


def keep_freed_memory():
    """Let glibc reuse the memory of temporary arrays rather than give it back each time.

    Dask asks for the opposite, and each step of a loop over NumPy arrays would then begin with
    a page fault for every 4 KB.
    """
    with contextlib.suppress(OSError, AttributeError):       # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)                # as large as glibc takes
        mallopt(M_TRIM_THRESHOLD, 512 * 2**20)

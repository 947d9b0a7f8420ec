"""What every labkit worker does first, before Dask gives it work.

Jupyter's Interrupt button sends SIGINT to the whole process group, workers
included (dask/distributed#1925). A worker that ignores it survives; the client
stops the run by other means.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import signal
from pathlib import Path

from threadpoolctl import threadpool_limits

from labkit.cluster.janitor import leave_note

SHARE = 0.9      # of its memory limit, so that a nanny, which ends it at 0.95, need not
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3              # of malloc.h


def dask_setup(worker):
    """Prepare a worker's process, for Dask's preload mechanism."""
    with contextlib.suppress(ValueError):       # only the main thread may set a handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_note(worker.local_directory)
    # A fork server imports NumPy before the worker's environment is set, too late for
    # OMP_NUM_THREADS to count.
    threadpool_limits(1)
    keep_freed_memory()
    limit_memory(getattr(worker.memory_manager, "memory_limit", None))


def keep_freed_memory():
    """Let glibc reuse the memory of temporary arrays rather than give it back each time.

    Dask asks for the opposite, and each step of a loop over NumPy arrays would then begin with
    a page fault for every 4 KB.
    """
    with contextlib.suppress(OSError, AttributeError):       # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)                # as large as glibc takes
        mallopt(M_TRIM_THRESHOLD, 512 * 2**20)


def limit_memory(nbytes):
    """Make the task that asks for more memory fail, with MemoryError, and not its worker.

    Without this a nanny ends the worker, and the error speaks of workers that were killed. Data
    segments are limited, not addresses: libraries that are mapped but never read do not count.
    """
    with contextlib.suppress(ImportError, OSError, ValueError, IndexError):
        import resource  # not on Windows

        if nbytes:
            used = int(re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (used * 1024 + int(SHARE * nbytes), hard))

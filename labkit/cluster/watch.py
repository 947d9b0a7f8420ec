"""A nanny's eye on its worker: a process that stands still is ended, and started anew.

    worker    runs, runs, holds the interpreter lock, runs, stopped, stopped, stopped, ...
    nanny     ok    ok    ok: it has had the processor            suspected          SIGKILL

A heartbeat cannot tell a stopped process from one whose threads all wait for Python's interpreter
lock. The operating system can: a stopped process is in state T, and neither its processor time nor
its context switches change. A slow one, stopped for a part of each moment, has some.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

import psutil
from distributed.core import Status
from distributed.diagnostics.plugin import NannyPlugin

LOOK_S = 0.1                 # how often


def standing_still(process):
    """Return what only a process that runs changes, or None for one that is not stopped.

    Parameters
    ----------
    process : psutil.Process
    """
    if process.status() != psutil.STATUS_STOPPED:
        return None
    return process.cpu_times()[:2], process.num_ctx_switches()


class Watch(NannyPlugin):
    """Ends a worker that has stood still for `hang_s` seconds; its nanny starts it again.

    Tells also how a worker's process has ended, which Dask keeps for its logs.

    Parameters
    ----------
    name : str
        Of this world's watch: a cluster may have several worlds.
    topic : str
        Of the events by which the world is told.
    hang_s : float
    """

    def __init__(self, name, topic, hang_s):
        self.name = name
        self.topic = topic
        self.hang_s = hang_s

    def setup(self, nanny):
        self._task = asyncio.ensure_future(self._watch(nanny))
        self._on_exit = nanny._on_worker_exit_sync

        def tell(code):
            if nanny.status is Status.running:       # it does not end its worker itself
                # The address may be that of the process before: this one has died young.
                nanny.log_event(self.topic, {"exit": nanny.worker_address, "code": code,
                                             "name": nanny.name, "time": time.time()})
            self._on_exit(code)

        nanny._on_worker_exit_sync = self._tell = tell       # which later processes are given
        if nanny.process is not None:
            nanny.process.on_exit = tell

    def teardown(self, nanny):
        self._task.cancel()
        if nanny._on_worker_exit_sync is self._tell:
            nanny._on_worker_exit_sync = self._on_exit

    async def _watch(self, nanny):
        still, since = None, 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            pid = nanny.pid
            found = None
            with contextlib.suppress(psutil.Error):
                found = standing_still(psutil.Process(pid)) if pid else None
            if found is None or (pid, found) != still:
                still, since = (pid, found), time.monotonic()
            elif time.monotonic() - since > self.hang_s:
                nanny.log_event(self.topic, {"suspected": nanny.worker_address,
                                             "time": time.time()})
                psutil.Process(pid).kill()
                still = None

"""What the client hears of its cluster: who has ended and how, what was injected, who is full.

    scheduler   "remove-worker", with the tasks that it had    -> gone
    nannies     a process stood still; it ended with this code -> suspected, cause
    workers     a fault of the plan begins                     -> struck
    status      the scheduler is silent, a worker is paused    -> look() raises
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections import deque
from typing import NamedTuple

from distributed.client import ClosedClientError

from labkit.cluster.entry import TOPIC
from labkit.errors import ClusterError, StorageFull

EXIT_S = 5                   # that a nanny may take to tell how its worker has ended
LOST_CODE = 255              # by multiprocessing, where two threads asked for it at once
SILENCE_S = 2                # of the scheduler, after which it is taken to be gone
PAUSED_S = 3                 # that a worker may be paused, while Dask writes to disk
LOOK_S = 1                   # how often `look` asks who is paused


class Death(NamedTuple):
    """What is known of a worker that has ended."""

    time: float
    tasks: list
    """Keys of the tasks that it was to do, one of which it did."""
    done: list
    """Keys of the tasks whose results were on it alone."""


class Health:
    """What is known of one cluster.

    Parameters
    ----------
    client : Client
    stack : ExitStack
        Ends the subscriptions.
    """

    def __init__(self, client, stack):
        self.gone = {}                   # address of a worker that has ended -> Death
        self.reborn = set()              # addresses of workers that have ended, and of others now
        self.has_nannies = False         # who tell how a worker's process has ended
        self._joined = {}                # address of a worker -> its name, and since when
        self.news = threading.Event()    # somebody has come or gone
        self._client = client
        self._address = client.scheduler.address
        self._told = deque(maxlen=10_000)    # what workers and nannies say
        self._silent_since = None
        self._paused_since = {}
        self._next_look = 0.0
        for topic, handler in (("all", self._on_event), (TOPIC, self._on_told)):
            client.subscribe_topic(topic, handler)
            stack.callback(self._unsubscribe, topic)

    def _unsubscribe(self, topic):
        with contextlib.suppress(ClosedClientError):
            self._client.unsubscribe_topic(topic)

    def _on_event(self, event):
        _, message = event
        if message.get("action") == "remove-worker":
            self.gone.setdefault(message["worker"], Death(time.time(), *(
                [key for key in map(tuple, message[kind]) if len(key) == 2]
                for kind in ("processing-tasks", "lost-computed-tasks"))))
        elif message.get("action") == "add-worker" and message["worker"] in self.gone:
            # The system gives a port again, now and then to another worker.
            self.reborn.add(message["worker"])
            del self.gone[message["worker"]]
        self.news.set()

    def _on_told(self, event):
        self._told.append(event[1])

    @property
    def is_connected(self):
        """Whether the scheduler can be asked."""
        return self._client.status == "running"

    # ---- faults

    def struck(self, since, workers, key=None):
        """Return (position in the plan, worker's address, time, step) of faults since then.

        `key` is that of the run's plan; None for those of all.
        """
        return [(told["fault"], told["worker"], told["time"], told["step"])
                for told in list(self._told)
                if "fault" in told and told["time"] >= since and told["worker"] in workers
                and key in (None, told["plan"])]

    def marks(self, since, numbers, plan, key):
        """Return the events of faults since then.

        Parameters
        ----------
        since : float
        numbers : dict
            {worker's address: its number}
        plan : FaultPlan
        key : str
            What its workers announce with each fault.
        """
        injected = [("injected", numbers[worker], when, when, -1, 0, step,
                     repr(plan.faults[position]))
                    for position, worker, when, step in self.struck(since, numbers, key)]
        suspected = [("suspected", numbers[told["suspected"]], told["time"], told["time"], -1, 0,
                      -1, "it has stopped") for told in list(self._told)
                     if told.get("suspected") in numbers and told["time"] >= since]
        return injected + suspected

    def add(self, workers):
        """Remember workers that have joined: {address: what the scheduler knows of it}."""
        self.has_nannies |= any(known["nanny"] for known in workers.values())
        self._joined.update({w: (known["name"], time.time()) for w, known in workers.items()})

    def cause(self, worker, name=None):
        """Return how a worker's process has ended last, in words; "" if nobody knows."""
        until = time.monotonic() + EXIT_S * self.has_nannies     # they hear of it later
        while True:
            codes = [told["code"] for told in self._exits(worker, name)]
            if codes or time.monotonic() > until:
                known = [code for code in codes if code != LOST_CODE]
                return ending(known[-1]) if known else ""
            time.sleep(0.01)

    def _exits(self, worker, name):
        exits = [told for told in list(self._told) if "exit" in told]
        # A nanny knows the address of a worker a moment after the scheduler; until then it has
        # that of the one before.
        name, since = self._joined.get(worker, (name, 0))
        return ([told for told in exits if told["exit"] == worker]
                or [told for told in exits if told["name"] == name and told["time"] >= since])

    # ---- what cannot go on

    def look(self):
        """Raise ClusterError if the scheduler is gone, or a worker is full, memory and disk."""
        self.check_scheduler()
        if self._silent_since is None and time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + LOOK_S
            self._check_paused()

    def check_scheduler(self):
        """Raise ClusterError if the scheduler is gone; the workers do not outlive it."""
        if self.is_connected:
            self._silent_since = None
            return
        self._silent_since = self._silent_since or time.monotonic()
        status = self._client.status
        if status == "closed" or time.monotonic() > self._silent_since + SILENCE_S:
            raise ClusterError("The scheduler is gone.", where=self._address,
                               expected="a scheduler that outlives the run",
                               got=f"a client that is {status}",
                               remedy="start the cluster again, and a new world; a run with "
                                      "checkpoints= goes on from the last one")

    def _check_paused(self):
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        paused = {worker: info for worker, info in workers.items() if info["status"] == "paused"}
        now = time.monotonic()
        self._paused_since = {w: self._paused_since.get(w, now) for w in paused}
        for worker, info in paused.items():
            if now - self._paused_since[worker] > PAUSED_S:
                raise full(worker, info)


def full(worker, info):
    """Return the error for a worker that is paused, with what the scheduler knows of it."""
    folder = info["local_directory"]
    free = ""
    with contextlib.suppress(OSError):               # on another host
        free = f", {shutil.disk_usage(folder).free:,} bytes free in {folder}"
    return StorageFull(
        "A worker holds more than its memory, and cannot write it to disk.", where=worker,
        expected=f"less than 80% of {info['memory_limit']:,} bytes, or room on the disk",
        got=f"{info['metrics']['memory']:,} bytes{free}",
        remedy="make room there, set TMPDIR to a larger disk, or give workers more memory_limit")


def ending(code):
    """Return what an exit code says, in words.

    >>> ending(-9), ending(1)
    ('killed by SIGKILL', 'ended with status 1')
    """
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with status {code}"

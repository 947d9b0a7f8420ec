"""Faults made real, by the worker on itself.

    Crash      SIGKILL to its own process            Pause, Slow  a small child process stops and
    Exhaust    memory, until the limit is met                     continues its parent
    FillDisk   its files may not grow any more       Delay, Partition  messages wait at the reader
    LoseShard  its parts of the data are let go      Drop, Corrupt     at the sender of a link

Nobody can aim at a process that is not part of the world: a worker strikes itself, and only
itself. What has begun is announced on Dask's event topic of the world, before a SIGKILL too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

import numpy as np

from labkit.errors import ShardLost
from labkit.faults import (
    Crash,
    Delay,
    Drop,
    Exhaust,
    FaultPlan,
    FillDisk,
    LoseShard,
    Partition,
    Pause,
    Pending,
    Slow,
)

PERIOD_S = 0.02              # of a slow worker's stopping and going on
ANNOUNCE_S = 0.03            # for an announcement to leave a process that ends

HAND = """
import os, signal, sys, time
pid, stop_s, go_s, seconds = int(sys.argv[1]), *map(float, sys.argv[2:])
end = time.monotonic() + seconds

def wait(seconds):
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and os.getppid() == pid:
        time.sleep(min(left, 0.2))

def tell(number):
    if os.getppid() == pid:
        os.kill(pid, number)

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
print(flush=True)
try:
    while os.getppid() == pid and time.monotonic() < end:
        tell(signal.SIGSTOP)
        wait(stop_s)
        tell(signal.SIGCONT)
        wait(go_s)
finally:
    tell(signal.SIGCONT)
"""


_hands = []                              # children that stop this process


def stop_and_go(stop_s, go_s, seconds):
    """Have a child stop this process again and again; return when the first stop is over."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", HAND, str(os.getpid()), str(stop_s), str(go_s),
         str(min(seconds, 1e6))], stdout=subprocess.PIPE, start_new_session=True)
    child.stdout.readline()
    child.stdout.close()
    threading.Thread(target=child.wait, daemon=True).start()
    _hands.append(child)
    time.sleep(0.001)                    # the first stop comes about now


def kill():
    """End this process as nothing else could: no handler, no farewell."""
    os.kill(os.getpid(), signal.SIGKILL)


def exhaust():
    """Ask for memory until there is none; the limit turns that into MemoryError.

    What is asked for and not used takes no memory of the machine.
    """
    taken = []
    try:
        while True:
            taken.append(np.empty(64 * 2**20, np.uint8))
    finally:
        taken.clear()                    # the error's traceback would keep it


def fill_disk():
    """Let no file of this process grow: writing fails, as on a full disk."""
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def empty_disk():
    """Undo `fill_disk`."""
    import resource  # not on Windows

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def undo():
    """Undo what would outlast the run: slowness, and a full disk."""
    for child in _hands:
        child.terminate()                # it lets this process go on, whatever it did last
    _hands.clear()
    with contextlib.suppress(ImportError):
        empty_disk()


class Injector:
    """Strikes its own worker, and its peer's links.

    Parameters
    ----------
    worker : int
        This worker's number in the plan.
    plan : FaultPlan
    done : collection of int
        Positions in the plan of what has struck already, in an earlier generation.
    announce : callable
        ``announce(position, time, step)``: of a fault, when it begins.
    """

    def __init__(self, worker, plan, done, announce):
        self._position = {id(fault): number for number, fault in enumerate(plan.faults)}
        self._pending = Pending(fault for fault in plan.of(worker)
                                if self._position[id(fault)] not in done)
        self._announce = announce
        self._lock = threading.Lock()
        self._timer, self._rests = None, False
        self._raise = None               # "shard" or "memory": what the program's thread must do
        self._begun = []                 # faults of links, for the program's thread
        self.step, self.messages = -1, 0

    def start(self, since):
        """Begin to count the time, from `since` on `time.time`'s clock."""
        self._since = since
        self._expect()

    def _expect(self):
        """Have the next fault that time brings strike even if the program does not look."""
        next_s = self._pending.next_s
        if next_s < float("inf") and not self._rests:
            left = max(0.0, self._since + next_s - time.time())
            self._timer = threading.Timer(left, self._look_at_the_clock)
            self._timer.daemon = True
            self._timer.start()

    def _look_at_the_clock(self):
        self._take_due()
        self._expect()

    def check(self, step, messages):
        """Let what is due strike; return the link faults that have begun since the last check."""
        self.step, self.messages = step, messages
        self._take_due()
        cause, self._raise = self._raise, None
        if cause == "memory":
            exhaust()
        if cause == "shard":
            raise ShardLost("The worker's shards are gone.")
        begun, self._begun = self._begun, []
        return begun

    def _take_due(self):
        while True:
            with self._lock:
                fault = self._pending.take(self.step, self.messages, time.time() - self._since)
            if fault is None:
                return
            self._strike(fault)

    def _strike(self, fault):
        position = self._position[id(fault)]
        if isinstance(fault, Crash):
            self._announce(position, time.time() + ANNOUNCE_S, self.step)
            time.sleep(ANNOUNCE_S)
            if not self._rests:          # the run has not ended meanwhile
                kill()
            return
        self._announce(position, time.time(), self.step)
        if isinstance(fault, Pause):
            stop_and_go(fault.seconds, 0.0, fault.seconds / 2)
        elif isinstance(fault, Slow):
            stop_s = PERIOD_S * (1 - 1 / fault.factor)
            stop_and_go(stop_s, PERIOD_S - stop_s, fault.seconds)
        elif isinstance(fault, LoseShard):
            self._raise = "shard"
        elif isinstance(fault, Exhaust):
            self._raise = "memory"
        elif isinstance(fault, FillDisk):
            fill_disk()
        elif isinstance(fault, Delay | Partition | Drop):        # and Corrupt
            self._begun.append((position, fault))

    def rest(self):
        """Strike no more; what has begun goes on."""
        self._rests = True
        if self._timer is not None:
            self._timer.cancel()


# ---- tasks of `map`


class Injection(NamedTuple):
    """What the workers of one `map` are told of its faults."""

    key: str
    numbers: dict
    """{worker's address: its number}; a replacement has none."""
    plan: FaultPlan
    since: float


_of_maps = {}                            # key -> (Injector, tasks that have begun here)


def strike_task(injection, announce):
    """Let what is due strike this worker, which begins a task of a map."""
    key, number = injection.key, injection.numbers.get(announce.address)
    if number is None:
        return
    if key not in _of_maps:
        injector = Injector(number, injection.plan, frozenset(), announce)
        injector.start(injection.since)
        _of_maps[key] = injector, itertools.count()
    injector, begun = _of_maps[key]
    injector.check(next(begun), 0)


def stop_task_faults(key):
    """Undo what would outlast the map."""
    injector, _ = _of_maps.pop(key, (None, None))
    if injector is not None:
        injector.rest()
    undo()

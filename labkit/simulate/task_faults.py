"""Faults that strike simulated workers while they do tasks of `map`.

    worker 1   |==0==|==2==x                       |==5==|     a task that is cut short goes to
    worker 0   |==1==|==3==|==2 again==|==4==|                 whoever is free next
                           1 dies      |  its replacement is there
"""

from __future__ import annotations

import math
from typing import NamedTuple

from labkit.errors import ConfigurationError
from labkit.faults import Crash, Exhaust, FillDisk, LoseShard, Pause, Pending, Slow
from labkit.serial import task_error

REPLACE_S = 1.0              # until the replacement of a lost worker is there


class Attempted(NamedTuple):
    """How one attempt at a task went."""

    end_s: float
    lost: bool
    """Whether its worker died."""
    free_s: float
    """When the worker, or its replacement, is free."""


class TaskFaults:
    """The faults of one map.

    Parameters
    ----------
    world : SimulatedWorld
    plan : FaultPlan
    """

    def __init__(self, world, plan):
        if any(isinstance(fault, FillDisk) for fault in plan.faults):
            raise ConfigurationError("Simulated workers have no disk of their own.",
                                     expected="other faults", got="FillDisk", where="faults=")
        self.marks = []
        self.lost = {}                   # worker -> what it was at when it died last
        self._hang_s, self._latency_s = world.hang_s, world.network.latency_s
        self._pending = [Pending(plan.of(worker)) for worker in range(world.workers)]
        self._begun = [0] * world.workers
        self._slow = [[] for _ in range(world.workers)]      # (until, factor)

    def attempt(self, worker, number, start_s, cost_s, reload_s):
        """Let a worker do a task, and faults strike; return how it went.

        Parameters
        ----------
        worker, number : int
        start_s, cost_s : float
        reload_s : float
            What it takes to read the task's data from its source again.
        """
        now, left, pending = start_s, cost_s, self._pending[worker]
        step = self._begun[worker]
        self._begun[worker] += 1
        while True:
            while (fault := pending.take(step, 0, now)) is not None:
                self._mark("injected", worker, now, repr(fault))
                now, left, dead = self._strike(fault, worker, number, now, left, cost_s + reload_s)
                if dead:
                    return self._die(worker, number, now)
            if left <= 0:
                return Attempted(now, False, now)
            active = [(until, f) for until, f in self._slow[worker] if until > now]
            factor = math.prod(f for _, f in active)
            stop = min([until for until, _ in active] + [pending.next_s])
            span = min(left * factor, max(0.0, stop - now))
            now, left = now + span, left - span / factor

    def _strike(self, fault, worker, number, now, left, again_s):
        """Return (time, work that is left, whether the worker is dead)."""
        if isinstance(fault, Crash):
            return now, left, True
        if isinstance(fault, Pause) and fault.seconds > self._hang_s:
            self._mark("suspected", worker, now + self._hang_s, "it has stopped")
            return now + self._hang_s, left, True
        if isinstance(fault, Pause):
            return now + fault.seconds, left, False
        if isinstance(fault, Slow):
            self._slow[worker].append((now + fault.seconds, fault.factor))
        elif isinstance(fault, LoseShard):
            return now, again_s, False                   # it begins anew
        elif isinstance(fault, Exhaust):
            error = MemoryError(f"worker {worker} asked for more than its limit")
            raise task_error(error, number) from error
        return now, left, False

    def _die(self, worker, number, now):
        self._mark("confirmed", worker, now + self._latency_s)
        self._slow[worker].clear()
        self.lost[number] = worker
        return Attempted(now, True, now + REPLACE_S)

    def done(self, number, end_s):
        """Note that a task has its result."""
        if number in self.lost:
            self._mark("recovered", self.lost.pop(number), end_s, "its task is done")

    def _mark(self, kind, worker, now, label=""):
        self.marks.append((kind, worker, now, now, -1, 0, self._begun[worker] - 1, label))

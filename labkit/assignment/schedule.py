"""What a policy made of the tasks: who did each, from when to when.

    worker 0  |--- task 0 ---|- task 3 -|
    worker 1  |- task 1 -|-- task 2 --|          makespan_s: when the last task has ended

`play` is the clock: it asks a policy again and again what the worker that is idle first does
next. Nothing sleeps, and nothing is random but what a policy draws.

Source: Graham, "Bounds for certain multiprocessing anomalies", Bell System Technical Journal
45, 1966, for the bounds.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labkit.errors import ConfigurationError


class Attempt(NamedTuple):
    """One worker at one task."""

    task: int
    """The task's number, from 0."""

    worker: int
    """The worker's number, from 0."""

    start_s: float
    """When it began."""

    end_s: float
    """When it ended, or was given up because another attempt had ended."""

    won: bool = True
    """Whether its result counts."""


@dataclass(frozen=True)
class Schedule:
    """Every attempt at every task, in the order in which they began."""

    attempts: tuple[Attempt, ...]
    """One or more for each task, of which one has won."""

    n_workers: int
    """How many workers there were, idle ones included."""

    steals: int = 0
    """How often a worker looked into another's queue, in vain or not."""

    @property
    def _won(self):
        return sorted(attempt for attempt in self.attempts if attempt.won)

    @property
    def worker(self):
        """Who did each task, shape (n_tasks,)."""
        return np.array([attempt.worker for attempt in self._won], dtype=int)

    @property
    def start_s(self):
        """When each task began, shape (n_tasks,)."""
        return np.array([attempt.start_s for attempt in self._won])

    @property
    def end_s(self):
        """When each task's result was there, shape (n_tasks,)."""
        return np.array([attempt.end_s for attempt in self._won])

    @property
    def makespan_s(self):
        """When the last result was there; 0 without tasks."""
        return max((attempt.end_s for attempt in self._won), default=0.0)

    @property
    def busy_s(self):
        """Seconds that each worker spent on tasks, shape (n_workers,)."""
        busy = np.zeros(self.n_workers)
        for attempt in self.attempts:
            busy[attempt.worker] += attempt.end_s - attempt.start_s
        return busy


def play(n_workers, duration_s, choose, steals=lambda: 0):
    """Let whoever is idle first ask `choose`, until all have been told to go home.

    Parameters
    ----------
    n_workers : int
    duration_s : callable
        ``duration_s(task, worker)``, in seconds.
    choose : callable
        ``choose(worker, now)`` returns ``(tasks, wait_s)``: tasks to do one after another, and
        the seconds until the first begins, or until the worker asks again if there are none.
        None sends it home.
    steals : callable
        What to record as `Schedule.steals` at the end.

    Returns
    -------
    Schedule
    """
    idle = [(0.0, worker) for worker in range(n_workers)]
    attempts = []
    while idle:
        now, worker = heapq.heappop(idle)
        if (chosen := choose(worker, now)) is None:
            continue
        tasks, wait_s = chosen
        now += wait_s
        for task in tasks:
            begun, now = now, now + duration_s(task, worker)
            attempts.append(Attempt(int(task), worker, begun, now))
        heapq.heappush(idle, (now, worker))
    return Schedule(in_order(attempts), n_workers, steals())


def in_order(attempts):
    """Return attempts as a tuple, by start and worker."""
    return tuple(sorted(attempts, key=lambda attempt: (attempt.start_s, attempt.worker)))


def at_speed(costs, speeds):
    """Return ``duration_s(task, worker)`` of tasks that take `costs` at speed 1."""
    return lambda task, worker: float(costs[task] / speeds[worker])


def checked(costs, workers):
    """Return costs and speeds as arrays.

    Parameters
    ----------
    costs : array_like, shape (n_tasks,)
        Seconds on a worker of speed 1, 0 or more.
    workers : int, or array_like of shape (n_workers,)
        How many workers of speed 1, or the speed of each: a straggler's is 0.1, say.

    Raises
    ------
    ConfigurationError
        For costs or speeds that are no such numbers.
    """
    costs = np.atleast_1d(np.asarray(costs, dtype=float))
    if costs.ndim != 1 or not np.all(np.isfinite(costs) & (costs >= 0)):
        raise ConfigurationError("A task's cost cannot be this.", where="costs",
                                 expected="seconds, 0 or more, one a task", got=costs)
    speeds = np.ones(workers) if isinstance(workers, int) and workers > 0 else np.asarray(
        workers, dtype=float)
    if speeds.ndim != 1 or not len(speeds) or not np.all(np.isfinite(speeds) & (speeds > 0)):
        raise ConfigurationError("These cannot be workers.", got=workers, where="workers",
                                 expected="how many, or the speed of each, all above 0")
    return costs, speeds


def lower_bound(costs, workers):
    """Return seconds that no schedule can beat: all work on all workers, or the longest task.

    max(sum/m, max) for m workers of speed 1; parameters and errors as in `checked`.
    """
    costs, speeds = checked(costs, workers)
    return float(max(costs.sum() / speeds.sum(), costs.max(initial=0.0) / speeds.max()))


def list_bound(costs, n_workers):
    """Return sum/m + (1 - 1/m) max: no list schedule takes longer (Graham 1966).

    `costs` are those of whatever is handed out at once: of tasks, or of whole chunks. Proof:
    until the last one begins all workers are busy, or an idle one would have taken it.
    """
    costs, speeds = checked(costs, n_workers)
    m = len(speeds)
    return float(costs.sum() / m + (1 - 1 / m) * costs.max(initial=0.0))


def list_ratio(n_workers):
    """Return 2 - 1/m, how much longer than the optimum a list schedule may take."""
    return 2 - 1 / n_workers

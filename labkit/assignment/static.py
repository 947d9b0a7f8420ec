"""Plans made before the start: every task has its worker before anything has run.

    costs           5 1 1 5 1 1          two workers
    round robin     0 1 0 1 0 1          loads 7 and 7: luck; 5 1 5 1 would give 10 and 2
    longest first   0 0 1 1 0 1          5 | 5, then the ones to whoever has less

A plan costs one message a worker, and is as good as what it knew: a worker that turns out to
be slow keeps its tasks.

Sources: Graham, "Bounds on multiprocessing timing anomalies", SIAM J. Appl. Math. 17, 1969;
Gonzalez, Ibarra and Sahni, "Bounds for LPT schedules on uniform processors", SIAM J. Comput.
6, 1977, for workers that differ.
"""

from __future__ import annotations

import math

import numpy as np

from labkit.assignment.schedule import at_speed, checked, play
from labkit.errors import ConfigurationError


def round_robin(n_tasks, n_workers):
    """Deal tasks like cards: task i to worker i mod m.

    Needs to know nothing. The makespan is at most ceil(n/m) max, and comes close to it where
    costs repeat with period m: then it is m times the optimum.

    Returns
    -------
    list of ndarray of int
        Each worker's tasks, in the order in which it does them.
    """
    return [np.arange(worker, n_tasks, n_workers) for worker in range(n_workers)]


def round_robin_bound(costs, n_workers):
    """Return ceil(n/m) max: no worker has more tasks, and no task takes longer."""
    costs, _ = checked(costs, n_workers)
    return float(math.ceil(len(costs) / n_workers) * costs.max(initial=0.0))


def longest_first(costs, workers):
    """Give the longest task that is left to the worker that would end it first.

    With m workers of equal speed the makespan is at most 4/3 - 1/(3m) of the optimum (Graham
    1969); with workers that differ, 2 - 2/(m+1) (Gonzalez, Ibarra and Sahni 1977).

    Parameters
    ----------
    costs : array_like, shape (n_tasks,)
        Seconds on a worker of speed 1.
    workers : int, or array_like of shape (n_workers,)
        How many, or the speed of each.

    Returns
    -------
    list of ndarray of int
        Each worker's tasks, longest first. Ties go to lower numbers.

    Raises
    ------
    ConfigurationError
        For costs below 0, or speeds of 0 or less.
    """
    costs, speeds = checked(costs, workers)
    free_s = np.zeros(len(speeds))
    plan = [[] for _ in speeds]
    for task in np.argsort(-costs, kind="stable"):
        worker = int(np.argmin(free_s + costs[task] / speeds))
        free_s[worker] += costs[task] / speeds[worker]
        plan[worker].append(task)
    return [np.array(tasks, dtype=int) for tasks in plan]


def longest_first_ratio(n_workers):
    """Return 4/3 - 1/(3m), how much longer than the optimum `longest_first` may take."""
    return 4 / 3 - 1 / (3 * n_workers)


def schedule_plan(plan, costs, workers=None):
    """Play a plan: each worker does its own tasks, one after another.

    Parameters
    ----------
    plan : sequence of array_like of int
        Each worker's tasks in order; each task once.
    costs, workers
        As in `longest_first`; as many workers of speed 1 as the plan has by default.

    Returns
    -------
    Schedule

    Raises
    ------
    ConfigurationError
        If a task is missing, or there twice, or the plan is for other workers.
    """
    costs, speeds = checked(costs, len(plan) if workers is None else workers)
    planned = sorted(int(task) for tasks in plan for task in tasks)
    if planned != list(range(len(costs))) or len(plan) != len(speeds):
        raise ConfigurationError(
            "This plan does not fit the tasks and workers.", got=f"{len(plan)} workers, {planned}",
            expected=f"{len(speeds)} workers, and each task from 0 to {len(costs) - 1} once")
    todo = {worker: tasks for worker, tasks in enumerate(plan) if len(tasks)}
    return play(len(speeds), at_speed(costs, speeds),
                lambda worker, now: (todo.pop(worker), 0.0) if worker in todo else None)

"""Backup tasks: near the end an idle worker does a slow task a second time; the first wins.

    worker 0  |-- 0 --|-- 2 --|-- 1 again --|        <- task 1's result is there
    worker 1  |-------------- 1 ------------x        a straggler, given up

Which task is slow? The one with the longest time left, not the one that has made the least
progress: (1 - progress) / rate, with rate = progress / time since it began.

Sources: Dean and Ghemawat, "MapReduce", OSDI 2004 (backup tasks); Zaharia, Konwinski, Joseph,
Katz and Stoica, "Improving MapReduce performance in heterogeneous environments", OSDI 2008
(LATE: longest approximate time to end).
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

from labkit.assignment.schedule import Attempt, Schedule, at_speed, checked, in_order


class Progress(NamedTuple):
    """How far a task that runs has come."""

    start_s: float
    """When it began."""

    share: float
    """How much of it is done, from 0 to 1."""

    def rate(self, now):
        """Return the share done a second so far; NaN for a task that begins now."""
        return self.share / (now - self.start_s) if now > self.start_s else math.nan

    def left_s(self, now):
        """Return the estimated seconds to its end, should it go on like this."""
        rate = self.rate(now)
        return (1 - self.share) / rate if rate else math.inf


def should_launch_backup(task, now, running, rates, n_backups, n_workers, slow=0.25, cap=0.1):
    """Whether an idle worker should do `task`, which runs elsewhere, once more (LATE).

    Parameters
    ----------
    task : int
    now : float
        Seconds, on the clock of `Progress.start_s`.
    running : dict of int to Progress
        The tasks that run, and have no backup yet.
    rates : sequence of float
        Share a second of all attempts so far, ended ones included.
    n_backups, n_workers : int
        How many backups run, on how many workers.
    slow : float
        Only tasks whose rate is below this quantile of `rates`.
    cap : float
        At most this share of the workers on backups, but always one.

    Returns
    -------
    bool
        True for the task with the longest time left, if it is slow and the cap allows it. A
        backup on a worker of speed v ends cost/v after its launch, however slow the first is.
    """
    mine = running[task]
    if n_backups >= max(1, int(cap * n_workers)) or math.isnan(mine.rate(now)):
        return False
    if not mine.rate(now) < np.quantile(rates, slow):
        return False
    return mine.left_s(now) >= max(other.left_s(now) for other in running.values())


def schedule_backups(costs, workers, decide=should_launch_backup):
    """Play a queue of single tasks, then backups while tasks run and workers are idle.

    Only workers that would be idle launch backups: the makespan is never more than that of
    `schedule_chunks(singles(n), costs, workers)`.

    Parameters
    ----------
    costs : array_like, shape (n_tasks,)
        Seconds at speed 1.
    workers : int, or array_like of shape (n_workers,)
        How many, or the speed of each.
    decide : callable
        Called as `should_launch_backup` without its last two.

    Returns
    -------
    Schedule
    """
    costs, speeds = checked(costs, workers)
    duration_s = at_speed(costs, speeds)
    waiting, running, ended, now = deque(range(len(costs))), {}, [], 0.0
    while waiting or running:
        for worker in (w for w in range(len(speeds)) if w not in running):
            task = (waiting.popleft() if waiting else
                    _backup(now, running, ended, len(speeds), decide))
            if task is not None:
                running[worker] = Attempt(task, worker, now, now + duration_s(task, worker))
                if running[worker].end_s == now:     # idle again before the next one is asked
                    break
        first = min(running.values(), key=lambda attempt: (attempt.end_s, attempt.worker))
        now = first.end_s
        for attempt in [a for a in running.values() if a.task == first.task]:
            won = attempt.worker == first.worker
            ended.append(attempt._replace(end_s=now, won=won))
            del running[attempt.worker]
    return Schedule(in_order(ended), len(speeds))


def _backup(now, running, ended, n_workers, decide):
    """Return a running task that should be done once more, or None."""
    attempts = [attempt.task for attempt in running.values()]
    progress = {a.task: Progress(a.start_s, (now - a.start_s) / (a.end_s - a.start_s))
                for a in running.values() if attempts.count(a.task) == 1 and a.end_s > a.start_s}
    rates = [1 / (a.end_s - a.start_s) for a in [*running.values(), *ended]
             if (a.won and a.end_s > a.start_s)]
    n_backups = len(attempts) - len(set(attempts))
    for task in progress:
        if decide(task, now, progress, rates, n_backups, n_workers):
            return task
    return None

"""Work stealing: a queue for each worker, and whoever runs dry robs another.

    worker 0   new end | 7 5 3 1 | old end <---- thief (worker 1, at random, takes task 1)
    worker 1   (empty)

A worker takes its own newest task and a thief the victim's oldest: they meet only at the last
one. Nobody is in charge, and nothing is sent while all have work; the price is steals in
vain, when little is left.

Source: Blumofe and Leiserson, "Scheduling multithreaded computations by work stealing", JACM
46, 1999.
"""

from __future__ import annotations

from collections import deque

from labkit.assignment.schedule import at_speed, checked, play
from labkit.errors import ConfigurationError


def victim(worker, n_workers, rng):
    """Return whom an idle worker tries to rob: any other, with the same probability.

    Parameters
    ----------
    worker, n_workers : int
        At least two workers.
    rng : numpy.random.Generator
    """
    other = int(rng.integers(n_workers - 1))
    return other + (other >= worker)


def stealing_bound(costs, n_workers, steals=0, steal_s=0.0):
    """Return (sum + steals steal_s)/m + max + steal_s: no schedule with so many steals is longer.

    Blumofe and Leiserson's argument for independent tasks: until the last queue is empty, every
    worker pays each second either into the bucket of work, which holds sum in the end, or into
    that of steals. Then a last steal and a last task may be under way. They show that
    O(m max/steal_s) steals are expected, hence a makespan of sum/m + O(max).
    """
    costs, _ = checked(costs, n_workers)
    paid_s = costs.sum() + steals * steal_s
    return float(paid_s / n_workers + costs.max(initial=0.0) + steal_s)


def schedule_stealing(plan, costs, workers, rng, steal_s=0.0):
    """Play a plan whose tasks may be stolen.

    Parameters
    ----------
    plan : sequence of array_like of int
        Each worker's tasks at the start; it does the last one first.
    costs : array_like, shape (n_tasks,)
        Seconds at speed 1.
    workers : int, or array_like of shape (n_workers,)
        How many, or the speed of each.
    rng : numpy.random.Generator
    steal_s : float
        What one steal costs the thief, in vain or not.

    Returns
    -------
    Schedule
        With the number of its steals.

    Raises
    ------
    ConfigurationError
        If the plan is for another number of workers.
    """
    costs, speeds = checked(costs, workers)
    if len(plan) != len(speeds):
        raise ConfigurationError("This plan is for other workers.", expected=len(speeds),
                                 got=len(plan), where="plan")
    queues = [deque(tasks) for tasks in plan]
    steals = 0

    def choose(worker, now):
        nonlocal steals
        if queues[worker]:
            return [queues[worker].pop()], 0.0
        if not any(queues):
            return None
        steals += 1
        robbed = queues[victim(worker, len(queues), rng)]
        return [robbed.popleft()] if robbed else [], steal_s

    return play(len(speeds), at_speed(costs, speeds), choose, lambda: steals)

"""One queue of chunks: whoever is idle takes the next, so that nobody needs to know costs.

    singles   1 1 1 1 1 1 1 1 ...                 even at the end, but a message for each task
    guided    20 16 13 11 8 7 5 4 4 3 2 2 1 ...   few messages: large chunks first, singles last

Guided self-scheduling hands out ceil(remaining/m): each time the share that would be right if
all workers began now. That is 17 chunks, not 100, for 100 tasks on 5 workers.

Source: Polychronopoulos and Kuck, "Guided self-scheduling: a practical scheduling scheme for
parallel supercomputers", IEEE Trans. Computers C-36, 1987.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from labkit.assignment.schedule import at_speed, checked, play
from labkit.errors import ConfigurationError


def singles(n_tasks):
    """Return the chunk sizes of self-scheduling: one task at a time.

    A list schedule: `list_bound(costs, m)`, and 2 - 1/m times the optimum at most.
    """
    return [1] * n_tasks


def guided(n_tasks, n_workers, smallest=1):
    """Return the chunk sizes of guided self-scheduling: ceil(remaining/m) each.

    Of tasks that cost the same, no worker ends more than one task before another: the makespan
    is `list_bound(costs, m)` at most, as with singles, for `guided_chunks_at_most` messages.
    Where costs differ the bound is that of the chunks, `list_bound(cost of each chunk, m)`:
    a first chunk of long tasks hurts.

    Parameters
    ----------
    n_tasks, n_workers : int
    smallest : int
        No chunk but the last is smaller: for tasks so short that a message costs more.

    Returns
    -------
    list of int
        They sum to `n_tasks` and never grow.

    Raises
    ------
    ConfigurationError
        For fewer than one worker, or chunks of no tasks.
    """
    if n_workers < 1 or smallest < 1:
        raise ConfigurationError("Tasks cannot be cut up like this.",
                                 expected="1 worker or more, 1 task or more a chunk",
                                 got=f"n_workers={n_workers}, smallest={smallest}")
    sizes, remaining = [], n_tasks
    while remaining:
        sizes.append(min(remaining, max(smallest, -(-remaining // n_workers))))
        remaining -= sizes[-1]
    return sizes


def guided_chunks_at_most(n_tasks, n_workers):
    """Return a bound on how many chunks `guided` makes: ceil(m ln(n/m)) + m for n >= m.

    After k chunks at most n (1 - 1/m)^k < n exp(-k/m) tasks remain, so m after m ln(n/m)
    chunks; the last m go one by one.
    """
    if n_tasks <= n_workers:
        return n_tasks
    return math.ceil(n_workers * math.log(n_tasks / n_workers)) + n_workers


def schedule_chunks(sizes, costs, workers, overhead_s=0.0):
    """Play a queue: tasks 0, 1, 2, ... in chunks of `sizes`, each to whoever is idle first.

    Parameters
    ----------
    sizes : sequence of int
        From `singles` or `guided`.
    costs : array_like, shape (n_tasks,)
        Seconds at speed 1.
    workers : int, or array_like of shape (n_workers,)
        How many, or the speed of each.
    overhead_s : float
        What it costs a worker to get one chunk.

    Returns
    -------
    Schedule

    Raises
    ------
    ConfigurationError
        If the sizes do not sum to the number of tasks.
    """
    costs, speeds = checked(costs, workers)
    if sum(sizes) != len(costs):
        raise ConfigurationError("The chunks do not hold the tasks.", expected=len(costs),
                                 got=sum(sizes), where="the sum of sizes")
    queue = deque(np.split(np.arange(len(costs)), np.cumsum(sizes)[:-1]) if len(costs) else ())
    return play(len(speeds), at_speed(costs, speeds),
                lambda worker, now: (queue.popleft(), overhead_s) if queue else None)

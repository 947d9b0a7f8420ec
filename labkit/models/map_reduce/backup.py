"""When a late task gets a second attempt: a policy for `World.map(..., backup=)`.

    worker 0  |--0--|--2--|              |          idle: may try again
    worker 1  |--1--|--3------------------- - -     how long is too long?
                          ^ half are done, so it is known what a task takes

Near the end of a job most workers are idle and wait for a few late tasks: a bad disk, a busy
neighbour. A second attempt elsewhere costs idle time only; whichever answers first counts, and
it counts once. Source: Dean and Ghemawat, OSDI 2004, section 3.6, backup tasks.
"""

from __future__ import annotations

import math
import statistics

SLOW = 2.0                   # times the median
DONE = 0.5                   # part of the tasks that must have ended before anyone is called late
LEAST_S = 0.1                # a second attempt for less is not worth its overhead


def patience_s(finished_s, n_items, slow=SLOW, done=DONE, least_s=LEAST_S):
    """Return how long a task may take before it gets a second attempt.

    Parameters
    ----------
    finished_s : sequence of float
        What the tasks that have ended took, in seconds.
    n_items : int
        How many tasks there are.
    slow : float
        How many times the median is too long.
    done : float
        Part of the tasks, 0 to 1, that must have ended first.
    least_s : float
        Seconds that any task may take.

    Returns
    -------
    float
        Seconds; infinite while too little is known.
    """
    if not finished_s or len(finished_s) < done * n_items:
        return math.inf
    return max(least_s, slow * statistics.median(finished_s))

"""What it costs to lose workers in the middle of a job whose work can be done again.

    worker 0  |==========|=====|      T: the job without losses
    worker 1  |==========|=====|      t: some workers lose what they have done
    worker 2  |xxxxxxxxxx|=====|--|   redone by all, as independent tasks
              0          t     T  T + share t

All n workers worked for t seconds, and a share of them lost it: n share t worker-seconds, which n
workers redo in share t seconds. Whether a map task's output is lost with its worker decides what
counts: MapReduce keeps it on the worker's own disk, so a finished task is lost too.

Source: Dean and Ghemawat, "MapReduce: simplified data processing on large clusters", OSDI 2004
(section 5.5: 200 of 1,746 workers killed several minutes into a sort).
"""

from __future__ import annotations

import numpy as np

from labkit.laws.checks import numbers


def after_kill_s(seconds, share, at_s, replaced=True):
    """Return how long a job takes that loses a share of its workers once.

    Parameters
    ----------
    seconds : float or array_like
        T, the job without losses: more than 0.
    share : float or array_like
        Of the workers, killed with all that they had done: 0 or more, less than 1.
    at_s : float or array_like
        t, when: seconds from the start, at most T.
    replaced : bool
        Whether new ones take their places at once. If not, the job takes T / (1 - share),
        whenever the loss happens: what the others did is all that counts.

    Returns
    -------
    float or ndarray
        Seconds.

    Raises
    ------
    ConfigurationError
        For values outside these ranges.

    Notes
    -----
    The work is taken to consist of many short tasks, so that all workers end together. It costs
    less where results are safe elsewhere, and more where few long tasks are redone.

    >>> after_kill_s(seconds=100, share=0.25, at_s=40)
    110.0
    """
    seconds = numbers("seconds", seconds, above=0)
    share = numbers("share", share, low=0, below=1)
    at_s = numbers("at_s", at_s, low=0, high=np.min(seconds))
    return seconds + share * at_s if replaced else seconds / (1 - share)

"""Laws of checkpoints: how often to save, and what the best choice still costs.

    |--- T: work ---|C|--- T: work ---|C|--- T: wo X          X: a failure, every M on average
                                      ^------------|          lost: half of T, on average
                                      R, then again from here

Saving often costs C in every T. Saving rarely costs half of T at every failure. The sum of both is
least where they are equal, as long as T is much shorter than M.

Sources: Young, "A first order approximation to the optimum checkpoint interval", CACM 17, 1974;
Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", FGCS 22, 2006.
"""

from __future__ import annotations

import math

from labkit.errors import ConfigurationError


def young(cost_s, mtbf_s):
    """Return Young's interval, sqrt(2 C M): the first order.

    Parameters
    ----------
    cost_s : float
        C, what one checkpoint takes: seconds, 0 or more.
    mtbf_s : float
        M, the mean time between failures of the whole run: seconds, more than 0.

    Returns
    -------
    float
        Seconds of work from the end of one checkpoint to the beginning of the next.

    Raises
    ------
    ConfigurationError
        If a value is negative, infinite or no number.

    >>> young(cost_s=2, mtbf_s=3600)
    120.0
    """
    _check(cost_s=cost_s)
    _check(positive=True, mtbf_s=mtbf_s)
    return math.sqrt(2 * cost_s * mtbf_s)


def daly(cost_s, mtbf_s):
    """Return Daly's interval, of higher order: for checkpoints that are not cheap.

    sqrt(2 C M) [1 + sqrt(C / 2M) / 3 + (C / 2M) / 9] - C if C < 2 M, and M otherwise. For C < 2 M,
    failures that come at random make a run at most 0.2 % longer than at the exact optimum.
    Arguments, result and errors are those of `young`.

    >>> round(daly(cost_s=2, mtbf_s=3600), 2)
    118.67
    """
    first = young(cost_s, mtbf_s)
    if cost_s >= 2 * mtbf_s:
        return float(mtbf_s)
    ratio = cost_s / (2 * mtbf_s)
    return first * (1 + math.sqrt(ratio) / 3 + ratio / 9) - cost_s


def waste(interval_s, cost_s, mtbf_s, restart_s=0):
    """Return which fraction of the time is lost, to first order: C/T + (T/2 + R)/M.

    The first term is for saving, the second for failures: each loses half an interval and a
    restart. It counts neither failures during a save or a restart, nor two in one interval, so it
    holds while T, C and R are much shorter than M, and may exceed 1 where they are not.

    Parameters
    ----------
    interval_s : float
        T, the work between two checkpoints: seconds, more than 0.
    cost_s, mtbf_s : float
        As for `young`.
    restart_s : float
        R, from a failure until work goes on: seconds, 0 or more.

    Returns
    -------
    float

    Raises
    ------
    ConfigurationError
        If a value is negative, infinite or no number.

    >>> round(waste(interval_s=120, cost_s=2, mtbf_s=3600), 4)
    0.0333
    """
    _check(cost_s=cost_s, restart_s=restart_s)
    _check(positive=True, interval_s=interval_s, mtbf_s=mtbf_s)
    return cost_s / interval_s + (interval_s / 2 + restart_s) / mtbf_s


def _check(positive=False, **values):
    for name, value in values.items():
        try:
            fits = 0 <= value < math.inf and not (positive and value == 0)
        except (TypeError, ValueError):              # a text, an array
            fits = False
        if not fits:
            raise ConfigurationError("A time cannot be like this.", got=repr(value),
                                     expected="seconds, " + ("more than 0" if positive else
                                                             "0 or more"),
                                     where=f"{name}=")

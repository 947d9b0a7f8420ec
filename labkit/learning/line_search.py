"""How far to go along a direction: far enough to pay, not so far that the value rises.

    value |*                          1. try the full length; most often it will do
          | *               *         2. too little lower: go back, to the lowest point of
          |   *          *               the cubic through what is known
          |      *  * *               3. still steep: go further, to where the slope would end
          +---------------- length

A point is good when its value has fallen by a share of what the slope promised (Armijo) and
the slope has flattened (Wolfe). Near the minimum values differ by rounding only; then the
slopes decide. Sources: Nocedal and Wright, "Numerical Optimization", 2006, ch. 3; Hager and
Zhang, "A new conjugate gradient method with guaranteed descent", SIAM J. Optim. 16, 2005.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SUFFICIENT_DECREASE = 1e-4            # of what the slope promises
CURVATURE = 0.9                       # the slope must flatten at least to this share
MAX_TRIALS = 30
ROUNDING = 16 * np.finfo(float).eps   # relative changes of the value below this mean nothing


class _Trial(NamedTuple):
    """The function along the direction: where, how high, how steep."""

    length: float
    value: float
    slope: float


def line_search(evaluate, point, direction, length):
    """Return a good point along a direction, or None if none is found.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(w)`` returns a point with `w`, `value` and `slope`; its method
        `stay_in_orthant` and its attribute `smooth` say where an L1 penalty has kinks.
    point : Point
        Where to start.
    direction : ndarray, shape (n_weights,)
        Downhill.
    length : float
        The first one to try, in units of `direction`.

    Returns
    -------
    Point or None
    """
    start = _Trial(0.0, point.value, float(point.slope @ direction))
    low, high = start, None
    for _ in range(MAX_TRIALS):
        w = evaluate.stay_in_orthant(point.w + length * direction, point)
        new = evaluate(w)
        trial = _Trial(length, new.value, float(new.slope @ direction))
        if _too_far(start, trial, point.slope @ (w - point.w)):
            high = trial
        elif evaluate.smooth and trial.slope < CURVATURE * start.slope:
            low = trial
        else:
            return new
        length = _next_length(start, low, high)
    return None


def _too_far(start, trial, promised):
    """Whether the value has not fallen by enough of what the slope promised."""
    if trial.value <= start.value + SUFFICIENT_DECREASE * min(promised, 0.0):
        return False
    flat = trial.value <= start.value + ROUNDING * abs(start.value)
    return not (flat and trial.slope <= (2 * SUFFICIENT_DECREASE - 1) * start.slope)


def _next_length(start, low, high):
    """Return where to try next: beyond `low` while nothing is too far, else in between."""
    if high is None:
        bend = low.slope - start.slope
        end_of_slope = -low.length * start.slope / bend if bend > 0 else np.nan
        return _between(1.5 * low.length, 10.0 * low.length, end_of_slope)
    width = high.length - low.length
    return _between(low.length + 0.1 * width, high.length - 0.1 * width,
                    _cubic_minimum(low, high, width))


def _cubic_minimum(low, high, width):
    """Where the cubic with these values and slopes is lowest (Nocedal and Wright, eq. 3.59)."""
    d1 = low.slope + high.slope - 3 * (high.value - low.value) / width
    d2 = max(d1 * d1 - low.slope * high.slope, 0.0) ** 0.5
    share = high.slope - low.slope + 2 * d2
    return high.length - width * (high.slope + d2 - d1) / share if share else np.nan


def _between(least, most, guess):
    """Return `guess` within its bounds; the middle if it is not a number."""
    return min(max(guess, least), most) if np.isfinite(guess) else (least + most) / 2

"""Minimise a convex function from its value and gradient, with as few evaluations as it can.

    evaluate(w) -> value, gradient        the costly part: one pass over all the data
         |
    direction   -H * gradient, H from the last few steps and gradient changes (L-BFGS)
         |
    line search a step along it that lowers the value enough: most often the first try
         |
    next w      until the gradient is as good as zero

With an L1 penalty the function has a kink wherever a weight is zero. OWL-QN stays inside
one orthant for each step, where the penalty is linear, and sets a weight that would cross
zero to zero; the gradient is replaced by the pseudo-gradient, the steepest slope of the two
sides. Without the penalty the same code is plain L-BFGS. One departure from OWL-QN: the
curvature is taken among the weights that can move, and only weights at zero have their
direction's sign corrected. That is still downhill, and takes a third of the evaluations.

Vectors have shape (n_weights,). Sources: Liu and Nocedal, "On the limited memory BFGS method",
Mathematical Programming 45, 1989; Andrew and Gao, "Scalable training of L1-regularized
log-linear models", ICML 2007; Nocedal and Wright, "Numerical Optimization", 2006, ch. 7.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labkit.learning.line_search import ROUNDING, line_search

PATIENCE = 10      # steps without a lower value: the gradient may still shrink when it cannot fall


@dataclass(frozen=True)
class Minimum:
    """Where `minimize` ended, and how it got there."""

    w: np.ndarray
    """The weights, shape (n_weights,)."""

    value: float
    """The function there, penalty included."""

    n_iter: int
    """Steps taken."""

    n_evaluations: int
    """Calls of `evaluate`: at least one a step, and one for the start."""

    history: tuple[float, ...]
    """The value at the start and after each step, never rising beyond rounding."""

    converged: bool
    """Whether the gradient is below `tol`, or the value cannot be lowered in floating point."""

    message: str
    """Why it ended, in words."""


class Point(NamedTuple):
    """A place that has been evaluated."""

    w: np.ndarray
    value: float
    gradient: np.ndarray
    """Of the smooth part."""
    slope: np.ndarray
    """The pseudo-gradient of the whole; the same as `gradient` where there is no penalty."""


def minimize(evaluate, w0, l1=0.0, max_iter=100, tol=1e-6, history=10):
    """Minimise ``f(w) + sum(l1 * |w|)`` for a convex, differentiable f.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(w)`` returns f(w), a float, and its gradient, shape (n_weights,).
    w0 : ndarray, shape (n_weights,)
        Where to start.
    l1 : float or ndarray of shape (n_weights,)
        Weights of the penalty, 0 or more.
    max_iter : int
        Take this many steps at most.
    tol : float
        End when no entry of the (pseudo-)gradient is above this in magnitude.
    history : int
        How many past steps describe the curvature.

    Returns
    -------
    Minimum
        The same bits for the same input.
    """
    evaluate = _Penalised(evaluate, np.broadcast_to(np.asarray(l1, float), np.shape(w0)))
    point = evaluate(np.array(w0, float))
    values, past, message = [point.value], deque(maxlen=history), ""
    while not (message := _why_stop(point, values, max_iter, tol)):
        direction = _direction(point, past, evaluate.l1)
        # Nothing is known of the curvature at first: a step of length 1.
        length = 1.0 if past else 1.0 / np.linalg.norm(direction)
        new = line_search(evaluate, point, direction, length)
        if new is None and past:
            past.clear()          # what is remembered misleads: once more, straight downhill
            continue
        if new is None:
            message = "no lower point on the way downhill: is the gradient right?"
            break
        past.append((new.w - point.w, new.gradient - point.gradient))
        point = new
        values.append(new.value)
    return Minimum(point.w, point.value, len(values) - 1, evaluate.calls, tuple(values),
                   message.startswith("converged"), message)


def _why_stop(point, values, max_iter, tol):
    if not np.isfinite(point.value):
        return "the value is not finite"
    if np.max(np.abs(point.slope), initial=0.0) <= tol:
        return "converged: the gradient is below tol"
    earlier = values[-PATIENCE - 1] if len(values) > PATIENCE else np.inf
    if earlier - point.value <= ROUNDING * abs(point.value):
        return "converged: the value cannot be lowered in floating point"
    return "max_iter steps were taken" if len(values) > max_iter else ""


class _Penalised:
    """The function with its penalty; counts how often it is evaluated."""

    def __init__(self, evaluate, l1):
        self._evaluate = evaluate
        self.l1 = l1
        self.smooth = not np.any(l1)
        self.calls = 0

    def __call__(self, w):
        self.calls += 1
        value, gradient = self._evaluate(w)
        if self.smooth:
            return Point(w, float(value), gradient, gradient)
        slope = _pseudo_gradient(w, gradient, self.l1)
        return Point(w, float(value + self.l1 @ np.abs(w)), gradient, slope)

    def stay_in_orthant(self, w, start):
        """Set penalised weights to zero where they would cross it on their way from `start`."""
        if self.smooth:
            return w
        orthant = np.where(start.w != 0, np.sign(start.w), -np.sign(start.slope))
        return np.where((self.l1 > 0) & (w * orthant <= 0), 0.0, w)


def _pseudo_gradient(w, gradient, l1):
    """The one-sided slope that is steepest; zero where both sides rise (eq. 4 of OWL-QN)."""
    shrunk = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0.0)
    return np.where(w == 0.0, shrunk, gradient + np.sign(w) * l1)


def _direction(point, past, l1):
    """Return -H times the slope by the two-loop recursion (Nocedal and Wright, alg. 7.4)."""
    direction, used = -point.slope, []
    pairs = _pairs(point, past, l1)
    for step, change, bend in reversed(pairs):
        used.append(step @ direction / bend)
        direction = direction - used[-1] * change
    if pairs:
        step, change, bend = pairs[-1]
        direction = direction * (bend / (change @ change))
    for (step, change, bend), weight in zip(pairs, reversed(used)):
        direction = direction + (weight - change @ direction / bend) * step
    # A weight may leave zero only downhill: that side of zero is where its slope was taken.
    return np.where((l1 > 0) & (point.w == 0) & (direction * point.slope >= 0), 0.0, direction)


def _pairs(point, past, l1):
    """Return the past steps as (step, change of gradient, product of the two)."""
    if np.any(l1):
        # Weights that stay at zero take no part, and their past must not bend the others' way.
        free = (point.w != 0) | (point.slope != 0)
        past = [(step * free, change * free) for step, change in past]
    triples = [(step, change, step @ change) for step, change in past]
    return [t for t in triples if t[2] > ROUNDING * (t[1] @ t[1])]

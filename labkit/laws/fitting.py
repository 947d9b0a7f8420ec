"""A law's constants from measured points, by least squares, with intervals.

    y |            . * '        law         a function of x and of a few constants
      |        * '              values      the constants that come nearest to the points
      |     *'                  low, high   where each constant lies, with chance `level`
      |   *
      | *
      +-------------------- x

The intervals take the law as right and the errors of the points as independent: they know about
noise, not about a wrong law. Look at `relative_errors` for that: they should have no pattern.

Source: Seber and Wild, "Nonlinear Regression", 1989, chapters 2 and 5 (intervals by Student's t on
the linearised covariance).
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from labkit.errors import ConfigurationError
from labkit.laws.checks import numbers
from labkit.laws.fitted import Fit, student_t


def fit(law, x, y, start=None, bounds=None, weights="relative", level=0.95):
    """Fit a law's constants to points by least squares.

    Parameters
    ----------
    law : Law
    x : array_like, shape (n,)
        In the law's domain: counts from 1, bytes from 0. At least as many points as the law has
        constants.
    y : array_like, shape (n,)
        What was measured there: more than 0.
    start, bounds : dict, optional
        Name -> value from which to start, and name -> (lowest, highest), for the constants where
        those of the law will not do.
    weights : {"relative", "absolute"}
        Whether an error counts as a share of y, which suits points over several orders of
        magnitude, or by itself, which suits y with the same noise everywhere.
    level : float
        The chance with which an interval holds the true constant.

    Returns
    -------
    Fit
        Its intervals end at the bounds; those of a law with a constant at its bound are rough.
        With as many constants as points, they are infinite: the law passes through all points,
        and nothing is left to tell its errors by.

    Raises
    ------
    ConfigurationError
        For points that are no positive numbers, differ in number or are too few; for a constant
        that the law does not have; where no constants are found from this start.
    """
    x, y = _points(law, x, y)
    if weights not in ("relative", "absolute"):
        raise ConfigurationError("These weights are not known.", got=repr(weights),
                                 expected="'relative' or 'absolute'", where="weights=")
    level = numbers("level", level, above=0, below=1)
    first = law.guess(x, y) if law.guess else np.ones(len(law.parameters))
    first = _constants(law, "start", start, dict(zip(law.parameters, first)))
    limits = _constants(law, "bounds", bounds, {name: law.bounds.get(name, (-math.inf, math.inf))
                                                for name in law.parameters})
    low, high = np.array(list(limits.values()), float).T
    # Any one y as the scale of absolute errors keeps the solver's tolerances free of units.
    scale = y if weights == "relative" else np.full_like(y, y.mean())
    found, covariance = _solve(law, x, y, np.array(list(first.values()), float), low, high, scale)
    error = np.sqrt(np.diag(covariance))
    half = np.where(np.isfinite(error), error * student_t(level, len(x) - len(found)), math.inf)
    known = np.isfinite(half)
    return Fit(law, _named(law, found),
               _named(law, np.where(known, np.maximum(found - half, low), -math.inf)),
               _named(law, np.where(known, np.minimum(found + half, high), math.inf)),
               covariance, x, y, level)


def _solve(law, x, y, start, low, high, scale):
    """Return the constants and their covariance, in units in which the start is about 1."""
    # Imported here, because workers import laws and fit nothing.
    import scipy.optimize

    unit = np.where(start == 0, 1.0, np.abs(start))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", scipy.optimize.OptimizeWarning)   # infinite covariance
            found, covariance = scipy.optimize.curve_fit(
                lambda x, *constants: law.function(x, *(unit * constants)), x, y, sigma=scale,
                p0=np.clip(start, low, high) / unit, bounds=(low / unit, high / unit),
                method="trf", jac="3-point", x_scale="jac", ftol=1e-12, xtol=1e-12, gtol=1e-12)
    except (RuntimeError, ValueError) as problem:
        raise ConfigurationError(f"No constants were found for {law.name}.", got=str(problem),
                                 where=f"start {start}", expected="a start near the points",
                                 remedy="pass start= and bounds=, and plot the points") from problem
    if len(x) == len(start):
        covariance = np.full_like(covariance, math.inf)
    found = unit * found
    # The solver nears a bound and never reaches it: what is this close is meant to be there.
    for bound in (low, high):
        found = np.where(np.abs(found - bound) < 1e-9 * unit, bound, found)
    return found, np.outer(unit, unit) * covariance


def _points(law, x, y):
    x = np.atleast_1d(numbers(law.variable, x, *law.domain))
    y = np.atleast_1d(numbers("y", y, above=0))
    if x.ndim != 1 or x.shape != y.shape:
        raise ConfigurationError("Each x needs one y.", expected="two sequences of one length",
                                 got=f"shapes {x.shape} and {y.shape}", where="x, y")
    if len(x) < len(law.parameters):
        raise ConfigurationError(f"These are too few points for {law.name}.", got=len(x),
                                 expected=f"{len(law.parameters)} or more, for "
                                 + ", ".join(law.parameters), remedy="measure at more places")
    return x, y


def _constants(law, argument, given, default):
    unknown = set(given or {}) - set(law.parameters)
    if unknown:
        raise ConfigurationError(f"{law.name} has no such constant.", where=f"{argument}=",
                                 expected=", ".join(law.parameters), got=", ".join(unknown))
    return {**default, **(given or {})}


def _named(law, values):
    return dict(zip(law.parameters, map(float, values)))

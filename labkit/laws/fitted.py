"""What a fit has found: constants, how well they are known, and where they hold.

      |       .-'  high
      |    .-' _.--     band(x)   where the law itself lies at x, with chance `level`
      | .-' .-'  .-' low
      |--.-'  .-'       fit(x)    the law's value; a warning where nobody measured
      +--|-----------|---- x
         measured range

The band is narrowest in the middle of the points. Outside them it widens, but it takes the law as
right, and whether the law still holds there is what no point can tell.

Source: Seber and Wild, "Nonlinear Regression", 1989, chapter 5.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from labkit.laws.checks import numbers

STEP = 1e-3              # of a standard error: for slopes, where the law is as good as straight


class ExtrapolationWarning(UserWarning):
    """A fitted law is asked for a value outside the range where it was measured."""


@dataclass(frozen=True)
class Law:
    """A function with names for its constants."""

    name: str
    """What messages and figures call it."""

    function: Callable
    """`function(x, *constants)`: works on arrays of x."""

    parameters: tuple
    """The constants' names, in the function's order."""

    formula: str = ""
    """The function as text."""

    source: str = ""
    """Where it was first published."""

    bounds: dict = field(default_factory=dict)
    """Name -> (lowest, highest); a constant without an entry may be any number."""

    guess: Callable | None = None
    """`guess(x, y)`: constants from which a fit may start; 1 each by default."""

    variable: str = "x"
    """What x is called."""

    domain: tuple = (0.0, math.inf)
    """The lowest and the highest x for which the law has a meaning."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """A law with the constants that `fit` has found; call it for the law's value."""

    law: Law
    values: dict
    """Name -> constant."""

    low: dict
    """Name -> lower end of its interval; -inf where the points do not say."""

    high: dict
    """Name -> upper end of its interval; inf where the points do not say."""

    covariance: np.ndarray
    """Of the constants, in the law's order; inf where the points do not say."""

    x: np.ndarray
    y: np.ndarray
    level: float

    @property
    def relative_errors(self):
        """(law - measured) / measured at each point."""
        return self.law.function(self.x, *self.values.values()) / self.y - 1

    @property
    def mean_error(self):
        """Mean of the absolute relative errors."""
        return float(np.abs(self.relative_errors).mean())

    @property
    def max_error(self):
        """Largest of the absolute relative errors."""
        return float(np.abs(self.relative_errors).max())

    def predict(self, x):
        """Return the law's value at x: a float, or an array where x is one.

        Warns
        -----
        ExtrapolationWarning
            Where x is below or above all points of the fit.

        Raises
        ------
        ConfigurationError
            For an x outside the law's domain, or that is no number.
        """
        return self.law.function(self._within(x), *self.values.values())

    __call__ = predict

    def band(self, x):
        """Return (low, high): where the law lies at x, with chance `level`.

        This is the doubt about the constants, to first order. One more measurement has its own
        noise besides, and may well lie outside.

        Warnings and errors are those of `predict`. The band widens outside the points, but knows
        of no other law.
        """
        x = self._within(x)
        middle = self.law.function(x, *self.values.values())
        if not np.isfinite(self.covariance).all():
            return middle - math.inf, middle + math.inf
        slopes = self._slopes(x)
        variance = np.einsum("i...,ij,j...->...", slopes, self.covariance, slopes)
        half = student_t(self.level, len(self.x) - len(self.values)) * np.sqrt(variance)
        return middle - half, middle + half

    def _slopes(self, x):
        """By how much the law changes with each constant, by differences around its value."""
        constants, slopes = np.array(list(self.values.values())), []
        for i, error in enumerate(np.sqrt(np.diag(self.covariance))):
            step = np.zeros_like(constants)
            step[i] = STEP * error or 1.0          # an error of 0: any slope will do
            slopes.append((self.law.function(x, *(constants + step))
                           - self.law.function(x, *(constants - step))) / (2 * step[i]))
        return np.array(slopes)

    def _within(self, x):
        x = numbers(self.law.variable, x, *self.law.domain)
        low, high = self.x.min(), self.x.max()
        for asked in (np.min(x), np.max(x)) if np.size(x) else ():
            if not low <= asked <= high:
                warnings.warn(f"{self.law.name} was fitted where {self.law.variable} was {low:g} "
                              f"to {high:g}; {asked:g} is outside.", ExtrapolationWarning,
                              stacklevel=3)
                break
        return x

    def __repr__(self):
        lines = [f"{self.law.name}: {self.law.formula}".rstrip(": ")]
        for name, value in self.values.items():
            known = math.isfinite(self.high[name] - self.low[name])
            lines.append(f"  {name} = {value:.4g}" + (
                f"  ({self.low[name]:.4g} to {self.high[name]:.4g})" if known else
                "  (no interval: the points do not say how well this is known)"))
        return "\n".join([*lines, f"  {len(self.x)} points, {self.law.variable} from "
                          f"{self.x.min():g} to {self.x.max():g}; relative error "
                          f"{self.mean_error:.1%} on average, {self.max_error:.1%} at most"])


def student_t(level, freedom):
    """Student's t, two-sided; no number of standard errors is enough without freedom."""
    import scipy.special

    return float(scipy.special.stdtrit(freedom, (1 + level) / 2)) if freedom > 0 else math.inf

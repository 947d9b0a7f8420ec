"""Arguments of laws: numbers or arrays of numbers, within their bounds."""

from __future__ import annotations

import math

import numpy as np

from labkit.errors import ConfigurationError


def numbers(name, value, low=-math.inf, high=math.inf, above=-math.inf, below=math.inf):
    """Return `value` as a float, or as an array of floats where it is a sequence.

    Raises
    ------
    ConfigurationError
        If a value is no finite number, or not in the bounds: `low` and `high` belong to them,
        `above` and `below` do not.
    """
    try:
        found = np.asarray(value)
    except ValueError:                                # rows of different lengths
        found = np.asarray(None)
    fits = found.dtype.kind in "iuf" and bool(np.all(
        np.isfinite(found) & (found >= low) & (found <= high) & (found > above) & (found < below)))
    if not fits:
        raise ConfigurationError("A number cannot be like this.", got=_short(found, value),
                                 expected=_bounds(low, high, above, below), where=f"{name}=")
    return float(found) if found.ndim == 0 else found.astype(float)


def whole(name, value, low=1):
    """Return `value` as an int; it is refused where it is not a whole number of `low` or more."""
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    if not (is_number and low <= value < math.inf and value == int(value)) or value is True:
        raise ConfigurationError("A number cannot be like this.", got=repr(value),
                                 expected=f"a whole number, {low} or more", where=f"{name}=")
    return int(value)


def _bounds(low, high, above, below):
    words = [f"{value:g} or more" for value in [low] if value > -math.inf]
    words += [f"more than {value:g}" for value in [above] if value > -math.inf]
    words += [f"{value:g} or less" for value in [high] if value < math.inf]
    words += [f"less than {value:g}" for value in [below] if value < math.inf]
    return ", ".join(["finite numbers", *words])


def _short(found, value):
    if found.dtype.kind not in "iuf" or found.ndim == 0:
        return repr(value)[:80]
    return f"an array of {found.size} numbers from {found.min():g} to {found.max():g}"

"""How one peer's result differs from what was expected, in words.

    difference([1.0, 2.0], array([1.0, 3.0]))  ->  "value", "2 in entry 1, expected 3"
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from labkit.checking.words import amount, entries


class Difference(NamedTuple):
    """What a peer returns, and what it should."""

    kind: str
    """"none", "type", "length", "shape", "dtype" or "value"."""

    text: str
    """To follow "peer 0 returns"."""


def difference(got, want, rtol=1e-9, atol=1e-9):
    """Return the Difference of a result from the expected one, None if there is none.

    Parameters
    ----------
    got : object
    want : object
        Arrays and numbers are compared within the tolerances, lists, tuples and dicts entry by
        entry, all else by ``==``.
    """
    if got is None and want is not None:
        return Difference("none", "None")
    if isinstance(want, np.ndarray | np.generic | int | float | complex):
        return _of_arrays(got, want, rtol, atol)
    if isinstance(want, list | tuple):
        return _of_lists(got, want, rtol, atol)
    if isinstance(want, dict):
        return _of_dicts(got, want, rtol, atol)
    return None if _equal(got, want) else Difference(
        "value", f"{short(got)}, expected {short(want)}")


def _equal(got, want):
    try:
        return bool(got == want)
    except (TypeError, ValueError):      # an array has no truth of its own
        return False


def _of_arrays(got, want, rtol, atol):
    want = np.asarray(want)
    try:
        found = np.asarray(got)
    except ValueError:                   # rows of different lengths
        found = None
    if found is None or found.dtype.kind not in "biufc":
        kind = "an array of objects" if isinstance(got, np.ndarray) else kind_of(got)
        return Difference("type", f"{kind}, expected {kind_of(want)}")
    if found.shape != want.shape:
        return Difference("shape", f"shape {found.shape}, expected {want.shape}")
    if isinstance(got, np.ndarray) and _loses(found.dtype, want.dtype):
        return Difference("dtype", f"dtype {found.dtype}, expected {want.dtype}")
    right = np.isclose(found, want, rtol=rtol, atol=atol, equal_nan=True)
    return None if np.all(right) else Difference("value", _values(found, want, ~right))


def _loses(got, want):
    """Whether a dtype holds less than the expected one: whole numbers, or fewer digits."""
    if got == want or want.kind in "biu":
        return got.kind == "c" and want.kind != "c"
    return got.kind != want.kind or got.itemsize < want.itemsize


def _values(got, want, wrong):
    if got.ndim == 0:
        return f"{amount(got[()])}, expected {amount(want[()])}"
    places = np.flatnonzero(wrong)
    first = places[0]
    values = f"{amount(got.flat[first])}, expected {amount(want.flat[first])}"
    if len(places) == 1:
        return f"{values}, in {entries(places)}"
    return f"{values}, in entry {first}, and {len(places)} of {got.size} entries wrong"


def _of_lists(got, want, rtol, atol):
    if isinstance(got, np.ndarray) and got.ndim:
        got = list(got)                  # an array of rows serves as well
    if not isinstance(got, list | tuple):
        return Difference("type", f"{kind_of(got)}, expected {kind_of(want)}")
    if len(got) != len(want):
        return Difference("length", f"a list of length {len(got)}, expected {len(want)}")
    for place, (one, other) in enumerate(zip(got, want)):
        if other is None and one is None:
            continue
        found = difference(one, other, rtol, atol)
        if found is not None:
            text = "None" if found.kind == "none" else f"wrong: {found.text}"
            return Difference(found.kind, f"a list whose entry {place} is {text}")
    return None


def _of_dicts(got, want, rtol, atol):
    if not isinstance(got, dict):
        return Difference("type", f"{kind_of(got)}, expected a dict")
    for key in want:
        if key not in got:
            return Difference("length", f"a dict without {short(key)}")
        found = difference(got[key], want[key], rtol, atol)
        if found is not None:
            return Difference(found.kind, f"{found.text}, for {short(key)}")
    extra = [key for key in got if key not in want]
    return Difference("length", f"a dict with {short(extra[0])} too many") if extra else None


def kind_of(value):
    """Return what a value is, in words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def short(value):
    """Return a value's text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def same(one, other):
    """Whether two results are the same to the last bit."""
    try:
        if isinstance(one, list | tuple) and isinstance(other, list | tuple):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
        if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
            return np.array_equal(one, other, equal_nan=True)
        return bool(one == other) or (one != one and other != other)
    except (TypeError, ValueError):
        return True                      # what cannot be compared is given the benefit of doubt

"""Whether what a run has found is what was expected; nothing else is recorded."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse

from labkit.errors import LabkitError


def check_answer(results, expected, rtol, name):
    """Raise LabkitError unless each result is as expected.

    Parameters
    ----------
    results : list
        One a peer, or one a task.
    expected : object
        A list with one a result; or one answer, for all: then peers may also return None, but
        not all of them.
    rtol : float
        As in `numpy.allclose`.
    name : str
        What was run, for the error.
    """
    if isinstance(expected, list) and len(expected) == len(results):
        pairs = zip(results, expected)
    else:
        pairs = [(got, expected) for got in results if got is not None]
        if not pairs:
            raise LabkitError("No peer has an answer.", where=name, got="None from all",
                              expected=_short(expected), remedy="does the program return it?")
    for rank, (got, want) in enumerate(pairs):
        if not agrees(got, want, rtol):
            raise LabkitError("An answer is wrong, and its time was not recorded.",
                              where=f"{name}, result {rank}", expected=_short(want),
                              got=_short(got))


def agrees(got, want, rtol):
    """Return whether two values are equal, numbers to within `rtol`."""
    if scipy.sparse.issparse(want):
        return scipy.sparse.issparse(got) and agrees(got.toarray(), want.toarray(), rtol)
    if dataclasses.is_dataclass(want):
        return type(got) is type(want) and agrees(vars(got), vars(want), rtol)
    if isinstance(want, dict):
        return (isinstance(got, dict) and got.keys() == want.keys()
                and all(agrees(got[key], want[key], rtol) for key in want))
    if isinstance(want, (list, tuple)):
        return (isinstance(got, (list, tuple)) and len(got) == len(want)
                and all(agrees(a, b, rtol) for a, b in zip(got, want)))
    if isinstance(want, (np.ndarray, np.number, float, int)):
        return _close(got, want, rtol)
    return type(got) is type(want) and bool(got == want)


def _close(got, want, rtol):
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape or got.dtype.kind not in "biufc" or want.dtype.kind not in "biufc":
        return got.shape == want.shape and bool(np.all(got == want))
    # Sums in another order differ by what rounds away of the largest numbers.
    finite = np.abs(want[np.isfinite(want)])
    scale = float(np.max(finite, initial=0.0)) if got.dtype.kind in "fc" else 0.0
    return bool(np.allclose(got, want, rtol=rtol, atol=rtol * scale, equal_nan=True))


def _short(value):
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:160]}..."

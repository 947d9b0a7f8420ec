"""Whether a wrong result is some other formula of the right parts.

    0.75, 1.50, 2.25   expected 1, 2, 3     "0.75 times what is expected"
    the largest, the product ...            "the maximum of all parts, not their sum"

Enough entries are compared for none of it to be chance.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from labkit.checking import tags
from labkit.checking.finding import Finding
from labkit.checking.trial import attempt
from labkit.checking.words import amount

LEAST = 3                    # entries
LARGEST = 100                # denominator of a factor
OTHERS = {"sum": np.sum, "mean": np.mean, "maximum": np.max, "minimum": np.min,
          "product": np.prod}


def explain_formula(exercise, case, sizes):
    """Return a Finding that names a factor or an operation; None if there is none."""
    case = replace(case, size=max(sizes))
    if exercise.inputs(case) is None:
        return None
    trial = attempt(exercise, case)
    pairs = [(rank, tags.flat(got), tags.flat(want)) for rank, (got, want)
             in enumerate(zip(trial.run.results, trial.inputs.expected)) if want is not None]
    if trial.error is not None or any(len(want) < LEAST or len(got) != len(want)
                                      for _, got, want in pairs):
        return None
    rank, got, want = pairs[0]
    return _operation(rank, got, want, trial.inputs.lists, exercise) or _factor(pairs)


def _operation(rank, got, want, lists, exercise):
    """Look whether the parts have been combined by another operation."""
    parts = [tags.flat(part) for part in lists[0]]
    if len(lists) != 1 or len(parts) < 2 or any(len(part) != len(got) for part in parts):
        return None
    for name, combine in OTHERS.items():
        other = combine(parts, axis=0)
        if np.allclose(got, other) and not np.allclose(got, want):
            return Finding("formula", f"Peer {rank}'s result is the {name} of all parts, not the "
                           f"{exercise.task.noun}.", "Which operation combines two values here?")
    return None


def _factor(pairs):
    """Look whether all results are off by one factor."""
    with np.errstate(all="ignore"):
        ratios = np.concatenate([got / want for _, got, want in pairs])
    factor = ratios[0]
    if not np.isfinite(factor) or not np.allclose(ratios, factor) or \
            np.any(np.isclose(factor, (0, 1))):
        return None
    if not np.isclose(float(Fraction(factor).limit_denominator(LARGEST)), factor):
        return None                      # no number of peers makes such a factor
    return Finding("formula", f"Each peer's result is {amount(factor)} times what is expected.",
                   "By what is it divided, and by what should it be?")

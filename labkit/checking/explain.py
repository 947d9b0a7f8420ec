"""What a wrong result comes from: the first explanation that fits.

    a formula     0.25 times what is expected; the maximum, not the sum
    a place       peer 2's value where peer 1's belongs
    a sum         peer 1's value counted twice, or missing
    none          "peer 0 returns 5, expected 6, in entry 2"
"""

from __future__ import annotations

from dataclasses import replace

from labkit.checking.contributions import explain_sum
from labkit.checking.finding import Finding
from labkit.checking.findings import find
from labkit.checking.formulas import explain_formula
from labkit.checking.placed import explain_placed
from labkit.checking.trial import attempt


def explained(exercise, case, found, sizes):
    """Return a Finding that says more than `found` about a calm case, or `found` itself."""
    if found.kind == "value":
        return (explain_formula(exercise, case, sizes) or explain_placed(exercise, case)
                or explain_sum(exercise, case) or found)
    if found.kind == "read-only" and not _changes_input(exercise, case):
        return Finding("raises ValueError", found.sentence.replace(
            "its part of the input", "an array that is read-only"), "Work on a copy of it.",
            found.detail)
    return found


def _changes_input(exercise, case):
    """Whether it is its part that a program writes to: then it goes on where it may."""
    again = find(exercise, attempt(replace(exercise, may_change=True), case))
    return again is None or again.kind != "read-only"

"""What is wrong, in the learner's terms."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One wrong thing."""

    kind: str
    """By which a smaller case is recognised as wrong in the same way: "deadlock", "value", ..."""

    sentence: str
    hint: str
    """What to look at."""

    detail: str = ""
    """Where it comes from, if that is known."""

"""What a peer returns: its value, and how far it was from the others on the way.

    round            0      1      2      3
    errors          4.0    2.0    1.0    0.5     |value - true mean|, if somebody knows the mean
    disagreement    3.0    1.5    0.8            |value - a neighbour's|, the largest, as received

A peer cannot see the mean: it sees its neighbours. So disagreement costs no message, and the
errors are for the experimenter, who knows the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Agreed:
    """One peer's outcome."""

    value: Any
    """The estimate of the mean, or the trained parameters: an array shaped like the first."""

    disagreement: tuple[float, ...]
    """For each exchange, the largest Euclidean distance to a value that was received in it."""

    rounds: int
    """How many rounds (gossip) or steps (training) this peer has done."""

    errors: tuple[float, ...] = ()
    """Euclidean distance to the true mean at the start and after each round, if it was given."""

    weight: float = 1.0
    """Push-sum only: the weight in hand at the end; the mass in hand is `value * weight`."""


class Log:
    """Collects one peer's distances while it runs."""

    def __init__(self, mean=None):
        self._mean = mean
        self.errors = []
        self.disagreement = []

    def note(self, value):
        """Record how far `value` is from the true mean, if that is known."""
        if self._mean is not None:
            self.errors.append(distance(value, self._mean))

    def close(self, value, rounds, weight=1.0):
        """Return the record."""
        return Agreed(value, tuple(self.disagreement), rounds, tuple(self.errors), weight)


def distance(a, b):
    """Return the Euclidean distance of two arrays of the same shape."""
    return float(np.linalg.norm(np.ravel(np.asarray(a - b, dtype=float))))

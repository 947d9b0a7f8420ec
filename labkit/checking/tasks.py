"""The common exercises: their serial answers, and input for them.

    "sum"             every peer gets the sum of all parts        (all-reduce)
    "mean"            every peer gets their mean
    "reduce"          peer 0 gets the sum
    "broadcast"       every peer gets peer 0's part
    "gather"          every peer gets the list of all parts       (all-gather)
    "scatter"         peer i gets piece i of peer 0's part
    "reduce_scatter"  peer i gets piece i of the sum
    "alltoall"        peer i gets what each peer has for it: a part is a list, one entry a peer

Pieces are those of `numpy.array_split`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from labkit.errors import ConfigurationError


class Task(NamedTuple):
    """What is asked for."""

    answer: Callable
    """``answer(*lists)``: the serial answer from the lists of all parts."""

    noun: str = "answer"
    """What the answer is called."""

    make: Callable | None = None
    """Input of its own, if it needs that."""


def vectors(rng, n_peers, size):
    """Return one float64 vector of `size` entries a peer, all different."""
    return [rng.standard_normal(size) for _ in range(n_peers)]


def tables(rng, n_peers, size):
    """Return one list a peer, with a vector for each peer."""
    return [vectors(rng, n_peers, size) for _ in range(n_peers)]


def total(parts):
    return np.sum(parts, axis=0)


def pieces(array, n_peers):
    return list(np.array_split(array, n_peers))


TASKS = {
    "sum": Task(total, "sum"),
    "mean": Task(lambda parts: np.mean(parts, axis=0), "mean"),
    "reduce": Task(lambda parts: [total(parts)] + [None] * (len(parts) - 1), "sum"),
    "broadcast": Task(lambda parts: [parts[0]] * len(parts)),
    "gather": Task(lambda parts: [list(parts)] * len(parts)),
    "scatter": Task(lambda parts: pieces(parts[0], len(parts))),
    "reduce_scatter": Task(lambda parts: pieces(total(parts), len(parts)), "sum"),
    "alltoall": Task(lambda parts: [list(column) for column in zip(*parts)], make=tables),
}


def task_of(answer):
    """Return a Task, given its name or a function.

    Raises
    ------
    ConfigurationError
        If it is neither.
    """
    if callable(answer):
        return Task(answer)
    if answer in TASKS:
        return TASKS[answer]
    raise ConfigurationError("This exercise is not known.", got=repr(answer), where="answer=",
                             expected=", ".join(map(repr, TASKS)),
                             remedy="or pass a function from the list of all parts to the answer")

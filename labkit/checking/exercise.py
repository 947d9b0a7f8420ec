"""What is checked, and the cases that it is tried in.

    Exercise   program, answer, input, tolerances
    Case       3 peers, size 7, seed 0, jitter 50 ms, FaultPlan(Pause(1, 1.0, at_message=1))

A case is all that it takes to run the program again: `report.case.world()` makes its world.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from labkit.checking import words
from labkit.checking.tasks import Task, vectors
from labkit.errors import ConfigurationError
from labkit.faults import FaultPlan
from labkit.network import Network
from labkit.sharding import Shards, read_only
from labkit.simulate import SimulatedWorld

LATENCY_S, BANDWIDTH_BPS = 20e-6, 1.25e9


@dataclass(frozen=True)
class Case:
    """One way in which the program is run."""

    n_peers: int
    size: int
    """What `make` was given: by default, entries of a peer's vector."""

    seed: int = 0
    """Of the input, and of the jitter."""

    jitter_s: float = 0.0
    """How late messages are in the mean, at random; those of a link keep their order."""

    plan: FaultPlan | None = None
    """What delays or strikes peers."""

    real: bool = False
    """Whether it was run in real worker processes."""

    @property
    def calm(self):
        """Whether nothing disturbs the run."""
        return not self.jitter_s and self.plan is None

    def world(self):
        """Return the simulated world of this case."""
        network = Network("checked", LATENCY_S, BANDWIDTH_BPS, jitter_s=self.jitter_s)
        return SimulatedWorld(self.n_peers, network=network, seed=self.seed)

    def __str__(self):
        parts = [words.counted(self.n_peers, "peer"), f"size {self.size}", f"seed {self.seed}"]
        if self.jitter_s:
            parts.append(f"messages late by {self.jitter_s * 1e3:g} ms in the mean, at random")
        if self.plan is not None:
            parts.append(", ".join(map(repr, self.plan.faults)))
        return ", ".join(parts + ["in real worker processes"] * self.real)


class Inputs(NamedTuple):
    """What a case gives to the peers, and what they should return."""

    lists: tuple[list, ...]
    """For each argument of the program the list of parts, one a peer."""

    expected: list[Any]
    """One entry a peer; None is not compared."""


@dataclass(frozen=True)
class Exercise:
    """A program and what is right; see `check` for the fields."""

    program: Callable
    task: Task
    make: Callable
    rtol: float = 1e-9
    atol: float = 1e-9
    elastic: bool | int = False
    may_change: bool = False
    unread: bool = False
    limit: int = 20_000
    _known: dict = field(default_factory=dict, compare=False, repr=False)

    def inputs(self, case):
        """Return the Inputs of a case; None if the answer is not defined there.

        Raises
        ------
        ConfigurationError
            If `make` does not give one part a peer, or `answer` fails though parts have entries.
        """
        key = case.n_peers, case.size, case.seed
        if key not in self._known:
            rng = np.random.default_rng([case.seed, case.n_peers, case.size])
            lists = as_lists((self.make or self.task.make or vectors)(
                rng, case.n_peers, case.size), case.n_peers)
            self._known[key] = self.answered(lists, case)
        return self._known[key]

    def answered(self, lists, case):
        """Return Inputs with these parts."""
        try:
            with quiet():
                expected = self.task.answer(*[list(parts) for parts in lists])
        except Exception as error:
            if case.size == 0:
                return None              # the mean of nothing, say, need not be defined
            raise ConfigurationError(
                "The serial answer could not be computed.", where=str(case),
                got=f"{type(error).__name__}: {error}",
                expected="answer(parts) for any input that make gives") from error
        return Inputs(lists, each(expected, case.n_peers))

    def retold(self, lists, case):
        """Return Inputs with parts that tell more; None without any, or without an answer."""
        try:
            return None if lists is None else self.answered(lists, case)
        except ConfigurationError:
            return None

    def given(self, lists):
        """Return the parts as a world takes them: arrays read-only, as those of `world.shard`."""
        return [Shards([read_only(part.copy()) for part in parts], "checked")
                if not self.may_change and all(type(part) is np.ndarray for part in parts)
                else parts for parts in lists]


@contextlib.contextmanager
def quiet():
    """Keep a hundred runs from printing and warning a hundred times; give what was printed."""
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        yield printed


def as_lists(made, n_peers):
    """Return what `make` made as a tuple of lists, one for each argument of the program."""
    lists = made if isinstance(made, tuple) else (made,)
    for parts in lists:
        if not isinstance(parts, list) or len(parts) != n_peers:
            got = f"{len(parts)} parts" if isinstance(parts, list) else type(parts).__name__
            raise ConfigurationError(
                "make(rng, n_peers, size) has to give each peer its part.", where="make=",
                expected=f"a list of {n_peers} parts, or a tuple of such lists", got=got)
    return lists


def each(expected, n_peers):
    """Return one expected value a peer."""
    if isinstance(expected, list) and len(expected) == n_peers:
        return expected
    return [expected] * n_peers

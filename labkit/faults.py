"""Faults as data: what goes wrong, for whom, and when.

    FaultPlan(Crash(2, at_step=5), Delay((0, 1), 0.05), seed=1)
                    |                     |
                    worker 2 ends         what 0 and 1 send each other comes 50 ms later
                    at its step 5

    world.run(program, shards, faults=plan)      real: SIGKILL, SIGSTOP, frames on labkit's links
                                                 simulated: the same on the virtual clock

A fault begins when its worker begins a step, has sent some number of messages, or when some time
has passed: `at_step`, `at_message`, `at_s`; without any of them, at once. Each strikes once in a
run: what is tried again after it succeeds, unless another fault is in its way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from labkit.errors import ConfigurationError


def _check(fault, name, fits, expected):
    value = getattr(fault, name)
    if not fits(value):
        raise ConfigurationError("A fault cannot be like this.", expected=expected, got=repr(value),
                                 where=f"{type(fault).__name__}({name}=)",
                                 remedy=f"give {name} as {expected}")


def _is_rank(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0


def _is_number(value, least=0.0):
    return isinstance(value, int | float | np.number) and least <= value < math.inf


@dataclass(frozen=True, kw_only=True, repr=False)
class Fault:
    """When a fault begins; its kinds say what it is."""

    at_step: int | None = None
    """When its worker begins this step, by `me.step`."""

    at_message: int | None = None
    """When its worker is about to send its message of this number, counted from 0."""

    at_s: float | None = None
    """Seconds after the start of the run: virtual ones if it is simulated."""

    def __post_init__(self):
        for name in ("at_step", "at_message"):
            _check(self, name, lambda v: v is None or _is_rank(v), "a whole number, 0 or more")
        _check(self, "at_s", lambda v: v is None or _is_number(v), "seconds, 0 or more")
        given = [name for name in ("at_step", "at_message", "at_s")
                 if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigurationError("A fault begins once.", expected="one of at_step, "
                                     "at_message and at_s", got=" and ".join(given))

    def __repr__(self):
        given = [f"{f.name}={getattr(self, f.name)!r}" for f in reversed(fields(self))
                 if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(given)})"

    @property
    def is_timed(self):
        """Whether time begins it."""
        return self.at_step is None and self.at_message is None

    def is_due(self, step, messages, seconds):
        """Whether it begins now, for a worker that is so far."""
        if self.at_step is not None:
            return step >= self.at_step
        if self.at_message is not None:
            return messages >= self.at_message
        return seconds >= (self.at_s or 0.0)


@dataclass(frozen=True, repr=False)
class _OnWorker(Fault):
    worker: int
    """Rank."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "worker", _is_rank, "a rank, 0 or more")


@dataclass(frozen=True, repr=False)
class Crash(_OnWorker):
    """The worker's process ends at once, as by SIGKILL."""


@dataclass(frozen=True, repr=False)
class Pause(_OnWorker):
    """The worker stops and goes on later, as by SIGSTOP and SIGCONT."""

    seconds: float

    def __post_init__(self):
        super().__post_init__()
        _check(self, "seconds", lambda v: _is_number(v) and v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class Slow(_OnWorker):
    """The worker computes `factor` times slower: it is stopped for a part of each 20 ms."""

    factor: float
    seconds: float = math.inf
    """For how long."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "factor", lambda v: _is_number(v, 1.0), "a number, 1 or more")
        _check(self, "seconds", lambda v: v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class _OnLink(Fault):
    link: tuple[int, int]
    """The ranks of its two ends; the first one's steps and messages say when it begins."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "link", lambda v: isinstance(v, tuple) and len(v) == 2
               and all(map(_is_rank, v)) and v[0] != v[1], "two different ranks")


@dataclass(frozen=True, repr=False)
class Delay(_OnLink):
    """Messages on the link, in both directions, arrive later."""

    delay_s: float
    seconds: float = math.inf
    """For how long."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "delay_s", lambda v: _is_number(v) and v > 0, "seconds, more than 0")
        _check(self, "seconds", lambda v: v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class Drop(_OnLink):
    """Some messages on the link are lost once, and have to be sent again."""

    fraction: float = 1.0
    """Of the messages, at random by the plan's seed."""

    count: int = 1
    """How many at most."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "fraction", lambda v: _is_number(v) and 0 < v <= 1, "more than 0, up to 1")
        _check(self, "count", lambda v: _is_rank(v) and v > 0, "a whole number, 1 or more")


@dataclass(frozen=True, repr=False)
class Corrupt(Drop):
    """A bit is flipped in some messages on the link: found by checksums, or by nobody."""


@dataclass(frozen=True, repr=False)
class Partition(Fault):
    """Workers of different groups cannot reach each other for a while."""

    groups: tuple[tuple[int, ...], ...]
    seconds: float

    def __post_init__(self):
        super().__post_init__()
        ranks = [rank for group in self.groups for rank in group]
        _check(self, "groups", lambda v: len(v) > 1 and all(v) and all(map(_is_rank, ranks))
               and len(set(ranks)) == len(ranks), "two groups of ranks or more, no rank twice")
        _check(self, "seconds", lambda v: _is_number(v) and v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class LoseShard(_OnWorker):
    """The worker's shards are gone, as if its disk were; the worker itself lives."""


@dataclass(frozen=True, repr=False)
class FillDisk(_OnWorker):
    """The folder in which the worker spills has no room left."""


@dataclass(frozen=True, repr=False)
class Exhaust(_OnWorker):
    """The worker asks for more memory than its limit."""


class FaultPlan:
    """What goes wrong in a run, with the seed of what is left to chance.

    Parameters
    ----------
    *faults : Fault
    seed : int
    """

    def __init__(self, *faults, seed=0):
        for fault in faults:
            if not isinstance(fault, Fault):
                raise ConfigurationError("This is no fault.", got=repr(fault),
                                         expected="Crash(...), Pause(...), Delay(...), ...",
                                         where="FaultPlan")
        self.faults = tuple(faults)
        self.seed = seed

    def check(self, n_workers):
        """Raise ConfigurationError for a fault that is aimed at nobody in this world."""
        for fault in self.faults:
            for rank in ranks_of(fault):
                if rank >= n_workers:
                    raise ConfigurationError("A fault is aimed at a worker that is not there.",
                                             expected=f"ranks from 0 to {n_workers - 1}", got=rank,
                                             where=repr(fault), remedy="aim at one of these "
                                             "ranks, or make a world with more workers")

    def of(self, rank):
        """Return the faults that begin at a worker: at it, or at the first end of a link."""
        return [fault for fault in self.faults if ranks_of(fault)[0] == rank]

    def of_workers(self):
        """Return the plan without faults of links."""
        return FaultPlan(*[f for f in self.faults if isinstance(f, _OnWorker)], seed=self.seed)

    def without(self, marks):
        """Return the plan without what the events of a run say that was injected."""
        left = list(self.faults)
        for label in [event.label for event in marks if event.kind == "injected"]:
            found = next((fault for fault in left if repr(fault) == label), None)
            if found is not None:
                left.remove(found)
        return FaultPlan(*left, seed=self.seed)

    def __len__(self):
        return len(self.faults)

    def __repr__(self):
        return f"FaultPlan({', '.join(map(repr, self.faults))}, seed={self.seed})"


def check_plan(plan, world, tasks=False):
    """Return the plan (an empty one for None), or raise ConfigurationError if it cannot be had.

    Parameters
    ----------
    plan : FaultPlan or None
    world : World
        With `workers` and `checksums`.
    tasks : bool
        Whether it is for `map`.
    """
    plan = FaultPlan() if plan is None else plan
    if not isinstance(plan, FaultPlan):
        raise ConfigurationError("This is no plan of faults.", expected="FaultPlan(Crash(1), ...)",
                                 got=type(plan).__name__, where="faults=")
    plan.check(world.workers)
    for fault in plan.faults:
        if tasks and isinstance(fault, _OnLink | Partition):
            raise ConfigurationError("Tasks of a map send each other nothing.", got=repr(fault),
                                     expected="faults of workers", where="faults=",
                                     remedy="use world.run for faults of links")
        if type(fault) is Drop and not world.checksums:
            raise ConfigurationError(
                "Nobody would notice that a message is missing.", got=repr(fault),
                expected="links with checksums, which send again", where="faults=",
                remedy="make the world with checksums=True")
    return plan


class Pending:
    """Faults that a worker has still before it.

    Parameters
    ----------
    faults : iterable of Fault
    """

    def __init__(self, faults):
        self._faults = list(faults)

    @property
    def next_s(self):
        """When the next one begins, of those that time begins: seconds after the start."""
        return min((fault.at_s or 0.0 for fault in self._faults if fault.is_timed),
                   default=math.inf)

    def take(self, step, messages, seconds):
        """Return a fault that begins now, once; None if there is none."""
        for position, fault in enumerate(self._faults):
            if fault.is_due(step, messages, seconds):
                return self._faults.pop(position)
        return None

    def __bool__(self):
        return bool(self._faults)


def ranks_of(fault):
    """Return the ranks of the workers at which a fault is aimed."""
    if isinstance(fault, Partition):
        return [rank for group in fault.groups for rank in group]
    return list(fault.link) if isinstance(fault, _OnLink) else [fault.worker]


def random_plan(n_workers, n_faults, steps, kinds=(Crash, Pause, Slow), seed=0):
    """Draw a plan: faults of these kinds, at random workers, at random steps.

    Returns
    -------
    FaultPlan
        The same for the same seed.
    """
    rng = np.random.default_rng(seed)
    faults = []
    for _ in range(n_faults):
        kind, at_step = kinds[rng.integers(len(kinds))], int(rng.integers(steps))
        if issubclass(kind, _OnLink):
            first, second = rng.choice(n_workers, 2, replace=False).tolist()
            where = (first, second)
        else:
            where = int(rng.integers(n_workers))
        more = {Pause: (float(rng.uniform(0.1, 0.5)),), Slow: (float(rng.uniform(2, 8)), 1.0),
                Delay: (float(rng.uniform(0.001, 0.05)),)}.get(kind, ())
        faults.append(kind(where, *more, at_step=at_step))
    return FaultPlan(*faults, seed=seed)

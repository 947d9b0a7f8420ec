"""A plan of faults, what of it a worker has before it, and plans drawn at random."""

from __future__ import annotations

import math

import numpy as np

from labkit.errors import ConfigurationError
from labkit.faults.kinds import (
    Crash,
    Delay,
    Drop,
    Fault,
    OnLink,
    OnWorker,
    Partition,
    Pause,
    Slow,
    ranks_of,
)


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
        return FaultPlan(*[f for f in self.faults if isinstance(f, OnWorker)], seed=self.seed)

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
        if tasks and isinstance(fault, OnLink | Partition):
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
        if issubclass(kind, OnLink):
            first, second = rng.choice(n_workers, 2, replace=False).tolist()
            where = (first, second)
        else:
            where = int(rng.integers(n_workers))
        more = {Pause: (float(rng.uniform(0.1, 0.5)),), Slow: (float(rng.uniform(2, 8)), 1.0),
                Delay: (float(rng.uniform(0.001, 0.05)),)}.get(kind, ())
        faults.append(kind(where, *more, at_step=at_step))
    return FaultPlan(*faults, seed=seed)

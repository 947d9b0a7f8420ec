"""A job at full strength: the pairs never leave the workers.

    map         mapper, combiner            one task an item
    sample      some keys of each task      only to sort, or to split heavy keys
    partition   bucket r is for reducer r   by hash or range; a heavy key's values go to several
    shuffle     reducer r fetches bucket r of every task
    reduce      group within a memory budget, sorted if asked; reducer
    combine     the results of a heavy key's slices

Source: Dean and Ghemawat, "MapReduce: simplified data processing on large clusters", OSDI 2004;
total order by sampling as in O'Malley, "TeraByte sort on Apache Hadoop", 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from labkit.errors import ConfigurationError
from labkit.models.map_reduce import tasks
from labkit.models.map_reduce.keys import by_hash
from labkit.models.map_reduce.shuffle import reduce_phase, shuffle
from labkit.models.map_reduce.skew import Skew
from labkit.models.map_reduce.text import items_of
from labkit.sharding import joined

BUDGET_NBYTES = 256_000_000


@dataclass(frozen=True)
class Job:
    """What a job does; ``job.run(world, source)`` does it."""

    mapper: Callable
    """``mapper(item)`` yields (key, value) pairs."""

    reducer: Callable
    """``reducer(key, values)`` returns one result; `values` is a list in the items' order."""

    combiner: Callable | None = None
    """``combiner(key, values)`` folds a key's values within a map task. Often the reducer."""

    partitioner: Callable = by_hash
    """``partitioner(key, n_reducers)`` returns the key's reducer; not used if `sort`."""

    n_reducers: int | None = None
    """One a worker by default."""

    sort: bool = False
    """Whether results are in the order of their keys, within a part and from part to part."""

    associative: bool = False
    """Whether the reducer takes its own results as values, in any order and grouping, as
    `sum` does. Then a heavy key's values are split over several reducers."""

    budget_nbytes: int | None = BUDGET_NBYTES
    """Memory in which a task groups pairs, in bytes; what does not fit goes to disk."""

    seed: int = 0
    """Of the sample."""

    def run(self, world, source, work=None, backup=None):
        """Run the job.

        Parameters
        ----------
        world : World
        source : Shards, TextFiles, or iterable of items
            One map task each, TextRanges for files: make items coarse.
        work : callable, optional
            ``work(item)``, what mapping costs in the simulated world: see `World.map`.
        backup : callable, optional
            When late tasks get a second attempt: see `labkit.models.map_reduce.backup`.

        Returns
        -------
        Outcome
        """
        n = world.workers if self.n_reducers is None else self.n_reducers
        if n < 1:
            raise ConfigurationError("A job cannot have this many reduce tasks.", got=n,
                                     expected="1 or more", where="n_reducers=")
        items = items_of(source, world.workers)
        run_phases = _planned if self.sort or self.associative else _direct
        runs, plan = run_phases(world, self, items, n, work, backup)
        parts = tasks.combine_slices(self, plan, [results for results, _, _ in runs[-1].results])
        loads = tuple(n_pairs for _, n_pairs, _ in runs[-1].results)
        spilled = sum(nbytes for _, _, nbytes in runs[-1].results)
        return Outcome(parts, runs, Skew(loads, plan.slices), spilled)


@dataclass(frozen=True, repr=False)
class Outcome:
    """What a job found, and how."""

    parts: list[list[tuple[Any, Any]]]
    """(key, result) pairs, a list for each reducer."""

    runs: list
    """A Run for each phase: map and reduce, or map, sample, partition and reduce."""

    skew: Skew
    """How evenly the reducers were loaded."""

    spilled_nbytes: int
    """What reducers wrote to disk because it did not fit in their budget, in bytes."""

    def __iter__(self):
        """Yield all (key, result) pairs; in order, if the job sorts."""
        return chain.from_iterable(self.parts)

    def as_dict(self):
        """Return {key: result}."""
        return dict(self)

    def __repr__(self):
        return (f"Outcome({sum(map(len, self.parts)):,} results in {len(self.parts)} parts, "
                f"imbalance {self.skew.imbalance:.3g}, {self.spilled_nbytes:,} bytes spilled)")


# ---- phases


def _direct(world, job, items, n, work, backup):
    plan = tasks.Plan(job.partitioner, n)
    runs = shuffle(world, partial(tasks.partition, job, plan),
                   partial(tasks.reduce_buckets, job), items, n, work, backup)
    return list(runs), plan


def _planned(world, job, items, n, work, backup):
    mapped = world.map(partial(tasks.map_pairs, job), items, work=work, keep=1, backup=backup)
    pairs = joined(*mapped.results)
    sampled = world.map(partial(tasks.sample_keys, job.seed), pairs, backup=backup)
    plan = tasks.make_plan(job, sampled.results, n)
    parted = world.map(partial(tasks.partition_pairs, plan), pairs, keep=n, backup=backup)
    reduced = reduce_phase(world, partial(tasks.reduce_buckets, job), parted.results, n, backup)
    return [mapped, sampled, parted, reduced], plan

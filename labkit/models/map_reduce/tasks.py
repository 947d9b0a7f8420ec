"""What the tasks of a job do, and the plan that tells them where pairs go.

    map_pairs      item -> pairs              partition      pairs -> a bucket for each reducer
    sample_keys    pairs -> a few keys        reduce_buckets buckets -> results
    make_plan      samples -> Plan            combine_slices results -> results

Each is a function of its arguments alone: it can run anywhere, and twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from labkit.models.map_reduce import skew
from labkit.models.map_reduce.keys import by_range, check_hashable, check_owner
from labkit.models.map_reduce.spill import Groups

SAMPLE = 1000                # keys of each map task


@dataclass(frozen=True)
class Plan:
    """Where pairs go."""

    partitioner: Callable
    n_reducers: int
    slices: dict = field(default_factory=dict)
    """{heavy key: over how many reducers its values go}."""


def make_plan(job, samples, n_reducers):
    """Return the Plan for a job of which some keys are known.

    Parameters
    ----------
    samples : list of Sample
    """
    share = skew.shares(samples)
    partitioner = job.partitioner
    if job.sort:
        partitioner = partial(by_range, skew.quantiles(share, n_reducers))
    slices = skew.heavy_keys(share, n_reducers) if job.associative else {}
    return Plan(partitioner, n_reducers, slices)


def map_pairs(job, item):
    """Return a list with one part, the pairs of an item, combined if the job says how."""
    if job.combiner is None:
        return [list(job.mapper(item))]
    with Groups(job.budget_nbytes) as groups:
        for key, value in job.mapper(item):
            groups.add(key, value)
        return [[(key, job.combiner(key, values)) for key, values in groups]]


def sample_keys(seed, pairs):
    """Return a Sample of the keys of one task's pairs."""
    sample = skew.draw([key for key, _ in pairs], SAMPLE, seed)
    for key in sample.keys:
        check_hashable(key)
    return sample


def partition_pairs(plan, pairs):
    """Return one bucket of pairs for each reducer of the Plan."""
    n = plan.n_reducers
    buckets, homes, turn = [[] for _ in range(n)], {}, Counter()
    for pair in pairs:
        key = pair[0]
        home = _home(plan, homes, key)
        if key in plan.slices:               # dealt like cards
            turn[key] += 1
            home = (home + turn[key] % plan.slices[key]) % n
        buckets[home].append(pair)
    return buckets


def _home(plan, homes, key):
    """Return the key's reducer; the partitioner is asked once a key."""
    check_hashable(key)
    home = homes.get(key)
    if home is None:
        n = plan.n_reducers
        home = homes[key] = check_owner(plan.partitioner(key, n), key, n)
    return home


def partition(job, plan, item):
    """Map an item and return one bucket of pairs for each reducer of the Plan."""
    return partition_pairs(plan, map_pairs(job, item)[0])


def reduce_buckets(job, buckets):
    """Return the results of one reducer, how many pairs it had, and what it wrote to disk."""
    with Groups(job.budget_nbytes, job.sort) as groups:
        for key, value in chain.from_iterable(buckets):
            groups.add(key, value)
        results = [(key, job.reducer(key, values)) for key, values in groups]
        return results, groups.n_pairs, groups.spilled_nbytes


def combine_slices(job, plan, parts):
    """Reduce the results of a heavy key's slices to one, in the part where the key belongs."""
    if not plan.slices:
        return parts
    slices = {}
    for key, result in chain.from_iterable(parts):
        if key in plan.slices:
            slices.setdefault(key, []).append(result)
    parts = [[pair for pair in part if pair[0] not in plan.slices] for part in parts]
    for key, results in slices.items():
        home = plan.partitioner(key, plan.n_reducers)
        parts[home].append((key, job.reducer(key, results)))
    return [sorted(part, key=lambda pair: pair[0]) for part in parts] if job.sort else parts

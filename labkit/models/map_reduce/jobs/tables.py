"""Two jobs over rows.

    sort    sample the keys, cut them into ranges, sort each range:    [1 2 3] [5 5 6] [8 9]
    join    left   (1,a) (2,b)    --hash of the key-->    (1, a, x)
            right  (1,x) (1,y)                            (1, a, y)

Both sources of a join go through one shuffle: whoever reduces a key gets the rows of both.
"""

from __future__ import annotations

from functools import partial

from labkit.models.map_reduce.job import Job
from labkit.models.map_reduce.keys import by_hash
from labkit.models.map_reduce.shuffle import reduce_phase
from labkit.models.map_reduce.tasks import Plan, partition
from labkit.models.map_reduce.text import items_of


def sort(world, source, key=None, n_reducers=None, **settings):
    """Sort rows; rows of one key keep their order.

    Parameters
    ----------
    world : World
    source : Shards, or iterable of chunks
        A chunk is a sequence of rows.
    key : callable, optional
        ``key(row)``, hashable, is what rows are sorted by; the row itself by default.
    n_reducers : int, optional
    **settings
        Of the `Job`: `budget_nbytes`, `seed`.

    Returns
    -------
    parts : list of list
        Rows; one part after another they are ``sorted(rows, key=key)``.
    outcome : Outcome
    """
    job = Job(partial(_keyed, key), _rows, n_reducers=n_reducers, sort=True, **settings)
    outcome = job.run(world, source)
    return [[row for _, rows in part for row in rows] for part in outcome.parts], outcome


def join(world, left, right, n_reducers=None, partitioner=by_hash):
    """Find the pairs of rows that have the same key.

    Parameters
    ----------
    world : World
    left, right : Shards, or iterable of chunks
        A chunk is a sequence of (key, value) rows.
    n_reducers : int, optional
    partitioner : callable, optional
        See `Job`.

    Returns
    -------
    parts : list of list
        (key, left value, right value) rows of each reducer.
    runs : list of Run
        Two map phases and the reduce phase.
    """
    n = world.workers if n_reducers is None else n_reducers
    job, plan = Job(iter, _rows), Plan(partitioner, n)
    sides = [world.map(partial(partition, job, plan), items_of(source, world.workers), keep=n)
             for source in (left, right)]
    lefts, rights = (side.results for side in sides)
    reduced = reduce_phase(world, partial(_matched, len(lefts)), lefts + rights, n)
    return reduced.results, [*sides, reduced]


def _keyed(key, chunk):
    for row in chunk:
        yield (row if key is None else key(row)), row


def _rows(key, rows):
    return rows


def _matched(n_left, buckets):
    """Join the buckets of the left source with those of the right: build, then probe."""
    table = {}
    for bucket in buckets[:n_left]:
        for key, value in bucket:
            table.setdefault(key, []).append(value)
    return [(key, value, other) for bucket in buckets[n_left:] for key, other in bucket
            for value in table.get(key, ())]

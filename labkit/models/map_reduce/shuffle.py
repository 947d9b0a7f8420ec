"""The shuffle: two maps, and a transposition between them.

    map task 0   [bucket 0, bucket 1]         reduce task 0   (bucket 0 of 0, bucket 0 of 1)
    map task 1   [bucket 0, bucket 1]   -->   reduce task 1   (bucket 1 of 0, bucket 1 of 1)
                 stay where they are made     fetched from there by who needs them

The caller holds references only; no pair passes through it. A bucket that was lost with its
worker is made again, by running its map task again, before a reduce task that needs it.
"""

from __future__ import annotations

from labkit.sharding import Shards, zipped


def shuffle(world, map_task, reduce_task, items, n_reducers, work=None, backup=None):
    """Run map tasks, hand each reduce task its bucket of all of them, and run these.

    Parameters
    ----------
    world : World
    map_task : callable
        ``map_task(item)`` returns a list of `n_reducers` buckets, of any kind.
    reduce_task : callable
        ``reduce_task(buckets)`` takes the tuple of one bucket from each map task, in the
        items' order.
    items : Shards or sequence
    n_reducers : int
        1 or more.
    work, backup : callable, optional
        See `World.map`; `work` is what mapping costs.

    Returns
    -------
    (Run, Run)
        The map phase, whose results are Shards of buckets, and the reduce phase.
    """
    mapped = world.map(map_task, items, work=work, keep=n_reducers, backup=backup)
    return mapped, reduce_phase(world, reduce_task, mapped.results, n_reducers, backup)


def reduce_phase(world, reduce_task, buckets, n_reducers, backup=None):
    """Run one reduce task for each bucket number.

    Parameters
    ----------
    buckets : list of Shards
        Of `n_reducers` buckets, one for each map task.

    Returns
    -------
    Run
    """
    columns = zipped(*buckets) if buckets else Shards([()] * n_reducers, "kept")
    return world.map(reduce_task, columns, backup=backup)

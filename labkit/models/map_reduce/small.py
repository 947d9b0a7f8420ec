"""A small job: every pair passes through the caller of `map_reduce`, who groups them.

    item 0 --mapper--> (a,1) (b,1) (a,1) --combiner--> (a,2) (b,1) --+          +--reducer--> a: 3
    item 1 --mapper--> (a,1) (b,1)       --combiner--> (a,1) (b,1) --+-- group -+
                                                                                +--reducer--> b: 2

That is the shortest way to say what MapReduce does, and the fastest for few pairs; with many,
the caller is what everyone waits for. `labkit.models.map_reduce.job` shuffles them between the
workers. Source: Dean and Ghemawat, "MapReduce: simplified data processing on large clusters",
OSDI 2004.
"""

from __future__ import annotations

from functools import partial

from labkit.errors import ConfigurationError
from labkit.models.map_reduce.keys import check_hashable


def map_reduce(world, mapper, reducer, items, combiner=None, n_reducers=None, work=None):
    """Run one MapReduce job.

    Parameters
    ----------
    world : World
    mapper : callable
        ``mapper(item)`` yields (key, value) pairs; keys are hashable.
    reducer : callable
        ``reducer(key, values)`` returns one result; `values` is a list in the items' order.
    items : Shards or sequence
        One map task each: make them coarse.
    combiner : callable, optional
        ``combiner(key, values)`` folds the values of one key within one map task, so that
        fewer travel. Often the reducer itself.
    n_reducers : int, optional
        Reduce tasks, by default one a worker; 0 reduces here, which pays for few small values.
    work : callable, optional
        ``work(item)``, what mapping costs in the simulated world: see `World.map`.

    Returns
    -------
    results : dict
        {key: result}, in the order in which keys first appear.
    runs : list of Run
        The map phase, and the reduce phase if there was one.
    """
    if n_reducers is not None and n_reducers < 0:
        raise ConfigurationError("A job cannot have this many reduce tasks.", got=n_reducers,
                                 expected="0 or more", where="n_reducers=")
    mapped = world.map(partial(_map_task, mapper, combiner), items, work=work)
    groups = list(_group(pair for pairs in mapped.results for pair in pairs).items())
    if n_reducers == 0:
        return dict(_reduce_task(reducer, groups)), [mapped]
    n_reducers = min(n_reducers or world.workers, len(groups))
    reduced = world.map(partial(_reduce_task, reducer),
                        [groups[first::n_reducers] for first in range(n_reducers)])
    found = dict(pair for pairs in reduced.results for pair in pairs)
    return {key: found[key] for key, _ in groups}, [mapped, reduced]


def _map_task(mapper, combiner, item):
    pairs = mapper(item)
    return list(pairs) if combiner is None else _reduce_task(combiner, _group(pairs).items())


def _group(pairs):
    groups = {}
    for key, value in pairs:
        try:
            groups.setdefault(key, []).append(value)
        except TypeError:
            check_hashable(key)
            raise
    return groups


def _reduce_task(reducer, groups):
    return [(key, reducer(key, values)) for key, values in groups]

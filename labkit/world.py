"""What a lesson may ask of a world.

    program(me, part, ...)   an ordinary function, run once by every peer: see `labkit.peer`
    world.run(program, ...)  all peers at once, each with its own part
    world.map(task, items)   independent tasks that a scheduler assigns
    world.shard(X, y)        data cut up and placed where the peers are
    world.under(faults)      what goes wrong in all of these
    world.recorded()         the runs that something else starts
    world.like(workers=2)    a part of a cluster, or the same world with a change
"""

from __future__ import annotations

import abc
import contextlib
import operator
from typing import Any, NamedTuple

from labkit import sharding
from labkit.errors import ConfigurationError
from labkit.faults import FaultPlan, check_plan


class Under(NamedTuple):
    """What holds for all runs inside `World.under`."""

    plan: FaultPlan
    elastic: bool
    checkpoints: Any


class World(abc.ABC):
    """Somewhere that programs run: serial, cluster or simulated. Use it in a `with` block."""

    _under = Under(FaultPlan(), False, None)
    _runs = None
    """The list that `recorded` collects runs in."""
    _cuts_views = False
    """Whether blocks may share the caller's memory: where they are copied to others anyway."""

    def __init__(self, workers):
        self.workers = check_workers(workers)

    @abc.abstractmethod
    def run(self, program, *shards, record=True, tolerate_loss=False, faults=None, elastic=None,
            checkpoints=None):
        """Run `program(me, part, ...)` on every peer at once.

        Parameters
        ----------
        program : callable
            Takes `me` and one part of each of `shards`; may live in a notebook cell.
        *shards : Shards, or sequences with one entry a peer
            What each peer works on. Entries of a plain sequence are copied to their
            peer; parts of `Shards` are shared and read-only.
        record : bool
            Whether to record events.
        tolerate_loss : bool
            Whether the run stands if peers die and all others return: the program has caught
            `PeerLost`, or not needed them. Their results are None.
        faults : FaultPlan, optional
            What goes wrong; by default nothing, or what `under` says. Not in the serial world.
        elastic : bool or int, optional
            Whether the peers that are left start the program again when one dies, with its part
            of the shards and from what was committed last: see `labkit.elastic`. An entry of a
            plain sequence waits for its peer's replacement. A number says how many peers the
            program needs: with fewer, all wait for replacements.
        checkpoints : Checkpoints, optional
            Where peer 0 saves what is committed, and where the run begins if there is something.

        Returns
        -------
        Run
        """

    @abc.abstractmethod
    def map(self, task, items, work=None, record=True, keep=None, backup=None, faults=None):
        """Run `task(item)` for every item, on whichever worker is free.

        Parameters
        ----------
        task : callable
            A function of one item, without side effects: it may run more than once.
        items : Shards or sequence
        work : callable, optional
            `work(item)` returns `dict(flops=..., nbytes=...)`, what the task costs;
            only the simulated world asks, once for each attempt.
        record : bool
            Whether to record events.
        keep : int, optional
            The task returns a list of this many parts, which stay where it ran: each
            result is Shards of its parts. ``zipped(*results)`` makes part i of every
            task item i of the next map. Parts that a dead worker held are made again.
        backup : callable, optional
            ``backup(finished_s, n_items)`` returns how many seconds a task may take,
            given what finished ones took. One that takes longer gets a second attempt
            when a worker is idle; the first answer counts. See
            `labkit.models.map_reduce.backup`.
        faults : FaultPlan, optional
            What strikes workers; `at_step` counts the tasks that a worker has begun. What a dead
            worker was at runs again, what was done does not.

        Returns
        -------
        Run
            With one "task" event for each attempt.
        """

    @contextlib.contextmanager
    def under(self, faults=None, elastic=False, checkpoints=None):
        """Let faults strike all runs and maps inside a `with` block, each fault once.

        For what starts several, or starts them out of sight: a MapReduce job, an estimator.
        Steps, messages and time count anew in each. `elastic` and `checkpoints` are those of `run`.
        """
        outer = self._under
        self._under = Under(check_plan(faults, self), elastic, checkpoints)
        try:
            yield
        finally:
            self._under = outer

    def _under_run(self, faults, elastic, checkpoints):
        """Return these arguments of a run, with what `under` says in the place of None."""
        under = self._under
        faults = check_plan(under.plan if faults is None else faults, self)
        elastic = under.elastic if elastic is None else elastic
        return faults, elastic, under.checkpoints if checkpoints is None else checkpoints

    def _under_map(self, faults):
        if faults is None:
            return self._under.plan.of_workers()
        return check_plan(faults, self, tasks=True)

    @contextlib.contextmanager
    def recorded(self):
        """Collect all runs and maps inside a `with` block in a list, in order.

        For what starts them out of sight: a MapReduce job, an estimator.
        """
        outer, self._runs = self._runs, []
        try:
            yield self._runs
        finally:
            self._runs = outer

    def _made(self, run):
        """Return the run; what has struck in it strikes no more."""
        if self._runs is not None:
            self._runs.append(run)
        if self._under.plan:             # or do not look at all of its events
            self._under = self._under._replace(plan=self._under.plan.without(run.marks))
        return run

    @abc.abstractmethod
    def like(self, **changes):
        """Return a world like this one, to be used in a `with` block.

        Parameters
        ----------
        **changes
            What differs, by the names of the world's own arguments. Of a cluster, `workers=2` are
            two of its own workers: none is started.
        """

    def shard(self, *arrays, by="contiguous"):
        """Cut arrays along their rows into one part a worker, and place the parts.

        Parameters
        ----------
        *arrays : ndarray, CSR matrix or dask.array
            Cut at the same rows. Chunks of dask arrays are computed by the worker
            that gets them, and stay there.
        by : {"contiguous", "cyclic", "hash"}
            See `labkit.sharding`.

        Returns
        -------
        Shards, or a tuple of Shards when several arrays were given
        """
        sharding.check_rows(arrays)
        if any(map(sharding.is_chunked, arrays)):
            import dask.array as da  # a quarter of a second, which no worker waits for

            arrays = [a if sharding.is_chunked(a) else da.from_array(a) for a in arrays]
            units = sharding.chunk_grid(arrays)
            plan = sharding.assign(len(units[0]), self.workers, by)
            # Hashing may leave a worker without a chunk: it gets zero rows of the first one.
            parts = [[[u[i] for i in mine] or [u[0][:0]] for mine in plan] for u in units]
        else:
            plan = sharding.assign(arrays[0].shape[0], self.workers, by)
            cut = sharding.rows_of if self._cuts_views else (lambda array, rows: array[rows])
            parts = [[[cut(array, rows)] for rows in plan] for array in arrays]
        shards = tuple(self._place(blocks, by) for blocks in parts)
        return shards if len(shards) > 1 else shards[0]

    @abc.abstractmethod
    def _place(self, blocks, by):
        """Return Shards of `blocks`, a list of row blocks for each peer."""

    def __enter__(self):
        return self

    def close(self):
        """End what this world has started: nothing, if all of it is in this process."""
        return

    def __exit__(self, *exc_info):
        self.close()

    def __sklearn_clone__(self):
        # An estimator's parameters are copied with it; a world is a place, not a value.
        return self


def check_workers(workers):
    """Return `workers` as an int, or raise ConfigurationError unless it is 1 or more."""
    try:
        number = operator.index(workers)
    except TypeError:
        number = 0
    if number < 1:
        raise ConfigurationError("A world needs workers.", expected="an integer, 1 or more",
                                 got=repr(workers), where="workers=",
                                 remedy="pass workers=2, for example")
    return number


def check_shards(shards, workers):
    """Raise ConfigurationError unless every entry of `shards` has one part a peer."""
    for position, parts in enumerate(shards):
        if not hasattr(parts, "__len__"):
            raise ConfigurationError("A program's data must have one part for each peer.",
                                     expected="a sequence or world.shard(...)",
                                     got=type(parts).__name__, where=f"argument {position + 1}")
        if len(parts) != workers:
            raise ConfigurationError(
                "A program's data must have one part for each peer.", expected=workers,
                got=len(parts), where=f"argument {position + 1} after the program",
                remedy="pass a list with one entry a peer, or world.shard(array)")

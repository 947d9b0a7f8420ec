"""What a program may ask of `me`, and what a lesson may ask of a world.

    program(me, part, ...)   an ordinary function, run once by every peer
    me.send, me.recv, ...    messages; a message is a copy
    world.run(program, ...)  all peers at once, each with its own part
    world.map(task, items)   independent tasks that a scheduler assigns
    world.shard(X, y)        data cut up and placed where the peers are

The three worlds differ in who moves a message and what a second is; this module
is what they share.
"""

from __future__ import annotations

import abc
import contextlib
import operator
from typing import Any, NamedTuple

import numpy as np

from labkit import collectives, sharding
from labkit.elastic import Regroup
from labkit.errors import ConfigurationError
from labkit.faults import FaultPlan, check_plan

CHANNELS = ("", "broadcast", "reduce", "allreduce", "reduce_scatter", "allgather", "alltoall",
            "barrier", "gossip", "detection")
"""The program's own messages, and those of each collective, never mix: `recv_any` in a slow
peer must not take a message of a collective that a fast peer has already begun."""


class Peer(abc.ABC):
    """One of `size` peers that run the same program; programs call it `me`."""

    def __init__(self, rank, size):
        self.rank = rank
        self.size = size
        self._step = -1
        self._channel = ""
        self._awaits = None              # (channel, source or None) while it waits
        self._commits = None             # what it has committed, in an elastic run
        self._checkpoints = None
        self._regroup = False            # whether somebody waits to join

    @abc.abstractmethod
    def _send(self, to, message): ...

    @abc.abstractmethod
    def _recv(self, source, timeout_s=None):
        """Return `(source, message)`, None after the timeout; `source` None stands for anyone."""

    @abc.abstractmethod
    def now(self):
        """Return the seconds since the run began: virtual ones if it is simulated."""

    @abc.abstractmethod
    def _mark_step(self): ...

    # What moves long arrays: worlds that move real bytes do better than this.

    def _send_all(self, ranks, message):
        for to in ranks:
            self._send(to, message)

    def _post(self, to, array):
        """Send an array that stays unchanged until `_flush`."""
        self._send(to, array)

    def _flush(self):
        """Wait until every array that was posted has been taken."""
        return

    def _recv_into(self, source, out, op=None):
        """Receive an array into `out`, or combine it with what is there; return `out`.

        A message that is no array is returned.
        """
        return combined(out, self._recv(source)[1], op)

    def _combine_into(self, sources, own, out, op, flush=False):
        """Combine an array of one's own with one from each source; perhaps flush before."""
        if flush:
            self._flush()
        out[...] = own
        for source in sources:
            self._recv_into(source, out, op)

    def send(self, to, message):
        """Send a copy of `message` to peer `to`; you may change it once this returns.

        Parameters
        ----------
        to : int
            Rank of the receiver.
        message : ndarray or object
            Arrays travel as their bytes, other objects as pickle.
        """
        if type(to) is not int or not 0 <= to < self.size or to == self.rank:
            to = self._check_rank(to, "send to")
        self._send(to, message)

    def multicast(self, ranks, message):
        """Send a copy of `message` to each of several peers; they may receive it all at once."""
        self._send_all([self._check_rank(to, "send to") for to in ranks], message)

    def post(self, ranks, message):
        """Send `message` to several peers without waiting until they take it.

        It must stay as it is until `flush` or `accumulate` returns, or the program ends.
        """
        for to in ranks:
            self._post(self._check_rank(to, "send to"), message)

    def flush(self):
        """Wait until all that was posted has been taken."""
        self._flush()

    def recv(self, source, out=None):
        """Wait for the next message from peer `source` and return it.

        With `out`, a contiguous array, an array of the same shape and dtype is received into
        it, without a copy in between, and `out` returned; any other object as it is.
        """
        if type(source) is not int or not 0 <= source < self.size or source == self.rank:
            source = self._check_rank(source, "receive from")
        if out is None:
            return self._recv(source)[1]
        if not (out.flags.c_contiguous and out.flags.writeable):
            raise ConfigurationError("A message cannot be received into this array.",
                                     expected="a contiguous array that may be written to",
                                     got=f"strides {out.strides}", where=self.place(),
                                     remedy="receive without out=, and assign")
        return self._recv_into(source, out)

    def accumulate(self, sources, out, op=np.add):
        """Receive an array from each source, and combine it with what is in `out`.

        ``op(out, array, out=out)`` does so, source after source or block after block: it has to
        work value by value. Nothing is written to `out` before what was posted has been taken.
        """
        self._combine_into([self._check_rank(source, "receive from") for source in sources],
                           out, out, op, flush=True)

    def recv_any(self, timeout_s=None):
        """Wait for the next message from any peer; return `(source, message)`.

        With a timeout, None if nothing has come when so many seconds have passed.
        """
        return self._recv(None, timeout_s)

    def sendrecv(self, to, message, source):
        """Send to one peer and receive from another (or the same) at the same time."""
        self._post(self._check_rank(to, "send to"), message)
        received = self.recv(source)
        self._flush()
        return received

    def broadcast(self, message=None, root=0):
        """Return the root's `message` on every peer (others may pass nothing)."""
        root = self._check_rank(root, "broadcast from", own=True)
        with self.channel("broadcast"):
            return collectives.broadcast(self, message, root)

    def reduce(self, value, op=np.add, root=0):
        """Combine all values with `op`; return the result on `root`, None elsewhere.

        `op` takes two values and must be associative and commutative.
        """
        root = self._check_rank(root, "reduce to", own=True)
        with self.channel("reduce"):
            return collectives.reduce(self, value, op, root)

    def allreduce(self, value, op=np.add, algorithm="auto", out=None):
        """Combine all values with `op`; return the result, the same bits on every peer.

        `algorithm` is one of `labkit.collectives.ALGORITHMS`, or chosen by size and peers.
        With `out`, an array of the same shape and dtype, the result goes there: `out=value`
        works in place.
        """
        with self.channel("allreduce"):
            return collectives.allreduce(self, value, op, algorithm, out)

    def reduce_scatter(self, array, op=np.add):
        """Combine all arrays with the ufunc `op`; return this peer's part of the result.

        Parts are those of `numpy.array_split`.
        """
        with self.channel("reduce_scatter"):
            return collectives.reduce_scatter(self, array, op)

    def allgather(self, value):
        """Return the list of every peer's `value`, by rank."""
        with self.channel("allgather"):
            return collectives.allgather(self, value)

    def alltoall(self, values):
        """Send `values[i]` to peer i; return the list of what each peer sent here."""
        if len(values) != self.size:
            raise ConfigurationError("alltoall needs one value for each peer.",
                                     expected=self.size, got=len(values))
        with self.channel("alltoall"):
            return collectives.alltoall(self, values)

    def barrier(self):
        """Wait until every peer has called `barrier`."""
        with self.channel("barrier"):
            collectives.barrier(self)

    def step(self, number):
        """Mark the start of step `number`; later events carry it."""
        self._step = operator.index(number)
        self._mark_step()

    def work(self, flops=0.0, nbytes=0.0):
        """Say what the computation here costs: operations, and bytes of memory moved.

        The simulated world's clock moves by it; the others ignore it.
        """
        return

    @property
    def elastic(self):
        """Whether what is committed is kept."""
        return self._commits is not None

    def commit(self, shared=True, **state):
        """Keep a copy of the state from which to go on after a loss; see `labkit.elastic`.

        Does nothing unless the run is elastic or has checkpoints, which peer 0 writes.

        Parameters
        ----------
        shared : bool
            Whether the state is everybody's: after a loss all take the newest. Otherwise each
            peer keeps its own, and a newcomer gets somebody's.
        **state
            Arrays and numbers, by name.
        """
        if self._commits is None:
            return
        self._commits.keep(state, shared)
        self.work(nbytes=2 * sum(getattr(value, "nbytes", 0) for value in state.values()))
        if self._checkpoints is not None and self.rank == 0:
            self._checkpoints.offer(self._commits.number, self._commits.state, self.now())
        if self._regroup:
            raise Regroup

    def restore(self, **start):
        """Return the state that was committed last, as a dict; `start`, if there is none."""
        return dict(self._commits.state) if self._commits and self._commits.number else start

    def place(self, channel=""):
        """Return where this peer is, in words: rank, collective and step."""
        parts = [f"peer {self.rank}", f"in {channel}" if channel else "",
                 f"step {self._step}" if self._step >= 0 else ""]
        return ", ".join(part for part in parts if part)

    def waiting(self):
        """Return whom this peer waits for, in words; "" if it does not wait."""
        if self._awaits is None:
            return ""
        channel, source = self._awaits
        who = "any peer" if source is None else source
        who = f"peer {who}" if isinstance(who, int) else who
        return f"{self.place(channel)} waits for {who}"

    @contextlib.contextmanager
    def channel(self, name):
        """Keep messages inside a `with` block apart from all others; `name` is in `CHANNELS`."""
        outer, self._channel = self._channel, self._channel or name
        try:
            yield
        finally:
            self._channel = outer

    def _check_rank(self, rank, verb, own=False):
        if not (isinstance(rank, (int, np.integer)) and 0 <= rank < self.size):
            raise ConfigurationError(f"Cannot {verb} this peer.", got=repr(rank),
                                     expected=f"a rank from 0 to {self.size - 1}",
                                     where=self.place())
        if rank == self.rank and not own:
            raise ConfigurationError(f"Peer {rank} cannot {verb} itself.",
                                     expected="another peer's rank", got=int(rank),
                                     where=self.place(),
                                     remedy="keep the value in a variable")
        return int(rank)

    def __repr__(self):
        return f"<peer {self.rank} of {self.size}>"


class Under(NamedTuple):
    """What holds for all runs inside `World.under`."""

    plan: FaultPlan
    elastic: bool
    checkpoints: Any


class World(abc.ABC):
    """Somewhere that programs run: serial, cluster or simulated. Use it in a `with` block."""

    _under = Under(FaultPlan(), False, None)
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

    def _struck_by(self, run):
        """Return the run; what has struck in it strikes no more."""
        self._under = self._under._replace(plan=self._under.plan.without(run.marks))
        return run

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

    def __exit__(self, *exc_info):
        return None

    def __sklearn_clone__(self):
        # An estimator's parameters are copied with it; a world is a place, not a value.
        return self


def combined(out, message, op=None):
    """Copy an array into `out`, or combine the two there; return `out`, or what is no array."""
    if not isinstance(message, np.ndarray):
        return message
    if op is None:
        out[...] = message
    else:
        op(out, message, out=out)
    return out


def take(arrived, source):
    """Take the first entry from `source` (None: from anyone) out of a mailbox.

    Parameters
    ----------
    arrived : deque of tuple
        Messages in order of arrival; an entry begins with its sender's rank.

    Returns
    -------
    tuple or None
        None if there is no such entry.
    """
    if not arrived:
        return None
    if source is None or arrived[0][0] == source:
        return arrived.popleft()
    for position, entry in enumerate(arrived):
        if entry[0] == source:
            del arrived[position]
            return entry
    return None


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

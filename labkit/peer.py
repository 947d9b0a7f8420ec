"""What a program may ask of `me`: one of several peers that run it at the same time.

    me.rank, me.size         which peer, of how many
    me.send, me.recv         messages; a message is a copy
    me.allreduce, ...        collectives, made of messages
    me.step, me.work         marks for the record, costs for the virtual clock
    me.commit, me.restore    where to go on after a loss

The three worlds differ in who moves a message and what a second is; this is what they share.
"""

from __future__ import annotations

import abc
import contextlib
import operator

import numpy as np

from labkit import collectives
from labkit.elastic import Regroup
from labkit.errors import ConfigurationError

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

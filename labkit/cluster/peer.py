"""A peer in a Dask worker process, from its first connection to its outcome.

    run_peer (a Dask task)   connect to all  ->  program(me, ...)  ->  say goodbye  ->  Outcome

Messages are sent and received in the thread that runs the program. Whoever
waits, to send or to receive, meanwhile reads from everyone: two peers that
send each other more than the kernel buffers cannot block each other.
"""

from __future__ import annotations

import contextlib
import pickle
import select
import time
import traceback
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import cloudpickle
import numpy as np

from labkit.cluster import rendezvous
from labkit.cluster.link import ABORT, BYE, Gone, frame
from labkit.errors import ClusterError, DeadlockError, ProgramError
from labkit.serial import program_error
from labkit.world import CHANNELS, Peer, take


@dataclass
class Outcome:
    """What one peer reports to the client."""

    rank: int
    result: Any = None
    error: BaseException | None = None
    cause: str = ""
    """"program" (it raised), "waiting" (for a message that did not come), "gone" (a peer
    vanished), "aborted" (another peer failed first), "" (no error)."""
    waits: str = ""
    """Whom it waited for when it stopped, in words."""
    start_s: float = 0.0
    end_s: float = 0.0
    messages: int = 0
    nbytes: int = 0
    events: list[tuple] = field(default_factory=list)


class Aborted(Exception):
    """This peer stops because another one has failed, or the client has asked it to."""


class ClusterPeer(Peer):
    """A peer with a link to every other."""

    def __init__(self, rank, size, deadline, record):
        super().__init__(rank, size)
        self.links = {}
        self.events = []
        self.messages = self.nbytes = 0
        # perf_counter's zero is the machine's own: shift it to the wall clock, so that
        # peers on several hosts agree as well as their clocks do.
        self._shift = time.time() - time.perf_counter()
        self._deadline = deadline
        self._record = record
        self._arrived = defaultdict(deque)      # channel -> (source, message, nbytes)
        self._interrupted = False

    def clock(self):
        return time.perf_counter() + self._shift

    def connect(self, hub, addresses, secret):
        self.links = rendezvous.connect_all(hub, self.rank, addresses, secret,
                                            self._deliver, self._deadline)
        self._poll = Poll(self.links.values())

    def interrupt(self):
        """Make this peer stop at its next message; called from another thread."""
        self._interrupted = True

    # ---- messages

    def _send(self, to, message):
        start = time.perf_counter()
        buffers, nbytes = frame(message, CHANNELS.index(self._channel))
        link = self.links[to]
        buffers = link.write(buffers)
        if buffers:
            self._push(link, buffers)
        self.messages += 1
        self.nbytes += nbytes
        if self._record:
            self.events.append(("send", start, time.perf_counter(), to, nbytes, self._step,
                                self._channel))

    def _push(self, link, buffers):
        """Write the rest of a message, reading from everyone while the link is full."""
        self._awaits = self._channel, f"peer {link.rank} to take a message"
        while buffers:
            self._progress(link)
            buffers = link.write(buffers)
        self._awaits = None

    def _recv(self, source):
        start = time.perf_counter()
        arrived = self._arrived[CHANNELS.index(self._channel)]
        found = take(arrived, source)
        while found is None:
            self._awaits = self._channel, source
            self._check_senders(source)
            self._progress()
            found = take(arrived, source)
        self._awaits = None
        sender, message, nbytes = found
        if self._record:
            self.events.append(("recv", start, time.perf_counter(), sender, nbytes, self._step,
                                self._channel))
        return sender, message

    def _deliver(self, source, channel, message, nbytes):
        self._arrived[channel].append((source, message, nbytes))

    def _mark_step(self):
        if self._record:
            now = time.perf_counter()
            self.events.append(("step", now, now, -1, 0, self._step, ""))

    # ---- waiting

    def _progress(self, writing=None):
        """Wait until a link can be read (or `writing` written), and read what is there."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        for link in self._poll.ready(writing, min(left, 0.1)):
            link.read()
            if link.aborted:
                raise Aborted(link.rank)
            if link.finished:
                self._poll.forget(link)
        if self._interrupted:
            raise Aborted(self.rank)

    def _check_senders(self, source):
        """Raise at once when everyone who could send has finished."""
        senders = self.links.values() if source is None else [self.links[source]]
        if all(link.finished for link in senders):
            raise DeadlockError(f"Peer {self.rank} waits for a message that nobody will send.",
                                got=f"{self.waiting()}, who has ended")

    # ---- the end

    def say(self, word):
        """Tell every peer BYE or ABORT, as far as they listen."""
        for link in self.links.values():
            with contextlib.suppress(Gone):
                left = link.signal(word)
                if left and word == BYE:
                    self._push(link, left)

    def leave(self):
        """Say goodbye and read on until everyone has: nobody's last message is cut off."""
        self.say(BYE)
        while not all(link.finished for link in self.links.values()):
            self._awaits = "", "the others to end"
            self._progress()

    def close(self):
        for link in self.links.values():
            link.close()


class Poll:
    """Which links can be read, and whether one can be written."""

    def __init__(self, links):
        self._links = {link.fileno(): link for link in links}
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll:
            for fd in self._links:
                self._poll.register(fd, select.POLLIN)

    def forget(self, link):
        """Stop watching a link whose peer has finished: its end of stream is no news."""
        if self._links.pop(link.fileno(), None) and self._poll:
            self._poll.unregister(link.fileno())

    def ready(self, writing, timeout_s):
        """Return the links to read, after at most `timeout_s` seconds."""
        held_back = [link for link in self._links.values() if link.pending()]
        if held_back:
            return held_back
        if self._poll is None:               # Windows
            write = [writing] if writing else []
            if not self._links and not write:
                time.sleep(timeout_s)
            return select.select(list(self._links.values()), write, [], timeout_s)[0]
        if writing is None:
            events = self._poll.poll(timeout_s * 1000)
        else:
            fd = writing.fileno()
            read = select.POLLIN if fd in self._links else 0
            self._poll.register(fd, read | select.POLLOUT)
            events = self._poll.poll(timeout_s * 1000)
            if read:
                self._poll.modify(fd, read)
            else:
                self._poll.unregister(fd)
        return [self._links[fd] for fd, event in events
                if fd in self._links and event & ~select.POLLOUT]


def run_peer(world_id, rank, addresses, secret, program, deadline_s, record, *parts):
    """Run one peer; the Dask task behind `ClusterWorld.run`.

    Returns
    -------
    Outcome
        Errors are reported in it, never raised: the client needs every peer's view.
    """
    me = ClusterPeer(rank, len(addresses), time.monotonic() + deadline_s, record)
    outcome = Outcome(rank)
    hub = rendezvous.hub_of(world_id)
    hub.peer = me
    try:
        program = cloudpickle.loads(program)
        parts = [_unpack(part) for part in parts]
        me.connect(hub, addresses, secret)
        _start_together(me)
        outcome.start_s = me.clock()
        try:
            outcome.result = program(me, *parts)
        finally:
            outcome.end_s = me.clock()
        me.leave()
    except BaseException as error:
        outcome.cause, outcome.error = _explain(error, me)
        outcome.waits = me.waiting()
        me.say(ABORT)
    finally:
        hub.peer = None
        me.close()
    outcome.messages, outcome.nbytes = me.messages, me.nbytes
    outcome.events = [(kind, rank, start + me._shift, end + me._shift, *rest)
                      for kind, start, end, *rest in me.events]
    return outcome


def _start_together(me):
    """Leave no peer behind: a barrier that is neither counted nor recorded."""
    me.barrier()
    me.messages = me.nbytes = 0
    me.events.clear()


@dataclass(frozen=True)
class Placed:
    """A shard that lives on a worker: read-only, shared by all runs."""

    value: Any


@dataclass(frozen=True)
class Packed:
    """A part that travels as pickle."""

    pickled: bytes

    def __sizeof__(self):
        return len(self.pickled)


def _unpack(part):
    """Return a part as the program takes it: its own to change, unless it is a shard."""
    if isinstance(part, Placed):
        return part.value
    if isinstance(part, Packed):
        return cloudpickle.loads(part.pickled)
    if isinstance(part, np.ndarray) and not part.flags.writeable:
        return part.copy()               # Dask hands out arrays that lie in its receive buffer
    return part


def _explain(error, me):
    """Return `(cause, an error that can travel)`."""
    if isinstance(error, TimeoutError) and not str(error):
        return "waiting", DeadlockError(f"Peer {me.rank} still waits at the deadline.",
                                        got=me.waiting())
    if isinstance(error, DeadlockError):
        return "waiting", error
    if isinstance(error, Aborted):
        return "aborted", ClusterError("Stopped because another peer failed.", where=me.place())
    if isinstance(error, Gone):
        return "gone", ClusterError(f"Peer {error.args[0]} is gone.", where=me.place())
    if isinstance(error, ClusterError):
        return "gone", error
    named = program_error(error, me)
    named.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
        named.original = error
    except Exception:
        named.original = None            # the note still tells what it was
    return "program", named


def cause_of(error):
    """Return the exception that the program raised, if it could travel."""
    return getattr(error, "original", None) if isinstance(error, ProgramError) else None

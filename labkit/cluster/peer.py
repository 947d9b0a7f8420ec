"""A peer in a Dask worker process.

Messages are sent and received in the thread that runs the program. Whoever
waits, to send or to receive, meanwhile reads from everyone: two peers that
send each other more than the kernel buffers cannot block each other.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import time
from collections import defaultdict, deque

import numpy as np

from labkit import wire
from labkit.cluster import memory, rendezvous
from labkit.cluster.link import ABORT, BYE, FAULT
from labkit.cluster.memory import Offer
from labkit.cluster.poll import TICK_S, Poll
from labkit.cluster.resident import resident_nbytes
from labkit.cluster.sinks import Combine, Into, New
from labkit.cluster.spoil import Spoiler
from labkit.errors import DeadlockError, PeerLost
from labkit.faults import Delay, Drop, Partition
from labkit.peer import CHANNELS, Peer, combined, take

CHANNEL = {name: number for number, name in enumerate(CHANNELS)}
LOOK_S = 5e-3            # between looks at this process's memory, at the begin of steps
GRACE_S = 1e-3           # that readers may take before this peer reads what others lend
LARGE = 128 * 1024       # bytes from which reading a peer's memory beats two copies by the kernel


class Aborted(Exception):
    """This peer stops because another one has failed, or the client has asked it to."""


class ClusterPeer(Peer):
    """A peer with a link to every other."""

    def __init__(self, rank, size, options):
        super().__init__(rank, size)
        self.links = {}
        self.events = []
        self.messages = self.nbytes = 0
        self._lent = []                  # arrays that others may still read
        self._wanted = {}                # (source, channel) -> the array that waits, how to add
        self._found = ()                 # what was taken while others are waited for
        self._hasten = False             # whether to read at once what others lend
        # perf_counter's zero is the machine's own: shift it to the wall clock, so that
        # peers on several hosts agree as well as their clocks do.
        self._shift = time.time() - time.perf_counter()
        self._deadline = time.monotonic() + options.deadline_s
        self._record = options.record
        self._options = options
        self._arrived = defaultdict(deque)      # channel -> (source, message, nbytes)
        self._interrupted = False
        self._some_have_ended = False
        self._noticed = {}               # rank -> its loss, which no receive has raised yet
        self._zero = 0.0
        self._next_look_s = 0.0
        self._injector = None
        self._spoils = {}                # rank -> what spoils messages to it
        self._begun = set()              # positions of faults of links in the plan
        self._late = []                  # (ranks, delay_s, until): messages from them wait
        self._held = []                  # heap of (when due, number, source, channel, ...)
        self._count = itertools.count()

    def clock(self):
        return time.perf_counter() + self._shift

    def now(self):
        return self.clock() - self._zero

    def begin(self, since, injector):
        """Count time from `since`, on the wall clock; faults strike from now on."""
        self._zero, self._injector = since, injector
        for position, when in self._options.struck.items():
            self.fault_begins(position, when)            # it may go on from another generation
        for position, fault in enumerate(self._options.plan.faults if self._options.plan else ()):
            if isinstance(fault, Delay) and fault.at_s == 0:
                self.fault_begins(position)              # both ends know, before any message

    def lost(self, rank, reason):
        """Forget a peer that is gone; return what to raise."""
        self._poll.forget(self.links[rank])
        self._some_have_ended = True
        self._noticed.pop(rank, None)
        for arrived in self._arrived.values():               # what it lent is gone with it
            kept = [entry for entry in arrived if entry[0] != rank or type(entry[1]) is not Offer]
            arrived.clear()
            arrived.extend(kept)
        error = PeerLost(f"Peer {rank} is gone.", got=reason, where=self.place(self._channel))
        error.rank = rank
        now = time.perf_counter()
        if not self.links[rank].finished:
            self.events.append(("confirmed", now, now, rank, 0, self._step, ""))
        return error

    def connect(self, hub, addresses, secret):
        self.links = rendezvous.connect_all(hub, self.rank, addresses, secret, self,
                                            self._deadline, self._options)
        self._poll = Poll(self.links.values())

    def interrupt(self):
        """Make this peer stop at its next message; called from another thread."""
        self._interrupted = True

    # ---- sending

    def _send(self, to, message):
        if self._injector is not None:
            message = self._struck(to, message)
        start = time.perf_counter() if self._record else 0.0
        link = self.links[to]
        if link.lost:
            raise link.gone()
        if link.reads and is_large(message):
            array = np.ascontiguousarray(message)
            nbytes = array.nbytes
            link.offer(array, CHANNEL[self._channel], posted=False)
        else:
            nbytes = link.send(message, CHANNEL[self._channel])
        while link.offered or link.busy:
            self._push(link)
        if link.lost:
            raise link.gone()
        self.messages += 1
        self.nbytes += nbytes
        if self._record:
            self._note("send", start, to, nbytes)

    def _send_all(self, ranks, message):
        lost = []
        for to in ranks:                     # to all first: they read it at the same time
            try:
                self._post(to, message, later=False)
            except PeerLost as error:
                lost.append(error)
        self._flush()
        if lost:
            raise lost[0]

    def _post(self, to, message, later=True):
        if self._injector is not None:
            message = self._struck(to, message)
        start = time.perf_counter()
        link = self.links[to]
        if link.lost:
            raise link.gone()
        if link.reads and is_large(message):
            array = np.ascontiguousarray(message)
            nbytes = array.nbytes
            self._lent.append(array)         # until it was read
            link.offer(array, CHANNEL[self._channel], posted=later)
        else:                                # what the socket does not take now goes later
            nbytes = link.send(message, CHANNEL[self._channel])
        self.messages += 1
        self.nbytes += nbytes
        if self._record:
            self._note("send", start, to, nbytes)

    def _flush(self):
        if not self._lent and not any(link.busy for link in self.links.values()):
            return
        patience = time.perf_counter() + GRACE_S
        for link in self.links.values():
            while link.offered or link.busy:
                if not self._hasten and time.perf_counter() > patience:
                    # They may flush as well, and wait for this peer to read what they have posted.
                    self._hasten = True
                    self._read_offers()
                self._push(link, TICK_S if self._hasten else GRACE_S)
        self._hasten = False
        self._lent.clear()

    def _push(self, link, timeout_s=TICK_S):
        """Wait for a peer to take something, reading from everyone meanwhile.

        That another one is lost does not end it: what was begun to be sent is sent.
        """
        self._awaits = self._channel, f"peer {link.rank} to take a message"
        try:
            self._progress(timeout_s)
        except PeerLost as error:
            self._noticed[error.rank] = error
        self._awaits = None

    def _note(self, kind, start, other, nbytes):
        self.events.append((kind, start, time.perf_counter(), other, nbytes, self._step,
                            self._channel))

    # ---- receiving

    def _recv(self, source, timeout_s=None):
        start = time.perf_counter() if self._record else 0.0
        found = self._await(source, timeout_s)
        if found is None:
            return None
        sender, message, nbytes = found
        if type(message) is Offer:
            message = message.fetch()
        if self._record:
            self._note("recv", start, sender, nbytes)
        return sender, message

    def _recv_into(self, source, out, op=None):
        start = time.perf_counter()
        key = source, CHANNEL[self._channel]
        self._wanted[key] = out, op
        try:
            _, message, nbytes = self._await(source)
        finally:
            self._wanted.pop(key, None)
        if type(message) is Offer:
            if message.fits(out):
                message.fetch_into(out, op)
                message = out
            else:
                message = message.fetch()
        if message is not out:               # it had come before it was wanted, or does not fit
            message = combined(out, message, op)
        if self._record:
            self._note("recv", start, source, nbytes)
        return message

    def _combine_into(self, sources, own, out, op, flush=False):
        by_memory = all(self.links[source].reads and self.links[source].pid for source in sources)
        if not (by_memory and is_large(out)):
            return super()._combine_into(sources, own, out, op, flush)
        start = time.perf_counter()
        keys = [(source, CHANNEL[self._channel]) for source in sources]
        self._wanted.update(dict.fromkeys(keys, (out, op)))      # to be left where they are
        self._found = found = deque()
        try:
            for source in sources:
                found.append(self._await(source))
            if flush:
                self._flush()            # the others may do so too: what is found is read then
        finally:
            for key in keys:
                self._wanted.pop(key, None)
            self._found = ()
        memory.combine(own, [message for _, message, _ in found], out, op)
        if self._record:
            for source, _, nbytes in found:
                self._note("recv", start, source, nbytes)

    def _await(self, source, timeout_s=None):
        until = None if timeout_s is None else time.monotonic() + timeout_s
        arrived = self._arrived[CHANNEL[self._channel]]
        found = None if self._noticed and self._concerned(source) else take(arrived, source)
        if found is None:
            self._awaits, looked = (self._channel, source), False
            while found is None:
                if self._some_have_ended:
                    self._check_senders(source, until)
                wait_s = TICK_S if until is None else min(TICK_S, until - time.monotonic())
                if wait_s < 0 and looked:
                    break
                looked = True
                try:
                    self._progress(max(wait_s, 0.0))
                except PeerLost as error:
                    self._noticed[error.rank] = error
                found = take(arrived, source)
            self._awaits = None
        return found

    def _concerned(self, source):
        """Whether a loss ends the wait for this source: any one does in a collective."""
        return source is None or source in self._noticed or self._channel

    def deliver(self, source, channel, message, nbytes):
        if self._wanted:                 # what is wanted is the next message, which this is
            self._wanted.pop((source, channel), None)
        if self._late and (due := self._due(source)) is not None:
            heapq.heappush(self._held, (due, next(self._count), source, channel, message, nbytes))
            return
        self._arrived[channel].append((source, message, nbytes))

    def sink(self, source, channel, encoding, meta, nbytes):
        """Say where a long message goes: into the array that waits for it, or a new one."""
        out, op = self._wanted.get((source, channel), (None, None))
        if out is None or encoding != wire.ARRAY or \
                wire.parse_array_meta(meta) != (out.dtype, out.shape):
            return New(encoding, meta)
        return Into(out) if op is None else Combine(out, op)

    def offered(self, source, channel, offer, nbytes, posted):
        """Take note of an array to read, or read it at once if its owner might wait too long.

        A posted one is left where it is while the collective that posted it runs here as well,
        which will come to it and then know where it goes.
        """
        wanted = (source, channel) in self._wanted
        later = posted and not self._hasten and channel == CHANNEL[self._channel]
        if self._late or not (wanted or later):
            offer = offer.fetch()
        self.deliver(source, channel, offer, nbytes)

    def _read_offers(self):
        """Fetch all arrays that others lend: they may wait for this peer, which waits as well."""
        for arrived in [self._found, *self._arrived.values()]:
            for position, (source, message, nbytes) in enumerate(arrived):
                if type(message) is Offer:
                    try:
                        arrived[position] = source, message.fetch(), nbytes
                    except PeerLost as error:
                        self._noticed[error.rank] = error
                        return self._read_offers()           # there are fewer now

    # ---- faults

    def _struck(self, to, message):
        """Let faults strike that are due; return the message as it leaves."""
        self._check_faults()
        for spoil in self._spoils.get(to, ()):
            message = spoil(message)
        return message

    def _check_faults(self):
        for position, fault in self._injector.check(self._step, self.messages):
            if isinstance(fault, Drop):                  # and Corrupt
                self._spoil(fault)
                continue
            self.fault_begins(position)
            for link in self.links.values():
                if not link.lost:
                    link.signal(FAULT, position)

    def _spoil(self, fault):
        members = self._options.members
        if fault.link[1] not in members:
            return
        to = members.index(fault.link[1])
        self.links[to].reads = False     # arrays go through the socket, where they can be spoilt
        spoiler = Spoiler(fault, self._options.plan.seed)
        if self._options.checksums:
            self.links[to].spoil = spoiler
        else:
            self._spoils.setdefault(to, []).append(spoiler.message)

    def fault_begins(self, position, when=None):
        """Hold messages of some peers back from now on: a fault of links has begun."""
        plan, members = self._options.plan, self._options.members
        if not plan or position >= len(plan) or position in self._begun:
            return
        self._begun.add(position)
        fault = plan.faults[position]
        mine, began_s = members[self.rank], 0.0 if when is None else time.time() - when
        until = time.monotonic() + getattr(fault, "seconds", 0.0) - began_s
        if isinstance(fault, Delay) and mine in fault.link:
            others, delay_s = set(fault.link) - {mine}, fault.delay_s
        elif isinstance(fault, Partition) and any(mine in group for group in fault.groups):
            others = {w for group in fault.groups if mine not in group for w in group}
            delay_s = None
        else:
            return
        ranks = {rank for rank, member in enumerate(members) if member in others}
        self._late.append((ranks, delay_s, until))

    def _due(self, source):
        """Return when a message that has come now may be seen; None for at once.

        It stays behind those that came before, also where these are due and not yet released.
        """
        now = time.monotonic()
        due = [entry[0] for entry in self._held if entry[2] == source]
        due += [until if delay_s is None else now + delay_s
                for ranks, delay_s, until in self._late if source in ranks and now < until]
        return max(due, default=None)

    def _release(self):
        now = time.monotonic()
        while self._held and self._held[0][0] <= now:
            _, _, source, channel, message, nbytes = heapq.heappop(self._held)
            self._arrived[channel].append((source, message, nbytes))

    def _mark_step(self):
        if self._injector is not None:
            self._check_faults()
        if self._record:
            now = time.perf_counter()
            self.events.append(("step", now, now, -1, 0, self._step, ""))
            if now > self._next_look_s:
                self._next_look_s = now + LOOK_S
                self.note_memory()

    def note_memory(self):
        """Record how much memory this process holds."""
        now = time.perf_counter()
        self.events.append(("memory", now, now, -1, resident_nbytes(), self._step, ""))

    # ---- waiting

    def _progress(self, timeout_s=TICK_S):
        """Wait until something can be read or written, and do it."""
        if self._injector is not None:
            self._check_faults()
        if self._held:
            self._release()
            timeout_s = 0.0 if not self._held else min(
                timeout_s, max(0.0, self._held[0][0] - time.monotonic()))
        ready = self._poll.ready(timeout_s)
        if not ready and self._wanted:
            self._read_offers()          # perhaps nothing moves because they wait to be read
        for link in ready:
            link.read()
            if link.aborted:
                raise Aborted(link.rank)
            if link.finished:
                self._some_have_ended = True
                if link.done:
                    self._poll.forget(link)
        if time.monotonic() > self._deadline:
            raise TimeoutError
        if self._interrupted:
            raise Aborted(self.rank)

    def _check_senders(self, source, until=None):
        """Raise at once when everyone who could send has finished, or somebody is lost."""
        if self._noticed and self._concerned(source):
            rank = source if source in self._noticed else next(iter(self._noticed))
            raise self._noticed.pop(rank)
        senders = self.links.values() if source is None else [self.links[source]]
        if all(link.lost for link in senders):
            raise next(iter(senders)).gone()
        ended = all(link.finished or link.lost for link in senders)
        if ended and not self._held and until is None:
            raise DeadlockError(f"Peer {self.rank} waits for a message that nobody will send.",
                                got=f"{self.waiting()}, who has ended")

    # ---- the end

    def abort(self):
        """Tell every peer that this one has failed, as far as they listen."""
        for link in self.links.values():
            with contextlib.suppress(PeerLost):
                link.signal(ABORT)

    def leave(self):
        """Say goodbye and read on until everyone has: nobody's last message is cut off."""
        self._flush()
        for link in self.links.values():
            with contextlib.suppress(PeerLost):
                link.signal(BYE)
        while not all(link.done for link in self.links.values()):
            self._awaits = "", "the others to end"
            with contextlib.suppress(PeerLost):      # who is gone has no more to say
                self._progress()

    def close(self):
        for link in self.links.values():
            link.close()


def is_large(message):
    """Whether a message is an array that is worth reading from where it is."""
    return type(message) is np.ndarray and message.nbytes >= LARGE and wire.is_plain(message)

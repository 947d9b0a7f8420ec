"""Thousands of peers on a virtual clock, in this process.

    sender's port out           the wire            receiver's port in
    |== nbytes/bandwidth ==|  -- latency -->  |== nbytes/bandwidth ==|  -> recv returns

Each peer has a clock of its own, which moves by what it waits for and by what it
says that it computes (`me.work`). A port carries one message at a time, so that
a master who receives from everyone is as busy as a real one; a message on an
idle path takes latency + nbytes/bandwidth. Messages reach a receiver's port in
the order of virtual time, whatever order the peers happen to run in, so that a
run is the same each time, `recv_any` included.

Why that needs no more than one heap of arrivals: a peer that runs ahead can only
send messages that arrive later than the last one taken from the heap.
"""

from __future__ import annotations

import gc
import heapq
import itertools
from collections import defaultdict, deque

import numpy as np
from greenlet import getcurrent, greenlet

from labkit import wire
from labkit.peer import Peer, take
from labkit.serial import deadlock_error, stop

ACTION = -1                      # in the place of a sender: something to do at that time
GARBAGE_OBJECTS = 500_000        # new ones before the garbage collector looks


class SimulatedPeer(Peer):
    """A peer with a virtual clock and two ports."""

    def __init__(self, rank, run):
        super().__init__(rank, run.size)
        self._run = run
        self._network = run.network
        self._clock = 0.0
        self._out_free_s = 0.0           # when its port out has sent what it was given
        self._in_free_s = 0.0
        self._arrived = defaultdict(deque)   # channel -> (source, message, nbytes, arrival_s)
        self._greenlet = None
        self._naps = 0                   # waits so far

    def _send(self, to, message):
        run, network = self._run, self._network
        start = self._clock
        copy, nbytes = wire.copy_of(message)
        begins = self._clock = start + network.overhead_s
        if self._out_free_s > begins:
            begins = self._out_free_s
        if nbytes >= network.long_nbytes:
            begins += network.long_setup_s
        self._out_free_s = begins + network.port_s(nbytes)
        run.post(run.at_port_s(self.rank, to, begins), self.rank, to, self._channel, copy, nbytes)
        if run.recording:
            run.events.append(("send", self.rank, start, self._clock, to, nbytes, self._step,
                               self._channel))

    def now(self):
        return self._clock

    def _recv(self, source, timeout_s=None):
        start = self._clock
        found = take(self._arrived[self._channel], source)
        if found is None:
            found = self._wait(source, timeout_s)
            if found is None:
                self._clock = max(self._clock, start + timeout_s)
                return None
        sender, message, nbytes, arrival = found
        self._clock = (arrival if arrival > start else start) + self._network.overhead_s
        if self._run.recording:
            self._run.events.append(("recv", self.rank, start, self._clock, sender, nbytes,
                                     self._step, self._channel))
        return sender, message

    def _wait(self, source, timeout_s):
        """Let others run until a message is there; None when time is up."""
        self._awaits = self._channel, source
        self._naps += 1
        if timeout_s is not None:
            nap = self._naps
            self._run.at(self._clock + timeout_s, lambda: self._wake(nap))
        return getcurrent().parent.switch()

    def _wake(self, nap):
        if nap == self._naps and self._awaits is not None:
            self._awaits = None
            self._greenlet.switch(None)

    def _mark_step(self):
        if self._run.recording:
            self._run.events.append(("step", self.rank, self._clock, self._clock, -1, 0,
                                     self._step, ""))

    def work(self, flops=0.0, nbytes=0.0):
        self._work(self._run.machine.work_s(flops, nbytes))

    def _work(self, seconds):
        start = self._clock
        self._clock += seconds
        if self._run.recording:
            self._run.events.append(("work", self.rank, start, self._clock, -1, 0, self._step,
                                     ""))

    def begin(self):
        """Called when its program begins, and `end` when it has ended."""

    end = begin


class SimulatedRun:
    """The state of one run: messages under way, counts, events."""

    def __init__(self, size, network, machine, seed, recording, peer=SimulatedPeer):
        self.size = size
        self.network = network
        self.machine = machine
        self.recording = recording
        self.ended = False               # before all peers have returned
        self.events = []
        self.messages = self.nbytes = 0
        self._rng = np.random.default_rng(seed)
        self._last = {}                  # (source, to) -> when its last message reached the port
        self._order = itertools.count()
        self._heap = []                  # (time at the port, number, source, to, ...)
        self.peers = [peer(rank, self) for rank in range(size)]

    def at_port_s(self, source, to, now):
        """Return when a message that leaves now is at its receiver's port.

        Jitter never lets it overtake another one on its link.
        """
        network = self.network
        if not network.jitter_s:
            return now + network.latency_s
        at_s = now + network.latency_s + self._rng.exponential(network.jitter_s)
        at_s = self._last[source, to] = max(at_s, self._last.get((source, to), 0.0))
        return at_s

    def post(self, at_port_s, source, to, channel, message, nbytes):
        """Put a message on the wire; it reaches the receiver's port at `at_port_s`."""
        self.messages += 1
        self.nbytes += nbytes
        # The number keeps equal times in order of sending, and messages out of comparisons.
        heapq.heappush(self._heap, (at_port_s, next(self._order), source, to, channel, message,
                                    nbytes))

    def at(self, seconds, action):
        """Call `action()` when everything that happens before that time has happened."""
        heapq.heappush(self._heap, (seconds, next(self._order), ACTION, None, None, action, 0))

    def go(self, body):
        """Run every peer's `body(peer)` to its end, or raise DeadlockError."""
        # With Python's own threshold the garbage collector would look at the messages under
        # way and the events, all of them alive, hundreds of times.
        thresholds = gc.get_threshold()
        gc.set_threshold(GARBAGE_OBJECTS, *thresholds[1:])
        try:
            for peer in self.peers:
                if not self.ended:
                    peer._greenlet = greenlet(body)
                    peer._greenlet.switch(peer)
            while self._heap and not self.ended:
                self._arrive(*heapq.heappop(self._heap))
            if not self.ended and (waiting := self._waiting()):
                raise deadlock_error(waiting, self.peers)
        finally:
            gc.set_threshold(*thresholds)
            stop(peer._greenlet for peer in self.peers)

    def _waiting(self):
        return [peer for peer in self.peers if not peer._greenlet.dead]

    def _arrive(self, at_port_s, _, source, to, channel, message, nbytes):
        if source == ACTION:
            message()
            return
        peer = self.peers[to]
        if peer._in_free_s > at_port_s:
            at_port_s = peer._in_free_s
        arrival = peer._in_free_s = at_port_s + self.network.port_s(nbytes)
        found = (source, message, nbytes, arrival)
        if peer._awaits == (channel, source) or peer._awaits == (channel, None):
            peer._awaits = None
            peer._greenlet.switch(found)
        else:
            peer._arrived[channel].append(found)

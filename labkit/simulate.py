"""The simulated world: thousands of peers on a virtual clock, in this process.

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
from collections import defaultdict, deque

import numpy as np
from greenlet import getcurrent, greenlet

from labkit import wire
from labkit.errors import ConfigurationError
from labkit.network import named_machine, named_network
from labkit.records import Events, Run, WorldInfo
from labkit.serial import (
    checked,
    deadlock_error,
    local_parts,
    place_here,
    program_error,
    run_task,
    stop,
    task_name,
)
from labkit.sharding import Shards
from labkit.simulated_tasks import assign, map_record, stored_in, value_of
from labkit.world import Peer, World, check_shards, take

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

    def _send(self, to, message):
        run, network = self._run, self._network
        start = self._clock
        copy, nbytes = wire.copy_of(message)
        begins = self._clock = start + network.overhead_s
        if self._out_free_s > begins:
            begins = self._out_free_s
        self._out_free_s = begins + nbytes / network.bandwidth_Bps
        run.post(begins + run.latency_s(self.rank, to, begins),
                 self.rank, to, self._channel, copy, nbytes)
        if run.recording:
            run.events.append(("send", self.rank, start, self._clock, to, nbytes, self._step,
                               self._channel))

    def _recv(self, source):
        start = self._clock
        found = take(self._arrived[self._channel], source)
        if found is None:
            self._awaits = self._channel, source
            found = getcurrent().parent.switch()
        sender, message, nbytes, arrival = found
        self._clock = (arrival if arrival > start else start) + self._network.overhead_s
        if self._run.recording:
            self._run.events.append(("recv", self.rank, start, self._clock, sender, nbytes,
                                     self._step, self._channel))
        return sender, message

    def _mark_step(self):
        if self._run.recording:
            self._run.events.append(("step", self.rank, self._clock, self._clock, -1, 0,
                                     self._step, ""))

    def work(self, flops=0.0, nbytes=0.0):
        start = self._clock
        self._clock += self._run.machine.work_s(flops, nbytes)
        if self._run.recording:
            self._run.events.append(("work", self.rank, start, self._clock, -1, 0, self._step,
                                     ""))


class _SimulatedRun:
    """The state of one run: messages under way, counts, events."""

    def __init__(self, size, network, machine, seed, recording):
        self.size = size
        self.network = network
        self.machine = machine
        self.recording = recording
        self.events = []
        self.messages = self.nbytes = 0
        self._rng = np.random.default_rng(seed)
        self._last = {}                  # (source, to) -> when its last message reached the port
        self._heap = []                  # (time at the port, number, source, to, ...)
        self.peers = [SimulatedPeer(rank, self) for rank in range(size)]

    def latency_s(self, source, to, now):
        """Return this message's latency; jitter never lets it overtake on its link."""
        latency = self.network.latency_s
        if self.network.jitter_s:
            latency += self._rng.exponential(self.network.jitter_s)
            latency = max(latency, self._last.get((source, to), 0.0) - now)
            self._last[source, to] = now + latency
        return latency

    def post(self, at_port_s, source, to, channel, message, nbytes):
        """Put a message on the wire; it reaches the receiver's port at `at_port_s`."""
        self.messages += 1
        self.nbytes += nbytes
        # The number keeps equal times in order of sending, and messages out of comparisons.
        heapq.heappush(self._heap, (at_port_s, self.messages, source, to, channel, message,
                                    nbytes))

    def go(self, body):
        """Run every peer's `body(peer)` to its end, or raise DeadlockError."""
        # With Python's own threshold the garbage collector would look at the messages under
        # way and the events, all of them alive, hundreds of times.
        thresholds = gc.get_threshold()
        gc.set_threshold(GARBAGE_OBJECTS, *thresholds[1:])
        try:
            for peer in self.peers:
                peer._greenlet = greenlet(body)
                peer._greenlet.switch(peer)
            while self._heap:
                self._arrive(*heapq.heappop(self._heap))
            waiting = [peer for peer in self.peers if not peer._greenlet.dead]
            if waiting:
                raise deadlock_error(waiting, self.peers)
        finally:
            gc.set_threshold(*thresholds)
            stop(peer._greenlet for peer in self.peers)

    def _arrive(self, at_port_s, _, source, to, channel, message, nbytes):
        peer = self.peers[to]
        if peer._in_free_s > at_port_s:
            at_port_s = peer._in_free_s
        arrival = peer._in_free_s = at_port_s + nbytes / self.network.bandwidth_Bps
        found = (source, message, nbytes, arrival)
        if peer._awaits == (channel, source) or peer._awaits == (channel, None):
            peer._awaits = None
            peer._greenlet.switch(found)
        else:
            peer._arrived[channel].append(found)


class SimulatedWorld(World):
    """Peers on a virtual clock; made by `labkit.simulated`.

    Parameters
    ----------
    workers : int
        How many peers; thousands are fine.
    network : str or Network
        What connects them: "10GbE" by default; `labkit.network.NETWORKS` has more.
    machine : str or Machine
        What each computes with, for programs that call `me.work`.
    seed : int
        Of the network's jitter.
    task_overhead_s : float
        The scheduler's time for one task of `map`; Dask needs about 2.5 ms.
    """

    def __init__(self, workers=4, network="10GbE", machine="laptop core", seed=0,
                 task_overhead_s=2.5e-3):
        super().__init__(workers)
        self.network = named_network(network)
        self.machine = named_machine(machine)
        self.seed = seed
        if not task_overhead_s >= 0:
            raise ConfigurationError("A scheduler cannot be faster than no time at all.",
                                     expected="seconds, 0 or more", got=task_overhead_s,
                                     where="task_overhead_s=")
        self.task_overhead_s = task_overhead_s

    def run(self, program, *shards, record=True, tolerate_loss=False):
        check_shards(shards, self.workers)
        run = _SimulatedRun(self.workers, self.network, self.machine, self.seed, record)
        results = [None] * self.workers

        def body(peer):
            try:
                results[peer.rank] = program(peer, *local_parts(shards, peer.rank))
            except Exception as error:
                raise program_error(error, peer) from error

        run.go(body)
        seconds = max(peer._clock for peer in run.peers)
        return Run(results, seconds, run.messages, run.nbytes,
                   Events(run.events), world=self.info())

    def map(self, task, items, work=None, record=True, keep=None, backup=None):
        parts = list(items.parts if isinstance(items, Shards) else items)
        pinned = isinstance(items, Shards) and not any(map(stored_in, parts))
        run_one = checked(task, keep)
        results = [run_task(run_one, value_of(part), number) for number, part in enumerate(parts)]

        def cost_s(number):
            return self.machine.work_s(**(work(value_of(parts[number])) if work else {}))

        schedule = assign(self, parts, pinned, cost_s, backup)
        return map_record(self, results, schedule, task_name(task), record, keep)

    def info(self):
        return WorldInfo("simulated", self.workers, self.network)

    def _place(self, blocks, by):
        return place_here(blocks, by)

    def __repr__(self):
        return f"<labkit.simulated: {self.workers} workers, {self.network.name}>"

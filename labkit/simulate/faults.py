"""Faults on the virtual clock.

    Crash       the peer goes on no more; others hear of it one latency later
    Pause       its clock jumps            Slow        its work takes longer
    Delay       a latency is added         Partition   messages wait until it heals
    Drop        sent again, when nobody has confirmed it for a while
    Corrupt     sent again, once found; without checksums a bit is flipped

What is struck while it waits is struck at its time; what is struck while it computes, in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from greenlet import getcurrent

from labkit import wire
from labkit.errors import PeerLost, ShardLost, StorageFull
from labkit.faults import (
    Corrupt,
    Crash,
    Delay,
    Drop,
    Exhaust,
    FillDisk,
    LoseShard,
    Partition,
    Pause,
    Slow,
)
from labkit.simulate.peers import SimulatedPeer

RESEND_S = 0.2               # without a confirmation, until a packet is asked about


@dataclass
class _Spoil:
    """A Drop or Corrupt that goes on."""

    fault: Drop
    left: int


class FaultyPeer(SimulatedPeer):
    """A peer that faults may strike, and that hears of others' ends."""

    def __init__(self, rank, run, clock):
        super().__init__(rank, run)
        self.worker = run.members[rank]
        self.crashed = False
        self._clock = self._out_free_s = self._in_free_s = clock
        self._pending = run.pending[self.worker]
        self._sent = 0
        self._slow = run.slow[self.worker]   # (begin, end, factor), of this worker's process
        self._spoils = {}                # rank -> [_Spoil]
        self._frozen_until_s = 0.0
        self.late_s = 0.0                # what the message that is being sent takes longer
        self._to_raise = None            # what has struck it while it waited
        self._dead = set()
        self._noticed = {}               # rank -> its loss, which no receive has raised yet
        self._expect()

    def _expect(self):
        """Have the next fault that time brings strike this peer even if it waits then."""
        at_s = max(self._pending.next_s, self._clock)
        if at_s < math.inf:
            self._run.at(at_s, lambda: self._strike_asleep(at_s))

    # ---- what strikes

    def _strike(self):
        """Let what is due strike this peer, which runs."""
        while self._pending:
            fault = self._pending.take(self._step, self._sent, self._clock)
            if fault is None:
                return
            self._run.injected(self, fault, self._clock)
            if isinstance(fault, Pause):
                until_s = self._run.pause(self, fault, self._clock)
                self._clock = self._clock if self.crashed else until_s
            else:
                self._take(fault, self._clock)
            if self.crashed:
                getcurrent().parent.switch()             # and never comes back
            self._raise()

    def _strike_asleep(self, now):
        """Let what time has brought strike this peer, which waits or has ended."""
        if self._awaits is None or self.crashed:
            return
        if self._pending.next_s <= now:
            fault = self._pending.take(-1, -1, now)
            self._run.injected(self, fault, now)
            if isinstance(fault, Pause):
                self._frozen_until_s = self._run.pause(self, fault, now)
            else:
                self._take(fault, now)
        if self.crashed:
            self._awaits = None                          # no timeout and no notice wakes it
        elif self._to_raise is not None:
            self._awaits = None
            self._clock = max(self._clock, now)
            self._greenlet.switch(None)
        else:
            self._expect()

    def _take(self, fault, now):
        if isinstance(fault, Crash):
            self.crashed = True
            self._run.crash(self, now)
        elif isinstance(fault, Slow):
            self._slow.append((now, now + fault.seconds, fault.factor))
        elif isinstance(fault, Drop):                    # and Corrupt
            to = self._run.rank_of(fault.link[1])
            self._spoils.setdefault(to, []).append(_Spoil(fault, fault.count))
        elif isinstance(fault, Delay | Partition):
            self._run.link_faults.append((fault, now))
        elif isinstance(fault, LoseShard):
            self._run.lose_shards(self.worker)
            self._to_raise = ShardLost(f"The shards of worker {self.worker} are gone.",
                                       where=self.place())
        elif isinstance(fault, Exhaust):
            self._to_raise = MemoryError(f"worker {self.worker} asked for more than its limit")
        elif isinstance(fault, FillDisk):
            self._run.fill_disk(self.worker)

    def _raise(self):
        if self._to_raise is not None:
            error, self._to_raise = self._to_raise, None
            raise error

    # ---- what a peer does

    def _mark_step(self):
        self._strike()
        super()._mark_step()

    def work(self, flops=0.0, nbytes=0.0):
        start, left = self._clock, self._run.machine.work_s(flops, nbytes)
        self._strike()
        while left > 0:
            factor, until = self._slowness()
            span = min(left * factor, max(0.0, min(until, self._pending.next_s) - self._clock))
            self._clock += span
            left -= span / factor
            self._strike()
        if self._run.recording:
            self._run.events.append(("work", self.rank, start, self._clock, -1, 0, self._step,
                                     ""))

    def _slowness(self):
        """Return how many times slower it computes now, and until when."""
        now = self._clock
        active = [(end, factor) for begin, end, factor in self._slow if begin <= now < end]
        return (math.prod(factor for _, factor in active),
                min((end for end, _ in active), default=math.inf))

    def _send(self, to, message):
        self._strike()
        if to in self._dead:
            raise self._lost(to)
        self._sent += 1
        self.late_s = 0.0
        for spoil in [s for s in self._spoils.get(to, ()) if s.left]:
            if self._run.chance.random() < spoil.fault.fraction:
                spoil.left -= 1
                message = self._spoilt(spoil.fault, message)
        super()._send(to, message)

    def _spoilt(self, fault, message):
        if isinstance(fault, Corrupt) and not self._run.checksums:
            return wire.flipped(message, self._run.chance)
        self._run.resent += 1
        self.late_s = 3 * self._network.latency_s if isinstance(fault, Corrupt) else RESEND_S
        return message

    def _recv(self, source, timeout_s=None):
        self._strike()
        self._check_senders(source)
        found = super()._recv(source, timeout_s)
        self._clock = max(self._clock, self._frozen_until_s)
        self._strike()
        return found

    def _check_senders(self, source):
        """Raise a loss that concerns this receive, as in the real world."""
        if self._noticed and (source is None or source in self._noticed or self._channel):
            rank = source if source in self._noticed else next(iter(self._noticed))
            raise self._noticed.pop(rank)
        dead = source in self._dead if source is not None else (
            0 < len(self._dead) == self.size - 1)
        if dead and not any(
                source in (None, entry[0]) for entry in self._arrived[self._channel]):
            raise self._lost(min(self._dead) if source is None else source)

    def _wait(self, source, timeout_s):
        found = super()._wait(source, timeout_s)
        if isinstance(found, PeerLost):
            self._clock = max(self._clock, found.at_s)
            raise self._noticed.pop(found.rank)
        self._raise()
        return found

    def commit(self, shared=True, **state):
        if self._checkpoints is not None and self.rank == 0 and \
                self.worker in self._run.full_disks:
            raise StorageFull("There is no room for a checkpoint.", got="0 bytes free",
                              expected="room for the next one", where=self._checkpoints.folder,
                              remedy="choose a folder with more room")
        super().commit(shared, **state)

    def notice(self, rank, now):
        """Hear that a peer is gone."""
        self._dead.add(rank)
        self._noticed[rank] = error = self._lost(rank)
        error.at_s = now
        if self._awaits is not None and (self._awaits[1] in (None, rank) or self._channel):
            self._awaits = None
            self._greenlet.switch(error)

    def _lost(self, rank):
        error = PeerLost(f"Peer {rank} is gone.", where=self.place(self._channel))
        error.rank = rank
        return error

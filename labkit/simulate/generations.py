"""Generations of peers on the virtual clock: a run that goes on without who is lost.

    0         1.3  1.35            2.3  2.35
    |== 0 1 2 3 x----|== 0 1 3 =====|----|== 0 1 2 3 ========
                2 dies               2's replacement joins

See `labkit.elastic` for what generations are.
"""

from __future__ import annotations

import math

import numpy as np

from labkit import sharding, wire
from labkit.elastic import TRIES, Commits, Regroup, agree, parts_of
from labkit.errors import ClusterError, PeerLost, ShardLost
from labkit.faults import Partition, Pending
from labkit.records import Events, Generation, Run
from labkit.serial import program_error
from labkit.sharding import Shards
from labkit.simulate.faults import FaultyPeer
from labkit.simulate.peers import SimulatedRun
from labkit.simulate.task_faults import REPLACE_S

REGROUP_S = 0.05             # to connect the peers of a new generation


class FaultyRun(SimulatedRun):
    """The state of a run under faults, over all its generations.

    Parameters
    ----------
    world : SimulatedWorld
    plan : FaultPlan
    recording, tolerate_loss : bool
    elastic : bool or int
    checkpoints : Checkpoints or None
    """

    def __init__(self, world, plan, recording, elastic, tolerate_loss, checkpoints):
        self.members = list(range(world.workers))
        self.pending = {worker: Pending(plan.of(worker)) for worker in self.members}
        super().__init__(world.workers, world.network, world.machine, world.seed, recording)
        self.marks = []
        self.checksums, self.hang_s = world.checksums, world.hang_s
        self.chance = np.random.default_rng([plan.seed, world.seed])
        self.link_faults = []            # (fault, when it began)
        self.slow = {worker: [] for worker in self.members}
        self.full_disks = set()
        self.lost = {}                   # worker -> when it died, of those that are not back
        self.resent = 0
        self.generations, self.broken_s = [], 0.0
        self._elastic = elastic
        self._tolerate_loss = tolerate_loss
        self._checkpoints = checkpoints
        self._commits = {worker: Commits() for worker in self.members}
        self._first_commit = 0           # that this generation began with
        self._newcomers_s = {}           # worker -> when its replacement is there
        self._reload = set()             # workers whose parts have to be read from their source

    def run(self, program, shards, info):
        """Run the program, in as many generations as it takes; return the Run."""
        start_s, without_commit = 0.0, 0
        while True:
            results = self._generation(program, shards, start_s)
            before = self._first_commit
            number = max(commits.number for commits in self._commits.values())
            end_s = max((p._clock for p in self.peers if not p.crashed), default=self.broken_s)
            self.generations.append(Generation(
                tuple(self.members), start_s, end_s, before, number,
                type(self.broken).__name__ if self.ended else ""))
            if not self.ended:
                return self._record(results, end_s, info)
            without_commit = without_commit + 1 if number == before else 0
            if without_commit == TRIES:
                raise ClusterError(
                    f"A worker died {TRIES} times, and no progress was made in between.",
                    got=self.broken, where=f"after commit {number}",
                    remedy="see what the program does there: perhaps it ends its process")
            start_s = self._regroup(end_s, shards)

    def _generation(self, program, shards, start_s):
        """Run every peer's program once; return the results by worker."""
        self.size, self.ended, self.broken = len(self.members), False, None
        self._heap.clear()
        self._last.clear()
        results = [None] * len(self._commits)
        parts = parts_of(self.members, len(self._commits))

        def body(peer):
            try:
                if self._elastic or self._checkpoints:
                    peer._commits, peer._checkpoints = self._commits[peer.worker], self._checkpoints
                    self._first_commit = agree(peer, peer._commits, self._checkpoints)
                results[peer.worker] = program(peer, *[
                    self._part(one, parts[peer.worker]) for one in shards])
            except (PeerLost, Regroup, ShardLost) as error:
                if not self._elastic:
                    raise self._lost_error(error) from error
                self.end(peer, error)
            except Exception as error:
                raise program_error(error, peer) from error

        first = len(self.events)
        self.peers = []                  # they need each other's ranks, nothing else
        self.peers.extend(FaultyPeer(rank, self, start_s) for rank in range(self.size))
        for ready_s in self._newcomers_s.values():
            self.at(ready_s, self._ask_to_regroup)
        self.go(body)
        dead = [worker for worker in self.members if worker in self.lost]
        if dead and not self.ended and self._elastic and not self._tolerate_loss:
            self.ended, self.broken = True, PeerLost(f"Worker {dead[0]} died at the end.")
            self.broken_s = self.lost[dead[0]]
        self.events[first:] = [(kind, self.members[rank], begin, end,
                                other if other < 0 else self.members[other], *rest)
                               for kind, rank, begin, end, other, *rest in self.events[first:]]
        if self.lost and not self.ended and not self._tolerate_loss and not self._elastic:
            raise self._lost_error(None)
        return results

    def _part(self, shards, numbers):
        """Return one peer's part: with those that it has taken over, if they can be joined."""
        if not isinstance(shards, Shards):
            return wire.copy_of(shards[numbers[0]])[0]
        return sharding.concatenate([shards[number] for number in numbers])

    def _ask_to_regroup(self):
        for peer in self.peers:
            peer._regroup = True

    def _regroup(self, now, shards):
        """Settle who is in the next generation; return when it starts."""
        for worker, lost_s in self.lost.items():
            if worker in self.members:
                self.members.remove(worker)
                self._commits[worker], self.slow[worker] = Commits(), []
                self.full_disks.discard(worker)
                self._newcomers_s[worker] = lost_s + REPLACE_S
                self._reload.add(worker)
        missing = int(self._elastic) - len(self.members)
        if missing > 0:
            now = max(now, sorted(self._newcomers_s.values())[missing - 1])
        start_s = now + REGROUP_S
        for worker in [w for w, ready_s in self._newcomers_s.items() if ready_s <= start_s]:
            del self._newcomers_s[worker], self.lost[worker]
            self.members = sorted([*self.members, worker])
            self._reload.add(worker)
            self._note("recovered", worker, start_s, label="a replacement has joined")
        start_s += self._reload_s(shards)
        if self.lost:
            self._note("recovered", self.members[0], start_s,
                       label=f"{len(self.members)} peers go on")
        return start_s

    def _reload_s(self, shards):
        """Return how long it takes to bring parts to those who work on them now."""
        nbytes = sum(wire.size_of(one[worker]) for worker in self._reload for one in shards
                     if isinstance(one, Shards))
        self._reload.clear()
        return self.network.message_s(nbytes) if nbytes else 0.0

    def _record(self, results, seconds, info):
        return Run(results, seconds, self.messages, self.nbytes,
                   Events(self.marks + (self.events if self.recording else [])), world=info,
                   lost=tuple(sorted(self.lost)), resent=self.resent,
                   generations=tuple(self.generations))

    def _lost_error(self, error):
        if self._tolerate_loss and error is not None:
            return error
        if isinstance(error, ShardLost):
            return error
        return ClusterError("A worker died during the run.",
                            got=", ".join(f"worker {worker}" for worker in sorted(self.lost)),
                            expected="all workers alive to the end",
                            remedy="run again, or with elastic=True")

    # ---- what the peers call

    def rank_of(self, worker):
        """Return the rank that a worker has in this generation; -1 if it has none."""
        return self.members.index(worker) if worker in self.members else -1

    def injected(self, peer, fault, now):
        """Note that a fault has begun."""
        self._note("injected", peer.worker, now, peer._step, repr(fault))

    def _note(self, kind, worker, now, step=-1, label=""):
        self.marks.append((kind, worker, now, now, -1, 0, step, label))

    def pause(self, peer, fault, now):
        """Return when a peer that stops goes on: never, if the world ends it before that."""
        if fault.seconds <= self.hang_s:
            return now + fault.seconds
        self._note("suspected", peer.worker, now + self.hang_s, peer._step, "it has stopped")
        peer.crashed = True
        self.crash(peer, now + self.hang_s)
        return math.inf

    def crash(self, peer, now):
        """End a peer; all others hear of it."""
        self.lost[peer.worker] = now
        self._note("confirmed", peer.worker, now + self.network.latency_s, peer._step)
        for other in self.peers:
            if not other.crashed:
                heard_s = self.at_port_s(peer.rank, other.rank, now)
                self.at(heard_s, lambda other=other, at_s=heard_s: other.notice(peer.rank, at_s))

    def lose_shards(self, worker):
        """Forget a worker's parts."""
        self._reload.add(worker)

    def fill_disk(self, worker):
        """Let the worker write no more."""
        self.full_disks.add(worker)

    def at_port_s(self, source, to, now):
        at_s = super().at_port_s(source, to, now) + self.peers[source].late_s
        pair = {self.members[source], self.members[to]}
        for fault, begin in self.link_faults:
            if not begin <= now < begin + fault.seconds:
                continue
            if isinstance(fault, Partition):
                if sum(bool(pair & set(group)) for group in fault.groups) == 2:
                    at_s = max(at_s, begin + fault.seconds)
            elif pair == set(fault.link):
                at_s += fault.delay_s
        at_s = self._last[source, to] = max(at_s, self._last.get((source, to), 0.0))
        return at_s

    def end(self, peer, error):
        """End the generation: all peers are to start again."""
        self.ended, self.broken = True, error
        self.broken_s = peer._clock

    def _arrive(self, at_port_s, number, source, to, *rest):
        if to is None or not self.peers[to].crashed:
            super()._arrive(at_port_s, number, source, to, *rest)

    def _waiting(self):
        return [peer for peer in super()._waiting() if not peer.crashed]

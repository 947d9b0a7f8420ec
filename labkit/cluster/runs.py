"""One `run` on the cluster: a Dask task a peer, in as many generations as it takes.

    start   submit `run_peer` to each member's worker
    wait    until all have reported, or are dead; ask for a commit when somebody can join
    book    what they report becomes part of the record
    regroup who is there goes on; parts of the dead are placed with others
"""

from __future__ import annotations

import secrets
import time
from collections import Counter

import numpy as np
from dask.sizeof import sizeof

from labkit.cluster import inject, rendezvous
from labkit.cluster.entry import Outcome, Packed, Placed, cause_of, pickled, run_peer
from labkit.cluster.shards import Part
from labkit.elastic import TRIES, parts_of
from labkit.errors import ClusterError, DeadlineExceeded, DeadlockError
from labkit.progress import progress
from labkit.records import Events, Generation, Run
from labkit.sharding import Shards

LARGE = 1_000_000            # bytes from which a part goes straight to its worker
GRACE_S = 5                  # for the other peers to report, once one has failed
REPLACEMENT_S = 10           # for a worker that died to be replaced
TICK_S = 0.05                # how often the client looks who has died
AGAIN = ("gone", "aborted", "regroup", "shard")      # causes after which all start again


class PeerRun:
    """The state of one run.

    Parameters
    ----------
    world : ClusterWorld
    code : bytes
        The pickled program.
    name : str
    shards : sequence of Shards or sequences
    options : Options
        Without members; with a job if the run is elastic or has checkpoints.
    elastic : bool or int
    tolerate_loss : bool
    """

    def __init__(self, world, code, name, shards, options, elastic, tolerate_loss):
        self.world = world
        self.client = world.client
        self.code = code
        self.name = f"{name}-{secrets.token_hex(4)}"
        self.shards = shards
        self.options = options._replace(members=tuple(range(world.workers)))
        self.elastic = elastic
        self.tolerate_loss = tolerate_loss
        self.began = time.time()
        self.until = time.monotonic() + options.deadline_s + GRACE_S
        self.outcomes = []               # of all generations
        self.generations = []
        self.marks = []
        self.zero = None
        self.at = {}                     # worker address -> its number, of all that took part
        self.missing = {}                # number -> address of the worker that died
        self._fruitless = 0

    @property
    def members(self):
        return self.options.members

    def go(self):
        """Run to the end; return the Run."""
        try:
            with progress(None, f"running {self.name.rpartition('-')[0]}") as tick:
                while True:
                    outcomes = self._wait(self._start(), tick)
                    again = self._book(outcomes)
                    if not again:
                        return self._record(outcomes)
                    self._regroup(outcomes, again)
        finally:
            if self.options.plan:
                self.world._on_workers(inject.undo)

    # ---- start

    def _start(self):
        addresses = [self.world._workers[member] for member in self.members]
        self.at.update(zip(addresses, self.members))
        hubs = [self.world._listens[address] for address in addresses]
        secret = secrets.token_bytes(32)
        mine = parts_of(self.members, self.world.workers)
        generation = len(self.generations)
        return [self.client.submit(
            run_peer, self.world._id, rank, hubs, secret, self.code, self.options,
            *[self._part(parts, mine[member], address) for parts in self.shards],
            key=(f"{self.name}-{generation}" if generation else self.name, rank),
            workers=[address], allow_other_workers=False, pure=False, retries=0)
            for rank, (member, address) in enumerate(zip(self.members, addresses))]

    def _part(self, parts, numbers, worker):
        """Return one peer's part in the form in which it travels best."""
        if isinstance(parts, Shards):
            found = [parts.parts[number] for number in numbers]
            found = [self.world._future(part, worker) if isinstance(part, Part) else
                     part if hasattr(part, "key") else Placed(part) for part in found]
            return found[0] if len(found) == 1 else found
        part = parts[numbers[0]]
        if not isinstance(part, np.ndarray):
            # Dask would look into lists, and make several objects of one that occurs twice.
            part = Packed(pickled(part))
        if sizeof(part) < LARGE:
            return part
        return self.client.scatter([part], workers=[worker], hash=False)[0]

    # ---- wait

    def _wait(self, futures, tick):
        """Return all outcomes by rank, or raise what ends the run."""
        until, asked, news = self.until, False, self.world.health.news
        for future in futures:
            future.add_done_callback(lambda _: news.set())
        try:
            while True:
                # A task whose part of the data has died with its worker is cancelled.
                if all(f.done() and f.status != "cancelled" for f in futures):
                    outcomes = self.client.gather(futures)
                    break
                news.wait(TICK_S)
                news.clear()
                tick()
                self.world.health.look()
                lost = self._lost_ranks()
                alive = [f for rank, f in enumerate(futures) if rank not in lost]
                if lost and all(f.done() for f in alive) and (
                        self.elastic or alive and self.tolerate_loss):
                    outcomes = self._without(lost, futures)
                    break
                if lost and not self.elastic:
                    until = min(until, time.monotonic() + GRACE_S)
                    if all(f.done() for f in alive) or time.monotonic() > until:
                        raise self._lost_error(lost)
                if time.monotonic() > until:
                    late = [rank for rank, future in enumerate(futures) if not future.done()]
                    self.world._replace([self._address(rank) for rank in late], futures)
                    raise self._overdue_error(late)
                asked = asked or self.elastic and self._ask_to_regroup(lost)
        except BaseException:
            self.world._stop_peers(futures)
            raise
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        if failed and not (self.elastic and all(outcome.cause in AGAIN for outcome in failed)):
            raise_first(failed, self.options.deadline_s)
        return outcomes

    def _address(self, rank):
        return self.world._workers[self.members[rank]]

    def _lost_ranks(self):
        gone = self.world.health.gone
        return [rank for rank in range(len(self.members)) if self._address(rank) in gone]

    def _without(self, lost, futures):
        """Return the outcomes of a generation in which some have died."""
        self.client.cancel([futures[rank] for rank in lost], force=True)
        alive = iter(self.client.gather([f for r, f in enumerate(futures) if r not in lost]))
        return [Outcome(rank, lost=True) if rank in lost else next(alive)
                for rank in range(len(futures))]

    def _ask_to_regroup(self, lost):
        """Ask the peers to stop at their next commit, if somebody can join then."""
        if lost or not self.missing or not self._spare():
            return False
        self.client.run(rendezvous.ask_to_regroup, self.world._id,
                        workers=list(map(self._address, range(len(self.members)))),
                        on_error="ignore")
        return True

    def _spare(self):
        """Return the workers that could take the place of those that are missing."""
        used = {self._address(rank) for rank in range(len(self.members))}
        return [worker for worker, tasks in self.world._survey().items()
                if worker not in used and not tasks]

    # ---- book

    def _book(self, outcomes):
        """Enter what the peers report; return why all have to start again, "" if they need not."""
        started = [outcome.start_s for outcome in outcomes if outcome.start_s]
        if self.zero is None:
            self.zero = min(started, default=self.began)
        members = self.members
        lost = [members[outcome.rank] for outcome in outcomes if outcome.lost]
        for outcome in outcomes:
            # A peer that leaves because another one has died is lost to a third, for a moment.
            outcome.events = [
                (kind, members[rank] if kind != "confirmed" else members[other], begin, end,
                 -1 if kind == "confirmed" or other < 0 else members[other], *rest)
                for kind, rank, begin, end, other, *rest in outcome.events
                if kind != "confirmed" or members[other] in lost]
        self.outcomes += outcomes
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        again = ""
        if self.elastic and (failed or lost and not self.tolerate_loss):
            causes = {outcome.cause for outcome in failed}
            again = "PeerLost" if lost else "ShardLost" if "shard" in causes else "Regroup"
        for member in lost:
            address = self.missing[member] = self.world._workers[member]
            died = self.world.health.gone[address].time
            self.marks.append(("confirmed", member, died, died, -1, 0, -1, ""))
        before = max((outcome.first_commit for outcome in outcomes), default=0)
        after = max((outcome.commit for outcome in outcomes), default=0)
        ended = [outcome.end_s for outcome in outcomes if outcome.end_s]
        self.generations.append(Generation(
            members, min(started, default=self.zero) - self.zero,
            max(ended, default=time.time()) - self.zero, before, after, again))
        self._fruitless = self._fruitless + 1 if again and after <= before else 0
        if self._fruitless == TRIES:
            raise ClusterError(
                f"A worker died {TRIES} times, and no progress was made in between.",
                got=", ".join(f"worker {member} at {address}"
                              for member, address in self.missing.items()),
                where=f"after commit {after}",
                remedy="see what the program does there: perhaps it ends its process")
        return again

    # ---- regroup

    def _regroup(self, outcomes, again):
        """Settle who is in the next generation, and where the parts are."""
        members = [member for member in self.members if member not in self.missing]
        self._await_spare(int(self.elastic) - len(members))
        spare = iter(self._spare())
        for member, worker in zip(sorted(self.missing), spare):
            self.world._workers[member] = worker
            self.world._numbers[worker] = member
            members.append(member)
        joined = [member for member in members if member in self.missing]
        for member in joined:
            del self.missing[member]
        self.world._open_new_hubs([self.world._workers[member] for member in members])
        for outcome in outcomes:
            if outcome.cause == "shard":
                self._forget_parts(self.members[outcome.rank])
        struck = {position: when for position, _, when, _ in
                  self.world.health.struck(self.began, self.at, self.options.plan_key)}
        self.options = self.options._replace(
            members=tuple(sorted(members)), struck=struck, since=self.zero,
            deadline_s=max(1.0, self.until - GRACE_S - time.monotonic()))
        now = time.time()
        self.marks += [("recovered", member, now, now, -1, 0, -1, "a replacement has joined")
                       for member in joined]
        if again == "PeerLost" and self.missing:
            self.marks.append(("recovered", min(members), now, now, -1, 0, -1,
                               f"{len(members)} peers go on"))

    def _await_spare(self, wanted):
        """Wait until there are so many workers that could join."""
        until = time.monotonic() + REPLACEMENT_S
        while wanted > 0 and len(self._spare()) < wanted:
            if time.monotonic() > until:
                raise ClusterError("Too many workers have died, and were not replaced.",
                                   expected=f"{wanted} new ones within {REPLACEMENT_S} s",
                                   got=len(self._spare()), where=self.client.scheduler.address,
                                   remedy="see the workers' logs; start others")
            self.world.health.news.wait(TICK_S)
            self.world.health.news.clear()

    def _forget_parts(self, member):
        for shards in self.shards:
            if isinstance(shards, Shards) and isinstance(shards.parts[member], Part):
                shards.parts[member].future = None

    # ---- record

    def _record(self, outcomes):
        lost = tuple(sorted({*self.missing, *(self.members[o.rank] for o in outcomes if o.lost)}))
        results = [None] * self.world.workers
        for outcome in outcomes:
            results[self.members[outcome.rank]] = outcome.result
        events = [event for outcome in self.outcomes for event in outcome.events]
        # Who died is confirmed by whoever noticed first: a peer, or Dask.
        confirmed = sorted((e for e in events + self.marks if e[0] == "confirmed"),
                           key=lambda e: e[2])
        first = [e for i, e in enumerate(confirmed)
                 if not any(e[1] == f[1] and e[2] - f[2] < GRACE_S for f in confirmed[:i])]
        events = [e for e in events + self.marks if e[0] != "confirmed"] + first
        events += self.world.health.marks(self.began, self.at, self.options.plan,
                                          self.options.plan_key)
        return Run(
            results=results,
            seconds=max(o.end_s for o in outcomes if not o.lost) - self.zero,
            messages=sum(outcome.messages for outcome in self.outcomes),
            nbytes=sum(outcome.nbytes for outcome in self.outcomes),
            resent=sum(outcome.resent for outcome in self.outcomes),
            lost=lost,
            generations=tuple(self.generations),
            events=Events([(kind, rank, begin - self.zero, end - self.zero, *rest)
                           for kind, rank, begin, end, *rest in events]),
            world=self.world._info(sum((outcome.links for outcome in outcomes), Counter())))

    # ---- errors

    def _lost_error(self, lost):
        who = "; ".join(self._epitaph(rank) for rank in lost)
        return ClusterError("A worker died during the run.", got=who,
                            expected="all workers alive to the end",
                            remedy="run again, or with elastic=True: a worker that was started "
                                   "here is replaced, and its part of the data placed again")

    def _epitaph(self, rank):
        address = self._address(rank)
        cause = self.world.health.cause(address)
        return f"peer {rank} at {address}{f', {cause}' if cause else ''}"

    def _overdue_error(self, late):
        return DeadlineExceeded(
            "Peers still compute after the deadline.", expected=f"{self.options.deadline_s:g} s",
            got=f"peers {late}", remedy="give the world a longer deadline_s")


def raise_first(failed, deadline_s):
    """Raise the cause among errors of which most are consequences."""
    for outcome in failed:
        if outcome.cause == "program":
            raise outcome.error from cause_of(outcome.error)
    waiting = [outcome for outcome in failed if outcome.cause == "waiting"]
    if waiting:
        waits = "; ".join(outcome.waits for outcome in failed if outcome.waits)
        raise DeadlockError("The peers wait for each other.", got=waits,
                            expected=f"every message that is awaited is sent within {deadline_s} s",
                            remedy="find the peer that should have sent; labkit.simulated finds "
                                   "a deadlock at once")
    causes = ("shard", "gone")
    raise next((o.error for c in causes for o in failed if o.cause == c), failed[0].error)

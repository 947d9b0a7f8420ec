"""The serial world: every peer in this process, one at a time. The oracle.

    peer 0  runs until it must wait for a message
    peer 1  runs until ...                            round and round until all are done;
    peer 2  ...                                       a round without progress is a deadlock

Each peer is a greenlet, so that the same blocking program runs here unchanged.
Nothing is timed or overlapped on purpose: this world says what is right, not
what is fast.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque

import dask
from greenlet import getcurrent, greenlet

from labkit import sharding, wire
from labkit.elastic import Commits, agree
from labkit.errors import ConfigurationError, DeadlockError, ProgramError
from labkit.peer import Peer, take
from labkit.records import Events, Run, WorldInfo
from labkit.sharding import Shards
from labkit.world import World, check_shards

AGAIN = " again"             # ends the label of a task's second attempt


class SerialPeer(Peer):
    """A peer whose messages wait in the mailbox of the receiver."""

    def __init__(self, rank, peers, run):
        super().__init__(rank, run.size)
        self._peers = peers
        self._run = run
        self._mailbox = defaultdict(deque)    # channel -> messages in order of arrival

    def _send(self, to, message):
        start = self._run.clock()
        copy, nbytes = wire.copy_of(message)
        self._peers[to]._mailbox[self._channel].append((self.rank, copy, nbytes))
        self._run.count(nbytes)
        self._run.record("send", self, start, to, nbytes)

    def now(self):
        return self._run.clock()

    def _recv(self, source, timeout_s=None):
        start = self._run.clock()
        while (found := take(self._mailbox[self._channel], source)) is None:
            if timeout_s is not None:
                self._run.progress = True        # it will not wait for ever
                if self._run.clock() >= start + timeout_s:
                    return None
            self._awaits = self._channel, source
            getcurrent().parent.switch()
            self._awaits = None
        sender, message, nbytes = found
        self._run.progress = True
        self._run.record("recv", self, start, sender, nbytes)
        return sender, message

    def _mark_step(self):
        self._run.record("step", self, self._run.clock())


class _SerialRun:
    """The state of one run: its clock, its counts, its events."""

    def __init__(self, size, record):
        self.size = size
        self.messages = self.nbytes = 0
        self.events = []
        self.progress = False
        self._record = record
        self._zero = time.perf_counter()

    def clock(self):
        return time.perf_counter() - self._zero

    def count(self, nbytes):
        self.messages += 1
        self.nbytes += nbytes
        self.progress = True

    def record(self, kind, peer, start, other=-1, nbytes=0):
        if self._record:
            self.events.append((kind, peer.rank, start, self.clock(), other, nbytes,
                                peer._step, peer._channel))


class SerialWorld(World):
    """Peers that take turns in this process; made by `labkit.serial`."""

    checksums = False

    def run(self, program, *shards, record=True, tolerate_loss=False, faults=None, elastic=None,
            checkpoints=None):
        plan, _, checkpoints = self._under_run(faults, elastic, checkpoints)
        refuse_faults(plan)
        check_shards(shards, self.workers)
        run = _SerialRun(self.workers, record)
        peers = []
        peers.extend(SerialPeer(rank, peers, run) for rank in range(self.workers))
        results = [None] * self.workers

        def body(peer):
            try:
                if checkpoints is not None:
                    peer._commits, peer._checkpoints = Commits(), checkpoints
                    agree(peer, peer._commits, checkpoints)
                results[peer.rank] = program(peer, *local_parts(shards, peer.rank))
            except Exception as error:
                raise program_error(error, peer) from error

        waiting = {peer: greenlet(body) for peer in peers}
        try:
            while waiting:
                run.progress = False
                for peer in list(waiting):
                    waiting[peer].switch(peer)
                    if waiting[peer].dead:
                        del waiting[peer]
                        run.progress = True
                if waiting and not run.progress:
                    raise deadlock_error(waiting, peers)
        finally:
            stop(waiting.values())
        seconds = run.clock()
        return self._made(Run(results, seconds, run.messages, run.nbytes, Events(run.events),
                              world=WorldInfo("serial", self.workers)))

    def map(self, task, items, work=None, record=True, keep=None, backup=None, faults=None):
        refuse_faults(self._under_map(faults))
        zero = time.perf_counter()
        results, events = [], []
        for number, item in enumerate(items):
            start = time.perf_counter()
            result = run_task(checked(task, keep), item, number)
            results.append(result if keep is None else Shards(result, "kept"))
            if record:
                events.append(("task", 0, start - zero, time.perf_counter() - zero, -1, 0, -1,
                               f"{task_name(task)} {number}"))
        return self._made(Run(results, time.perf_counter() - zero, 0, 0, Events(events),
                              world=WorldInfo("serial", 1)))

    def like(self, **changes):
        return SerialWorld(**{"workers": self.workers} | changes)

    def _place(self, blocks, by):
        return place_here(blocks, by)


def refuse_faults(faults):
    """Raise ConfigurationError if there are any: in one process there is nobody to survive."""
    if faults:
        raise ConfigurationError("The serial world has no faults.", got=faults, where="faults=",
                                 expected="none: it says what is right",
                                 remedy="use labkit.simulated or labkit.cluster")


def place_here(blocks, by):
    """Return Shards in this process; dask blocks are computed, each once."""
    computed = dask.compute(*blocks, scheduler="synchronous")
    return Shards([sharding.concatenate(mine) for mine in computed], by)


def local_parts(shards, rank):
    """Return one peer's part of each of `shards`: shared if placed, a copy otherwise."""
    return [parts[rank] if isinstance(parts, Shards) else wire.copy_of(parts[rank])[0]
            for parts in shards]


def program_error(error, peer):
    """Return a ProgramError that says which peer raised, and in which step."""
    if isinstance(error, ProgramError):
        return error
    return ProgramError(f"The program raised {type(error).__name__} in peer {peer.rank}.",
                        got=str(error) or repr(error), where=peer.place())


def run_task(task, item, number):
    """Return `task(item)`; a ProgramError names the item if it raises."""
    try:
        return task(item)
    except Exception as error:
        raise task_error(error, number) from error


def checked(task, keep):
    """Return the task, made to raise ConfigurationError unless it returns `keep` parts."""
    if keep is None:
        return task

    def checked_task(item):
        parts = task(item)
        if not isinstance(parts, list | tuple) or len(parts) != keep:
            raise ConfigurationError(
                "A task whose parts are kept must return all of them.",
                expected=f"a list of {keep}", where="keep=",
                got=f"{len(parts)} parts" if isinstance(parts, list | tuple) else
                type(parts).__name__)
        return list(parts)

    return checked_task


def task_error(error, number):
    """Return a ProgramError that says on which item a task of `map` raised."""
    return ProgramError(f"The task raised {type(error).__name__} on item {number}.",
                        got=str(error) or repr(error), where=f"item {number}")


def deadlock_error(waiting, peers):
    """Return a DeadlockError that names every peer in `waiting` and whom it waits for."""
    done = [p.rank for p in peers if p not in waiting]
    return DeadlockError("The peers wait for each other.",
                         got="; ".join(p.waiting() for p in waiting),
                         expected="every message that is awaited is sent",
                         where=f"peers {done} have finished" if done else None)


def stop(greenlets):
    """End greenlets that have not finished, running their `finally` blocks."""
    for one in greenlets:
        if one and not one.dead:
            one.throw()


def task_name(task):
    """Return the name that records and the dashboard show for a function."""
    while hasattr(task, "func"):          # functools.partial
        task = task.func
    return getattr(task, "__name__", type(task).__name__)

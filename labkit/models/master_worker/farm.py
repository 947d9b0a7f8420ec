"""A task farm: the master hands out tasks, and hands out again what fails or comes back.

    master     (3, item) (4, item) --------+        +--- (3, done, result) ... --> next chunk
                                           |        |    (4, failed, why)          or STOP
    worker 1     ... waits, does its chunk +--------+    (4, returned), leaves

Each task has a number. Its first result counts, whoever sends it, and later ones are noted
and dropped: so a task may be handed out twice without harm, because it failed, because its
worker left or died, or as a backup for a slow one. That is "at least once" made "once" by numbers.
A run that is to survive dead workers needs ``tolerate_loss=True``; a dead master ends it.

Policies are chunk sizes (`labkit.assignment`): "dynamic" single tasks, "guided" shrinking
chunks, "static" one chunk a worker at the start. k chunks and w workers need 2k + w messages.

Source: Gropp, Lusk and Skjellum, "Using MPI", 2014, section 3.6; Dean and Ghemawat,
"MapReduce", OSDI 2004, for backups.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from labkit import assignment
from labkit.errors import ConfigurationError, PeerLost, ProgramError
from labkit.models.master_worker.desk import DONE, FAILED, RETURNED, Desk
from labkit.models.master_worker.train import MASTER, STOP

POLICIES = ("dynamic", "guided", "static")


class Leave(Exception):
    """What a task raises on a worker that must go: the task is handed back to the master."""


class Attempt(NamedTuple):
    """One worker at one task, in the order in which the master heard of it."""

    task: int
    """The task's number: its place among the items."""

    worker: int
    """Who tried."""

    outcome: str
    """"done", "failed", "returned" (handed back), "lost" (the worker died), "late" (another's
    result had come first)."""

    why: str = ""
    """What the task raised, in words."""


@dataclass(frozen=True)
class Farmed:
    """What the master knows in the end."""

    results: list[Any]
    """One a task, in the order of the items."""

    attempts: tuple[Attempt, ...]
    """Who did what, and how it went."""

    @property
    def tries(self):
        """How often each task was tried, as {task: number}."""
        return Counter(attempt.task for attempt in self.attempts)

    @property
    def done_by(self):
        """How many results each worker has given, as {rank: number}."""
        return Counter(a.worker for a in self.attempts if a.outcome == DONE)


def farm(me, task, items=None, policy="dynamic", work=None, costs=None, backups=False,
         max_failures=3):
    """Run `task(item)` for every item on the workers; the master does none while it has one.

    A worker cannot be interrupted: the master waits for everyone's last report. It marks step
    k when k results are there, so `Run.step_times()[n]` says when the last one was.

    Parameters
    ----------
    me : Peer
    task : callable
        ``task(item)``; raises what it likes, and `Leave` to take no more.
    items : sequence, optional
        Only the master's are used.
    policy : {"dynamic", "guided", "static"}
        How many tasks travel at once.
    work : callable, optional
        ``work(item)`` returns ``dict(flops=..., nbytes=...)``: what one attempt costs.
    costs : array_like, optional
        For "static": relative cost of each item, to plan longest first; round robin without.
    backups : bool
        Whether workers without work try what still runs elsewhere, once a task.
    max_failures : int
        A task that has failed so often is given up.

    Returns
    -------
    Farmed
        On the master; None on the workers.

    Raises
    ------
    ConfigurationError
        For an unknown policy, or costs that do not fit the items.
    ProgramError
        When a task has failed too often, or everyone has left. Workers are stopped first.
    """
    if policy not in POLICIES:
        raise ConfigurationError("This policy is not known.", got=repr(policy),
                                 expected=", ".join(map(repr, POLICIES)), where="policy=")
    work = work or (lambda item: {})
    if me.rank != MASTER:
        return _serve(me, task, work)
    workers = [rank for rank in range(me.size) if rank != MASTER]
    items = list(items)
    desk = Desk(_chunks(policy, len(items), max(1, len(workers)), costs), workers, len(items),
                backups, max_failures)
    return _lead(me, task, items, work, desk)


def _chunks(policy, n_tasks, n_workers, costs):
    """Return the chunks, tuples of task numbers, in the order in which they go out."""
    if policy == "static":
        if costs is not None and len(costs) != n_tasks:
            raise ConfigurationError("The costs do not fit the items.", expected=n_tasks,
                                     got=len(costs), where="costs=")
        plan = (assignment.round_robin(n_tasks, n_workers) if costs is None
                else assignment.longest_first(costs, n_workers))
        return [tuple(tasks.tolist()) for tasks in plan]
    sizes = (assignment.singles(n_tasks) if policy == "dynamic"
             else assignment.guided(n_tasks, n_workers))
    ends = np.cumsum(sizes, dtype=int).tolist()
    return [tuple(range(end - size, end)) for size, end in zip(sizes, ends)]


def _lead(me, task, items, work, desk):
    me.step(0)
    try:
        while not desk.finished():
            _hand_out(me, desk, items)
            if desk.running:
                _hear(me, desk)
            elif desk.waiting:                  # nobody else is left
                chunk = desk.take(MASTER)
                outcomes, leaves = _do(task, [(i, items[i]) for i in chunk], me, work)
                if desk.book(MASTER, outcomes, leaves):
                    me.step(len(desk.results))
                if leaves:
                    raise _nobody_left(desk)
    finally:                                    # or the workers would wait for ever
        for worker in sorted(desk.present):
            with contextlib.suppress(PeerLost):
                me.send(worker, STOP)
    return Farmed([desk.results[number] for number in range(len(items))],
                  tuple(Attempt(*row) for row in desk.attempts))


def _hand_out(me, desk, items):
    for worker, chunk in desk.hand_out():
        try:
            me.send(worker, [(number, items[number]) for number in chunk])
        except PeerLost as error:
            desk.lose(error.rank)


def _hear(me, desk):
    """Enter the next report, or that somebody will not report any more."""
    try:
        worker, (outcomes, leaves) = me.recv_any()
    except PeerLost as error:
        desk.lose(error.rank)
        return
    if desk.book(worker, outcomes, leaves):
        me.step(len(desk.results))


def _serve(me, task, work):
    leaves = False
    while not leaves:
        chunk = me.recv(MASTER)
        if chunk is STOP:
            return
        outcomes, leaves = _do(task, chunk, me, work)
        me.send(MASTER, (outcomes, leaves))


def _do(task, chunk, me, work):
    """Return `[(number, outcome, result or reason), ...]` and whether this peer leaves."""
    outcomes = []
    for position, (number, item) in enumerate(chunk):
        me.work(**work(item))
        try:
            outcomes.append((number, DONE, task(item)))
        except Leave:
            return outcomes + [(n, RETURNED, "") for n, _ in chunk[position:]], True
        except Exception as error:
            outcomes.append((number, FAILED, f"{type(error).__name__}: {error}"))
    return outcomes, False


def _nobody_left(desk):
    return ProgramError("Everyone has left before all tasks were done.",
                        expected=f"{desk.n_tasks} results", got=len(desk.results),
                        where=f"peer {MASTER}, the last one",
                        remedy="let at least one peer stay: raise Leave on the others only")

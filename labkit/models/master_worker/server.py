"""One server of a parameter server: a gradient comes in, some workers get an answer.

    gradient of worker 4 --> rule --> apply now, hold, or drop
                              |
                              +-----> whom to answer: with the newest part, or STOP

A worker waits for its answer before it computes again, so a rule steers it by answering late.
Both rules are functions of the server's state and the gradient:

    synchronous   hold until enough have come, apply their mean, answer all of them
    bounded       apply at once, answer who is at most `staleness` steps ahead of the slowest

Asynchronous is bounded without a bound. Staleness 0 is synchronous: the parameters are the
same whenever anyone reads them.

Sources: Valiant, "A bridging model for parallel computation", CACM 33, 1990; Chen, Pan, Monga,
Bengio and Jozefowicz, "Revisiting distributed synchronous SGD", 2016; Ho et al., "More
effective distributed ML via a stale synchronous parallel parameter server", NIPS 2013; Recht,
Re, Wright and Niu, "Hogwild", NIPS 2011.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

import numpy as np

from labkit.models.master_worker.compression import decoded

STOP = None              # in the place of parameters
BLOCK = 32 * 1024        # values that are updated at once, while they are in the cache


class Used(NamedTuple):
    """One gradient that a server got."""

    server: int
    """Rank of the server."""

    worker: int
    """Rank of the worker."""

    step: int
    """How many gradients this worker had sent before."""

    staleness: int
    """How many updates the parameters had seen since the worker read them."""

    ahead: int
    """How many steps the worker was ahead of the slowest when this gradient came."""


class Server:
    """One part of the parameters, and how far each worker has come.

    Parameters
    ----------
    rank : int
    part : ndarray, shape (n_part,)
    workers : sequence of int
        Ranks.
    settings : Settings
        See `labkit.models.master_worker.parameter_server`.
    updates, goal : int
        How many updates there were before, and at how many it ends; 0: as the settings say.
    """

    def __init__(self, rank, part, workers, settings, updates=0, goal=0):
        self.rank = rank
        self.part = part.copy()
        self.settings = settings
        self.n_workers = len(workers)
        each = 1 if settings.mode == "synchronous" else len(workers)
        self.goal = goal or settings.steps * each        # after how many updates training ends
        self.active = set(workers) if updates < self.goal else set()
        self.held = {}                               # worker that waits for its answer -> gradient
        self.version = updates                       # updates so far
        self._read = dict.fromkeys(workers, updates)     # the version that each computes with
        self.done = dict.fromkeys(workers, 0)        # gradients that each has sent ...
        self.slowest = 0                             # ... the fewest of these ...
        self._level = Counter(self.done.values())    # ... and how many have sent as many
        self.applied, self.dropped, self.snapshots = [], [], []

    def note(self, worker):
        """Count a gradient of this worker and return what is to be known about it."""
        step = self.done[worker]
        ahead = step - self.slowest
        self.done[worker] += 1
        self._level[step] -= 1
        self._level[step + 1] += 1
        while not self._level[self.slowest]:
            self.slowest += 1
        return Used(self.rank, worker, step, self.version - self._read[worker], ahead)

    def update(self, gradients, rate):
        """Move the parameters against the sum of gradients, block by block in the cache."""
        for first in range(0, len(self.part), BLOCK):
            block = slice(first, first + BLOCK)
            total = rate * gradients[0][block]
            for gradient in gradients[1:]:
                total += rate * gradient[block]
            self.part[block] -= total
        self.end_update()

    def end_update(self):
        """Count an update, and keep the parameters if that is due."""
        self.version += 1
        if self.settings.keep_every and self.version % self.settings.keep_every == 0:
            self.snapshots.append(self.part.copy())

    def commit(self, me):
        """Have the newest parameters kept, if that is due."""
        if self.version % self.settings.commit_every == 0:
            me.commit(w=self.part, updates=self.version, goal=self.goal)

    def answer(self, workers):
        """Return what to send to workers: the parameters, or STOP."""
        if self.version >= self.goal:
            self.active.difference_update(workers)
            return STOP
        self._read.update(dict.fromkeys(workers, self.version))
        return self.part

    def report(self):
        """Return part, snapshots, applied and dropped."""
        shape = len(self.snapshots), len(self.part)
        kept = np.array(self.snapshots, self.part.dtype).reshape(shape)
        return self.part, kept, self.applied, self.dropped


def synchronous(server, worker, gradient):
    """Wait for all workers but `backups`, then step by their mean; return whom to answer."""
    used = server.note(worker)
    if used.staleness:                       # its step is over
        server.dropped.append(used)
        return [worker]
    server.applied.append(used)
    server.held[worker] = gradient
    needed = server.n_workers - server.settings.backups
    if len(server.held) < needed:
        return []
    ranks = sorted(server.held)              # the same bits, whoever came first
    server.update([server.held[rank] for rank in ranks], server.settings.learning_rate / needed)
    server.held.clear()
    return ranks


def bounded(server, worker, gradient):
    """Apply on arrival; return who waits and is close enough to the slowest."""
    used = server.note(worker)
    if server.version >= server.goal:
        server.dropped.append(used)
        return [worker]
    server.applied.append(used)
    rate = server.settings.learning_rate / server.n_workers
    if server.settings.correct_staleness:
        rate /= 1 + used.staleness
    server.update([gradient], rate)
    server.held[worker] = gradient
    return _released(server)


def _released(server):
    bound = server.settings.staleness if server.settings.mode == "stale" else math.inf
    furthest = server.slowest + bound
    ended = server.version >= server.goal
    free = sorted(w for w in server.held if ended or server.done[w] <= furthest)
    for worker in free:
        del server.held[worker]
    return free


RULES = {"synchronous": synchronous, "stale": bounded, "asynchronous": bounded}


def in_step(me, server):
    """The same as `synchronous` where nothing has to be held: all gradients go into the sum."""
    workers, rate = sorted(server.active), server.settings.learning_rate / server.n_workers

    def step(parameters, gradient, out):
        gradient *= rate                     # this server's own copy
        np.subtract(parameters, gradient, out=out)

    while server.active:
        me.accumulate(workers, server.part, step)
        server.applied += map(server.note, workers)
        server.end_update()
        me.work(nbytes=3 * len(workers) * server.part.nbytes)
        me.post(workers, server.answer(workers))
        me.step(server.version)
        server.commit(me)


def as_they_come(me, server, settings):
    """Apply a rule to each gradient; return the reports of other servers that came meanwhile."""
    rule, reports = RULES[settings.mode], {}
    while server.active:
        source, message = me.recv_any()
        if source < settings.servers:        # which has ended before this one
            reports[source] = message
            continue
        gradient = decoded(settings.compression, message, len(server.part), server.part.dtype)
        me.work(nbytes=3 * server.part.nbytes)       # reads parameters and gradient, writes
        before = server.version
        workers = rule(server, source, gradient)
        me.multicast(workers, server.answer(workers))
        if server.version > before:
            me.step(server.version)
            server.commit(me)
    return reports


def serve(me, server, settings):
    """Answer workers until all have been told to stop.

    Returns
    -------
    list of tuple or None
        On peer 0 the report of every server, by rank; None on other servers.
    """
    reports = {}
    if settings.mode == "synchronous" and not settings.backups and not settings.compression:
        in_step(me, server)
    else:
        reports = as_they_come(me, server, settings)
    if me.rank:
        me.send(0, server.report())
        return None
    return [server.report(), *(reports.get(rank) or me.recv(rank)
                               for rank in range(1, settings.servers))]

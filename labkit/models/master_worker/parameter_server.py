"""A parameter server: some peers hold the parameters, the others compute gradients.

    server 0    w[:n/2] ----+--- the newest part ---> worker 2: g = gradient(w, step)
    server 1    w[n/2:] ----+                         worker 3: g = gradient(w, step)
                   ^                                     |
                   +------ each part of g to its server -+     w -= learning_rate mean(g)

Peers 0 to `servers`-1 share the n parameters as `numpy.array_split` does; all others work, and
each talks to every server. What differs between the modes is who waits for whom:

    synchronous             for everyone, each step              Valiant 1990 (BSP)
    synchronous, backups=b  for all but the b slowest            Chen et al. 2016
    stale                   for who is `staleness` steps behind  Ho et al. 2013 (SSP)
    asynchronous            for nobody                           Recht et al. 2011 (Hogwild)

One gradient moves w by learning_rate / workers, in every mode: the gradients of all workers at
the same w make one step of serial SGD. Each gradient costs a worker two messages a server; a
run of W workers that wait for each other takes 2 S W messages a step, and S - 1 at the end.
Where nobody waits, fast workers compute more of the gradients than slow ones: the optimum is
that of the whole only if workers are equally fast, or their data alike.

In an elastic run the server commits the parameters, and checkpoints save them: a server that dies
comes back with what was saved last, workers may die and join. What was applied or dropped, and the
snapshots, are then those since the last start.

Sources: Li et al., "Scaling distributed machine learning with the parameter server", OSDI 2014;
those above, with their titles in `labkit.models.master_worker.server`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

import numpy as np

from labkit.errors import ConfigurationError
from labkit.models.master_worker.compression import EightBit, Encoder, TopK
from labkit.models.master_worker.server import RULES, STOP, Server, Used, serve


@dataclass(frozen=True)
class Settings:
    """How to train."""

    steps: int
    """Gradients of each worker: in sum, when some are faster than others."""

    learning_rate: float
    """How far the mean of all workers' gradients moves the parameters."""

    mode: str = "synchronous"
    """"synchronous", "stale" or "asynchronous"."""

    servers: int = 1
    """How many peers share the parameters."""

    staleness: int = 0
    """For "stale": how many steps a worker may be ahead of the slowest."""

    backups: int = 0
    """For "synchronous", with one server: how many gradients of each step to do without."""

    correct_staleness: bool = False
    """Whether a gradient that is s updates old moves the parameters by 1/(1 + s) of the usual
    (Zhang, Gupta, Lian and Liu, "Staleness-aware async-SGD", IJCAI 2016)."""

    compression: TopK | EightBit | None = None
    """How gradients travel; parameters travel as they are."""

    keep_every: int = 0
    """Keep the parameters after each so many updates; 0 keeps none."""

    seed: int = 0
    """Of the compression."""

    commit_every: int = 1
    """In an elastic run: after how many updates the server commits them."""

    def __post_init__(self):
        _check("mode", self.mode in RULES, ", ".join(map(repr, RULES)), self.mode)
        _check("steps", self.steps >= 0, "0 or more", self.steps)
        _check("learning_rate", math.isfinite(self.learning_rate), "finite", self.learning_rate)
        _check("servers", self.servers >= 1, "1 or more", self.servers)
        _check("commit_every", self.commit_every >= 1, "1 or more", self.commit_every)
        _check("keep_every", self.keep_every >= 0, "0 or more", self.keep_every)
        _check("staleness", self.staleness == 0 or self.mode == "stale" and self.staleness > 0,
               "0 or more, in mode 'stale'", f"{self.staleness}, in mode {self.mode!r}")
        # Two servers could each wait for gradients of workers that wait for the other one.
        _check("backups", self.backups == 0 or
               self.mode == "synchronous" and self.servers == 1 and self.backups > 0,
               "0 or more, in mode 'synchronous' with one server",
               f"{self.backups}, in mode {self.mode!r} with {self.servers} servers")


def _check(name, fits, expected, got):
    if not fits:
        raise ConfigurationError("A setting cannot work.", expected=expected, got=got,
                                 where=f"{name}=")


@dataclass(frozen=True)
class Trained:
    """What the servers know in the end."""

    parameters: np.ndarray
    """Shape (n,)."""

    snapshots: np.ndarray
    """The parameters after each `keep_every` updates, shape (n_kept, n): evaluate a loss here."""

    applied: tuple[Used, ...]
    """Each gradient that has moved the parameters, in its server's order."""

    dropped: tuple[Used, ...]
    """Each gradient that came too late: after its step, or after the end."""


def train(me, gradient, start, settings, work=None):
    """Train by stochastic gradient descent.

    Parameters
    ----------
    me : Peer
    gradient : callable
        ``gradient(w, step)`` returns an array like `w`, on this worker's data; `step` counts
        the gradients of this worker. `w` is the same array each time. Not called on servers.
    start : ndarray, shape (n,)
        The first parameters, the same on every peer. Floating-point.
    settings : Settings
    work : callable, optional
        ``work(step)`` returns ``dict(flops=..., nbytes=...)``: what one gradient costs.

    Returns
    -------
    Trained
        On peer 0; None on all others.

    Raises
    ------
    ConfigurationError
        If there are too few peers, or a gradient does not fit the parameters.
    """
    workers = range(settings.servers, me.size)
    if settings.backups >= len(workers):
        raise ConfigurationError(
            "There are too few peers for a parameter server.", got=f"{me.size} peers",
            expected=f"{settings.servers} servers, and more than {settings.backups} workers",
            remedy="start a world with more workers")
    if me.elastic and settings.servers > 1:
        raise ConfigurationError("Several servers cannot share an elastic run.", expected=1,
                                 got=settings.servers, where="servers=",
                                 remedy="each would remember another moment: use one")
    state = me.restore(w=start, updates=0, goal=0)
    start, updates = state["w"], state["updates"]
    ended = updates >= state["goal"] > 0
    if me.rank >= settings.servers:
        first = updates if settings.mode == "synchronous" else updates // len(workers)
        return _work(me, gradient, start, settings, work or (lambda step: {}),
                     () if ended else count(first))
    part = np.array_split(start, settings.servers)[me.rank]
    server = Server(me.rank, part, workers, settings, updates, state["goal"])
    return _collected(serve(me, server, settings))


def _work(me, gradient, start, settings, work, steps):
    """Compute gradients of the newest parameters until every server has said stop."""
    w = start.copy()
    parts = np.array_split(w, settings.servers)          # views: what comes goes into w
    encoders = [Encoder(settings.compression, len(part),
                        np.random.default_rng([settings.seed, me.rank, server]), start.dtype)
                for server, part in enumerate(parts)]
    active = list(range(settings.servers)) if settings.steps else []
    for step in steps:
        if not active:
            return
        me.step(step)
        me.work(**work(step))
        pieces = np.array_split(_gradient(me, gradient, w, step), settings.servers)
        for server in active:
            me.send(server, encoders[server](pieces[server]))
        for server in list(active):
            if me.recv(server, out=parts[server]) is STOP:
                active.remove(server)


def _gradient(me, gradient, w, step):
    found = np.asarray(gradient(w, step), dtype=w.dtype)
    if found.shape != w.shape:
        raise ConfigurationError("A gradient does not fit the parameters.", expected=w.shape,
                                 got=found.shape, where=me.place())
    return found


def _collected(reports):
    """Return Trained, of the reports of all servers in order; None on all but the first."""
    if reports is None:
        return None
    parts, snapshots, applied, dropped = zip(*reports)
    return Trained(np.concatenate(parts), np.concatenate(snapshots, axis=1),
                   tuple(used for each in applied for used in each),
                   tuple(used for each in dropped for used in each))

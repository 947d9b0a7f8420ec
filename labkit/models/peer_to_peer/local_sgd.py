"""Train alone for a while, then average: all-reduce every H steps instead of every step.

    local SGD   w -- H steps --> w_0 --+           +--> mean, and so on
                w -- H steps --> w_1 --+-- mean ---+
    DiLoCo      theta -- H steps --> w_i;  the outer optimiser treats the mean of theta - w_i as
                if it were a gradient:     theta <- outer(theta, mean)

                H     messages a step        H = 1 is synchronous SGD;
    local SGD   ~10   1/H of SGD's           an outer rate of 1 without momentum is local SGD
    DiLoCo      ~500  1/H of SGD's

In an elastic run each averaging is committed; after a loss all begin again with the last one, their
inner optimisers anew.

What it costs is that peers drift apart in between, each towards the optimum of its own data.

Sources: Stich, "Local SGD converges fast and communicates little", ICLR 2019; Douillard et al.,
"DiLoCo: distributed low-communication training of language models", 2023 (AdamW inside, Nesterov
with rate 0.7 and momentum 0.9 outside).
"""

from __future__ import annotations

from labkit.errors import ConfigurationError
from labkit.models.peer_to_peer.agreed import Log, distance
from labkit.models.peer_to_peer.optimisers import SGD, AdamW


def local_sgd(me, w, gradient, steps, rate, every, cost=None):
    """Train by local SGD: average with all peers after every `every` steps, and at the end.

    Parameters
    ----------
    me : Peer
    w : ndarray
        Where to start, the same on every peer; stays as it is.
    gradient : callable
        ``gradient(w, step)`` returns an array shaped like w: of this peer's part of the data.
    steps : int
        The same on every peer.
    rate : float or callable
        The learning rate, or ``rate(step)``.
    every : int
        H, 1 or more.
    cost : dict, optional
        What one gradient costs, for `me.work`: ``dict(flops=..., nbytes=...)``.

    Returns
    -------
    Agreed
        The same value on every peer, to the last bit. Its disagreement has one entry for each
        averaging: the distance of this peer's w to the mean.

    Raises
    ------
    ConfigurationError
        If `every` is less than 1.
    """
    log, inner = Log(), SGD(rate)
    state = me.restore(w=w, steps=0)
    w = state["w"]
    for first, last in rounds_of(steps, every, state["steps"]):
        w = train_alone(me, w, gradient, range(first, last), inner, cost)
        mean = me.allreduce(w) / me.size
        log.disagreement.append(distance(w, mean))
        w = mean
        me.commit(w=w, steps=last)
    return log.close(w, steps)


def diloco(me, w, gradient, steps, every, inner=None, outer=None, cost=None):
    """Train by DiLoCo: an optimiser inside each peer, and one over the rounds.

    Parameters
    ----------
    me, w, gradient, steps, every, cost
        As in `local_sgd`.
    inner : SGD or AdamW, optional
        Has ``step(w, gradient)``; this peer's own. It keeps what it has seen from round to
        round. By default AdamW with its defaults.
    outer : SGD, optional
        Takes the mean of theta - w_i for a gradient; one for each peer, all the same. By default
        the paper's: rate 0.7, Nesterov momentum 0.9.

    Returns
    -------
    Agreed
        The same value on every peer, to the last bit; disagreement as in `local_sgd`.

    Raises
    ------
    ConfigurationError
        If `every` is less than 1.
    """
    log = Log()
    inner, outer = inner or AdamW(), outer or SGD(0.7, momentum=0.9)
    state = me.restore(w=w, done=0, **outer.memory())
    outer.recall(state["velocity"], state["steps"])
    theta = state["w"]
    for first, last in rounds_of(steps, every, state["done"]):
        w = train_alone(me, theta, gradient, range(first, last), inner, cost)
        moved = theta - w
        mean = me.allreduce(moved) / me.size
        log.disagreement.append(distance(moved, mean))
        theta = outer.step(theta, mean)
        me.commit(w=theta, done=last, **outer.memory())
    return log.close(theta, steps)


def train_alone(me, w, gradient, steps, inner, cost=None):
    """Take the steps of one round without a message; return the new parameters."""
    for step in steps:
        me.step(step)
        me.work(**(cost or {}))
        w = inner.step(w, gradient(w, step))
    return w


def rounds_of(steps, every, done=0):
    """Return (first step, step after the last) of each round to do; the last may be shorter."""
    if not every >= 1:
        raise ConfigurationError("A round must have a step.", expected="1 or more",
                                 got=repr(every), where="every=")
    return [(first, min(first + every, steps)) for first in range(done, steps, every)]

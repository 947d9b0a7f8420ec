"""Decentralised SGD: take a step down one's own slope, average with one's neighbours, repeat.

    D-PSGD     all together   w <- W (w - rate * gradient)      each round waits for neighbours
    AD-PSGD    each alone     w <- mean with one neighbour, then w - rate * gradient

               gradient    tell neighbours    hear, mix       gradient    tell ...
    peer 0     ########    ->1 ->2            1-> 2->         ########
    peer 1     ##########     ->0 ->2         0-> 2->         ##########

No peer ever holds the sum of all gradients, nor sends more than its degree a step; the mean of
all w moves as if it did. Peers are apart by about rate / gap of the graph, so a lower rate or a
better connected graph brings them together. On the complete graph D-PSGD is mini-batch SGD.

Sources: Lian et al., "Can decentralized algorithms outperform centralized algorithms?",
NeurIPS 2017; Lian, Zhang, Zhang and Liu, "Asynchronous decentralized parallel stochastic
gradient descent", ICML 2018. One-peer exponential graphs: Ying et al., NeurIPS 2021.
"""

from __future__ import annotations

from labkit.models.peer_to_peer.agreed import Log
from labkit.models.peer_to_peer.gossip import Meeting, hear, mix, tell
from labkit.models.peer_to_peer.optimisers import rate_at
from labkit.topology import at_round


def d_psgd(me, w, gradient, graph, steps, rate, overlap=False, cost=None):
    """Train by D-PSGD: everyone steps, then everyone averages with all neighbours.

    Parameters
    ----------
    me : Peer
    w : ndarray
        Where to start, the same on every peer; stays as it is.
    gradient : callable
        ``gradient(w, step)`` returns an array shaped like w: of this peer's part of the data.
    graph : Graph, or a sequence of them, or a callable
        Of `me.size` peers; a sequence is repeated, one graph a step. A callable makes it of the
        number of peers: in an elastic run that changes. There each keeps its own w after a loss,
        and a newcomer takes somebody's.
    steps : int
        The same on every peer.
    rate : float or callable
        The learning rate, or ``rate(step)``.
    overlap : bool
        Whether to average first and take the step after that, as in the paper: w <- W w - rate *
        gradient(w). Messages then travel while the gradient is computed; the gradient is older
        by one averaging.
    cost : dict, optional
        What one gradient costs, for `me.work`: ``dict(flops=..., nbytes=...)``.

    Returns
    -------
    Agreed

    Raises
    ------
    ConfigurationError
        If a graph does not fit the peers, or no weights on it keep the mean.
    """
    log, cost = Log(), cost or {}
    state = me.restore(w=w, steps=0)
    w, done = state["w"], state["steps"]
    if me.elastic:                       # who was lost may have kept some of them from a step
        done = me.allreduce(done, max)
    for step in range(done, steps):
        me.step(step)
        here = at_round(graph(me.size) if callable(graph) else graph, step)
        if overlap:
            tell(me, w, here)
        me.work(**cost)
        move = rate_at(rate, step) * gradient(w, step)
        if overlap:
            mixed, apart = hear(me, w, here)
            w = mixed - move
        else:
            w, apart = mix(me, w - move, here)
        log.disagreement.append(apart)
        me.commit(shared=False, w=w, steps=step + 1)
    return log.close(w, steps)


def ad_psgd(me, w, gradient, graph, steps, rate, seed=0, cost=None):
    """Train by AD-PSGD: everyone at its own pace, with one random neighbour a step.

    The gradient is of the w before averaging, as in the paper. Who has finished goes on
    averaging with those who ask, until all neighbours have finished.

    Parameters
    ----------
    me, w, gradient, rate, cost
        As in `d_psgd`.
    graph : Graph
        Of `me.size` peers; whichever way an edge points, both its ends move.
    steps : int
        May differ from peer to peer: fewer for a slow one.
    seed : int or Generator
        Each peer draws from a stream of its own.

    Returns
    -------
    Agreed

    Raises
    ------
    ConfigurationError
        If the graph does not fit the peers.
    """
    log, cost = Log(), cost or {}
    meeting = Meeting(me, w, graph, seed, log)
    for step in range(steps):
        me.step(step)
        me.work(**cost)
        move = rate_at(rate, step) * gradient(meeting.value, step)
        meeting.meet()
        meeting.value = meeting.value - move
    meeting.finish()
    return log.close(meeting.value, steps)

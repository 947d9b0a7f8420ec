"""One peer asks another at a time, and answers everyone meanwhile: asynchronous, yet blocking.

    peer 0   ask 1 ------------. wait for 1:  answer 2 . heard from 1 ...  done . answer . answer
    peer 1   ask 2 . wait for 2: answer 0 -'  ...                    all who may ask 1 are done: end

Two rules keep it free of deadlock, on any graph:

- who waits for an answer answers every question that comes first;
- who has finished says so to those it might have asked, and answers on until all who may ask it
  have said the same.

If two ask each other at the same time, each question is the other's answer: a message from the
peer that was asked is the answer, a message from anyone else is a question. Nothing has to be
labelled, and nobody is ever refused.

Where links may be cut for a while, a peer waits no longer than its patience, then goes on with
others: the question stays open, and whom it went to is not asked again before the answer is there.

A peer answers when it waits, not while it computes: asking a slow peer costs up to one of its
computations. Source of the rules: Lian, Zhang, Zhang and Liu, "Asynchronous decentralized
parallel stochastic gradient descent", ICML 2018, who let a second thread answer instead.
"""

from __future__ import annotations

import numpy as np

from labkit.errors import ConfigurationError
from labkit.topology import Graph

DONE = None              # in the place of a question


class Talk:
    """Questions and answers of one peer.

    Parameters
    ----------
    me : Peer
    graph : Graph
        Its `neighbours` are the peers that one may ask; directed edges are fine.
    answer : callable
        ``answer(question)`` returns the answer; called whenever a question comes.
    late : callable, optional
        ``late(question, answer)`` takes an answer that came after this peer's patience.
    patience_s : float, optional
        How long to wait for an answer; for ever, by default.

    Raises
    ------
    ConfigurationError
        If the graph is not one of `me.size` peers.
    """

    def __init__(self, me, graph, answer, late=None, patience_s=None):
        check_graph(me, graph)
        self._me = me
        self._answer = answer
        self._late = late
        self._patience_s = patience_s
        self._open = {}                  # peer -> the question that it has not answered in time
        self.neighbours = graph.neighbours[me.rank]
        self._may_ask = set(graph.sources[me.rank])

    def free(self):
        """Return the neighbours that may be asked now."""
        return [other for other in self.neighbours if other not in self._open]

    def ask(self, other, question):
        """Return the answer of peer `other`, or the question that it asked at the same time.

        None if it has not come in time.
        """
        me, patience_s = self._me, self._patience_s
        until = None if patience_s is None else me.now() + patience_s
        with me.channel("gossip"):
            me.send(other, question)
            while True:
                found = me.recv_any(None if until is None else max(0.0, until - me.now()))
                if found is None:
                    self._open[other] = question
                    return None
                source, message = found
                if message is not DONE and source == other:
                    return message
                self._hear(source, message)

    def listen(self):
        """Answer for as long as this peer would wait for an answer."""
        with self._me.channel("gossip"):
            found = self._me.recv_any(self._patience_s)
            if found is not None:
                self._hear(*found)

    def finish(self):
        """Answer until nobody will ask any more, and no answer is missing."""
        with self._me.channel("gossip"):
            for other in self.neighbours:
                self._me.send(other, DONE)
            while self._may_ask or self._open:
                self._hear(*self._me.recv_any())
        # Or the first question of a next talk could reach someone who is still in this one.
        self._me.barrier()

    def _hear(self, source, message):
        if message is DONE:
            self._may_ask.discard(source)
        elif source in self._open:
            self._late(self._open.pop(source), message)
        else:
            self._me.send(source, self._answer(message))


def check_graph(me, graph):
    """Raise ConfigurationError unless `graph` is a Graph of all peers."""
    if not isinstance(graph, Graph) or graph.size != me.size:
        raise ConfigurationError(
            "The graph does not fit the peers.", where=me.place(), got=repr(graph)[:80],
            expected=f"a Graph of {me.size} peers",
            remedy=f'labkit.topology.graph("ring", {me.size}), for example')


def stream(seed, rank):
    """Return the random numbers of one peer: the same seed, a stream of its own.

    Parameters
    ----------
    seed : int or Generator
        A Generator is asked for its seed, not for numbers: it stays as it is.
    rank : int
    """
    key = ()
    if isinstance(seed, np.random.Generator):
        sequence = seed.bit_generator.seed_seq
        seed, key = sequence.entropy, sequence.spawn_key
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*key, rank)))


def pick(rng, ranks):
    """Return one of `ranks` at random."""
    return ranks[rng.integers(len(ranks))]

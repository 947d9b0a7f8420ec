"""Gossip: everyone finds the mean of all values by talking to neighbours only.

    synchronous   x <- W x            all at once: the weighted mean of neighbours, self included
    pairwise      x_i, x_j <- mean    a peer and a random neighbour, each at its own pace
    push-sum      (s, w)/2 --->       half of what one has goes to a random neighbour; s/w is the
                                      estimate, so that nobody has to send anything back

    synchronous, values 9 0 0:     complete graph   3 3 3
                                   path 0--1--2     6 3 0,  then 5 3 1,  ...  4.0 3 2.0  ...  3 3 3

All three leave the sum over peers as it is and shrink the differences. Values are arrays of any
shape, the same on all peers. `labkit.topology` predicts how many rounds it takes.

Sources: Xiao and Boyd, "Fast linear iterations for distributed averaging", Systems & Control
Letters 53, 2004; Boyd, Ghosh, Prabhakar and Shah, "Randomized gossip algorithms", IEEE
Transactions on Information Theory 52, 2006; Kempe, Dobra and Gehrke, "Gossip-based computation
of aggregate information", FOCS 2003.
"""

from __future__ import annotations

from labkit.models.peer_to_peer.agreed import Log, distance
from labkit.models.peer_to_peer.push import push_sum
from labkit.models.peer_to_peer.talk import Talk, check_graph, pick, stream
from labkit.topology import at_round

__all__ = ["Meeting", "mix", "pairwise", "push_sum", "synchronous"]


def synchronous(me, value, graph, rounds, mean=None):
    """Average with all neighbours at once, `rounds` times.

    Parameters
    ----------
    me : Peer
    value : ndarray
        What this peer has; stays as it is.
    graph : Graph, or a sequence of them
        Of `me.size` peers; a sequence is repeated, one graph a round.
    rounds : int
    mean : ndarray, optional
        The true mean, to record errors against; no peer makes use of it.

    Returns
    -------
    Agreed

    Raises
    ------
    ConfigurationError
        If a graph does not fit the peers, or no weights on it keep the mean.
    """
    log = Log(mean)
    log.note(value)
    for number in range(rounds):
        me.step(number)
        value, apart = mix(me, value, at_round(graph, number))
        log.disagreement.append(apart)
        log.note(value)
    return log.close(value, rounds)


def mix(me, value, graph):
    """Do one round of x <- W x; return the new x, and the largest distance to a neighbour's."""
    tell(me, value, graph)
    return hear(me, value, graph)


def tell(me, value, graph):
    """Send `value` to all neighbours.

    `me.send` does not wait until the other asks for the message, so that all may send before
    anyone receives: no deadlock on any graph, and one latency a round. To exchange with one
    neighbour after the other is free of deadlock as well if all begin with the lowest rank, but
    makes a chain of those who wait: 63 latencies for the first round on a ring of 64.
    """
    check_graph(me, graph)
    # The next higher rank first: if all began with the lowest, that one's port would be busy.
    for other in sorted(graph.neighbours[me.rank], key=lambda rank: (rank - me.rank) % me.size):
        me.send(other, value)


def hear(me, value, graph):
    """Receive what neighbours have sent; return the weighted mean and the largest distance."""
    weights, apart = graph.weights(me.rank), 0.0
    mixed = weights[me.rank] * value
    for source in graph.sources[me.rank]:
        received = me.recv(source)
        mixed = mixed + weights[source] * received
        apart = max(apart, distance(received, value))
    return mixed, apart


class Meeting:
    """A value that this peer and its neighbours average two by two.

    Both of a pair move half the way to the value that the other had when the two were
    exchanged. Should one of them meet a third peer in between, the two moves are still equal
    and opposite: the sum over peers stays. In a crowd that does nothing but ask, this happens so
    often that it agrees at 0.7 times the rate of exchanges that follow one another.
    """

    def __init__(self, me, value, graph, seed, log, patience_s=None):
        self.value = value
        self._talk = Talk(me, graph, self._answer, self._move, patience_s)
        self._rng = stream(seed, me.rank)
        self._log = log
        self.finish = self._talk.finish

    def meet(self):
        """Average with a random neighbour, if there is one."""
        others = self._talk.free()
        if others:
            mine = self.value
            theirs = self._talk.ask(pick(self._rng, others), mine)
            if theirs is not None:
                self._move(mine, theirs)
        elif self._talk.neighbours:
            self._talk.listen()

    def _move(self, mine, theirs):
        # While this peer waited, others may have changed its value: move it, do not set it.
        self.value = self.value + (theirs - mine) / 2
        self._log.disagreement.append(distance(theirs, mine))

    def _answer(self, theirs):
        mine = self.value
        self.value = mine + (theirs - mine) / 2
        return mine


def pairwise(me, value, graph, rounds, seed=0, mean=None, patience_s=None):
    """Average with one random neighbour after the other, at this peer's own pace.

    Parameters
    ----------
    me : Peer
    value : ndarray
        What this peer has; stays as it is.
    graph : Graph
        Of `me.size` peers; whichever way an edge points, both its ends move.
    rounds : int
        How often this peer asks; it may differ from peer to peer.
    seed : int or Generator
        Each peer draws from a stream of its own.
    mean : ndarray, optional
        As in `synchronous`.
    patience_s : float, optional
        How long to wait for a neighbour's answer before the next round; it counts when it comes.
        So a peer goes on with those that it can reach while the network is parted.

    Returns
    -------
    Agreed
        With errors after each of this peer's own rounds.

    Raises
    ------
    ConfigurationError
        If the graph does not fit the peers.
    """
    log = Log(mean)
    meeting = Meeting(me, value, graph, seed, log, patience_s)
    log.note(value)
    for number in range(rounds):
        me.step(number)
        meeting.meet()
        log.note(meeting.value)
    meeting.finish()
    return log.close(meeting.value, rounds)

"""Push-sum: everyone gives half of what it has to somebody, and nothing is ever lost.

    peer i has (s, w)      sum and weight, (x_i, 1) at first
    each round             keeps (s/2, w/2), sends (s/2, w/2) to one random neighbour
    its estimate           s / w

The s of all peers and of all messages under way always add up to the sum of the x_i, and the w
to n. Where they go does not matter, as long as they mix: edges may have one direction, degrees
may differ, no weights have to be worked out. Halving is exact in binary arithmetic, so that mass
is conserved up to the rounding of the additions, and exactly for fractions.

Source: Kempe, Dobra and Gehrke, "Gossip-based computation of aggregate information", FOCS 2003.
Theirs are rounds that all peers begin together; here each goes on as soon as the other has taken
what it sent.
"""

from __future__ import annotations

from labkit.errors import ConfigurationError
from labkit.models.peer_to_peer.agreed import Log, distance
from labkit.models.peer_to_peer.talk import Talk, pick, stream

TAKEN = ()               # the answer to a share: it carries no mass


def push_sum(me, value, graph, rounds, weight=1.0, seed=0, mean=None):
    """Find the weighted mean of all peers' values by pushing halves to random neighbours.

    Parameters
    ----------
    me : Peer
    value : ndarray
        What this peer has; stays as it is.
    graph : Graph
        Of `me.size` peers; a path must lead from everyone to everyone.
    rounds : int
        How often this peer pushes; it may differ from peer to peer.
    weight : float
        How much `value` counts, more than 0: the rows behind it, for example.
    seed : int or Generator
        Each peer draws from a stream of its own.
    mean : ndarray, optional
        The true weighted mean, to record errors against; no peer makes use of it.

    Returns
    -------
    Agreed
        With `weight`, so that ``value * weight`` is the mass in hand. Its disagreement has one
        entry for each share received.

    Raises
    ------
    ConfigurationError
        For a weight of 0 or less, or if the graph does not fit the peers.
    """
    log, rng = Log(mean), stream(seed, me.rank)
    mass = _Mass(value, weight, log)
    talk = Talk(me, graph, mass.take)
    log.note(value)
    for number in range(rounds):
        me.step(number)
        if talk.neighbours:
            mass.take(talk.ask(pick(rng, talk.neighbours), mass.give_half()))
        log.note(mass.estimate())
    talk.finish()
    return log.close(mass.estimate(), rounds, mass.weight)


class _Mass:
    """The sum and the weight that one peer has in hand."""

    def __init__(self, value, weight, log):
        if not weight > 0:
            raise ConfigurationError("A value must have a weight.", expected="more than 0",
                                     got=repr(weight), where="weight=")
        self.sum = value * weight
        self.weight = weight
        self._log = log

    def estimate(self):
        return self.sum / self.weight

    def give_half(self):
        self.sum, self.weight = self.sum / 2, self.weight / 2
        return self.sum, self.weight

    def take(self, share):
        """Add a share, and say that it was taken."""
        if share != TAKEN:
            more, weight = share
            self._log.disagreement.append(distance(more / weight, self.estimate()))
            self.sum, self.weight = self.sum + more, self.weight + weight
        return TAKEN

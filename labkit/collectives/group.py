"""Some of the peers as a group of their own, and all-reduce in two levels.

    host A   0 1 2 3        1. in each group: reduce to its leader     fast links
    host B   4 5 6 7        2. leaders 0 and 4: all-reduce             slow links, m bytes each
                            3. in each group: broadcast                fast links
"""

from __future__ import annotations

import math

from labkit.collectives.exchange import doubling, pairwise
from labkit.collectives.tree import broadcast, reduce

SHORT = 64 * 1024


class Group:
    """Peers `ranks` seen as all there are: within the group, ranks count from 0.

    Parameters
    ----------
    me : Peer
        One of them.
    ranks : sequence of int
        The same on each of them.
    """

    def __init__(self, me, ranks):
        self._me = me
        self._ranks = list(ranks)
        self.rank = self._ranks.index(me.rank)
        self.size = len(self._ranks)

    def send(self, to, message):
        self._me.send(self._ranks[to], message)

    def recv(self, source):
        return self._me.recv(self._ranks[source])

    def sendrecv(self, to, message, source):
        return self._me.sendrecv(self._ranks[to], message, self._ranks[source])

    def _post(self, to, array):
        self._me._post(self._ranks[to], array)

    def _recv_into(self, source, out, op=None):
        return self._me._recv_into(self._ranks[source], out, op)

    def _combine_into(self, sources, own, out, op):
        self._me._combine_into([self._ranks[source] for source in sources], own, out, op)

    def _flush(self):
        self._me._flush()


def hierarchical(me, array, out, op, group_size=None):
    """All-reduce of a flat array in groups of neighbours, then between their leaders.

    Parameters
    ----------
    me : Peer
    array, out : ndarray, flat
    op : ufunc
    group_size : int, optional
        Peers a group, all of one host for example; the last group may be smaller. By default
        about the square root of all.
    """
    size = group_size or max(1, math.isqrt(me.size))
    first = me.rank // size * size
    group = Group(me, range(first, min(first + size, me.size)))
    total = reduce(group, array, op, 0)
    if group.rank == 0:
        leaders = Group(me, range(0, me.size, size))
        if leaders.size == 1:
            out[...] = total
        elif total.nbytes <= SHORT:
            out[...] = doubling(leaders, total, op)
        else:
            pairwise(leaders, total, out, op)
    total = broadcast(group, out, 0)
    if group.rank:
        out[...] = total

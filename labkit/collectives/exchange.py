"""Peers that exchange with all others in turn, or with partners ever further away.

    pairwise, 4 peers                   doubling, 8 peers: peer 0's partners

    part 0 of 1, 2, 3 --> peer 0        round 1   0-1
    part 1 of 0, 2, 3 --> peer 1        round 2   0-2     each knows the sum of 2, 4, 8
    part 2 of 0, 1, 3 --> peer 2        round 3   0-4
    part 3 of 0, 1, 2 --> peer 3
    ... and each sum to all             halving: the same partners, half the bytes each round
"""

from __future__ import annotations

import numpy as np


def doubling(me, value, op):
    """All-reduce by recursive doubling; peers beyond a power of two fold in first."""
    power = 1 << (me.size.bit_length() - 1)
    extra = me.size - power
    if me.rank >= power:
        me.send(me.rank - power, value)
        return me.recv(me.rank - power)
    if me.rank < extra:
        value = op(value, me.recv(me.rank + power))
    distance = 1
    while distance < power:
        other = me.rank ^ distance
        received = me.sendrecv(other, value, other)
        # The lower rank's value goes first on both sides, so that both compute the same bits.
        value = op(value, received) if me.rank < other else op(received, value)
        distance *= 2
    if me.rank < extra:
        me.send(me.rank + power, value)
    return value


def reduce_scatter(me, array, op):
    """Return this peer's part of the sum; parts are those of `numpy.array_split`.

    Parameters
    ----------
    me : Peer or Group
    array : ndarray
        The same length on every peer.
    op : ufunc

    Returns
    -------
    ndarray
        Rows `np.array_split(array, me.size)[me.rank]` of the combined array.
    """
    parts = np.array_split(np.ascontiguousarray(array), me.size)
    mine = np.empty_like(parts[me.rank])
    _collect(me, parts, mine, op)
    return mine


def pairwise(me, array, out, op):
    """All-reduce of a flat array: each peer adds up one part of all, and gives it to all."""
    parts, results = np.array_split(array, me.size), np.array_split(out, me.size)
    mine = results[me.rank]
    _collect(me, parts, mine, op)
    for other in _others(me):
        me._post(other, mine)
    for other in reversed(_others(me)):
        me._recv_into(other, results[other])
    me._flush()


def _collect(me, parts, mine, op):
    """Send each peer its part, and combine what comes with this peer's own, in `mine`."""
    for other in _others(me):
        me._post(other, parts[other])
    me._combine_into(_others(me)[::-1], parts[me.rank], mine, op)
    me._flush()


def _others(me):
    """All other ranks, the next one first: no two peers begin with the same."""
    return [(me.rank + step) % me.size for step in range(1, me.size)]


def halving(me, array, out, op):
    """All-reduce by recursive halving, then doubling (Rabenseifner), of a flat array."""
    if not np.may_share_memory(out, array):
        out[...] = array
    power = 1 << (me.size.bit_length() - 1)
    extra = me.size - power
    if me.rank >= power:
        me.send(me.rank - power, out)
        me._recv_into(me.rank - power, out)
        return
    if me.rank < extra:
        me._recv_into(me.rank + power, out, op)
    first, last, steps = 0, out.size, []
    distance = power // 2
    while distance:                              # reduce-scatter: keep half, give half away
        other, middle = me.rank ^ distance, (first + last) // 2
        steps.append((other, first, last))
        low = me.rank < other
        give = slice(middle, last) if low else slice(first, middle)
        first, last = (first, middle) if low else (middle, last)
        me._post(other, out[give])
        me._recv_into(other, out[first:last], op)
        me._flush()
        distance //= 2
    for other, begin, end in reversed(steps):    # all-gather: the way back
        me._post(other, out[first:last])
        me._recv_into(other, out[begin:first] if begin < first else out[last:end])
        me._flush()
        first, last = begin, end
    if me.rank < extra:
        me.send(me.rank + power, out)


def alltoall(me, values):
    """Send `values[i]` to peer i; return what each peer sent here, by rank."""
    received = [None] * me.size
    received[me.rank] = values[me.rank]
    for step in range(1, me.size):
        to, source = (me.rank + step) % me.size, (me.rank - step) % me.size
        received[source] = me.sendrecv(to, values[to], source)
    return received


def barrier(me):
    """Return once every peer has called it."""
    nothing = np.empty(0)
    distance = 1
    while distance < me.size:
        me.sendrecv((me.rank + distance) % me.size, nothing, (me.rank - distance) % me.size)
        distance *= 2

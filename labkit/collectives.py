"""Collective operations from `send` and `recv` alone.

    broadcast, reduce   binomial tree          ceil(log2 n) rounds
    allreduce, short    recursive doubling     log2 n rounds of m bytes
    allreduce, long     ring                   2(n-1) rounds of m/n bytes
    allgather           ring                   n-1 rounds
    alltoall            pairwise exchange      n-1 rounds
    barrier             dissemination          ceil(log2 n) rounds

n peers, messages of m bytes. Sources: Thakur, Rabenseifner and Gropp,
"Optimization of collective communication operations in MPICH", IJHPCA 19,
2005; Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 69,
2009; Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization",
IJPP 17, 1988 (dissemination).
"""

from __future__ import annotations

import numpy as np

LONG_MESSAGE = 64 * 1024
"""Bytes from which the ring's fewer bytes outweigh its more rounds."""


def broadcast(me, message, root):
    """Return the root's message on every peer."""
    relative = (me.rank - root) % me.size
    distance = 1
    while distance < me.size:
        if relative < distance:
            if relative + distance < me.size:
                me.send((me.rank + distance) % me.size, message)
        elif relative < 2 * distance:
            message = me.recv((me.rank - distance) % me.size)
        distance *= 2
    return message


def reduce(me, value, op, root):
    """Return `op` over all values on the root, None elsewhere."""
    relative = (me.rank - root) % me.size
    distance = 1
    while distance < me.size:
        if relative & distance:
            me.send((me.rank - distance) % me.size, value)
            return None
        if relative + distance < me.size:
            value = op(value, me.recv((me.rank + distance) % me.size))
        distance *= 2
    return value


def allreduce(me, value, op):
    """Return `op` over all values on every peer, bit for bit the same everywhere."""
    elementwise = isinstance(value, np.ndarray) and isinstance(op, np.ufunc)
    if elementwise and me.size > 2 and value.nbytes > LONG_MESSAGE:
        return ring_allreduce(me, value, op)
    return doubling_allreduce(me, value, op)


def doubling_allreduce(me, value, op):
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


def ring_allreduce(me, array, op):
    """All-reduce by reduce-scatter and all-gather around a ring."""
    total = array.copy()
    parts = np.array_split(total.reshape(-1), me.size)
    right, left = (me.rank + 1) % me.size, (me.rank - 1) % me.size
    for step in range(me.size - 1):
        mine = parts[(me.rank - step - 1) % me.size]
        op(mine, me.sendrecv(right, parts[(me.rank - step) % me.size], left), out=mine)
    for step in range(me.size - 1):
        parts[(me.rank - step) % me.size][:] = me.sendrecv(
            right, parts[(me.rank - step + 1) % me.size], left)
    return total


def allgather(me, value):
    """Return the list of all values, by rank, on every peer."""
    values = [None] * me.size
    values[me.rank] = value
    right, left = (me.rank + 1) % me.size, (me.rank - 1) % me.size
    for step in range(me.size - 1):
        values[(me.rank - step - 1) % me.size] = me.sendrecv(
            right, values[(me.rank - step) % me.size], left)
    return values


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

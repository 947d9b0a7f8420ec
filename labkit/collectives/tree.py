"""A binomial tree: those who know double in every round.

    round 1   0 -> 1
    round 2   0 -> 2   1 -> 3                  reduce: the same tree, the other way
    round 3   0 -> 4   1 -> 5   2 -> 6   3 -> 7
"""

from __future__ import annotations


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


def tree(me, value, op):
    """All-reduce: to peer 0 and back."""
    return broadcast(me, reduce(me, value, op, 0), 0)

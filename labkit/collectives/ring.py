"""Round a ring: each peer sends to its right and receives from its left, all at the same time.

    step 0   peer 0 --part 0--> peer 1 --part 1--> peer 2 --part 2--> peer 0
    step 1   peer 0 --part 2--> peer 1 --part 0--> peer 2 --part 1--> peer 0
             now peer 0 has the sum of part 1, peer 1 of part 2, peer 2 of part 0

Every link carries the same number of bytes, and no peer talks to more than two others.
"""

from __future__ import annotations

import numpy as np


def ring(me, array, out, op):
    """All-reduce of a flat array: reduce-scatter once round, all-gather once more."""
    if not np.may_share_memory(out, array):
        out[...] = array
    parts = np.array_split(out, me.size)
    right, left = (me.rank + 1) % me.size, (me.rank - 1) % me.size
    for step in range(me.size - 1):
        me._post(right, parts[(me.rank - step) % me.size])
        me._recv_into(left, parts[(me.rank - step - 1) % me.size], op)
        me._flush()
    for step in range(me.size - 1):
        me._post(right, parts[(me.rank - step + 1) % me.size])
        me._recv_into(left, parts[(me.rank - step) % me.size])
        me._flush()


def allgather(me, value):
    """Return the list of all values, by rank, on every peer."""
    values = [None] * me.size
    values[me.rank] = value
    right, left = (me.rank + 1) % me.size, (me.rank - 1) % me.size
    for step in range(me.size - 1):
        values[(me.rank - step - 1) % me.size] = me.sendrecv(
            right, values[(me.rank - step) % me.size], left)
    return values

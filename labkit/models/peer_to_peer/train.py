"""Peer to peer: everyone decides, and everyone decides the same.

    peer 0   drive -- ask --+                +-- combined --> drive ...
    peer 1   drive -- ask --+-- all-reduce --+-- combined --> drive ...
    peer 2   drive -- ask --+                +-- combined --> drive ...

An all-reduce gives all peers the same bits, so the same deterministic optimiser takes the
same decisions everywhere and nothing but answers has to travel: the question is known.
An answer of m bytes costs each of n peers log2(n) messages of m bytes when it is short, and
2(n-1) messages of m/n bytes when it is long (`labkit.collectives`).

In an elastic run the answers are what is committed: after a loss `drive` runs through the ones
that are known without a message, and goes on from there.

Source: Agarwal, Chapelle, Dudik and Langford, "A reliable effective terascale linear
learning system", JMLR 15, 2014: all-reduce with L-BFGS.
"""

from __future__ import annotations

from itertools import count

import numpy as np

from labkit.elastic import Known


def train(me, local, drive):
    """Run `drive` on every peer against the data of all of them.

    Parameters
    ----------
    me : Peer
    local : object
        This peer's shard: `answer(question, value)` and `work(question)`.
    drive : callable
        ``drive(ask)``, deterministic: it must ask the same questions on every peer.

    Returns
    -------
    object
        What `drive` returns: the same on every peer, to the last bit.
    """
    number, known = count(), Known(me)

    def ask(question, value=None, op=np.add):
        step = next(number)
        if step < len(known):
            return known[step]
        me.step(step)
        me.work(**local.work(question))
        return known.add(me.allreduce(local.answer(question, value), op))

    return drive(ask)

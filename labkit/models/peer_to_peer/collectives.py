"""Collective operations among peers, by name: what `me.allreduce` and its relatives are made of.

    all-reduce               before                 after
                             peer 0   a             a + b + c
                             peer 1   b             a + b + c
                             peer 2   c             a + b + c

    reduce_scatter           [a0 a1 a2] ...         peer i: ai + bi + ci
    allgather                a                      [a b c] on all
    alltoall                 [a0 a1 a2] ...         peer i: [ai bi ci]
    broadcast                a on the root          a on all

Programs call ``me.allreduce(value, op, algorithm="ring", out=None)``. The algorithms themselves
are short functions, made to be read: `ring`, `tree`, `doubling`, `halving`, `pairwise` and
`hierarchical`; "auto" takes the one that `choose` finds for the message's size and the number of
peers. `Group` makes some of the peers a world of their own.

`labkit.collectives` holds them, their costs and their sources.
"""

from __future__ import annotations

from labkit.collectives import (
    ALGORITHMS,
    Group,
    allgather,
    allreduce,
    alltoall,
    barrier,
    broadcast,
    choose,
    reduce,
    reduce_scatter,
)
from labkit.collectives.exchange import doubling, halving, pairwise
from labkit.collectives.group import hierarchical
from labkit.collectives.ring import ring
from labkit.collectives.tree import tree

__all__ = ["ALGORITHMS", "Group", "allgather", "allreduce", "alltoall", "barrier", "broadcast",
           "choose", "doubling", "halving", "hierarchical", "pairwise", "reduce",
           "reduce_scatter", "ring", "tree"]

"""Who talks to whom: graphs as data, and how fast a mean spreads over them.

    ring         torus           tree        hypercube       exponential, peer 0 of 8
    0-1-2-3      0-1-2              0        0--1  4--5      0 -> 1    0 -> 2    0 -> 4
    |     |      3-4-5  and        / \\       |  |  |  |      all at once ("exponential"), or one
    7-6-5-4      6-7-8  around    1   2      2--3  6--7      a round ("one-peer": a sequence)

Peers that average with their neighbours, x <- W x with a doubly stochastic W (rows and columns
add up to 1), keep the mean and shrink every difference from it by 1 - gap a round, where the
spectral gap is 1 minus the second largest |eigenvalue| of W:

    ring      4 pi^2 / 3 n^2       torus        4 pi^2 / 5 n          tree      about 1/4n
    complete  1                    hypercube    2 / (1 + log2 n)      random    constant
                                   exponential  2 / (1 + ceil(log2 n))

    graphs         a graph as data, and its weights       random_graph   drawn at random
    families       the graphs above, by name              mixing         W, gaps, rounds

Sources: Xiao and Boyd, "Fast linear iterations for distributed averaging", Systems & Control
Letters 53, 2004; Ying et al., "Exponential graph is provably efficient for decentralized deep
training", NeurIPS 2021.
"""

from labkit.topology.families import (
    NEIGHBOURS,
    complete,
    exponential,
    graph,
    hops,
    hypercube,
    one_peer_exponential,
    ring,
    torus,
    tree,
)
from labkit.topology.graphs import Graph, at_round
from labkit.topology.mixing import (
    closed_form_gap,
    mixing_matrix,
    rounds_to_reach,
    spectral_gap,
)
from labkit.topology.random_graph import random_regular

__all__ = ["NEIGHBOURS", "Graph", "at_round", "closed_form_gap", "complete", "exponential",
           "graph", "hops", "hypercube", "mixing_matrix", "one_peer_exponential",
           "random_regular", "ring", "rounds_to_reach", "spectral_gap", "torus", "tree"]

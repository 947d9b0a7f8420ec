"""Random graphs in which all have the same number of neighbours.

    3 ends each   0 0 0  1 1 1  2 2 2  3 3 3      shuffle, join two by two
    joined        0-2  1-3  0-1  3-2  ...         a loop, or a second edge: shuffle those again

Few edges, and yet nobody is far from anybody: the spectral gap of a random graph of three or
more neighbours does not shrink as peers are added.

Sources: Steger and Wormald, "Generating random regular graphs quickly", Combinatorics,
Probability and Computing 8, 1999; Friedman, "A proof of Alon's second eigenvalue conjecture",
STOC 2003, for the gap.
"""

from __future__ import annotations

import numpy as np

from labkit.errors import ConfigurationError
from labkit.topology.graphs import Graph, whole


def random_regular(n, degree, seed=0):
    """Return a connected graph in which everyone has `degree` neighbours, drawn at random.

    Parameters
    ----------
    n, degree : int
        `n * degree` must be even, for each edge has two ends.
    seed : int or Generator

    Raises
    ------
    ConfigurationError
        If there is no such graph.
    """
    n, degree = whole("n", n), whole("degree", degree)
    if degree >= n or n * degree % 2 or (degree == 1 and n > 2):
        raise ConfigurationError("There is no such connected graph.", got=f"{n} peers of {degree}",
                                 expected="a degree below n, 2 or more, n * degree even",
                                 where="degree=")
    rng = np.random.default_rng(seed)
    while True:                              # a draw may get stuck, or fall into pieces
        edges = _pair_up(np.repeat(np.arange(n), degree), rng)
        if edges and _connected(edges, n):
            return Graph(f"random {degree}-regular", tuple(tuple(sorted(e)) for e in edges))


def _pair_up(ends, rng):
    """Join ends of edges at random; None when those that are left cannot be joined."""
    edges = [set() for _ in range(max(ends) + 1)]
    while len(ends):
        left = []
        for a, b in rng.permutation(ends).reshape(-1, 2).tolist():
            if a == b or a in edges[b]:
                left += [a, b]
            else:
                edges[a].add(b)
                edges[b].add(a)
        if len(left) == len(ends):
            return None
        ends = left
    return edges


def _connected(edges, n):
    seen, new = {0}, {0}
    while new:
        new = set().union(*(edges[rank] for rank in new)) - seen
        seen |= new
    return len(seen) == n

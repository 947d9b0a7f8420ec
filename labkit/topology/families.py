"""Graphs by name: each is a function of one rank among n.

    ring(0, 8) = {1, 7}      hypercube(0, 8) = {1, 2, 4}      complete(0, 8) = everyone
    tree(0, 8) = {1, 2}      exponential(0, 8) = {1, 2, 4}    torus(0, 9) = {1, 2, 3, 6}

A rank may find itself or one peer twice where n is small: `graph` takes that out.

Source: Ying et al., "Exponential graph is provably efficient for decentralized deep training",
NeurIPS 2021, for the exponential ones.
"""

from __future__ import annotations

import math

from labkit.errors import ConfigurationError
from labkit.topology.graphs import Graph, whole


def ring(rank, n):
    """The next peer and the one before."""
    return {(rank + 1) % n, (rank - 1) % n}


def torus(rank, n):
    """Up, down, left and right in a grid that closes around, as near to square as n allows."""
    columns = n // rows_of(n)
    row, column = divmod(rank, columns)
    first = row * columns
    return {(rank + columns) % n, (rank - columns) % n,
            first + (column + 1) % columns, first + (column - 1) % columns}


def tree(rank, n, arity=2):
    """The parent, and up to `arity` children."""
    parent = {(rank - 1) // arity} if rank else set()
    return parent | set(range(arity * rank + 1, min(arity * (rank + 1) + 1, n)))


def hypercube(rank, n):
    """Ranks that differ in one bit; n is a power of two."""
    if n & (n - 1):
        raise ConfigurationError("A hypercube has a power of two of peers.", got=n,
                                 expected=f"{1 << n.bit_length() - 1} or {1 << n.bit_length()}",
                                 where="n=", remedy="an exponential graph takes any number")
    return {rank ^ (1 << bit) for bit in range(hops(n))}


def exponential(rank, n):
    """Ranks 1, 2, 4, 8 ... further on: a directed graph."""
    return {(rank + (1 << hop)) % n for hop in range(hops(n))}


def complete(rank, n):
    """Everyone."""
    return set(range(n))


NEIGHBOURS = {"ring": ring, "torus": torus, "tree": tree, "hypercube": hypercube,
              "exponential": exponential, "complete": complete}


def graph(name, n, **options):
    """Return one of the graphs in `NEIGHBOURS` on n peers.

    Parameters
    ----------
    name : str
    n : int
        1 or more.
    **options
        For "tree": ``arity=2``, children a peer.

    Returns
    -------
    Graph

    Raises
    ------
    ConfigurationError
        For an unknown name, or a number of peers on which there is no such graph.
    """
    check_name(name)
    n = whole("n", n)
    found = (NEIGHBOURS[name](rank, n, **options) - {rank} for rank in range(n))
    return Graph(name, tuple(tuple(sorted(others)) for others in found))


def one_peer_exponential(n):
    """Return a sequence of graphs: in round k, every peer sends 2^k further on, and only there.

    If n is a power of two, log2 n rounds give everyone the exact mean.

    Returns
    -------
    tuple of Graph
        One period, to be repeated.
    """
    n = whole("n", n)
    return tuple(Graph(f"one-peer exponential, hop {1 << hop}",
                       tuple(((rank + (1 << hop)) % n,) for rank in range(n)))
                 for hop in range(hops(n))) or (Graph("one-peer exponential", ((),)),)


def hops(n):
    """Return ceil(log2 n): how many doublings reach n."""
    return (n - 1).bit_length()


def check_name(name):
    """Raise ConfigurationError unless `name` is in `NEIGHBOURS`."""
    if name not in NEIGHBOURS:
        raise ConfigurationError("This graph is not known.", got=repr(name), where="name=",
                                 expected=", ".join(map(repr, NEIGHBOURS)))


def rows_of(n):
    """The largest divisor of n up to its square root."""
    return next(rows for rows in range(math.isqrt(n), 0, -1) if n % rows == 0)

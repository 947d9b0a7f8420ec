"""How fast a mean spreads: the matrix of one round, its spectral gap, and rounds to come.

    x(k) - mean  =  W^k (x(0) - mean)       |x(k) - mean|  <=  (1 - gap)^k |x(0) - mean|

    rounds to a tolerance  =  log tolerance / log(1 - gap),  about  log(1 / tolerance) / gap

On a ring of n peers the gap is about 13/n^2: twice the peers need four times the rounds. On an
exponential graph it is 2 / (1 + log2 n).

Sources: Boyd, Diaconis and Xiao, "Fastest mixing Markov chain on a graph", SIAM Review 46, 2004;
Ying et al., "Exponential graph is provably efficient for decentralized deep training",
NeurIPS 2021.
"""

from __future__ import annotations

import math

import numpy as np

from labkit.errors import ConfigurationError
from labkit.topology.families import check_name, hops, rows_of
from labkit.topology.graphs import whole


def mixing_matrix(graph, weights="metropolis"):
    """Return W, doubly stochastic, shape (n, n): x <- W x averages with the neighbours.

    Parameters
    ----------
    graph : Graph
    weights : {"metropolis", "uniform"}
        "uniform" is 1 / (1 + degree) for all, and needs a regular graph; "metropolis" is the
        same there, and works on every undirected graph.

    Raises
    ------
    ConfigurationError
        For weights that are not known, or would not add up to 1 in this graph.
    """
    if weights not in ("metropolis", "uniform"):
        raise ConfigurationError("These weights are not known.", got=repr(weights),
                                 expected="'metropolis' or 'uniform'", where="weights=")
    if weights == "uniform" and not graph.is_regular:
        raise ConfigurationError("Uniform weights would not keep the mean.", got=graph.name,
                                 expected="a regular graph", where="weights=",
                                 remedy="weights='metropolis'")
    W = np.zeros((graph.size, graph.size))
    for rank in range(graph.size):
        row = graph.weights(rank)
        W[rank, list(row)] = list(row.values())
    return W


def spectral_gap(W):
    """Return 1 - the largest factor by which x <- W x shrinks differences from the mean."""
    # For symmetric and circulant W, which are normal, this norm is the second |eigenvalue|.
    return 1.0 - float(np.linalg.norm(W - 1 / len(W), 2))


def closed_form_gap(name, n):
    """Return the spectral gap by formula; None where there is none.

    Parameters
    ----------
    name : str
        A name in `NEIGHBOURS`; weights are uniform.
    n : int
        For a torus, both sides must be 3 or more; for an exponential graph, n must be even.

    Raises
    ------
    ConfigurationError
        For an unknown name, or an impossible n.
    """
    check_name(name)
    n = whole("n", n)
    if name == "complete" or n < 3:
        return 1.0
    if name == "ring":
        return 2 / 3 * (1 - math.cos(2 * math.pi / n))
    if name == "torus" and rows_of(n) > 2:
        return 2 / 5 * (1 - math.cos(2 * math.pi * rows_of(n) / n))
    if name == "hypercube" or (name == "exponential" and n % 2 == 0):
        return 2 / (1 + hops(n))
    return None


def rounds_to_reach(tolerance, gap):
    """Return how many rounds shrink differences to `tolerance` times the first: a bound.

    Raises
    ------
    ConfigurationError
        For a tolerance outside (0, 1), or a gap of a graph that never agrees.
    """
    if not (0 < tolerance < 1 and 0 < gap <= 1 + 1e-9):
        raise ConfigurationError("No number of rounds reaches this.",
                                 expected="a tolerance between 0 and 1, a gap above 0",
                                 got=f"tolerance {tolerance}, gap {gap}",
                                 remedy="a gap of 0: is the graph connected?")
    left = max(1 - gap, 0.0)
    return 1 if left <= tolerance else math.ceil(math.log(tolerance) / math.log(left))

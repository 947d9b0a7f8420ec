"""A graph as data: one tuple of ranks a peer, and the weights that keep a mean.

    Graph("path of 3", ((1,), (0, 2), (1,)))       0 -- 1 -- 2

    weights:   peer 0   2/3  1/3   0       a neighbour counts 1 / (1 + the larger degree),
               peer 1   1/3  1/3  1/3      a peer itself what is left:
               peer 2    0   1/3  2/3      rows and columns add up to 1

Source: Xiao and Boyd, "Fast linear iterations for distributed averaging", Systems & Control
Letters 53, 2004.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

from labkit.errors import ConfigurationError


@dataclass(frozen=True)
class Graph:
    """Whom each of n peers sends to."""

    name: str
    """What figures call it."""

    neighbours: tuple[tuple[int, ...], ...]
    """One tuple a peer: the ranks that it sends to, neither itself nor one twice."""

    def __post_init__(self):
        for rank, others in enumerate(self.neighbours):
            known = all(0 <= other < self.size for other in others)
            if not known or rank in others or len(set(others)) < len(others):
                raise ConfigurationError(
                    "These neighbours make no graph.", where=f"neighbours of peer {rank}",
                    expected=f"other ranks from 0 to {self.size - 1}, each once", got=others)

    @property
    def size(self):
        """The number of peers."""
        return len(self.neighbours)

    @functools.cached_property
    def sources(self):
        """One tuple a peer: the ranks that it receives from."""
        found = [[] for _ in self.neighbours]
        for rank, others in enumerate(self.neighbours):
            for other in others:
                found[other].append(rank)
        return tuple(map(tuple, found))

    @functools.cached_property
    def is_regular(self):
        """Whether all peers send to, and receive from, the same number of others."""
        return len({len(others) for others in self.neighbours + self.sources}) <= 1

    @functools.cached_property
    def is_undirected(self):
        """Whether whoever sends to a peer receives from it as well."""
        return all(set(a) == set(b) for a, b in zip(self.neighbours, self.sources))

    def weights(self, rank):
        """Return row `rank` of W as {rank: weight}: Metropolis-Hastings weights.

        A neighbour counts 1 / (1 + the larger degree of the two), the peer itself what is left.
        In a regular graph all count the same.

        Raises
        ------
        ConfigurationError
            If the columns of W would not add up to 1.
        """
        if not (self.is_undirected or self.is_regular):
            raise ConfigurationError("This graph has no doubly stochastic weights.",
                                     expected="an undirected or a regular graph", got=self.name,
                                     remedy="push-sum works on any graph")
        degree = len(self.neighbours[rank])
        row = {other: 1 / (1 + max(degree, len(self.neighbours[other])))
               for other in self.sources[rank]}
        return {rank: 1 - sum(row.values()), **row}


def at_round(graph, number):
    """Return the graph of round `number`: `graph` itself, or one of a sequence that repeats."""
    return graph if isinstance(graph, Graph) else graph[number % len(graph)]


def whole(name, number):
    try:
        found = operator.index(number)
    except TypeError:
        found = 0
    if found < 1:
        raise ConfigurationError("A graph cannot have this size.", expected="an integer, 1 or more",
                                 got=repr(number), where=f"{name}=")
    return found

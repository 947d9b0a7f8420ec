"""k-means, each step of which is a job over the shards.

    centres --> shard 0: (cluster, sum and count of its rows), ... --+
            --> shard 1: ...                                         +-- add --> new centres
                                                                     |
            <--------------------------------------------------------+    until none moves

What a step needs of the data is a sum over rows, so that a combiner leaves one pair a cluster
and shard. Source: Chu et al., "Map-Reduce for machine learning on multicore", NIPS 2006; Lloyd,
"Least squares quantization in PCM", 1982, for k-means.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from labkit.errors import ConfigurationError
from labkit.models.map_reduce.small import map_reduce

BLOCK_NUMBERS = 1 << 20      # distances at once


@dataclass(frozen=True)
class Clusters:
    """What k-means found."""

    centres: np.ndarray
    """Shape (k, n_features)."""

    inertia: float
    """The sum of squared distances of rows to the centre that is nearest, before its last move."""

    n_steps: int
    """Jobs that ran."""

    runs: list
    """One Run for each."""


def kmeans(world, X, centres, max_steps=100, tol=0.0):
    """Move centres to the means of the rows that are nearest to them, until they stay.

    Parameters
    ----------
    world : World
    X : ndarray or Shards, shape (n_rows, n_features)
    centres : ndarray, shape (k, n_features)
        Where to begin. A centre to which no row is nearest stays where it is.
    max_steps : int
        1 or more.
    tol : float
        Stop when the squared moves of all centres add up to this or less.

    Returns
    -------
    Clusters
    """
    if max_steps < 1:
        raise ConfigurationError("k-means needs steps.", expected="1 or more", got=max_steps,
                                 where="max_steps=")
    X = world.shard(X) if isinstance(X, np.ndarray) else X
    centres, runs = np.array(centres, float), []
    for _ in range(max_steps):
        found, jobs = map_reduce(world, partial(_sums, centres), _add, X, n_reducers=0,
                                 work=partial(_cost, centres))
        runs += jobs
        inertia = found.pop("inertia")
        moved = centres.copy()
        for cluster, total in found.items():
            moved[cluster] = total[:-1] / total[-1]
        shift, centres = np.sum((moved - centres) ** 2), moved
        if shift <= tol:
            break
    return Clusters(centres, float(inertia), len(runs), runs)


def _sums(centres, X):
    """Yield each cluster's sum of rows with their number at its end, and the inertia."""
    k = len(centres)
    sums, inertia = np.zeros((k, X.shape[1] + 1)), 0.0
    rows = max(1, BLOCK_NUMBERS // k)
    for first in range(0, len(X), rows):
        block = X[first:first + rows]
        distances = _distances(block, centres)
        nearest = distances.argmin(axis=1)
        inertia += distances[np.arange(len(block)), nearest].sum()
        members = nearest == np.arange(k)[:, np.newaxis]
        sums[:, :-1] += members @ block
        sums[:, -1] += members.sum(axis=1)
    yield "inertia", inertia
    yield from ((cluster, sums[cluster]) for cluster in np.flatnonzero(sums[:, -1]).tolist())


def _distances(rows, centres):
    """Return squared distances, shape (n_rows, k)."""
    return np.stack([np.square(rows - centre).sum(axis=1) for centre in centres], axis=1)


def _add(key, totals):
    return sum(totals)


def _cost(centres, X):
    """Three operations a number and centre for the distances, two for the sums."""
    return dict(flops=5.0 * X.size * len(centres), nbytes=float(X.nbytes))

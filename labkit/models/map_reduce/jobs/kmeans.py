"""k-means, each step of which is a job over shards, or over files that fit in no memory.

    centres --> item 0: (cluster, sum and count of its rows), ... --+
            --> item 1: ...                                         +-- add --> new centres
                                                                    |
            <-------------------------------------------------------+    until none moves

What a step needs of the data is a sum over rows, so an item is read block by block and leaves one
pair a cluster. A block fits in the cache, and what happens to it are two matrix products:

    x nearest to c    <=>    x.c - |c|^2 / 2 is largest        scores = centres @ block.T
    sums              =      (scores == their maximum) @ block

The origin lies amid the first centres: far from it, |x|^2 and |c|^2 would be large, and their
difference, the distance, inexact.

Source: Chu et al., "Map-Reduce for machine learning on multicore", NIPS 2006; Lloyd, "Least
squares quantization in PCM", 1982, for k-means.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from labkit.errors import ConfigurationError
from labkit.models.map_reduce.arrays import array_items, blocks_of
from labkit.models.map_reduce.small import map_reduce

BLOCK_NBYTES = 1 << 19       # fits in a core's cache


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
    X : ArrayFiles, Shards, one array, or iterable of arrays, shape (n_rows, n_features)
        Sums are taken in float64, products in float32 where that is what the rows are.
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
    items, centres, runs = array_items(world, X), np.array(centres, float), []
    # The same in all steps, so that the same rows have the same sum to the last bit.
    origin = np.median(centres, axis=0)
    for _ in range(max_steps):
        found, jobs = map_reduce(world, partial(_sums, origin, centres), _add, items,
                                 n_reducers=0, work=partial(_cost, centres))
        runs += jobs
        inertia = found.pop("inertia")
        moved = centres.copy()
        for cluster, total in found.items():
            moved[cluster] = total[:-1] / total[-1]
        shift, centres = np.sum((moved - centres) ** 2), moved
        if shift <= tol:
            break
    return Clusters(centres, float(inertia), len(runs), runs)


def _sums(origin, centres, X):
    """Yield each cluster's sum of rows with their number at its end, and the inertia."""
    sums, counts, inertia = np.zeros(centres.shape), np.zeros(len(centres)), 0.0
    dtype = X.dtype if X.dtype in (np.float32, np.float64) else np.dtype(float)
    origin = origin.astype(dtype)
    centred = (centres - origin).astype(dtype)
    halves = np.square(centred).sum(axis=1, keepdims=True) / 2
    for window in blocks_of(X):
        for block in blocks_of(window, BLOCK_NBYTES):
            block = np.subtract(block, origin, dtype=dtype)
            scores = centred @ block.T
            scores -= halves
            members, best = _nearest(scores)
            sums += members.astype(dtype) @ block
            counts += np.count_nonzero(members, axis=1)
            # |x - c|^2 = |x|^2 - 2 (x.c - |c|^2 / 2)
            inertia += float(np.vdot(block, block)) - 2 * best.sum(dtype=float)
    sums += counts[:, np.newaxis] * origin
    yield "inertia", inertia
    for cluster in np.flatnonzero(counts).tolist():
        yield cluster, np.append(sums[cluster], counts[cluster])


def _nearest(scores):
    """Return whose score is largest, as booleans of shape (k, n_rows), and that score."""
    best = scores.max(axis=0)
    members = scores == best
    if np.count_nonzero(members) != len(best):               # of equal ones the first
        members = scores.argmax(axis=0) == np.arange(len(scores))[:, np.newaxis]
    return members, best


def _add(key, totals):
    return sum(totals)


def _cost(centres, X):
    """Two operations a number and centre for the scores, two for the sums."""
    return dict(flops=4.0 * X.size * len(centres), nbytes=float(X.nbytes))

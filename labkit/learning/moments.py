"""Mean and spread of each column, from parts that never meet.

    rows 0-999      count, mean, squares --+
    rows 1000-1999  count, mean, squares --+-- merge --> count, mean, squares of all

`squares` is the sum of squared deviations from the mean. The schoolbook's E[x^2] - E[x]^2 would
subtract two large numbers and may leave nothing but rounding; here only deviations are squared.
Each block of rows is read from memory once. A column whose values are all the same has squares
of exactly zero, because deviations are taken from a value of the column first.

Moments have shape (3, n_features). Source: Chan, Golub and LeVeque, "Algorithms for computing
the sample variance", The American Statistician 37, 1983.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy.sparse

BLOCK_BYTES = 3 * 2**19       # small enough that a block, once read, stays in the cache


def moments(X):
    """Return count, mean and squares of each column.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n_rows, n_features)

    Returns
    -------
    ndarray, shape (3, n_features)
        Zeros if there are no rows.
    """
    if scipy.sparse.issparse(X):
        return _sparse_moments(X)
    parts = [_dense_moments(block) for _, block in row_blocks(X)]
    return functools.reduce(merge, parts, np.zeros((3, X.shape[1])))


def merge(a, b):
    """Return the moments of all rows from those of two sets of rows; an `op` for a reduction."""
    count = a[0] + b[0]
    share = np.divide(b[0], count, out=np.zeros_like(count), where=count > 0)
    apart = b[1] - a[1]
    return np.stack([count, a[1] + apart * share, a[2] + b[2] + apart**2 * a[0] * share])


def row_blocks(X):
    """Yield (slice of rows, those rows as float64), each block about `BLOCK_BYTES` large.

    No copy is made of a float64 array; of others, one block at a time.
    """
    n_rows = min(max(BLOCK_BYTES // (8 * max(X.shape[1], 1)), 1024), 16384)
    for first in range(0, X.shape[0], n_rows):
        rows = slice(first, first + n_rows)
        yield rows, np.asarray(X[rows], dtype=np.float64)


def _dense_moments(block):
    deviations = block - block[0]
    from_first = deviations.mean(axis=0)
    deviations -= from_first
    squares = np.einsum("ij,ij->j", deviations, deviations)
    return np.stack([np.full(len(squares), float(len(block))), block[0] + from_first, squares])


def _sparse_moments(X):
    """Take sums of values and of their squares; few columns need more care than that."""
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()                      # an entry stored in pieces is one value
    n_rows, n_features = X.shape
    stored, sums, squares = np.zeros((3, n_features))
    for block in _sparse_blocks(X):
        ones = np.ones(block.shape[0])
        sums += block.T @ ones
        stored += np.bincount(block.indices, minlength=n_features)
        block.data *= block.data
        squares += block.T @ ones
    mean = sums / max(n_rows, 1)
    squares -= sums * mean
    # sums^2 <= stored * squares (Cauchy-Schwarz), so that where at most half of a column is
    # stored, at most half was subtracted, and nothing lost. The others are few, or X not sparse.
    full = np.flatnonzero(2 * stored > n_rows)
    if len(full):
        mean[full], squares[full] = _full_columns(X[:, full])
    return np.stack([np.full(n_features, float(n_rows)), mean, squares])


def _sparse_blocks(X):
    """Yield copies of some rows each, about `BLOCK_BYTES` of values large, as float64."""
    n_rows = max(1, BLOCK_BYTES * X.shape[0] // (8 * max(X.nnz, 1)))
    for first in range(0, X.shape[0], n_rows):
        yield X[first:first + n_rows].astype(np.float64)


def _full_columns(X):
    """Return mean and squares: the values of each column merged with its zeros."""
    columns, values = X.indices, np.asarray(X.data, dtype=np.float64)
    n_features = X.shape[1]
    stored = np.bincount(columns, minlength=n_features).astype(float)
    pivot = np.zeros(n_features)
    pivot[columns] = values                     # some stored value of each column
    deviations = values - pivot[columns]
    from_pivot = np.bincount(columns, deviations, minlength=n_features) / stored
    squares = np.bincount(columns, (deviations - from_pivot[columns])**2, minlength=n_features)
    zeros = np.zeros((3, n_features))
    zeros[0] = X.shape[0] - stored
    return merge(zeros, np.stack([stored, pivot + from_pivot, squares]))[1:]

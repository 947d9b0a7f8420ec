"""Data of any size, made where it is needed: each chunk is drawn by its own task.

    seed --+-- stream (0,)      the true coefficients W, drawn again by every task
           +-- stream (1, 0)    chunk 0
           +-- stream (1, 1)    chunk 1 ...

NumPy spawns independent streams from one seed by number, so a task needs only the seed
and its chunk's number: the data is the same whatever computes it, in any order, and again
after a worker is lost. Other `chunk_rows` cut the streams elsewhere and give other data;
to see the same rows in other chunks, use ``X.rechunk``.

Classes follow a known law, softmax(X @ W), so what is learnt can be held against the truth.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse

from labkit.datasets.chunks import split_rows, stack, stack_pairs, whole_number
from labkit.errors import ConfigurationError

# Standard deviation of a row's logits: labels are noisy, yet the best guess is mostly right.
SPREAD = 4.0


def classification(n_rows, n_features, n_classes=2, chunk_rows=None, seed=0, density=None):
    """Rows of normal features, with classes drawn from a softmax model.

    Parameters
    ----------
    n_rows, n_features : int
        The shape of X.
    n_classes : int, optional
        2 or more.
    chunk_rows : int, optional
        Rows a chunk; by default about 8 chunks, or more so that none is above 32 MB.
    seed : int, optional
        The same seed and `chunk_rows` give the same data.
    density : float, optional
        The expected share of features that are not zero, above 0 and at most 1. With it,
        the chunks of X are `scipy.sparse.csr_matrix`; without, they are ndarrays.

    Returns
    -------
    X : dask.array.Array, shape (n_rows, n_features), float64
        Standard normal where not zero.
    y : dask.array.Array, shape (n_rows,), int64
        Classes 0 to n_classes - 1, drawn with probabilities
        ``softmax(X @ true_coefficients(...))``.

    Raises
    ------
    ConfigurationError
        For sizes below 1, one class, a density outside (0, 1], a negative seed, or a
        `chunk_rows` that would mean zero chunks or more chunks than rows.
    """
    n_rows, n_features = whole_number("n_rows", n_rows), whole_number("n_features", n_features)
    n_classes = whole_number("n_classes", n_classes, low=2)
    seed, density = whole_number("seed", seed, low=0), _density(density)
    # A stored value of a csr matrix takes 12 bytes with its column number.
    row_bytes = 8 * n_features if density is None else math.ceil(12 * n_features * density)
    rows = split_rows(n_rows, chunk_rows, row_bytes)
    tasks = [(_classification_chunk, seed, i, n, n_features, n_classes, density)
             for i, n in enumerate(rows)]
    X_meta = np.empty((0, 0)) if density is None else scipy.sparse.csr_matrix((0, 0))
    return stack_pairs(tasks, rows, n_features, X_meta, np.empty(0, np.int64),
                       token=("classification", seed, rows, n_features, n_classes, density))


def true_coefficients(n_features, n_classes=2, seed=0, density=None):
    """Return the W behind `classification` with the same arguments.

    Returns
    -------
    ndarray, shape (n_features, n_classes), float64
        Scaled so that the logits ``X @ W`` have a standard deviation near 4 however many
        features there are. With two classes, logistic regression finds W[:, 1] - W[:, 0].

    Raises
    ------
    ConfigurationError
        For the same arguments as `classification`.
    """
    n_features = whole_number("n_features", n_features)
    n_classes = whole_number("n_classes", n_classes, low=2)
    seed, density = whole_number("seed", seed, low=0), _density(density)
    W = _stream(seed, 0).standard_normal((n_features, n_classes))
    return W * (SPREAD / math.sqrt(n_features * (density or 1.0)))


def uniform(shape, chunk_rows=None, seed=0):
    """Uniform random numbers, chunked along the first axis.

    Parameters
    ----------
    shape : int or tuple of int
        The shape of the whole array.
    chunk_rows : int, optional
        Rows a chunk; by default about 8 chunks, or more so that none is above 32 MB.
    seed : int, optional
        The same seed and `chunk_rows` give the same data.

    Returns
    -------
    dask.array.Array, float64
        Of that shape, from 0 up to but without 1.

    Raises
    ------
    ConfigurationError
        For an empty shape or a size below 1, a negative seed, or a `chunk_rows` that
        would mean zero chunks or more chunks than rows.
    """
    shape, seed = _shape(shape), whole_number("seed", seed, low=0)
    tail = shape[1:]
    rows = split_rows(shape[0], chunk_rows, 8 * math.prod(tail))
    return stack([(_uniform_chunk, seed, i, n, *tail) for i, n in enumerate(rows)], rows, tail,
                 np.empty((0,) * len(shape)), token=("uniform", seed, rows, tail))


def _stream(seed, *key):
    """The generator that SeedSequence(seed).spawn gives at `key`, without spawning the others."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _uniform_chunk(seed, chunk, *shape):
    return _stream(seed, 1, chunk).random(shape)


def _classification_chunk(seed, chunk, n_rows, n_features, n_classes, density):
    rng = _stream(seed, 1, chunk)
    shape = (n_rows, n_features)
    X = rng.standard_normal(shape) if density is None else _sparse_normal(rng, shape, density)
    logits = X @ true_coefficients(n_features, n_classes, seed, density)
    # Adding Gumbel noise and taking the largest draws from the softmax (Gumbel 1954).
    return X, np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)


def _sparse_normal(rng, shape, density):
    """A csr matrix; each entry is standard normal with probability `density`, else zero."""
    n_rows, n_features = shape
    entries = n_rows * n_features
    expected = entries * density
    # From one nonzero to the next the gap is geometric, so the cost is that of the
    # nonzeros alone. Ten standard deviations to spare: the draws reach the end.
    gaps = rng.geometric(density, size=int(expected + 10 * math.sqrt(expected)) + 100)
    flat = np.cumsum(np.minimum(gaps, entries + 1)) - 1    # a huge gap must not overflow
    flat = flat[flat < entries]
    starts = np.searchsorted(flat, np.arange(n_rows + 1) * n_features)
    return scipy.sparse.csr_matrix(
        (rng.standard_normal(len(flat)), flat % n_features, starts), shape=shape)


def _density(density):
    if density is None:
        return None
    if isinstance(density, bool) or not isinstance(density, int | float | np.number) \
            or not 0 < density <= 1:
        raise ConfigurationError(
            "`density` must be a share of the features.", expected="above 0 and at most 1, or None",
            got=repr(density), where="the argument density",
            remedy="for 5 features in a hundred pass density=0.05; None gives dense chunks")
    return float(density)


def _shape(shape):
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not sizes:
        raise ConfigurationError("`shape` is empty.", expected="at least one size",
                                 got=repr(shape), where="the argument shape",
                                 remedy="for 100 rows of 3 numbers pass (100, 3)")
    return tuple(whole_number("shape", size) for size in sizes)

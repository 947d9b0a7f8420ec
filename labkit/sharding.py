"""Which worker holds which rows.

    contiguous   0 0 0 1 1 1 2 2    neighbours together: range scans, time series
    cyclic       0 1 2 0 1 2 0 1    dealt like cards: evens out sorted or skewed data
    hash         2 0 0 1 2 1 0 2    by a hash of the unit's number: no table, no order

A unit is a row of a NumPy array or sparse matrix, or a chunk of a dask array.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from labkit.errors import ConfigurationError, DataError

POLICIES = ("contiguous", "cyclic", "hash")


def assign(n_units, n_shards, by="contiguous"):
    """Assign units to shards.

    Parameters
    ----------
    n_units, n_shards : int
        How many rows or chunks there are, and over how many shards they go.
    by : {"contiguous", "cyclic", "hash"}
        The policy.

    Returns
    -------
    list of ndarray of int
        The numbers of each shard's units, ascending. Sizes differ by at most one,
        except for "hash", which may even leave a shard empty.

    Raises
    ------
    ConfigurationError
        For an unknown policy, or fewer units than shards.
    """
    if by not in POLICIES:
        raise ConfigurationError("This sharding policy is not known.",
                                 expected=", ".join(map(repr, POLICIES)), got=repr(by))
    if n_units < n_shards:
        raise ConfigurationError(
            "There are fewer rows or chunks than workers.", expected=f"at least {n_shards}",
            got=n_units, where="world.shard(...)",
            remedy="use fewer workers, or rechunk: X.rechunk({0: rows, 1: -1})")
    units = np.arange(n_units)
    if by == "contiguous":
        return np.array_split(units, n_shards)
    if by == "cyclic":
        return [units[shard::n_shards] for shard in range(n_shards)]
    # crc32 and not hash(): the same in every process and on every machine.
    owner = np.array([zlib.crc32(unit.tobytes()) % n_shards for unit in units.astype("<u8")])
    return [units[owner == shard] for shard in range(n_shards)]


# Asked in these words, neither scipy.sparse nor dask.array has to be imported by every worker.


def is_sparse(array):
    """Whether an array is a matrix of scipy.sparse."""
    return hasattr(array, "tocsr")


def is_chunked(array):
    """Whether an array is a dask array."""
    return hasattr(array, "to_delayed")


def check_rows(arrays):
    """Raise ConfigurationError unless there are arrays and all have as many rows."""
    if not arrays:
        raise ConfigurationError("There is nothing to shard.", expected="at least one array")
    rows = [array.shape[0] for array in arrays]
    if len(set(rows)) != 1:
        raise ConfigurationError("Arrays that are sharded together differ in length.",
                                 expected=f"{rows[0]} rows each", got=rows,
                                 where="world.shard(...)",
                                 remedy="pass arrays whose rows belong together, as X and its y")


def chunk_grid(arrays):
    """Return each dask array as a list of delayed row blocks, cut at the same rows.

    The first array's row chunks decide; columns become one chunk.
    """
    grid = []
    for array in arrays:
        rows = arrays[0].chunks[0]
        array = array.rechunk({0: rows, **dict.fromkeys(range(1, array.ndim), -1)})
        grid.append(array.to_delayed().ravel().tolist())
    return grid


def rows_of(array, rows):
    """Return these rows of an array: a view, if they are evenly spaced.

    Parameters
    ----------
    array : ndarray or CSR matrix
    rows : ndarray of int
        Ascending.
    """
    steps = np.diff(rows)
    if is_sparse(array) or not len(rows) or np.any(steps != steps[:1]):
        return array[rows]
    return array[rows[0]:rows[-1] + 1:steps[0] if len(steps) else 1]


def concatenate(blocks):
    """Join row blocks, dense or sparse, into one array that nobody may write to.

    A shard outlives a run; a program that wrote into it would change the next
    run's data, so it must copy what it wants to change.

    Raises
    ------
    DataError
        For blocks whose rows differ in shape.
    """
    _check_blocks(blocks)
    if len(blocks) == 1:
        joined = blocks[0]
    elif is_sparse(blocks[0]):
        import scipy.sparse

        joined = scipy.sparse.vstack(blocks, format="csr")
    else:
        joined = np.concatenate(blocks)
    return read_only(joined)


def _check_blocks(blocks):
    shapes = [block.shape for block in blocks]
    if len({shape[1:] for shape in shapes}) > 1:
        raise DataError("The chunks of one array do not fit together.", got=f"shapes {shapes}",
                        expected=f"rows of shape {shapes[0][1:]}, as in the first chunk",
                        where="the chunks of one shard",
                        remedy="correct the function that makes the chunks, or the shape that "
                               "was promised to dask.array")


def read_only(array):
    """Return a view of a dense or CSR array that refuses writing."""
    if is_sparse(array):
        array = array.tocsr().copy() if array.format != "csr" else array.copy()
        for part in (array.data, array.indices, array.indptr):
            part.flags.writeable = False
        return array
    # What has travelled may lie at an odd address, where NumPy multiplies many times slower.
    view = np.require(array, requirements="A").view()
    view.flags.writeable = False
    return view


class Shards(Sequence):
    """One array cut into a part for each peer, held where the peers are.

    Made by `world.shard`; passed to `world.run`, which gives each peer its part,
    or to `world.map`, which runs one task a part. ``shards[i]`` is part i itself,
    brought here if it lives elsewhere; ``shards[i:j]`` are Shards of some parts.

    Parameters
    ----------
    parts : list
        The parts, or the cluster's references to them.
    by : str
        The sharding policy.
    fetch : callable, optional
        Turns a reference into the part.
    """

    def __init__(self, parts, by, fetch=None):
        self.parts = parts
        self.by = by
        self._fetch = fetch or (lambda part: part)

    def __len__(self):
        return len(self.parts)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Shards(self.parts[index], self.by, self._fetch)
        return self._fetch(self.parts[index])

    def __repr__(self):
        return f"Shards({len(self)} parts, {self.by})"


def zipped(*shards):
    """Return Shards whose parts are tuples: for tasks that need an X and its y together.

    Parameters
    ----------
    *shards : Shards
        From one call of `world.shard`.
    """
    def fetch(parts):
        return tuple(one._fetch(part) for one, part in zip(shards, parts))

    return Shards(list(zip(*(one.parts for one in shards))), shards[0].by, fetch)


def joined(*shards):
    """Return Shards that have the parts of all of `shards`, one after another.

    Parameters
    ----------
    *shards : Shards
        From one world: what one `world.map` kept, for example.
    """
    parts = [part for one in shards for part in one.parts]
    return Shards(parts, shards[0].by, shards[0]._fetch) if shards else Shards([], "kept")

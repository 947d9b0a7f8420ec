"""Arrays in .npy files as items of a job: ranges of rows, read a block at a time.

    files     [ a.npy: 5 rows ][ b.npy: 3 ][ c.npy: 4 ]      one after another, 12 rows
    ranges    [ 0 1 2 3 ][ 4 | 0 1 2 ][ 0 1 2 3 ]            as many a worker, as long as can be
    blocks    [0 1] [2 3] ...                                what a task holds at once

A range is a few names and numbers until a task reads it, and of what it reads it holds one block:
files may be larger than the memory of all workers. A block is a view of the file, which the
system reads when it is used and may forget at any time.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np

from labkit.errors import ConfigurationError, DataError
from labkit.sharding import Shards, is_chunked

RANGES_A_WORKER = 4
BLOCK_NBYTES = 8_000_000


@dataclass(frozen=True)
class ArrayRange:
    """Consecutive rows of files; like an array, but read when asked for."""

    pieces: tuple
    """Of (path, start, stop): rows of a file."""

    dtype: np.dtype

    row_shape: tuple
    """The shape of one row; () for numbers."""

    def __len__(self):
        return sum(stop - start for _, start, stop in self.pieces)

    @property
    def shape(self):
        return (len(self), *self.row_shape)

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def nbytes(self):
        return self.size * self.dtype.itemsize

    def blocks(self, nbytes):
        """Yield the rows in order, as read-only arrays of about `nbytes`, or one row."""
        rows = rows_of(nbytes, self)
        for path, start, stop in self.pieces:
            for first in range(start, stop, rows):
                # Opened anew, so that what was read before no longer counts as this process's.
                yield _rows(path)[first:min(first + rows, stop)]

    def take(self, indices, axis=0):
        """Return the rows with these numbers, ascending, from 0 to len - 1."""
        taken, before = [np.empty((0, *self.row_shape), self.dtype)], 0
        for path, start, stop in self.pieces:
            mine = indices[(indices >= before) & (indices < before + stop - start)]
            taken.append(_rows(path)[mine - before + start])
            before += stop - start
        return np.concatenate(taken)


class ArrayFiles:
    """Files of one array, a part of its rows in each, which every worker can read.

    Parameters
    ----------
    paths : str, Path, or a sequence of them
        .npy files, in the order of the rows.
    range_nbytes : int, optional
        About how much one task reads, however little it holds at once: by default there are
        four ranges a worker.

    Raises
    ------
    DataError
        If a path is not a .npy file of rows without Python objects, or its rows differ in dtype
        or shape from those of the first.
    ConfigurationError
        For no path, or ranges of less than 1 byte.
    """

    def __init__(self, paths, range_nbytes=None):
        paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not paths or (range_nbytes is not None and range_nbytes < 1):
            raise ConfigurationError("There is nothing to read.", where="ArrayFiles",
                                     expected="one path or more, and ranges of 1 byte or more",
                                     got=f"{len(paths)} paths, range_nbytes={range_nbytes}")
        self.paths = [os.path.abspath(path) for path in paths]
        self.range_nbytes = range_nbytes
        first, *others = map(_checked, self.paths)
        for path, rows in zip(self.paths[1:], others):
            if (rows.dtype, rows.shape[1:]) != (first.dtype, first.shape[1:]):
                raise DataError("The rows of these files differ.", where=path,
                                expected=f"{first.dtype} of shape {first.shape[1:]}, as in "
                                         f"{self.paths[0]}",
                                got=f"{rows.dtype} of shape {rows.shape[1:]}",
                                remedy="read these files apart, or write them alike")
        self._lengths = [len(first), *map(len, others)]
        self.dtype, self.row_shape = first.dtype, first.shape[1:]

    def __len__(self):
        return sum(self._lengths)

    @property
    def shape(self):
        return (len(self), *self.row_shape)

    def ranges(self, workers):
        """Return the ArrayRanges of all files; every row is in exactly one.

        Parameters
        ----------
        workers : int
        """
        step = (rows_of(self.range_nbytes, self) if self.range_nbytes
                else max(1, -(-len(self) // (RANGES_A_WORKER * workers))))
        return [ArrayRange(self._pieces(first, first + step), self.dtype, self.row_shape)
                for first in range(0, max(1, len(self)), step)]

    def _pieces(self, first, stop):
        pieces, before = [], 0
        for path, length in zip(self.paths, self._lengths):
            inside = (max(0, first - before), min(length, stop - before))
            if inside[0] < inside[1]:
                pieces.append((path, *inside))
            before += length
        return tuple(pieces)


def array_items(world, source):
    """Return the items of a job over arrays.

    Parameters
    ----------
    world : World
    source : ArrayFiles, Shards, one array, or iterable of arrays
        One array, of any kind that `world.shard` takes, becomes a shard a worker.
    """
    if isinstance(source, ArrayFiles):
        return source.ranges(world.workers)
    if isinstance(source, np.ndarray) or is_chunked(source):
        return world.shard(source)
    return source if isinstance(source, Shards) else [np.asarray(chunk) for chunk in source]


def blocks_of(item, nbytes=BLOCK_NBYTES):
    """Yield the rows of an array or ArrayRange in order, in arrays of about `nbytes`."""
    if isinstance(item, ArrayRange):
        yield from item.blocks(nbytes)
    else:
        rows = rows_of(nbytes, item)
        yield from (item[first:first + rows] for first in range(0, len(item), rows))


def row_nbytes(rows):
    """Return the bytes of one row of an array, ArrayRange or ArrayFiles."""
    return rows.dtype.itemsize * math.prod(rows.shape[1:])


def rows_of(nbytes, rows):
    """Return how many of these rows have about `nbytes`; at least one."""
    return max(1, nbytes // max(1, row_nbytes(rows)))


def _rows(path):
    # Not np.load, which also opens archives and recommends to load pickles unsafely.
    return np.asarray(np.lib.format.open_memmap(path, mode="r"))


def _checked(path):
    try:
        rows = _rows(path)
    except (OSError, ValueError) as error:
        raise DataError("This file cannot be read.", where=path, got=error,
                        expected="a .npy file, without Python objects",
                        remedy="look for a misspelt name; write it with np.save") from error
    if rows.ndim == 0:
        raise DataError("This file has no rows.", where=path, got="a single number",
                        expected="an array of 1 or more dimensions",
                        remedy="write it with np.save(path, rows)")
    return rows

"""Buckets of rows that wait on disk for who needs them.

    write    block 0 |aab|bc|dd|    block 1 |ab|bcc|d|       sorted, cut at the same bounds
    file     a a b b c d d a b b c c d                       one for each task, without a name
    bucket 1     ^ ^ ^       ^ ^ ^ ^                         where its stretches lie

What a task leaves in memory is a few numbers a bucket, however large the buckets are, so that
workers never fill up while a shuffle waits. Elsewhere a bucket arrives as the list of its arrays:
its bytes are read when they travel, straight out of the system's cache of the file. The file
vanishes with the last bucket that refers to it, even if the process is killed.
"""

from __future__ import annotations

import tempfile

import numpy as np


class Bucket:
    """Arrays in a file; iterate over them. Sent to another process, it is a list of them.

    Attributes
    ----------
    nbytes : int
        Of all its arrays.
    """

    def __init__(self, file, like):
        self._file = file
        self._like = like
        self._stretches = []
        self.nbytes = 0

    def add(self, rows, offset):
        """Say that these rows lie `offset` bytes into the file."""
        if len(rows):
            self._stretches.append((offset, len(rows)))
            self.nbytes += rows.nbytes

    def __iter__(self):
        for offset, length in self._stretches:
            # Mapped and not read: others may use the same file at the same time.
            yield np.asarray(np.memmap(self._file, self._like.dtype, "r", offset,
                                       (length, *self._like.shape[1:])))

    def __reduce__(self):
        return list, (list(self),)


def write_buckets(blocks, like, n):
    """Write blocks of rows to a file; return a Bucket of each part of theirs.

    Parameters
    ----------
    blocks : iterable of (ndarray, ndarray of int)
        Rows, and the n - 1 ascending positions at which they are cut.
    like : ndarray
        Of the same dtype and shape of row.
    n : int
    """
    file = tempfile.TemporaryFile(buffering=0)       # noqa: SIM115 the buckets close it
    buckets, offset = [Bucket(file, like) for _ in range(n)], 0
    for rows, cuts in blocks:
        rows.tofile(file)
        edges = [0, *cuts.tolist(), len(rows)]
        for bucket, start, stop in zip(buckets, edges, edges[1:]):
            bucket.add(rows[start:stop], offset + start * rows[:1].nbytes)
        offset += rows.nbytes
    return buckets

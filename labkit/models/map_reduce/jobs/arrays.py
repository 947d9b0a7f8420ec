"""Sorting arrays that need not fit in memory.

    sample   some keys of each item                             -> bounds  c  f
    cut      block |e a g|   sort |a e g|   cut at bounds       |a|e|g|      waits on disk
    sort     part 0: |a| of all blocks, part 1: |e| of all ...  -> a  b  |  c  e  |  f  g

A task holds one block or one part at a time. A key that is everywhere makes no part too large: its
rows have several parts to themselves, in the order of their items.
Source: O'Malley, "TeraByte sort on Apache Hadoop", 2008.
"""

from __future__ import annotations

import math
import os
import secrets
from dataclasses import replace
from functools import partial

import numpy as np

from labkit import safe_files
from labkit.errors import ConfigurationError
from labkit.models.map_reduce.arrays import ArrayFiles, array_items, blocks_of, row_nbytes
from labkit.models.map_reduce.buckets import write_buckets
from labkit.sharding import Shards, joined, zipped

PART_NBYTES = 64_000_000
SAMPLE = 1000                # rows of each item
AT_ONCE = 2                  # parts a worker: what they need lies in its memory


def sort_arrays(world, source, by=None, folder=None, n_parts=None, seed=0):
    """Sort the rows of arrays, as `np.sort` does; rows with the same key keep their order.

    Parameters
    ----------
    world : World
    source : ArrayFiles, Shards, one array, or iterable of arrays
        Of one dtype.
    by : int or str, optional
        The column of rows, or the field of structured ones, that is their key. A number is its
        own.
    folder : str or Path, optional
        Where every worker can write the sorted parts, as part-00000.npy and so on.
    n_parts : int, optional
        By default so many that a part has about 64 MB.
    seed : int
        Of the sample.

    Returns
    -------
    parts : Shards or ArrayFiles
        One after another they are sorted. Without a `folder` they stay in the workers' memory.
    runs : list of Run
        Sample, cut, and each round of sorting: a few parts at once.

    Raises
    ------
    ConfigurationError
        For no arrays, arrays of several dtypes or of Python objects.
    ProgramError
        For a key that rows do not have.
    """
    if n_parts is not None and n_parts < 1:
        raise ConfigurationError("A sort cannot have this many parts.", got=n_parts,
                                 expected="1 or more", where="n_parts=")
    items = array_items(world, source)
    sampled = world.map(partial(_sample, by, seed), items)
    like = _common([like for _, _, like in sampled.results])
    sizes = [n_rows for n_rows, _, _ in sampled.results]
    n = n_parts or world.workers * max(
        1, math.ceil(sum(sizes) * row_nbytes(like) / PART_NBYTES / world.workers))
    bounds = bounds_of(sizes, [keys for _, keys, _ in sampled.results], n)
    cut = world.map(partial(_cut, by, bounds, n, like, len(items)), _numbered(items),
                    work=_cost, keep=n)
    columns = zipped(*cut.results, Shards(range(n), "kept"))
    at_once = AT_ONCE * world.workers
    rounds = [columns[first:first + at_once] for first in range(0, n, at_once)]
    # Who keeps no reference to buckets lets them go when their round is over.
    cut, columns = replace(cut, results=[]), None
    runs = _in_rounds(world, partial(_sort, by, like), rounds, folder)
    parts = [part for run in runs for part in run.results]
    return joined(*parts) if folder is None else ArrayFiles(parts), [sampled, cut, *runs]


def bounds_of(sizes, samples, n):
    """Return n - 1 keys that cut all keys evenly, as far as samples tell; none of no keys.

    Parameters
    ----------
    sizes : list of int
        How many keys each sample was drawn from.
    samples : list of ndarray
    n : int
    """
    keys = np.concatenate(samples)
    if not len(keys):
        return keys
    weights = np.repeat([size / max(1, len(sample)) for size, sample in zip(sizes, samples)],
                        [len(sample) for sample in samples])
    order = np.argsort(keys, kind="stable")
    before = np.cumsum(weights[order])
    places = np.searchsorted(before, before[-1] * np.arange(1, n) / n)
    return keys[order[np.minimum(places, len(keys) - 1)]]


def cuts(keys, bounds, share):
    """Return where sorted keys are cut at the bounds.

    Parameters
    ----------
    keys, bounds : ndarray
        Ascending.
    share : float
        From 0 to below 1: how much lies before these keys in the whole. Of the parts that equal
        bounds leave to one key it chooses theirs.
    """
    first, last = (np.searchsorted(bounds, bounds, side) for side in ("left", "right"))
    mine = (share * (last - first + 1)).astype(int)
    return np.where(np.arange(len(bounds)) - first < mine,
                    np.searchsorted(keys, bounds, "left"), np.searchsorted(keys, bounds, "right"))


# ---- tasks


def _sample(by, seed, item):
    """Return how many rows an item has, the keys of some, and no row, for its type."""
    chosen = np.arange(len(item))
    if len(item) > SAMPLE:
        chosen = np.random.default_rng([seed, len(item)]).integers(len(item), size=SAMPLE)
    like = np.empty((0, *item.shape[1:]), item.dtype.newbyteorder("="))
    return len(item), _keys(by, item.take(np.sort(chosen), axis=0)), like


def _cut(by, bounds, n, like, n_items, numbered):
    """Return a Bucket of an item's rows for each part."""
    item, number = numbered

    def blocks():
        before = 0
        for block in blocks_of(item):
            rows = _sorted(by, np.array(block, like.dtype))
            yield rows, cuts(_keys(by, rows), bounds, (number + before / len(item)) / n_items)
            before += len(block)

    return write_buckets(blocks(), like, n)


def _sort(by, like, folder, column):
    """Sort the rows of one part; write them, if there is a folder."""
    *buckets, number = column
    rows = _sorted(by, np.concatenate([like, *(rows for bucket in buckets for rows in bucket)]))
    return [rows] if folder is None else _write(rows, os.path.join(folder, f"part-{number:05}.npy"))


def _in_rounds(world, sort, rounds, folder):
    if folder is not None:
        folder = os.path.abspath(folder)
        os.makedirs(folder, exist_ok=True)
    runs = []
    while rounds:
        runs.append(world.map(partial(sort, folder), rounds.pop(0),
                              keep=1 if folder is None else None))
    return runs


def _write(rows, path):
    """Write a file that is there when it is whole, for a task may run twice; return its path."""
    draft = f"{path}.{secrets.token_hex(4)}"
    with safe_files.room(os.path.dirname(path), rows.nbytes, "sorted rows"), \
            open(draft, "wb") as file:
        np.save(file, rows)
    os.replace(draft, path)
    return path


def _keys(by, rows):
    """Return what rows are sorted by, shape (n_rows,)."""
    names = rows.dtype.names or ()
    if by is None and rows.ndim == 1 and not names:
        return rows
    if isinstance(by, int) and rows.ndim == 2 and -rows.shape[1] <= by < rows.shape[1]:
        return rows[:, by]
    if isinstance(by, str) and rows.ndim == 1 and by in names:
        return rows[by]
    raise ConfigurationError(
        "These rows have no such key.", got=f"by={by!r}, rows of {rows.dtype}, {rows.shape[1:]}",
        expected="numbers, a column of rows (by=0), or a field of structured ones (by='name')")


def _sorted(by, rows):
    """Return rows in order; of those without a key the memory is used again."""
    if by is not None:
        return rows[np.argsort(_keys(by, rows), kind="stable")]
    rows.sort()
    return rows


def _common(likes):
    """Return an array without rows like all of these."""
    if not likes:
        raise ConfigurationError("There is nothing to sort.", expected="one array or more", got=0)
    kinds = {(like.dtype.str, like.shape[1:]) for like in likes}
    if len(kinds) > 1 or likes[0].dtype.hasobject:
        raise ConfigurationError("These arrays cannot be sorted together.", got=sorted(map(
            str, kinds)), expected="one dtype, without Python objects, and one shape of rows",
            remedy="convert them with astype, or sort rows of any kind with `jobs.sort`")
    return likes[0]


def _numbered(items):
    """Return items with their numbers, wherever they are."""
    if isinstance(items, Shards):
        return zipped(items, Shards(range(len(items)), items.by))
    return [(item, number) for number, item in enumerate(items)]


def _cost(numbered):
    """Compared about once for each doubling; read, sorted and written."""
    item, _ = numbered
    return dict(flops=item.size * math.log2(max(2, len(item))), nbytes=3.0 * item.nbytes)

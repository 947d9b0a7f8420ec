"""Inputs by which each contribution can be recognised in whatever is made of them.

    counts   peer i has 7 b**i everywhere   a sum's digits say how often each peer is in it:
                                            b = 32:  1057 = 1 + 1*32 + 1*1024   each once
                                                     1089 = 1 + 2*32 + 1*1024   peer 1 twice
                                            (sevenths, so that no constant 1 is taken for peer 0)
    places   every peer has 1 2 3 ...       a sum of c parts is c, 2c, 3c ...: where it is from
    names    731 28 | 405 96 | ...          each entry has a number of its own, by no rule: or the
                                            mean of three peers would be the second one's

float64 holds whole numbers up to 2**53, which settles b for a number of peers.
"""

from __future__ import annotations

import numpy as np

BITS = 48
UNIT = 7
ROUNDED = 2e-15              # what a division may have changed, relatively
LARGEST = 8                  # digits beyond this are no counts


def base_for(n_peers):
    """Return b, so that sums of all peers' tags are exact."""
    return 2 ** min(16, BITS // n_peers)


def counts(lists, n_peers):
    """Return the lists with 7 b**rank in each array; None if they hold anything but floats."""
    return _tagged(lists, lambda rank, first, array: np.full(
        array.shape, UNIT * float(base_for(n_peers)) ** rank))


def places(lists):
    """Return the lists with 1, 2, 3 ... in each peer's part."""
    return _tagged(lists, lambda rank, first, array: numbered(1 + first, array.shape))


def names(lists):
    """Return the lists with a number of its own in each entry of each peer."""
    begin = np.cumsum([0] + [sum(a.size for a in leaves(part)) for part in lists[0]])
    drawn = 1.0 + np.random.default_rng(0).choice(1000 * (1 + begin[-1]), begin[-1], replace=False)
    return _tagged(lists, lambda rank, first, array: drawn[
        begin[rank] + first:begin[rank] + first + array.size].reshape(array.shape))


def numbered(first, shape):
    return np.arange(first, first + np.prod(shape, dtype=int), dtype=float).reshape(shape)


def _tagged(lists, tag):
    if len(lists) != 1:                  # one of several arguments may mean anything
        return None
    parts = [_part(part, rank, tag) for rank, part in enumerate(lists[0])]
    return None if any(part is None for part in parts) else (parts,)


def _part(part, rank, tag):
    arrays = leaves(part)
    if not arrays or any(array.dtype != float for array in arrays):
        return None
    first, found = 0, []
    for array in arrays:
        found.append(tag(rank, first, array))
        first += array.size
    return found[0] if isinstance(part, np.ndarray) else found


def leaves(value):
    """Return the arrays of floats in a part, a message or a result, in order."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return [value]
    if isinstance(value, float | np.floating):
        return [np.asarray(value, dtype=float)]
    if isinstance(value, list | tuple):
        return [array for one in value for array in leaves(one)]
    if isinstance(value, dict):
        return [array for one in value.values() for array in leaves(one)]
    return []


def is_plain(value):
    """Whether a message can hold no part of an array: a word, a count, nothing."""
    return value is None or isinstance(value, str | int)


def flat(value):
    """Return all floats in a value as one vector."""
    arrays = leaves(value)
    return np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0)


def digits(vector, n_peers, scale=1):
    """Return how often each peer's tag is in each entry.

    Parameters
    ----------
    vector : ndarray, float
        Of tags from `counts`, added up.
    n_peers : int
    scale : int
        What the vector has been divided by: the number of peers, for a mean.

    Returns
    -------
    ndarray, int, shape (entries, n_peers), or None
        None if they are no sums of tags.
    """
    base, left = base_for(n_peers), np.asarray(vector, dtype=float) * scale / UNIT
    whole = np.round(left)
    off = np.abs(left - whole) > ROUNDED * np.abs(whole) + 1e-6
    if not np.all(np.isfinite(left)) or np.any(off):
        return None
    left = whole.astype(np.int64)
    found = np.zeros((len(left), n_peers), dtype=int)
    for rank in range(n_peers):
        found[:, rank] = (left + base // 2) % base - base // 2      # -1 where it is subtracted
        left = (left - found[:, rank]) // base
    return None if np.any(left) or np.any(np.abs(found) > LARGEST) else found

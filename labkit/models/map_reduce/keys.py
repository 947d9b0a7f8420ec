"""To which reducer a key goes, the same in every process.

    by hash    crc32(bytes of the key) % n       even, no order:      d a | c | b
    by range   where it lies between n-1 bounds  sorted parts:        a b | c | d

Python's own `hash` will not do: for text it differs from process to process. So keys are
encoded as bytes first, such that equal keys (1 and 1.0 and True) have equal bytes.
"""

from __future__ import annotations

import bisect
import zlib
from numbers import Number

import numpy as np

from labkit.errors import ConfigurationError


def encode(key):
    """Return bytes that are equal for equal keys, in every process and on every machine.

    Parameters
    ----------
    key : str, bytes, number, None, or a tuple or frozenset of such

    Raises
    ------
    ConfigurationError
        For any other type, and what cannot be hashed.
    """
    if isinstance(key, str):
        return b"s" + key.encode("utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return b"b" + key
    if isinstance(key, Number | np.bool_):
        # Python promises that equal numbers of all types have equal hashes, and salts none.
        return b"n" if key != key else b"n%d" % hash(key)
    if key is None:
        return b"0"
    if isinstance(key, tuple | frozenset):
        parts = [b"%d:%b" % (len(part), part) for part in map(encode, key)]
        kind = b"t" if isinstance(key, tuple) else b"f"
        return kind + b"".join(parts if kind == b"t" else sorted(parts))
    raise ConfigurationError(
        "A key of this type cannot be assigned to a reducer.", got=f"{type(key).__name__} {key!r}",
        expected="str, bytes, number, None, or a tuple or frozenset of such", where="mapper",
        remedy="yield such a key, a tuple instead of a list for example")


def by_hash(key, n_reducers):
    """Return the key's reducer, from 0 to n_reducers - 1."""
    return zlib.crc32(encode(key)) % n_reducers


def by_range(bounds, key, n_reducers):
    """Return the reducer of the key's range; use ``partial(by_range, bounds)``.

    Parameters
    ----------
    bounds : list
        Ascending; keys from ``bounds[i - 1]`` on and below ``bounds[i]`` go to reducer i.
    """
    return min(bisect.bisect_right(bounds, key), n_reducers - 1)


def check_hashable(key):
    """Raise ConfigurationError for a key that no dict takes."""
    try:
        hash(key)
    except TypeError as error:
        raise ConfigurationError(
            "A key must be hashable.", got=f"{type(key).__name__} {key!r}", where="mapper",
            expected="str, bytes, number, tuple, ...",
            remedy="yield a tuple instead of a list, for example") from error


def check_owner(owner, key, n_reducers):
    """Return what a partitioner returned, or raise ConfigurationError if it names no reducer."""
    if isinstance(owner, int | np.integer) and 0 <= owner < n_reducers:
        return int(owner)
    raise ConfigurationError("The partitioner names no reducer.", got=f"{owner!r} for key {key!r}",
                             expected=f"an integer from 0 to {n_reducers - 1}",
                             where="partitioner", remedy="return a number modulo n_reducers")

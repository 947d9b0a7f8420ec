"""How rows are cut into chunks, and how chunks become one dask array.

    n_rows = 10, chunk_rows = 4   ->   chunks of 4, 4 and 2 rows
    chunk_rows = None             ->   about 8 chunks, none above about 32 MB
"""

from __future__ import annotations

import operator

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph

from labkit.errors import ConfigurationError

N_CHUNKS = 8
CHUNK_BYTES = 32 * 10**6
# Dask's graph costs about a kilobyte a chunk and its scheduler a millisecond or two.
MAX_CHUNKS = 100_000


def whole_number(name, value, *, low=1, high=None):
    """Return `value` as an int, or raise a ConfigurationError unless low <= value <= high."""
    expected = f"a whole number, {low} or more" + ("" if high is None else f", at most {high}")
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    # True is an index in Python, but nobody means one row by it.
    if number is None or isinstance(value, bool | np.bool_):
        raise ConfigurationError(f"`{name}` must be a whole number.", expected=expected,
                                 got=repr(value), where=f"the argument {name}",
                                 remedy=f"pass an int, for example {name}={max(low, 100)}")
    if number < low or (high is not None and number > high):
        raise ConfigurationError(f"`{name}` is out of range.", expected=expected, got=number,
                                 where=f"the argument {name}",
                                 remedy=f"choose {name} within that range")
    return number


def split_rows(n_rows, chunk_rows=None, row_bytes=8):
    """Cut rows into chunks of `chunk_rows`; the last chunk holds what is left.

    Parameters
    ----------
    n_rows : int
        How many rows there are, 1 or more.
    chunk_rows : int, optional
        Rows a chunk; more than `n_rows` gives one chunk. By default there are about
        8 chunks, or more where a chunk would hold over 32 MB.
    row_bytes : int, optional
        What a row takes in memory, in bytes.

    Returns
    -------
    tuple of int
        The rows of each chunk; each is 1 or more and their sum is `n_rows`.

    Raises
    ------
    ConfigurationError
        For a `chunk_rows` that is not a whole number or below 1 (zero chunks, or more
        chunks than rows), and for more than 100,000 chunks.
    """
    if chunk_rows is None:
        chunk_rows = max(1, min(-(-n_rows // N_CHUNKS), CHUNK_BYTES // max(1, row_bytes)))
    else:
        chunk_rows = _chunk_rows(chunk_rows, n_rows)
    n_chunks = -(-n_rows // chunk_rows)
    if n_chunks > MAX_CHUNKS:
        raise ConfigurationError(
            "These are too many chunks for Dask's scheduler.", expected=f"at most {MAX_CHUNKS}",
            got=f"{n_chunks} chunks of {chunk_rows} rows", where="the argument chunk_rows",
            remedy=f"pass chunk_rows={-(-n_rows // MAX_CHUNKS)} or more")
    return (chunk_rows,) * (n_chunks - 1) + (n_rows - chunk_rows * (n_chunks - 1),)


def check_chunk_rows(chunk_rows):
    """Raise what `split_rows` would raise, before a long file is read for nothing."""
    if chunk_rows is not None:
        _chunk_rows(chunk_rows, None)


def _chunk_rows(value, n_rows):
    try:
        return whole_number("chunk_rows", value)
    except ConfigurationError as error:
        rows = "n" if n_rows is None else n_rows
        raise ConfigurationError(
            "A chunk must hold a whole number of rows, at least one: there cannot be zero "
            "chunks, or more chunks than rows.", expected=error.expected, got=error.got,
            where=error.where,
            remedy=f"for k chunks of {rows} rows pass chunk_rows=-(-{rows} // k), with k "
                   f"from 1 to {rows}") from None


def stack(tasks, rows, tail, meta, token):
    """Join tasks into one dask array, chunked along the first axis only.

    Parameters
    ----------
    tasks : list of tuple
        Dask tasks ``(function, *arguments)``; each gives a chunk of shape (rows[i], *tail).
    rows : sequence of int
        The rows of each chunk.
    tail : tuple of int
        The shape of one row; () for labels.
    meta : ndarray or scipy.sparse.csr_matrix
        An empty chunk that shows type and dtype.
    token : tuple
        What the data depends on: equal tokens give equal keys, so Dask computes them once.

    Returns
    -------
    dask.array.Array
        Of shape (sum(rows), *tail), one task a block.
    """
    return _array(tasks, rows, tail, meta, f"rows-{tokenize(*token)}", HighLevelGraph({}, {}))


def stack_pairs(tasks, rows, n_features, X_meta, y_meta, token):
    """Join tasks that give (X, y) chunks into two dask arrays that share those tasks.

    Returns
    -------
    X, y : dask.array.Array
        Of shape (sum(rows), n_features) and (sum(rows),).
    """
    token = tokenize(*token)
    name = f"rows-{token}"
    graph = HighLevelGraph({name: {(name, i): task for i, task in enumerate(tasks)}},
                           {name: set()})
    halves = [[(operator.getitem, (name, i), half) for i in range(len(rows))] for half in (0, 1)]
    return (_array(halves[0], rows, (n_features,), X_meta, f"X-{token}", graph),
            _array(halves[1], rows, (), y_meta, f"y-{token}", graph))


def _array(tasks, rows, tail, meta, name, graph):
    # The graph is written out by hand: through dask.delayed, 25,000 chunks take half a minute.
    zeros = (0,) * len(tail)
    layer = {(name, i, *zeros): task for i, task in enumerate(tasks)}
    graph = HighLevelGraph({**graph.layers, name: layer},
                           {**graph.dependencies, name: set(graph.layers)})
    return da.Array(graph, name, (tuple(rows), *((size,) for size in tail)), meta=meta)

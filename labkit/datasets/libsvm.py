"""Read a libsvm file into dask arrays; refuse what would spoil the result later.

    up to 64 MiB    client parses --> chunks of rows in the graph --> any worker
    larger          client checks --> (path, offset, length)      --> workers parse

Every row is read once, here in the client, before anything is computed: a bad line is an
error now and not in the middle of a lesson. The rows of a small file then travel in the
graph, so that workers need not see the file; those of a large one are read again by the
tasks, from a path that every worker must see.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import scipy.sparse

from labkit.datasets.chunks import check_chunk_rows, split_rows, stack_pairs, whole_number
from labkit.datasets.parsing import is_row, open_file, parse, scan, widen
from labkit.errors import ConfigurationError, DataError

IN_GRAPH_BYTES = 64 * 2**20    # larger files are read by the tasks
SAMPLE = "sample_libsvm_data.txt"


def load_libsvm(path, n_features=None, chunk_rows=None, sparse=True, one_based=True,
                max_dense_bytes=2**30):
    """Load a libsvm file as dask arrays, chunked by rows.

    Parameters
    ----------
    path : str or path-like
        A plain text file: ``label index:value index:value ...`` a row, with indices
        ascending. Comments after ``#``, blank lines and CRLF line ends are fine.
    n_features : int, optional
        The columns of X; by default as many as the largest index needs. Pass it where
        a training and a test file must agree.
    chunk_rows : int, optional
        Rows a chunk; by default about 8 chunks, or more so that none is above 32 MB.
    sparse : bool, optional
        Whether the chunks of X are `scipy.sparse.csr_matrix` or ndarrays. Sparse chunks
        go to ``X.to_delayed()`` and ``X.map_blocks``; ``X @ w`` needs dense ones.
    one_based : bool, optional
        Whether the first feature's index in the file is 1 or 0.
    max_dense_bytes : int, optional
        The largest dense X to allow, in bytes; by default 1 GiB.

    Returns
    -------
    X : dask.array.Array, shape (n_rows, n_features), float64
    y : dask.array.Array, shape (n_rows,), float64

    Raises
    ------
    DataError
        For a file that is missing, compressed, empty or not libsvm, and for a bad line,
        named by its number: see `labkit.datasets.diagnose`.
    ConfigurationError
        For an argument that cannot work.

    Notes
    -----
    A file up to 64 MiB is kept in the graph: ``X.persist()`` once, or each computation
    sends it again (above 10 MB Dask warns of a large graph). A larger one is read by the
    tasks: compute X and y together, or persist them, so that it is read once.
    """
    if n_features is not None:
        n_features = whole_number("n_features", n_features, high=2**31)
    check_chunk_rows(chunk_rows)
    max_dense_bytes = whole_number("max_dense_bytes", max_dense_bytes)
    path, found = _regular_file(path)
    seen = scan(path, one_based, n_features, keep=found.st_size <= IN_GRAPH_BYTES)
    n_features = n_features or seen.n_features
    if not sparse:
        _check_dense(path, seen, n_features, max_dense_bytes, one_based)
    rows = split_rows(seen.n_rows, chunk_rows,
                      row_bytes=found.st_size // seen.n_rows if sparse else 8 * n_features)
    if seen.parts:
        tasks = _tasks_with_rows(seen.parts, rows, n_features, sparse)
    else:
        tasks = _tasks_by_path(path, _stamp(found), rows, n_features, sparse, one_based)
    X_meta = scipy.sparse.csr_matrix((0, 0)) if sparse else np.empty((0, 0))
    return stack_pairs(tasks, rows, n_features, X_meta, np.empty(0), token=("libsvm", tasks))


def sample_libsvm(sparse=False, chunk_rows=None):
    """Handwritten digits 0 and 1 as images of 28 x 28: the sample file of Apache Spark.

    Parameters
    ----------
    sparse, chunk_rows : optional
        As in `load_libsvm`; here chunks are dense by default.

    Returns
    -------
    X : dask.array.Array, shape (100, 692), float64
        Pixels, 0 to 255; the file ends at column 692.
    y : dask.array.Array, shape (100,), float64
        The digit, 0 or 1.

    Raises
    ------
    DataError
        When the file is not where a checkout of labkit has it.
    ConfigurationError
        For a `chunk_rows` that is not a whole number, 1 or more.
    """
    path = Path(__file__).resolve().parents[2] / "datasets" / SAMPLE
    if not path.is_file():
        raise DataError("The sample file of labkit is not there.",
                        expected=f"datasets/{SAMPLE} beside the package labkit",
                        got="no such file", where=str(path),
                        remedy="install labkit from its checkout with: pip install -e .")
    return load_libsvm(path, chunk_rows=chunk_rows, sparse=sparse)


def _regular_file(path):
    """The absolute path and its stat, or an error that says what is there instead."""
    try:
        name = os.path.abspath(os.fsdecode(path))
    except TypeError:
        raise ConfigurationError("`path` must name a file.", expected="a str or a path-like",
                                 got=repr(path), where="the argument path",
                                 remedy="pass the file's name") from None
    try:
        found = os.stat(name)
    except (OSError, ValueError) as error:
        raise DataError("There is no such file.", expected="a libsvm text file",
                        got=getattr(error, "strerror", None) or str(error), where=name,
                        remedy=f"check the name; relative ones start from {os.getcwd()}") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "a device, pipe or socket"
        raise DataError("This is not a file.", expected="a libsvm text file", got=kind,
                        where=name, remedy="pass the name of one file")
    return name, found


def _check_dense(path, seen, n_features, max_dense_bytes, one_based):
    nbytes = 8 * seen.n_rows * n_features
    if nbytes > max_dense_bytes:
        raise DataError(
            "This file is too large as a dense array.",
            expected=f"at most {max_dense_bytes:,} bytes",
            got=f"{nbytes:,} bytes: {seen.n_rows} rows of {n_features} features of 8 bytes "
                f"(the largest index is {seen.n_features - 1 + bool(one_based)})",
            where=f"{path}, line {seen.widest_line}",
            remedy="pass sparse=True, correct that index if it is a mistake, or raise "
                   "max_dense_bytes")


def _tasks_with_rows(parts, rows, n_features, sparse):
    """Tasks that carry their rows, always as csr: filled up, they would be long to send."""
    X = scipy.sparse.vstack([widen(X, n_features) for X, _ in parts], format="csr")
    y = np.concatenate([y for _, y in parts])
    return [(_chunk, X[end - n:end], y[end - n:end], n_features, sparse)
            for n, end in zip(rows, np.cumsum(rows), strict=True)]


def _chunk(X, y, n_features, sparse):
    # Copies, so that who changes a result in place does not change the graph's own rows.
    X = widen(X, n_features)
    return (X.copy() if sparse else X.toarray()), y.copy()


def _tasks_by_path(path, stamp, rows, n_features, sparse, one_based):
    """Tasks that know where their rows stand in the file."""
    cuts = list(_cuts(path, rows))
    with open_file(path) as file:
        _check_unchanged(file, path, *stamp)
    return [(_read_chunk, path, *stamp, *cut, n_features, sparse, one_based) for cut in cuts]


def _cuts(path, rows):
    """Yield each chunk's offset and length in bytes, and the number of its first line."""
    offset = length = lines = n = 0
    first, goals = 1, iter(rows)
    goal = next(goals)
    with open_file(path) as file:
        for line in file:
            if n == goal and is_row(line):
                yield offset, length, first
                offset, first, length, lines, n = offset + length, first + lines, 0, 0, 0
                goal = next(goals, None)
            length, lines, n = length + len(line), lines + 1, n + is_row(line)
    yield offset, length, first


def _read_chunk(path, size, modified, offset, length, line, n_features, sparse, one_based):
    """The task that reads its rows of a large file, and checks that it is the same file."""
    with open_file(path) as file:
        _check_unchanged(file, path, size, modified)
        file.seek(offset)
        text = file.read(length)
    X, y = parse(text, path, line, one_based, n_features)
    return _chunk(X, y, n_features, sparse)


def _stamp(found):
    # Whole seconds: a shared disk may keep no finer times.
    return found.st_size, int(found.st_mtime)


def _check_unchanged(file, path, size, modified):
    now = _stamp(os.fstat(file.fileno()))
    if now != (size, modified):
        raise DataError("This file has changed since it was loaded.",
                        expected=f"{size} bytes, modified at {modified} s",
                        got="{} bytes, modified at {} s".format(*now),
                        where=path, remedy="call load_libsvm again")

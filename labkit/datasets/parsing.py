"""One pass over a libsvm file: every row parsed and checked, none trusted.

    file --> pieces of whole lines --> fast parser --> suspicious? --> X, y of the piece
                                            |              |
                                          raised?          |
                                            +--------------+--> diagnose: line and culprit

scikit-learn's parser is fast and trusting: it lets pass NaN, `qid:`, `1_000` and rows
without features. Searching the text and the numbers for those costs little.
"""

from __future__ import annotations

import io
import itertools
from typing import NamedTuple

import numpy as np
import scipy.sparse

from labkit.datasets.diagnose import diagnose, head_problem, long_line
from labkit.errors import DataError

PIECE_BYTES = 16 * 2**20    # text parsed at a time
LINE_BYTES = 64 * 2**20     # a longer line is no libsvm, and might not fit in memory


class Scan(NamedTuple):
    """What one pass over the whole file found."""

    n_rows: int
    n_features: int     # as many as the largest index needs
    widest_line: int    # the line that holds the largest index
    parts: list         # parsed (X, y) pieces, where they were to be kept


def scan(path, one_based, n_features, keep):
    """Parse and check every line of a file; keep the rows, or only count them.

    Parameters
    ----------
    path : str
    one_based : bool
    n_features : int or None
        How many features there may be, if that is known.
    keep : bool
        Whether to return the parsed pieces.

    Returns
    -------
    Scan

    Raises
    ------
    DataError
        For a file without rows, and for the first bad line.
    """
    n_rows, widest, widest_line, parts = 0, 0, 0, []
    with open_file(path) as file:
        for line, text in _pieces(file, path):
            X, y = parse(text, path, line, one_based, n_features)
            if len(y) and X.shape[1] > widest:
                widest, widest_line = X.shape[1], _widest_line(text, X, line)
            if len(y) and keep:
                parts.append((X, y))
            n_rows += len(y)
        if not n_rows:
            raise _no_rows(path, nbytes=file.tell())
    return Scan(n_rows, widest, widest_line, parts)


def parse(text, path, first_line, one_based, n_features):
    """Parse whole lines.

    Parameters
    ----------
    text : bytes
    path, first_line : str, int
        Where the text stands, for errors.
    one_based, n_features : bool, int or None
        As in `scan`.

    Returns
    -------
    X : scipy.sparse.csr_matrix, float64
        As wide as its largest index needs.
    y : ndarray, float64

    Raises
    ------
    DataError
        For the first bad line.
    """
    # Importing scikit-learn takes a second, so only those who load a file wait for it.
    from sklearn.datasets import load_svmlight_file

    cause = None
    try:
        X, y = load_svmlight_file(io.BytesIO(text), zero_based=not one_based)
        if not _suspicious(text, X, y, n_features):
            return widen(X, X.shape[1]), y
    except (ValueError, OverflowError) as error:
        cause = error
    diagnose(text, path, first_line, one_based, n_features)
    # The two parsers disagree: no such text is known, but it must not pass unnoticed.
    raise DataError("This text cannot be parsed as libsvm.", expected="rows such as: 1 3:0.5 7:2",
                    got=cause, where=f"{path}, line {first_line} or after",
                    remedy="load parts of the file to find the line") from cause


def widen(X, n_features):
    """The same csr matrix with that many columns, and 32-bit indices where they suffice."""
    return scipy.sparse.csr_matrix((X.data, X.indices, X.indptr), shape=(X.shape[0], n_features))


def is_row(line):
    """Whether a line is a row: neither blank nor a comment."""
    return line.lstrip()[:1] not in (b"", b"#")


def open_file(path):
    """Open a file to read bytes, or raise a DataError that says why not."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError("This file cannot be opened.", expected="a file that may be read here",
                        got=error.strerror, where=path,
                        remedy="check its permissions; workers on other machines need a "
                               "shared disk") from error


def _pieces(file, path):
    """Yield the file as pieces of whole lines, each with the number of its first line."""
    line = 1
    while text := file.read(PIECE_BYTES):
        if line == 1 and (problem := head_problem(text[:8])):
            raise problem.at(path, 1)
        text += (rest := file.readline(LINE_BYTES))
        if len(rest) == LINE_BYTES and not rest.endswith(b"\n"):
            raise long_line(text).at(path, line + text.count(b"\n"))
        yield line, text
        line += text.count(b"\n")


def _suspicious(text, X, y, n_features):
    """Whether the fast parser let something pass that `diagnose` refuses."""
    lone_returns = text.count(b"\r") - text.count(b"\r\n") - text.endswith(b"\r")
    return (not np.isfinite(y).all()
            or not np.isfinite(X.data).all()
            or not np.diff(X.indptr).all()
            or (n_features is not None and X.nnz > 0 and X.shape[1] > n_features)
            or b"\0" in text
            or lone_returns > 0
            or _outside_comments(text, b"_")
            or _outside_comments(text, b"qid"))


def _outside_comments(text, needle):
    """Whether `needle` stands in `text` before any # of its line."""
    at = text.find(needle)
    while at >= 0:
        if b"#" not in text[text.rfind(b"\n", 0, at) + 1:at]:
            return True
        end = text.find(b"\n", at)
        at = text.find(needle, end) if end >= 0 else -1
    return False


def _widest_line(text, X, first_line):
    """The number of the line with the largest index."""
    row = int(np.searchsorted(X.indptr, np.argmax(X.indices), side="right")) - 1
    numbers = (number for number, line in enumerate(text.split(b"\n"), first_line)
               if is_row(line))
    return next(itertools.islice(numbers, row, None))


def _no_rows(path, nbytes):
    if nbytes == 0:
        return DataError("This file is empty.", expected="at least one row, as in: 1 3:0.5",
                         got="0 bytes", where=f"{path}, line 1",
                         remedy="check that it was written or downloaded to its end")
    return DataError("This file holds no rows.", expected="at least one row, as in: 1 3:0.5",
                     got="comments and blank lines only", where=f"{path}, line 1 to the last",
                     remedy="check that this is the right file; a row must not begin with #")

"""What is wrong with this text, and on which line?

    label index:value index:value ...  # comment

The fast parser only says that something is wrong. This slow one, in plain Python, runs
after it and names the first bad line and the culprit on it. The format is that of SVMlight
(Joachims 1999) and LIBSVM (Chang and Lin 2011), without `qid:` and several labels a row.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from labkit.errors import DataError

# Column numbers must fit 32-bit signed integers, as in SciPy's matrices and LIBSVM itself.
MAX_INDEX = 2**31 - 1
_INTEGER = re.compile(rb"[+-]?[0-9]+")
_ARCHIVES = {b"\x1f\x8b": ("gzip", "gunzip"), b"PK\x03\x04": ("zip", "unzip"),
             b"BZh": ("bzip2", "bunzip2"), b"\xfd7zXZ\x00": ("xz", "unxz"),
             b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"), b"7z\xbc\xaf\x27\x1c": ("7-zip", "7z x")}
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_DAMAGED = "the file may be binary or damaged: export or download it again as plain text"


class Problem(NamedTuple):
    """The parts of an error that do not depend on where it is."""

    what: str
    expected: str
    got: str
    remedy: str

    def at(self, path, line):
        """The error to raise for this problem on that line of the file."""
        return DataError(self.what, expected=self.expected, got=self.got,
                         where=f"{path}, line {line}", remedy=self.remedy)


def head_problem(head):
    """Say what is wrong with the first bytes of a file: an archive, or a byte-order mark.

    Returns
    -------
    Problem or None
    """
    for magic, (kind, tool) in _ARCHIVES.items():
        if head.startswith(magic):
            return Problem("This file is compressed.", "plain libsvm text",
                           f"{kind} data (it begins with {magic!r})",
                           f"decompress it first, for example with {tool}")
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return Problem("This file begins with a byte-order mark.",
                           "plain ASCII text that begins with a label or a comment",
                           f"the {encoding} byte-order mark {mark!r}",
                           "save it as plain ASCII, or as UTF-8 without a byte-order mark")
    return None


def long_line(text):
    """Say that the last line of `text` is too long to be a row.

    Returns
    -------
    Problem
    """
    line = text[text.rfind(b"\n") + 1:]
    return Problem("This line is too long.", "rows that end in LF or CRLF",
                   f"{len(line):,} bytes without a line end, which begin with {_show(line)}",
                   "convert the line ends; or " + _DAMAGED)


def diagnose(text, path, first_line=1, one_based=True, n_features=None):
    """Raise a DataError for the first bad line of `text`; return if there is none.

    Parameters
    ----------
    text : bytes
        Whole lines of a file.
    path : str
        The file's name, for the error.
    first_line : int
        The number of the first of these lines in the file, from 1.
    one_based : bool
        Whether the first feature's index is 1 or 0.
    n_features : int, optional
        How many features there may be.

    Raises
    ------
    DataError
        That names the line and what is wrong on it.
    """
    low = 1 if one_based else 0
    high = MAX_INDEX if n_features is None else min(MAX_INDEX, n_features - 1 + low)
    for number, line in enumerate(text.split(b"\n"), first_line):
        problem = _line_problem(line, low, high)
        if problem:
            raise problem.at(path, number)


def _line_problem(line, low, high):
    if b"\0" in line:
        return Problem("This line holds NUL bytes.", "plain text",
                       f"a NUL byte at position {line.index(0) + 1} of the line", _DAMAGED)
    line = line.removesuffix(b"\r")
    if b"\r" in line:
        return Problem("A carriage return stands inside this line.",
                       "lines that end in LF or CRLF", "a carriage return (CR) without LF",
                       "convert the line ends, for example with: tr '\\r' '\\n' < old > new")
    label, *pairs = line.split(b"#", 1)[0].split() or [None]
    if label is None:
        return None
    return _label_problem(label) or _row_problem(pairs, low, high)


def _label_problem(label):
    number = _number(label)
    if number is None:
        return Problem("The label is not a number.", "a line that begins with a number, as in: "
                       "1 3:0.5", _show(label), _label_remedy(label))
    if not math.isfinite(number):
        return Problem("The label is not finite.", "a finite number", _show(label),
                       "drop the rows whose label is missing or infinite")
    return None


def _label_remedy(label):
    if b":" in label:
        return "put the row's label before its index:value pairs"
    if b"," in label:
        return ("this looks like CSV or several labels a row: convert it, for example with "
                "sklearn.datasets.dump_svmlight_file")
    return "replace class names by numbers, for example 0 and 1"


def _row_problem(pairs, low, high):
    if not pairs:
        return Problem("This row has a label and no features.", "at least one index:value pair "
                       "after the label", "a label only",
                       f"write a zero row with an explicit zero, as in: 1 {low}:0")
    previous = None
    for pair in pairs:
        problem = _form_problem(pair) or _order_problem(pair, previous, low, high)
        if problem:
            return problem
        previous = int(pair.partition(b":")[0])
    return None


def _form_problem(pair):
    """A problem with the form of index:value, or with its value."""
    index, colon, value = pair.partition(b":")
    if index == b"qid":
        return Problem("labkit does not read query ids.", "index:value pairs", _show(pair),
                       "remove the qid: column; without it the rows are not grouped by query")
    if not colon:
        return Problem("A colon is missing.", "index:value, as in 3:0.5", _show(pair),
                       "write the feature as index:value, without spaces around the colon")
    if not _INTEGER.fullmatch(index):
        return Problem("A feature's index is not a whole number.", "index:value, as in 3:0.5",
                       _show(pair), "number the features, and write no name in place of an index")
    if not value:
        return Problem("A pair is cut off after its colon.", "index:value, as in 3:0.5",
                       _show(pair), "write the value; if this is the last line, the file may be "
                       "truncated: copy it again")
    number = _number(value)
    if number is None:
        return Problem("A feature's value is not a number.", "a number, as in 3:0.5 or 3:5e-1",
                       _show(pair), "write the value as a number, with a point and no comma")
    if not math.isfinite(number):
        return Problem("A feature's value is not finite.", "a finite number, below 1.8e308",
                       _show(pair), "leave the pair out if it means zero, else impute the value "
                       "or drop the row")
    return None


def _order_problem(pair, previous, low, high):
    """A problem with the size of an index, or with its place among the others."""
    text = pair.partition(b":")[0]
    # Python refuses to turn more than 4,300 digits into an int.
    index = int(text) if len(text) < 4000 else high + 1
    if index < 0:
        return Problem("A feature's index is negative.", f"{low} or more", _show(pair),
                       f"number the features from {low}")
    if index < low:
        return Problem("Index 0 in a file whose indices should begin at 1.", "1 or more",
                       _show(pair), "if this file counts from 0, pass one_based=False")
    if index > high:
        return Problem("A feature's index is too large.", f"at most {high}", _show(pair),
                       "correct the index, or pass a larger n_features" if high < MAX_INDEX
                       else "hash or renumber the features into fewer columns")
    if previous is not None and index <= previous:
        kind = "appears twice" if index == previous else "is out of order"
        return Problem(f"A feature's index {kind}.", f"an index above {previous}, the one before",
                       _show(pair), "sort each row by index, and keep one value for each")
    return None


def _number(token):
    """The token as a float, or None. Python would accept 1_000; no other program does."""
    try:
        return None if b"_" in token else float(token)
    except ValueError:
        return None


def _show(token):
    """A token of the file as readable text of bounded length."""
    text = token[:40].decode("ascii", "backslashreplace")
    return repr(text) + (f" and {len(token) - 40} bytes more" if len(token) > 40 else "")

r"""Text files as items of a job: ranges of whole lines, found by byte offsets alone.

    bytes    0         10        20        30
    file     one two\nthree\nfour five six\nseven
    cut at             ^         ^
    ranges   [one two\nthree\n]  [four five six\n]  [seven]

Nobody reads a file to cut it. A line belongs to the range in which it begins: whoever reads a
range skips the rest of a line that began before it, and reads on to the end of its last line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import ConfigurationError, DataError
from labkit.sharding import Shards

RANGE_NBYTES = 32_000_000    # coarse: a task costs a scheduler some milliseconds
RANGES_A_WORKER = 2


@dataclass(frozen=True)
class TextRange:
    """The lines of a file that begin at `start` or after, and before `stop`."""

    path: str
    start: int
    stop: int
    """In bytes."""

    def read(self):
        """Return the lines as bytes; b"" if none begins here."""
        with open(self.path, "rb") as file:
            start = _line_from(file, self.start)
            stop = _line_from(file, self.stop)
            file.seek(start)
            return file.read(stop - start)


class TextFiles:
    """Text files that every worker can read.

    Parameters
    ----------
    paths : str, Path, or a sequence of them
    range_nbytes : int, optional
        About how much one task reads: by default two ranges a worker, of at most 32 MB.

    Raises
    ------
    DataError
        If a path is not a file.
    ConfigurationError
        For no path, or ranges of less than 1 byte.
    """

    def __init__(self, paths, range_nbytes=None):
        paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not paths or (range_nbytes is not None and range_nbytes < 1):
            raise ConfigurationError("There is nothing to read.", where="TextFiles",
                                     expected="one path or more, and ranges of 1 byte or more",
                                     got=f"{len(paths)} paths, range_nbytes={range_nbytes}")
        for path in paths:
            if not Path(path).is_file():
                raise DataError("This is not a file.", got=os.fspath(path), expected="a text file",
                                remedy="look for a misspelt name, or a disk that is not there")
        self.paths = [os.path.abspath(path) for path in paths]
        self.range_nbytes = range_nbytes

    def ranges(self, workers):
        """Return the TextRanges of all files; every line is in exactly one.

        Parameters
        ----------
        workers : int
        """
        sizes = [os.path.getsize(path) for path in self.paths]
        # As many for each worker, so that all end at about the same time.
        rounds = max(RANGES_A_WORKER, -(-sum(sizes) // (RANGE_NBYTES * workers)))
        step = self.range_nbytes or max(1, -(-sum(sizes) // (rounds * workers)))
        return [TextRange(path, start, min(start + step, size))
                for path, size in zip(self.paths, sizes) for start in range(0, size, step)]


def items_of(source, workers):
    """Return the items of a job: ranges of text files, Shards as they are, a list of others."""
    if isinstance(source, TextFiles):
        return source.ranges(workers)
    return source if isinstance(source, Shards) else list(source)


def _line_from(file, offset):
    """Return where the first line begins that begins at `offset` or after."""
    if offset == 0:
        return 0
    file.seek(offset - 1)
    file.readline()
    return file.tell()

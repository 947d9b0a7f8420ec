"""Grouping pairs by key in a limited memory: what does not fit waits on disk, sorted.

    pairs --> {key: values}   in memory, up to the budget
                  | full: sort by key, write
                  v
              run 0   a b d f
              run 1   a c d      --merge--> a b c d f     one group at a time
              run 2   b f

A run is a file without a name: it vanishes with the last handle to it, even if the process is
killed. The values of a single key must fit in memory, because a reducer takes them as a list.
Source: Knuth, "The art of computer programming", volume 3, section 5.4: external sorting.
"""

from __future__ import annotations

import heapq
import itertools
import pickle
import sys
import tempfile
from contextlib import ExitStack

from labkit import safe_files
from labkit.models.map_reduce.keys import check_hashable, encode

FAN_IN = 64                  # runs that are merged, and files that are open, at once


class Groups:
    """Pairs grouped by key; use it in a `with` block, which ends its files.

    Parameters
    ----------
    budget_nbytes : int or None
        About how much memory the pairs may take; None for any.
    sort : bool
        Whether groups come in the order of their keys. If not, they come in the order in
        which keys first appeared, or, once something was written, in some order.

    Attributes
    ----------
    n_pairs, n_runs, spilled_nbytes : int
        What was added; how many sorted runs were written, and their bytes.
    """

    def __init__(self, budget_nbytes=None, sort=False):
        self._budget = float("inf") if budget_nbytes is None else budget_nbytes
        self._sort = sort
        self._groups, self._nbytes = {}, 0
        self._files, self._runs = ExitStack(), []
        self.n_pairs = self.n_runs = self.spilled_nbytes = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._files.close()

    def add(self, key, value):
        """Add one pair; values of a key keep their order."""
        check_hashable(key)
        values = self._groups.get(key)
        if values is None:
            values = self._groups[key] = []
            self._nbytes += size_of(key)
        values.append(value)
        self.n_pairs += 1
        self._nbytes += size_of(value)
        if self._nbytes > self._budget:
            self._spill()

    def __iter__(self):
        """Yield (key, values) for each key."""
        if not self._runs:
            items = self._groups.items()
            return iter(sorted(items, key=self._order) if self._sort else items)
        if self._groups:
            self._spill()
        return self._merged(self._runs)

    def _order(self, group):
        return group[0] if self._sort else encode(group[0])

    def _spill(self):
        if len(self._runs) == FAN_IN:
            self._runs = [self._write(self._merged(self._runs))]
        self._runs.append(self._write(sorted(self._groups.items(), key=self._order)))
        self._groups, self._nbytes = {}, 0

    def _write(self, groups):
        run = self._files.enter_context(tempfile.TemporaryFile())      # noqa: SIM115
        with safe_files.room(tempfile.gettempdir(), self._nbytes, "groups that outgrow memory",
                             "set TMPDIR to a larger disk, or give the job more budget_nbytes"):
            for group in groups:
                pickle.dump(group, run, protocol=5)
            run.flush()
        self.n_runs += 1
        self.spilled_nbytes += run.tell()
        return run

    def _merged(self, runs):
        groups = heapq.merge(*map(_read, runs), key=self._order)
        for _, equal in itertools.groupby(groups, key=self._order):
            found = {}                       # different keys may have the same encoding
            for key, values in equal:
                found.setdefault(key, []).extend(values)
            yield from found.items()
        for run in runs:
            run.close()


def size_of(thing):
    """Return about how many bytes of memory an object takes."""
    if hasattr(thing, "nbytes"):
        return thing.nbytes
    inside = sum(map(size_of, thing)) if isinstance(thing, tuple | list) else 0
    return sys.getsizeof(thing) + inside


def _read(run):
    run.seek(0)
    while True:
        try:
            yield pickle.load(run)
        except EOFError:
            return

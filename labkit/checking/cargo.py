"""What each message and each result of a sum holds: whose values, how often, and of which entries.

    1. run again with the tags `counts`: digits of results and messages say who is in them
    2. run again with the tags `places`: the same messages, and which entries they hold
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from labkit.checking import tags
from labkit.checking.trial import attempt


class Cargo(NamedTuple):
    """What one message holds."""

    letter: object
    counts: np.ndarray
    """Shape (entries, peers)."""
    places: np.ndarray
    """Which entries of the whole they are; -1 where that is not known."""
    unread: bool

    def at(self, positions):
        """Return the counts of those entries that are among `positions`."""
        return self.counts[np.isin(self.places, positions)]


class Sums(NamedTuple):
    """What all peers return, as counts."""

    got: list
    want: list
    cargo: list
    read: bool
    """Whether every message could be read: otherwise nobody can say what was never sent."""
    size: int
    """Entries of a part."""


def tagged_sums(exercise, case):
    """Run the case with tags; return its Sums, None if tags tell nothing."""
    n, lists = case.n_peers, exercise.inputs(case).lists
    inputs = exercise.retold(tags.counts(lists, n), case)
    if inputs is None:
        return None
    trial = attempt(exercise, case, inputs, contents=True)
    if trial.error is not None:
        return None
    for scale in (1, n):
        want = [_digits(value, n, scale) for value in inputs.expected]
        known = [found for value, found in zip(inputs.expected, want) if value is not None]
        if known and all(map(_is_sum, known)):
            got = [_digits(result, n, scale) for result in trial.run.results]
            return Sums(got, want, *_cargo(exercise, case, trial, scale), size_of(lists))
    return None


def _is_sum(counts):
    """Whether an expected answer has some peers' values once, and no others."""
    return counts is not None and counts.any() and np.all((counts == 0) | (counts == 1))


def size_of(lists):
    return sum(array.size for array in tags.leaves(lists[0][0]))


def _digits(value, n_peers, scale):
    return None if value is None else tags.digits(tags.flat(value), n_peers, scale)


def _cargo(exercise, case, trial, scale):
    """Return the Cargo of each message with sums of tags, and whether all could be read."""
    inputs = exercise.retold(tags.places(exercise.inputs(case).lists), case)
    placed = attempt(exercise, case, inputs, contents=True) if inputs else None
    same_way = placed and [a[:3] for a in placed.letters] == [a[:3] for a in trial.letters]
    unread = {id(letter) for letter in trial.unread}
    cargo, read = [], True
    for number, letter in enumerate(trial.letters):
        counts = _counts(letter.message, case.n_peers, scale)
        if counts is None or not len(counts):
            read = read and (letter.nbytes == 0 or tags.is_plain(letter.message))
            continue
        where = _places(counts, tags.flat(placed.letters[number].message)) if same_way else None
        if where is None:
            where = np.full(len(counts), -1)
        cargo.append(Cargo(letter, counts, where, id(letter) in unread))
    return cargo, read


def _counts(message, n_peers, scale):
    """Return the digits of a sum, or of a mean that is sent."""
    vector = tags.flat(message)
    counts = tags.digits(vector, n_peers)
    return tags.digits(vector, n_peers, scale) if counts is None else counts


def _places(counts, values):
    """Return which entry of a part each value comes from; -1 where it is not one."""
    if len(values) != len(counts):
        return None
    n = counts.sum(axis=1)
    where = values / np.where(n > 0, n, 1) - 1
    return np.where((n > 0) & (where == np.round(where)), where, -1).astype(int)

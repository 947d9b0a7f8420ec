"""Whose value is missing in a wrong sum, or in it twice, and where on the way that happened.

    want   1057 = 1 + 1*32 + 1*1024      each value once
    got    1089 = 1 + 2*32 + 1*1024      "peer 1's value is counted twice"
    got    1025 = 1 +        1*1024      "peer 1's value is missing"

Works for all that adds up parts, whatever the algorithm, if it does the same for all values.
"""

from __future__ import annotations

import numpy as np

from labkit.checking import tags
from labkit.checking.cargo import tagged_sums
from labkit.checking.finding import Finding
from labkit.checking.trails import double_trail, finished, finished_trail, missing_trail
from labkit.checking.trial import attempt
from labkit.checking.words import capital, entries, listed, peers, times


def explain_sum(exercise, case):
    """Return a Finding that names contributions; None if it is no sum, or cannot be told."""
    sums = tagged_sums(exercise, case)
    if sums is None:
        return None
    for rank, (got, want) in enumerate(zip(sums.got, sums.want)):
        if want is None:
            continue
        if got is None or got.shape != want.shape:
            return None
        if np.any(got != want):
            return _explain_peer(sums, rank, got - want)
    return _explain_places(exercise, case, sums)


# ---- one peer's wrong sum


def _explain_peer(sums, rank, excess):
    """Return the Finding of a peer whose counts are off by `excess`, shape (entries, peers)."""
    entry = int(np.flatnonzero(np.any(excess, axis=1))[0])
    pattern = excess[entry]
    positions = np.flatnonzero((excess == pattern).all(axis=1))
    # Who gets a piece of the sum has entries of other numbers.
    whole = positions if len(excess) == sums.size else []
    where = f"{entries(positions)}{_part(whole, sums, len(pattern))} of peer {rank}'s result"
    if len(positions) == len(excess):
        where = f"peer {rank}'s result"
    counts = sums.got[rank][entry]
    if not counts.any():
        return Finding("sum", f"Nobody's value is in {where}.",
                       "Is that part ever received, and stored?",
                       finished_trail(sums, rank, whole))
    more, less = np.flatnonzero(pattern > 0), np.flatnonzero(pattern < 0)
    if len(less) and not len(more) and _unfinished(sums, rank, entry, whole):
        return Finding("sum", f"Peer {rank} never received the finished "
                       f"{_piece(positions, sums, len(pattern), len(excess))}: it holds only "
                       f"the values of {peers(np.flatnonzero(counts))} there.",
                       "Does the second round pass on every part?",
                       finished_trail(sums, rank, whole))
    return Finding("sum", _sentence(counts, more, less, where), _hint(more, less),
                   double_trail(sums, rank, more, whole) if len(more)
                   else missing_trail(sums, rank, less, whole))


def _sentence(counts, more, less, where):
    said = []
    if len(more):
        count = sorted({int(counts[rank]) for rank in more})[-1]
        said.append(f"{_values(more)} counted {times(count)}")
    if len(less):
        negative = all(counts[rank] < 0 for rank in less)
        said.append(f"{_values(less)} {'subtracted' if negative else 'missing'}")
    return capital(f"{listed(said)} in {where}.")


def _values(ranks):
    return f"peer {ranks[0]}'s value is" if len(ranks) == 1 else f"the values of {peers(ranks)} are"


def _hint(more, less):
    if len(more) and len(less):
        return "A message with one part was added where another belongs."
    if len(more):
        return "A message holds more than it should: send what came last, not the sum so far; " \
               "or a part goes round once too often."
    return "Does the loop make one step for each of the other peers, with the right part?"


def _unfinished(sums, rank, entry, positions):
    """Whether this is a finished part that was not passed on: others have it, or at least the rest.

    Where whole sums are exchanged, nobody passes on a finished one.
    """
    by_parts = 0 < len(positions) < sums.size
    return (by_parts or bool(finished(sums, positions))) and _others_have(sums, rank, entry)


def _others_have(sums, rank, entry):
    """Whether some other peer's sum is right there."""
    return any(other != rank and got is not None and want is not None and entry < len(got)
               and len(got) == len(sums.got[rank]) and np.array_equal(got[entry], want[entry])
               for other, (got, want) in enumerate(zip(sums.got, sums.want)))


def _piece(positions, sums, n_peers, size):
    part = part_number(positions, sums.size, n_peers)
    if len(positions) == size:
        return "sum"
    return f"part {part} ({entries(positions)})" if part is not None else f"{entries(positions)}"


def _part(positions, sums, n_peers):
    part = part_number(positions, sums.size, n_peers)
    return f" (part {part})" if part is not None and n_peers > 1 else ""


def part_number(positions, size, n_peers):
    """Return which piece of `numpy.array_split` these entries are; None if they are none."""
    for part, piece in enumerate(np.array_split(np.arange(size), n_peers)):
        if len(piece) and np.array_equal(piece, positions):
            return part
    return None


# ---- right sums in wrong places


def _explain_places(exercise, case, sums):
    inputs = exercise.retold(tags.places(exercise.inputs(case).lists), case)
    trial = attempt(exercise, case, inputs) if inputs else None
    if trial is None or trial.error is not None:
        return None
    for rank, (got, want) in enumerate(zip(trial.run.results, inputs.expected)):
        found = _misplaced(got, want) if want is not None else None
        if found is not None:
            entry, source = found
            return Finding("place", f"Each sum is right, but in the wrong place: entry {entry} of "
                           f"peer {rank}'s result is the sum of the entries {source}.",
                           "Compare the number of the part that is sent with the number of the "
                           "part that it is stored as.")
    return None


def _misplaced(got, want):
    """Return (an entry, whose value is there) where two vectors differ."""
    got, want = tags.flat(got), tags.flat(want)
    if got.shape != want.shape or not np.any(got != want):
        return None
    entry = int(np.flatnonzero(got != want)[0])
    source = np.flatnonzero(want == got[entry])
    return (entry, int(source[0])) if len(source) else None

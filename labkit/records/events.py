"""What peers did, and when: an `Event` each, kept in order of their start.

    messages(events)    each send with the receive that it became
"""

from __future__ import annotations

import functools
import operator
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple

LOST = " lost"               # ends the label of a task's attempt that died with its worker


class Event(NamedTuple):
    """One thing that one peer did, from `start_s` to `end_s`."""

    kind: str
    """"send", "recv", "work" (simulated computing), "step" (a mark), "task" (from `map`), "memory"
    (how much a worker's process holds, on clusters, at steps and ends of tasks); of faults
    "injected", "suspected", "confirmed" (a worker is lost) and "recovered", with the worker that
    it happened to as rank."""

    rank: int
    """The peer or worker that did it, from 0."""

    start_s: float
    """Start in seconds since the run began: real seconds, or virtual ones if simulated."""

    end_s: float
    """End in seconds since the run began."""

    peer: int = -1
    """The other peer of a "send" or "recv"; -1 where there is none."""

    nbytes: int = 0
    """Payload bytes of a message or a task's result; bytes held, for "memory"; 0 for others."""

    step: int = -1
    """The number last given to `me.step`; -1 before the first."""

    label: str = ""
    """The collective that sent the message, or the task's name and number; "" otherwise."""


class Events(Sequence):
    """A run's events in order of their start, made into `Event` when looked at.

    A simulated run of a thousand peers has millions; plain tuples cost a fifth of the
    time, and none of the garbage collector's.
    """

    def __init__(self, tuples=()):
        self._unsorted = list(tuples)

    @functools.cached_property
    def _tuples(self):
        return sorted(self._unsorted, key=operator.itemgetter(2))

    def __len__(self):
        return len(self._unsorted)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [Event._make(row) for row in self._tuples[index]]
        return Event._make(self._tuples[index])

    def __iter__(self):
        return map(Event._make, self._tuples)

    def __eq__(self, other):
        return isinstance(other, Events) and self._tuples == other._tuples

    def __repr__(self):
        kinds = Counter(row[0] for row in self._tuples)
        return f"Events({', '.join(f'{n:,} {kind}' for kind, n in sorted(kinds.items()))})"


def messages(events):
    """Pair each send with its receive.

    Parameters
    ----------
    events : iterable of Event

    Returns
    -------
    list of (Event, Event)
        Send and receive; messages between two peers arrive in the order in which they were
        sent, each collective's apart. One that was never received is left out.
    """
    under_way, pairs = defaultdict(deque), []
    events = list(events)
    for event in events:
        if event.kind == "send":
            under_way[event.rank, event.peer, event.label].append(event)
    for event in events:
        if event.kind == "recv" and under_way[event.peer, event.rank, event.label]:
            sent = under_way[event.peer, event.rank, event.label].popleft()
            pairs.append((sent, event))
    return pairs

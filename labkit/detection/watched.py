"""What a failure detector has seen, and how good it was.

    member 2    beats |  |  |  x stopped            goes on |  |  |
    peer 0      ---------------------- suspected ------------ withdrawn --->  Watched of peer 0
    peer 1      ------------------------ suspected ---------- withdrawn --->  Watched of peer 1
                               |<----->|
                               detection time of peer 0

Three numbers judge a detector: how long until a failure is suspected, how often somebody who is
well is suspected, and how many messages that costs.

Source: Chen, Toueg and Aguilera, "On the quality of service of failure detectors", IEEE
Transactions on Computers 51(5), 2002.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

SUSPECTED, WITHDRAWN, FAILED, LOST = "suspected", "withdrawn", "failed", "lost"


class Change(NamedTuple):
    """What one peer has begun to think of another."""

    at_s: float
    """When: seconds since the run began, on this peer's clock."""

    member: int
    """Of whom: a rank."""

    status: str
    """"suspected" or, once it has been heard again, "withdrawn"; "failed", when SWIM waits no
    longer for that; "lost", when the transport has said that the connection is broken."""


@dataclass(frozen=True)
class Watched:
    """What one peer has seen of the others, from its start to its end."""

    rank: int
    """The peer that watched."""

    changes: tuple[Change, ...]
    """Every change of mind, in order of time."""

    messages: int
    """How many messages it has sent."""

    seconds: float
    """How long it has watched, in seconds."""


def detection_times(results, member, since_s):
    """Return when each watcher first suspected a member after a time.

    The transport's own notice, "lost", does not count: see `notice_times`.

    Parameters
    ----------
    results : iterable of Watched or None
        A run's results; None stands for a peer that has died.
    member : int
        Who failed, or was stopped.
    since_s : float
        When, in seconds since the run began.

    Returns
    -------
    dict of int to float
        {rank of the watcher: seconds from `since_s`}, infinite if it has never suspected.
    """
    return _first(results, member, since_s, (SUSPECTED, FAILED))


def notice_times(results, member, since_s):
    """Return when the transport has told each watcher that a member is gone.

    Parameters and result are those of `detection_times`.
    """
    return _first(results, member, since_s, (LOST,))


def _first(results, member, since_s, statuses):
    return {watched.rank: min((change.at_s - since_s for change in watched.changes
                               if change.member == member and change.status in statuses
                               and change.at_s >= since_s), default=math.inf)
            for watched in _those_alive(results) if watched.rank != member}


def false_suspicions(results, truly_dead=()):
    """Count how often somebody was suspected who was well.

    Parameters
    ----------
    results : iterable of Watched or None
        A run's results. Each watcher counts for itself, also if gossip has told it.
    truly_dead : collection of int
        Members that did fail: no suspicion of them is counted.

    Returns
    -------
    int
    """
    return sum(change.status == SUSPECTED and change.member not in truly_dead
               for watched in _those_alive(results) for change in watched.changes)


def message_rate(results):
    """Return how many messages a member has sent a second, on average.

    Parameters
    ----------
    results : iterable of Watched or None
        A run's results; peers that have died do not count.
    """
    alive = list(_those_alive(results))
    return sum(watched.messages for watched in alive) / sum(watched.seconds for watched in alive)


def _those_alive(results):
    return (watched for watched in results if watched is not None)

"""What a right program costs, and whether less would suffice.

    messages, nbytes    of all peers together
    rounds              the longest chain of messages, each sent after the one before was received
    virtual_s           until the last peer has returned, in the network of `Case`
    peak_bytes          the most that one peer holds beyond its part of the input

    peer 0 --1--> peer 1 --2--> peer 2        2 rounds
    peer 0 --1--> peer 3                      1 round: it waits for nothing

Source of the chain: Lamport, "Time, clocks, and the ordering of events in a distributed system",
CACM 21(7), 1978.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

from labkit import wire
from labkit.checking.exercise import Case
from labkit.checking.finding import Finding
from labkit.checking.memory import NOISE, peak_bytes
from labkit.checking.words import counted

PEAK_SIZE = 2 ** 16          # entries of a part when memory is measured
SLACK = 1.02                 # of measured memory, and of sums of seconds
HINTS = {
    "messages": "Which messages tell somebody what they know already?",
    "nbytes": "Does a message hold more than its receiver needs? Send parts, not wholes.",
    "rounds": "Who waits though he could send already? Let several peers send at the same time.",
    "virtual_s": "See on the timeline who waits for whom: what could go on at the same time?",
    "peak_bytes": "What is kept that is no longer needed? Add up parts as they come.",
}


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What suffices, for all peers and sizes that are tried, undisturbed; None stands for anything.

    Each is a number, or ``f(n_peers, nbytes)`` where `nbytes` is what the largest part takes.
    """

    messages: float | Callable | None = None
    """Sent by all peers together."""

    nbytes: float | Callable | None = None
    """Payload of all messages."""

    rounds: float | Callable | None = None
    """Messages in the longest chain of which each waits for the one before."""

    virtual_s: float | Callable | None = None
    """Seconds until the last peer returns; a message takes 20 us and 0.8 ns a byte."""

    peak_bytes: float | Callable | None = None
    """The most that one peer holds beyond its part, measured with parts of half a megabyte."""

    def of(self, name, n_peers, nbytes):
        """Return one target for so many peers and bytes; None if there is none."""
        target = getattr(self, name)
        return target(n_peers, nbytes) if callable(target) else target


class Cost(NamedTuple):
    """What one case cost."""

    n_peers: int
    size: int
    part_nbytes: int
    messages: int
    nbytes: int
    rounds: int
    virtual_s: float
    peak_bytes: int | None = None
    """None where it was not measured."""


def cost_of(trial):
    """Return the Cost of a trial that went well."""
    run = trial.run
    return Cost(trial.case.n_peers, trial.case.size, part_nbytes(trial.inputs.lists), run.messages,
                run.nbytes, rounds(trial.order), run.seconds)


def part_nbytes(lists):
    """Return the bytes of the largest part, over all arguments of the program."""
    return max((sum(wire.size_of(part) for part in mine) for mine in zip(*lists)), default=0)


def rounds(events):
    """Return the length of the longest chain of messages.

    Parameters
    ----------
    events : iterable of tuple
        Raw events, each message's send before its receive.
    """
    depth, under_way = defaultdict(int), defaultdict(deque)
    longest = 0
    for kind, rank, _, _, other, _, _, label in events:
        if kind == "send":
            under_way[rank, other, label].append(depth[rank] + 1)
            longest = max(longest, depth[rank] + 1)
        elif kind == "recv" and under_way[other, rank, label]:
            depth[rank] = max(depth[rank], under_way[other, rank, label].popleft())
    return longest


def measured_peak(exercise, n_peers, seed):
    """Return the Cost of a large case, with its memory alone to go by."""
    lists = exercise.inputs(Case(n_peers, PEAK_SIZE, seed)).lists
    peak = max(peak_bytes(exercise, n_peers, PEAK_SIZE, seed))
    return Cost(n_peers, PEAK_SIZE, part_nbytes(lists), 0, 0, 0, 0.0, peak)


def too_much(cost, targets, noun):
    """Return the Finding of a cost above a target, None if all are kept."""
    for name in [field.name for field in fields(targets)]:
        if (name == "peak_bytes") != (cost.peak_bytes is not None):
            continue                     # of a large case, only memory counts
        target = targets.of(name, cost.n_peers, cost.part_nbytes)
        used = getattr(cost, name)
        if target is not None and used > _allowed(name, target):
            more = _sentence(name, used, target, cost.part_nbytes)
            return Finding(f"cost {name}", f"Right {noun}, but {more} with "
                           f"{counted(cost.n_peers, 'peer')}.", HINTS[name])
    return None


def _allowed(name, target):
    if name == "peak_bytes":
        return target * SLACK + NOISE
    return target * (1 + 1e-9)


def _sentence(name, used, target, part):
    if name == "messages":
        return f"{counted(used, 'message')} where {target:,} suffice"
    if name == "nbytes":
        return f"{used:,} bytes sent where {target:,.0f} suffice"
    if name == "rounds":
        return f"{counted(used, 'round')} of messages where {target:,} suffice"
    if name == "virtual_s":
        return f"{used:.3g} virtual seconds where {target:.3g} suffice"
    # In halves of a part: bytes would differ a little from run to run.
    held, enough = round(2 * used / part) / 2, round(2 * target / part) / 2
    return f"a peer holds about {held:g} times its part where {enough:g} suffice"

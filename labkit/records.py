"""What a run leaves behind: events and results that never change.

    world.run(program, shards)  ->  Run(results, seconds, messages, nbytes, events, ...)
                                                                              |
                                                        Event(kind, rank, start_s, end_s, ...)

Plots and measures know only these records, so they work alike for real,
serial and simulated runs.
"""

from __future__ import annotations

import bisect
import functools
import math
import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from labkit.errors import LabkitError
from labkit.network import Network

LOST = " lost"               # ends the label of a task's attempt that died with its worker


class Event(NamedTuple):
    """One thing that one peer did, from `start_s` to `end_s`."""

    kind: str
    """"send", "recv", "work" (simulated computing), "step" (a mark), "task" (from `map`); of faults
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
    """Payload bytes of a message; 0 for other kinds."""

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


@dataclass(frozen=True)
class WorldInfo:
    """Which world made a run."""

    kind: str
    """"serial", "cluster" or "simulated"."""

    workers: int
    """How many peers took part."""

    network: Network | None = None
    """The network of a simulated world; None elsewhere."""

    detail: str = ""
    """The scheduler's address, or whatever identifies the world further."""

    transport: str = ""
    """How the messages of a real run travelled: "6 memory" says that 6 pairs of peers read
    each other's memory; others are "unix" and "tcp" sockets, and "tls"."""

    @property
    def simulated(self):
        """Whether seconds are virtual."""
        return self.kind == "simulated"

    def __str__(self):
        network = f", {self.network.name}" if self.network else ""
        return f"{self.kind}, {self.workers} worker{'s' * (self.workers != 1)}{network}"


@dataclass(frozen=True)
class Generation:
    """Peers of an elastic run between two losses, or other changes of the group."""

    members: tuple[int, ...]
    """The workers that took part, by number; their ranks were their places in this order."""

    start_s: float
    end_s: float
    """Seconds since the run began."""

    first_commit: int
    """The number of the commit that it began with; 0 if there was none."""

    last_commit: int
    """The newest commit when it ended."""

    cause: str
    """Why it ended: the error's name, or "" at the end of the run."""


class Loss(NamedTuple):
    """How one worker was lost, and the run went on. Seconds since the run began; nan: never."""

    worker: int
    injected_s: float
    """When the last fault before the loss struck this worker; nan if none was injected."""

    confirmed_s: float
    """When somebody knew that it is lost."""

    recovered_s: float
    """When the others, or its replacement, went on; of a map, when its tasks were done."""


@dataclass(frozen=True, repr=False)
class Run:
    """The record of one `world.run` or `world.map`."""

    results: list[Any]
    """What the program returned, one entry a peer; for `map`, one entry an item."""

    seconds: float
    """`run`: from the moment all peers are connected to the last one's end.
    `map`: from submission to the last result. Virtual seconds if simulated."""

    messages: int
    """Messages sent between peers; for `map`, results returned by workers."""

    nbytes: int
    """Payload bytes of those messages, without headers."""

    events: Events = field(default_factory=Events)
    """What happened, ordered by start; only faults when recording was off."""

    verified: bool = False
    """Whether `verify` has compared the results with an expected answer."""

    world: WorldInfo = field(default=WorldInfo("serial", 1))
    """Which world made the run."""

    lost: tuple[int, ...] = ()
    """Peers that died during the run; their results are None."""

    resent: int = 0
    """Packets that peers sent again because a checksum was wrong; see `checksums=`."""

    generations: tuple[Generation, ...] = ()
    """How the group of an elastic run changed; see `labkit.elastic`."""

    @functools.cached_property
    def marks(self):
        """The events of faults: what was injected, suspected, confirmed and recovered."""
        kinds = ("injected", "suspected", "confirmed", "recovered")
        return [event for event in self.events if event.kind in kinds]

    @property
    def losses(self):
        """The workers that were lost, as a list of `Loss` in the order in which it was known."""
        found, struck = [], {}
        for mark in self.marks:
            if mark.kind == "injected":
                struck[mark.rank] = mark.start_s
            elif mark.kind == "confirmed":
                found.append(Loss(mark.rank, struck.pop(mark.rank, math.nan), mark.start_s,
                                  self._recovered_s(mark)))
        return found

    def _recovered_s(self, confirmed):
        """When a loss was made good: peers go on together, tasks are made good one by one."""
        return min((mark.start_s for mark in self.marks if mark.kind == "recovered"
                    and mark.start_s >= confirmed.start_s
                    and (self.generations or mark.rank == confirmed.rank)), default=math.nan)

    @property
    def detection_s(self):
        """Seconds from each injected fault until its loss was confirmed, one for each of `losses`.

        nan for a loss that was not injected.
        """
        return [loss.confirmed_s - loss.injected_s for loss in self.losses]

    @property
    def recovery_s(self):
        """Seconds from each injected fault until the run went on, one for each of `losses`.

        nan for a loss that was not injected, or never made good.
        """
        return [loss.recovered_s - loss.injected_s for loss in self.losses]

    @property
    def repeated_steps(self):
        """How many times a generation began a step that an earlier one had begun.

        A step that is begun in three generations counts twice. Needs recorded events: 0 without.
        """
        seen, repeated = set(), 0
        for times in self.steps_by_generation():
            repeated += len(seen & set(times))
            seen |= set(times)
        return repeated

    @property
    def lost_attempts(self):
        """How many attempts at tasks of a map died with their workers; needs recorded events."""
        return sum(event.kind == "task" and event.label.endswith(LOST) for event in self.events)

    @property
    def work_lost_s(self):
        """Seconds of workers that had to be spent again, summed over the workers.

        Of a generation that ended by a loss: from the begin of its first step that was begun
        again (its last commit, in a program that commits at the end of a step) to its end, times
        its members. They may have waited for the dead in that time: it is in `detection_s` too.
        Of a map: the seconds of its lost attempts. Needs recorded events; nan where a program
        marks no steps.
        """
        return sum(self._seconds_lost()) + sum(
            event.end_s - event.start_s for event in self.events
            if event.kind == "task" and event.label.endswith(LOST))

    def _seconds_lost(self):
        """Yield the seconds of each generation that ended by a loss."""
        begun = self.steps_by_generation()
        for number, (generation, mine) in enumerate(zip(self.generations, begun)):
            if generation.cause in ("", "Regroup"):
                continue
            again = min((step for times in begun[number + 1:] for step in times), default=math.inf)
            since_s = min((at_s for step, at_s in mine.items() if step >= again),
                          default=generation.end_s if any(begun) else math.nan)
            yield (generation.end_s - since_s) * len(generation.members)

    def verify(self, expected, rtol=1e-9, atol=0.0):
        """Compare every result with `expected` and return a verified copy of this run.

        Parameters
        ----------
        expected : array_like, or a list with one array_like a result
            One answer that all results must equal, or one for each.
        rtol, atol : float
            Tolerances as in `numpy.allclose`.

        Raises
        ------
        LabkitError
            If a result is None or differs, with its rank and the largest difference.
        """
        each = isinstance(expected, list) and len(expected) == len(self.results)
        for rank, got in enumerate(self.results):
            want = np.asarray(expected[rank] if each else expected)
            if got is None:
                raise LabkitError("A result is missing.", got="None", where=f"results[{rank}]",
                                  expected=f"an answer of shape {want.shape}",
                                  remedy="does every peer return something?")
            got = np.asarray(got)
            if got.shape != want.shape:
                raise LabkitError("A result has the wrong shape.", expected=want.shape,
                                  got=got.shape, where=f"results[{rank}]")
            if not np.allclose(got, want, rtol=rtol, atol=atol):
                raise LabkitError("A result is wrong.", where=f"results[{rank}]",
                                  expected=f"within rtol={rtol:g} of {np.ravel(want)[:4]}...",
                                  got=f"{np.ravel(got)[:4]}..., largest difference "
                                      f"{np.max(np.abs(got - want)):g}")
        return replace(self, verified=True)

    def step_times(self):
        """Return when each step began, as {step: seconds}: the first mark of any peer."""
        times = {}
        for event in self.events:
            if event.step >= 0:
                times.setdefault(event.step, event.start_s)
        return times

    def steps_by_generation(self):
        """Return when each step began, for each generation: a list of {step: seconds}.

        Seconds are those of the first mark of any peer. A run without generations is one.
        """
        starts = [generation.start_s for generation in self.generations[1:]]
        times = [{} for _ in range(len(starts) + 1)]
        for event in self.events:
            if event.kind == "step":
                mine = times[bisect.bisect(starts, event.start_s)]
                mine.setdefault(event.step, event.start_s)
        return times

    def __repr__(self):
        virtual = "virtual " if self.world.simulated else ""
        verified = "verified" if self.verified else "not verified"
        return (f"Run({self.world}: {self.seconds:.3g} {virtual}s, {self.messages:,} messages, "
                f"{self.nbytes:,} bytes, {verified})")


def join(runs, results):
    """Return runs that followed one another as one; run i becomes step i.

    Parameters
    ----------
    runs : sequence of Run
        One or more, of one world.
    results : list
        What they found together.

    Returns
    -------
    Run
        Its seconds are those of the runs, without what lay between them.
    """
    events, start_s = [], 0.0
    for step, run in enumerate(runs):
        events.extend((e.kind, e.rank, e.start_s + start_s, e.end_s + start_s, e.peer, e.nbytes,
                       step, e.label) for e in run.events)
        start_s += run.seconds
    return Run(results, start_s, sum(run.messages for run in runs),
               sum(run.nbytes for run in runs), Events(events),
               all(run.verified for run in runs), runs[-1].world)

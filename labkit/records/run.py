"""What one run leaves behind: results and events, and what follows from them."""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from labkit.errors import LabkitError
from labkit.records.events import LOST, Events, messages
from labkit.records.world import Generation, Loss, WorldInfo


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

    @property
    def tasks(self):
        """The events of a map's tasks, one for each attempt."""
        return [event for event in self.events if event.kind == "task"]

    def pairs(self, events=None):
        """Return each message as (send, receive), of all events or of these.

        Those of each generation apart: what was on its way when somebody died is received by
        nobody.
        """
        starts = [generation.start_s for generation in self.generations[1:]]
        parts = [[] for _ in range(len(starts) + 1)]
        for event in self.events if events is None else events:
            parts[bisect.bisect(starts, event.start_s)].append(event)
        return [pair for part in parts for pair in messages(part)]

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
        return sum(task.label.endswith(LOST) for task in self.tasks)

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
            task.end_s - task.start_s for task in self.tasks if task.label.endswith(LOST))

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

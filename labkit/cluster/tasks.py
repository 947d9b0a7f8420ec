"""The tasks of one `map`: answered as they end, backed up where one is late, parts kept.

    run   one Dask task an attempt: the task itself; its result stays on the worker
    tell  its result, or (if the parts are kept) only where and when it ran
    part  one Dask task a kept part: what is left when the result as a whole is let go

A kept part's future carries its lineage: if the worker that holds it dies, Dask's scheduler
runs `run` and `part` again before anything that needs the part.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
from distributed import CancelledError, Future, KilledWorker, as_completed, get_worker, wait

from labkit.cluster import inject, report
from labkit.cluster.entry import Announcer, Placed, size_of_result
from labkit.cluster.resident import resident_nbytes
from labkit.elastic import TRIES
from labkit.errors import ClusterError, ShardLost
from labkit.progress import progress
from labkit.records import LOST
from labkit.serial import AGAIN, checked, task_error
from labkit.sharding import Shards

AHEAD = 2                    # tasks a worker has or waits for, as in Dask's own queue
TICK_S = 0.05                # how often a map looks for late tasks, and for its scheduler


class Answer(NamedTuple):
    """What a task's attempt says when it ends."""

    result: Any
    worker: str
    start_s: float
    end_s: float
    nbytes: int
    resident: int
    """Bytes of memory that the worker's process held at the end."""


@dataclass
class Attempt:
    """One attempt at a task, as the client sees it."""

    number: int
    run: Future
    tell: Future
    again: bool = False
    worker: str = ""
    """Where it was first seen, and when; "" and 0 before that, or if nobody looks."""
    seen_s: float = 0.0


@dataclass
class Tasks:
    """The state of one `map`."""

    client: Any
    name: str
    code: bytes
    """The pickled task."""
    items: list
    where: list | None
    """The workers that may run the tasks; None for all."""
    keep: int | None = None
    resolve: Any = None
    """Turns an item into what Dask takes; with True, parts of the data are placed anew first."""
    is_stranded: Any = None
    """Says of an item whether the worker is gone on which alone its data can be read."""
    cause_of: Any = None
    """Says how a worker's process has ended."""
    injection: Any = None
    """Faults that strike workers; see `labkit.cluster.inject`."""
    answers: dict = field(default_factory=dict)
    lost: list = field(default_factory=list)
    """The attempts whose answer came second, or would have, with the time they were ended."""

    def __post_init__(self):
        self.key = f"{self.name}-{secrets.token_hex(4)}"
        self._kept = {}
        self._losses = Counter()         # item -> how often its part of the data was gone
        # Dask gives tasks that are bound to some workers to them at once, busy or not.
        at_once = AHEAD * len(self.where) if self.where else len(self.items)
        self._later = deque(range(at_once, len(self.items)))
        self.attempts = [self._submit(number) for number in range(len(self.items))[:at_once]]

    @property
    def futures(self):
        """Every future that the scheduler may still work for."""
        return [future for attempt in self.attempts for future in {attempt.run, attempt.tell}] + [
            part for parts in self._kept.values() for part in parts]

    def finish(self, deadline_s, look=lambda: None, backup=None, workers=()):
        """Wait until every task has an answer; TimeoutError if that takes too long.

        `look` is called now and then while nothing comes; it may raise.
        """
        until = time.monotonic() + deadline_s
        self._by_tell = {attempt.tell: attempt for attempt in self.attempts}
        coming = as_completed([a.tell for a in self.attempts], raise_errors=False)
        with progress(len(self.items), f"map of {self.name}") as done:
            while len(self.answers) < len(self.items):
                if coming.has_ready():
                    before = len(self.answers)
                    again = self._take(self._by_tell[next(coming)])
                    if len(self.answers) > before:
                        done()
                        again = self._next()
                    if again is not None:
                        coming.add(again.tell)
                    continue
                look()
                for attempt in self._free_stranded():
                    coming.add(attempt.tell)
                if time.monotonic() > until:
                    raise TimeoutError
                for attempt in self._back_up(backup, workers) if backup else ():
                    coming.add(attempt.tell)
                with coming.thread_condition:
                    if not coming.has_ready():
                        coming.thread_condition.wait(TICK_S)
            wait([part for parts in self._kept.values() for part in parts],
                 timeout=max(until - time.monotonic(), 1))

    def results(self, deadline_s):
        """Return what `Run.results` holds: results, or Shards of the kept parts."""
        if self.keep is None:
            return [self.answers[number].result for number in range(len(self.items))]
        return [Shards(self._kept[number], "kept", lambda part: part.result(deadline_s))
                for number in range(len(self.items))]

    def events(self, ranks, began, deaths):
        """Return one "task" event for each attempt.

        Parameters
        ----------
        ranks : dict
            {worker's address: its number}
        began : float
        deaths : dict
            {address of a worker that died: Death}
        """
        taken = [(number, answer.worker, answer.start_s, answer.end_s, answer.nbytes, again)
                 for number, (answer, again) in self._winners().items()]
        lost = [(a.number, a.worker, a.seen_s, ended_s, 0, a.again) for a, ended_s in self.lost]
        memory = [("memory", ranks.get(answer.worker, -1), answer.end_s - began,
                   answer.end_s - began, -1, answer.resident, -1, "")
                  for answer, _ in self._winners().values()]
        return [("task", ranks.get(worker, -1), start_s - began, end_s - began, -1, nbytes, -1,
                 f"{self.name} {number}{AGAIN * again}")
                for number, worker, start_s, end_s, nbytes, again in taken + lost
                ] + memory + self._cut_short(ranks, began, deaths)

    def _cut_short(self, ranks, began, deaths):
        """Return events of attempts that were lost with their workers.

        Each worker ran one of them, and was done with those whose results nobody had fetched.
        When one ended and the next began, it alone knew: they are given equal times.
        """
        events = []
        for worker, death in deaths.items():
            if worker not in ranks:
                continue
            at = self._was_at(death)
            mine = self._done_for_nothing(worker, death) + [at] * (at is not None)
            before = [a.end_s for a in self.answers.values() if a.worker == worker]
            times = np.linspace(max(before, default=began), death.time, len(mine) + 1) - began
            events += [("task", ranks[worker], start_s, end_s, -1, 0, -1,
                        f"{self.name} {number}{LOST}")
                       for number, (start_s, end_s) in zip(mine, pairwise(times.tolist()))]
        return events

    def _done_for_nothing(self, worker, death):
        """Return the tasks that a worker had done, whose answers come from others."""
        return sorted(number for key, number in death.done if key.startswith(self.key)
                      and self.answers[number].worker != worker)

    def marks(self, ranks, deaths):
        """Return events of losses, and of the results that made them good."""
        marks = []
        for worker, death in deaths.items():
            marks.append(("confirmed", ranks[worker], death.time, death.time, -1, 0, -1, ""))
            mine = self._was_at(death)
            if mine is not None and mine in self.answers:
                end_s = self.answers[mine].end_s
                marks.append(("recovered", ranks[worker], end_s, end_s, -1, 0, -1,
                              "its task is done"))
        return marks

    def _was_at(self, death):
        """Return the task that a worker did when it died: the first of those that it had."""
        return min((number for key, number in death.tasks if key.startswith(self.key)),
                   default=None)

    def _winners(self):
        beaten = {a.number: a.again for a, _ in self.lost}
        return {number: (self.answers[number], not beaten.get(number, True))
                for number in range(len(self.items))}

    def _submit(self, number, again=False, worker=None):
        losses = self._losses[number]
        run = self.client.submit(
            run_task, self.code, self.resolve(self.items[number], bool(losses)), self.keep,
            self.injection, pure=False, priority=-number,    # what runs again runs first
            key=(self.key + AGAIN.strip() * again + f"-{losses}" * bool(losses), number),
            workers=self.where if worker is None else [worker])
        tell = run if self.keep is None else self.client.submit(
            tell_answer, run, pure=False, key=(f"tell-{run.key[0]}", number))
        return Attempt(number, run, tell, again, worker or "", time.time() if worker else 0.0)

    def _take(self, attempt):
        """Take an attempt's answer, unless the task has one already.

        Returns a new attempt, if this one could not run because its part of the data was gone.
        """
        number = attempt.number
        if number in self.answers or attempt not in self.attempts:
            return None
        answer = self._answer_of(attempt)
        if answer is None and self._losses[number] < TRIES:
            return self._again(attempt)
        if answer is None:
            raise ShardLost("The data of a task is lost again and again.", where=f"item {number}",
                            got=f"{TRIES} attempts")
        self.answers[number] = answer
        if self.keep is not None:
            self._kept[number] = [
                self.client.submit(part_of, attempt.run, position, pure=False,
                                   key=(f"part-{attempt.run.key[0]}", number, position))
                for position in range(self.keep)]
        attempt.run.release()            # what needs the result holds it from now on
        attempt.tell.release()
        for other in self.attempts:
            if other.number == number and other is not attempt:
                self.lost.append((other, time.time()))
                self.client.cancel([other.run, other.tell], force=True)
        self.attempts = [a for a in self.attempts if a.number != number]
        return None

    def _next(self):
        """Submit, and return, an attempt at the next task that was held back; None at the end."""
        return self._known(self._submit(self._later.popleft())) if self._later else None

    def _again(self, attempt):
        """Submit, and return, an attempt in the place of one whose data was gone."""
        self._losses[attempt.number] += 1
        self.attempts.remove(attempt)
        return self._known(self._submit(attempt.number))

    def _known(self, attempt):
        self.attempts.append(attempt)
        self._by_tell[attempt.tell] = attempt
        return attempt

    def _free_stranded(self):
        """Submit again, and return, what waits for data that can be read on a dead worker only."""
        stranded = [a for a in self.attempts if self.is_stranded(self.items[a.number])]
        if not stranded:
            return []
        running = {tuple(key) for keys in self.client.processing().values() for key in keys
                   if not isinstance(key, str)}
        stranded = [a for a in stranded if a.run.key not in running and not a.tell.done()
                    and self._losses[a.number] < TRIES]
        self.client.cancel([f for a in stranded for f in (a.run, a.tell)], force=True)
        return [self._again(attempt) for attempt in stranded]

    def _answer_of(self, attempt):
        """Return the answer; None if the task's part of the data was gone, so that it has none."""
        try:
            return attempt.tell.result()
        except (CancelledError, ShardLost):
            return None
        except Exception as error:
            raise failed_task(error, attempt.number, self.cause_of) from error

    def _back_up(self, backup, workers):
        """Submit, and return, second attempts at late tasks, one for each idle worker."""
        on = self.client.processing(workers)
        now = time.time()
        places = {tuple(key): worker for worker, keys in on.items() for key in keys
                  if not isinstance(key, str)}
        for attempt in self.attempts:
            attempt.worker = places.get(attempt.run.key, attempt.worker)
            attempt.seen_s = attempt.seen_s or (now if attempt.worker else 0.0)
        twice = {attempt.number for attempt in self.attempts if attempt.again}
        patience_s = backup(sorted(a.end_s - a.start_s for a in self.answers.values()),
                            len(self.items))
        late = sorted((a for a in self.attempts if a.number not in twice and a.seen_s
                       and now - a.seen_s > patience_s), key=lambda a: a.seen_s)
        idle = [worker for worker in workers if not on.get(worker)]
        new = [self._submit(attempt.number, again=True, worker=worker)
               for attempt, worker in zip(late, idle)]
        self.attempts += new
        self._by_tell.update({attempt.tell: attempt for attempt in new})
        return new


def failed_task(error, number, cause_of):
    """Return a labkit error for a task that raised, or whose worker died each time."""
    if isinstance(error, KilledWorker):
        worker = error.last_worker.address
        cause = cause_of(worker, error.last_worker.name) or "cause unknown"
        return ClusterError("A task's worker died each time it ran.", where=f"item {number}",
                            got=f"{cause}, last at {worker}", expected="a worker that lives on",
                            remedy="does the task crash Python, or end its process?")
    return task_error(error, number)


# ---- in a worker


def run_task(code, item, keep=None, injection=None):
    """Run one task of `map`; return its Answer."""
    if injection is not None:
        inject.strike_task(injection, Announcer(injection.key))
    if isinstance(item, tuple):          # perhaps of zipped shards
        item = tuple(map(_value, item))
    item = _value(item)
    task = checked(cloudpickle.loads(code), keep)
    report.tasks["begun"] += 1
    start_s = time.time()
    result = task(item)
    end_s = time.time()
    report.tasks["done"] += 1
    return Answer(result, get_worker().address, start_s, end_s, size_of_result(result),
                  resident_nbytes())


def tell_answer(answer):
    """Return an Answer without its result."""
    return answer._replace(result=None)


def part_of(answer, position):
    """Return one part of a result."""
    return answer.result[position]


def _value(part):
    return part.value if isinstance(part, Placed) else part

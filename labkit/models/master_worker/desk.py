"""The master's desk in a task farm: which task waits, runs, is done; nothing here sends.

    waiting --take--> running --book--> results            first result of a task: counts
       ^                 |                                 second: noted as late
       +--- failed, -----+                                 not where it failed, if others are
            returned                                       there to try
"""

from __future__ import annotations

from collections import Counter, deque

from labkit.errors import ProgramError

DONE, FAILED, RETURNED, LATE, LOST = "done", "failed", "returned", "late", "lost"


class Desk:
    """What a master knows.

    Parameters
    ----------
    chunks : list of tuple of int
        Task numbers that go out together, in this order.
    workers : list of int
        Ranks; may be empty.
    n_tasks : int
    backups : bool
        Whether `take` gives a running task to a worker when nothing waits.
    max_failures : int
        From how many failures of one task on `book` raises.
    """

    def __init__(self, chunks, workers, n_tasks, backups=False, max_failures=3):
        self.waiting = deque(chunks)
        self.present = set(workers)
        self.n_tasks = n_tasks
        self.running = {}                # worker -> its chunk, in the order of handing out
        self.results = {}                # task -> its first result
        self.attempts = []               # (task, worker, outcome, why)
        self._failed_on = {}             # task -> the workers on which it failed
        self._failures = Counter()
        self._backups = backups
        self._max_failures = max_failures

    def finished(self):
        """Whether all results are there and nobody works any more."""
        return len(self.results) == self.n_tasks and not self.running

    def hand_out(self):
        """Give each idle worker a chunk, as far as there are any; return (worker, chunk) pairs."""
        given = []
        for worker in sorted(self.present - self.running.keys()):
            chunk = self.take(worker)
            if chunk is not None:
                self.running[worker] = chunk
                given.append((worker, chunk))
        return given

    def take(self, worker):
        """Return the next chunk for this worker, or None."""
        for chunk in list(self.waiting):
            if self._may_try(worker, chunk):
                self.waiting.remove(chunk)
                return chunk
        return self._backup_for(worker) if self._backups else None

    def _may_try(self, worker, chunk):
        failed_on = set().union(*(self._failed_on.get(task, ()) for task in chunk))
        return worker not in failed_on or self.present <= failed_on

    def _backup_for(self, worker):
        """Return a task that runs once, of the chunk that went out first; its last, which that
        chunk's worker comes to last.
        """
        tries = Counter(task for chunk in self.running.values() for task in chunk)
        for chunk in self.running.values():
            for task in reversed(chunk):
                if task not in self.results and tries[task] == 1 and \
                        self._may_try(worker, (task,)):
                    return (task,)
        return None

    def book(self, worker, outcomes, leaves):
        """Enter a worker's report.

        Parameters
        ----------
        worker : int
        outcomes : list of tuple
            ``(task, "done", result)``, ``(task, "failed", why)`` or ``(task, "returned", "")``.
        leaves : bool
            Whether this was the worker's last report.

        Returns
        -------
        bool
            Whether it brought a result that was not there.

        Raises
        ------
        ProgramError
            When a task has failed too often.
        """
        before = len(self.results)
        self.running.pop(worker, None)
        if leaves:
            self.present.discard(worker)
        for task, outcome, value in outcomes:
            self._enter(task, worker, outcome, value)
        return len(self.results) > before

    def lose(self, worker):
        """Enter that a worker has died: what it was at is handed out again."""
        chunk = self.running.get(worker, ())
        self.book(worker, [(task, LOST, "") for task in chunk], leaves=True)

    def _enter(self, task, worker, outcome, value):
        known = task in self.results
        if outcome == DONE:
            self.attempts.append((task, worker, LATE if known else DONE, ""))
            self.results.setdefault(task, value)
            self._forget(task)
            return
        self.attempts.append((task, worker, outcome, value))
        if outcome == FAILED:
            self._failed_on.setdefault(task, set()).add(worker)
            self._failures[task] += 1
        if not known:
            if self._failures[task] >= self._max_failures:
                raise self._given_up(task, worker, value)
            self._forget(task)
            self.waiting.appendleft((task,))

    def _forget(self, task):
        """Take a single task out of those that wait, if it is there."""
        if (task,) in self.waiting:
            self.waiting.remove((task,))

    def _given_up(self, task, worker, why):
        return ProgramError(f"Task {task} has failed {self._failures[task]} times.", got=why,
                            where=f"item {task}, last on peer {worker}",
                            remedy="correct the task, or raise max_failures")

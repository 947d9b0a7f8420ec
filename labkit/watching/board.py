"""Reports of workers become rows, one a worker: what it is at, and how far it has come.

    report    {"program": True, "step": 7, "messages": 12, "waits": "peer 1", ...}
                  |
    Row       worker 0 | waits for peer 1 | step 7 | 35 steps/s | 12 messages | ...

A worker that was replaced goes on in its row.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

SILENT_S = 1.0               # without a report, after which a worker is said to be silent


@dataclass
class Row:
    """What is shown of one worker."""

    number: int
    state: str = "idle"
    step: int = -1
    rate: float = 0.0
    """Steps a second, as far as the program marks them."""
    messages: int = 0
    nbytes: int = 0
    tasks: int = 0
    faults: str = ""
    """What has happened to it, in words."""


class Board:
    """Rows of a cluster world, made of what its workers report.

    Parameters
    ----------
    world : ClusterWorld
    newest : dict
        Of `labkit.cluster.report.reports`.
    """

    def __init__(self, world, newest):
        self.began = time.time()
        self._world = world
        self._newest = newest
        self._seen = {}                  # worker's address -> its report before
        self._rows = [Row(number) for number in range(world.workers)]

    def rows(self):
        """Return the rows as they are now."""
        for report in list(self._newest.values()):
            self._enter(report)
        now, addresses = time.time(), list(self._world._workers)
        faults = self._faults()
        for row, address in zip(self._rows, addresses):
            row.state = self._state(address, self._newest.get(address), now)
            row.faults = ", ".join(faults.get(row.number, ()))
        return self._rows

    def _enter(self, report):
        before = self._seen.get(report["worker"], report)
        number = self._world._numbers.get(report["worker"], -1)
        if not 0 <= number < len(self._rows):
            return
        row, passed_s = self._rows[number], report["time"] - before["time"]
        if passed_s > 0:
            row.rate = max(0, report["step"] - before["step"]) / passed_s
        row.step = report["step"]
        self._seen[report["worker"]] = report
        # Its predecessors' too, where a worker was replaced.
        mine = [one for worker, one in self._seen.items() if
                self._world._numbers.get(worker) == number]
        row.messages, row.nbytes, row.tasks = (
            sum(one[name] for one in mine) for name in ("messages", "nbytes", "done"))

    def _state(self, address, report, now):
        if address in self._world.health.gone:
            return "lost"
        if report is None:
            return "starting"
        if now - report["time"] > SILENT_S:
            return f"silent for {now - report['time']:.0f} s"
        if report["program"]:
            return f"waits for {report['waits']}" if report["waits"] else "works"
        return "works on a task" if report["begun"] > report["done"] else "idle"

    def _faults(self):
        """Return what has happened to each worker since this began: {number: [words, ...]}."""
        found, health, numbers = {}, self._world.health, dict(self._world._numbers)
        happened = [(when, numbers[worker], "struck")
                    for _, worker, when, _ in health.struck(self.began, numbers)]
        happened += [(death.time, numbers[worker], "lost") for worker, death in
                     list(health.gone.items()) if worker in numbers and death.time >= self.began]
        for when, number, what in sorted(happened):
            found.setdefault(number, []).append(f"{what} at {when - self.began:.1f} s")
        for number, words in found.items():
            address = self._world._workers[number]
            if words[-1].startswith("lost") and address not in health.gone:
                words.append("replaced")
        return found

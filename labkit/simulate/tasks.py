"""Tasks of `map` in the simulated world: who runs which, when, and at what cost.

    scheduler   |o|o|o|o|...                   task_overhead_s each
    worker 0        |==0==|====2====|          what it is sent, then what it computes
    worker 1          |===1===|=3=|
    client                       r r  r  r     results, through one port

A worker that is free gets the next task; parts of shards stay where they are.
"""

from __future__ import annotations

import bisect
import heapq
from collections import deque
from typing import Any, NamedTuple

from labkit import wire
from labkit.records import LOST, Events, Run
from labkit.serial import AGAIN
from labkit.sharding import Shards


class Stored(NamedTuple):
    """A kept part, and the worker that holds it."""

    value: Any
    rank: int
    nbytes: int


class Attempt(NamedTuple):
    """One attempt at task `number` of a map, on one worker."""

    number: int
    rank: int
    start_s: float
    end_s: float


def second_attempts(attempts, free, backup, cost_s):
    """Return the attempts that idle workers make at late tasks.

    Parameters
    ----------
    attempts : list of Attempt
        One for each task.
    free : list of (float, int)
        When each worker is idle, and its rank.
    backup : callable
        See `World.map`.
    cost_s : callable
        ``cost_s(number)`` in seconds, drawn anew.

    Returns
    -------
    list of Attempt
        A worker whose answer came second is busy to its own end.
    """
    second, idle = [], sorted(free)
    ends = {a.number: a.end_s for a in attempts}
    now = idle[0][0]
    while running := [a for a in attempts if ends[a.number] > now]:
        done = sorted(ends[a.number] - a.start_s for a in attempts if ends[a.number] <= now)
        alone = [a for a in running if a.number not in {b.number for b in second}]
        next_s = min(ends[a.number] for a in running)
        late = min(alone, key=lambda a: a.start_s, default=None)
        start_s = max(now, idle[0][0], late.start_s + backup(done, len(attempts))) if late else now
        if late is None or start_s >= next_s:
            now = next_s
            continue
        _, rank = idle.pop(0)
        second.append(Attempt(late.number, rank, start_s, start_s + cost_s(late.number)))
        ends[late.number] = min(late.end_s, second[-1].end_s)
        bisect.insort(idle, (second[-1].end_s, rank))
    return second


def stored_in(part):
    """Return the kept parts in an item."""
    parts = part if type(part) is tuple else (part,)
    return [one for one in parts if isinstance(one, Stored)]


def value_of(part):
    if type(part) is tuple:                        # of zipped shards, perhaps
        return tuple(one.value if isinstance(one, Stored) else one for one in part)
    return part.value if isinstance(part, Stored) else part


def assign(world, parts, pinned, cost_s, backup=None, faults=None):
    """Return (first attempts in order, second attempts, attempts that died with their worker).

    Parameters
    ----------
    world : SimulatedWorld
    parts : list
        The items, or the references to them.
    pinned : bool
        Whether item i has to run on worker i, as parts of shards do.
    cost_s : callable
        ``cost_s(number)``, what computing takes.
    backup : callable, optional
        See `World.map`.
    faults : TaskFaults, optional
    """
    free = [(0.0, rank) for rank in range(world.workers)]
    attempts, lost = [], []
    todo = deque((number, (number + 1) * world.task_overhead_s) for number in range(len(parts)))
    again = deque()                      # those whose worker died, and when they may run again
    while todo or again:
        ready = again and (pinned or not todo or again[0][1] <= free[0][0])
        number, assigned_s = (again if ready else todo).popleft()
        part = parts[number]
        free_s, rank = free[number % world.workers] if pinned else heapq.heappop(free)
        moved = sum(p.nbytes for p in stored_in(part) if p.rank != rank)
        sent = 0 if pinned or stored_in(part) else wire.size_of(part)
        start_s = max(free_s, assigned_s + world.task_network.message_s(sent))
        start_s += world.task_network.message_s(moved) if moved else 0.0
        end_s = free_s = start_s + cost_s(number)
        died = False
        if faults is not None:
            reload_s = world.task_network.message_s(wire.size_of(value_of(part)))
            end_s, died, free_s = faults.attempt(rank, number, start_s, end_s - start_s, reload_s)
        (lost if died else attempts).append(Attempt(number, rank, start_s, end_s))
        if died:
            again.append((number, end_s + world.task_network.latency_s + world.task_overhead_s))
        elif faults is not None:
            faults.done(number, end_s)
        free_s += world.task_turnaround_s
        if pinned:
            free[rank] = (free_s, rank)
        else:
            heapq.heappush(free, (free_s, rank))
    attempts.sort()
    return attempts, second_attempts(attempts, free, backup, cost_s) if backup else [], lost


def map_record(world, results, schedule, name, record, keep, marks=()):
    """Return the Run of a map that was assigned like this, and struck by faults at `marks`."""
    first, second, lost = schedule
    best = {attempt.number: attempt for attempt in first}
    for attempt in second:
        best[attempt.number] = min(best[attempt.number], attempt, key=lambda a: a.end_s)
    sizes = [wire.size_of(result) for result in results]
    if keep is not None:
        results = [Shards([Stored(part, best[number].rank, wire.size_of(part))
                           for part in result], "kept", lambda stored: stored.value)
                   for number, result in enumerate(results)]
    events = [("task", a.rank, a.start_s, min(a.end_s, best[a.number].end_s), -1,
               sizes[a.number], -1, f"{name} {a.number}{again}")
              for attempts, again in ((first, ""), (second, AGAIN)) for a in attempts]
    events += [("task", a.rank, a.start_s, a.end_s, -1, 0, -1, f"{name} {a.number}{LOST}")
               for a in lost]
    returned = sorted((best[number].end_s + world.task_network.latency_s,
                       size if keep is None else 0) for number, size in enumerate(sizes))
    port_free = 0.0                  # the client's port in, one result at a time
    for at_port_s, nbytes in returned:
        port_free = max(port_free, at_port_s) + world.task_network.port_s(nbytes)
    return Run(results, port_free, 0 if keep is not None else len(results),
               sum(nbytes for _, nbytes in returned),
               Events([*(events if record else ()), *marks]),
               world=world.info())

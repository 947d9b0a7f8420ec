"""What a run has finished, and when: the throughput through its time.

    step 7   |--------|                          each finished step or task is spread evenly
    step 8            |-----|                    over the time that it took, so that the area
    step 9                  |-----x  lost        under the curve is their number,
    step 9                            |----|     however wide the bins
    rate     #########======                     what a loss cut short is not counted
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from labkit.errors import ConfigurationError
from labkit.records import LOST
from labkit.serial import AGAIN


def finished(run):
    """Return the steps or tasks that a run has finished, those of a map once each.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of (float, float, bool)
        Start and end in seconds since the run began, and whether it was begun before and lost.
    """
    tasks = [event for event in run.events if event.kind == "task"]
    found = _finished_tasks(tasks) if tasks else _finished_steps(run)
    if not found:
        raise ConfigurationError("There is no throughput to draw.", where="run",
                                 expected="a run with steps or tasks", got=repr(run),
                                 remedy="record the run, and call me.step in the program")
    return found


def _finished_tasks(tasks):
    lost, best = set(), {}
    for event in sorted(tasks, key=lambda event: event.end_s):
        name = event.step, event.label.removesuffix(LOST).removesuffix(AGAIN)
        if event.label.endswith(LOST):
            lost.add(name)
        else:
            best.setdefault(name, event)             # of two attempts the first one counts
    return [(event.start_s, event.end_s, name in lost) for name, event in best.items()]


def _finished_steps(run):
    """Steps follow one another: each ends when the next one begins."""
    found, seen = [], set()
    begun = run.steps_by_generation()
    ends = [generation.end_s for generation in run.generations] or [run.seconds]
    for number, (times, end_s) in enumerate(zip(begun, ends)):
        order = sorted(times.items(), key=lambda item: item[1])
        spans = [(step, at_s, to_s) for (step, at_s), (_, to_s) in pairwise(order)]
        if order and not any(order[-1][0] in later for later in begun[number + 1:]):
            spans.append((*order[-1], max(end_s, order[-1][1])))
        found += [(at_s, to_s, step in seen) for step, at_s, to_s in spans]
        seen |= set(times)
    return found


def rates(spans, edges):
    """Return how many of these were done a second, bin by bin.

    Parameters
    ----------
    spans : list of (float, float, bool)
        As from `finished`.
    edges : ndarray, shape (n + 1,)
        Seconds.

    Returns
    -------
    ndarray, shape (n,)
    """
    done = np.zeros(len(edges))
    for start_s, end_s, _ in spans:
        done += np.clip((edges - start_s) / max(end_s - start_s, 1e-12), 0.0, 1.0)
    return np.diff(done) / np.diff(edges)


def bin_edges(run, longest_s, bins):
    """Return the edges of a run's bins, of which the longest run beside it has `bins`.

    Returns
    -------
    ndarray
        Seconds, from 0 to the run's end. There are more where something happened: a fault, a
        change of the group, the begin of what was cut short, or of what is repeated. What falls
        or rises there does so at its time, not at the next multiple of a bin.
    """
    spans = sorted(finished(run))
    moments = [mark.start_s for mark in run.marks] + [spans[0][0]]
    moments += [at_s for one in run.generations for at_s in (one.start_s, one.end_s)]
    moments += [event.start_s for event in run.events if event.label.endswith(LOST)]
    steps = unit(run) == "steps"
    for before, span in pairwise(spans):
        if span[2] != before[2] or (steps and span[0] > before[1]):
            moments += [before[1], span[0]]
    edges = np.union1d(np.linspace(0.0, longest_s, bins + 1), moments)
    edges = edges[(edges >= 0) & (edges < run.seconds * (1 - 1e-9))]
    return np.append(edges[np.diff(edges, append=run.seconds) > 1e-9 * longest_s], run.seconds)


def unit(run):
    """Return what a run is counted in: "tasks" of a map, "steps" of a program."""
    return "tasks" if any(event.kind == "task" for event in run.events) else "steps"

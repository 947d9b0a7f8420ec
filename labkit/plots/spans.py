"""When each worker worked, sent and waited: spans of time, from the events of a run.

    events of peer 1    step    send      recv             what lies between them:
                        |        |--|  |---------|  |      work, in a real run
    work                ########|    ##|         ##|
    takes part          |--------------------------|       from the begin to its last event

In a simulated run, work is what `me.work` says. A real one has no such events: there, a peer is at
work whenever it takes part and neither sends nor receives. This includes a `recv` that gave up at
its timeout, which leaves no event. What a peer does after its last event is not known, and counts
as no part of it; only if its group ended by the loss of another has it waited till then. Of a map,
work is its tasks.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from labkit.records import LOST, Generation

PART = ("work", "send", "recv", "step", "task")


def by_kind(events):
    """Return {kind: {rank: spans}} of these events; lost attempts have a kind of their own, "lost".

    Spans are an ndarray of shape (n, 2), start and end in seconds, in order of their start.
    """
    found = defaultdict(lambda: defaultdict(list))
    for kind, rank, start_s, end_s, _, _, _, label in events:
        kind = "lost" if kind == "task" and label.endswith(LOST) else kind
        found[kind][rank].append((start_s, end_s))
    return {kind: {rank: np.array(spans) for rank, spans in ranks.items()}
            for kind, ranks in found.items()}


def activity(run):
    """Return what each worker did, as {"work", "send", "recv", "lost": {worker: spans}}.

    The spans of one worker do not overlap. "recv" is waiting for a message and taking it; in a
    simulated run it is all the time in which a peer takes part and does nothing else.
    """
    noted, tasks = by_kind(run.events), is_map(run)
    done = {"work": {}, "send": {}, "recv": {}, "lost": {}}
    for worker in range(run.world.workers):
        work, sent, got, task, lost = (noted.get(kind, {}).get(worker, np.empty((0, 2)))
                                       for kind in ("work", "send", "recv", "task", "lost"))
        lane, last = parts(run, worker, noted)
        if run.world.simulated:
            work = without(work, np.empty((0, 2)))
            sent = without(sent, work)
            got = without(lane, np.concatenate([work, sent]))
        else:
            got = without(np.concatenate([got, last]), np.empty((0, 2)))
            sent = without(sent, got)
            work = without(lane, np.concatenate([sent, got]))
        if tasks:                              # workers without a task wait for no message
            sent = got = np.empty((0, 2))
            work, lost = without(task, lost), without(lost, np.empty((0, 2)))
        done["work"][worker], done["send"][worker] = work, sent
        done["recv"][worker], done["lost"][worker] = got, lost
    return done


def is_map(run):
    """Whether a run is one of tasks."""
    return any(event.kind == "task" for event in run.events)


def parts(run, worker, noted):
    """Return when a worker took part, and when it then waited for one that was lost.

    Both are spans, one for each generation that it is in; the first include the second.
    """
    mine = [noted[kind][worker] for kind in PART if worker in noted.get(kind, {})]
    mine = np.concatenate([np.empty((0, 2)), *mine])
    lost_s = [loss.confirmed_s for loss in run.losses if loss.worker == worker]
    lanes, waits = [], []
    for one in run.generations or [Generation((worker,), 0.0, np.inf, 0, 0, "")]:
        inside = mine[(mine[:, 0] >= one.start_s) & (mine[:, 0] <= one.end_s)]
        if worker not in one.members or not len(inside):
            continue
        end_s = inside[:, 1].max()
        if one.cause and not any(one.start_s <= at_s <= one.end_s for at_s in lost_s):
            waits.append((end_s, max(end_s, one.end_s)))
            end_s = waits[-1][1]
        lanes.append((one.start_s, end_s))
    return np.array(lanes).reshape(-1, 2), np.array(waits).reshape(-1, 2)


def without(spans, others):
    """Return the parts of `spans` that lie in none of `others`, joined where they touch.

    Parameters
    ----------
    spans, others : ndarray, shape (n, 2) and (m, 2)
        Each may overlap.

    Returns
    -------
    ndarray, shape (k, 2)
        In order, without overlap, none of length 0.
    """
    edges = np.unique(np.concatenate([spans.ravel(), others.ravel()]))
    middle = (edges[1:] + edges[:-1]) / 2
    kept = np.zeros(len(edges) + 1, bool)            # of the gaps between edges, and outside
    kept[1:-1] = (how_many(spans, middle) > 0) & (how_many(others, middle) == 0)
    changes = np.flatnonzero(np.diff(kept.astype(int)))
    return edges[changes].reshape(-1, 2)


def how_many(spans, times):
    """Return how many of these spans hold each of these times."""
    return (np.searchsorted(np.sort(spans[:, 0]), times, "right")
            - np.searchsorted(np.sort(spans[:, 1]), times, "right"))


def total(spans):
    """Return how long they are together, in seconds."""
    return float(np.sum(spans[:, 1] - spans[:, 0]))

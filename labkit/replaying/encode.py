"""Events become columns of integers, small enough to travel inside a page.

    Event("send", 0, 2e-6, 3e-6, 1, 80, -1, "gossip")      a row
                |
    start 2000, 15, 8, 0 ...   nanoseconds since the event before: differences are short
    kind     0,  1, 0, 2 ...   places in a list of names
    sent    -1,  0, ...        of a receive: the row of its send; see `Run.pairs`

Whatever does not fit is not dropped in silence: the columns carry how many events the run has,
and a sentence that says which of them are there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from labkit.errors import ConfigurationError
from labkit.plots import style

MOST = 10_000                # events that a page holds, and draws in a frame's time
NS = 1e9


class Encoded(NamedTuple):
    """What a page is given."""

    data: dict
    """For the page; all of it can be written as JSON."""
    events: list
    """The events that are in it, in the order of its columns."""
    pairs: list
    """(send, receive) of messages, both of them in it."""


def encode(run, start_s=None, end_s=None):
    """Return the events of a run, or of a part of it, as an `Encoded`.

    Parameters
    ----------
    run : Run
    start_s, end_s : float, optional
        Events that touch this part are taken, with both ends of every message that was under way
        in it; at most 10,000 of them.
    """
    check_window(start_s, end_s)
    before_end = [event for event in run.events if end_s is None or event.start_s <= end_s]
    # What is cut off at the end takes part in no pair; what is cut off at the start does.
    pairs = run.pairs(before_end)
    chosen = before_end if start_s is None else _since(before_end, start_s, pairs)
    events = chosen[:MOST]
    rows = {id(event): row for row, event in enumerate(events)}
    sent_at = {rows[id(got)]: rows[id(sent)] for sent, got in pairs
               if id(got) in rows and id(sent) in rows}
    first, last = _window(run, events, start_s, end_s, cut=len(chosen) > MOST)
    data = {
        "world": str(run.world),
        "clock": style.clock([run]),
        "workers": max([run.world.workers, *(event.rank + 1 for event in events)]),
        "window": [first, last],
        "total": len(run.events),
        "notice": _notice(run, len(events), len(chosen), last),
        "generations": [[list(generation.members), _ns(generation.start_s),
                         _ns(generation.end_s), generation.cause]
                        for generation in run.generations],
        **_columns(events, sent_at),
    }
    return Encoded(data, events, [(events[sent], events[got]) for got, sent in sent_at.items()])


def check_window(start_s, end_s):
    """Raise ConfigurationError unless these are two moments in their order, or None."""
    given = [at_s for at_s in (start_s, end_s) if at_s is not None]
    if not all(map(math.isfinite, given)) or len(given) == 2 and not start_s < end_s:
        raise ConfigurationError("A part of a run lies between two moments.",
                                 expected="start_s < end_s, in the run's seconds",
                                 got=f"{start_s} and {end_s}", where="start_s=, end_s=",
                                 remedy="leave both out to replay the run from its beginning")


def _since(events, start_s, pairs):
    """Return the events that end at `start_s` or later, or are a part of a message that does."""
    under_way = {id(sent) for sent, got in pairs if got.end_s >= start_s}
    return [event for event in events if event.end_s >= start_s or id(event) in under_way]


def _window(run, events, start_s, end_s, cut):
    """Return the first and the last nanosecond to show."""
    first = min([0.0, *(event.start_s for event in events)]) if start_s is None else start_s
    last = end_s
    if last is None:
        last = max([0.0 if cut else run.seconds, *(event.end_s for event in events)])
    if cut:                      # beyond this moment nothing is known here
        last = min(last, events[-1].start_s)
    return _ns(first), max(_ns(last), _ns(first) + 1)


def _notice(run, shown, chosen, last):
    """Say which events are there, unless all of them are."""
    if shown == len(run.events):
        return "" if shown else "No events were recorded: world.run(..., record=True) does."
    if shown == chosen:
        return f"{shown:,} of the run's {len(run.events):,} events: those of this part."
    return (f"The first {shown:,} of {chosen:,} events, up to {style.rounded(last / NS, 's')}. "
            f"For another part: labkit.replay(run, start_s=..., end_s=...).")


def _columns(events, sent_at):
    """Return the columns, and the names that some of them refer to."""
    starts = [_ns(event.start_s) for event in events]
    kinds = list(dict.fromkeys(event.kind for event in events))
    labels = list(dict.fromkeys(event.label for event in events))
    kind_at, label_at = _places(kinds), _places(labels)
    zero = starts[0] if starts else 0
    return {"zero": zero, "kinds": kinds, "labels": labels, "columns": {
        "start": [now - before for before, now in zip([zero, *starts], starts)],
        "length": [_ns(event.end_s) - start for event, start in zip(events, starts)],
        "kind": [kind_at[event.kind] for event in events],
        "label": [label_at[event.label] for event in events],
        "rank": [int(event.rank) for event in events],
        "peer": [int(event.peer) for event in events],
        "nbytes": [int(event.nbytes) for event in events],
        "step": [int(event.step) for event in events],
        "sent": [sent_at.get(row, -1) for row in range(len(events))],
    }}


def _places(names):
    return {name: place for place, name in enumerate(names)}


def _ns(seconds):
    return round(seconds * NS)

"""A run in Chrome's trace event format, which Perfetto and chrome://tracing open.

    {"traceEvents": [{"ph": "X", "tid": 0, "ts": 12.5, "dur": 3.0, "name": "work"}, ...]}

    X   what a peer did, from `ts` for `dur` microseconds     s, f   a message, from send to receive
    i   a step, or a fault                                    M      what a peer is called

Source: "Trace Event Format", the Chromium project; Perfetto, https://ui.perfetto.dev
"""

from __future__ import annotations

import json

from labkit.safe_files import replacing

LASTING = ("work", "recv", "send", "task")


def chrome_trace(run):
    """Return a run as the dict that is to be written as JSON.

    Parameters
    ----------
    run : Run
        With its events recorded.

    Returns
    -------
    dict
        Times are microseconds since the run began; virtual ones if it is simulated, which the
        name of the process says.
    """
    rows = [_row("M", 0, name="process_name", args={"name": str(run.world)})]
    rows += [_row("M", rank, name="thread_name", args={"name": f"peer {rank}"})
             for rank in range(run.world.workers)]
    rows += [_event(event) for event in run.events]
    for number, (sent, got) in enumerate(run.pairs()):
        # An arrow begins and ends inside the bars that it connects.
        rows.append(_row("s", sent.rank, name="message", cat="message", id=number,
                         ts=1e6 * sent.start_s))
        rows.append(_row("f", got.rank, name="message", cat="message", id=number, bp="e",
                         ts=1e6 * got.end_s))
    return {"traceEvents": rows, "displayTimeUnit": "ns", "otherData": {"world": str(run.world)}}


def _row(phase, rank, **rest):
    return {"ph": phase, "pid": 0, "tid": rank, **rest}


def _event(event):
    args = {"step": event.step}
    if event.peer >= 0:
        args |= {"peer": event.peer, "nbytes": event.nbytes}
    name = f"{event.kind} {event.label}".strip()
    times = {"ts": 1e6 * event.start_s}
    if event.kind in LASTING:
        return _row("X", event.rank, name=name, cat=event.kind, args=args,
                    dur=1e6 * (event.end_s - event.start_s), **times)
    return _row("i", event.rank, name=name, cat=event.kind, args=args, s="t", **times)


def save_chrome_trace(run, path):
    """Write a run as a Chrome trace, to be opened in Perfetto.

    Parameters
    ----------
    run : Run
    path : path-like
        Its name should end in .json.
    """
    with replacing(path) as (file,):
        file.write(json.dumps(chrome_trace(run)).encode())

r"""Who worked, waited and sent, peer by peer: a space-time diagram.

    peer 0  |#####.....##|       # at work      . waiting for a message
    peer 1  |##...\..####|       lines: messages, from the send to the end of the receive
                  time

Source of the diagram: Lamport, "Time, clocks, and the ordering of events in a distributed
system", CACM 21(7), 1978.
"""

from __future__ import annotations

from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from labkit.plots import style
from labkit.records import messages

MANY_MESSAGES = 2000       # lines beyond this would be a grey block
MANY_PEERS = 16            # names beyond this would overlap


def timeline(run, ax=None, start_s=0.0, end_s=None):
    """Draw a run peer by peer.

    Parameters
    ----------
    run : Run
        With its events recorded.
    ax : Axes, optional
    start_s, end_s : float, optional
        The part of the run to show, in its seconds; all of it by default.

    Returns
    -------
    Axes
    """
    end_s = run.seconds if end_s is None else end_s
    n = run.world.workers
    ax = style.axes(ax, height=min(1.4 + 0.45 * n, 6.0))
    events = [event for event in run.events if event.end_s >= start_s and event.start_s <= end_s]
    if any(event.kind == "task" for event in events):
        _draw_tasks(ax, events)
    else:
        _draw_peers(ax, run, events)
    ax.set_xlim(start_s, end_s)
    ax.set_ylim(n - 0.4, -0.6)
    if n <= MANY_PEERS:
        ax.set_yticks(range(n), [f"peer {rank}" for rank in range(n)])
    else:
        ax.set_ylabel("peer")
    style.engineering(ax.xaxis, "s")
    ax.set_xlabel(f"{style.clock([run])}  ({run.world})")
    return ax


def _draw_tasks(ax, events):
    tasks = [event for event in events if event.kind == "task"]
    for number, colour in enumerate((style.BLUE, style.SKY)):      # neighbours differ
        mine = [task for i, task in enumerate(tasks) if i % 2 == number]
        _bars(ax, mine, colour, 0.6)
    ax.legend(handles=[Patch(color=style.BLUE, label="a task")], loc="upper left",
              bbox_to_anchor=(1.0, 1.0), frameon=False)


def _draw_peers(ax, run, events):
    lanes = {}
    for event in events:
        first, last = lanes.get(event.rank, (event.start_s, event.end_s))
        lanes[event.rank] = min(first, event.start_s), max(last, event.end_s)
    for rank in range(run.world.workers):
        first, last = lanes.get(rank, (0.0, 0.0))
        ax.barh(rank, last - first, left=first, height=0.5, color=style.SKY, linewidth=0)
    waits = [event for event in events if event.kind == "recv"]
    _bars(ax, waits, style.LIGHT, 0.5)
    pairs = messages(events)
    if len(pairs) <= MANY_MESSAGES:
        lines = [[(sent.start_s, sent.rank), (got.end_s, got.rank)] for sent, got in pairs]
        ax.add_collection(LineCollection(lines, colors=style.VERMILLION, linewidths=0.9))
    handles = [Patch(color=style.SKY, label="at work"),
               Patch(color=style.LIGHT, label="waiting"),
               Line2D([], [], color=style.VERMILLION, label="a message")]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _bars(ax, events, colour, height):
    ax.barh([event.rank for event in events], [event.end_s - event.start_s for event in events],
            left=[event.start_s for event in events], height=height, color=colour, linewidth=0)

r"""Who worked, waited and sent, peer by peer: a space-time diagram.

    peer 0  |#####.....##|       # at work      . waiting for a message
    peer 1  |##...\..####|       lines: messages, from the send to the end of the receive
             | |   X    |        ticks above a lane: steps      X, D, s, ^: faults
                  time

Source of the diagram: Lamport, "Time, clocks, and the ordering of events in a distributed
system", CACM 21(7), 1978.
"""

from __future__ import annotations

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch
from matplotlib.ticker import MaxNLocator

from labkit.plots import scales, style
from labkit.plots.marks import MARKS, handles, in_words, places
from labkit.plots.spans import activity, by_kind, is_map
from labkit.plots.words import tell
from labkit.words import counted

MANY_MESSAGES = 2000       # lines beyond this would be a grey block
FEW_MESSAGES = 60          # up to this they get heads
MANY_PEERS = 16            # names beyond this would overlap
CLOSE = 0.006              # of the width: ticks closer than this would be a block
COLOURS = {"work": (style.SKY, "at work"), "send": (style.BLUE, "sending"),
           "recv": (style.LIGHT, "waiting")}
OFFSETS = {"injected": -0.2, "suspected": 0.0, "confirmed": 0.2, "recovered": 0.0}
TASKS = (style.BLUE, style.SKY)                      # in turn, so that neighbours differ


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
        Every second generation of an elastic run has a green ground. Messages are lines: with
        heads where they are few, none where they are more than 2,000. Steps are ticks, unless
        they would touch.
    """
    end_s = run.seconds if end_s is None else end_s
    n = run.world.workers
    ax = style.axes(ax, width=8.5, height=min(1.4 + 0.45 * n, 6.0))
    ax.set_xlim(start_s, end_s if end_s > start_s else start_s + 1e-9)
    ax.set_ylim(n - 0.4, -0.6)
    draw = _draw_tasks if is_map(run) else _draw_peers
    shown = [*draw(ax, run, start_s, end_s), *_draw_generations(ax, run, start_s, end_s),
             *_draw_faults(ax, run, start_s, end_s)]
    style.legend(ax, shown)
    if n <= MANY_PEERS:
        ax.set_yticks(range(n), [f"peer {rank}" for rank in range(n)])
    else:
        ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.set_ylabel("peer")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    scales.engineering(ax.xaxis, "s")
    ax.set_xlabel(f"{style.clock([run])}  ({run.world})")
    return tell(ax, *_in_words(run))


def _height(run):
    """Return a lane's height: there is no room for gaps between many."""
    return 0.5 if run.world.workers <= MANY_PEERS else 0.9


def _draw_tasks(ax, run, start_s, end_s):
    """Draw each attempt at a task; return what the legend says."""
    noted, height = by_kind(run.events), _height(run)
    for rank, spans in noted.get("task", {}).items():
        for number, colour in enumerate(TASKS):
            style.bars(ax, _within(spans[number::2], start_s, end_s), rank, height, color=colour)
    for rank, spans in noted.get("lost", {}).items():
        style.bars(ax, _within(spans, start_s, end_s), rank, height, facecolor="white",
                   edgecolor=style.VERMILLION, hatch="////", linewidth=1)
    most = max(map(len, noted.get("task", {}).values()), default=0)
    shown = [Patch(color=colour, label=name)
             for colour, name in zip(TASKS, ("a task", "the next task")[:most])]
    lost = Patch(facecolor="white", edgecolor=style.VERMILLION, hatch="////",
                 label="lost with its worker")
    return shown + [lost] * ("lost" in noted)


def _draw_peers(ax, run, start_s, end_s):
    """Draw lanes of work, sending and waiting, and the messages; return what the legend says."""
    done, shown = activity(run), []
    for kind, (colour, name) in COLOURS.items():
        spans = {rank: _within(mine, start_s, end_s) for rank, mine in done[kind].items()}
        ranks = np.repeat(list(spans), [len(mine) for mine in spans.values()])
        every = np.concatenate(list(spans.values()))
        style.bars(ax, every, ranks, _height(run), color=colour, label=name)
        # What is too short to be seen gets no name, or readers would look for it.
        seen = len(every) and np.diff(every).max() > 2e-3 * (end_s - start_s)
        shown += [Patch(color=colour, label=name)] * bool(seen)
    return (shown + _draw_messages(ax, run, start_s, end_s)
            + _draw_steps(ax, run, start_s, end_s))


def _within(spans, start_s, end_s):
    """Return those that are at least partly in this part of the run."""
    spans = np.asarray(spans).reshape(-1, 2)
    return spans[(spans[:, 1] >= start_s) & (spans[:, 0] <= end_s)]


def _draw_messages(ax, run, start_s, end_s):
    # All are paired, also those outside: pairs follow from the order between two peers.
    pairs = [(sent, got) for sent, got in run.pairs()
             if sent.start_s <= end_s and got.end_s >= start_s]
    if not 0 < len(pairs) <= MANY_MESSAGES:
        return []
    lines = [[(sent.start_s, sent.rank), (got.end_s, got.rank)] for sent, got in pairs]
    ax.add_collection(LineCollection(lines, colors=style.VERMILLION, linewidths=0.9,
                                     label="messages"))
    if len(pairs) <= FEW_MESSAGES:
        for begin, end in lines:
            ax.add_patch(FancyArrowPatch(begin, end, arrowstyle="-|>", mutation_scale=9, shrinkA=0,
                                         shrinkB=0, linewidth=0.9, color=style.VERMILLION))
    return [Line2D([], [], color=style.VERMILLION, label="a message")]


def _draw_steps(ax, run, start_s, end_s):
    steps = by_kind(event for event in run.events
                    if event.kind == "step" and start_s <= event.start_s <= end_s).get("step", {})
    gaps = [np.diff(spans[:, 0]) for spans in steps.values()]
    if not steps or np.median(np.concatenate([*gaps, [end_s]])) < CLOSE * (end_s - start_s):
        return []
    ax.add_collection(LineCollection(
        [[(at_s, rank - 0.45), (at_s, rank - 0.25)]
         for rank, spans in steps.items() for at_s, _ in spans],
        colors="black", linewidths=1.0, label="steps"))
    return [Line2D([], [], color="black", marker="|", markersize=7, linestyle="none",
                   label="begin of a step")]


def _draw_generations(ax, run, start_s, end_s):
    shown = [one for one in run.generations[1::2] if one.start_s < end_s and one.end_s > start_s]
    for one in shown:
        ax.axvspan(max(one.start_s, start_s), min(one.end_s, end_s), color=style.GREEN, alpha=0.1,
                   linewidth=0, zorder=0)
    ground = Patch(color=style.GREEN, alpha=0.1, label="each second group\nafter a change")
    return [ground] * bool(shown)


def _draw_faults(ax, run, start_s, end_s):
    """Mark on each worker's lane what happened to it; return what the legend says."""
    for kind, (colour, marker, _) in MARKS.items():
        # Marks at one moment lie below each other, where the lanes are wide enough.
        shift = OFFSETS[kind] * (run.world.workers <= MANY_PEERS)
        at = [(at_s, worker + shift) for at_s, worker in places(run, kind)
              if start_s <= at_s <= end_s]
        if at:
            ax.plot(*zip(*at), linestyle="none", color=colour, marker=marker, markersize=9,
                    markeredgecolor="white", zorder=4, label=kind, clip_on=False)
    return handles([mark for mark in run.marks if start_s <= mark.start_s <= end_s], lines=False)


def _in_words(run):
    """Yield what there is to see."""
    simulated = run.world.simulated
    yield f"Timeline of a run, a lane for each of {counted(run.world.workers, 'worker')}" + (
        f", over {style.rounded(run.seconds, 's')} of virtual time." if simulated else ".")
    if is_map(run):
        tasks = sum(event.kind == "task" for event in run.events)
        yield f"Bars are {counted(tasks, 'task')}." if simulated else "Bars are tasks."
        if run.lost_attempts:
            yield "Those lost with their workers are hatched."
    else:
        yield "Bars are work, sending and waiting; lines between lanes are messages" + (
            f", {run.messages:,} in all." if simulated else ".")
    yield in_words(run)

"""How many bytes each worker holds, through time.

    bytes |- - - - - - - - limit
          |      __*  peak
          |   __|  |___        each step is an event of kind "memory": `nbytes` are held
          |__|  ....|..        from `start_s` until the worker's next one
          +-------------- time
"""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.words import tell
from labkit.words import counted

FEW_WORKERS = 6              # more are one grey bundle, with the one at the peak in front


def memory(run, limit_nbytes=None, ax=None):
    """Draw bytes held by each worker over time.

    Parameters
    ----------
    run : Run
        With events of kind "memory".
    limit_nbytes : int, optional
        What a worker may hold: a line.
    ax : Axes, optional

    Returns
    -------
    Axes
        Each line ends with its worker's last event, and a star is at the highest of all.

    Raises
    ------
    ConfigurationError
        If the run has no such events.
    """
    held = held_nbytes(run)
    ax = style.axes(ax, width=8.0, height=3.4)
    peak = max(held, key=lambda rank: held[rank][1].max())
    front = list(held) if len(held) <= FEW_WORKERS else [peak]
    for rank, (at_s, nbytes) in held.items():
        if rank not in front:
            ax.step(at_s, nbytes, where="post", color=style.GREY, linewidth=0.8, alpha=0.5,
                    label="_worker")
    if len(held) > len(front):
        ax.plot([], [], color=style.GREY, linewidth=0.8,
                label=f"the other {counted(len(held) - 1, 'worker')}")
    for number, rank in enumerate(front):
        look = style.series(number)
        look |= dict(markevery=max(1, len(held[rank][0]) // 12), markersize=6)
        ax.step(*held[rank], where="post", label=f"worker {rank}", **look,
                linewidth=max(3.2 - 0.8 * number, 1.4))
    _mark_peak(ax, *held[peak], peak)
    if limit_nbytes is not None:
        ax.axhline(limit_nbytes, color="black", linestyle=(0, (6, 2)),
                   label=f"limit: {style.rounded(limit_nbytes, 'B')}")
    _finish(ax, run)
    return tell(ax, *_in_words(run, held, peak, limit_nbytes))


def held_nbytes(run):
    """Return {worker: (seconds, bytes)} of the events of kind "memory", as ndarrays."""
    found = {}
    for event in run.events:
        if event.kind == "memory":
            found.setdefault(event.rank, []).append((event.start_s, event.nbytes))
    if not found:
        raise ConfigurationError(
            "This run does not say how many bytes its workers held.", where="run", got=repr(run),
            expected='events of kind "memory"',
            remedy="take a run that records its memory; others have messages and steps only")
    return {rank: tuple(np.array(rows, float).T) for rank, rows in sorted(found.items())}


def _mark_peak(ax, at_s, nbytes, rank):
    where = int(nbytes.argmax())
    ax.plot(at_s[where], nbytes[where], marker="*", markersize=16, linestyle="none",
            color=style.ORANGE, markeredgecolor="black", zorder=5, clip_on=False,
            label=f"peak: {style.rounded(nbytes[where], 'B')},\nworker {rank}")


def _finish(ax, run):
    ax.set_xlim(0, run.seconds)
    ax.set_ylim(0, 1.1 * max(ax.get_ylim()[1], 1))
    scales.few_ticks(ax, "x")
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    scales.engineering(ax.xaxis, "s")
    scales.engineering(ax.yaxis, "B")
    ax.set_xlabel(f"{style.clock([run])}  ({run.world})")
    ax.set_ylabel("held by a worker")
    style.legend(ax)


def _in_words(run, held, peak, limit):
    yield f"Bytes held through time, a line for each of {counted(len(held), 'worker')}."
    if limit is not None:
        yield f"A line at the limit of {style.rounded(limit, 'B')}."
    if run.world.simulated:
        at_s, nbytes = held[peak]
        where = int(nbytes.argmax())
        yield (f"The peak is {style.rounded(nbytes[where], 'B')}, at "
               f"{style.rounded(at_s[where], 's')}, of worker {peak}.")

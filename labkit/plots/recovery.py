"""How a run gets over a fault: throughput through time, with marks for what happened.

    injected    X 2                    the fault strikes worker 2
    confirmed   s 2                    somebody knows that it is lost
    recovered   |     ^ 2              the others go on
    steps   ####|     |//########      # done   / begun again after the loss
    a second ###|_____|//########
                time

What counts as throughput is said in `labkit.plots.throughput`.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from labkit.plots import scales, style
from labkit.plots.marks import MARKS, workers_of
from labkit.plots.marks import handles as mark_handles
from labkit.plots.throughput import bin_edges, finished, rates, unit
from labkit.plots.words import listed, tell

LANES = dict(zip(MARKS, (0.96, 0.89, 0.82, 0.75)))         # heights of the marks in the axes
TALLEST = 0.69               # of the throughput, in the axes: below the lowest lane
CLOSE = 0.05                 # of the width: marks closer than that share one text ...
TOUCHING = 0.008             # ... and closer than that one line
MANY_LOSSES = 4              # losses beyond this are counted, not told, in the description
MANY_WORKERS = 4             # numbers beyond this become a count


def recovery(run, baseline=None, ax=None, bins=40):
    """Draw throughput through time, and when faults were injected, noticed and got over.

    Parameters
    ----------
    run : Run
        With its events recorded: steps, or tasks of a map.
    baseline : Run, optional
        The same without faults.
    ax : Axes, optional
    bins : int
        How many across the longer of the two runs.

    Returns
    -------
    Axes
        Steps or finished tasks a second. Shaded from a fault that ended a worker to when the
        others went on.

    Raises
    ------
    ConfigurationError
        For a run with neither steps nor tasks.
    """
    runs = [run] if baseline is None else [run, baseline]
    for one in runs:
        finished(one)                                # raises before there is a figure
    ax = style.axes(ax, width=9.0, height=3.8)
    end_s = max(one.seconds for one in runs)
    tops = [_draw_throughput(ax, run, end_s, bins)]
    if baseline is not None:
        tops.append(_draw_baseline(ax, baseline, end_s, bins))
    for begin_s, end_of_it_s in _struck(run):
        ax.axvspan(begin_s, end_of_it_s, color=style.ORANGE, alpha=0.2, linewidth=0, zorder=0)
    ax.set_xlim(0, end_s)
    _draw_marks(ax, run, end_s)
    _finish(ax, runs, max(tops))
    return tell(ax, describe_recovery(run, baseline))


def _struck(run):
    """Return the spans (begin, end) in which somebody was struck and not yet recovered."""
    spans = []
    for loss in sorted(run.losses, key=lambda loss: loss.injected_s):
        if math.isnan(loss.injected_s + loss.recovered_s):
            continue
        if spans and loss.injected_s <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], loss.recovered_s)
        else:
            spans.append([loss.injected_s, loss.recovered_s])
    return spans


def _draw_throughput(ax, run, longest_s, bins):
    """Draw what was done as an area, with what was begun again on top; return its height."""
    edges, spans = bin_edges(run, longest_s, bins), finished(run)
    total = rates(spans, edges)
    first = rates([span for span in spans if not span[2]], edges)
    ax.stairs(first, edges, fill=True, color=style.SKY, linewidth=0, label=f"{unit(run)} done")
    if any(repeated for *_, repeated in spans):
        ax.stairs(total, edges, baseline=first, fill=True, facecolor=style.ORANGE, hatch="////",
                  edgecolor="black", linewidth=0, label="begun again")
    ax.stairs(total, edges, color=style.BLUE, linewidth=1.2)
    return max(total)


def _draw_baseline(ax, baseline, longest_s, bins):
    edges = bin_edges(baseline, longest_s, bins)
    total = rates(finished(baseline), edges)
    ax.stairs(total, edges, fill=True, color=style.LIGHT, linewidth=0, zorder=0.5)
    ax.stairs(total, edges, color=style.GREY, linewidth=1.6, linestyle=(0, (4, 2)), zorder=3,
              label="without faults")
    return max(total)


def _draw_marks(ax, run, width_s):
    """Draw a lane of markers for each kind, and lines down to the time axis."""
    lines = []
    for kind, (colour, marker, dashes) in MARKS.items():
        marks = [mark for mark in run.marks if mark.kind == kind]
        for mark in marks:
            foot = 0.0 if all(abs(mark.start_s - at) > TOUCHING * width_s for at in lines) \
                else LANES[kind]                     # a line is there already
            lines += [mark.start_s] * (foot == 0.0)
            ax.plot([mark.start_s] * 2, [LANES[kind], foot], color=colour, linestyle=dashes,
                    marker=marker, markevery=[0], markersize=8, markeredgecolor="white",
                    linewidth=1.8, transform=ax.get_xaxis_transform(), zorder=4)
        for group in _groups(marks, CLOSE * width_s):
            _name_group(ax, run, group, width_s)


def _groups(marks, close_s):
    """Return marks in groups of those that follow one another closely."""
    gaps = np.diff([mark.start_s for mark in marks])
    ends = [0, *np.flatnonzero(gaps > close_s) + 1, len(marks)]
    return [marks[begin:end] for begin, end in pairwise(ends) if end > begin]


def _name_group(ax, run, group, width_s):
    """Write the workers' numbers beside their marks, on the side where there is room."""
    workers = sorted({worker for mark in group
                      for worker in workers_of(mark, run)})
    text = (", ".join(map(str, workers)) if len(workers) <= MANY_WORKERS
            else f"{len(workers)} workers")
    left = group[-1].start_s > (1 - CLOSE * (1 + len(text) / 6)) * width_s
    ax.annotate(text, (group[0 if left else -1].start_s, LANES[group[0].kind]),
                xycoords=ax.get_xaxis_transform(), xytext=(-7 if left else 7, 0),
                textcoords="offset points", ha="right" if left else "left", va="center",
                zorder=5, path_effects=[withStroke(linewidth=3, foreground="white")])


def _finish(ax, runs, top):
    """Label the axes, and say once what each colour and mark is."""
    ax.set_ylim(0, top / TALLEST)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(0, top)
    ax.set_yticks([tick for tick in ticks if 0 <= tick <= 1.05 * top])
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    scales.engineering(ax.xaxis, "s")
    ax.set_xlabel(f"{style.clock(runs)}  ({runs[0].world})")
    virtual = "virtual " * runs[0].world.simulated
    ax.set_ylabel(f"{unit(runs[0])} per {virtual}second")
    handles, _ = ax.get_legend_handles_labels()
    kinds = {mark.kind for mark in runs[0].marks}
    handles += [Patch(facecolor=style.ORANGE, alpha=0.2, label="struck, not yet recovered")] * any(
        not math.isnan(recovered_s) for recovered_s in runs[0].recovery_s)
    handles += mark_handles(runs[0].marks)
    handles += [Line2D([], [], color="black", marker="$n$", linestyle="none",
                       label="worker n")] * bool(kinds)
    style.legend(ax, handles)


def describe_recovery(run, baseline=None):
    """Return in words what `recovery` shows, as `describe` does of its Axes.

    Parameters
    ----------
    run, baseline : Run

    Returns
    -------
    str
        With seconds and counts if they are simulated; those of a real run differ each time.
    """
    seconds = partial(style.rounded, unit="s")
    what, spans = unit(run), finished(run)
    words = [f"{what.capitalize()} a second through a run ({run.world})."]
    if run.world.simulated:
        again = sum(repeated for *_, repeated in spans)
        words.append(f"It finishes {len(spans)} {what}, {again} of them begun again after a "
                     f"loss, in {seconds(run.seconds)} of virtual time.")
    injected = [mark.label for mark in run.marks if mark.kind == "injected"]
    words += [f"Injected: {listed(injected)}."] * bool(injected)
    words += [_loss_in_words(loss, seconds if run.world.simulated else None)
              for loss in run.losses[:MANY_LOSSES]]
    words += [f"{len(run.losses)} workers are lost."] * (len(run.losses) > MANY_LOSSES)
    if baseline is not None:
        words.append("Behind it in grey the run without faults" + (
            f": {seconds(baseline.seconds)}." if baseline.world.simulated else "."))
    return " ".join(words)


def _loss_in_words(loss, seconds):
    """Say how a worker was lost; `seconds` writes a time, or is None if none is to be said."""
    after = "at" if math.isnan(loss.injected_s) else "after"
    zero_s = 0.0 if after == "at" else loss.injected_s
    when = (lambda at_s: f" {after} {seconds(at_s - zero_s)}") if seconds else lambda at_s: ""
    struck = f" is struck at {seconds(zero_s)} and" if seconds and after == "after" else ""
    good = "never made good" if math.isnan(loss.recovered_s) else (
        f"made good{when(loss.recovered_s)}")
    return f"Worker {loss.worker}{struck} is lost: confirmed{when(loss.confirmed_s)}, {good}."

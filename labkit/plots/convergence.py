"""How fast a loss comes down: by evaluation of the objective, and by second.

    loss above | o..              by evaluation all may look alike,
    the best   |   `o..           and by second none does: a step of one
               |      `o          costs more than a step of another
               +---------- evaluation, or time
"""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.marks import MARKS, handles, in_words
from labkit.plots.words import listed, tell


def convergence(histories, ax=None, seconds=None, best=None, both=False, runs=None,
                entry="evaluation of the objective"):
    """Draw how far each loss is above the best one, evaluation by evaluation.

    Parameters
    ----------
    histories : dict of str to sequence of float
        The loss in nats a row, one after each `entry`.
    ax : Axes, or a pair of them with `both`; optional
    seconds : dict of str to sequence of float, optional
        When each entry was known, in seconds since the start of its run; then the horizontal
        axis is time.
    best : float, optional
        The lowest loss; by default the lowest that is in `histories`.
    both : bool
        Whether to draw both side by side: by evaluation and by second.
    runs : dict of str to Run, optional
        Which run each comes from: says whether the time is virtual, and marks the faults.
    entry : str
        What lies between two losses, for the axis: "step".

    Returns
    -------
    Axes, or a tuple of two

    Raises
    ------
    ConfigurationError
        For `both` without `seconds`, or times that are not as many as the losses.
    """
    style.check_some("histories", histories)
    best = min(min(history) for history in histories.values()) if best is None else best
    _check(histories, seconds, both)
    clock = "time" if runs is None else style.clock(runs.values())
    if both:
        left, right = style.two_axes(ax, width=10.0, height=3.4, sharey=True)
        _draw(left, histories, None, best, {}, entry)
        _draw(right, histories, seconds, best, runs or {}, clock)
        right.set_ylabel("")
        axes = left, right
    else:
        axes = (style.axes(ax),)
        _draw(axes[0], histories, seconds, best, runs or {}, entry if seconds is None else clock)
    style.legend(axes[-1], axes[-1].get_legend_handles_labels()[0] + (
        handles([mark for run in (runs or {}).values() for mark in run.marks], lines=False)
        if seconds is not None else []))
    short = entry.split()[0]
    by = f"{short} and, beside it, by {clock}" if both else short if seconds is None else clock
    tell(axes[0], f"Loss above the best, on a logarithmic axis, by {by}, for {listed(histories)}.",
         *(in_words(run) for run in (runs or {}).values()))
    return axes if both else axes[0]


def _check(histories, seconds, both):
    if both and seconds is None:
        raise ConfigurationError("When each loss was known is missing.", where="seconds=",
                                 expected="{name: seconds} for both panels", got="None",
                                 remedy="pass seconds=, or leave both=True out")
    for name, history in histories.items() if seconds is not None else ():
        if len(seconds[name]) != len(history):
            raise ConfigurationError("Each loss needs its time.", where=f"seconds[{name!r}]",
                                     expected=f"{len(history)} times", got=len(seconds[name]))


def _draw(ax, histories, seconds, best, runs, by):
    for number, (name, history) in enumerate(histories.items()):
        above = np.maximum(np.asarray(history, float) - best, 0.0)
        x = np.arange(len(above)) if seconds is None else np.asarray(seconds[name], float)
        shown = above > 0                            # zero has no place on a logarithmic axis
        shown &= (x > 0) | (seconds is None)         # nor has a time of zero
        ax.plot(x[shown], above[shown], label=style.wrapped(name), **style.series(number),
                **style.layered(number), markevery=max(1, len(above) // 25))
        if name in runs and shown.any():
            _mark_faults(ax, runs[name], x[shown], above[shown])
    scales.logarithmic(ax, "y")
    ax.yaxis.set_major_formatter("{x:.4g}")
    ax.set_ylabel("loss above the best (nats a row)")
    if seconds is None:
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    else:
        scales.logarithmic(ax, "x", "s")
    ax.set_xlabel(by)


def _mark_faults(ax, run, x, above):
    """Mark on a curve what happened to its run, at its time."""
    sizes = dict(zip(MARKS, (13, 10, 6, 10)))        # two at one moment can both be seen
    for kind, (colour, marker, _) in MARKS.items():
        at_s = [mark.start_s for mark in run.marks if mark.kind == kind]
        at = np.exp(np.interp(at_s, x, np.log(above)))
        ax.plot(at_s, at, linestyle="none", color=colour, marker=marker, markersize=sizes[kind],
                markeredgecolor="white", zorder=5, label="_faults")

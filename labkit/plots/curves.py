"""Several runs in one figure: bars of a number, curves of the loss, growth with the workers."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from labkit.errors import ConfigurationError
from labkit.plots import style

MEASURES = {"seconds": "s", "messages": "", "nbytes": "B"}


def compare(runs, measure, ax=None, log=False):
    """Draw one number of several runs as bars, each with its value.

    Parameters
    ----------
    runs : dict of str to Run
    measure : {"seconds", "messages", "nbytes"}
    ax : Axes, optional
    log : bool
        Whether the axis is logarithmic, for numbers of different magnitude.

    Returns
    -------
    Axes

    Raises
    ------
    ConfigurationError
        For another measure.
    """
    if measure not in MEASURES:
        raise ConfigurationError("A run has no such number.", got=repr(measure),
                                 expected=", ".join(map(repr, MEASURES)), where="measure=")
    ax = style.axes(ax, height=0.9 + 0.45 * len(runs))
    values = [getattr(run, measure) for run in runs.values()]
    for number, value in enumerate(values):
        colour, marker, _ = style.SERIES[number % len(style.SERIES)]
        if log:              # a bar would have to begin somewhere, and there is no zero
            ax.plot(value, number, color=colour, marker=marker, markersize=9)
        else:
            ax.barh(number, value, height=0.6, color=colour)
        ax.annotate(style.rounded(value, MEASURES[measure]), (value, number), xytext=(8, 0),
                    textcoords="offset points", va="center")
    if log:
        ax.set_xscale("log")
        ax.set_axisbelow(True)
        ax.grid(axis="y", color=style.LIGHT)
    ax.set_yticks(range(len(runs)), list(runs))
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.margins(x=0.3)
    style.engineering(ax.xaxis, MEASURES[measure])
    ax.set_xlabel(style.clock(runs.values()) if measure == "seconds"
                  else {"messages": "messages", "nbytes": "bytes sent"}[measure])
    return ax


def convergence(histories, ax=None, seconds=None, best=None):
    """Draw how far each loss is above the best one, evaluation by evaluation.

    Parameters
    ----------
    histories : dict of str to sequence of float
        The loss in nats a row, one entry a step.
    ax : Axes, optional
    seconds : dict of str to sequence of float, optional
        When each entry was known, in seconds since the start of its run; then the horizontal
        axis is time.
    best : float, optional
        The lowest loss; by default the lowest that is in `histories`.

    Returns
    -------
    Axes
    """
    ax = style.axes(ax)
    best = min(min(history) for history in histories.values()) if best is None else best
    for number, (name, history) in enumerate(histories.items()):
        above = np.maximum(np.asarray(history, float) - best, 0.0)
        x = np.arange(len(above)) if seconds is None else np.asarray(seconds[name])
        shown = above > 0                            # zero has no place on a logarithmic axis
        # Curves that lie on each other stay visible: each is thinner than the one before.
        ax.plot(x[shown], above[shown], label=name, **style.series(number),
                linewidth=4.5 - 1.5 * min(number, 2), markersize=8 - 1.5 * min(number, 3))
    ax.set_yscale("log")
    ax.set_ylabel("loss above the best (nats a row)")
    if seconds is None:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("evaluation of the objective")
    else:
        ax.set_xscale("log")
        style.engineering(ax.xaxis, "s")
        ax.set_xlabel("time")
    ax.legend(frameon=False)
    return ax


def scaling(runs, ax=None):
    """Draw seconds by the number of workers, both on logarithmic axes.

    Parameters
    ----------
    runs : dict of str to list of Run
        Runs of the same program with different numbers of workers.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = style.axes(ax)
    for number, (name, mine) in enumerate(runs.items()):
        ax.plot([run.world.workers for run in mine], [run.seconds for run in mine],
                label=name, **style.series(number))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    style.engineering(ax.yaxis, "s")
    ax.set_xlabel("workers")
    ax.set_ylabel(style.clock([run for mine in runs.values() for run in mine]))
    ax.legend(frameon=False)
    return ax

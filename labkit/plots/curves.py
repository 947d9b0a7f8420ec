"""Several runs in one figure: bars of a number, and growth with the workers.

    one    ######## 8 ms            seconds |   o
    other  ### 3 ms                         | o
           +---------                       +------- workers
"""

from __future__ import annotations

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.words import listed, tell
from labkit.words import counted

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
    style.check_some("runs", runs)
    if measure not in MEASURES:
        raise ConfigurationError("A run has no such number.", got=repr(measure),
                                 expected=", ".join(map(repr, MEASURES)), where="measure=")
    ax = style.axes(ax, height=0.9 + 0.45 * len(runs))
    values = [getattr(run, measure) for run in runs.values()]
    texts = [style.rounded(value, MEASURES[measure]) for value in values]
    for number, (value, text) in enumerate(zip(values, texts)):
        colour, marker, _ = style.SERIES[number % len(style.SERIES)]
        if log:              # a bar would have to begin somewhere, and there is no zero
            ax.plot(value, number, color=colour, marker=marker, markersize=9)
        else:
            ax.barh(number, value, height=0.6, color=colour)
        ax.annotate(text, (value, number), xytext=(8, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(runs)), [style.wrapped(name) for name in runs])
    ax.set_ylim(len(runs) - 0.5, -0.5)
    ax.margins(x=0.3)
    if log:
        scales.logarithmic(ax, "x", MEASURES[measure])
        ax.set_axisbelow(True)
        ax.grid(axis="y", color=style.LIGHT)
    else:
        scales.few_ticks(ax, "x")
        scales.engineering(ax.xaxis, MEASURES[measure])
    what = (style.clock(runs.values()) if measure == "seconds"
            else {"messages": "messages", "nbytes": "bytes sent"}[measure])
    ax.set_xlabel(what)
    numbers = [f"{name}: {text}" for (name, run), text in zip(runs.items(), texts)
               if run.world.simulated]
    return tell(ax, f"Bars of {what} of {listed(runs)}.",
                f"Simulated: {'; '.join(numbers)}." if numbers else "")


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
    style.check_some("runs", runs)
    ax = style.axes(ax, width=8.0)
    for number, (name, mine) in enumerate(runs.items()):
        ax.plot([run.world.workers for run in mine], [run.seconds for run in mine],
                label=style.wrapped(name), **style.series(number), **style.layered(number))
    every = [run for mine in runs.values() for run in mine]
    workers = sorted({run.world.workers for run in every})
    scales.counts(ax, workers, log=True)
    scales.logarithmic(ax, "y", "s")
    ax.set_xlabel("workers")
    ax.set_ylabel(style.clock(every))
    style.legend(ax)
    last = [f"{name}: {style.rounded(mine[-1].seconds, 's')} with "
            f"{counted(mine[-1].world.workers, 'worker')}"
            for name, mine in runs.items() if mine and mine[-1].world.simulated]
    return tell(ax, f"{style.clock(every).capitalize()} by workers, from {workers[0]:,} to "
                f"{workers[-1]:,}, both axes logarithmic, for {listed(runs)}.",
                f"At the end, {'; '.join(last)}." if last else "")

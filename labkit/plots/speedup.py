"""Speedup over what one thread does, and what share of the workers is of use.

    speedup |      /  ideal            efficiency |o- - - - - -  ideal
            |    / . o  measured                  | o
            |  /o                                 |    o
          1 |/o- - -  the baseline                |       o
            +------|------ workers                +------------- workers
                  cores

Speedup is over a baseline that is not distributed at all: what counts is the line at 1, which some
systems never reach. The first number of workers above it is called COST.

Source: McSherry, Isard and Murray, "Scalability! But at what COST?", HotOS 2015.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labkit import laws
from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.fitted import draw_fit
from labkit.plots.words import listed, tell
from labkit.words import counted

FITS = {"amdahl": laws.fit_amdahl, "gustafson": laws.fit_gustafson, "usl": laws.fit_usl}
REMEDY = "choose one of them: sweep.select(size=...)"


def speedup(sweep, ax=None, fits=(), simulated=None, cores=None):
    """Draw speedup and efficiency by the number of workers.

    Parameters
    ----------
    sweep : Sweep
        Over the setting "workers", with a baseline.
    ax : pair of Axes, optional
    fits : sequence of Fit or {"amdahl", "gustafson", "usl"}
        Laws of the speedup. A Fit is drawn as it is; a name is fitted to the medians. Amdahl's and
        Gustafson's laws begin at 1, so they are fitted to the speedup over one worker, where that
        was measured, and drawn from there.
    simulated : Sweep, optional
        A prediction, drawn beside it; over its own baseline, or that of `sweep` if it has none.
    cores : int, optional
        Where to draw the line; by default `sweep.environment.cores`.

    Returns
    -------
    tuple of Axes
        Of speedup and of efficiency, the speedup per worker. Bars are the intervals that hold the
        median with a chance of 95%.

    Raises
    ------
    ConfigurationError
        If there is no baseline, or several measurements have the same number of workers; for
        another name of a law.
    """
    n, found = points(sweep)
    predicted = None if simulated is None else points(
        simulated if simulated.baselines else replace(simulated, baselines=sweep.baselines))
    laws_drawn = [_fitted(fit, n, found) for fit in fits]        # raise before there is a figure
    left, right = pair = style.two_axes(ax, width=10.0, height=3.8)
    if cores is None and sweep.environment is not None and not _virtual(sweep):
        cores = sweep.environment.cores
    every = [*n, *(predicted[0] if predicted else ()), *([cores] if cores else ())]
    log = [scales.counts(one, every, room=0.7) for one in pair][0]
    _draw_lines(pair, sweep, min(every), max(every), log, cores)
    for number, (fit, scale) in enumerate(laws_drawn):
        for one, per in ((left, None), (right, lambda x, y: y / x)):
            draw_fit(one, fit, min(every), max(every), number, log, scale, per)
    for one, power in ((left, 0), (right, 1)):
        _draw_points(one, n, found, power, 0, "simulated" if _virtual(sweep) else "measured",
                     joined=not fits)
        if predicted:
            _draw_points(one, *predicted, power, 1, "simulated")
    _mark_cost(left, sweep, n, found)
    _finish(pair, log, found)
    tell(left, *_in_words(sweep, n, found, fits, simulated))
    return pair


def points(sweep):
    """Return a sweep's numbers of workers, and its speedups as an ndarray of shape (n, 3).

    The three columns are the median and the ends of its interval.
    """
    counts = [one.settings.get("workers") for one in sweep]
    if not counts or None in counts:
        raise ConfigurationError("Speedup needs numbers of workers.", where=sweep.name,
                                 expected='a sweep over "workers"', got=f"{len(counts)} settings")
    if len(set(counts)) < len(counts):
        raise ConfigurationError("Several measurements have the same number of workers.",
                                 where=sweep.name, expected="one for each number", got=counts,
                                 remedy=REMEDY)
    order = sorted(sweep, key=lambda one: one.settings["workers"])
    if min(one.median_s for one in order) <= 0:
        raise ConfigurationError("What takes no time has no speedup.", where=sweep.name,
                                 expected="more than 0 seconds", got="0 s",
                                 remedy="tell what computing costs with me.work")
    return np.array(sorted(counts), float), np.array([sweep.speedup(one) for one in order])


def _virtual(sweep):
    return all(one.world.simulated for one in sweep)


def _fitted(fit, n, found):
    """Return a Fit, and what its values are multiplied by."""
    if not isinstance(fit, str):
        return fit, 1.0
    if fit not in FITS:
        raise ConfigurationError("This law is not known.", got=repr(fit), where="fits=",
                                 expected=", ".join(map(repr, FITS)),
                                 remedy="or pass a Fit of labkit.laws")
    first = float(found[0, 0]) if n[0] == 1 and fit != "usl" else 1.0
    return FITS[fit](n, found[:, 0] / first), first


def _draw_lines(pair, sweep, low, high, log, cores):
    """Draw what the points are compared with: the baseline, the ideal, and the cores."""
    left, right = pair
    name = sweep.baseline_of(sweep[0]).name
    x = np.geomspace(low, high, 50) if log else np.linspace(low, high, 50)
    left.plot(x, x, color=style.GREY, linewidth=1.4, linestyle=(0, (6, 2)), label="ideal")
    right.axhline(1, color=style.GREY, linewidth=1.4, linestyle=(0, (6, 2)), label="ideal")
    left.axhline(1, color="black", linewidth=1.4, label=style.wrapped(f"1 = baseline: {name}"))
    for one in pair if cores else ():
        one.axvline(cores, color=style.GREEN, linewidth=1.6, linestyle=":",
                    label=f"{cores:,} core{'s' * (cores != 1)}")


def _draw_points(ax, n, found, power, number, label, joined=True):
    """Draw medians with intervals: the speedup, or divided by n. A law takes the line's place."""
    middle, low, high = (found / n[:, None] ** power).T
    # A prediction is hollow and smaller: where it is right, the measured point stays visible.
    hollow = dict(markerfacecolor="white", markersize=6, zorder=5) if number else dict(markersize=8)
    line = {} if joined else dict(linestyle="none")
    ax.errorbar(n, middle, [middle - low, high - middle], label=label, capsize=4, linewidth=1.8,
                **{"zorder": 4, **style.series(number), **hollow, **line})


def _mark_cost(ax, sweep, n, found):
    """Mark the first point above the baseline, or say that there is none."""
    cost = sweep.cost()
    most = counted(int(n[-1]), "worker")
    text = f"COST: more than {most}" if cost is None else f"COST: {counted(cost, 'worker')}"
    at = ([], []) if cost is None else (cost, found[list(n).index(cost), 0])
    ax.plot(*at, linestyle="none", marker="" if cost is None else "*", markersize=16,
            color=style.ORANGE, markeredgecolor="black", zorder=6,
            label=text)


def _finish(pair, log, found):
    left, right = pair
    for one in pair:
        one.set_xlabel("workers")
    left.set_ylabel("speedup")
    right.set_ylabel("efficiency (speedup per worker)")
    if log:
        scales.logarithmic(left, "y")
    else:
        left.set_ylim(bottom=0)
        scales.few_ticks(left, "y")
    right.set_ylim(0, max(1.1, right.get_ylim()[1]))
    handles, labels = left.get_legend_handles_labels()
    left_only = dict(zip(labels, handles))
    style.legend(right, list(left_only.values()))


def _in_words(sweep, n, found, fits, simulated):
    """Yield what there is to see; numbers only of a simulated sweep."""
    yield (f"Two panels over {listed(f'{one:,.0f}' for one in n)} workers: the speedup over the "
           f"baseline, {sweep.baseline_of(sweep[0]).name}, and the efficiency, with the ideal.")
    names = [fit if isinstance(fit, str) else fit.law.name for fit in fits]
    if names:
        yield f"Fitted, dashed where nothing was measured: {listed(names)}."
    if simulated is not None:
        yield "A simulated prediction is drawn beside the measured points."
    if _virtual(sweep):
        yield (f"Simulated: {found[-1, 0]:.3g} times as fast with {n[-1]:,.0f} workers; "
               f"COST: {sweep.cost() or 'none of these'}.")

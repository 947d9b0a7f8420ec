"""A fitted law in a figure: solid where it was measured, dashed beyond, with its band.

    |            , - '      dashed: nobody measured there
    |       ,-''::::
    |    ,o':::: o          :::: where the law may lie, as far as the points' noise tells
    |  o'
    +--|---------|----
       measured range

A plot takes a law that is fitted already: an object that is called with x, and has `band(x)`,
`law.name` and `x`, the points that it was fitted to.
"""

from __future__ import annotations

import warnings

import numpy as np

from labkit.plots import style

POINTS = 200
COLOURS = (style.PURPLE, style.ORANGE, style.GREEN, style.SKY)
DASHES = ((0, (4, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (2, 1)))
MARKERS = ("x", "+", "1", "2")                       # where it is solid: to tell laws apart in grey


def draw_fit(ax, fit, low, high, number=0, log=False, scale=1.0, per=None, label=None):
    """Draw a fitted law and its band over the range from `low` to `high`.

    Parameters
    ----------
    ax : Axes
    fit : Fit
    low, high : float
    number : int
        Of the law in this figure, from 0: its colour, marker and dashes.
    log : bool
        Whether the axis is logarithmic.
    scale : float
        What the law's values are multiplied by.
    per : callable, optional
        `per(x, y)`: what is drawn in place of y.
    label : str, optional
        The law's name by default.
    """
    colour, marker, beyond = (kind[number % len(kind)] for kind in (COLOURS, MARKERS, DASHES))
    measured = np.asarray(fit.x, float) if hasattr(fit, "x") else np.array([low, high])
    first, last = max(low, measured.min()), min(high, measured.max())
    label = style.wrapped(fit.law.name) if label is None else label
    for begin, end, dashes in ((low, first, beyond), (first, last, "-"), (last, high, beyond)):
        if end <= begin:
            continue
        marked = dict(marker=marker, markevery=(20 + 12 * number, 60), markersize=8)
        x = np.geomspace(begin, end, POINTS) if log else np.linspace(begin, end, POINTS)
        middle, bottom, top = (scale * values for values in _values(fit, x))
        if per is not None:
            middle, bottom, top = (per(x, values) for values in (middle, bottom, top))
        ax.plot(x, middle, color=colour, linestyle=dashes, linewidth=1.8, zorder=2,
                **(marked | dict(label=label) if dashes == "-" else dict(label="_beyond")))
        _draw_band(ax, x, np.maximum(bottom, middle / 100 if log else 0), top, colour)


def _draw_band(ax, x, bottom, top, colour):
    """Draw a band that does not stretch the axes: a few points may leave it without bounds."""
    before, known = ax.dataLim.frozen(), np.isfinite(bottom) & np.isfinite(top)
    ax.fill_between(x, bottom, top, where=known, color=colour, alpha=0.18, linewidth=0, zorder=1)
    ax.dataLim.set(before)
    ax.autoscale_view()


def _values(fit, x):
    """Return the law at x, and where it may lie; dashes say that some of it was not measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(fit(x)), *map(np.asarray, fit.band(x))

"""Axes with few ticks, each with one text: seconds, bytes, counts, and logarithms of them.

    linear        0 s   50 ms   100 ms          a text such as 100 ms is wide, so there are few
    logarithmic   10 us  1 ms   100 ms          less than a decade is named too: 2 ms, 5 ms
    counts        1  2  4    16    64           where they were measured, and nowhere else
"""

from __future__ import annotations

import math

from matplotlib.ticker import (
    EngFormatter,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)

WIDE = 16                    # largest / smallest: beyond it an axis of counts is logarithmic


def engineering(axis, unit):
    """Label an axis's ticks as 10 ms, 2 MB ..."""
    axis.set_major_formatter(EngFormatter(unit))


def few_ticks(ax, which):
    """Give the axis "x" or "y" few ticks: texts such as 100 ms are wide."""
    getattr(ax, f"{which}axis").set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def logarithmic(ax, which, unit=""):
    """Make the axis "x" or "y" logarithmic, with few ticks, at most one text for each.

    Matplotlib's own minor ticks would carry texts in another notation where no power of ten
    is near. Called when the data are drawn: the range decides which ticks are named. Where all
    are zero, the axis stays linear.
    """
    if not math.isfinite(getattr(ax.dataLim, f"minpos{which}")) and ax.get_label() != "<colorbar>":
        return engineering(getattr(ax, f"{which}axis"), unit)
    getattr(ax, f"set_{which}scale")("log")
    axis, (low, high) = getattr(ax, f"{which}axis"), getattr(ax, f"get_{which}lim")()
    decades = math.log10(high / low)
    if decades > 2.1:
        axis.set_major_locator(LogLocator(numticks=6))
    elif decades > 0.8:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    else:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(EngFormatter(unit) if unit else plain(high))


def counts(ax, values, room=1.0, log=None):
    """Make the horizontal axis one of counts, such as workers, named where they were measured.

    Parameters
    ----------
    ax : Axes
    values : iterable of float
    room : float
        Of the axis, compared with that of a figure of one panel: how many names fit.
    log : bool, optional
        By default, where the counts are of different magnitude.

    Returns
    -------
    bool
        Whether it is logarithmic.
    """
    values = sorted(set(values))
    wide = values[0] > 0 and values[-1] > WIDE * values[0] if log is None else log
    place = math.log10 if wide else float
    if wide:
        ax.set_xscale("log")
    low, high = map(place, (values[0], values[-1]))
    least = 0.13 / room * (high - low)               # of the axis that a name such as 1,000 takes
    shown = values[:1]
    for value in values[1:]:
        if place(value) - place(shown[-1]) >= least:
            shown.append(value)
    ax.xaxis.set_major_locator(FixedLocator(shown))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(plain(values[-1]))
    return wide


def plain(largest):
    """Return a formatter of counts: 1,000, and 100k where they are larger."""
    return EngFormatter(sep="") if largest > 2e4 else StrMethodFormatter("{x:,g}")

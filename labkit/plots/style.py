"""What all figures share: colours, markers, axes of seconds and bytes."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.ticker import EngFormatter

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
SERIES = [(BLUE, "o", "-"), (VERMILLION, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":"),
          (ORANGE, "v", (0, (5, 1))), (SKY, "P", (0, (3, 1, 1, 1)))]
GREY = "#595959"
LIGHT = "#d9d9d9"


def axes(ax, width=7.0, height=3.2):
    """Return `ax`, or the Axes of a new figure of that size in inches."""
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def series(number):
    """Return the colour, marker and line style of series `number`, as keywords for `Axes.plot`."""
    colour, marker, style = SERIES[number % len(SERIES)]
    return dict(color=colour, marker=marker, linestyle=style)


def clock(runs):
    """Return what the seconds of these runs are called: a simulated number never goes without."""
    kinds = {run.world.simulated for run in runs}
    return {frozenset({True}): "virtual time", frozenset({False}): "time"}.get(
        frozenset(kinds), "time, virtual where simulated")


def engineering(axis, unit):
    """Label an axis's ticks as 10 ms, 2 MB ..."""
    axis.set_major_formatter(EngFormatter(unit))


def rounded(value, unit):
    """Return a value with three digits and the prefix of its magnitude: 1.23 ms."""
    if not unit:
        return f"{value:,}"
    return EngFormatter(unit, places=None).format_data(float(f"{value:.3g}"))

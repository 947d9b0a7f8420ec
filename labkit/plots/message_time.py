"""What a message of some size takes: its start, and then its bytes.

    seconds |           /
            |         ,'        fitted: alpha + beta nbytes
      alpha |o_o__o,-'          half of the time is the start
            |       :           at n_1/2 = alpha / beta
            +-------:------ bytes, both axes logarithmic

Source: Hockney, "The communication challenge for MPP", Parallel Computing 20, 1994.
"""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import EngFormatter

from labkit import laws
from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.fitted import draw_fit
from labkit.plots.words import tell
from labkit.records import Sweep


def message_time(points, fit=None, ax=None, size="nbytes", simulated=False, network=None):
    """Draw seconds by the size of a message, with the alpha-beta line.

    Parameters
    ----------
    points : Sweep, or sequence of (nbytes, seconds)
    fit : Fit or "alpha-beta", optional
        With the constants `alpha_s` and `beta_s_per_B`, as of `labkit.laws.fit_alpha_beta`; the
        name asks for that fit to these points.
    ax : Axes, optional
    size : str
        The setting of a Sweep that is the size in bytes.
    simulated : bool
        Whether the seconds are virtual; a Sweep knows it.
    network : Network, optional
        Whose times to draw too: a calibrated one may have a second line for long messages.

    Returns
    -------
    Axes
        The horizontal line is alpha, the vertical one the size n_1/2 that reaches half of the
        bandwidth.

    Raises
    ------
    ConfigurationError
        Without points, and for numbers that are not more than 0.
    """
    nbytes, found, clock = _points(points, size, "virtual time" if simulated else "time")
    if isinstance(fit, str):
        fit = laws.fit_alpha_beta(nbytes, found[:, 0])
    ax = style.axes(ax, width=8.0, height=3.6)
    middle, low, high = found.T
    ax.errorbar(nbytes, middle, [middle - low, high - middle], linestyle="none", marker="o",
                color=style.BLUE, markersize=7, capsize=4, zorder=4,
                label="simulated" if clock == "virtual time" else "measured")
    ax.set_yscale("log")
    _scale_of_sizes(ax, nbytes)
    if fit is not None:
        _draw_law(ax, fit, nbytes)
    if network is not None:
        _draw_network(ax, network, nbytes)
    scales.logarithmic(ax, "y", "s")
    ax.set_xlabel("size of a message")
    ax.set_ylabel(clock)
    style.legend(ax)
    least, most = (style.rounded(size, "B") for size in (nbytes[0], nbytes[-1]))
    return tell(ax, f"{clock.capitalize()} of a message by its size, {least} to {most}, both axes "
                "logarithmic.",
                *_law_in_words(fit, clock == "virtual time"),
                *(["The line of the network is drawn through the points."] if network else []))


def _points(points, size, clock):
    """Return sizes, an array of medians with their intervals, and what the seconds are called."""
    if isinstance(points, Sweep):
        points.values(size)                          # raises if there is no such setting
        clock = style.clock(points)
        points = [(one.settings[size], *one.estimate) for one in points]
    rows = sorted(tuple(row) if len(row) == 4 else (row[0], row[1], row[1], row[1])
                  for row in points)
    table = np.array(rows, float).reshape(-1, 4)
    if not len(table) or table[:, 0].min() < 0 or table[:, 1:].min() <= 0:
        raise ConfigurationError("These are no times of messages.", where="points",
                                 expected="pairs of bytes, 0 or more, and seconds, more than 0",
                                 got=f"{rows[:2]}")
    return table[:, 0], table[:, 1:], clock


def _scale_of_sizes(ax, nbytes):
    """A message of no bytes has a place: left of one byte, the axis is linear."""
    if nbytes[0] > 0:
        scales.logarithmic(ax, "x", "B")
        return
    ax.set_xscale("symlog", linthresh=1)
    largest = max(nbytes[-1], 10)
    stride = int(np.ceil(np.log10(largest) / 4))
    ax.set_xticks([0, *10.0 ** np.arange(stride, np.log10(largest) + 1e-9, stride)], minor=False)
    ax.xaxis.set_minor_locator(scales.NullLocator())
    ax.xaxis.set_major_formatter(EngFormatter("B"))


def _draw_law(ax, fit, nbytes):
    positive = nbytes[nbytes > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 10.0)
    limits = ax.get_xlim()
    draw_fit(ax, fit, low, high, log=True)
    alpha_s, half = fit.values["alpha_s"], half_size(fit)
    if alpha_s > 0:
        ax.axhline(alpha_s, color=style.VERMILLION, linestyle="--", linewidth=1.4, zorder=1,
                   label=f"alpha = {style.rounded(alpha_s, 's')}")
    if half is not None:
        ax.axvline(half, color=style.GREEN, linestyle=":", linewidth=2, zorder=1,
                   label=f"n$_{{1/2}}$ = {style.rounded(half, 'B')}")
    ax.set_xlim(min(limits[0], (half or np.inf) / 1.5), max(limits[1], 1.5 * (half or 0)))


def _draw_network(ax, network, nbytes):
    sizes = np.geomspace(max(nbytes[0], 1.0), nbytes[-1], 400)
    ax.plot(sizes, [network.message_s(size) for size in sizes], color=style.GREY, linewidth=2,
            zorder=3, label=f"{network.name} network")


def half_size(fit):
    """Return n_1/2 = alpha / beta in bytes; None where one of them is 0."""
    alpha_s, beta = fit.values["alpha_s"], fit.values["beta_s_per_B"]
    return alpha_s / beta if alpha_s > 0 and beta > 0 else None


def _law_in_words(fit, simulated):
    if fit is None:
        return
    yield (f"With {fit.law.name[0].lower() + fit.law.name[1:]}, its start alpha and the size at "
           "which half of the time is the start.")
    if simulated and half_size(fit) is not None:
        yield (f"Alpha is {style.rounded(fit.values['alpha_s'], 's')}, the size "
               f"{style.rounded(half_size(fit), 'B')}.")

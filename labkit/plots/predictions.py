"""How well a simulation predicts what is measured, setting by setting.

    workers=1  |      :  o  :     1.06       predicted over measured time: 1 is exact,
    workers=2  |      : o   :     0.98       : is the band of 25% around it
    workers=4  |  s   :     :     0.61       s lies outside
               +----- 0.75  1.25
"""

from __future__ import annotations

import numpy as np

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.words import listed, tell

WITHIN = 0.25                # what a model of a few constants can be expected to reach
MANY_ROWS = 24               # names beyond this would overlap
FAR = 10                     # largest / smallest: beyond it an axis is logarithmic


def predicted(measured, simulated, ax=None, within=WITHIN):
    """Draw predicted over measured seconds, setting by setting, with the band of 25%.

    Parameters
    ----------
    measured, simulated : Sweep
        Settings that only one of them has are left out.
    ax : Axes, optional
    within : float
        The band's half width, as a share of the measured time.

    Returns
    -------
    Axes
        Filled in the band, hollow outside. Bars are the interval of the measured median.

    Raises
    ------
    ConfigurationError
        If they have no setting in common, or something took no time.
    """
    rows = ratios(measured, simulated)
    names = _names([name for name, *_ in rows])
    lines = max(name.count("\n") for name in names) + 1
    ax = style.axes(ax, width=8.0, height=min(1.5 + (0.2 + 0.18 * lines) * len(rows), 9.0))
    ax.axvspan(1 - within, 1 + within, color=style.SKY, alpha=0.3, linewidth=0,
               label=f"within {within:.0%}")
    ax.axvline(1, color="black", linewidth=1.4, label="exact")
    middle, low, high = np.array([row[1:] for row in rows]).T
    inside = np.abs(middle - 1) <= within
    for kind, label in ((inside, "in the band"), (~inside, "outside")):
        _draw(ax, np.flatnonzero(kind), middle, low, high, label)
    _finish(ax, names, middle, style.clock(simulated), style.clock(measured))
    settings = listed(name.replace("\n", " ") for name, *_ in rows)
    return tell(ax, f"The simulated time over the measured one, a row for each of {len(rows)} "
                f"settings, {settings}, with a band of {within:.0%} around 1.")


def ratios(measured, simulated):
    """Return (settings as text, simulated / measured, low, high) for each common setting."""
    rows = []
    for one in measured:
        twins = [other for other in simulated if other.settings == one.settings]
        if twins:
            name = "\n".join(f"{key}={value}" for key, value in one.settings.items())
            if min(one.estimate) <= 0 or twins[0].median_s <= 0:
                raise ConfigurationError("What takes no time has no ratio.", where=name,
                                         expected="more than 0 seconds", got="0 s")
            rows.append((name or one.name, *(twins[0].median_s / value for value in (
                one.median_s, one.estimate.high, one.estimate.low))))
    if not rows:
        raise ConfigurationError(
            "These sweeps have no setting in common.", where="simulated",
            expected=f"some of {[one.settings for one in measured][:3]}",
            got=[one.settings for one in simulated][:3],
            remedy="measure both with the same settings, by the same names")
    return rows


def _names(names):
    """Return the names of rows: in one line where all fit, else a line for each setting."""
    flat = [name.replace("\n", ", ") for name in names]
    if len(names) > MANY_ROWS // 3 or max(map(len, flat)) <= style.NAME_WIDTH:
        width = style.NAME_WIDTH // (names[0].count("\n") + 1)
        return flat if max(map(len, flat)) <= style.NAME_WIDTH else [
            ", ".join(style.shortened(part, width) for part in name.split("\n"))
            for name in names]
    return ["\n".join(style.shortened(part) for part in name.split("\n")) for name in names]


def _draw(ax, rows, middle, low, high, label):
    if len(rows):
        wings = [middle[rows] - low[rows], high[rows] - middle[rows]]
        outside = label == "outside"
        ax.errorbar(middle[rows], rows, xerr=wings, linestyle="none", capsize=4,
                    marker="s" if outside else "o", markersize=8,
                    color=style.VERMILLION if outside else style.BLUE,
                    markerfacecolor="white" if outside else style.BLUE, label=label)


def _finish(ax, names, middle, predicted_clock, measured_clock):
    shown = range(0, len(names), -(-len(names) // MANY_ROWS))
    ax.set_yticks(shown, [names[row] for row in shown])
    ax.set_ylim(len(names) - 0.4, -0.6)
    for row in shown:
        ax.annotate(style.digits(middle[row]), (1.01, row), xycoords=ax.get_yaxis_transform(),
                    va="center")
    if middle.max() > FAR or middle.min() < 1 / FAR:
        scales.logarithmic(ax, "x")
    else:
        ax.set_xlim(0, max(1.5, ax.get_xlim()[1]))
    ax.set_xlabel(f"{predicted_clock}, simulated / {measured_clock}, measured")
    # Above the rows: the ratios stand at their right.
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False, ncols=4,
              columnspacing=1.2)

"""Seconds by one setting, a line for each value of another.

    seconds |  o         policy=static
            |  s    o
            |       s    policy=stealing          bars: where the median lies, at 95%
            +---------- workers
"""

from __future__ import annotations

import math
import numbers

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.words import listed, tell

DECADES = 1.5                # between smallest and largest: beyond it an axis is logarithmic


def sweep(sweep, x, hue=None, ax=None):
    """Draw median seconds with their intervals by one setting.

    Parameters
    ----------
    sweep : Sweep
    x : str
        The setting on the horizontal axis. Values that are no numbers, such as policies, are
        categories, in the order of the sweep.
    hue : str, optional
        The setting that has a line for each value.
    ax : Axes, optional

    Returns
    -------
    Axes
        With a horizontal line for each baseline, at most three.

    Raises
    ------
    ConfigurationError
        For a setting that was not varied, or one more that was.
    """
    values, lines = sweep.values(x), [None] if hue is None else sweep.values(hue)
    _check_single(sweep, x, hue)
    categories = not all(_number(value) for value in values)
    ax = style.axes(ax, width=8.0, height=3.6)
    for number, line in enumerate(lines):
        mine = list(sweep if hue is None else sweep.select(**{hue: line}))
        if not categories:
            mine.sort(key=lambda one: one.settings[x])
        label = _label(sweep, mine) if hue is None else style.wrapped(f"{hue}: {line}")
        where = _places(mine, x, values, number, len(lines)) if categories else [
            one.settings[x] for one in mine]
        _draw(ax, where, [one.estimate for one in mine], number, label, categories)
    for base in sweep.baselines[:3] if len(sweep.baselines) <= 3 else ():
        ax.axhline(base.median_s, color="black", linewidth=1.4, linestyle=(0, (6, 2)), zorder=1,
                   label=style.wrapped("baseline: " + _name_of(base)))
    _finish(ax, sweep, x, values, categories)
    return tell(ax, *_in_words(sweep, x, hue, values, lines))


def _check_single(sweep, x, hue):
    """Refuse a sweep with several measurements for one point."""
    seen = set()
    for one in sweep:
        key = repr([one.settings.get(name) for name in (x, hue) if name])
        if key in seen:
            others = [name for name in one.settings
                      if name not in (x, hue) and len(sweep.values(name)) > 1]
            raise ConfigurationError(
                "Several measurements have the same place.", where=sweep.name,
                expected=f"one for each {x}" + (f" and {hue}" if hue else ""),
                got=f"several, with different {', '.join(others) or 'repeats'}",
                remedy="pass hue=, or choose: sweep.select("
                       + ", ".join(f"{name}=..." for name in others) + ")")
        seen.add(key)


def _number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _label(sweep, mine):
    return style.wrapped(sweep.name) + " (simulated)" * all(one.world.simulated for one in mine)


def _name_of(base):
    settings = ", ".join(f"{name}={value}" for name, value in base.settings.items())
    return f"{base.name}, {settings}" if settings else base.name


def _places(mine, x, values, number, n_lines):
    """Return the places of categories: beside each other, or intervals would hide intervals."""
    shift = 0.0 if n_lines == 1 else 0.4 * (number / (n_lines - 1) - 0.5)
    return [values.index(one.settings[x]) + shift for one in mine]


def _draw(ax, where, estimates, number, label, categories):
    middle = [one.median for one in estimates]
    wings = [[one.median - one.low for one in estimates],
             [one.high - one.median for one in estimates]]
    look = style.series(number) | dict(markersize=style.layered(number)["markersize"])
    if categories:                                   # between policies there is nothing to join
        look |= dict(linestyle="none", markersize=8)
    ax.errorbar(where, middle, wings, label=label, capsize=4, linewidth=1.8, elinewidth=1.4, **look)


def _finish(ax, sweep, x, values, categories):
    if categories:
        _name_categories(ax, values)
    elif _spread(values) and all(isinstance(value, int) for value in values) and len(values) < 12:
        scales.counts(ax, values, log=True)
    elif _spread(values):
        scales.logarithmic(ax, "x")
    elif all(isinstance(value, int) for value in values):
        scales.counts(ax, values)
    medians = [one.median_s for one in (*sweep, *sweep.baselines)]
    if _spread(medians):
        scales.logarithmic(ax, "y", "s")
    else:
        ax.set_ylim(bottom=0)
        scales.few_ticks(ax, "y")
        scales.engineering(ax.yaxis, "s")
    ax.set_xlabel(x)
    ax.set_ylabel(style.clock([*sweep, *sweep.baselines]))
    style.legend(ax)


def _spread(values):
    return min(values) > 0 and math.log10(max(values) / min(values)) > DECADES


def _name_categories(ax, values):
    """Name each under its place, in lines or, where a word is too long for that, turned."""
    width = 50 // len(values)                        # characters that fit under one
    turned = any(len(word) > width for value in values for word in str(value).split())
    ax.set_xticks(range(len(values)),
                  [style.shortened(str(value)) if turned else style.wrapped(value, width)
                   for value in values], rotation=90 if turned else 0)
    ax.set_xlim(-0.5, len(values) - 0.5)


def _in_words(sweep, x, hue, values, lines):
    simulated = all(one.world.simulated for one in sweep)
    yield (f"{style.clock(sweep).capitalize()} of {sweep.name} by {x}: {listed(values)}"
           + (f", a line for each {hue}: {listed(lines)}." if hue else "."))
    if simulated:
        best = min(sweep, key=lambda one: one.median_s)
        settings = ", ".join(f"{name} {value}" for name, value in best.settings.items())
        yield f"The shortest is {style.rounded(best.median_s, 's')}, with {settings}."
    if sweep.baselines:
        yield "Horizontal lines are the baseline."

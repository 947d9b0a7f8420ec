"""How long requests take, and how long the slowest of them: a distribution with a stretched tail.

    p99 |          ___|    ...'    how many are faster, on an axis
    p95 |      ___|    ..''         on which half, a twentieth and a hundredth
    p50 |   __|      .'            that are slower are far apart
        +---------------------- latency, logarithmic

It is the empirical distribution function, drawn by what is missing to 1: on a plain axis p95 and
p99 would lie on each other, and they are what users of a hundred servers meet.

Source: Dean and Barroso, "The tail at scale", CACM 56(2), 2013.
"""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.words import listed, tell
from labkit.records import Sweep

QUANTILES = {0.5: "o", 0.95: "s", 0.99: "^"}         # and their markers
TICKS = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)


def latency(samples, ax=None, simulated=False):
    """Draw the distribution of latencies, with p50, p95 and p99.

    Parameters
    ----------
    samples : dict of str to array_like, or Sweep
        Seconds; of a Sweep, those of each setting's repeats.
    ax : Axes, optional
    simulated : bool
        Whether the seconds are virtual; a Sweep knows it.

    Returns
    -------
    Axes
        The tail is at the top. A marker at p95 needs 20 samples, one at p99 needs 100: fewer do
        not say where it lies.

    Raises
    ------
    ConfigurationError
        For samples that are none, or not more than 0.
    """
    clock = ("virtual time" if simulated else "time")
    if isinstance(samples, Sweep):
        clock = style.clock(samples)
        samples = {_name(one): one.seconds for one in samples}
    style.check_some("samples", samples)
    samples = {name: _checked(name, seconds) for name, seconds in samples.items()}
    ax = style.axes(ax, width=8.0, height=max(3.4, 1.0 + 0.75 * len(samples)))
    for number, (name, seconds) in enumerate(samples.items()):
        _draw(ax, name, seconds, style.SERIES[number % len(style.SERIES)])
    _finish(ax, max(map(len, samples.values())), clock)
    numbers = [f"{name}: {', '.join(_values(seconds))}" for name, seconds in samples.items()]
    return tell(ax, f"Distribution of latencies in {clock}, on a logarithmic axis, with p50, p95 "
                f"and p99, for {listed(samples)}.",
                f"{'; '.join(numbers)}." if clock == "virtual time" else "")


def _name(measurement):
    return ", ".join(f"{name}={value}" for name, value in measurement.settings.items()
                     ) or measurement.name


def _checked(name, seconds):
    seconds = np.sort(np.asarray(seconds, float).ravel())
    if not len(seconds) or not (np.isfinite(seconds).all() and seconds[0] > 0):
        raise ConfigurationError("These are no latencies.", where=f"samples[{name!r}]",
                                 expected="seconds, each more than 0", got=f"{seconds[:3]}",
                                 remedy="leave out what was never answered, and say how many")
    return seconds


def quantiles(seconds):
    """Return {share: seconds} for those of p50, p95 and p99 that so many samples tell.

    The seconds are those of a sample: the first that is not exceeded by more than the rest.
    """
    return {share: float(np.quantile(seconds, share, method="inverted_cdf"))
            for share in QUANTILES if len(seconds) * (1 - share) >= 1 - 1e-9}


def _values(seconds):
    return [f"p{100 * share:.0f} {style.rounded(value, 's')}"
            for share, value in quantiles(seconds).items()]


def _draw(ax, name, seconds, look):
    colour, _, dashes = look
    n = len(seconds)
    slower = np.arange(n, 0, -1) / n                 # the share that takes at least so long
    # The values stand in the legend: beside the curves they would lie on one another.
    ax.step(np.append(seconds, seconds[-1]), np.append(slower, 0.5 / n), where="pre", color=colour,
            linestyle=dashes, linewidth=2.2,
            label="\n".join([style.wrapped(name), *_values(seconds)]))
    for share, value in quantiles(seconds).items():
        ax.plot(value, 1 - share, marker=QUANTILES[share], color=colour, markersize=9,
                markeredgecolor="white", zorder=4)


def _finish(ax, n, clock):
    ax.set_yscale("log")
    ax.set_ylim(1.1, 0.5 / n)
    shown = [share for share in TICKS if 1 - share >= 0.7 / n]
    # Where the tail is long, p0 would be too close to p50, and p90 to p95.
    shown = [share for share in shown if share not in (0.0, 0.9) or n < 300]
    ax.yaxis.set_major_locator(FixedLocator([1 - share for share in shown]))
    ax.yaxis.set_major_formatter(FixedFormatter([f"p{100 * share:g}" for share in shown]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    for share in QUANTILES:
        ax.axhline(1 - share, color=style.LIGHT, linewidth=1, zorder=0)
    ax.set_ylabel("percentile: share that is faster")
    scales.logarithmic(ax, "x", "s")
    ax.set_xlabel(f"latency, {clock}")
    style.legend(ax)

"""What measuring leaves behind: seconds of repeated runs, for each setting, and a baseline.

    Measurement(settings={"workers": 2, "size": 1000}, seconds=(0.11, 0.12, 0.11), ...)
    Sweep(measurements, baselines)          speedup = baseline's seconds / measurement's seconds

The baseline is what a careful person would do without a cluster, in one thread. A speedup over
anything else says little.

Source: McSherry, Isard and Murray, "Scalability! But at what COST?", HotOS 2015.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from labkit.errors import ConfigurationError
from labkit.records.environment import Environment
from labkit.records.world import WorldInfo

RESAMPLES = 2000
LEVEL = 0.95                 # of the intervals


class Estimate(NamedTuple):
    """A median, and the interval that holds 95% of the medians of samples drawn again."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Measurement:
    """Seconds of several runs of one program, in one setting."""

    name: str
    """What was measured."""

    settings: dict[str, Any]
    """What was varied: {"workers": 2, "size": 1000}."""

    seconds: tuple[float, ...]
    """`Run.seconds` of each repeat, in the order in which they were made."""

    wall_s: tuple[float, ...] = ()
    """Seconds from the call to its return: with the start of the peers, and the results' way
    home. Of a simulated run, what the simulation took."""

    messages: int = 0
    """Of the last repeat."""

    nbytes: int = 0
    """Payload bytes of these messages."""

    verified: bool = False
    """Whether each repeat's answer was compared with the expected one before it was recorded."""

    world: WorldInfo = field(default=WorldInfo("serial", 1))
    """Where it ran."""

    @property
    def median_s(self):
        """The median of `seconds`."""
        return float(np.median(self.seconds))

    @property
    def estimate(self):
        """The median with its interval, as an `Estimate` in seconds."""
        return _estimate(np.median(_again(self.seconds), axis=1), self.median_s)

    def __repr__(self):
        median, low, high = self.estimate
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        virtual = "virtual " if self.world.simulated else ""
        return (f"Measurement({self.name}({settings}): {median:.3g} {virtual}s "
                f"({low:.3g} to {high:.3g}), {len(self.seconds)} repeats, "
                f"{'verified' if self.verified else 'not verified'})")


@dataclass(frozen=True, repr=False)
class Sweep(Sequence):
    """Measurements of one program in several settings."""

    name: str
    """What was measured."""

    measurements: tuple[Measurement, ...]
    """One for each combination of settings, in the order in which they were asked for."""

    baselines: tuple[Measurement, ...] = ()
    """What it is compared with, in one thread: one for each combination of the settings that
    the baseline has."""

    environment: Environment | None = None
    """Where it was made, with versions."""

    seed: int = 0
    """Of the order in which settings took turns, and of the intervals."""

    def __len__(self):
        return len(self.measurements)

    def __getitem__(self, index):
        return self.measurements[index]

    def values(self, setting):
        """Return the values that a setting had, each once, in the order of measurements."""
        self._check(setting)
        return list(dict.fromkeys(one.settings[setting] for one in self.measurements))

    def select(self, **settings):
        """Return the part of the sweep with these settings, as a Sweep."""
        for name in settings:
            self._check(name)
        found = tuple(one for one in self.measurements if settings.items() <= one.settings.items())
        return replace(self, measurements=found)

    def _check(self, name):
        known = list(dict.fromkeys(name for one in self.measurements for name in one.settings))
        if name not in known:
            raise ConfigurationError("This was not varied.", got=name, where=self.name,
                                     expected=", ".join(known) or "a sweep with settings")

    def baseline_of(self, measurement):
        """Return the baseline of a measurement: the one with the same settings, where it has them.

        Raises
        ------
        ConfigurationError
            If there is none.
        """
        for one in self.baselines:
            if one.settings.items() <= measurement.settings.items():
                return one
        raise ConfigurationError("There is nothing to compare with.", where=repr(measurement),
                                 expected="a baseline with its settings", got="none",
                                 remedy="pass baseline=, a function that does it in one thread")

    def speedup(self, measurement):
        """Return how many times faster than its baseline a measurement is, as an `Estimate`.

        nan for what took no time at all, as simulated programs do that declare no work.
        """
        base = self.baseline_of(measurement)
        if min(measurement.seconds) == 0:
            return Estimate(*[float("nan")] * 3)
        ratios = (np.median(_again(base.seconds, seed=1), axis=1)
                  / np.median(_again(measurement.seconds), axis=1))
        return _estimate(ratios, base.median_s / measurement.median_s)

    def cost(self, **settings):
        """Return the least number of workers that are faster than the baseline: COST.

        Parameters
        ----------
        **settings
            Of the measurements to look at; all by default.

        Returns
        -------
        int or None
            None if no number that was measured was enough.
        """
        chosen = self.select(**settings)
        faster = [one.settings["workers"] for one in chosen
                  if self.speedup(one).median > 1]
        return min(faster, default=None)

    def table(self):
        """Return the sweep as a list of dicts: settings, seconds, speedup; one a measurement."""
        rows = []
        for one in self.measurements:
            row = {**one.settings, "median_s": one.median_s, "low_s": one.estimate.low,
                   "high_s": one.estimate.high, "messages": one.messages, "nbytes": one.nbytes}
            if self.baselines:
                row["speedup"] = self.speedup(one).median
            rows.append(row)
        return rows

    def __repr__(self):
        rows = self.table()
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [names] + [[_cell(row.get(name, "")) for name in names] for row in rows]
        widths = [max(map(len, column)) for column in zip(*cells)] if rows else []
        lines = ["  ".join(text.rjust(width) for text, width in zip(line, widths))
                 for line in cells]
        verified = all(one.verified for one in self.measurements)
        where = ", ".join(dict.fromkeys(one.world.kind for one in self.measurements))
        head = f"{self.name}, {where}, {'verified' if verified else 'not verified'}"
        tail = [f"baseline {one.name}: {one.median_s:.3g} s"
                + "".join(f", {name}={value}" for name, value in one.settings.items())
                for one in self.baselines]
        return "\n".join([head, *lines, *tail])


def _cell(value):
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _again(seconds, seed=0):
    """Return samples drawn again from these: shape (RESAMPLES, len(seconds))."""
    seconds = np.asarray(seconds, float)
    return np.random.default_rng(seed).choice(seconds, (RESAMPLES, len(seconds)))


def _estimate(medians, median):
    low, high = np.quantile(medians, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(median, min(float(low), median), max(float(high), median))

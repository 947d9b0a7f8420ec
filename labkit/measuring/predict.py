"""The same sweep on the virtual clock, beside what was measured, with its error.

    measured   o     o            what the cluster took, up to the workers that there are
    simulated  .-----.------.-----.-----.      the same, and beyond
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.errors import ConfigurationError
from labkit.measuring.measure import sweep
from labkit.records import Sweep


@dataclass(frozen=True, repr=False)
class Prediction:
    """What was measured, and what the calibrated simulation says."""

    measured: Sweep
    """In a real world."""

    simulated: Sweep
    """In the simulated world; it may have more settings."""

    @property
    def errors(self):
        """Simulated over measured seconds, less 1: a list of (settings, error), where both are."""
        simulated = {_key(one.settings): one.median_s for one in self.simulated}
        return [(one.settings, simulated[_key(one.settings)] / one.median_s - 1)
                for one in self.measured if _key(one.settings) in simulated]

    def __repr__(self):
        off = [abs(100 * error) for _, error in self.errors]
        lines = [f"  {settings}: measured {self._measured(settings):.3g} s, simulated "
                 f"{self._measured(settings) * (1 + error):.3g} s, {100 * error:+.0f}%"
                 for settings, error in self.errors]
        head = (f"Prediction of {self.measured.name}: off by {np.median(off):.0f}% in the median, "
                f"{max(off):.0f}% at most")
        return "\n".join([head, *lines])

    def _measured(self, settings):
        return next(one.median_s for one in self.measured if one.settings == settings)


def _key(settings):
    return repr(sorted(settings.items()))


def predict(measured, program, calibration, *arrays, **options):
    """Simulate what was measured, and perhaps more, with what was calibrated.

    Parameters
    ----------
    measured : Sweep
        Of `program`, in a real world.
    program, *arrays, **options
        As for the `sweep` that was measured, settings included. More workers than were measured
        are extrapolated: the machine of each is then the calibrated one.
    calibration : Calibration

    Returns
    -------
    Prediction

    Raises
    ------
    ConfigurationError
        If no setting is in both.
    """
    workers = options.get("workers", [one.world.workers for one in measured])
    options = {"name": measured.name} | options
    found = Prediction(measured, sweep(program, calibration.world(max(workers)), *arrays,
                                       **options))
    if not found.errors:
        raise ConfigurationError("Nothing that was measured is simulated.",
                                 expected=[one.settings for one in measured],
                                 got=[one.settings for one in found.simulated],
                                 remedy="pass the same settings as for the sweep")
    return found

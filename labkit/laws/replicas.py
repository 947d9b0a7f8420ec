"""Tied requests: two replicas get the same request, and the first to start cancels the other.

    request --> replica 1   floor |---- delay 1 ----|
            `-> replica 2   floor |-- delay 2 --| answer: the smaller delay counts

A latency is a floor that every answer needs, and a delay that is exponential: a long queue is
e times as rare for each `delay_s` more. Of two independent delays the smaller has half the mean.
But replicas share a network, a file system and popular data, so some delays strike both. With a
correlation r between them, the smaller is exponential too, and its mean is (1 + r)/2 delay_s: half
with r = 0, nothing gained with r = 1.

The two delays are Marshall and Olkin's: each ends at an event of its own or at a common one,
whichever comes first. With rates u, u and c, a delay has the rate u + c, the smaller 2u + c, and
the correlation is r = c / (2u + c).

Sources: Dean and Barroso, "The tail at scale", CACM 56(2), 2013, table 2; Marshall and Olkin, "A
multivariate exponential distribution", JASA 62, 1967.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from labkit.laws.checks import numbers
from labkit.laws.fitted import Law
from labkit.laws.fitting import fit


def latency_s(q, floor_s, delay_s):
    """Return the quantile q of one replica's latency: floor_s + delay_s log(1 / (1 - q)).

    Parameters
    ----------
    q : float or array_like
        0 or more, less than 1: 0.99 for the 99th percentile.
    floor_s : float
        What every answer needs: seconds, 0 or more.
    delay_s : float
        Mean of the delay: seconds, 0 or more.

    Returns
    -------
    float or ndarray
        Seconds.

    Raises
    ------
    ConfigurationError
        For values outside these ranges. This holds for all functions here.
    """
    return _latency(numbers("q", q, low=0, below=1), numbers("floor_s", floor_s, low=0),
                    numbers("delay_s", delay_s, low=0))


def tied_s(q, floor_s, delay_s, correlation=0.0):
    """Return the quantile q of tied requests: `latency_s` with the delay of the faster of two.

    Parameters
    ----------
    q, floor_s, delay_s
        As for `latency_s`.
    correlation : float
        Between the delays of both replicas: 0 to 1.
    """
    correlation = numbers("correlation", correlation, low=0, high=1)
    return latency_s(q, floor_s, (1 + correlation) / 2 * numbers("delay_s", delay_s, low=0))


def fit_latency(q, seconds, **options):
    """Fit `floor_s` and `delay_s` of `latency_s` to quantiles; options and result: see `fit`."""
    return fit(LATENCY, q, seconds, **options)


def fit_tied(q, seconds, floor_s, delay_s, **options):
    """Fit `correlation` of `tied_s` to quantiles of tied requests, for known other constants.

    Options and result are those of `fit`.
    """
    law = Law("Tied requests", partial(_tied, numbers("floor_s", floor_s, low=0),
                                       numbers("delay_s", delay_s, low=0)), ("correlation",),
              "seconds = floor_s + (1 + correlation)/2 delay_s log(1 / (1 - q))",
              "Marshall and Olkin 1967", {"correlation": (0, 1)}, lambda q, y: (0.1,), "q",
              LATENCY.domain)
    return fit(law, q, seconds, **options)


def _latency(q, floor_s, delay_s):
    return floor_s - delay_s * np.log1p(-q)


def _tied(floor_s, delay_s, q, correlation):
    return _latency(q, floor_s, (1 + correlation) / 2 * delay_s)


LATENCY = Law("A floor and an exponential delay", _latency, ("floor_s", "delay_s"),
              "seconds = floor_s + delay_s log(1 / (1 - q))", "",
              {"floor_s": (0, np.inf), "delay_s": (0, np.inf)},
              lambda q, y: (y.min() / 2, y.max() / 4), "q", (0.0, np.nextafter(1, 0)))

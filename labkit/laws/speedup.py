"""How much faster n workers are: laws of speedup, throughput and time.

    speedup |        . - ' Gustafson: the work grows with n
            |     .'  _____ Amdahl: the work stays as it is, 1 / serial is the end
            |   .'.-'
            |  /-'  .-''-._ the Universal Scalability Law: workers must also agree
            | /                with each other, so there is a best n
            +---------------- n

Amdahl and Gustafson describe the same program: which one fits depends on whether n workers get
the same work or n times as much.

Sources: Amdahl, "Validity of the single processor approach", AFIPS 1967; Gustafson, "Reevaluating
Amdahl's law", CACM 31, 1988; Karp and Flatt, "Measuring parallel processor performance", CACM 33,
1990; Gunther, "A simple capacity model of massively parallel transaction systems", CMG 1993, and
"Guerrilla Capacity Planning", 2007 (the Universal Scalability Law).
"""

from __future__ import annotations

import numpy as np

from labkit.laws.checks import numbers
from labkit.laws.fitted import Law
from labkit.laws.fitting import fit


def amdahl(n, serial):
    """Return the speedup of a fixed work on n workers: 1 / (serial + (1 - serial) / n).

    Parameters
    ----------
    n : float or array_like
        Workers, 1 or more.
    serial : float or array_like
        The share of one worker's time in which only one can work: 0 to 1.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ConfigurationError
        For values outside these ranges. This holds for all functions here.

    >>> amdahl(n=19, serial=0.05)
    10.0
    """
    return _amdahl(numbers("n", n, low=1), numbers("serial", serial, low=0, high=1))


def gustafson(n, serial):
    """Return the scaled speedup, of n times the parallel work on n workers: n - serial (n - 1).

    `serial` is a share of the time on n workers, not on one. The rest is as for `amdahl`.

    >>> gustafson(n=101, serial=0.25)
    76.0
    """
    return _gustafson(numbers("n", n, low=1), numbers("serial", serial, low=0, high=1))


def usl(n, sigma, kappa, rate_1=1.0):
    """Return the throughput of n workers: rate_1 n / (1 + sigma (n - 1) + kappa n (n - 1)).

    Parameters
    ----------
    n : float or array_like
        Workers, or the load in users, 1 or more.
    sigma : float
        Contention: the share of the time that workers queue for; 0 to 1. With kappa = 0 it is
        the serial share of `amdahl`.
    kappa : float
        Coherence: the share that each pair of workers spends on agreeing; 0 or more.
    rate_1 : float
        The throughput of one worker, in the unit of the result; more than 0. With 1 the result
        is a speedup.

    >>> usl(n=11, sigma=0.1, kappa=0.01, rate_1=31)
    110.0
    """
    return _usl(numbers("n", n, low=1), numbers("sigma", sigma, low=0, high=1),
                numbers("kappa", kappa, low=0), numbers("rate_1", rate_1, above=0))


def usl_peak(sigma, kappa):
    """Return the n of the highest throughput, sqrt((1 - sigma) / kappa); inf without a peak.

    >>> round(usl_peak(sigma=0.19, kappa=0.01), 9)
    9.0
    """
    sigma, kappa = numbers("sigma", sigma, low=0, high=1), numbers("kappa", kappa, low=0)
    if kappa == 0:
        return float("inf")
    return float(np.sqrt((1 - sigma) / kappa))


def karp_flatt(n, speedup):
    """Return the serial share that a measured speedup shows: (1/speedup - 1/n) / (1 - 1/n).

    Parameters
    ----------
    n : float or array_like
        Workers, more than 1.
    speedup : float or array_like
        Measured with them. If the result grows with n, the loss is not a serial part but
        overhead that grows; a negative one is a speedup of more than n.

    >>> round(karp_flatt(n=19, speedup=10), 9)
    0.05
    """
    n, speedup = numbers("n", n, above=1), numbers("speedup", speedup, above=0)
    return (1 / speedup - 1 / n) / (1 - 1 / n)


def inverse(n, a, b):
    """Return the time on n workers of a fixed and a divisible part, a + b / n, in their unit.

    A negative `a` is allowed: it is found where n workers are more than n times as fast as one,
    because the smaller shares fit into memory or a cache.
    """
    return _inverse(numbers("n", n, low=1), numbers("a", a), numbers("b", b, low=0))


def fit_amdahl(n, speedup, **options):
    """Fit `serial` of `amdahl` to measured speedups; options and result are those of `fit`."""
    return fit(AMDAHL, n, speedup, **options)


def fit_gustafson(n, speedup, **options):
    """Fit `serial` of `gustafson` to scaled speedups; options and result are those of `fit`."""
    return fit(GUSTAFSON, n, speedup, **options)


def fit_usl(n, throughput, weights="absolute", **options):
    """Fit `sigma`, `kappa` and `rate_1` of `usl`; options and result are those of `fit`.

    Three points give three constants without intervals; take six or more, with some beyond the
    peak. Errors count by themselves, as in published fits: the smallest loads are often measured
    worst, and would weigh most as shares.
    """
    return fit(USL, n, throughput, weights=weights, **options)


def fit_inverse(n, seconds, **options):
    """Fit `a` and `b` of `inverse` to times; options and result are those of `fit`."""
    return fit(INVERSE, n, seconds, **options)


def _amdahl(n, serial):
    return 1 / (serial + (1 - serial) / n)


def _gustafson(n, serial):
    return n - serial * (n - 1)


def _usl(n, sigma, kappa, rate_1):
    return rate_1 * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


def _inverse(n, a, b):
    return a + b / n


COUNTS = (1.0, np.inf)
AMDAHL = Law("Amdahl's law", _amdahl, ("serial",), "speedup = 1 / (serial + (1 - serial) / n)",
             "Amdahl, AFIPS 1967", {"serial": (0, 1)}, lambda n, y: (0.1,), "n", COUNTS)
GUSTAFSON = Law("Gustafson's law", _gustafson, ("serial",), "speedup = n - serial (n - 1)",
                "Gustafson, CACM 31, 1988", {"serial": (0, 1)}, lambda n, y: (0.1,), "n", COUNTS)
USL = Law("The Universal Scalability Law", _usl, ("sigma", "kappa", "rate_1"),
          "rate = rate_1 n / (1 + sigma (n - 1) + kappa n (n - 1))", "Gunther, CMG 1993",
          {"sigma": (0, 1), "kappa": (0, np.inf), "rate_1": (0, np.inf)},
          lambda n, y: (0.1, 0.1 / n.max() ** 2, (y / n).max()), "n", COUNTS)
INVERSE = Law("a + b/n", _inverse, ("a", "b"), "seconds = a + b / n", "", {"b": (0, np.inf)},
              lambda n, y: (y.min() / 2, (n * y).min()), "n", COUNTS)

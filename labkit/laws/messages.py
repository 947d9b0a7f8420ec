"""What messages cost: a start and a price per byte, fitted to measured sizes.

    seconds |            /        seconds = alpha + beta nbytes
            |         /
            |      /   slope beta: seconds per byte, 1 / bandwidth
            |   /
      alpha |/
            +-------------- nbytes

At nbytes = alpha / beta a message takes twice its start: smaller ones pay for the start, larger
ones for their bytes. `labkit.network.Network` has the same two constants, as `latency_s` and
`bandwidth_Bps`.

    bus bandwidth of an all-reduce  =  2 (n-1)/n  nbytes / seconds

is what each peer's link carries, whatever n is: no all-reduce can send less than 2 (n-1)/n of its
bytes through each link. So it can be compared with the link's own bandwidth.

Sources: Hockney, "The communication challenge for MPP", Parallel Computing 20, 1994; Patarasuk and
Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 69, 2009; NVIDIA nccl-tests, PERFORMANCE.md
(bus bandwidth).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from labkit.laws.checks import numbers, whole
from labkit.laws.fitted import Law
from labkit.laws.fitting import fit


def message_s(nbytes, alpha_s, beta_s_per_B):
    """Return the seconds that a message takes: alpha_s + beta_s_per_B nbytes.

    Parameters
    ----------
    nbytes : float or array_like
        0 or more.
    alpha_s : float
        What a message of no bytes takes: seconds, 0 or more.
    beta_s_per_B : float
        Seconds for each byte, 1 / bandwidth: 0 or more.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ConfigurationError
        For values outside these ranges. This holds for all functions here.

    >>> message_s(nbytes=1000, alpha_s=0.001, beta_s_per_B=1e-6)
    0.002
    """
    return _message(numbers("nbytes", nbytes, low=0), numbers("alpha_s", alpha_s, low=0),
                    numbers("beta_s_per_B", beta_s_per_B, low=0))


def fit_alpha_beta(nbytes, seconds, **options):
    """Fit `alpha_s` and `beta_s_per_B` of `message_s` to times; options and result: see `fit`.

    Errors count as shares of the time, for sizes span orders of magnitude: otherwise the largest
    message alone would decide, and the start would be lost in its noise.
    """
    return fit(ALPHA_BETA, nbytes, seconds, **options)


def bus_bandwidth_Bps(n, nbytes, seconds):
    """Return the bus bandwidth of an all-reduce, 2 (n-1)/n nbytes / seconds: bytes a second.

    Parameters
    ----------
    n : int
        Peers, 2 or more.
    nbytes : float or array_like
        What each peer has to combine.
    seconds : float or array_like
        What that took: more than 0.

    >>> bus_bandwidth_Bps(n=4, nbytes=2e9, seconds=0.5)
    6000000000.0
    """
    return (_bus_share(n) * numbers("nbytes", nbytes, low=0)
            / numbers("seconds", seconds, above=0))


def bus_seconds(n, nbytes, bandwidth_Bps):
    """Return the seconds of an all-reduce with this bus bandwidth: the inverse of the above."""
    return (_bus_share(n) * numbers("nbytes", nbytes, low=0)
            / numbers("bandwidth_Bps", bandwidth_Bps, above=0))


def fit_bus_bandwidth(n, nbytes, bandwidth_Bps, **options):
    """Fit a sweep of all-reduces, as nccl-tests prints it, by a start and a bus bandwidth.

    Parameters
    ----------
    n : int
        Peers, 2 or more.
    nbytes, bandwidth_Bps : array_like
        Sizes, and the bus bandwidth reached with each: more than 0.
    **options
        Of `fit`.

    Returns
    -------
    Fit
        Of seconds over nbytes. `alpha_s` is for all rounds of one all-reduce, not for one
        message, and 1 / `beta_s_per_B` is the bus bandwidth that the longest ones approach.
    """
    seconds = bus_seconds(n, nbytes, bandwidth_Bps)
    law = Law(f"An all-reduce of {n} peers", partial(_bus, _bus_share(n)), ALPHA_BETA.parameters,
              f"seconds = alpha_s + {_bus_share(n):.4g} beta_s_per_B nbytes", ALPHA_BETA.source,
              ALPHA_BETA.bounds, ALPHA_BETA.guess, "nbytes")
    return fit(law, nbytes, seconds, **options)


def _bus_share(n):
    n = whole("n", n, low=2)
    return 2 * (n - 1) / n


def _message(nbytes, alpha_s, beta_s_per_B):
    return alpha_s + beta_s_per_B * nbytes


def _bus(share, nbytes, alpha_s, beta_s_per_B):
    return _message(share * nbytes, alpha_s, beta_s_per_B)


ALPHA_BETA = Law("The alpha-beta model", _message, ("alpha_s", "beta_s_per_B"),
                 "seconds = alpha_s + beta_s_per_B nbytes", "Hockney 1994",
                 {"alpha_s": (0, np.inf), "beta_s_per_B": (0, np.inf)},
                 lambda nbytes, y: (y.min(), y.max() / max(nbytes.max(), 1)), "nbytes")

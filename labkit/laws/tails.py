"""The slowest of many: what rare delays do to requests that need many answers.

    one server     1 ms 1 ms 1 ms 1 s 1 ms ...    slow once in 100
    100 servers    |-1 ms-|  |----- 1 s -----|    who waits for all is slow 63 times in 100
                   \\______ the slowest counts

    hedged         first  |-------------- too slow
                   second         |--x            sent `after_s` later; the earlier answer counts

A hedge costs little, because only requests that are slow already are sent twice.

Source: Dean and Barroso, "The tail at scale", CACM 56(2), 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.errors import ConfigurationError
from labkit.laws.checks import numbers


def fan_out(p, n):
    """Return the chance that at least one of n answers is slow: 1 - (1 - p)^n.

    Parameters
    ----------
    p : float or array_like
        The chance that one is slow: 0 to 1. Servers are slow independently of each other.
    n : float or array_like
        How many answers a request needs: 1 or more.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ConfigurationError
        For values outside these ranges. This holds for all functions here.

    >>> round(fan_out(p=0.01, n=100), 3)
    0.634
    """
    p, n = numbers("p", p, low=0, high=1), numbers("n", n, low=1)
    with np.errstate(divide="ignore"):               # p = 1: log 0, and the chance is 1
        chance = -np.expm1(n * np.log1p(-np.asarray(p)))   # keeps its digits where p is tiny
    return chance if np.ndim(chance) else float(chance)


def fan_out_quantile(q, n):
    """Return which quantile of one server is the quantile q of the slowest of n: q^(1/n).

    Parameters
    ----------
    q : float or array_like
        0 to 1.
    n : float or array_like
        1 or more.

    >>> round(fan_out_quantile(q=0.5, n=100), 4)
    0.9931
    """
    return numbers("q", q, low=0, high=1) ** (1 / numbers("n", n, low=1))


def fan_out_latency(samples_s, n, q):
    """Return the quantile q of the slowest of n, from latencies measured at one server.

    Parameters
    ----------
    samples_s : array_like, shape (n_samples,)
        Seconds.
    n : float
        How many answers a request needs: 1 or more.
    q : float
        0 or more, less than 1.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ConfigurationError
        Also where the samples are too few to hold one as slow as that.
    """
    samples_s = np.atleast_1d(numbers("samples_s", samples_s, low=0))
    one = fan_out_quantile(numbers("q", q, low=0, below=1), n)
    needed = int(np.ceil(1 / (1 - one) * (1 - 1e-12)))
    if samples_s.size < needed:
        raise ConfigurationError("These are too few samples for such a tail.", got=samples_s.size,
                                 expected=f"{needed} or more: the quantile {one:.6g} of one server",
                                 where="samples_s=", remedy="measure more, or ask for less")
    return float(np.quantile(samples_s, one))


@dataclass(frozen=True)
class Hedged:
    """What becomes of requests that may be sent a second time."""

    seconds: np.ndarray
    """Latency of each request."""

    extra: float
    """How many more requests there are: a share of the first ones."""


def hedged(samples_s, backup_s, after_s):
    """Return latencies with a second request after a while, and the load that this adds.

    Parameters
    ----------
    samples_s : array_like, shape (n,)
        What the first server needs for each request: seconds.
    backup_s : array_like, shape (n,)
        What the second would need for it. For servers that are slow independently of each other,
        the same samples in random order.
    after_s : float
        When the second request is sent, if the first has no answer: seconds, 0 or more. The
        95th percentile of `samples_s` adds 5 % of load.

    Returns
    -------
    Hedged

    >>> hedged([1, 9], backup_s=[1, 2], after_s=3).seconds.tolist()
    [1.0, 5.0]
    """
    samples_s = np.atleast_1d(numbers("samples_s", samples_s, low=0))
    backup_s = np.atleast_1d(numbers("backup_s", backup_s, low=0))
    after_s = numbers("after_s", after_s, low=0)
    if samples_s.shape != backup_s.shape or not samples_s.size:
        raise ConfigurationError("Each request needs both latencies.", where="backup_s=",
                                 expected=f"shape {samples_s.shape}, not empty",
                                 got=f"shape {backup_s.shape}")
    late = samples_s > after_s
    seconds = np.where(late, np.minimum(samples_s, after_s + backup_s), samples_s)
    return Hedged(seconds, float(late.mean()))

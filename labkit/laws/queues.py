"""Waiting in line: how latency grows with load.

    waiting |              |        arrivals --> [ ][ ][ ] --> (server) -->
            |              |                       queue   `-> (server) -->
            |             /
            |           .'          utilisation = arrivals_per_s service_s / servers
            |     __..-'
            +--------------1-- utilisation

At half load a single server makes a request wait as long as it is served; at nine tenths, nine
times as long. One queue for c servers is shorter than c queues for one each.

Arrivals come at random (Poisson) and service times are exponential: the M/M/c queue. Service times
that vary less wait less, down to half of it with one server, where all take the same time.

Sources: Erlang, "Solution of some problems in the theory of probabilities of significance in
automatic telephone exchanges", 1917; Little, "A proof for the queuing formula L = lambda W",
Operations Research 9, 1961.
"""

from __future__ import annotations

import numpy as np

from labkit.errors import ConfigurationError
from labkit.laws.checks import numbers, whole


def little(length=None, per_s=None, seconds=None):
    """Return the third of Little's law, length = per_s seconds, from the other two.

    It holds for everything that stays for a while, whatever the order and the distributions.

    Parameters
    ----------
    length : float or array_like, optional
        How many are inside, on average: 0 or more.
    per_s : float or array_like, optional
        How many come and go, each second: more than 0.
    seconds : float or array_like, optional
        How long each stays, on average: more than 0.

    Raises
    ------
    ConfigurationError
        Unless exactly two are given, within these ranges.

    >>> little(per_s=200, seconds=0.05)
    10.0
    """
    if [length, per_s, seconds].count(None) != 1:
        raise ConfigurationError("Little's law gives the third from two.", where="little()",
                                 expected="two of length=, per_s=, seconds=")
    if length is None:
        return numbers("per_s", per_s, above=0) * numbers("seconds", seconds, above=0)
    other = (numbers("per_s", per_s, above=0) if seconds is None
             else numbers("seconds", seconds, above=0))
    return numbers("length", length, low=0) / other


def utilisation(arrivals_per_s, service_s, servers=1):
    """Return which share of the time each server is busy.

    Parameters
    ----------
    arrivals_per_s : float or array_like
        Requests each second: 0 or more.
    service_s : float
        Mean time of one server for one request: seconds, more than 0.
    servers : int
        1 or more.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ConfigurationError
        For values outside these ranges, and where the share would be 1 or more: then the queue
        grows for ever, and no mean exists. This holds for all functions below.

    >>> utilisation(arrivals_per_s=30, service_s=0.1, servers=4)
    0.75
    """
    busy = (numbers("arrivals_per_s", arrivals_per_s, low=0)
            * numbers("service_s", service_s, above=0) / whole("servers", servers))
    if np.any(busy >= 1):
        raise ConfigurationError("The servers cannot keep up.", where="arrivals_per_s=",
                                 expected="a utilisation below 1", got=f"{np.max(busy):.4g}",
                                 remedy="more servers, fewer arrivals or a shorter service")
    return busy


def erlang_c(arrivals_per_s, service_s, servers=1):
    """Return the chance that a request finds all servers busy, and has to wait."""
    busy, servers = utilisation(arrivals_per_s, service_s, servers), whole("servers", servers)
    lost = 1.0                             # Erlang's B: the chance if nobody could wait
    for count in range(1, servers + 1):
        lost = busy * servers * lost / (count + busy * servers * lost)
    return lost / (1 - busy * (1 - lost))


def waiting_s(arrivals_per_s, service_s, servers=1):
    """Return the mean time in the queue, without the service: seconds.

    >>> round(waiting_s(arrivals_per_s=9, service_s=0.1), 9)
    0.9
    """
    busy = utilisation(arrivals_per_s, service_s, servers)
    one_leaves_s = numbers("service_s", service_s) / servers      # while all servers are busy
    return erlang_c(arrivals_per_s, service_s, servers) * one_leaves_s / (1 - busy)


def response_s(arrivals_per_s, service_s, servers=1):
    """Return the mean time from a request's arrival to its answer: waiting and service."""
    return waiting_s(arrivals_per_s, service_s, servers) + numbers("service_s", service_s)

"""Phi accrual: how unlikely is it that a heartbeat comes this late from someone who is alive?

    intervals so far   0.9  1.1  1.0  1.0  ...      mean 1.0 s, deviation 0.1 s
    silence now        1.3 s                        P(an interval is longer) = 0.13%
    phi                -log10 P = 2.9               suspected from a threshold on: 8, say

Phi 1 is wrong once in 10 times, phi 8 once in 10^8, if intervals were normal. What is suspicious
adapts to each member and network, and the user chooses how often to be wrong, not how long to wait.

Source: Hayashibara, Defago, Yared and Katayama, "The phi accrual failure detector", SRDS 2004.
"""

from __future__ import annotations

import math
from collections import deque

from labkit.errors import ConfigurationError


def phi(silence_s, mean_s, deviation_s):
    """Return -log10 of the probability that a normal interval is longer than this silence.

    Exact in the far tail, where the probability itself is 0 in floating point.
    """
    z = (silence_s - mean_s) / deviation_s
    if z < 25:
        return -math.log10(math.erfc(z / math.sqrt(2)) / 2)
    # erfc(x) ~ exp(-x^2) / (x sqrt(pi))
    return (z * z / 2 + math.log(z * math.sqrt(2 * math.pi))) / math.log(10)


class _Window:
    """The last intervals of one member; their mean and deviation take no pass over them."""

    def __init__(self, length):
        self._length = length
        self._intervals = deque()
        self._sum = self._squares = 0.0
        self.mean_s = self.deviation_s = 0.0

    def add(self, interval_s):
        self._intervals.append(interval_s)
        self._sum += interval_s
        self._squares += interval_s * interval_s
        if len(self._intervals) > self._length:
            first_s = self._intervals.popleft()
            self._sum -= first_s
            self._squares -= first_s * first_s
        self.mean_s = self._sum / len(self._intervals)
        self.deviation_s = math.sqrt(max(
            0.0, self._squares / len(self._intervals) - self.mean_s ** 2))

    def __bool__(self):
        return bool(self._intervals)


class PhiAccrual:
    """The intervals between each member's heartbeats; knows no clock.

    Parameters
    ----------
    members : iterable
    threshold : float
        Phi from which a member is suspected.
    interval_s : float
        What is believed of the interval before anything is known.
    least_deviation_s : float
        Intervals are taken to vary this much at least: very regular ones would make a short delay
        look impossible.
    pause_s : float
        A silence that is always acceptable, added to the mean: what a garbage collector or a
        function that holds Python's interpreter lock may take.
    window : int
        How many intervals are remembered of each member.
    now_s : float
        When watching begins.
    """

    def __init__(self, members, threshold=8.0, interval_s=0.1, least_deviation_s=0.05,
                 pause_s=0.0, window=200, now_s=0.0):
        for name, value in [("threshold", threshold), ("interval_s", interval_s),
                            ("least_deviation_s", least_deviation_s), ("window", window)]:
            if not value > 0:
                raise ConfigurationError("A detector cannot work with this.", got=value,
                                         expected="more than 0", where=f"{name}=")
        self.threshold = threshold
        self._first_s = interval_s
        self._least_s = least_deviation_s
        self._pause_s = pause_s
        self._window = window
        self._heard_s = dict.fromkeys(members, now_s)
        self._intervals = {member: _Window(window) for member in self._heard_s}

    def heard(self, member, now_s):
        """Note a heartbeat."""
        if member in self._heard_s:
            self._intervals[member].add(now_s - self._heard_s[member])
        else:
            self._intervals[member] = _Window(self._window)
        self._heard_s[member] = now_s

    def forget(self, member):
        """Stop watching a member."""
        self._heard_s.pop(member, None)
        self._intervals.pop(member, None)

    def suspicion(self, member, now_s):
        """Return phi."""
        intervals = self._intervals[member]
        mean_s = intervals.mean_s if intervals else self._first_s
        deviation_s = intervals.deviation_s if intervals else 0.0
        return phi(now_s - self._heard_s[member], mean_s + self._pause_s,
                   max(deviation_s, self._least_s))

    def suspected(self, now_s):
        """Return the members that are suspected, in a set."""
        return {member for member in self._heard_s
                if self.suspicion(member, now_s) >= self.threshold}

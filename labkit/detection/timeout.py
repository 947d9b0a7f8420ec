"""Suspect who has been silent for too long.

    heartbeats   |    |    |    |                     now
    silence                     |<------ 1.3 s ------->|    limit 1 s: suspected

One number to choose, and nothing right for it: a short limit calls slow members dead, a long one
leaves dead ones unnoticed.
"""

from __future__ import annotations

from labkit.errors import ConfigurationError


class Timeout:
    """The members that have been heard, and when; knows no clock.

    Parameters
    ----------
    members : iterable
        Of any hashable names.
    limit_s : float
        Silence that is suspicious, in seconds.
    now_s : float
        When watching begins: nobody is suspected before `now_s + limit_s`.
    """

    def __init__(self, members, limit_s, now_s=0.0):
        if not limit_s > 0:
            raise ConfigurationError("A detector needs patience.", expected="seconds, more than 0",
                                     got=limit_s, where="limit_s=")
        self.limit_s = limit_s
        self._heard_s = dict.fromkeys(members, now_s)

    def heard(self, member, now_s):
        """Note a heartbeat, or anything else that shows life."""
        self._heard_s[member] = now_s

    def forget(self, member):
        """Stop watching a member."""
        self._heard_s.pop(member, None)

    def suspicion(self, member, now_s):
        """Return the silence in units of the limit: suspected at 1."""
        return (now_s - self._heard_s[member]) / self.limit_s

    def suspected(self, now_s):
        """Return the members that are suspected, in a set."""
        return {member for member in self._heard_s if self.suspicion(member, now_s) >= 1}

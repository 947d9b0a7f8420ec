"""SWIM: each member watches one other at a time, and gossip spreads what it finds.

    period   a ---ping---> b                    no answer within a third of the period:
             a ---ask b--> c, d, e              others try, for the link a-b may be what is broken
                           c, d, e --ping--> b
             a <--ack----- c <-----ack------ b  no answer by the end of the period: b is suspected

    news     "b is suspected" rides on pings and acks, about log n times each. If b hears of it,
             it says that it lives, with a higher incarnation; if not in time, it has failed.

A member sends a few messages a period, however many members there are. Who fails is probed by
somebody within a period on average, and suspected when that prober's period ends: after 2 periods
(if all began their periods at once, e/(e-1) = 1.6 after the next beginning). With heartbeats from
everyone to everyone, messages would grow with n; with heartbeats to one place, that place is the
bottleneck.

Source: Das, Gupta and Motivala, "SWIM: scalable weakly-consistent infection-style process group
membership protocol", DSN 2002, with its suspicion (section 4.2) and round-robin probes (4.3).
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labkit.errors import ConfigurationError

ALIVE, SUSPECTED, FAILED = "alive", "suspected", "failed"
PING, ASK, ACK = "ping", "ask", "ack"


class News(NamedTuple):
    """What one member says of another."""

    member: int
    status: str
    incarnation: int


class Message(NamedTuple):
    """What travels; a few dozen bytes."""

    kind: str
    number: int
    """Of the ping that it asks for or answers, as its sender counts."""

    subject: int
    """Whom to ping; -1 if that is the receiver."""

    news: tuple


@dataclass(frozen=True)
class Settings:
    """How often, how patient, how loud."""

    period_s: float = 1.0
    """Each member probes one other in each period."""

    ack_s: float = 1 / 3
    """How long an answer may take, before others are asked to try: part of a period."""

    proxies: int = 3
    """How many others are asked."""

    suspicion_periods: float = 3.0
    """How long a suspected member has to speak up, times log10 of the number of members."""

    loudness: float = 3.0
    """News is repeated this often, times log2 of the number of members."""

    most_news: int = 8
    """Pieces of news in one message."""

    def __post_init__(self):
        for name in ("period_s", "ack_s", "suspicion_periods", "loudness", "most_news"):
            if not getattr(self, name) > 0:
                raise ConfigurationError("A detector cannot work with this.", where=f"{name}=",
                                         expected="more than 0", got=getattr(self, name))
        if not self.ack_s < 1:
            raise ConfigurationError("There must be time to ask others.", where="ack_s=",
                                     expected="less than 1, a whole period", got=self.ack_s)


class Swim:
    """One member's view of all; knows no clock and no network.

    Call `tick` when `next_s` has come and `receive` for each message; both return messages to
    send, as (receiver, Message). `changes` tells what was learnt, and when.

    Parameters
    ----------
    rank, size : int
        This member's number, and how many there are.
    settings : Settings
    seed : int
    now_s : float
        When it begins; members begin at different times within the first period.
    """

    def __init__(self, rank, size, settings=None, seed=0, now_s=0.0):
        self.rank = rank
        self.settings = settings or Settings()
        self.incarnation = 0
        self.changes = []                # (seconds, News), in order
        self._rng = np.random.default_rng([seed, rank])
        self._known = {}                 # member -> News that is not "alive, incarnation 0"
        self._size = size
        self._expires_s = {}             # suspected member -> when it has failed
        self._news = {}                  # member -> [News, how often it is still to be told]
        self._queue = array("i")         # whom to probe, last one first: 4 bytes for each
        self._probe = self._probed = None    # whom this member waits for, by which ping
        self._number = 0
        self._asked = {}                 # number of a ping made for someone -> (who, his number)
        self._period_s = now_s + self._rng.random() * self.settings.period_s
        self._ack_s = math.inf

    # ---- what is known

    def status(self, member):
        """Return "alive", "suspected" or "failed"."""
        return self._known[member].status if member in self._known else ALIVE

    @property
    def suspected(self):
        """The members that are suspected, in a set."""
        return set(self._expires_s)

    @property
    def failed(self):
        """The members that have failed, in a set."""
        return {member for member, news in self._known.items() if news.status == FAILED}

    @property
    def next_s(self):
        """When `tick` wants to be called."""
        return min(self._period_s, self._ack_s, min(self._expires_s.values(), default=math.inf))

    # ---- time passes

    def tick(self, now_s):
        """Do what is due."""
        for member in [m for m, expires_s in self._expires_s.items() if expires_s <= now_s]:
            self._learn(now_s, News(member, FAILED, self._incarnation_of(member)))
        messages = []
        if now_s >= self._ack_s:
            self._ack_s = math.inf
            messages += self._ask_others()
        if now_s >= self._period_s:
            if self._probe is not None:
                self._learn(now_s, News(self._probe, SUSPECTED, self._incarnation_of(self._probe)))
            messages += self._begin_period(now_s)
        return messages

    def _begin_period(self, now_s):
        self._period_s += self.settings.period_s * max(
            1, math.ceil((now_s - self._period_s) / self.settings.period_s))
        self._asked.clear()
        self._probe = self._next_to_probe()
        if self._probe is None:
            return []
        self._probed = self._number = self._number + 1
        self._ack_s = now_s + self.settings.ack_s * self.settings.period_s
        return [self._message(self._probe, PING, self._number)]

    def _next_to_probe(self):
        for _ in range(2):
            while self._queue:
                member = self._queue.pop()
                if member != self.rank and self.status(member) != FAILED:
                    return member
            self._queue = array("i", self._rng.permutation(self._size).astype("i").tobytes())
        return None

    def _ask_others(self):
        if self._probe is None:
            return []
        draws = self._rng.permutation(self._size)[:self.settings.proxies + 2].tolist()
        others = [m for m in draws if m not in (self.rank, self._probe) and
                  self.status(m) == ALIVE][:self.settings.proxies]
        return [self._message(other, ASK, self._probed, self._probe) for other in others]

    # ---- a message comes

    def receive(self, now_s, source, message):
        """Take in a message from member `source`."""
        for news in message.news:
            self._learn(now_s, news)
        if message.kind == PING:
            return [self._message(source, ACK, message.number)]
        if message.kind == ASK:
            self._number += 1
            self._asked[self._number] = source, message.number
            return [self._message(message.subject, PING, self._number)]
        if message.number in self._asked:
            who, number = self._asked.pop(message.number)
            return [self._message(who, ACK, number)]
        if message.number == self._probed:
            self._probe, self._ack_s = None, math.inf
        return []

    def _learn(self, now_s, news):
        """Take news in, if it is newer than what is known, and pass it on."""
        if news.member == self.rank:
            if news.status != ALIVE and news.incarnation >= self.incarnation:
                self.incarnation = news.incarnation + 1
                self._tell(News(self.rank, ALIVE, self.incarnation))
            return
        known = self._known.get(news.member, News(news.member, ALIVE, 0))
        if not _is_newer(news, known):
            return
        self._known[news.member] = news
        self._expires_s.pop(news.member, None)
        if news.status == SUSPECTED:
            self._expires_s[news.member] = now_s + self.patience_s
        if news.status != known.status:
            self.changes.append((now_s, news))
        self._tell(news)

    @property
    def patience_s(self):
        """How long a suspected member has to speak up, in seconds."""
        return self.settings.suspicion_periods * self.settings.period_s * max(
            1.0, math.log10(self._size))

    def _incarnation_of(self, member):
        return self._known[member].incarnation if member in self._known else 0

    # ---- telling

    def _tell(self, news):
        times = math.ceil(self.settings.loudness * math.log2(self._size + 1))
        self._news[news.member] = [news, times]

    def _message(self, to, kind, number, subject=-1):
        """Return (to, Message), with the news that was told least so far."""
        told = sorted(self._news.values(), key=lambda each: -each[1])[:self.settings.most_news]
        for each in told:
            each[1] -= 1
            if not each[1]:
                del self._news[each[0].member]
        return to, Message(kind, number, subject, tuple(each[0] for each in told))


def _is_newer(news, known):
    """Whether news counts against what is known: SWIM's order of statements."""
    if known.status == FAILED:
        return False
    if news.status == FAILED:
        return True
    if news.status == SUSPECTED and known.status == ALIVE:
        return news.incarnation >= known.incarnation
    return news.incarnation > known.incarnation

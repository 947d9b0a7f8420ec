"""The detectors at work: peers that watch each other, in any world.

    heartbeats   | beat to all | read | who is suspected? | read | who ... | beat to all | read ...
    swim         | read until something is due | ping, ask or suspect | read ...

    killed       the kernel closes the process's sockets: "lost", within milliseconds, by any
                 detector; the transport says so, not the silence
    stopped      its sockets stay open, only its silence shows: "suspected", and "withdrawn"
                 when it is heard again

A peer that is lost does not end those who watch it; what they note is part of the result. Whoever
was stopped itself reads everything that waits for it before it judges the others: their
heartbeats lie in its sockets, it was itself that did not listen.

Sources: see `labkit.detection.timeout`, `phi` and `swim`.
"""

from __future__ import annotations

from labkit.detection.swim import ALIVE, FAILED, SUSPECTED, Swim
from labkit.detection.watched import LOST, WITHDRAWN, Change, Watched
from labkit.errors import ConfigurationError, DeadlockError, PeerLost

CHANNEL = "detection"
LOOK_S = 1e-5                # the shortest wait for a message: sockets are looked at in it
LATE_S = 0.02                # a wait that took so much longer says that this peer was stopped
STATUS = {ALIVE: WITHDRAWN, SUSPECTED: SUSPECTED, FAILED: FAILED}


class _Wire:
    """Sends and receives for a watcher, which no loss ends."""

    def __init__(self, me):
        self._me = me
        self.lost = {}                   # rank -> when the transport has said so
        self.sent = 0
        self.over = me.size == 1         # nobody is there any more

    def send(self, to, message):
        """Send, unless the receiver is lost."""
        if to in self.lost:
            return
        try:
            self._me.send(to, message)
            self.sent += 1
        except PeerLost as error:
            self._lose(error.rank)

    def receive(self, until_s):
        """Return the next (source, message); None when it is time, or nobody is left."""
        while not self.over:
            start_s = self._me.now()
            wait_s = max(until_s - start_s, LOOK_S)
            try:
                found = self._me.recv_any(timeout_s=wait_s)
                if found is not None or self._me.now() - start_s < wait_s + LATE_S:
                    return found
            except PeerLost as error:
                self._lose(error.rank)
            except DeadlockError:        # all others have come to their end
                self.over = True

    def _lose(self, rank):
        self.lost.setdefault(rank, self._me.now())
        self.over = len(self.lost) == self._me.size - 1

    def record(self, changes):
        """Return what was watched, with the losses in their places."""
        losses = [Change(at_s, rank, LOST) for rank, at_s in self.lost.items()]
        return Watched(self._me.rank, tuple(sorted([*changes, *losses])), self.sent,
                       self._me.now())


class _Watching:
    """A detector, what it hears and whom it suspects so far."""

    def __init__(self, me, wire, detector):
        self._me, self._wire, self._detector = me, wire, detector
        self._suspected = set()
        self.changes = []

    def listen(self, until_s):
        """Hear everyone until that time, and whatever waits to be heard then; then judge."""
        while (found := self._wire.receive(until_s)) is not None:
            self._detector.heard(found[0], self._me.now())
        now_s, before = self._me.now(), self._suspected
        self._suspected = self._detector.suspected(now_s)
        self.changes += [Change(now_s, rank, SUSPECTED) for rank in self._suspected - before]
        self.changes += [Change(now_s, rank, WITHDRAWN) for rank in before - self._suspected]


def heartbeats(me, detector, interval_s, seconds, watchers=None, looks=4, busy=None):
    """Tell the others that this peer lives, and watch them by what they tell.

    Parameters
    ----------
    me : Peer
    detector : callable
        ``detector(members, now_s)`` returns a `Timeout` or `PhiAccrual`.
    interval_s : float
        Seconds from one heartbeat to the next.
    seconds : float
        When to end, by `me.now()`.
    watchers : collection of int, optional
        Ranks of those who are sent heartbeats, and watch: ``[0]`` makes one of all; everybody if
        left out.
    looks : int
        How often the detector is asked in each interval: a suspicion is noted so much later at
        most.
    busy : callable, optional
        ``busy(me)`` is called after each heartbeat: what else this peer has to do.

    Returns
    -------
    Watched
    """
    _check_positive(interval_s=interval_s, seconds=seconds, looks=looks)
    # Each begins with the next one, for not all to be at the same port at the same time.
    others = [(me.rank + step) % me.size for step in range(1, me.size)]
    to = [rank for rank in others if watchers is None or rank in watchers]
    watched = others if watchers is None or me.rank in watchers else []
    wire, start_s, number = _Wire(me), me.now(), 0
    watching = _Watching(me, wire, detector(watched, start_s))
    with me.channel(CHANNEL):
        while not wire.over and start_s + number * interval_s < seconds:
            for rank in to:
                wire.send(rank, None)
            if busy is not None:
                busy(me)
            # Beats that this peer was too late for are left out.
            number = max(number + 1, int((me.now() - start_s) / interval_s))
            for look in range(looks - 1, -1, -1):
                due_s = start_s + (number - look / looks) * interval_s
                watching.listen(min(due_s, seconds))
    return wire.record(watching.changes)


def swim(me, settings=None, seconds=10.0, seed=0, busy=None):
    """Run SWIM among all peers.

    Parameters
    ----------
    me : Peer
    settings : labkit.detection.swim.Settings, optional
    seconds : float
        When to end, by `me.now()`.
    seed : int
        Of whom each peer probes, and when in the first period it begins.
    busy : callable, optional
        ``busy(me)`` is called whenever this peer has done what was due: what else it has to do.

    Returns
    -------
    Watched
        A change of mind may come from this peer's own probes or from gossip.
    """
    _check_positive(seconds=seconds)
    wire = _Wire(me)
    member = Swim(me.rank, me.size, settings, seed, me.now())
    with me.channel(CHANNEL):
        while not wire.over and me.now() < seconds:
            found = wire.receive(min(member.next_s, seconds))
            # What waits to be read comes before what is due: it may be the answer.
            messages = member.tick(me.now()) if found is None else \
                member.receive(me.now(), *found)
            for to, message in messages:
                wire.send(to, message)
            if busy is not None and found is None:
                busy(me)
    return wire.record(Change(at_s, news.member, STATUS[news.status])
                       for at_s, news in member.changes)


def _check_positive(**numbers):
    for name, value in numbers.items():
        if not value > 0:
            raise ConfigurationError("Nobody can be watched like this.", got=value,
                                     expected="more than 0", where=f"{name}=")

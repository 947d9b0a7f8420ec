"""Simulated runs that are watched, and stopped when they do not end.

    post     who sent what to whom, in which step          -> letters
    stuck    who waited for whom when nothing moved any more
    limit    so many messages or timers                    -> Endless
    clock    so many seconds of this processor             -> Endless

Peers run in this process, so that nobody else could stop a loop that sends nothing. A timer of the
operating system does, where there is one (not on Windows) and the check runs in the main thread, as
notebooks do. It counts processor time, so that a busy machine does not end a run early; a program
that sleeps is not stopped by it.
"""

from __future__ import annotations

import contextlib
import copy
import signal
import threading
from typing import Any, NamedTuple

from labkit.simulate.generations import FaultyRun
from labkit.simulate.peers import SimulatedPeer, SimulatedRun

AGAIN_S = 1.0
CPU_LIMIT_S = 3.0


class Endless(BaseException):
    """A run that is stopped; no `except Exception` of a program holds it up."""

    kind = "endless"


class EndlessLoop(Endless):
    """A run that sends nothing any more and does not end."""

    kind = "endless loop"


class Letter(NamedTuple):
    """One message, as it was sent."""

    source: int
    to: int
    channel: str
    nbytes: int
    step: int
    """The sender's step."""

    message: Any = None
    """Its content, if it was asked for."""


class Watching:
    """What is added to a simulated run; `SimulatedRun` has the rest."""

    def __init__(self, *args, limit, contents=False, **how):
        self.letters, self.stuck = [], []
        self._limit, self._contents, self._timers = limit, contents, 0
        super().__init__(*args, **how)

    def post(self, at_port_s, source, to, channel, message, nbytes):
        # The receiver may change what it gets.
        content = copy.deepcopy(message) if self._contents else None
        step = self.peers[source]._step
        self.letters.append(Letter(source, to, channel, nbytes, step, content))
        if len(self.letters) > self._limit:
            raise Endless(f"more than {self._limit:,} messages")
        super().post(at_port_s, source, to, channel, message, nbytes)

    def at(self, seconds, action):
        self._timers += 1
        if self._timers > self._limit:
            raise Endless(f"more than {self._limit:,} waits with a timeout")
        super().at(seconds, action)

    def _waiting(self):
        self.stuck = super()._waiting()
        return self.stuck

    def unread(self):
        """Return the letters that nobody took, in the order in which they were sent."""
        left = {}
        for peer in self.peers:
            for channel, arrived in peer._arrived.items():
                for entry in arrived:
                    link = entry[0], peer.rank, channel
                    left[link] = left.get(link, 0) + 1
        found = []
        for letter in reversed(self.letters):        # a link's last ones are those that are left
            link = letter.source, letter.to, letter.channel
            if left.get(link):
                left[link] -= 1
                found.append(letter)
        return found[::-1]


class WatchedPeer(SimulatedPeer):
    """A peer that notes whether it takes messages from anyone."""

    def _recv(self, source, timeout_s=None):
        if source is None:
            self._run.takes_any = True
        if timeout_s is not None:
            self._run.has_timeouts = True
        return super()._recv(source, timeout_s)

    def now(self):
        self._run.reads_clock = True
        return super().now()


class WatchedRun(Watching, SimulatedRun):
    """A watched run without faults."""

    takes_any = has_timeouts = reads_clock = False

    def __init__(self, *args, peer=WatchedPeer, **how):
        super().__init__(*args, peer=peer, **how)
        self.members = list(range(self.size))


class WatchedFaultyRun(Watching, FaultyRun):
    """A watched run under faults."""


@contextlib.contextmanager
def time_limit():
    """Raise EndlessLoop in a `with` block that takes more processor time than CPU_LIMIT_S."""
    seconds = CPU_LIMIT_S
    if not hasattr(signal, "setitimer") or \
            threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_):
        raise EndlessLoop(f"more than {seconds:g} seconds of computing")

    before = signal.signal(signal.SIGVTALRM, stop)
    # Python drops what is raised while it frees an object: then it is raised again.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

"""Waiting for many links at once: which can be read, and who takes what was left to write."""

from __future__ import annotations

import select
import time

from labkit.cluster.checked import CheckedLink
from labkit.cluster.link import DONT_WAIT, TlsLink

TICK_S = 0.1             # how often a peer that waits looks at the clock


class Poll:
    """Which links can be read; writes what the others have not yet taken."""

    def __init__(self, links):
        self._all = list(links)
        self._links = {link.fileno(): link for link in self._all}
        self._held = [link for link in self._all if link.holds_back]
        self._checked = [link for link in self._all if isinstance(link, CheckedLink)]
        self._next_tick = 0.0
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll:
            for fd in self._links:
                self._poll.register(fd, select.POLLIN)
        self._only = []                  # the one link there is, when reading it can wait
        if DONT_WAIT and len(self._all) == 1 and not isinstance(self._all[0], TlsLink):
            self._all[0].wait_in_read(TICK_S)
            self._only = self._all

    def forget(self, link):
        """Stop reading a link whose peer has finished or is gone: that it ends is no news."""
        self._only = []
        self._held = [other for other in self._held if other is not link]
        self._checked = [other for other in self._checked if other is not link]
        if self._links.pop(link.fileno(), None) and self._poll:
            self._poll.unregister(link.fileno())

    def ready(self, timeout_s=TICK_S):
        """Return the links to read, after so many seconds at most."""
        if self._held and (pending := self._pending()):
            return pending
        for link in self._all:
            if link.writes:
                return self._read_and_write(timeout_s)
        if self._only and timeout_s == TICK_S:
            return self._only
        if self._poll:
            return [self._links[fd] for fd, _ in self._poll.poll(timeout_s * 1000)]
        if not self._links:
            time.sleep(timeout_s)
        return select.select(list(self._links.values()), [], [], timeout_s)[0]

    def _pending(self):
        """Return the links that hold bytes back; let those that confirm do so now and then."""
        if self._checked and (now := time.monotonic()) > self._next_tick:
            self._next_tick = now + TICK_S
            for link in self._checked:
                link.tick()
        return [link for link in self._held if link.pending()]

    def _read_and_write(self, timeout_s):
        """Wait for links of both kinds; write those that take something."""
        writing = [link for link in self._all if link.writes]
        if self._poll is None:
            read, write, _ = select.select(list(self._links.values()), writing, [], timeout_s)
        else:
            for link in writing:
                reads = select.POLLIN if link.fileno() in self._links else 0
                self._poll.register(link.fileno(), reads | select.POLLOUT)
            events = dict(self._poll.poll(timeout_s * 1000))
            for link in writing:
                if link.fileno() in self._links:
                    self._poll.modify(link.fileno(), select.POLLIN)
                else:
                    self._poll.unregister(link.fileno())
            write = [link for link in writing if events.get(link.fileno(), 0) & select.POLLOUT]
            read = [self._links[fd] for fd, event in events.items()
                    if fd in self._links and event & ~select.POLLOUT]
        for link in write:
            link.flush()
        return read

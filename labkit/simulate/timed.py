"""Peers whose virtual clock moves by what their programs really take.

    the program's own code          timed while it runs, by the thread's processor time; after a
                                    wait it takes longer, as the machine says
    messages, copies, combining     by the network and the machine, as for every simulated peer

So programs that do not say what computing costs (`me.work`) can be predicted all the same. What
is timed differs a little from run to run, as real seconds do.

Source: the idea is direct execution, Reinhardt et al., "The Wisconsin Wind Tunnel", SIGMETRICS
1993; of message passing, Casanova et al., "Single-node on-line simulation of MPI applications
with SMPI", IPDPS 2011.
"""

from __future__ import annotations

import math
import time

import numpy as np

from labkit.peer import combined
from labkit.simulate.peers import SimulatedPeer

PAGE_NBYTES = 4096


class CombiningPeer(SimulatedPeer):
    """A peer for whom adding what it receives takes time: the gamma of alpha-beta-gamma."""

    def _recv_into(self, source, out, op=None):
        found = super()._recv_into(source, out, op)
        if op is not None:
            self._work(out.nbytes / self._run.machine.combine_Bps)
        return found


def untimed(method):
    """Return a method of peers with the clock of the program's own code stopped."""
    def stopped(self, *args, **options):
        self.end()
        try:
            return method(self, *args, **options)
        finally:
            self.begin()

    return stopped


class TimedPeer(CombiningPeer):
    """A peer whose own code is timed; what it declares (`me.work`) does not count."""

    _woken = False                       # whether it comes from a wait

    def begin(self):
        self._since_s = time.thread_time()

    def end(self):
        seconds = time.thread_time() - self._since_s
        if self._woken:
            seconds += min(seconds, self._run.machine.cold_s)
            self._woken = False
        if seconds > 0:
            self._work(seconds)
        self.begin()

    def _wait(self, source, timeout_s=None):
        self._woken = True
        return super()._wait(source, timeout_s)

    def work(self, flops=0.0, nbytes=0.0):
        return

    def _recv_into(self, source, out, op=None):
        message = self._recv(source)[1]
        if op is None and isinstance(message, np.ndarray):
            touch(out)                   # what the system takes to give it memory is real
        self.end()
        found = combined(out, message, op)
        if op is not None:
            self._work(out.nbytes / self._run.machine.combine_Bps)
        self.begin()
        return found

    _send = untimed(CombiningPeer._send)
    _recv = untimed(CombiningPeer._recv)
    _mark_step = untimed(CombiningPeer._mark_step)
    now = untimed(CombiningPeer.now)


def touch(array):
    """Write to each page of an array that is going to be overwritten."""
    if array.dtype.kind in "biufc":
        array.reshape(-1)[::max(1, PAGE_NBYTES // array.itemsize)] = 0


def kind_of_peer(machine, timed):
    """Return the class of peers that such a world needs."""
    if timed:
        return TimedPeer
    return SimulatedPeer if machine.combine_Bps == math.inf else CombiningPeer

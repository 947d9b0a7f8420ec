"""How much memory each simulated peer holds, by what Python says that was allocated.

    peer 0 runs        |+ + -      |           what is allocated while it runs is its own,
    peer 1 runs                |+ +   -|       until it frees it
    a message under way   is nobody's; its receiver's once it is received

The input is not counted: it was there before. Peers of one process take turns, so that the memory
that tracemalloc counts between two switches belongs to the one that ran. NumPy tells tracemalloc
what it allocates.
"""

from __future__ import annotations

import contextlib
import gc
import tracemalloc

import numpy as np

from labkit.checking.exercise import Case, quiet
from labkit.checking.watched import WatchedRun, time_limit
from labkit.serial import local_parts
from labkit.simulate.peers import SimulatedPeer

AGREE = 3                    # runs
REPEATS = 6                  # of the run that is measured, at most
SMALL = 4096
NOISE = 64 * 1024            # what Python itself may need for frames and small objects


class MeteredPeer(SimulatedPeer):
    """A peer that knows what it holds."""

    def __init__(self, rank, run):
        super().__init__(rank, run)
        self.held = self.peak = 0
        self._base = 0

    def begin(self):
        """Count what is allocated from now on."""
        tracemalloc.reset_peak()
        self._base = tracemalloc.get_traced_memory()[0]

    def end(self):
        """Stop counting: somebody else runs, or labkit itself."""
        now, peak = tracemalloc.get_traced_memory()
        self.peak = max(self.peak, self.held + peak - self._base)
        self.held += now - self._base

    def _send(self, to, message):
        self.end()
        before = tracemalloc.get_traced_memory()[0]
        super()._send(to, message)
        # The copy is the last thing that was made; it is weighed, whatever it consists of.
        self._run.box.weight = tracemalloc.get_traced_memory()[0] - before
        self.begin()

    def _recv(self, source, timeout_s=None):
        self.end()
        found = super()._recv(source, timeout_s)
        if found is not None:
            sender, box = found
            self.held += box.weight
            self.peak = max(self.peak, self.held)
            found = sender, box.content.pop()
        self.begin()
        return found


class MeteredRun(WatchedRun):
    """A run of metered peers: messages under way are weighed."""

    def __init__(self, *args, **how):
        super().__init__(*args, peer=MeteredPeer, **how)
        self.box = None                  # the last one that was sent

    def post(self, at_port_s, source, to, channel, message, nbytes):
        self.box = Box(message)
        super().post(at_port_s, source, to, channel, self.box, nbytes)


class Box:
    """A message under way: once it is taken out, only its receiver holds it.

    The loop that delivers messages would keep it alive until the receiver waits again.
    """

    def __init__(self, message):
        self.content = [message]
        self.weight = 0


def peak_bytes(exercise, n_peers, size, seed=0):
    """Return the most memory that each peer held beyond its input, in bytes.

    Parameters
    ----------
    exercise : Exercise
    n_peers, size, seed : int
        Large parts, of 100 kB and more, make what Python itself needs vanish.

    Returns
    -------
    list of int
        One a peer.
    """
    case = Case(n_peers, size, seed)
    # Other threads of this process allocate too, now and then: the least is nearest, and runs
    # that agree with the least are undisturbed.
    runs = []
    for _ in range(REPEATS):
        runs.append(_peaks(exercise, case))
        least = np.min(runs, axis=0)
        near = [peaks for peaks in runs if np.allclose(peaks, least, rtol=0.01, atol=SMALL)]
        if len(near) >= AGREE:
            break
    return least.tolist()


def _peaks(exercise, case):
    """Return each peer's peak in one run."""
    given = exercise.given(exercise.inputs(case).lists)
    world = case.world()
    run = MeteredRun(case.n_peers, world.network, world.machine, world.seed, False,
                     limit=exercise.limit)
    results = [None] * case.n_peers

    def body(peer):
        parts = local_parts(given, peer.rank)
        peer.begin()
        results[peer.rank] = exercise.program(peer, *parts)
        peer.end()

    with quiet(), _tracing(), time_limit():
        run.go(body)
    return [peer.peak for peer in run.peers]


@contextlib.contextmanager
def _tracing():
    """Have Python trace what is allocated in a `with` block."""
    gc.collect()
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start(1)
    try:
        yield
    finally:
        if not was_tracing:
            tracemalloc.stop()

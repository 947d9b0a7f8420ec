"""What Drop and Corrupt do to the packets, or messages, that leave a peer."""

from __future__ import annotations

import numpy as np

from labkit import wire
from labkit.cluster.checked import HEADER
from labkit.faults import Corrupt


class Spoiler:
    """A fault that spoils what passes, as often as it may.

    Parameters
    ----------
    fault : Drop or Corrupt
    seed : int
    """

    def __init__(self, fault, seed):
        self._fault = fault
        self._left = fault.count
        self._rng = np.random.default_rng([seed, *fault.link])

    def _strikes(self):
        if self._left and self._rng.random() < self._fault.fraction:
            self._left -= 1
            return True
        return False

    def packet(self, buffers):
        """Return the buffers of a packet as they leave: none, or with a bit flipped."""
        if not self._strikes():
            return buffers
        if not isinstance(self._fault, Corrupt):
            return ()
        *head, last = buffers
        first = 0 if head else HEADER.size   # a corrupt header would end the connection
        return (*head, flipped_bytes(last, first, self._rng))

    def message(self, message):
        """Return an array with a bit flipped, where nothing would find that."""
        return wire.flipped(message, self._rng) if self._strikes() else message


def flipped_bytes(data, first, rng):
    """Return a copy with one bit flipped, at or behind byte `first`."""
    copy = bytearray(data)
    copy[int(rng.integers(first, len(copy)))] ^= 1 << int(rng.integers(8))
    return copy

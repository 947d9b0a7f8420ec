"""Gradients in fewer bytes: what is left out is remembered, or left out at random.

    TopK       3 largest of 8    0 9 0 0 -7 0 4 0    ->  [1 4 6] int32, [9 -7 4]
    EightBit   a scale a block   9 -7 4 0.1          ->  9 float32, [127 -99 56 1] int8

A scheme is data: `encode(vector, rng)` returns a flat uint8 array, which is what travels, and
`decode(payload, n, dtype)` the vector that the receiver works with. Top-k is biased: it needs
the error feedback of `Encoder`, which adds what was left out to the next gradient. EightBit
rounds up or down at random, so that it is right on average.

For n values of 8 bytes, of which k stay: 12 k bytes; n + 4 ceil(n/block) bytes.

Sources: Stich, Cordonnier and Jaggi, "Sparsified SGD with memory", NeurIPS 2018; Alistarh,
Grubic, Li, Tomioka and Vojnovic, "QSGD", NIPS 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labkit.errors import ConfigurationError

LEVELS = 127             # of an int8, on each side of 0


@dataclass(frozen=True)
class TopK:
    """Send the `fraction` of the values that is largest, with their places."""

    fraction: float = 0.01
    """More than 0, up to 1; at least one value is sent."""

    feedback = True
    """Whether an `Encoder` keeps what was not sent for the next time."""

    def __post_init__(self):
        if not 0 < self.fraction <= 1:
            raise ConfigurationError("This is no part of a gradient.", got=self.fraction,
                                     expected="more than 0, up to 1", where="fraction=")

    def count(self, n):
        """Return how many of n values are sent."""
        return min(n, max(1, math.ceil(self.fraction * n)))

    def nbytes(self, n, dtype=np.float64):
        """Return the bytes of a payload for n values of `dtype`."""
        return self.count(n) * (4 + np.dtype(dtype).itemsize)

    def encode(self, vector, rng=None):
        """Return places and values, as bytes; at least k/n of the squared norm stays."""
        k = self.count(len(vector))
        # A partition is enough, O(n); sorted places are for whoever looks at them.
        places = np.sort(np.argpartition(np.abs(vector), len(vector) - k)[len(vector) - k:])
        return np.concatenate([as_bytes(places.astype(np.int32)), as_bytes(vector[places])])

    def decode(self, payload, n, dtype=np.float64):
        """Return the vector, shape (n,), with 0 where nothing was sent."""
        places, values = split(payload, (np.int32, self.count(n)), (dtype, self.count(n)))
        vector = np.zeros(n, dtype)
        vector[places] = values
        return vector


@dataclass(frozen=True)
class EightBit:
    """Send each value as one of 255 levels between plus and minus its block's largest."""

    block: int = 256
    """Values that share a scale: fewer are more exact and cost more bytes."""

    feedback = False
    """An average of many roundings is right without."""

    def __post_init__(self):
        if self.block < 1:
            raise ConfigurationError("A block cannot be this long.", got=self.block,
                                     expected="1 value or more", where="block=")

    def nbytes(self, n, dtype=np.float64):
        """Return the bytes of a payload for n values of any dtype."""
        return n + 4 * math.ceil(n / self.block)

    def encode(self, vector, rng):
        """Return scales and levels, as bytes; each value is off by less than scale/127."""
        blocks = self._blocks(vector.astype(np.float64))
        # Rounded up, or a block's largest value could lie above the highest level.
        scales = np.nextafter(np.abs(blocks).max(axis=1).astype(np.float32), np.float32(np.inf))
        exact = blocks / scales[:, None].astype(np.float64) * LEVELS
        levels = np.clip(np.floor(exact + rng.random(exact.shape)), -LEVELS, LEVELS)
        levels = levels.astype(np.int8).reshape(-1)[:len(vector)]
        return np.concatenate([as_bytes(scales), as_bytes(levels)])

    def decode(self, payload, n, dtype=np.float64):
        """Return the vector, shape (n,)."""
        scales, levels = split(payload, (np.float32, math.ceil(n / self.block)), (np.int8, n))
        scaled = self._blocks(levels.astype(np.float64)) * (scales[:, None] / float(LEVELS))
        return scaled.reshape(-1)[:n].astype(dtype)

    def _blocks(self, vector):
        padding = -len(vector) % self.block
        return np.pad(vector, (0, padding)).reshape(-1, self.block)


class Encoder:
    """One sender's side of a stream of gradients: a scheme, and what it has left out so far.

    Parameters
    ----------
    scheme : TopK, EightBit or None
        None sends gradients as they are.
    n : int
        Length of each gradient.
    rng : numpy.random.Generator
        For schemes that round at random.
    dtype : dtype
        Of the gradients.
    """

    def __init__(self, scheme, n, rng, dtype=np.float64):
        self.memory = np.zeros(n, dtype)     # sent so far + memory = given so far
        self._scheme = scheme
        self._rng = rng

    def __call__(self, gradient):
        """Return what to send in place of this gradient."""
        if self._scheme is None or not len(gradient):
            return gradient
        wanted = gradient + self.memory
        payload = self._scheme.encode(wanted, self._rng)
        if self._scheme.feedback:
            self.memory = wanted - decoded(self._scheme, payload, len(wanted), wanted.dtype)
        return payload


def decoded(scheme, payload, n, dtype=np.float64):
    """Return the gradient that a message stands for, shape (n,)."""
    return payload if scheme is None or not n else scheme.decode(payload, n, dtype)


def as_bytes(array):
    """Return an array's bytes as a flat uint8 array, without a copy."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def split(payload, *pieces):
    """Return the arrays that lie behind one another in `payload`, given (dtype, length) each."""
    arrays, begin = [], 0
    for dtype, length in pieces:
        end = begin + np.dtype(dtype).itemsize * length
        # A copy, because a slice of bytes may lie where its dtype must not.
        arrays.append(np.frombuffer(payload[begin:end].tobytes(), dtype))
        begin = end
    return arrays

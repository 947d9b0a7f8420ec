"""Where a long message goes while it arrives, piece after piece.

    New        a new array, or the buffers of a pickle
    Into       the array that the program waits with
    Combine    that array, added to block by block, while the block is in the cache

`next()` returns the memory to fill next, None when all has come; then `message()` is the message.
"""

from __future__ import annotations

from labkit import wire

BLOCK = 1024 * 1024          # bytes that are received before they are added


class New:
    """A new message: an array of its own, or the buffers of a pickle."""

    def __init__(self, encoding, meta):
        self._targets, self._make = wire.allocate(encoding, meta)

    def next(self):
        return self._targets.pop(0) if self._targets else None

    def message(self):
        return self._make()


class Into:
    """An array that the program waits with."""

    def __init__(self, out):
        self._out = out
        self._view = wire.view_of(out)

    def next(self):
        view, self._view = self._view, None
        return view

    def message(self):
        return self._out


class Combine:
    """Block by block combined with what is in the array, while the block is in the cache."""

    def __init__(self, out, op):
        self._whole = out
        self._out = out.reshape(-1)
        self._op = op
        self._at = self._size = 0
        self._block = None

    def next(self):
        out = self._out
        if self._size:
            mine = out[self._at:self._at + self._size]
            self._op(mine, self._block[:self._size], out=mine)
            self._at += self._size
        self._size = min(max(1, BLOCK // out.itemsize), out.size - self._at)
        if not self._size:
            return None
        if self._block is None:
            self._block = out[:self._size].copy()
        return wire.view_of(self._block[:self._size])

    def message(self):
        return self._whole

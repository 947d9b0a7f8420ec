"""A link whose bytes are checked, and sent again where they were wrong or lost.

    packet   | number, next awaited, size, sum, check | up to 1 MB of the frames' bytes |
             |<---------- 32 bytes ------------------>|

    left   0 1 2 3 4 5 . . .        right   0 1 x      sum is wrong, or number is not 2:
             |<----- again from 2 ----------|            throw away until 2 comes
           2 3 4 5 . . .                    2 3 4 5

This is go-back-n (Tanenbaum, "Computer networks", section 3.4) under the frames of `link`. The
sender keeps each packet until the other end awaits a later one, 4 MB at most; long arrays it does
not copy, but waits until they are confirmed, as for one that is read from its memory. Each
packet says what its sender awaits; a packet without bytes says only that. Who hears nothing for a
while asks.

The sum is taken of words of 64 bits, which is several times faster than a CRC, and finds every
single flipped bit. Arrays that are read from the owner's memory pass no wire and no sum.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections import deque
from itertools import chain

import numpy as np

from labkit.cluster.link import BYE, Link

HEADER = struct.Struct("<QQIQI")         # number, next awaited, size, sum, CRC of these four
CHECKED = struct.Struct("<QQIQ")
CRC = struct.Struct("<I")
PACKET = 1024 * 1024                     # bytes of frames in one packet
WINDOW = 4 * 1024 * 1024                 # bytes that may be unconfirmed
CONFIRM = WINDOW // 4                    # bytes after which the receiver confirms at once
RAW_BUFFER = 16 * 1024
CRC_UP_TO = 2048                         # bytes of which a CRC is faster than calling NumPy
COPY_UP_TO = 16 * 1024
AGAIN, ASKS = 1 << 31, 1 << 30           # in size: send all from `next awaited` on; confirm
PATIENCE_S = 0.2                         # until one asks what has come; doubled each time
MAX_PATIENCE_S = 3.0


def sum_of(view):
    """Return the checksum of bytes: a CRC of a few, else their sum as 64-bit words."""
    if len(view) <= CRC_UP_TO:
        return zlib.crc32(view)
    words = len(view) & ~7
    total = int(np.add.reduce(np.frombuffer(view[:words], np.uint64)))
    return total + zlib.crc32(view[words:]) & 0xffff_ffff_ffff_ffff


class CheckedLink(Link):
    """The same as a `Link`, over packets.

    Attributes
    ----------
    resent, refused : int
        Packets that were sent again, and that came with a wrong sum.
    """

    holds_back = True
    spoil = None                         # what a fault does to packets, if there is one

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.resent = self.refused = 0
        self._has_parted = False         # this end has said goodbye
        self._next = 0                   # number of the next packet to send ...
        self._unconfirmed = deque()      # ... those that may have to be sent again ...
        self._in_flight = 0              # ... their bytes ...
        self._borrowed = 0               # ... and how many of them lie in the program's arrays
        self._to_write = deque()         # buffers that the socket did not take yet
        self._awaited = 0                # number of the next packet to receive ...
        self._owed = 0                   # ... and bytes received that were not confirmed
        self._asked = False              # for the awaited packet to be sent again
        self._patience_s = PATIENCE_S
        self._heard_at = time.monotonic()
        self._raw = memoryview(bytearray(RAW_BUFFER))
        self._raw_at = self._raw_end = 0
        self._packet = None              # header of the packet that is arriving ...
        self._payload = None             # ... where its bytes go ...
        self._got = 0                    # ... and how many have come
        self._left = memoryview(b"")     # checked bytes that nobody has taken yet

    # ---- writing

    @property
    def writes(self):
        return bool(self._to_write)

    @property
    def busy(self):
        return bool(self.backlog) or self._borrowed > 0

    @property
    def done(self):
        all_is_confirmed = self._has_parted and not (self.backlog or self._unconfirmed)
        return self.lost or self.finished and (self.ended or all_is_confirmed)

    def _send(self, buffers):
        """Make packets of as much as the window allows; return the bytes that were taken."""
        taken = 0
        if len(buffers) == 1 and len(buffers[0]) <= COPY_UP_TO and self._in_flight < WINDOW:
            taken = len(buffers[0])
            self._queue(taken, buffers)
        else:
            for size, pieces in _packets(buffers):
                if self._in_flight >= WINDOW:
                    break
                self._queue(size, pieces)
                taken += size
        if not taken:
            raise BlockingIOError
        self._push()
        return taken

    def _queue(self, size, pieces):
        if not self._unconfirmed:
            self._heard_at = time.monotonic()
        if size > COPY_UP_TO and len(pieces) == 1:
            # Not copied: whoever sends it waits until it is confirmed.
            self._borrowed += 1
            flags = size if size == PACKET else size | ASKS
            packet = self._header(flags, sum_of(pieces[0])), pieces[0]
        else:
            payload = b"".join(pieces)
            packet = (self._header(size, sum_of(payload)) + payload,)
        self._next += 1
        self._unconfirmed.append(packet)
        self._in_flight += len(packet[-1])
        self._to_write.extend(packet if self.spoil is None else self.spoil.packet(packet))

    def _header(self, size, checksum):
        """Return the next packet's header, which confirms at the same time what has come."""
        self._owed = 0
        header = CHECKED.pack(self._next, self._awaited, size, checksum)
        return header + CRC.pack(zlib.crc32(header))

    def _push(self):
        """Write packets until the socket takes no more."""
        waiting = self._to_write
        while waiting:
            try:
                sent = super()._send(waiting if len(waiting) == 1 else list(waiting))
            except BlockingIOError:
                return
            except OSError as error:
                waiting.clear()
                if not self.is_over():
                    raise self.gone() from error
                return                   # nobody waits for this confirmation any more
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting.popleft())
            if sent:
                waiting[0] = memoryview(waiting[0])[sent:]
                return

    def signal(self, kind, number=0):
        super().signal(kind, number)
        self._has_parted |= kind == BYE

    def flush(self):
        self._push()
        if self.backlog and self._in_flight < WINDOW:
            super().flush()

    def confirm(self, flags=0):
        """Tell the other end which packet this one awaits."""
        self._to_write.append(self._header(flags, 0))
        self._push()

    def tick(self):
        """Confirm what came a while ago, and ask about what nobody has confirmed for long."""
        if self._owed:
            self.confirm()
        late = time.monotonic() - self._heard_at > self._patience_s
        if self._unconfirmed and late and not self._to_write:
            self.confirm(ASKS)
            self._heard_at = time.monotonic()
            self._patience_s = min(2 * self._patience_s, MAX_PATIENCE_S)

    def _send_again(self):
        self.resent += len(self._unconfirmed)
        self._to_write.extend(chain.from_iterable(self._unconfirmed))
        self._push()

    def _on_confirmed(self, awaited):
        """Forget the packets before `awaited`: the other end has them."""
        first = self._next - len(self._unconfirmed)
        if awaited <= first:
            return
        for _ in range(min(awaited - first, len(self._unconfirmed))):
            *head, last = self._unconfirmed.popleft()
            self._borrowed -= bool(head)
            self._in_flight -= len(last)
        self._patience_s, self._heard_at = PATIENCE_S, time.monotonic()
        if self.backlog:
            self.flush()

    # ---- reading

    def gone(self, reason=None):
        self._to_write.clear()
        self._unconfirmed.clear()
        self._borrowed = self._in_flight = 0
        return super().gone(reason)

    def pending(self):
        least = HEADER.size if self._packet is None else 1
        return len(self._left) > 0 or self._raw_end - self._raw_at >= least

    def _recv_into(self, view):
        """Fill `view` with checked bytes; return how many, as a socket's `recv_into` does."""
        if not len(self._left):
            if self._packet is None and not self._begin_packet():
                return 0
            size = self._take_payload(view)
            if size:
                return size
        size = min(len(view), len(self._left))
        view[:size] = self._left[:size]
        self._left = self._left[size:]
        if not size:
            raise BlockingIOError        # something came, but nothing for the frames
        return size

    def _begin_packet(self):
        """Read a header; return False at the end of the stream."""
        raw = self._raw
        while self._raw_end - self._raw_at < HEADER.size:
            left = self._raw_end - self._raw_at
            if left:
                raw[:left] = bytes(raw[self._raw_at:self._raw_end])
            self._raw_at, self._raw_end = 0, left
            count = self.sock.recv_into(raw[left:] if left else raw, 0, self.reading)
            if count == 0:
                return False
            self._raw_end += count
        number, awaited, size, checksum, check = HEADER.unpack_from(raw, self._raw_at)
        if zlib.crc32(raw[self._raw_at:self._raw_at + CHECKED.size]) != check:
            raise self.gone("a packet's header is corrupt: where the next one begins is unknown")
        self._raw_at += HEADER.size
        self._on_confirmed(awaited)
        if size & AGAIN:
            self._send_again()
        self._asks, size = size & ASKS, size & ~(AGAIN | ASKS)
        if size > PACKET:
            raise self.gone(f"it sends packets of {size:,} bytes")
        self._packet, self._got, self._payload = (number, size, checksum), 0, None
        return True

    def _take_payload(self, view):
        """Read on in a packet; return its bytes when all of them are in `view` and right.

        Bytes of a packet for which `view` is too small wait in `_left`.
        """
        number, size, checksum = self._packet
        if size == 0:
            self._packet = None
            if self._asks:
                self._asked = number > self._awaited
                self.confirm(AGAIN if self._asked else 0)
            return 0
        wanted = number == self._awaited
        if self._payload is None:
            self._straight = wanted and len(view) >= size
            self._payload = view[:size] if self._straight else memoryview(bytearray(size))
        while self._got < size:
            self._got += self._read_payload(self._payload[self._got:])
        self._packet = None
        if wanted and sum_of(self._payload) == checksum:
            self._accept(size)
            if self._straight:
                return size
            self._left = self._payload
        else:
            self._refuse(number)
        return 0

    def _read_payload(self, out):
        have = self._raw_end - self._raw_at
        if have:
            count = min(have, len(out))
            out[:count] = self._raw[self._raw_at:self._raw_at + count]
            self._raw_at += count
            return count
        # The same call brings the next packet's header, and what follows it if that is short.
        count = self.sock.recvmsg_into([out, self._raw], 0, self.reading)[0]
        if count == 0:
            raise self.gone()
        self._raw_at, self._raw_end = 0, max(0, count - len(out))
        return min(count, len(out))

    def _accept(self, size):
        self._awaited += 1
        self._asked = False
        self._owed += HEADER.size + size
        if self._asks or self._owed >= CONFIRM:
            self.confirm()

    def _refuse(self, number):
        """Ask once for what is missing; what came twice is confirmed again."""
        self.refused += number == self._awaited
        if number < self._awaited:
            self.confirm()
        elif number == self._awaited or not self._asked:
            self._asked = True
            self.confirm(AGAIN)

    def _control(self, kind, *rest):
        super()._control(kind, *rest)
        if kind == BYE:
            self.confirm()               # who has said goodbye waits for nothing else


def _packets(buffers):
    """Yield (bytes, pieces) of each packet; a long buffer begins a packet of its own."""
    pieces, size = [], 0
    for buffer in map(memoryview, buffers):
        if size and size + len(buffer) > PACKET:
            yield size, pieces
            pieces, size = [], 0
        for at in range(0, len(buffer), PACKET):
            piece = buffer[at:at + PACKET]
            if len(piece) + size == PACKET and not size:
                yield PACKET, [piece]
            else:
                pieces.append(piece)
                size += len(piece)
    if size:
        yield size, pieces

"""One connection to one peer: frames over a socket, read and written without blocking.

    frame   | type, encoding, channel, len(meta), len(payload) | meta | payload |
            |<------------ 16 bytes, little-endian ----------->|

A message costs its sender no copy (`sendmsg` straight from the array) and its receiver at most
one. What fits the small read buffer is copied out of it. The rest goes straight from the kernel
to where it is wanted: into a new array, or block by block into one that the program waits with.
Where the peer can read this process's memory, a large array does not travel at all: an OFFER
says where it is, TAKEN that it was read.
"""

from __future__ import annotations

import functools
import math
import socket
import ssl
import struct

import numpy as np
import psutil

from labkit import wire
from labkit.cluster import memory

HEADER = struct.Struct("<BBHIQ")
PLACE = struct.Struct("<QQ")             # an offered array's address and size
DATA, BYE, ABORT, READS, OFFER, POST, TAKEN, FAULT = range(1, 9)
READ_BUFFER = 64 * 1024
SMALL = 4096                             # bytes that are copied behind their header
# Where there is no such flag (Windows), sockets do not block.
DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
MAX_MESSAGE = psutil.virtual_memory().total      # bytes; what announces more is no frame
MAX_BUFFERS = 512                        # of one sendmsg; the kernel's limit is 1,024 (IOV_MAX)


@functools.lru_cache(maxsize=1024)
def _head(dtype, shape, channel):
    """Return the header and meta of an array's frame."""
    meta = wire.array_meta(dtype, shape)
    nbytes = dtype.itemsize * math.prod(shape)
    return HEADER.pack(DATA, wire.ARRAY, channel, len(meta), nbytes) + meta


class Link:
    """A non-blocking connection to peer `rank`.

    Parameters
    ----------
    sock : socket
    rank : int
    receiver : object
        ``receiver.deliver(rank, channel, message, nbytes)`` takes each message that is whole;
        ``receiver.sink(rank, channel, encoding, meta, nbytes)`` says where a long one goes;
        ``receiver.lost(rank, reason)`` returns what is raised when the other end is gone.
    pid : int
        The peer's process, if this one may read its memory.
    """

    def __init__(self, sock, rank, receiver, pid=None):
        sock.settimeout(None if DONT_WAIT else 0)
        self.reading = DONT_WAIT     # 0: a read waits for something to come
        self.sock = sock
        self.rank = rank
        self.pid = pid
        self.reads = False           # the peer has said that it can read this process's memory
        self.offered = 0             # arrays that it has not read yet
        self.finished = False        # it has said that it sends no more
        self.aborted = False         # it has said that its program failed
        self.ended = False           # and the stream is at its end
        self.lost = False            # the stream is at its end, and it has said nothing
        self.backlog = []            # what the socket did not take yet
        self._receiver = receiver
        self._fd = sock.fileno()
        self._buffer = memoryview(bytearray(READ_BUFFER))
        self._have = 0               # bytes in the buffer
        self._sink = None            # where the payload that is being received goes ...
        self._target = None          # ... the memory to fill next ...
        self._arriving = None        # ... and (channel, nbytes) of its message

    resent = 0                       # packets, where there are any: see `checked`
    holds_back = False
    """Whether bytes may wait above the socket, where no poll can see them: ask `pending`."""

    @property
    def writes(self):
        """Whether this waits for the socket to take more."""
        return bool(self.backlog)

    @property
    def busy(self):
        """Whether an array that was sent must not be changed yet."""
        return bool(self.backlog)

    @property
    def done(self):
        """Whether nothing more has to be read or written."""
        return self.lost or self.finished and not self.backlog

    @property
    def kind(self):
        """How messages travel: "memory", "unix", "tcp" or "tls"."""
        if self.reads and self.pid:
            return "memory"
        return "tcp" if self.sock.family != getattr(socket, "AF_UNIX", None) else "unix"

    def fileno(self):
        return self._fd

    def close(self):
        self.sock.close()

    def is_over(self):
        """Whether the other end may close: it has finished, and wants nothing of this one."""
        self.ended = self.finished and not self.backlog
        return self.ended

    def gone(self, reason=None):
        """Note that the other end is gone, and return the exception that says so."""
        self.lost, self.backlog, self.offered = True, [], 0
        return self._receiver.lost(self.rank, reason)

    # ---- writing

    def send(self, message, channel):
        """Write a message, or as much as the socket takes; return its payload bytes."""
        if type(message) is np.ndarray and message.nbytes <= SMALL and wire.is_plain(message):
            # One copy of a few bytes is cheaper than handing the kernel two buffers.
            frame = _head(message.dtype, message.shape, channel) + message.tobytes()
            self.write([frame])
            return message.nbytes
        encoding, meta, buffers = wire.encode(message)
        nbytes = 0
        for buffer in buffers:
            nbytes += buffer.nbytes
        self.write([HEADER.pack(DATA, encoding, channel, len(meta), nbytes) + meta, *buffers])
        return nbytes

    def offer(self, array, channel, posted):
        """Say where a contiguous array is; the peer reads it now, or when it is wanted."""
        meta = wire.array_meta(array.dtype, array.shape)
        place = PLACE.pack(memory.address_of(array), array.nbytes)
        self.write([HEADER.pack(POST if posted else OFFER, wire.ARRAY, channel, len(meta),
                                PLACE.size) + meta + place])
        self.offered += 1

    def signal(self, kind, number=0):
        """Write a frame without content but a number, in the place of its channel."""
        self.write([HEADER.pack(kind, 0, number, 0, 0)])

    def write(self, buffers):
        """Write as much as the socket takes; the rest becomes the backlog."""
        if self.backlog:
            self.backlog.extend(buffers)
            self.flush()
            return
        try:
            sent = self._send(buffers)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            sent = 0
        except OSError as error:
            raise self.gone() from error
        for done, buffer in enumerate(buffers):
            size = len(buffer)
            if sent < size:
                self.backlog = [memoryview(buffer)[sent:], *buffers[done + 1:]]
                return
            sent -= size

    def flush(self):
        """Write as much of the backlog as the socket takes."""
        buffers, self.backlog = self.backlog, []
        self.write(buffers)

    def _send(self, buffers):
        if len(buffers) == 1:
            return self.sock.send(buffers[0], DONT_WAIT)
        return self.sock.sendmsg(buffers[:MAX_BUFFERS], (), DONT_WAIT)

    # ---- reading

    def read(self):
        """Read what has arrived and deliver every message that is whole.

        Raises what `gone` returns at the end of the stream, unless the peer has finished.
        """
        target = self._target
        try:
            if target is not None:
                count = self._recv_into(target)
            else:
                count = self._recv_into(self._buffer[self._have:] if self._have else self._buffer)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            if not self.is_over():
                raise self.gone() from error
            return
        if count == 0:
            if not self.is_over():
                raise self.gone()
        elif target is not None:
            self._filled(count)
        else:
            self._have += count
            self._parse()

    def wait_in_read(self, timeout_s):
        """Make each read wait up to `timeout_s` seconds: one call of the kernel, not two."""
        seconds, rest = divmod(timeout_s, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                             struct.pack("ll", int(seconds), int(rest * 1e6)))
        self.reading = 0

    def _recv_into(self, view):
        return self.sock.recv_into(view, 0, self.reading)

    def _parse(self):
        """Take whole messages, and the beginning of the next one, out of the buffer."""
        try:
            self._take_frames()
        except wire.Malformed as error:
            raise self.gone(f"it sends what is no frame: {error}") from error

    def _take_frames(self):
        at, have, buffer = 0, self._have, self._buffer
        while have - at >= HEADER.size:
            kind, encoding, channel, len_meta, nbytes = HEADER.unpack_from(buffer, at)
            body = at + HEADER.size + len_meta
            if have < body:
                _check_fits(HEADER.size + len_meta)
                break
            meta = bytes(buffer[at + HEADER.size:body])
            if kind == DATA and have < body + nbytes:
                self._begin(channel, encoding, meta, nbytes, buffer[body:have])
                at = have
                break
            payload = buffer[body:body + nbytes]
            if kind == DATA:
                self._receiver.deliver(self.rank, channel, wire.decode(encoding, meta, payload),
                                       nbytes)
            elif have < body + nbytes:
                _check_fits(body - at + nbytes)
                break
            else:
                self._control(kind, channel, meta, payload)
            at = body + nbytes
        if at < have and at:
            buffer[:have - at] = bytes(buffer[at:have])
        self._have = have - at

    def _control(self, kind, channel, meta, payload):
        if kind == TAKEN:
            self.offered = max(0, self.offered - 1)
        elif kind in (OFFER, POST):
            if not self.pid or len(payload) != PLACE.size:
                raise wire.Malformed("an offer of memory that cannot be read")
            dtype, shape = wire.parse_array_meta(meta)
            address, nbytes = PLACE.unpack(payload)
            wire.check_size(wire.ARRAY, meta, nbytes)
            offer = memory.Offer(self._read_peer, self._taken, address, dtype, shape)
            self._receiver.offered(self.rank, channel, offer, nbytes, posted=kind == POST)
        elif kind == READS:
            self.reads = True
        elif kind == BYE:
            self.finished = True
        elif kind == FAULT:
            self._receiver.fault_begins(channel)
        elif kind == ABORT:
            self.aborted = True
        else:
            raise wire.Malformed(f"there are no frames of kind {kind}")

    def _read_peer(self, address, out):
        try:
            memory.read(self.pid, address, out)
        except OSError as error:
            raise self.gone() from error

    def _taken(self):
        self.signal(TAKEN)

    def _begin(self, channel, encoding, meta, nbytes, first):
        """Begin to receive a payload of which the buffer holds no more than the first bytes."""
        if nbytes > MAX_MESSAGE:
            raise wire.Malformed(f"a message of {nbytes:,} bytes, more than this host's memory")
        wire.check_size(encoding, meta, nbytes)
        self._arriving = channel, nbytes
        self._sink = self._receiver.sink(self.rank, channel, encoding, meta, nbytes)
        self._target = self._sink.next()
        while len(first):
            count = min(len(first), len(self._target))
            self._target[:count] = first[:count]
            first = first[count:]
            self._filled(count)

    def _filled(self, count):
        """Note that the next `count` bytes of the target have come."""
        if count < len(self._target):
            self._target = self._target[count:]
            return
        self._target = self._sink.next()
        if self._target is None:
            (channel, nbytes), sink, self._sink = self._arriving, self._sink, None
            self._receiver.deliver(self.rank, channel, sink.message(), nbytes)


def _check_fits(nbytes):
    """Raise Malformed for a frame, all but an array's bytes, that the buffer can never hold."""
    if nbytes > READ_BUFFER:
        raise wire.Malformed(f"a meta or a control frame of {nbytes:,} bytes")


class TlsLink(Link):
    """The same over TLS, which knows no `sendmsg` and may hold decrypted bytes back."""

    kind = "tls"
    holds_back = True

    def __init__(self, *args):
        super().__init__(*args)
        self.sock.setblocking(False)

    def _send(self, buffers):
        return self.sock.send(buffers[0])

    def _recv_into(self, view):
        return self.sock.recv_into(view)

    def pending(self):
        return self.sock.pending() > 0


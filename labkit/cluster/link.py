"""One connection to one peer: frames over a socket, read and written without blocking.

    frame   | type, kind, channel, len(meta), len(payload) | meta | payload |
            |<---------- 16 bytes, little-endian --------->|

A message of any size costs its sender no copy (`sendmsg` straight from the
array) and its receiver at most one: what fits the small read buffer is copied
out of it, the rest goes straight from the kernel into the new array.
"""

from __future__ import annotations

import ssl
import struct

from labkit import wire

HEADER = struct.Struct("<BBHIQ")
DATA, BYE, ABORT = 1, 2, 3
READ_BUFFER = 64 * 1024
MAX_BUFFERS = 512                    # of one sendmsg; the kernel's limit is 1,024 (IOV_MAX)


def frame(message, channel):
    """Return the buffers of one message's frame, and its payload bytes."""
    kind, meta, buffers = wire.encode(message)
    nbytes = 0
    for buffer in buffers:
        nbytes += buffer.nbytes
    return [HEADER.pack(DATA, kind, channel, len(meta), nbytes) + meta, *buffers], nbytes


class Gone(ConnectionError):
    """The other end closed its connection before its program had ended."""


class Link:
    """A non-blocking connection to peer `rank`.

    `read` hands each whole message to `deliver(rank, channel, message, nbytes)`
    as soon as it is there.
    """

    def __init__(self, sock, rank, deliver):
        sock.setblocking(False)
        self.sock = sock
        self.rank = rank
        self.finished = False        # the peer has said that it sends no more
        self.aborted = False         # the peer has said that its program failed
        self._deliver = deliver
        self._fd = sock.fileno()
        self._buffer = memoryview(bytearray(READ_BUFFER))
        self._have = 0               # bytes in the buffer
        self._targets = []           # what is left to fill of the message being received
        self._finish = None          # gives that message: (channel, nbytes, make)

    def fileno(self):
        return self._fd

    def close(self):
        self.sock.close()

    # ---- writing

    def write(self, buffers):
        """Write as much as the socket takes; return the buffers that are left."""
        try:
            sent = self._send(buffers)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return buffers
        except OSError as error:
            raise Gone(self.rank) from error
        for done, buffer in enumerate(buffers):
            size = len(buffer)
            if sent < size:
                return [memoryview(buffer)[sent:], *buffers[done + 1:]]
            sent -= size
        return []

    def _send(self, buffers):
        return self.sock.sendmsg(buffers[:MAX_BUFFERS])

    def signal(self, kind):
        """Write a BYE or ABORT frame; it is small, and lost only if the peer is."""
        return self.write([HEADER.pack(kind, 0, 0, 0, 0)])

    # ---- reading

    def read(self):
        """Read what has arrived and deliver every message that is whole.

        Returns whether anything was read. Raises `Gone` at the end of the stream
        unless the peer has said that it has finished.
        """
        try:
            if self._targets:
                return self._read_payload()
            count = self._recv_into(self._buffer[self._have:])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise Gone(self.rank) from error
        if count == 0:
            return self._end()
        self._have += count
        self._parse()
        return True

    def pending(self):
        """Whether bytes wait above the socket, where no poll can see them."""
        return False

    def _recv_into(self, view):
        return self.sock.recv_into(view)

    def _end(self):
        if not self.finished:
            raise Gone(self.rank)
        return False

    def _read_payload(self):
        count = self._recv_into(self._targets[0])
        if count == 0:
            raise Gone(self.rank)
        if count == len(self._targets[0]):
            self._targets.pop(0)
            if not self._targets:
                self._complete()
        else:
            self._targets[0] = self._targets[0][count:]
        return True

    def _parse(self):
        """Take whole messages, and the beginning of the next one, out of the buffer."""
        at = 0
        while self._have - at >= HEADER.size:
            kind, encoding, channel, len_meta, nbytes = HEADER.unpack_from(self._buffer, at)
            if kind != DATA:
                self.finished = self.finished or kind == BYE
                self.aborted = self.aborted or kind == ABORT
                at += HEADER.size
                continue
            if self._have - at < HEADER.size + len_meta:
                break
            at += HEADER.size
            meta = bytes(self._buffer[at:at + len_meta])
            at += len_meta
            self._targets, make = wire.allocate(encoding, meta)
            self._finish = channel, nbytes, make
            at = self._fill(at)
            if self._targets:
                break
            self._complete()
        rest = self._have - at
        if rest and at:
            self._buffer[:rest] = bytes(self._buffer[at:self._have])
        self._have = rest

    def _fill(self, at):
        """Move payload from the buffer into the message; return the new position."""
        while self._targets and at < self._have:
            target = self._targets[0]
            count = min(len(target), self._have - at)
            target[:count] = self._buffer[at:at + count]
            at += count
            self._targets[0] = target[count:]
            if not self._targets[0]:
                self._targets.pop(0)
        return at

    def _complete(self):
        channel, nbytes, make = self._finish
        self._finish = None
        self._deliver(self.rank, channel, make(), nbytes)


class TlsLink(Link):
    """The same over TLS, which knows no `sendmsg` and may hold decrypted bytes back."""

    def _send(self, buffers):
        return self.sock.send(buffers[0])

    def pending(self):
        return self.sock.pending() > 0

"""Reading the memory of another process of the same host: one copy, and none by the sender.

    sender      array  <----------- process_vm_readv -----------  receiver   (into its own array)
      |                                                              ^
      +---- OFFER: address, dtype, shape -------- socket ------------+
      ^---- TAKEN: the sender may change the array again ------------+

Linux lets a process read another one of the same user (where it may be traced by it, see
ptrace(2)). Whether it does is tried when peers connect: each reads a token of random bytes that
the other keeps in memory. Elsewhere, arrays travel through the socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import sys

import numpy as np

from labkit.errors import ConfigurationError

BLOCK = 256 * 1024           # bytes that are read and added at once: they stay in the cache
TOKEN = 16

PR_SET_PTRACER, ANYONE = 0x59616d61, ctypes.c_ulong(-1)


class _Piece(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def _find():
    if not sys.platform.startswith("linux"):
        return None
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        call = libc.process_vm_readv
    except (OSError, AttributeError):
        return None
    call.restype = ctypes.c_ssize_t
    call.argtypes = [ctypes.c_int, ctypes.POINTER(_Piece), ctypes.c_ulong,
                     ctypes.POINTER(_Piece), ctypes.c_ulong, ctypes.c_ulong]
    return call


_process_vm_readv = _find()
_token = np.frombuffer(secrets.token_bytes(TOKEN), np.uint8).copy()


def address_of(array):
    """Return where a contiguous array's memory begins."""
    return array.__array_interface__["data"][0]


def card():
    """Return what another process needs to try to read this one's memory: pid, address, token."""
    if _process_vm_readv is not None:
        # Where only a process's ancestors may trace it (Yama), its peers have to be allowed: in
        # the worker itself, for a process that is forked does not inherit it.
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYONE, 0, 0, 0)
    return os.getpid(), address_of(_token), _token.tobytes()


def readable(pid, address, token):
    """Whether this process may read that one, and it is the one that is meant."""
    found = np.zeros(TOKEN, np.uint8)
    with contextlib.suppress(OSError):
        read(pid, address, found)
    return found.tobytes() == token


def read(pid, address, out):
    """Fill a contiguous array from the memory of process `pid`.

    Raises
    ------
    OSError
        If that is not possible here, not allowed, or the process is gone.
    """
    if _process_vm_readv is None:
        raise OSError("this system cannot read another process's memory")
    done, size, target = 0, out.nbytes, address_of(out)
    while done < size:
        count = _process_vm_readv(pid, _Piece(target + done, size - done), 1,
                                  _Piece(address + done, size - done), 1, 0)
        if count <= 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        done += count


class Offer:
    """An array in a peer's memory that is there to be read.

    Parameters
    ----------
    read : callable
        ``read(address, out)`` fills a contiguous array from the peer's memory.
    taken : callable
        Tells the peer that it may change the array again.
    """

    def __init__(self, read, taken, address, dtype, shape):
        self._read = read
        self.taken = taken
        self._address = address
        self._dtype = dtype
        self._shape = shape

    def fits(self, out):
        """Whether it has the shape and dtype of an array."""
        return self._dtype == out.dtype and self._shape == out.shape

    def check_fits(self, out):
        """Raise ConfigurationError unless it does: what lies beyond it is not to be read."""
        check_alike(self._shape, self._dtype, out)

    def fetch(self):
        """Return a copy."""
        array = np.empty(self._shape, self._dtype)
        self.fetch_into(array)
        return array

    def fetch_into(self, out, op=None):
        """Copy into a contiguous array, or combine with what is there by `op`."""
        if op is None:
            self.check_fits(out)
            self._read(self._address, out)
            self.taken()
        else:
            combine(out, [self], out, op)

    def read(self, first, out):
        """Copy values from the flat one number `first` on."""
        self._read(self._address + first * self._dtype.itemsize, out)


def check_alike(shape, dtype, out):
    """Raise ConfigurationError unless an array has this shape and dtype."""
    if (shape, dtype) != (out.shape, out.dtype):
        raise ConfigurationError(
            "Peers combine arrays that differ in shape or dtype.",
            expected=f"{out.shape}, {out.dtype}, as here", got=f"{shape}, {dtype}",
            remedy="use the same shape and dtype on every peer")


def combine(own, others, out, op):
    """Combine an array with those of others, all of one shape, each read once.

    Parameters
    ----------
    own, out : ndarray, contiguous
        May be the same one.
    others : list of Offer or ndarray
    op : ufunc
    """
    for other in others:
        if isinstance(other, Offer):
            other.check_fits(out)
        else:
            check_alike(other.shape, other.dtype, out)
    own, out = own.reshape(-1), out.reshape(-1)
    size = max(1, BLOCK // out.itemsize)
    read = np.empty(min(size, out.size), out.dtype)
    for first in range(0, out.size, size):
        block, before = out[first:first + size], own[first:first + size]
        for other in others:
            if isinstance(other, Offer):
                theirs = read[:block.size]
                other.read(first, theirs)
            else:                            # it had come before it was wanted
                theirs = other.reshape(-1)[first:first + size]
            op(before, theirs, out=block)
            before = block
    for other in others:
        if isinstance(other, Offer):
            other.taken()

"""Messages as bytes: one format for every world.

    array   meta = dtype and shape          buffers = [the array's own memory]
    scalar  the same, without a shape: np.float64(1.5), for example
    other   meta = lengths of the buffers   buffers = [pickle, out-of-band buffer, ...]

An array of numbers travels without pickle and without being copied on the way
out. Everything else travels as pickle protocol 5, whose out-of-band buffers
keep arrays inside a tuple or a dict from being copied too (PEP 574). Worlds
that send no bytes use the same format to copy a message and to count it.
"""

from __future__ import annotations

import functools
import math
import pickle
import struct

import numpy as np

from labkit.errors import ConfigurationError

ARRAY, PICKLE, SCALAR = 1, 2, 3
LAZY = 1024 * 1024                   # bytes from which memory is there only once it is filled
MAX_BUFFERS = 4096                   # out-of-band buffers of one message; more travel in the pickle


class Malformed(ValueError):
    """Bytes that are no message: their two ends do not speak the same format."""


def is_plain(message):
    """Whether the message is an array of numbers or text, which travels without pickle."""
    return (type(message) is np.ndarray and message.dtype.names is None
            and not message.dtype.hasobject)


def is_number(message):
    """Whether the message is one NumPy number, which travels like an array."""
    return isinstance(message, np.number | np.bool_)


def encode(message):
    """Return `(kind, meta, buffers)`; the buffers share memory with the message.

    Raises
    ------
    ConfigurationError
        If the message cannot be pickled.
    """
    if is_plain(message):
        meta = array_meta(message.dtype, message.shape)
        if not message.flags.c_contiguous:
            message = np.ascontiguousarray(message)
        if message.nbytes == 0:
            return ARRAY, meta, []
        # Not every dtype (datetime64, say) offers the buffer protocol; its bytes always do.
        return ARRAY, meta, [view_of(message)]
    if is_number(message):
        return SCALAR, array_meta(message.dtype, ()), [memoryview(message.tobytes())]
    raws = []
    try:
        head = pickle.dumps(message, protocol=5, buffer_callback=lambda b: raws.append(b.raw()))
    except Exception as error:
        raise ConfigurationError(
            "A message cannot be sent.", expected="an array, or an object that pickle accepts",
            got=f"{type(message).__name__}: {error}",
            remedy="send the data it holds; lambdas and open files cannot travel") from error
    if len(raws) > MAX_BUFFERS:
        head, raws = pickle.dumps(message, protocol=5), []
    buffers = [memoryview(head), *raws]
    return PICKLE, struct.pack(f"<{len(buffers)}Q", *(b.nbytes for b in buffers)), buffers


@functools.lru_cache(maxsize=1024)
def array_meta(dtype, shape):
    """Return dtype and shape as bytes."""
    return struct.pack(f"<B{len(shape)}Q", len(shape), *shape) + dtype.str.encode()


@functools.lru_cache(maxsize=1024)
def parse_array_meta(meta):
    """Return `(dtype, shape)`; the inverse of `array_meta`.

    Raises
    ------
    Malformed
        Unless `meta` is what `array_meta` returns for an array without Python objects.
    """
    try:
        ndim = meta[0]
        shape = struct.unpack_from(f"<{ndim}Q", meta, 1)
        dtype = np.dtype(meta[1 + 8 * ndim:].decode())
        if not dtype.hasobject and array_meta(dtype, shape) == meta:
            np.broadcast_to(np.empty((), dtype), shape)      # or a shape that NumPy cannot have
            return dtype, shape
    except (ValueError, TypeError, IndexError, SyntaxError, struct.error):
        pass                             # NumPy has many ways to say that this is no dtype
    raise Malformed(f"{meta[:40]!r} is no dtype and shape")


def check_size(kind, meta, nbytes):
    """Raise Malformed unless a message with this meta takes `nbytes` bytes.

    What is announced is checked before there is memory for it: `allocate` believes the meta.
    """
    if kind in (ARRAY, SCALAR):
        dtype, shape = parse_array_meta(meta)
        size = dtype.itemsize * math.prod(shape)
    elif kind == PICKLE and meta and len(meta) % 8 == 0:
        size = sum(struct.unpack(f"<{len(meta) // 8}Q", meta))
    else:
        raise Malformed(f"there is no encoding {kind} with a meta of {len(meta)} bytes")
    if size != nbytes:
        raise Malformed(f"its meta says {size:,} bytes, its header {nbytes:,}")


def view_of(array):
    """Return a contiguous array's memory as bytes, whatever its dtype."""
    return array.reshape(-1).view(np.uint8).data


def decode(kind, meta, payload):
    """Return the message of a payload that is there as a whole; raise Malformed if it is none."""
    if kind == PICKLE:
        check_size(kind, meta, len(payload))
        targets, make = allocate(kind, meta)
        for target in targets:
            target[:] = payload[:len(target)]
            payload = payload[len(target):]
        return make()
    dtype, shape = parse_array_meta(meta)
    if not payload:
        check_size(kind, meta, 0)
        return np.empty(shape, dtype)
    try:
        array = np.frombuffer(bytearray(payload), dtype)
        if kind == SCALAR:
            return array[0]
        return array if len(shape) == 1 else array.reshape(shape)
    except (ValueError, IndexError, OverflowError) as error:
        raise Malformed(f"{len(payload)} bytes are no {dtype} of shape {shape}") from error


def allocate(kind, meta):
    """Return `(buffers to receive into, a function that then gives the message)`."""
    if kind in (ARRAY, SCALAR):
        dtype, shape = parse_array_meta(meta)
        array = np.empty(shape, dtype)
        give = (lambda: array) if kind == ARRAY else (lambda: array[()])
        return [view_of(array)] if array.nbytes else [], give
    # A bytearray is filled with zeros, which takes memory for what may never come.
    buffers = [bytearray(n) if n < LAZY else np.empty(n, np.uint8)
               for (n,) in struct.iter_unpack("<Q", meta)]
    return ([memoryview(b) for b in buffers if len(b)],
            lambda: pickle.loads(buffers[0], buffers=buffers[1:]))


def copy_of(message):
    """Return `(an independent copy, payload bytes)`, as if the message had travelled."""
    if is_plain(message):
        return message.copy(order="C"), message.nbytes
    if is_number(message):
        return message, message.nbytes           # nobody can change it
    kind, meta, buffers = encode(message)
    copies = [bytearray(b) for b in buffers]
    return pickle.loads(copies[0], buffers=copies[1:]), sum(b.nbytes for b in buffers)


def size_of(message):
    """Return the payload bytes that the message would have."""
    if is_plain(message) or is_number(message):
        return message.nbytes
    return sum(b.nbytes for b in encode(message)[2])

def flipped(message, rng):
    """Return a copy of an array with one bit flipped; anything else as it is."""
    if not is_plain(message) or not message.nbytes:
        return message
    copy = message.copy(order="C")
    bits = view_of(copy)
    bits[int(rng.integers(len(bits)))] ^= 1 << int(rng.integers(8))
    return copy

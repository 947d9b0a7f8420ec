"""What each contender of `parameter_server.py` trains: constant gradients, whose sum is exact."""

import numpy as np

RATE = 2**-10            # a power of two, so that no float32 below is rounded


def gradient(n, worker):
    """Return the gradient of worker 1 or 2, shape (n,), float32."""
    return (np.arange(n) % 7 + worker).astype(np.float32)


def parameters(n, steps):
    """Return what so many steps by the mean of both gradients make of zeros."""
    return np.float32(-RATE * steps) * (np.arange(n) % 7 + 1.5).astype(np.float32)


def works(arguments):
    """Return the pairs (parameters, steps) of a command line."""
    numbers = list(map(int, arguments))
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def named(n):
    return f"{n // 10**6} M float32"

"""Round trip of a small message between two workers: labkit, and a plain socket.

Both run in the same two worker processes, in alternation; the recorded and the
unrecorded run show what recording events costs. Prints medians and ratios.

    python benchmarks/round_trip.py
"""

from __future__ import annotations

import socket
import statistics
import time

import numpy as np

import labkit

TRIPS = 5_000
ROUNDS = 7


def ping_pong(me):
    """Return microseconds of one round trip of 8 bytes over labkit's links."""
    message = np.zeros(1)
    start = time.perf_counter()
    for _ in range(TRIPS):
        if me.rank == 0:
            me.send(1, message)
            me.recv(1)
        else:
            me.recv(0)
            me.send(0, message)
    return (time.perf_counter() - start) / TRIPS * 1e6


def plain_socket(me):
    """Return microseconds of one round trip of 8 bytes over a plain TCP socket."""
    if me.rank == 0:
        with socket.create_server(("127.0.0.1", 0)) as server:
            me.send(1, server.getsockname())
            sock, _ = server.accept()
    else:
        sock = socket.create_connection(me.recv(0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = bytearray(8)
    with sock:
        start = time.perf_counter()
        for _ in range(TRIPS):
            if me.rank == 0:
                sock.sendall(buffer)
                sock.recv_into(buffer)
            else:
                sock.recv_into(buffer)
                sock.sendall(buffer)
        return (time.perf_counter() - start) / TRIPS * 1e6


def main():
    plain, recorded, unrecorded = [], [], []
    with labkit.cluster(workers=2) as world:
        for _ in range(ROUNDS):
            plain.append(world.run(plain_socket).results[0])
            recorded.append(world.run(ping_pong).results[0])
            unrecorded.append(world.run(ping_pong, record=False).results[0])
    print(f"{'round trip of 8 bytes':28}{'median us':>10}{'min':>8}{'max':>8}{'ratio':>8}")
    for name, times in (("plain socket", plain), ("labkit, not recorded", unrecorded),
                        ("labkit, recorded", recorded)):
        ratio = statistics.median(t / p for t, p in zip(times, plain, strict=True))
        print(f"{name:28}{statistics.median(times):10.1f}{min(times):8.1f}{max(times):8.1f}"
              f"{ratio:8.2f}")


if __name__ == "__main__":
    main()

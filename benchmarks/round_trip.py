"""Round trip of 8 bytes between two workers.

labkit and a plain TCP socket run in the same two worker processes; torch's gloo, Open MPI, Dask's
comms and actors, and Ray's actors in two of their own. With events recorded, which costs a little,
and without.

    python benchmarks/round_trip.py
"""

from __future__ import annotations

import socket
import time
from functools import partial

import bench
import numpy as np
from all_reduce import MPI, TCP

import labkit

TRIPS = 5_000
WORK = "8 bytes"


def ping_pong(me):
    """Return {work: seconds} of one round trip over labkit's links."""
    message = np.zeros(1)
    start = time.perf_counter()
    for _ in range(TRIPS):
        if me.rank == 0:
            me.send(1, message)
            me.recv(1)
        else:
            me.recv(0)
            me.send(0, message)
    return {WORK: (time.perf_counter() - start) / TRIPS}


def plain_socket(me):
    """The same over a plain TCP socket."""
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
        return {WORK: (time.perf_counter() - start) / TRIPS}


def main():
    with (labkit.cluster(workers=2) as world,
          labkit.cluster(workers=2, transport="tcp") as tcp):
        def ours(where, program, record=False):
            return where.run(program, record=record).results[0]

        found = bench.alternate({
            "plain socket": partial(ours, world, plain_socket),
            "labkit": partial(ours, world, ping_pong),
            "labkit, recorded": partial(ours, world, ping_pong, record=True),
            "labkit tcp": partial(ours, tcp, ping_pong),
            "gloo": partial(bench.peer, "round_trip_gloo.py"),
            "Open MPI": partial(bench.peer, "round_trip_mpi.py", launcher=[*MPI, "2"]),
            "Open MPI tcp": partial(bench.peer, "round_trip_mpi.py", launcher=[*MPI, "2", *TCP]),
            "Dask comm": partial(bench.peer, "round_trip_dask.py", "comm"),
            "Dask actor": partial(bench.peer, "round_trip_dask.py", "actor"),
            "Ray actor": partial(bench.peer, "round_trip_ray.py"),
        })
    bench.table("Round trip", found, "plain socket", scale=1e6, unit="us")


if __name__ == "__main__":
    main()

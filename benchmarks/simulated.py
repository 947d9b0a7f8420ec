"""How many messages a second the simulated world moves, by kind of program.

Prints medians and ranges of wall-clock messages a second, and what recording costs.

    python benchmarks/simulated.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np

import labkit

ROUNDS = 5


def ring(me):
    """Ring all-reduce of 1,024 numbers a peer: 2(n-1) messages each."""
    me.allreduce(np.ones(me.size * 1024), algorithm="ring")


def doubling(me):
    for _ in range(40):
        me.allreduce(1.0)


def ping_pong(me):
    for number in range(20_000):
        if me.rank == number % 2:
            me.send(1 - me.rank, None)
        else:
            me.recv(1 - me.rank)


def master(me):
    """Everyone asks the master, who answers whoever comes first."""
    for _ in range(100):
        if me.rank:
            me.send(0, 1.0)
            me.recv(0)
        else:
            for _ in range(me.size - 1):
                me.send(me.recv_any()[0], 2.0)


def rate(world, program, record):
    start = time.perf_counter()
    run = world.run(program, record=record)
    return run.messages / (time.perf_counter() - start)


def main():
    print(f"{'thousand messages a second':32}{'median':>8}{'min':>8}{'max':>8}{'recording':>11}")
    for name, program, workers in (("ring, 200 peers", ring, 200),
                                   ("doubling, 256 peers", doubling, 256),
                                   ("ping-pong, 2 peers", ping_pong, 2),
                                   ("master, 300 peers", master, 300)):
        world = labkit.simulated(workers=workers)
        pairs = [(rate(world, program, False), rate(world, program, True)) for _ in range(ROUNDS)]
        plain = [a / 1000 for a, _ in pairs]
        cost = statistics.median(a / b for a, b in pairs)
        print(f"{name:32}{statistics.median(plain):8.0f}{min(plain):8.0f}{max(plain):8.0f}"
              f"{cost:10.2f}x")


if __name__ == "__main__":
    main()

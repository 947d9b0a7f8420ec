"""Steps a second of a synchronous parameter server: one server, two workers, float32.

Each worker has its gradient ready, so that only the system is measured: gradients to the
server, their mean taken off the parameters, the new parameters to both workers. labkit by memory
and by TCP, Ray's object store (the example of its documentation), Dask actors, torch's gloo
(irecv and isend, both workers at once) and torch's RPC. Every contender's parameters must be
exactly those expected. Three processes share two cores, in all of them.

The limit is one process that does the same to its own memory: adds both gradients to the
parameters, piece by piece so that each is read once and nothing else is written, and has two
threads copy the parameters at the same time, as each worker must have a copy of its own.

    python benchmarks/parameter_server.py
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import bench
import numpy as np
from peers import updates

import labkit
from labkit.models.master_worker import parameter_server
from labkit.models.master_worker.parameter_server import Settings

WORKS = [(1_000_000, 200), (10_000_000, 20)]         # parameters, steps
PIECE = 32 * 1024                                    # values that stay in a core's own cache


def program(me, mine, n, steps, rate):
    """Return seconds and the last parameters, on the server."""
    def gradient(w, step):
        assert w[-1] == -rate * step * ((n - 1) % 7 + 1.5), "old parameters"
        return mine

    for count in (3, steps):                         # the first to warm up
        start = np.zeros(n, np.float32)
        me.barrier()
        began = time.perf_counter()
        trained = parameter_server.train(me, gradient, start, Settings(count, rate))
        me.barrier()
        seconds = time.perf_counter() - began
    return seconds, trained and trained.parameters


def ours(world, works):
    found = {}
    for n, steps in works:
        gradients = [np.zeros(n, np.float32), updates.gradient(n, 1), updates.gradient(n, 2)]
        run = world.run(program, gradients, [n] * 3, [steps] * 3, [updates.RATE] * 3,
                        record=False)
        seconds, w = run.results[0]
        assert (w == updates.parameters(n, steps)).all(), "these parameters are wrong"
        found[updates.named(n)] = steps / seconds
    return found


def limit(works):
    found = {}
    with ThreadPoolExecutor(2) as pool:
        for n, steps in works:
            first, second = updates.gradient(n, 1), updates.gradient(n, 2)
            for count in (3, steps):
                w, copies = np.zeros(n, np.float32), [np.zeros(n, np.float32) for _ in range(2)]
                start = time.perf_counter()
                for _ in range(count):
                    step_by(w, first, second)
                    list(pool.map(np.copyto, copies, [w, w]))
                seconds = time.perf_counter() - start
            assert (copies[1] == updates.parameters(n, steps)).all()
            found[updates.named(n)] = steps / seconds
    return found


def step_by(w, first, second):
    total = np.empty(PIECE, np.float32)
    for begin in range(0, len(w), PIECE):
        piece = slice(begin, begin + PIECE)
        part = total[:len(w[piece])]
        np.add(first[piece], second[piece], out=part)
        part *= updates.RATE / 2
        w[piece] -= part


def main():
    arguments = [number for work in WORKS for number in work]
    with (labkit.cluster(workers=3, deadline_s=600) as world,
          labkit.cluster(workers=3, deadline_s=600, transport="tcp") as tcp):
        found = bench.alternate({
            "labkit": partial(ours, world, WORKS),
            "labkit tcp": partial(ours, tcp, WORKS),
            "limit": partial(limit, WORKS),
            "Ray": partial(bench.peer, "parameter_server_ray.py", *arguments),
            "Dask actors": partial(bench.peer, "parameter_server_dask.py", *arguments),
            "torch gloo": partial(bench.peer, "parameter_server_gloo.py", *arguments),
            "torch RPC": partial(bench.peer, "parameter_server_rpc.py", *arguments),
        })
    bench.table("Synchronous parameter server, 2 workers", found, "labkit", unit="steps/s",
                faster="high")


if __name__ == "__main__":
    main()

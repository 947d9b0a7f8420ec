"""All-reduce of float32, 1 KB to 256 MB, between 2 and 4 workers of one machine.

labkit by memory and by TCP, torch's gloo, Open MPI (default and TCP), Ray, futures gathered at
the client. All work in place where they can; a call is timed from a barrier to the last peer's
end. The limit is the same additions and copies within each worker's own memory.

    python benchmarks/all_reduce.py [workers ...]
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial

import bench
import numpy as np

import labkit

KB, MB = 1024, 1024 * 1024
SIZES = [KB, 16 * KB, 64 * KB, 256 * KB, MB, 4 * MB, 16 * MB, 64 * MB, 256 * MB]
MPI = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-np"]
TCP = ["--mca", "pml", "ob1", "--mca", "btl", "tcp,self"]


def repeats(nbytes):
    return max(3, min(200, 64 * MB // nbytes))


def named(nbytes):
    return f"{nbytes // MB} MB" if nbytes >= MB else f"{nbytes // KB} KB"


def program(me, sizes):
    """Return {size: median seconds}."""
    found = {}
    for nbytes in sizes:
        x = np.full(nbytes // 4, me.rank + 1.0, np.float32)
        expected = me.size * (me.size + 1) / 2
        assert np.all(me.allreduce(x) == expected)
        x[:] = 0
        times = []
        for _ in range(repeats(nbytes)):
            me.barrier()
            start = time.perf_counter()
            me.allreduce(x, out=x)
            times.append(me.allreduce(time.perf_counter() - start, max))
        found[named(nbytes)] = statistics.median(times)
    return found


def limit(me, sizes):
    """The memory traffic of an all-reduce, without anybody else's memory."""
    found = {}
    for nbytes in sizes:
        mine, theirs = np.zeros(nbytes // 4, np.float32), np.zeros(nbytes // 4, np.float32)
        parts, others = np.array_split(mine, me.size), np.array_split(theirs, me.size)
        times = []
        for _ in range(repeats(nbytes)):
            me.barrier()
            start = time.perf_counter()
            for part in range(1, me.size):
                np.add(parts[0], others[part], out=parts[0])
            for part in range(1, me.size):
                parts[part][:] = others[part]
            times.append(me.allreduce(time.perf_counter() - start, max))
        found[named(nbytes)] = statistics.median(times)
    return found


def futures(world, sizes):
    """Every array to the client, the sum back to every worker."""
    found = {}
    workers = world._workers
    for nbytes in sizes:
        if nbytes > 64 * MB:
            continue
        x = [world.client.submit(np.zeros, nbytes // 4, np.float32, workers=[w], pure=False)
             for w in workers]
        times = []
        for _ in range(min(5, repeats(nbytes))):
            start = time.perf_counter()
            total = sum(world.client.gather(x))
            back = [world.client.scatter([total], workers=[w], hash=False)[0] for w in workers]
            times.append(time.perf_counter() - start)
            del back
        found[named(nbytes)] = statistics.median(times)
    return found


def main(workers):
    for n in workers:
        with (labkit.cluster(workers=n, deadline_s=600) as world,
              labkit.cluster(workers=n, deadline_s=600, transport="tcp") as tcp):
            def ours(where, what=program, n=n):
                return where.run(what, [SIZES] * n, record=False).results[0]

            ray_sizes = [size for size in SIZES if size <= 64 * MB]
            found = bench.alternate({
                "labkit": partial(ours, world),
                "labkit tcp": partial(ours, tcp),
                "limit": partial(ours, world, limit),
                "gloo": partial(bench.peer, "all_reduce_gloo.py", n, *SIZES),
                "Open MPI": partial(bench.peer, "all_reduce_mpi.py", *SIZES,
                                    launcher=[*MPI, str(n)]),
                "Open MPI tcp": partial(bench.peer, "all_reduce_mpi.py", *SIZES,
                                        launcher=[*MPI, str(n), *TCP]),
                "Ray": partial(bench.peer, "all_reduce_ray.py", n, *ray_sizes),
                "futures": partial(futures, world, SIZES),
            })
        bench.table(f"All-reduce, {n} workers", found, "labkit", scale=1e3, unit="ms")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [2, 4])

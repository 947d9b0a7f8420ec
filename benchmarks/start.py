"""Start of a cluster of 2 and of 4 workers: the first in a process, and later ones.

labkit, Dask's LocalCluster with its defaults, ProcessPoolExecutor, Ray, Spark. Each measurement
is a new process that starts four clusters one after the other, until all workers have answered.

    python benchmarks/start.py [workers ...]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from functools import partial

import bench


def times(start, clusters=4):
    """Return {"first": s, "later": s} of a context manager that waits for its workers."""
    seconds = []
    for _ in range(clusters):
        begin = time.perf_counter()
        with start():
            seconds.append(time.perf_counter() - begin)
    return {"first": seconds[0], "later": statistics.median(seconds[1:])}


def start_labkit(n):
    import labkit

    return labkit.cluster(workers=n)


def start_dask(n):
    from contextlib import ExitStack

    from distributed import Client, LocalCluster

    stack = ExitStack()
    cluster = stack.enter_context(LocalCluster(n_workers=n, threads_per_worker=1,
                                               dashboard_address="127.0.0.1:0"))
    client = stack.enter_context(Client(cluster))
    client.wait_for_workers(n)
    return stack


def start_pool(n):
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(n)
    list(pool.map(time.sleep, [0.01] * n))
    return pool


STARTS = {"labkit": start_labkit, "dask": start_dask, "pool": start_pool}


def in_new_process(kind, n):
    done = subprocess.run([sys.executable, __file__, kind, str(n)], capture_output=True,
                          text=True, timeout=300)
    return json.loads(done.stdout.splitlines()[-1])


def main(workers):
    for n in workers:
        found = bench.alternate({
            "labkit": partial(in_new_process, "labkit", n),
            "LocalCluster": partial(in_new_process, "dask", n),
            "ProcessPoolExecutor": partial(in_new_process, "pool", n),
            "Ray": partial(bench.peer, "start_ray.py", n),
            "Spark": partial(bench.peer, "start_spark.py", n)})
        bench.table(f"Start of {n} workers", found, "labkit")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in STARTS:
        print(json.dumps(times(partial(STARTS[sys.argv[1]], int(sys.argv[2])))))
    else:
        main([int(argument) for argument in sys.argv[1:]] or [2, 4])

"""1 GB of arrays in files, with two workers that may hold 1 GB each.

Sort: 125 million random float64 from 32 files into sorted files. k-means: ten steps over 2.5
million rows of 50 from given centres. labkit's MapReduce, and Dask's own: `sort_values` of a
dataframe by its shuffle of tasks (under this limit the others lose workers), Lloyd's steps written
with dask.array, and dask-ml. Spark has 2 GB: `sort` of a DataFrame from and to uncompressed
parquet, and MLlib's k-means, whose start is random and whose number of steps is the same.

The limits have no framework and no limit of memory. Sort: two processes that sort each block, cut
and write it, then read, sort and write parts. k-means: two processes that only read, and take the
two matrix products of each step.

Processes and sessions are there before the clock starts, and have done the same with less. What
comes out is checked after it has stopped.

    python benchmarks/external.py
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import bench
import numpy as np
from threadpoolctl import threadpool_limits

import labkit
from labkit.models.map_reduce import ArrayFiles
from labkit.models.map_reduce.jobs import kmeans, sort_arrays

FILES, NUMBERS = 32, 125_000_000
ROWS, FEATURES, K, STEPS = 2_500_000, 50, 10, 10
PARTS, BLOCK_ROWS = 16, 1_000_000
SORT, KMEANS = "sort 125 M float64", "k-means 2.5 M x 50, k = 10, 10 steps"
LIMIT = "1GB"


# ---- data


def write_numbers(folder):
    """Write the files to sort; return their paths, and the sum of all."""
    rng, total = np.random.default_rng(0), 0.0
    folder.mkdir()
    for number in range(FILES):
        numbers = rng.random(NUMBERS // FILES)
        np.save(folder / f"{number:02}.npy", numbers)
        total += numbers.sum()
    return sorted(folder.iterdir()), total


def write_rows(folder):
    """Write overlapping groups of rows, and centres to begin with; return the rows' paths."""
    rng = np.random.default_rng(1)
    middles = rng.normal(size=(K, FEATURES))
    folder.mkdir()
    for number in range(FILES):
        groups = rng.integers(K, size=ROWS // FILES)
        np.save(folder / f"{number:02}.npy",
                middles[groups] + rng.normal(size=(len(groups), FEATURES)))
    paths = sorted(folder.iterdir())
    np.save(folder.parent / "centres.npy", np.load(paths[0], mmap_mode="r")[:K])
    return paths


def check_sorted(paths, total):
    """Raise unless the files hold all numbers, in order."""
    n, found, last = 0, 0.0, -np.inf
    for path in paths:
        numbers = np.load(path)
        assert numbers[0] >= last and np.all(numbers[1:] >= numbers[:-1]), "not in order"
        n, found, last = n + len(numbers), found + numbers.sum(), numbers[-1]
    assert n == NUMBERS // FILES * FILES and abs(found - total) < 1e-9 * total, "numbers are lost"


# ---- contenders


def labkit_sort(world, paths, total, out):
    with emptied(out):
        start = time.perf_counter()
        parts, _ = sort_arrays(world, ArrayFiles(paths), folder=out)
        seconds = time.perf_counter() - start
        check_sorted(parts.paths, total)
    return {SORT: seconds}


def labkit_kmeans(world, paths, centres, expected):
    start = time.perf_counter()
    found = kmeans(world, ArrayFiles(paths), centres, max_steps=STEPS)
    seconds = time.perf_counter() - start
    assert found.n_steps == STEPS
    expected["inertia"] = found.inertia
    return {KMEANS: seconds}


def limit_sort(pool, paths, total, out):
    with emptied(out):
        start = time.perf_counter()
        sample = np.sort(np.concatenate([np.load(path, mmap_mode="r")[::4000] for path in paths]))
        bounds = sample[len(sample) * np.arange(1, PARTS) // PARTS]
        cuts = sum(in_two(pool, partial(cut_files, bounds, out), paths), [])
        written = sum(in_two(pool, partial(merge_parts, cuts, out), range(PARTS)), [])
        seconds = time.perf_counter() - start
        check_sorted(sorted(written), total)
    return {SORT: seconds}


def limit_kmeans(pool, paths, centres):
    start = time.perf_counter()
    in_two(pool, partial(products, centres), paths)
    return {KMEANS: time.perf_counter() - start}


def peer(script, work, folder, expected, limit):
    """Run a peer's script in the folder; compare what it found."""
    with emptied(folder / "out"):
        found = bench.peer(script, work, folder, limit)
    if found is None or "failed" in found:
        print(f"  {script} {work}: {found}", file=sys.stderr, flush=True)
        return None
    for name in expected.keys() & found.keys():
        assert np.isclose(found[name], expected[name], rtol=1e-9), f"{script}: a wrong {name}"
    return {SORT if work == "sort" else KMEANS: found["seconds"]}


# ---- two processes


def in_two(pool, task, items):
    """Run a task in two processes, each over half of the items."""
    half = len(items) // 2
    return list(pool.map(task, [items[:half], items[half:]]))


def cut_files(bounds, out, paths):
    """Write sorted blocks; return their paths, and where they are cut."""
    found = []
    for path in paths:
        numbers = np.load(path, mmap_mode="r")
        for first in range(0, len(numbers), BLOCK_ROWS):
            block = np.sort(numbers[first:first + BLOCK_ROWS])
            name = out / f"{Path(path).stem}-{first}.raw"
            block.tofile(name)
            found.append((name, [0, *np.searchsorted(block, bounds), len(block)]))
    return found


def merge_parts(cuts, out, parts):
    written = []
    for part in parts:
        pieces = [np.memmap(name, float, "r")[cut[part]:cut[part + 1]] for name, cut in cuts]
        numbers = np.concatenate(pieces)
        numbers.sort()
        written.append(out / f"part-{part:02}.npy")
        np.save(written[-1], numbers)
    return written


def products(centres, paths):
    buffer = np.empty((1280, FEATURES))
    with threadpool_limits(1):
        for _ in range(STEPS):
            for path in paths:
                rows = np.load(path, mmap_mode="r")
                for first in range(0, len(rows), 1280):
                    block = rows[first:first + 1280]
                    block = np.subtract(block, centres[0], out=buffer[:len(block)])
                    (centres @ block.T) @ block


@contextlib.contextmanager
def emptied(folder):
    """A folder that is empty before and gone after."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        numbers, total = write_numbers(folder / "sort")
        rows = write_rows(folder / "kmeans")
        centres = np.load(folder / "centres.npy")
        counted, found = {"n": NUMBERS // FILES * FILES, "sum": total}, {}
        with (labkit.cluster(workers=2, memory_limit=LIMIT, deadline_s=600) as world,
              ProcessPoolExecutor(2, get_context("spawn")) as pool):
            in_two(pool, len, numbers)
            sort_arrays(world, ArrayFiles(numbers[:4]), folder=folder / "warm")
            kmeans(world, ArrayFiles(rows[:4]), centres, max_steps=1)
            shutil.rmtree(folder / "warm")
            sorts = bench.alternate({
                "labkit": partial(labkit_sort, world, numbers, total, folder / "out"),
                "limit": partial(limit_sort, pool, numbers, total, folder / "out"),
                "Dask": partial(peer, "external_dask.py", "sort", folder, counted, LIMIT),
                "Spark": partial(peer, "external_spark.py", "sort", folder, counted, "2g"),
            })
            steps = bench.alternate({
                "labkit": partial(labkit_kmeans, world, rows, centres, found),
                "limit": partial(limit_kmeans, pool, rows, centres),
                "dask.array": partial(peer, "external_dask.py", "kmeans", folder, found, LIMIT),
                "dask-ml": partial(peer, "external_dask.py", "dask-ml", folder, {}, LIMIT),
                "Spark": partial(peer, "external_spark.py", "kmeans", folder, {}, "2g"),
            })
        bench.table("External sort, seconds", sorts, "labkit")
        bench.table("k-means, seconds", steps, "labkit")


if __name__ == "__main__":
    main()

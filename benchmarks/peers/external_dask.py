"""Sort or k-means by Dask's own means in two workers: work, folder with the data, memory limit.

sort: `sort_values` of a dataframe in partitions of 8 MB by the shuffle of tasks, to .npy files.
With 1 GB a worker the other two shuffles, from peer to peer and through files, lose workers that
are killed for memory, always or now and then. kmeans: Lloyd's steps with dask.array; dask-ml: its
estimator. Each is done with two of the files before the clock starts.
"""

import json
import sys
import time
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from distributed import Client, KilledWorker, LocalCluster

K, STEPS, PARTITION = 10, 10, 1_000_000


def frame_of(piece):
    path, first = piece
    return pd.DataFrame({"x": np.load(path, mmap_mode="r")[first:first + PARTITION]})


def save(frame, path):
    np.save(path, frame["x"].to_numpy())
    return path


def sort(paths, out):
    pieces = [(path, first) for path in paths
              for first in range(0, len(np.load(path, mmap_mode="r")), PARTITION)]
    frame = dd.from_map(frame_of, pieces, meta=pd.DataFrame({"x": np.empty(0)}))
    parts = frame.sort_values("x", shuffle_method="tasks").to_delayed()
    return dask.compute([dask.delayed(save)(part, out / f"part-{number:03}.npy")
                         for number, part in enumerate(parts)])[0]


def checked(paths):
    n, total, last = 0, 0.0, -np.inf
    for path in paths:
        numbers = np.load(path)
        if len(numbers):
            assert numbers[0] >= last and np.all(numbers[1:] >= numbers[:-1]), "not in order"
            n, total, last = n + len(numbers), total + numbers.sum(), numbers[-1]
    return {"n": n, "sum": total}


def rows_of(paths):
    shape = np.load(paths[0], mmap_mode="r").shape
    return da.concatenate([da.from_delayed(dask.delayed(np.load)(path), shape, float)
                           for path in paths])


def lloyd(X, centres, steps):
    for _ in range(steps):
        scores = X @ centres.T - (centres**2).sum(axis=1) / 2
        nearest = scores.argmax(axis=1)
        members = (nearest[:, np.newaxis] == np.arange(K)).astype(float)
        sums, counts, inertia = dask.compute(members.T @ X, members.sum(axis=0),
                                             (X**2).sum() - 2 * scores.max(axis=1).sum())
        centres = sums / counts[:, np.newaxis]
    return {"inertia": float(inertia)}


def dask_ml(X, centres, steps):
    from dask_ml.cluster import KMeans

    found = KMeans(K, init=centres, max_iter=steps, tol=0).fit(X)
    assert found.n_iter_ == steps
    return {}


def main(work, folder, limit):
    with (LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=limit, host="127.0.0.1",
                       dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
          Client(cluster)):
        if work == "sort":
            paths = sorted((folder / "sort").glob("*.npy"))
            checked(sort(paths[:2], folder / "out"))
            start = time.perf_counter()
            written = sort(paths, folder / "out")
            seconds = time.perf_counter() - start
            found = checked(written)
        else:
            paths, centres = sorted((folder / "kmeans").glob("*.npy")), np.load(
                folder / "centres.npy")
            fit = lloyd if work == "kmeans" else dask_ml
            fit(rows_of(paths[:2]), centres, 2)
            start = time.perf_counter()
            found = fit(rows_of(paths), centres, STEPS)
            seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, **found}), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
    except KilledWorker as error:
        print(json.dumps({"failed": str(error)[:200]}), flush=True)

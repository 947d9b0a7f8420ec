"""Logistic regression by dask-ml on two Dask workers: solver "lbfgs", data persisted.

Folder with the data, strength of the penalty. The steps needed are found once and kept there.

The column of ones is part of the data, because dask-ml appends it anew at each evaluation, and
cannot do so to sparse data at all. Sparse data are `sparse.COO`: with SciPy's matrices dask-glm
fails, and Dask does not know the size of a `sparse.GCXS`. COO are transposed anew at each
evaluation, which takes most of its time. The intercept is penalised too, which the objective
below repeats.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import dask.array as da
import dask_glm.algorithms
import numpy as np
import scipy.optimize
import scipy.sparse
import sparse
from dask_ml.linear_model import LogisticRegression
from distributed import Client, LocalCluster, wait

WORKS = {"dense 200,000 x 100": "dense", "sparse 100,000 x 20,000": "sparse"}
CLOSE = 1e-6


def load(folder, name):
    """Return the data with a column of ones, and y."""
    y = np.load(folder / f"{name}-y.npy").astype(float)
    if name == "sparse":
        X = scipy.sparse.load_npz(folder / f"{name}.npz")
        return scipy.sparse.hstack([X, np.ones((len(y), 1))], "csr"), y
    X = np.load(folder / f"{name}.npy")
    return np.column_stack([X, np.ones(len(y))]), y


def part_of(folder, name, part, n):
    X, y = load(folder, name)
    rows = np.array_split(np.arange(len(y)), n)[part]
    X, y = X[rows], y[rows]
    return sparse.COO.from_scipy_sparse(X) if name == "sparse" else X, y


def placed(client, folder, name, columns):
    """Return X and y as dask arrays, one chunk in each worker's memory."""
    places = list(client.scheduler_info(n_workers=-1)["workers"])
    parts = [client.submit(part_of, folder, name, k, len(places), workers=[place])
             for k, place in enumerate(places)]
    Xs, ys = ([client.submit(lambda part, i=i: part[i], part) for part in parts] for i in (0, 1))
    wait(Xs + ys)
    rows = client.gather([client.submit(len, y) for y in ys])
    like = sparse.zeros((0, 0)) if name == "sparse" else np.empty((0, 0))
    X = [da.from_delayed(x, (n, columns), float, like) for x, n in zip(Xs, rows, strict=True)]
    y = [da.from_delayed(y, (n,), float) for y, n in zip(ys, rows, strict=True)]
    return da.concatenate(X).persist(), da.concatenate(y).persist()


def weights_on_the_way(fit):
    """Return the weights after each step of a long fit; dask-glm only gives the last ones."""
    history, solver = [], scipy.optimize.fmin_l_bfgs_b
    dask_glm.algorithms.fmin_l_bfgs_b = partial(
        solver, callback=lambda w: history.append(w.copy()))
    fit(300)
    dask_glm.algorithms.fmin_l_bfgs_b = solver
    return history


def main(folder, reg):
    state, found = folder / "dask.json", {}
    steps = json.loads(state.read_text()) if state.exists() else {}
    with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0",
                       memory_limit=None) as cluster, Client(cluster) as client):
        for name, short in WORKS.items():
            here, labels = load(folder, short)
            X, y = placed(client, folder, short, here.shape[1])

            def fit(k, X=X, y=y):
                model = LogisticRegression(
                    solver="lbfgs", C=1 / (reg * len(y)), tol=0, max_iter=k,
                    fit_intercept=False, solver_kwargs={"normalize": False})
                return model.fit(X, y).coef_

            def loss(w, here=here, labels=labels):
                margins = here @ w
                return np.mean(np.logaddexp(0, margins) - labels * margins) + reg / 2 * (w @ w)

            if name not in steps:
                losses = np.array([loss(w) for w in weights_on_the_way(fit)])
                steps[name] = 1 + int(np.argmax(losses - losses[-1] <= CLOSE * losses[-1]))
            fit(3)                                   # to warm up
            start = time.perf_counter()
            fit(steps[name])
            found[name] = time.perf_counter() - start
    state.write_text(json.dumps(steps))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))

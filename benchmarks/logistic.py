"""Logistic regression with an L2 penalty to within 1e-6 of the optimum.

Dense 200,000 x 100 and sparse 100,000 x 20,000 with 50 values a row. labkit peer to peer on two
workers, scikit-learn in one process, torch with gloo in two processes (L-BFGS, all-reduced
gradients), dask-ml on two Dask workers (solver "lbfgs"), Spark MLlib on two cores: cold (the
first fit of a session) and warm (the third). Data are in memory before any fit: loading them is
not timed, nor is the start of Spark's session, which is in start.py. Every contender first runs
to its own optimum, then counts the steps that it needs to come within 1e-6 of it; those steps
are timed. The limit is the passes over the data that labkit makes, alone, on both workers at
once.

    python benchmarks/logistic.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import bench
import numpy as np
import scipy.sparse

import labkit
from labkit.datasets import classification
from labkit.learning.logistic import Local, Settings, drive
from labkit.models import peer_to_peer

WORKS = {"dense 200,000 x 100": dict(n_rows=200_000, n_features=100),
         "sparse 100,000 x 20,000": dict(n_rows=100_000, n_features=20_000, density=50 / 20_000)}
REG, CLOSE = 1e-3, 1e-6
# On the original scale, as scikit-learn's and torch's penalty is.
OBJECTIVE = dict(reg_param=REG, standardization=False)


def steps_needed(history):
    """Return the first step whose loss is within 1e-6 of the last one's."""
    history = np.asarray(history)
    return int(np.argmax(history - history[-1] <= CLOSE * abs(history[-1])))


def train(me, X, y, settings):
    me.barrier()
    start = time.perf_counter()
    fit = peer_to_peer.train(me, Local(X, y), partial(drive, settings=settings))
    return me.allreduce(time.perf_counter() - start, max), fit


def passes(me, X, y, count):
    """Seconds for so many evaluations on this shard, while the others do the same."""
    local, weights = Local(X, y), np.zeros((1, X.shape[1] + 1))
    question = "objective", (np.array([0, 1]), weights)
    local.answer(*question)
    me.barrier()
    start = time.perf_counter()
    for _ in range(count):
        local.answer(*question)
    return me.allreduce(time.perf_counter() - start, max)


class Labkit:
    """labkit's contenders; each work's data stays on the workers."""

    def __init__(self, world, data):
        self.world, self.shards, self.steps = world, {}, {}
        for work, (X, y) in data.items():
            self.shards[work] = world.shard(X, y)
            _, fit = self.run(work, Settings(**OBJECTIVE, max_iter=300, tol=1e-11))
            self.steps[work] = steps_needed(fit.loss_history)
            _, fit = self.timed(work)
            print(f"  {work}: {self.steps[work]} steps, {fit.n_evaluations} evaluations",
                  file=sys.stderr)

    def run(self, work, settings):
        n = self.world.workers
        return self.world.run(train, *self.shards[work], [settings] * n, record=False).results[0]

    def timed(self, work):
        return self.run(work, Settings(**OBJECTIVE, max_iter=self.steps[work], tol=0))

    def fits(self):
        return {work: self.timed(work)[0] for work in self.shards}

    def limits(self):
        found = {}
        for work, shards in self.shards.items():
            count = self.timed(work)[1].n_evaluations
            found[work] = self.world.run(passes, *shards, [count] * self.world.workers,
                                         record=False).results[0]
        return found


class Spark:
    """A session for each work and round, which is timed cold and warm."""

    def __init__(self, folder):
        self.session = partial(bench.peer, "logistic_spark.py", folder, REG)
        self.steps, self.found = {}, {}

    def cold(self):
        for work in WORKS:
            name = work.split()[0]
            if work not in self.steps:
                self.steps[work] = (self.session(name) or {}).get("steps")
            if self.steps[work]:
                self.found[work] = self.session(name, self.steps[work])
        return self.times("cold")

    def warm(self):
        return self.times("warm")

    def times(self, kind):
        return {work: found[kind] for work, found in self.found.items()}


def store(folder):
    """Write each work's data where the peers find it; return it as dask arrays too."""
    data = {}
    for work, options in WORKS.items():
        X, y = classification(seed=1, **options)
        data[work] = X, y
        blocks = [block.compute() for block in X.to_delayed().ravel()]
        name = work.split()[0]
        if "density" in options:
            scipy.sparse.save_npz(folder / f"{name}.npz", scipy.sparse.vstack(blocks, "csr"),
                                  compressed=False)
        else:
            np.save(folder / f"{name}.npy", np.concatenate(blocks))
        np.save(folder / f"{name}-y.npy", y.compute())
    return data


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        data = store(folder)
        with labkit.cluster(workers=2, deadline_s=600) as world:
            ours, spark = Labkit(world, data), Spark(folder)
            here = [sys.executable, __file__, "sklearn", str(folder)]

            def sklearn():
                done = subprocess.run(here, capture_output=True, text=True, check=True)
                return json.loads(done.stdout.splitlines()[-1])

            found = bench.alternate({
                "labkit": ours.fits, "limit": ours.limits, "scikit-learn": sklearn,
                "torch gloo": partial(bench.peer, "logistic_torch.py", folder, REG),
                "dask-ml": partial(bench.peer, "logistic_dask.py", folder, REG),
                "Spark cold": spark.cold, "Spark warm": spark.warm,
            })
        bench.table("Logistic regression, 2 workers", found, "labkit")


def sklearn_once(folder):
    """Fit each work once, with the steps that the first call has found."""
    state = folder / "sklearn.json"
    from sklearn.linear_model import LogisticRegression

    steps = json.loads(state.read_text()) if state.exists() else {}
    found = {}
    for work in WORKS:
        name = work.split()[0]
        X = (scipy.sparse.load_npz(folder / f"{name}.npz") if name == "sparse"
             else np.load(folder / f"{name}.npy"))
        y = np.load(folder / f"{name}-y.npy")

        def fit(k, X=X, y=y):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                model = LogisticRegression(C=1 / (REG * len(y)), tol=1e-12, max_iter=k).fit(X, y)
            margins = X @ model.coef_[0] + model.intercept_[0]
            loss = np.mean(np.logaddexp(0, margins) - y * margins)
            return time.perf_counter() - start, loss + REG / 2 * np.sum(model.coef_**2)

        if work not in steps:
            best = fit(300)[1]
            steps[work] = next(k for k in range(4, 200) if fit(k)[1] - best <= CLOSE * best)
        found[work] = fit(steps[work])[0]
    state.write_text(json.dumps(steps))
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:2] == ["sklearn"]:
        sklearn_once(Path(sys.argv[2]))
    else:
        main()

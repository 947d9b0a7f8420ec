"""How near the calibrated virtual clock comes to what two real workers take.

Each round calibrates the cluster anew, measures, and simulates the same programs with their own
code timed: all-reduce of five sizes, a parameter server of three (one server, one worker), word
count and logistic regression by MapReduce. An error is simulated over measured seconds, less 1;
the mark is 25% on a quiet machine.

    python benchmarks/prediction.py
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import bench
import numpy as np
import word_count

import labkit
from labkit.models.map_reduce import TextFiles, jobs
from labkit.models.map_reduce.jobs.logistic import logistic_regression
from labkit.models.master_worker import parameter_server

REPEATS = 5
# Of each program, by size: about 0.2 s. Processes that have just begun to talk may share a core.
ROUNDS = {100: 5000, 10_000: 2000, 100_000: 500, 1_000_000: 60, 4_000_000: 20}
STEPS = {1000: 1500, 100_000: 400, 1_000_000: 40}


def all_reduce(me, size):
    x = np.ones(size)
    for _ in range(ROUNDS[size]):
        total = me.allreduce(x)
    return total[0]


def server(me, size):
    settings = parameter_server.Settings(steps=STEPS[size], learning_rate=0.1)
    found = parameter_server.train(me, lambda w, step: 0.5 * w + 1, np.zeros(size), settings)
    return None if found is None else found.parameters[:3]


def words(world, paths):
    return jobs.word_count(world, TextFiles(paths))[0]


def logistic(world, X, y):
    return logistic_regression(world, *world.shard(X, y))[0].coef


def predictions(world, paths, data):
    """Return {work: (measured, simulated) seconds} of one round."""
    calibration = labkit.calibrate(world)
    found = {}
    for name, program, arrays, options in (
            ("all-reduce", all_reduce, (), dict(size=list(ROUNDS))),
            ("parameter server", server, (), dict(size=list(STEPS))),
            ("word count", words, (paths,), dict(how="call")),
            ("logistic regression", logistic, data, dict(how="call"))):
        measured = labkit.sweep(program, world, *arrays, repeats=REPEATS, **options)
        predicted = labkit.predict(measured, program, calibration, *arrays, repeats=REPEATS,
                                   **options)
        for one, (settings, error) in zip(measured, predicted.errors):
            size = f", {8 * settings['size']:,} bytes" if "size" in settings else ""
            found[name + size] = one.median_s, one.median_s * (1 + error)
    return found


def main():
    word_count.WORDS_A_FILE = 1_000_000
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200_000, 50))
    data = X, (rng.random(len(X)) < 1 / (1 + np.exp(-X[:, 0]))).astype(float)
    with tempfile.TemporaryDirectory() as folder, labkit.cluster(workers=2) as world:
        paths = word_count.write_text(Path(folder))[:8]
        rounds = [predictions(world, paths, data) for _ in range(bench.ROUNDS)]
    print(f"\nPredicted seconds of two workers  ({bench.machine()})\n")
    print("| work | measured | simulated | error | least | most |")
    print("|---|---|---|---|---|---|")
    for work in rounds[0]:
        errors = sorted(100 * (s / m - 1) for m, s in (one[work] for one in rounds))
        medians = [statistics.median(one[work][i] for one in rounds) for i in (0, 1)]
        print(f"| {work} | {medians[0]:.3g} | {medians[1]:.3g} | {statistics.median(errors):+.0f}% "
              f"| {errors[0]:+.0f}% | {errors[-1]:+.0f}% |")


if __name__ == "__main__":
    main()

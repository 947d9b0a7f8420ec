"""Logistic regression by Spark MLlib on two cores, data cached, after a fit to warm up.

Folder with the data, strength of the penalty. The steps needed are found once and kept there.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.linalg import Vectors
from pyspark.sql import Row, SparkSession

WORKS = {"dense 200,000 x 100": "dense", "sparse 100,000 x 20,000": "sparse"}
CLOSE = 1e-6


def rows_of(folder, name, part, n):
    y = np.load(folder / f"{name}-y.npy")
    mine = np.array_split(np.arange(len(y)), n)[part]
    if name == "sparse":
        X = scipy.sparse.load_npz(folder / f"{name}.npz")
        for i in mine:
            row = slice(X.indptr[i], X.indptr[i + 1])
            yield Row(label=float(y[i]), features=Vectors.sparse(
                X.shape[1], X.indices[row].tolist(), X.data[row].tolist()))
    else:
        X = np.load(folder / f"{name}.npy", mmap_mode="r")
        for i in mine:
            yield Row(label=float(y[i]), features=Vectors.dense(X[i]))


def main(folder, reg):
    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
             .config("spark.driver.memory", "8g")
             .config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.host", "127.0.0.1").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    state, found = folder / "spark.json", {}
    steps = json.loads(state.read_text()) if state.exists() else {}
    for name, short in WORKS.items():
        frame = (spark.sparkContext.parallelize(range(2), 2)
                 .flatMap(lambda part, short=short: rows_of(folder, short, part, 2))
                 .toDF().cache())
        frame.count()

        def fit(k, frame=frame):
            return LogisticRegression(regParam=reg, maxIter=k, tol=0.0,
                                      standardization=False).fit(frame)

        if name not in steps:
            history = np.array(fit(200).summary.objectiveHistory)
            steps[name] = int(np.argmax(history - history[-1] <= CLOSE * history[-1]))
        fit(3)
        start = time.perf_counter()
        fit(steps[name])
        found[name] = time.perf_counter() - start
        frame.unpersist()
    state.write_text(json.dumps(steps))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))

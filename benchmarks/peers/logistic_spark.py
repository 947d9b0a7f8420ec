"""Logistic regression by Spark MLlib on two cores, data cached: the first fit of a session, the
third one.

Folder with the data, strength of the penalty, "dense" or "sparse", and the steps to do; without
them, the steps needed are found.
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


def main(folder, reg, name, steps=None):
    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
             .config("spark.driver.memory", "8g")
             .config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.host", "127.0.0.1").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    frame = (spark.sparkContext.parallelize(range(2), 2)
             .flatMap(lambda part: rows_of(folder, name, part, 2)).toDF().cache())
    frame.count()

    def fit(k):
        return LogisticRegression(regParam=reg, maxIter=k, tol=0.0,
                                  standardization=False).fit(frame)

    if steps is None:
        history = np.array(fit(200).summary.objectiveHistory)
        return {"steps": int(np.argmax(history - history[-1] <= CLOSE * history[-1]))}
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        fit(steps)
        seconds.append(time.perf_counter() - start)
    return {"cold": seconds[0], "warm": seconds[-1]}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3],
                          *map(int, sys.argv[4:]))), flush=True)

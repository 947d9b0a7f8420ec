"""Sort or k-means by Spark on two cores: work, folder with the data, memory of the driver.

Parquet is made of the .npy files once, before the clock starts. sort: a DataFrame, from and to
uncompressed parquet. kmeans: MLlib, which takes no centres to begin with: random ones.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.clustering import KMeans
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession

K, STEPS = 10, 10


def to_parquet(folder, work):
    """Return the folder of parquet files, made of the .npy files if it is not there."""
    target = folder / f"{work}-parquet"
    if not target.exists():
        draft = folder / f"{work}-draft"
        draft.mkdir()
        for path in sorted((folder / work).glob("*.npy")):
            rows = np.load(path)
            values = pa.array(rows.ravel())
            if rows.ndim == 2:
                values = pa.FixedSizeListArray.from_arrays(values, rows.shape[1]).cast(
                    pa.list_(pa.float64()))
            pq.write_table(pa.table({"x": values}), draft / f"{path.stem}.parquet",
                           compression="none", use_dictionary=False)
        draft.rename(target)
    return target


def sort(spark, paths, out):
    frame = spark.read.parquet(*map(str, paths))
    frame.sort("x").write.mode("overwrite").option("compression", "none").parquet(str(out))


def checked(out):
    n, total, last = 0, 0.0, -np.inf
    for path in sorted(out.glob("part-*.parquet")):
        numbers = pq.read_table(path)["x"].to_numpy()
        assert numbers[0] >= last and np.all(numbers[1:] >= numbers[:-1]), "not in order"
        n, total, last = n + len(numbers), total + numbers.sum(), numbers[-1]
    return {"n": n, "sum": total}


def fit(spark, paths, steps):
    frame = spark.read.parquet(*map(str, paths)).select(array_to_vector("x").alias("features"))
    found = KMeans(k=K, initMode="random", seed=0, maxIter=steps, tol=0.0).fit(frame)
    assert found.summary.numIter == steps


def main(work, folder, memory):
    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
             .config("spark.driver.memory", memory).config("spark.local.dir", folder / "spark")
             .config("spark.sql.shuffle.partitions", "16")
             .config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.host", "127.0.0.1").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    paths = sorted(to_parquet(folder, work).glob("*.parquet"))
    found = {}
    if work == "sort":
        sort(spark, paths[:2], folder / "out")
    else:
        fit(spark, paths[:2], 2)
    start = time.perf_counter()
    if work == "sort":
        sort(spark, paths, folder / "out")
    else:
        fit(spark, paths, STEPS)
    seconds = time.perf_counter() - start
    if work == "sort":
        found = checked(folder / "out")
    print(json.dumps({"seconds": seconds, **found}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])

"""A worker killed half-way under Spark: folder with the data, workers, jobs.

Spark's master "local-cluster" starts a JVM an executor, which may be lost, unlike the one of
"local". farm: an RDD with a slice a task. train: a cached RDD with a slice a worker, and
`treeAggregate` in each of 40 steps, which take it longer than others take for 200: its cache is in
the JVM, and each step brings a part to Python. Spark reads again what was cached in an executor
that is lost. Killed is an executor's JVM. The end of a Python process that runs its tasks costs
less than two runs without a kill differ.
"""

import json
import os
import sys
import time
from functools import partial
from operator import add

import numpy as np
import psutil
import pyspark
import recovery_jobs as jobs
from pyspark.sql import SparkSession


def session(n):
    os.environ["SPARK_HOME"] = os.path.dirname(pyspark.__file__)
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (SparkSession.builder.master(f"local-cluster[{n},1,1024]")
             .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
             .config("spark.driver.bindAddress", "127.0.0.1")
             .config("spark.driver.host", "127.0.0.1").getOrCreate())
    spark.sparkContext.setLogLevel("OFF")
    spark.sparkContext.addPyFile(jobs.__file__)
    return spark


class Cluster:
    def __init__(self, context, n):
        self.context, self.n = context, n

    def ready(self, cached=None):
        """Wait for all executors; return a function that finds one."""
        until = time.monotonic() + 60
        while self.context._jsc.sc().getExecutorMemoryStatus().size() <= self.n:
            assert time.monotonic() < until, "an executor has not come back"
            time.sleep(0.1)
        self.context.parallelize(range(16 * self.n), 16 * self.n).map(jobs.task).collect()
        if cached is not None:
            cached.count()
        return self.find

    def find(self):
        return next(process.pid for process in psutil.Process().children(recursive=True)
                    if any("ExecutorBackend" in word for word in process.cmdline()))

    def farm(self):
        return self.context.parallelize(range(jobs.N_TASKS), jobs.N_TASKS).map(jobs.task).collect()


def train(rdd):
    def total(w, step):
        return rdd.treeAggregate(np.zeros(jobs.COLUMNS),
                                 lambda sofar, part: sofar + jobs.gradient(*part, w), add)

    return jobs.descend(total, steps=jobs.FEW)


def main(folder, n, *wanted):
    spark, found = session(n), {}
    cluster = Cluster(spark.sparkContext, n)
    cluster.ready()
    cluster.farm()                           # the first in a JVM takes half as long again
    if "farm" in wanted:
        found["farm"] = {"Spark": jobs.compare(cluster.farm, cluster.ready, jobs.farm_is_right)}
    if "train" in wanted:
        rdd = cluster.context.parallelize(range(n), n).map(
            lambda part: jobs.part_of(folder, part, n)).cache()
        found["train"] = {"Spark, 40 steps": jobs.compare(
            partial(train, rdd), partial(cluster.ready, rdd),
            partial(jobs.training_is_right, folder, steps=jobs.FEW))}
    print(json.dumps(found), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])

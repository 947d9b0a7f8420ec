"""Start Spark until a task on each of n cores has answered, twice: first, later."""

import json
import sys
import time

begin = time.perf_counter()
from pyspark.sql import SparkSession  # noqa: E402

n, seconds = int(sys.argv[1]), []
for _ in range(2):
    session = (SparkSession.builder.master(f"local[{n}]").config("spark.ui.enabled", "false")
               .config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.driver.host", "127.0.0.1").getOrCreate())
    session.sparkContext.setLogLevel("ERROR")
    session.sparkContext.parallelize(range(n), n).map(lambda x: x + 1).collect()
    seconds.append(time.perf_counter() - begin)
    session.stop()
    begin = time.perf_counter()
print(json.dumps({"first": seconds[0], "later": seconds[1]}))

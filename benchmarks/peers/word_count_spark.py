"""Word count by Spark's DataFrame on two cores, warm, counts collected: a folder of .txt files."""

import json
import sys
import time

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

session = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
           .config("spark.driver.memory", "6g").config("spark.sql.shuffle.partitions", "2")
           .config("spark.driver.bindAddress", "127.0.0.1")
           .config("spark.driver.host", "127.0.0.1").getOrCreate())
session.sparkContext.setLogLevel("ERROR")


def count(paths):
    lines = session.read.text(paths)
    words = lines.select(F.explode(F.split("value", r"\s+")).alias("word"))
    rows = words.where("word != ''").groupBy("word").count().collect()
    return {row["word"]: row["count"] for row in rows}


count(f"{sys.argv[1]}/0.txt")
start = time.perf_counter()
counts = count(f"{sys.argv[1]}/*.txt")
print(json.dumps({"dataframe": time.perf_counter() - start}), flush=True)

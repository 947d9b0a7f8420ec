"""Word count by Spark on two cores, warm, by DataFrame and by RDD, counts collected.

A folder of .txt files, with the counts expected in expected.json.
"""

import json
import sys
import time
from operator import add
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

session = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
           .config("spark.driver.memory", "6g").config("spark.sql.shuffle.partitions", "2")
           .config("spark.driver.bindAddress", "127.0.0.1")
           .config("spark.driver.host", "127.0.0.1").getOrCreate())
session.sparkContext.setLogLevel("ERROR")


def dataframe(paths):
    lines = session.read.text(paths)
    words = lines.select(F.explode(F.split("value", r"\s+")).alias("word"))
    rows = words.where("word != ''").groupBy("word").count().collect()
    return {row["word"]: row["count"] for row in rows}


def rdd(paths):
    lines = session.sparkContext.textFile(paths)
    pairs = lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(add)
    return dict(pairs.collect())


expected, seconds = json.loads(Path(sys.argv[1], "expected.json").read_text()), {}
for count in (dataframe, rdd):
    count(f"{sys.argv[1]}/0.txt")
    start = time.perf_counter()
    counts = count(f"{sys.argv[1]}/*.txt")
    seconds[count.__name__] = time.perf_counter() - start
    assert counts == expected, "these counts are wrong"
print(json.dumps(seconds), flush=True)

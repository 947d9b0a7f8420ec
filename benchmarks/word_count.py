"""Counting the words of 200 MB of text in 16 files, with the counts in hand at the end.

labkit's MapReduce on two workers, Counter in a pool of two processes, one Python process, Spark's
DataFrame and RDD on two cores (warm: a file has been counted before), dask.bag on the same two
workers as labkit (a partition a file, which is its default), and a C program with a hash table in
two processes. All count all of the text, and their counts are checked. The text is drawn from a
Zipf distribution with a seed. Values are million words a second; the C program is the limit.

    python benchmarks/word_count.py
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import bench
import numpy as np

import labkit
from labkit.models.map_reduce import TextFiles
from labkit.models.map_reduce.jobs import word_count

FILES, WORDS_A_FILE, VOCABULARY = 16, 2_250_000, 100_000
WORK = "200 MB in 16 files"


def write_text(folder):
    """Write the files; return their paths."""
    rng = np.random.default_rng(0)
    letters = np.frombuffer(b"etaoinshrdlcumwfgypbvkjxqz", np.uint8)
    lengths = np.minimum(1 + rng.poisson(3.7, VOCABULARY) + (np.arange(VOCABULARY) > 1000), 16)
    words = np.array([bytes(letters[np.minimum(rng.geometric(0.12, n) - 1, 25)])
                      for n in lengths], dtype=object)
    ranks = 1 / np.arange(1, VOCABULARY + 1)
    cumulative = np.cumsum(ranks / ranks.sum())
    paths = []
    for number in range(FILES):
        chosen = words[np.searchsorted(cumulative, rng.random(WORDS_A_FILE))]
        paths.append(folder / f"{number}.txt")
        with open(paths[-1], "wb") as file:
            for line in range(0, WORDS_A_FILE, 12):
                file.write(b" ".join(chosen[line:line + 12]) + b"\n")
    return paths


def count_file(path):
    return Counter(Path(path).read_bytes().split())


def labkit_counts(world, paths):
    return word_count(world, TextFiles(paths))[0]


def pool_counts(paths):
    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(count_file, paths), Counter())


def one_process(paths):
    return sum(map(count_file, paths), Counter())


def bag_counts(world, paths):
    import dask.bag

    bag = dask.bag.read_text([str(path) for path in paths], blocksize=None)
    counts = bag.str.split().flatten().frequencies()
    # The bag's words are str.
    return {word.encode(): n for word, n in world.client.compute(counts).result()}


def c_counts(program, paths):
    """Run the C program twice at once, on half of the files each, and add up what it prints."""
    halves = [subprocess.Popen([program, *map(str, paths[part::2])], stdout=subprocess.PIPE)
              for part in range(2)]
    total = Counter()
    for process in halves:
        for line in process.communicate()[0].splitlines():
            word, _, count = line.rpartition(b" ")
            total[word] += int(count)
    return total


def rate(count, expected):
    """Return million words a second of `count()`, which must be right."""
    start = time.perf_counter()
    counts = count()
    seconds = time.perf_counter() - start
    assert dict(counts) == expected, "these counts are wrong"
    return {WORK: sum(expected.values()) / seconds / 1e6}


class Spark:
    """A session for each round, which counts by DataFrame and by RDD."""

    def __init__(self, folder, expected):
        self.folder, self.n_words, self.seconds = folder, sum(expected.values()), {}
        words = {word.decode(): n for word, n in expected.items()}
        (Path(folder) / "expected.json").write_text(json.dumps(words))

    def dataframe(self):
        self.seconds = bench.peer("word_count_spark.py", self.folder) or {}
        return self.rate("dataframe")

    def rdd(self):
        return self.rate("rdd")

    def rate(self, kind):
        return {WORK: self.n_words / self.seconds[kind] / 1e6} if self.seconds else None


def main():
    with tempfile.TemporaryDirectory() as folder:
        paths = write_text(Path(folder))
        program = Path(folder) / "count"
        subprocess.run(["cc", "-O2", "-o", program, Path(__file__).parent / "peers/word_count.c"],
                       check=True)
        expected = dict(one_process(paths))
        spark = Spark(folder, expected)
        with labkit.cluster(workers=2, deadline_s=600) as world:
            measure = partial(rate, expected=expected)
            found = bench.alternate({
                "labkit": partial(measure, partial(labkit_counts, world, paths)),
                "limit (C)": partial(measure, partial(c_counts, program, paths)),
                "Counter, pool": partial(measure, partial(pool_counts, paths)),
                "Counter, one process": partial(measure, partial(one_process, paths)),
                "dask.bag": partial(measure, partial(bag_counts, world, paths)),
                "Spark DataFrame": spark.dataframe, "Spark RDD": spark.rdd,
            })
        bench.table("Word count, million words a second", found, "labkit", unit="M/s",
                    faster="high")


if __name__ == "__main__":
    main()

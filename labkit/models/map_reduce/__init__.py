"""MapReduce: say what happens to one item and to one key; the scheduler does the rest.

    small      map_reduce: every pair passes through the caller; for few pairs
    training   train: each of a driver's questions is one small job

    job        Job: partition, shuffle between the workers, sort, skew, budget of memory
    tasks      what each of its tasks does
    shuffle    two maps, and a transposition between them
    keys       to which reducer a key goes: by hash or by range
    skew       a sample of the keys: heavy ones, and quantiles
    spill      groups that outgrow the memory they may have go to disk
    buckets    groups of rows that wait on disk until they are fetched
    text       files cut into ranges of whole lines
    arrays     .npy files cut into ranges of rows
    words      counting the words of a text with arrays
    backup     when a late task gets a second attempt
    streaming  any executables as mapper and reducer
    jobs/      word count, inverted index, sort, join, k-means, logistic regression

Tasks are stateless: any worker can run any of them, twice if need be, so a lost one is run
again. Source: Dean and Ghemawat, "MapReduce: simplified data processing on large clusters",
OSDI 2004.
"""

from labkit.models.map_reduce.arrays import ArrayFiles
from labkit.models.map_reduce.job import Job, Outcome
from labkit.models.map_reduce.small import map_reduce
from labkit.models.map_reduce.text import TextFiles
from labkit.models.map_reduce.training import train

__all__ = ["ArrayFiles", "Job", "Outcome", "TextFiles", "map_reduce", "train"]

"""Jobs that every MapReduce system is judged by.

    texts      word_count, by arrays; inverted_index
    tables     sort, in total order; join of two sources
    arrays     sort_arrays: numbers, or rows of them, that fit in no memory
    kmeans     one job a step
    logistic   logistic_regression, one job a question; import it from there, because workers
               that count words need not import what learns
"""

from labkit.models.map_reduce.jobs.arrays import sort_arrays
from labkit.models.map_reduce.jobs.kmeans import kmeans
from labkit.models.map_reduce.jobs.tables import join, sort
from labkit.models.map_reduce.jobs.texts import inverted_index, word_count

__all__ = ["inverted_index", "join", "kmeans", "sort", "sort_arrays", "word_count"]

"""Training by MapReduce: each question of the driver is one small job over all shards.

    drive(ask)   ask("gradient", w) --map_reduce--> shard 0: answer --+
                                                    shard 1: answer --+-- op --> the answer
                 ask("gradient", w) --map_reduce--> ...

Nothing is kept between questions: each job starts from nothing but its shards and the question,
so that any task can run again on any worker. Source: Chu et al., "Map-Reduce for machine
learning on multicore", NIPS 2006.
"""

from __future__ import annotations

import functools
from functools import partial

import numpy as np

from labkit.models.map_reduce.small import map_reduce
from labkit.sharding import zipped
from labkit.world import check_shards


def train(world, make_local, drive, *shards):
    """Run `drive` here; each of its questions is one MapReduce job over the shards.

    Parameters
    ----------
    world : World
    make_local : callable
        ``make_local(*parts)`` returns an object with `answer(question, value)` and
        `work(question)`. Called anew in every task: nothing is kept between questions.
    drive : callable
        ``drive(ask)``.
    *shards : Shards
        From one call of `world.shard`.

    Returns
    -------
    result : object
        What `drive` returns.
    runs : list of Run
        One for each question.
    """
    check_shards(shards, world.workers)          # zipping would leave out what has no partner
    items = zipped(*shards)
    runs = []

    def ask(question, value=None, op=np.add):
        answers, jobs = map_reduce(
            world, partial(_answer, make_local, question, value), partial(_fold, op), items,
            n_reducers=0, work=lambda item: make_local(*item).work(question))
        runs.extend(jobs)
        return answers[question]

    return drive(ask), runs


def _answer(make_local, question, value, item):
    yield question, make_local(*item).answer(question, value)


def _fold(op, key, answers):
    return functools.reduce(op, answers)

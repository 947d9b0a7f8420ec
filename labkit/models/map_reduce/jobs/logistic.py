"""Logistic regression, each question of whose optimiser is a job over the shards.

    drive(ask)   ask("gradient", w)   --> shard 0: Local(X, y).answer --+
                                      --> shard 1: Local(X, y).answer --+-- add --> gradient

`LogisticRegression(model="map_reduce", world=world)` wraps this in scikit-learn's manner.
Source: Chu et al., "Map-Reduce for machine learning on multicore", NIPS 2006.
"""

from __future__ import annotations

from functools import partial

from labkit.learning.logistic import Local, Settings, drive
from labkit.models.map_reduce.training import train


def logistic_regression(world, X, y, settings=None):
    """Fit a logistic regression; each question of its optimiser is a job.

    Parameters
    ----------
    world : World
    X, y : Shards
        From one call of `world.shard`.
    settings : labkit.learning.logistic.Settings, optional

    Returns
    -------
    fit : labkit.learning.logistic.Fit
    runs : list of Run
        One for each question.
    """
    return train(world, Local, partial(drive, settings=settings or Settings()), X, y)

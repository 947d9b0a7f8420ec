"""A sample of the keys says where the work will be.

    keys      a a a a a a b c d e      n = 2 reducers
    heavy     a: 60% of the pairs      more than half a reducer's share: its values are split
    slices    a0 -> reducer 1, a1 -> reducer 0, and a second step combines the two results
    bounds    c                        quantiles: keys below c to reducer 0, the rest to 1

One heavy key makes one reducer late, and the job with it, however many reducers there are.
Source: DeWitt, Naughton, Schneider and Seshadri, "Practical skew handling in parallel joins",
VLDB 1992.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Sample(NamedTuple):
    """Keys drawn from the pairs of one map task."""

    keys: list
    n_pairs: int
    """How many pairs they were drawn from."""


def draw(keys, size, seed):
    """Draw `size` keys without putting any back; all of them if there are fewer.

    Returns
    -------
    Sample
        Keys in the order in which they came, the same for the same seed.
    """
    if len(keys) <= size:
        return Sample(list(keys), len(keys))
    chosen = np.random.default_rng([seed, len(keys)]).choice(len(keys), size, replace=False)
    return Sample([keys[i] for i in np.sort(chosen)], len(keys))


def shares(samples):
    """Estimate each sampled key's share of all pairs.

    Returns
    -------
    dict
        {key: share from 0 to 1}; each sample weighs as much as its task has pairs.
    """
    weights = Counter()
    for sample in samples:
        for key, times in Counter(sample.keys).items():
            weights[key] += times * sample.n_pairs / len(sample.keys)
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


def heavy_keys(share, n_reducers, fair=0.5):
    """Return into how many slices the values of heavy keys are split.

    Parameters
    ----------
    share : dict
        From `shares`.
    n_reducers : int
    fair : float
        A key is heavy if it has more than this part of one reducer's share of the pairs.

    Returns
    -------
    dict
        {key: slices}, from 2 to n_reducers each.
    """
    limit = fair / n_reducers
    if n_reducers == 1:
        return {}
    return {key: min(n_reducers, math.ceil(part / limit))
            for key, part in share.items() if part > limit}


def quantiles(share, n_ranges):
    """Return bounds that cut the keys into ranges with about as many pairs each.

    Returns
    -------
    list
        At most n_ranges - 1 keys, ascending, all different; see `keys.by_range`.
    """
    bounds, seen = [], 0.0
    for key in sorted(share):
        before, seen = seen, seen + share[key]
        # A bound opens its range; one at the first key would leave the range below it empty.
        if before > 0 and math.floor((before + seen) / 2 * n_ranges) > len(bounds):
            bounds.append(key)
    return bounds[:n_ranges - 1]


@dataclass(frozen=True)
class Skew:
    """How evenly the reducers were loaded."""

    pairs: tuple
    """How many pairs each reducer got."""

    heavy: dict
    """{key: slices} of the keys that were split."""

    @property
    def imbalance(self):
        """The most loaded reducer's pairs over the mean: 1 is even, n is all in one place."""
        return max(self.pairs) * len(self.pairs) / sum(self.pairs) if any(self.pairs) else 1.0

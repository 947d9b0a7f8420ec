"""Faults that somebody is to find: in figures, logs and traces, not by reading the plan.

    plan = mystery(seed=7, workers=8)     Mystery(1 fault, seed=7)
    world.run(program, shards, faults=plan)
    plan.is_solved_by(("Slow", 3))        False

What a run records of its faults (`Run.marks`) does tell: leave these events out of what is shown.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from labkit.errors import ConfigurationError
from labkit.faults.kinds import Delay, Drop, OnLink, Slow, ranks_of
from labkit.faults.plan import FaultPlan
from labkit.words import counted

KINDS = (Slow, Delay, Drop)


class Mystery(FaultPlan):
    """A plan whose repr does not tell; made by `mystery`."""

    def is_solved_by(self, *answers):
        """Whether these are the causes, all of them, in any order.

        Parameters
        ----------
        *answers : tuple of (str, int) or (str, tuple of int)
            The name of a kind of fault and the rank that it strikes; of a link, its two ends.
        """
        return sorted(map(_named, answers)) == sorted(
            (type(fault).__name__, tuple(sorted(ranks_of(fault)))) for fault in self.faults)

    def __repr__(self):
        return f"Mystery({counted(len(self), 'fault')}, seed={self.seed})"


def _named(answer):
    """Return an answer with its ranks in order."""
    try:
        kind, where = answer
        return str(kind), tuple(sorted(map(int, np.atleast_1d(where))))
    except (TypeError, ValueError) as error:
        raise ConfigurationError("This is no answer.", got=repr(answer), where="is_solved_by",
                                 expected='a kind and where it is: ("Slow", 3), '
                                          'or ("Delay", (1, 2))') from error


def mystery(seed, workers, kinds=KINDS, links=None, n_faults=1, delay_s=0.02):
    """Draw faults that begin at once and last, of different kinds, at workers drawn at random.

    Parameters
    ----------
    seed : int
        The same seed gives the same faults.
    workers : int
    kinds : sequence of type
        Some of Slow, Delay and Drop: a worker that is 4 to 8 times slower, a link whose messages
        are late, a link that loses a third of them. The last needs `checksums=True`.
    links : sequence of (int, int), optional
        Those that the program uses; by default any two workers.
    n_faults : int
        At most one of each kind, and no two at one worker.
    delay_s : float
        How late a late link is at least; twice that at most.

    Returns
    -------
    Mystery

    Raises
    ------
    ConfigurationError
        If there are fewer kinds or workers than such faults need.
    """
    kinds = list(kinds)
    if not set(kinds) <= set(KINDS) or not 1 <= n_faults <= len(kinds):
        raise ConfigurationError("No mystery can be made of this.", where="kinds=, n_faults=",
                                 expected="Slow, Delay and Drop, and 1 to as many faults",
                                 got=f"{kinds}, {n_faults}")
    rng = np.random.default_rng(seed)
    links = list(combinations(range(workers), 2) if links is None else links)
    free, faults = set(range(workers)), []
    for number in rng.permutation(len(kinds))[:n_faults]:
        kind = kinds[number]
        places = ([link for link in links if set(link) <= free] if issubclass(kind, OnLink)
                  else sorted(free))
        if not places:
            raise ConfigurationError("There is no worker left to strike.", where="workers=, links=",
                                     expected="two for each fault", got=workers)
        place = places[rng.integers(len(places))]
        how = {Slow: {"factor": float(rng.uniform(4, 8))},
               Delay: {"delay_s": float(rng.uniform(delay_s, 2 * delay_s))},
               Drop: {"fraction": 1 / 3, "count": 1000}}[kind]
        faults.append(kind(tuple(map(int, place)) if issubclass(kind, OnLink) else place, **how))
        free -= set(ranks_of(faults[-1]))
    return Mystery(*faults, seed=seed)

"""Whether a program gives the same result again, and with variables of each peer's own.

    run 1, run 2      the simulation is the same each time: what differs is chance, a clock,
                      or what the first run has left behind
    run 3, copies     what is wrong only then was shared between peers
"""

from __future__ import annotations

from dataclasses import replace

from labkit.checking import alone, words
from labkit.checking.compare import same
from labkit.checking.finding import Finding
from labkit.checking.findings import find
from labkit.checking.trial import attempt


def unsteady(exercise, case):
    """Return the Finding of a program that depends on chance, time or shared variables."""
    program, other = exercise.program, replace(case, seed=case.seed + 1)
    if exercise.inputs(other) is not None:
        attempt(exercise, other)         # so that variables do not hold this case's values yet
    before = alone.outer_variables(program)
    first, second = attempt(exercise, case), attempt(exercise, case)
    names = alone.changed(before, alone.outer_variables(program))
    differs = not all(map(same, first.run.results, second.run.results))
    if differs and not names:
        return by_chance(first, second)
    copies = alone.copies(program, case.n_peers)
    if copies is None:
        return None
    together = find(exercise, first)
    apart = find(exercise, attempt(exercise, case, programs=copies))
    if differs or (together is None) != (apart is None):
        return shared(names, apart)
    return None


def shared(names, apart):
    """Return the Finding of variables that peers share.

    Parameters
    ----------
    names : list of str
        Those that a run has changed.
    apart : Finding or None
        What is wrong if each peer has its own.
    """
    named = words.listed([f"`{name}`" for name in names]) if names else "something"
    why = f"With variables of their own: {words.small(apart.sentence)}" if apart else \
        "With variables of their own it is right: here they write over each other's."
    return Finding("shared", f"The peers share {named} outside the program: in worker processes "
                   "each has its own.", "Give peers what they need as parts or in messages, and "
                   "keep what they compute in variables of the program.", why)


def by_chance(first, second):
    """Return the Finding of results that differ from run to run."""
    rank = next(rank for rank, (one, other) in enumerate(zip(first.run.results,
                                                             second.run.results))
                if not same(one, other))
    return Finding("chance", f"Results differ from run to run: peer {rank} returns another one for "
                   "the same input.", "Draw random numbers from a generator with a fixed seed, "
                   "np.random.default_rng([seed, me.rank]), and leave clocks out of the result.")

"""The smallest case that goes wrong in the same way.

    9 peers, size 12, jitter, Delay and Pause     ->     3 peers, size 1, jitter

Every smaller case is tried in turn, the smallest first: runs take milliseconds, and the first one
that fails in the same way is the smallest one there is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from labkit.faults import FaultPlan
from labkit.faults.kinds import ranks_of

SEEDS = 3                    # that are tried where chance takes part


def shrunk(case, found, peers, sizes, still):
    """Return the smallest case for which `still(case)` returns something, and what it returns.

    Parameters
    ----------
    case : Case
    found : object
        What it returned for that case; a program that depends on chance may not do so again.
    peers, sizes : iterable of int
        What may be tried.
    still : callable
        Returns None for a case that does not fail in the same way.

    Returns
    -------
    (Case, object)
    """
    case, found = fewest_faults(case, found, still)
    for smaller in smaller_cases(case, peers, sizes):
        again = still(smaller)
        if again is not None:
            case, found = smaller, again
            break
    return earliest(case, found, still)


def smaller_cases(case, peers, sizes):
    """Yield all smaller cases, the smallest first: without a disturbance, if that will do."""
    smaller = [(n, size) for n in sorted(set(peers)) if n <= case.n_peers
               for size in sorted(readable(sizes, n), key=partial(easiest, n))
               if n < case.n_peers or size < case.size]
    seeds = [case.seed] + [case.seed + more for more in range(1, SEEDS)]
    for plan, jitter_s in disturbances(case):
        for n, size in [*smaller, (case.n_peers, case.size)]:
            if plan is not None and any(r >= n for f in plan.faults for r in ranks_of(f)):
                continue
            for seed in seeds if jitter_s else seeds[:1]:
                found = replace(case, n_peers=n, size=size, seed=seed, plan=plan,
                                jitter_s=jitter_s)
                if found != case:
                    yield found


def readable(sizes, n):
    """Return sizes, with that of one entry for each peer's piece among them, if they allow it."""
    return set(sizes) | ({n} if min(sizes) <= n <= max(sizes) else set())


def easiest(n, size):
    """Return a key: sizes with a piece for each of n peers come first, empty parts last."""
    return size == 0, size < n, size


def disturbances(case):
    """Return (plan, jitter) pairs, the simplest first, up to those of the case."""
    pairs = [(None, 0.0), (None, case.jitter_s), (case.plan, 0.0), (case.plan, case.jitter_s)]
    return list(dict.fromkeys(pairs))


def fewest_faults(case, found, still):
    """Leave out one fault after the other."""
    if case.plan is None:
        return case, found
    for fault in case.plan.faults:
        left = [other for other in case.plan.faults if other is not fault]
        if not left:
            break
        fewer = replace(case, plan=FaultPlan(*left, seed=case.plan.seed))
        again = still(fewer)
        if again is not None:
            case, found = fewer, again
    return case, found


def earliest(case, found, still):
    """Let faults strike at the first step or message at which the program still fails."""
    if case.plan is None:
        return case, found
    for number, fault in enumerate(case.plan.faults):
        name = "at_step" if fault.at_step is not None else "at_message"
        for moment in range(getattr(fault, name) or 0):
            faults = list(case.plan.faults)
            faults[number] = replace(fault, **{name: moment})
            sooner = replace(case, plan=FaultPlan(*faults, seed=case.plan.seed))
            again = still(sooner)
            if again is not None:
                case, found = sooner, again
                break
    return case, found

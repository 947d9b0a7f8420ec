"""What is wrong only when messages are late, overtake each other, or peers are struck.

    calm      0 receives from 1, then 2          right
    jitter    0 receives from 2, then 1          wrong: it took the first to be peer 1's
"""

from __future__ import annotations

import numpy as np

from labkit.checking.exercise import Case
from labkit.checking.finding import Finding
from labkit.checking.words import listed, small
from labkit.errors import ConfigurationError, PeerLost
from labkit.faults import Crash, Delay, FaultPlan, Pause, Slow
from labkit.faults.kinds import ranks_of

JITTER_S = 0.05              # 2,500 latencies: messages come in any order
LATE_S = 0.5
TRIES = 4


def disturbed_cases(peers, sizes, seed):
    """Return cases in which messages of different links come in any order, and peers are slow."""
    sizes = [size for size in sizes if size] or sizes
    cases = []
    for n in [n for n in peers if n > 1]:
        for number in range(TRIES):
            size = sizes[number % len(sizes)]
            cases.append(Case(n, size, seed + number, JITTER_S))
            cases.append(Case(n, size, seed + number, JITTER_S / 10, _slow_plan(n, seed, number)))
    return cases


def _slow_plan(n, seed, number):
    """Return a plan in which one peer stands still, one link is slow, and one computes slowly."""
    rng = np.random.default_rng([seed, n, number])
    asleep, slow = (int(rank) for rank in rng.integers(n, size=2))
    first, second = (int(rank) for rank in rng.choice(n, 2, replace=False))
    when = {"at_message": number} if number else {}
    return FaultPlan(Pause(asleep, 1.0, **when), Delay((first, second), LATE_S), Slow(slow, 100.0),
                     seed=seed)


def struck_cases(plan, peers, sizes, seed):
    """Return cases for a plan that a program claims to survive.

    Raises
    ------
    ConfigurationError
        If no number of peers has all of its ranks.
    """
    sizes = [size for size in sizes if size][:2]
    cases = [Case(n, size, seed, plan=plan) for n in peers for size in sizes
             if n > 1 and all(rank < n for fault in plan.faults for rank in ranks_of(fault))]
    if not cases:
        raise ConfigurationError("These faults are aimed at nobody.", got=repr(plan),
                                 expected=f"ranks below {max(peers)}", where="faults=",
                                 remedy="try more peers, or aim at lower ranks")
    return cases


def not_struck(plan, marks):
    """Return the Finding of a fault that has begun in no run; None if all have.

    Parameters
    ----------
    plan : FaultPlan
    marks : iterable of Event
        Of all runs under this plan.
    """
    begun = {mark.label for mark in marks if mark.kind == "injected"}
    for fault in plan.faults:
        if repr(fault) not in begun:
            return Finding("not struck", f"{fault!r} never struck: the program does not get so "
                           "far.", "Mark its steps with me.step, or let the fault begin sooner: "
                           "what has not happened has not been survived.")
    return None


def race(finding, trial, calm):
    """Return what to say of a case that is right when it is calm.

    Parameters
    ----------
    finding : Finding
        Of the disturbed trial.
    trial, calm : Trial
        The same peers and size, disturbed and not.
    """
    why = small(finding.sentence)
    if calm.has_timeouts:
        return Finding("timeout", f"Wrong only when messages are late: {why}",
                       "A timeout that has passed does not say that nothing will come.",
                       finding.detail)
    if calm.takes_any:
        return Finding("order", "Wrong only when messages of two links overtake each other: the "
                       "program takes messages from anyone in the order of arrival, as if it were "
                       "the order that it expects.", "recv_any says who has sent a message: store "
                       "it by that rank, or receive from each rank in turn. If rounds may mix, "
                       "send the round's number along.",
                       " ".join(filter(None, [overtaken(trial, calm), f"Then {why}"])))
    hint = "It looks at the clock, me.now: the answer must not depend on it." \
        if calm.reads_clock else "The answer must not depend on time."
    return Finding("timing", f"Wrong only when messages or peers are late: {why}", hint,
                   finding.detail)


def overtaken(trial, calm):
    """Say which message was taken before another one that came first in the calm run."""
    for rank in range(trial.case.n_peers):
        for late, early in zip(senders(trial, rank), senders(calm, rank)):
            if late != early:
                return f"Peer {rank} took peer {late}'s message before peer {early}'s."
    return ""


def senders(trial, rank):
    """Return from whom a peer received, in order."""
    return [event[4] for event in trial.order if event[0] == "recv" and event[1] == rank]


# ---- faults that a program claims to survive


def not_survived(finding, trial):
    """Return the Finding of a case in which faults struck."""
    struck = listed([_struck(fault) for fault in trial.case.plan.faults])
    why = small(finding.sentence)
    error = trial.error
    lost = error if isinstance(error, PeerLost) else getattr(error, "__cause__", None)
    hint, detail = finding.hint, finding.detail
    if isinstance(lost, PeerLost):
        why = f"PeerLost was not caught by {lost.where}."
        hint, detail = "Catch PeerLost and go on without that peer, or run with elastic=True.", ""
    return Finding("not survived", f"The fault is not survived: {struck}, and {why}", hint, detail)


def _struck(fault):
    if isinstance(fault, Crash):
        what = f"peer {fault.worker} was killed"
    elif isinstance(fault, Pause):
        what = f"peer {fault.worker} stood still for {fault.seconds:g} s"
    else:
        return f"{fault!r} struck"
    if fault.at_step is not None:
        return f"{what} at step {fault.at_step}"
    if fault.at_message is not None:
        return f"{what} before its message {fault.at_message}"
    return f"{what} after {fault.at_s or 0:g} s"

"""The program once for real: in worker processes, where nothing is shared and time is real."""

from __future__ import annotations

import contextlib
import time

from labkit.checking.finding import Finding
from labkit.checking.findings import find, raised
from labkit.checking.trial import Trial
from labkit.checking.words import small
from labkit.cluster import ClusterWorld
from labkit.errors import ConfigurationError, DeadlineExceeded, DeadlockError, LabkitError
from labkit.records import Run, WorldInfo

WORKERS, DEADLINE_S = 3, 15


def workers_for(peers):
    """Return how many real workers to start: three, or the next number that is allowed."""
    return min(peers, key=lambda n: (abs(n - WORKERS), n))


@contextlib.contextmanager
def world_for(real, peers):
    """Give the world that was passed as `real`, or a small cluster of one's own."""
    if real is not True:
        if real.workers not in peers:
            raise ConfigurationError("This world has another number of peers.", where="real=",
                                     expected=f"one of {list(peers)}, as in peers=",
                                     got=real.workers)
        yield real
        return
    with ClusterWorld(workers=workers_for(peers), deadline_s=DEADLINE_S) as world:
        yield world


def attempt_for_real(exercise, case, world):
    """Run one case in a world of worker processes; return (Trial, Finding or None)."""
    inputs = exercise.inputs(case)
    given = [world._place([[part] for part in parts], "checked") if _placed(given) else parts
             for given, parts in zip(exercise.given(inputs.lists), inputs.lists)]
    began = time.monotonic()
    try:
        run = world.run(exercise.program, *given)
    except LabkitError as error:
        run = Run([None] * case.n_peers, time.monotonic() - began, 0, 0,
                  world=WorldInfo("cluster", case.n_peers))
        return Trial(case, inputs, run, error), _failed(exercise, error)
    trial = Trial(case, inputs, run)
    return trial, _only_real(find(exercise, trial))


def _placed(given):
    return not isinstance(given, list)


def _failed(exercise, error):
    if isinstance(error, DeadlockError | DeadlineExceeded):
        return _only_real(Finding("real", f"The peers do not end: {error.got}.",
                                  "What does a peer wait for that is there only in the "
                                  "simulation?"))
    return _only_real(raised(exercise, error))


def _only_real(found):
    """Say that the simulation was right."""
    if found is None:
        return None
    hint = "Real workers share no variables, and time passes for real." \
        if found.kind in ("value", "none", "real") else found.hint
    return Finding("real", f"Works simulated, not for real: {small(found.sentence)}", hint,
                   found.detail)

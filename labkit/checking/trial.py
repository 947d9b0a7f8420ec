"""One run of the program, and what is left of it even if it does not end.

    attempt(exercise, case)  ->  Trial(run, error, letters, stuck, unread)

The run of a deadlock ends with waits: a "recv" of no bytes that lasts to the end of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labkit.checking.exercise import Case, Inputs, quiet
from labkit.checking.watched import Endless, WatchedFaultyRun, WatchedRun, time_limit
from labkit.records import Events, Run
from labkit.serial import local_parts, program_error

LONGER = 1.1                 # so that the last wait can be seen
OUTSIDE = (Exception, Endless, SystemExit)


@dataclass
class Wait:
    """A peer that waits for ever."""

    rank: int
    source: int | None
    """For whom; None stands for anyone."""

    channel: str
    step: int


@dataclass
class Trial:
    """How one case went."""

    case: Case
    inputs: Inputs
    run: Run
    error: BaseException | None = None
    letters: list = field(default_factory=list)
    """Every message, in the order of sending."""

    stuck: list = field(default_factory=list)
    """Wait of every peer that waits for ever."""

    unread: list = field(default_factory=list)
    """Letters that nobody took."""

    given: list = field(default_factory=list)
    """What the peers were given, as they have left it."""

    order: list = field(default_factory=list)
    """Events in the order in which they were simulated: each message's send before its recv."""

    printed: str = ""
    """What the program has printed."""

    takes_any: bool = False
    has_timeouts: bool = False
    reads_clock: bool = False


def attempt(exercise, case, inputs=None, contents=False, programs=None):
    """Run the program in a case; return the Trial.

    Parameters
    ----------
    exercise : Exercise
    case : Case
    inputs : Inputs, optional
        Other ones than the case's.
    contents : bool
        Whether letters keep their content.
    programs : list of callable, optional
        One for each peer, in the place of the exercise's.
    """
    inputs = inputs or exercise.inputs(case)
    go = _plain if case.plan is None else _struck
    programs = programs or [exercise.program] * case.n_peers
    given = exercise.given(inputs.lists)
    with quiet() as printed:
        watched, run, error = go(exercise, case, given, programs, contents)
    flags = {name: getattr(watched, name, False)
             for name in ("takes_any", "has_timeouts", "reads_clock")}
    return Trial(case, inputs, run, error, watched.letters, waits(watched), watched.unread(),
                 given, list(watched.events), printed.getvalue(), **flags)


def _plain(exercise, case, given, programs, contents):
    world = case.world()
    run = WatchedRun(case.n_peers, world.network, world.machine, world.seed, True,
                     limit=exercise.limit, contents=contents)
    results = [None] * case.n_peers

    def body(peer):
        try:
            results[peer.rank] = programs[peer.rank](peer, *local_parts(given, peer.rank))
        except Exception as error:
            raise program_error(error, peer) from error

    error = _caught(lambda: run.go(body))
    seconds = max(peer._clock for peer in run.peers)
    return run, _record(run, results, seconds, world, run.events), error


def _struck(exercise, case, given, programs, contents):
    world = case.world()
    # Who dies in a program that is not elastic need not be missed: the answer will tell.
    run = WatchedFaultyRun(world, case.plan, True, exercise.elastic, not exercise.elastic, None,
                           limit=exercise.limit, contents=contents)
    found = []

    def program(me, *parts):
        return programs[me.rank](me, *parts)

    error = _caught(lambda: found.append(run.run(program, given, world.info())))
    if found:
        return run, found[0], None
    seconds = max(peer._clock for peer in run.peers)
    record = _record(run, [None] * case.n_peers, seconds, world, run.marks + run.events)
    return run, record, error


def _caught(action):
    """Return what an action raises, None if it ends well."""
    try:
        with time_limit():
            action()
    except OUTSIDE as error:
        return error
    return None


def _record(run, results: list[Any], seconds, world, events):
    if run.stuck:
        seconds = max(seconds * LONGER, world.network.latency_s)
        events = events + [("recv", run.members[wait.rank], run.peers[wait.rank]._clock, seconds,
                            -1 if wait.source is None else run.members[wait.source], 0, wait.step,
                            wait.channel) for wait in waits(run)]
    return Run(results, seconds, run.messages, run.nbytes, Events(events), world=world.info(),
               lost=tuple(sorted(getattr(run, "lost", ()))))


def waits(run):
    """Return the Wait of each peer that was stuck when nothing moved any more."""
    return [Wait(peer.rank, peer._awaits[1], peer._awaits[0], peer._step)
            for peer in run.stuck if peer._awaits is not None]

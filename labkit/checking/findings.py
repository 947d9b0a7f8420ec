"""What is wrong with one trial: the first thing of these that is.

    it ended badly     an exception, peers that wait for ever, a run without end
    what it returned   None, another type, shape, dtype or value
    what it left       changed inputs, messages that nobody took
"""

from __future__ import annotations

import linecache

import numpy as np

from labkit.checking.compare import difference
from labkit.checking.finding import Finding
from labkit.checking.waits import deadlock
from labkit.checking.watched import Endless
from labkit.checking.words import capital, counted, in_step
from labkit.errors import DeadlockError, LabkitError, ProgramError

HINTS = {
    "none": "Does every branch of the program end with a return?",
    "type": "Compare what the program returns with what is asked for.",
    "length": "Compare what the program returns with what is asked for.",
    "shape": "Cut with np.array_split, and put the pieces together as they were cut.",
    "dtype": "Arrays made by np.empty or np.zeros have to get the dtype of the part.",
    "value": "Follow one entry through the timeline: who has it, who sends it to whom?",
}


def find(exercise, trial):
    """Return the Finding of a trial, None if nothing is wrong."""
    for look in (_ended_badly, _returned, _changed, _unread):
        found = look(exercise, trial)
        if found is not None:
            return found
    return None


def _ended_badly(exercise, trial):
    error = trial.error
    if error is None:
        return None
    if isinstance(error, Endless):
        meant = " If it is meant to send so many, pass limit=." * (error.kind == "endless")
        return Finding(error.kind, f"The program does not end: {error}.", "What has to become true "
                       f"for each loop to stop, and who makes it true?{meant}")
    if isinstance(error, DeadlockError):
        return deadlock(trial)
    return raised(exercise, error)


def raised(exercise, error):
    """Return the Finding of an exception."""
    rank, step = _where(error)
    cause = error.__cause__ if isinstance(error, ProgramError) and error.__cause__ else error
    if isinstance(cause, ValueError) and "read-only" in str(cause):
        return Finding("read-only", f"Peer {rank} changes its part of the input{step}.",
                       "Parts are shared and read-only: work on a copy, part.copy().",
                       _line(exercise, cause))
    what = _what(cause)
    name = type(cause).__name__
    who = f"Peer {rank} raises" if rank is not None else "The run ends with"
    return Finding(f"raises {name}", f"{who} {name}{step}: {what.rstrip('.')}.",
                   _remedy(cause), _line(exercise, cause))


def _what(error):
    """Return what an exception says, in one line."""
    if not isinstance(error, LabkitError):
        return str(error)
    parts = [f"{word} {value}" for word, value in (("got", error.got),
                                                   ("expected", error.expected)) if value]
    return error.what if not parts else f"{error.what.rstrip('.')}: {', '.join(parts)}"


def _where(error):
    """Return (rank or None, " in step 3" or "") of a ProgramError."""
    words = (error.where or "").split(", ") if isinstance(error, ProgramError) else [""]
    rank = int(words[0].split()[1]) if words[0].startswith("peer ") else None
    step = next((f" in {word}" for word in words if word.startswith("step ")), "")
    return rank, step


def _remedy(error):
    remedy = getattr(error, "remedy", None)
    return f"{capital(remedy)}." if remedy else "Read that line with that peer's rank in mind."


def _line(exercise, error):
    """Return the line of the learner's own file where an exception came from."""
    program = exercise.program
    while hasattr(program, "func"):      # functools.partial
        program = program.func
    file = getattr(getattr(program, "__code__", None), "co_filename", None)
    found, frame = "", error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == file:
            found = linecache.getline(file, frame.tb_lineno).strip()
        frame = frame.tb_next
    return f"In the line `{found}`." if found else ""


def _returned(exercise, trial):
    if len(trial.run.lost) == trial.case.n_peers:
        return Finding("all lost", "Nobody is left.", "Somebody has to return the answer.")
    for rank, (got, want) in enumerate(zip(trial.run.results, trial.inputs.expected)):
        if want is None or rank in trial.run.lost:
            continue
        found = difference(got, want, exercise.rtol, exercise.atol)
        if found is not None:
            return Finding(found.kind, f"Peer {rank} returns {found.text}.", HINTS[found.kind])
    return None


def _changed(exercise, trial):
    """Parts that somebody has written to behind NumPy's back."""
    if exercise.may_change:
        return None
    for given, before in zip(trial.given, trial.inputs.lists):
        for rank, (part, was) in enumerate(zip(given, before)):
            if isinstance(part, np.ndarray) and not np.array_equal(part, was, equal_nan=True):
                return Finding("changed", f"Peer {rank}'s part of the input was changed.",
                               "Work on a copy, part.copy().")
    return None


def _unread(exercise, trial):
    if exercise.unread or trial.case.plan is not None or not trial.unread:
        return None
    first = trial.unread[0]
    n = sum((letter.source, letter.to) == (first.source, first.to) for letter in trial.unread)
    where = f" in {first.channel}" if first.channel else in_step(first.step)
    return Finding("unread", f"Peer {first.source} sent {counted(n, 'message')} to peer {first.to} "
                   f"that nobody took{f', the first{where}' if where else ''}.",
                   "There must be one recv for each send.",
                   f"{counted(len(trial.unread), 'message')} in all."
                   if len(trial.unread) > n else "")

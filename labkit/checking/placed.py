"""Whose value is where another's belongs, in what is gathered, scattered or exchanged.

    names     peer 0: 73 28     peer 1: 40 96     peer 2: 15 61
    expected  73 28 | 40 96 | 15 61
    got       73 28 | 15 61 | 40 96        "peer 2's value is where peer 1's belongs"
"""

from __future__ import annotations

import numpy as np

from labkit.checking import tags
from labkit.checking.finding import Finding
from labkit.checking.trial import attempt
from labkit.checking.words import entries, in_step

UNSET = 1e-200               # what is less, or no number, was never filled


def explain_placed(exercise, case):
    """Return a Finding that names parts; None if values are changed on the way, not moved."""
    lists = exercise.inputs(case).lists
    tagged = tags.names(lists) if tags.places(lists) else None
    inputs = exercise.retold(tagged, case)
    if inputs is None:
        return None
    known = np.concatenate([tags.flat(part) for part in tagged[0]])
    if not all(want is None or np.all(np.isin(tags.flat(want), known))
               for want in inputs.expected):
        return None                      # not moved, but computed
    trial = attempt(exercise, case, inputs, contents=True)
    if trial.error is not None:
        return None
    for rank, (got, want) in enumerate(zip(trial.run.results, inputs.expected)):
        if want is None:
            continue
        got, want = tags.flat(got), tags.flat(want)
        if got.shape == want.shape and np.any(got != want):
            return _explain_peer(trial, rank, got, want, tagged[0])
    return None


def _explain_peer(trial, rank, got, want, parts):
    entry = int(np.flatnonzero(got != want)[0])
    right, found = owner_of(want[entry], parts), owner_of(got[entry], parts)
    where = [i for i in np.flatnonzero(got != want)
             if owner_of(want[i], parts)[0] == right[0]
             and (owner_of(got[i], parts) or (None,))[0] == (found or (None,))[0]]
    place = f"{entries(where)} of peer {rank}'s result"
    if found is None and abs(got[entry]) > UNSET:
        return None                      # it is computed
    if found is None:
        came = _carried(trial, want[entry]) or _never_sent(trial, right[0], parts)
        return Finding("placed", f"Peer {right[0]}'s value is missing in {place}.",
                       "Is each part that is received also stored, and passed on?",
                       came)
    if found[0] != right[0]:
        return Finding("placed", f"Peer {found[0]}'s value is where peer {right[0]}'s belongs, in "
                       f"{place}.", "Whose part is it that arrives in this step? Compute its rank "
                       "from the step.", _carried(trial, got[entry]))
    return Finding("placed", f"Entry {found[1]} of peer {found[0]}'s part is where its entry "
                   f"{right[1]} belongs, in {place}.",
                   "Compare the piece that is sent with the piece that is expected.",
                   _carried(trial, got[entry]))


def owner_of(value, parts):
    """Return (rank, entry of its part) of a name; None if it is nobody's."""
    for rank, part in enumerate(parts):
        found = np.flatnonzero(tags.flat(part) == value)
        if len(found):
            return rank, int(found[0])
    return None


def _never_sent(trial, owner, parts):
    """Say that a peer sent its value to nobody, if all messages could be read."""
    known = np.concatenate([tags.flat(part) for part in parts])
    read = all(tags.is_plain(letter.message) or letter.nbytes == 0
               or len(found := tags.flat(letter.message)) and np.all(np.isin(found, known))
               for letter in trial.letters)
    return f"Peer {owner} sent it to nobody." if read else ""


def _carried(trial, value):
    """Say which message had a value last."""
    carrying = [letter for letter in trial.letters if np.any(tags.flat(letter.message) == value)]
    if not carrying:
        return ""
    last = carrying[-1]
    unread = any(letter is last for letter in trial.unread)
    return f"It was sent last from peer {last.source} to peer {last.to}{in_step(last.step)}" + (
        ", which never took it." if unread else ".")

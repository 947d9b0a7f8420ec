"""Peers that wait for ever: who for whom, and why nothing comes.

    0 --waits for--> 1 --waits for--> 2 --waits for--> 0      a circle: nobody sends first
    0 --waits for--> 1, which has returned                    a send is missing, or a recv too many
    0 --waits for--> 1, which sent it to 2                    a wrong rank

Source of the graph: Holt, "Some deadlock properties of computer systems", Computing Surveys 4(3),
1972.
"""

from __future__ import annotations

from labkit.checking.finding import Finding
from labkit.checking.words import capital, counted, in_step, listed, ordinal, peers


def deadlock(trial):
    """Return the Finding of a trial in which peers wait for ever."""
    waits = {wait.rank: wait for wait in trial.stuck}
    for explain in (_unlike_collectives, _misdirected, _circle, _for_anyone, _after_return):
        found = explain(trial, waits)
        if found is not None:
            return found
    return Finding("deadlock", f"{capital(peers(waits))} wait for ever.", "Follow the timeline.")


def _unlike_collectives(trial, waits):
    """Some are in a collective that others have not called, or left out."""
    inside = {wait.channel for wait in waits.values()}
    if inside == {""} or not any(inside):
        return None
    if len(inside) > 1:
        where = [f"{_wait_in(ranks)} {channel or 'a receive of its own'}"
                 for channel, ranks in _by_channel(waits).items()]
        return Finding("unlike", f"{capital(listed(where))}.",
                       "All peers must call the same collectives, in the same order.")
    first = min(waits)
    gone = [rank for rank in range(trial.case.n_peers) if rank not in waits]
    if not gone:
        return None
    back = f"{peers(gone)} ha{'s' if len(gone) == 1 else 've'} returned without it"
    here = f"{_wait_in(list(waits))} {waits[first].channel}"
    return Finding("unlike", f"{capital(here)}, but {back}.",
                   "All peers must call the same collectives, in the same order: is one inside "
                   "an `if`?")


def _by_channel(waits):
    """Return {channel: ranks that wait there}, the lowest rank first."""
    found = {}
    for rank, wait in waits.items():
        found.setdefault(wait.channel, []).append(rank)
    return found


def _wait_in(ranks):
    return f"{peers(ranks)} wait{'s' * (len(ranks) == 1)} in"


def _misdirected(trial, waits):
    """Somebody waits for a message that went to another peer, which does not take it."""
    for rank, wait in waits.items():
        own_mail = [letter for letter in trial.unread
                    if letter.to == rank and letter.channel == wait.channel]
        for letter in trial.unread:
            if letter.source != wait.source or letter.channel != wait.channel:
                continue
            other = letter.to
            if other != rank and (other not in waits or own_mail):
                return Finding(
                    "misdirected", f"Peer {rank} waits{in_step(wait.step)} for peer "
                    f"{wait.source}, which sent its message{in_step(letter.step)} to peer "
                    f"{other} instead.", "Compare the rank that is sent to with the rank that "
                    "is received from.", _mail(own_mail, rank))
    return None


def _mail(letters, rank):
    senders = sorted({letter.source for letter in letters})
    return f"Peer {rank} has mail from {peers(senders)} that it does not take." if senders else ""


def _circle(trial, waits):
    """Each waits for the next, and the last for the first."""
    for first in waits:
        path, rank = [], first
        while rank in waits and waits[rank].source is not None and rank not in path:
            path.append(rank)
            rank = waits[rank].source
        if rank not in path:
            continue
        circle = path[path.index(rank):]
        begin = circle.index(min(circle))
        circle = circle[begin:] + circle[:begin]
        return Finding("circle", _circle_sentence(circle, waits),
                       "One of them has to send before it receives: use me.sendrecv, or let even "
                       "and odd ranks take turns.")
    return None


def _circle_sentence(circle, waits):
    steps = {waits[rank].step for rank in circle}
    where = in_step(steps.pop()) if len(steps) == 1 else ""
    if len(circle) == 2:
        return f"{capital(peers(circle))} wait for each other{where}."
    who = ", ".join(f"{rank} for {waits[rank].source}" for rank in circle)
    return f"{capital(peers(circle))} wait in a circle{where}: {who}."


def _for_anyone(trial, waits):
    """Somebody takes from anyone, but all that was sent is taken."""
    for rank, wait in waits.items():
        if wait.source is not None:
            continue
        taken = sum(letter.to == rank and letter.channel == wait.channel
                    for letter in trial.letters)
        others = [r for r in range(trial.case.n_peers) if r != rank]
        gone = [r for r in others if r not in waits]
        state = "all others have returned" if gone == others else \
            f"{peers(r for r in others if r in waits)} wait too"
        return Finding("anyone", f"Peer {rank} waits{in_step(wait.step)} for a message from "
                       f"anyone, after {counted(taken, 'message')}, but {state}.",
                       "How many messages are sent to it? It should receive as many, or be told "
                       "when to stop.")
    return None


def _after_return(trial, waits):
    """Somebody waits for one that has returned, or that waits for one, and so on."""
    for rank, wait in waits.items():
        if wait.source in waits or wait.source is None:
            continue
        sent = sum((letter.source, letter.to, letter.channel) == (wait.source, rank, wait.channel)
                   for letter in trial.letters)
        detail = f"Peer {wait.source} sent it {counted(sent, 'message')}; it waits for the " \
                 f"{ordinal(sent + 1)}." if sent else \
            f"Peer {wait.source} sent it nothing."
        fate = "was killed" if wait.source in trial.run.lost else "has already returned"
        return Finding("returned", f"Peer {rank} waits{in_step(wait.step)} for peer "
                       f"{wait.source}, which {fate}.",
                       "There must be one send for each recv.", detail)
    return None

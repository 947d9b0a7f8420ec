"""Runs that go on when peers die: what is kept, who takes over, from where all start again.

    generation 0   peers 0 1 2 3    steps 0 ... 41; worker 2 dies in step 42
    generation 1   peers 0 1 . 3    from the state committed last; part 2 is read again, by 0
    generation 2   peers 0 1 2 3    a replacement is there, and joins at the next commit

Every generation runs the program from its beginning, which asks `me.restore` where to begin:

    state = me.restore(w=start, step=0)          what was committed last, if anything was
    for step in range(state["step"], steps):
        w = ...
        me.commit(w=w, step=step + 1)            a copy, in this process

A commit costs a copy and no message. When the group re-forms, whoever has committed last tells the
others; after a loss that is one step ahead of the slowest, at most, in a program whose peers meet
in every step.

Sources: Sergeev and Del Balso, "Horovod", 2018, and its elastic mode; Bland et al., "Post-failure
recovery of MPI communication capability", IJHPCA 27, 2013.
"""

from __future__ import annotations

import numpy as np

from labkit import wire

TRIES = 4                # generations in a row that may end without a new commit


class Regroup(BaseException):
    """What `commit` raises when somebody waits to join: every peer starts again from there.

    No `Exception`, so that a program that catches those lets it pass.
    """


class Commits:
    """The state that one process has committed last, in one job."""

    def __init__(self):
        self.number = 0                  # commits so far; 0: there is no state
        self.state = {}
        self.shared = True

    def keep(self, state, shared):
        """Keep a copy."""
        self.state = {name: _copied(value, self.state.get(name)) for name, value in state.items()}
        self.shared = shared
        self.number += 1

    def take(self, number, state, shared):
        """Take over somebody else's."""
        self.number, self.state, self.shared = number, state, shared


def _copied(value, before):
    """Return a copy, in the memory of the last one if that fits: new pages cost more than bytes.

    An array that nobody may write to is kept as it is.
    """
    if isinstance(value, np.ndarray) and not value.flags.writeable:
        return value
    fits = isinstance(value, np.ndarray) and isinstance(before, np.ndarray) and \
        (value.shape, value.dtype) == (before.shape, before.dtype) and before.flags.writeable
    if not fits:
        return wire.copy_of(value)[0]
    before[...] = value
    return before


def agree(me, commits, checkpoints=None):
    """Bring every peer of a new generation to the state that was committed last.

    Parameters
    ----------
    me : Peer
    commits : Commits
        This peer's; changed.
    checkpoints : Checkpoints, optional
        Where peer 0 looks for something newer than anybody remembers.

    Returns
    -------
    int
        The commit's number.
    """
    saved = checkpoints.load() if checkpoints is not None and me.rank == 0 else None
    numbers = me.allgather((commits.number, saved.number if saved else 0))
    newest = max(number for number, _ in numbers)
    if numbers[0][1] > newest:
        state = me.broadcast(saved and (saved.number, saved.arrays))
        commits.take(*state, shared=True)
        return commits.number
    if any(number < newest for number, _ in numbers):
        root = [number for number, _ in numbers].index(newest)
        mine = (newest, commits.state, commits.shared) if me.rank == root else None
        number, state, shared = me.broadcast(mine, root)
        if me.rank != root and (shared or commits.number == 0):
            commits.take(number, state, shared)
    return newest


def parts_of(members, n_parts):
    """Return the numbers of the parts that each member works on: its own, and a lost one's.

    >>> parts_of([0, 1, 3], 4)
    {0: [0, 2], 1: [1], 3: [3]}
    """
    members = sorted(members)
    mine = {member: [member] for member in members}
    lost = [part for part in range(n_parts) if part not in mine]
    for number, part in enumerate(lost):
        mine[members[number % len(members)]].append(part)
    return mine


class Known:
    """The answers that a deterministic driver has got: all that it needs to be where it was.

    In an elastic run they are committed one by one; after a loss the driver asks the same
    questions again, and goes through those that are known in no time. Empty in any other run.

    Parameters
    ----------
    me : Peer
    """

    def __init__(self, me):
        self._me = me
        state = me.restore()
        self._answers = [state[str(number)] for number in range(len(state))]

    def __len__(self):
        return len(self._answers)

    def __getitem__(self, number):
        answer = self._answers[number]
        return answer.copy() if isinstance(answer, np.ndarray) else answer

    def add(self, answer):
        """Commit an answer; return it."""
        if not self._me.elastic:
            return answer
        kept = answer.copy() if isinstance(answer, np.ndarray) else answer
        if kept is not answer:
            kept.flags.writeable = False             # so that no commit has to copy it again
        self._answers.append(kept)
        self._me.commit(**{str(number): known for number, known in enumerate(self._answers)})
        return answer

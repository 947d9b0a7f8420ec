r"""Where on the way a contribution was lost, or got into a sum twice.

    peer 1 --x1--> peer 2 --x1+x2--> peer 0      peer 1's value came as far as peer 0
                                  \--> nobody     a message that was never taken
"""

from __future__ import annotations

import numpy as np

from labkit.checking.words import in_step, listed


def missing_trail(sums, rank, missing, positions):
    """Say how far the first missing contribution came."""
    owner = int(missing[0])
    carrying = [cargo for cargo in sums.cargo if np.any(_seen(cargo, positions)[:, owner] > 0)]
    if not carrying:
        return f"Peer {owner} sent it to nobody." if owner != rank and sums.read else ""
    return _trail(carrying, rank)


def finished_trail(sums, rank, positions):
    """Say how far the finished sum came."""
    carrying = finished(sums, positions)
    return _trail(carrying, rank) if carrying else ""


def finished(sums, positions):
    """Return the messages that hold all that belongs into these entries."""
    want = next(want for want in sums.want if want is not None)[0]
    return [cargo for cargo in sums.cargo
            if len(_seen(cargo, positions)) and np.all(_seen(cargo, positions) == want)]


def _trail(carrying, rank):
    """Say what became of the last message with it: to this peer, if there is one."""
    own = [cargo for cargo in carrying if cargo.letter.to == rank]
    last = (own or carrying)[-1]
    letter, where = last.letter, in_step(last.letter.step)
    if last.unread:
        return f"Peer {letter.source} sent it to peer {letter.to}{where}, which never took it."
    if own:
        return f"Peer {letter.source} sent it{where}; peer {rank} received it, but lost it after."
    return f"It came as far as peer {letter.to}, from peer {letter.source}{where}."


def double_trail(sums, rank, more, positions):
    """Say which message had it twice first."""
    owner = int(more[0])
    for cargo in sums.cargo:
        if np.any(_seen(cargo, positions)[:, owner] > 1):
            letter = cargo.letter
            return f"Peer {letter.source} is the first to have it twice: see its message to peer " \
                   f"{letter.to}{in_step(letter.step)}."
    if not sums.read:
        return ""
    brought = [cargo.letter for cargo in sums.cargo if cargo.letter.to == rank
               and np.any(_seen(cargo, positions)[:, owner] > 0)]
    if not brought:
        return f"No message to peer {rank} has it: it is added twice there."
    came = [f"peer {letter.source}{in_step(letter.step)}" for letter in brought]
    return f"No message has it twice, but it came to peer {rank} from {listed(came)}."


def _seen(cargo, positions):
    """Return the counts at these positions, or all of them where positions are not known."""
    if not len(positions) or np.all(cargo.places < 0):
        return cargo.counts
    return cargo.at(positions)

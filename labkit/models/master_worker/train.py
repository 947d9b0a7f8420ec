"""Master and workers: one decides, the others answer until they are told to stop.

    master   drive -- ask ---+--------------- combine --> drive ... -- stop, result --+
                    question |   ^ answers                                            |
    worker 1                 +---+  answer, wait, answer, wait ...                    +-->
    worker 2                 +---+  answer, wait, answer, wait ...                    +-->

The master (peer 0) has a shard too and answers its own question while the workers answer
theirs. A question costs it n-1 messages out and n-1 in, all through its one port: simple,
easy to follow, and the bottleneck once n or the answers are large.

In an elastic run the master commits the answers: after the loss of a worker its driver runs through
those that are known. A master that dies takes them along; checkpoints bring them back.

Source: Gropp, Lusk and Skjellum, "Using MPI", 2014, section 3.6: self-scheduling, with data
that stays where it is.
"""

from __future__ import annotations

from itertools import count

import numpy as np

from labkit.elastic import Known

MASTER = 0
STOP = None          # in the place of a question


def train(me, local, drive):
    """Run `drive` on the master against the data of all peers.

    Parameters
    ----------
    me : Peer
    local : object
        This peer's shard: `answer(question, value)` and `work(question)`.
    drive : callable
        ``drive(ask)``; runs on peer 0 only.

    Returns
    -------
    object
        What `drive` returns, on every peer: it travels with the master's last message. None
        on the workers when `drive` has raised.
    """
    return _lead(me, local, drive) if me.rank == MASTER else _serve(me, local)


def _lead(me, local, drive):
    workers = [rank for rank in range(me.size) if rank != MASTER]
    number, result, known = count(), None, Known(me)

    def ask(question, value=None, op=np.add):
        step = next(number)
        if step < len(known):
            return known[step]
        me.step(step)
        for worker in workers:
            me.send(worker, (question, value))
        combined = _answer(me, local, question, value)
        for worker in workers:              # in the order of ranks: the same bits every time
            combined = op(combined, me.recv(worker))
        return known.add(combined)

    try:
        result = drive(ask)
    finally:                                # or the workers would wait for ever
        me.multicast(workers, (STOP, result))
    return result


def _serve(me, local):
    for number in count():
        question, value = me.recv(MASTER)
        if question is STOP:
            return value
        me.step(number)
        me.send(MASTER, _answer(me, local, question, value))


def _answer(me, local, question, value):
    me.work(**local.work(question))
    return local.answer(question, value)

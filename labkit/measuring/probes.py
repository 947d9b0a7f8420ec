"""Small programs that measure what a world is made of; they run in every world, by its own clock.

    ping-pong    0 -> 1 -> 0           latency, and bandwidth one way
    exchange     0 <-> 1               bandwidth both ways at once, as collectives use it
    burst        0 ->->->-> 1          the sender's own time for a message
    add          0 -> 1 += -> 0        what adding costs beyond receiving
    compute      all at once           FLOP/s, and bytes a second from memory

Peers work in pairs, all pairs at the same time: what is measured is what a peer gets when all
are busy. With an odd number of them the last one only computes.
"""

from __future__ import annotations

import numpy as np

SIZES = (8, 1_000, 8_000, 30_000, 60_000, 140_000, 300_000, 1_000_000, 4_000_000, 16_000_000)
ADD_SIZES = (300_000, 1_000_000, 4_000_000)
BATCHES = 7
BATCH_NBYTES = 40_000_000    # how much a batch of messages moves, about
MOST, FEW = 200, 2           # messages in a batch
ORDER = 384                  # of the matrices whose product is timed
PASS_NBYTES = 64_000_000     # more than caches hold
TASKS = 30
RESULT_NBYTES = 8_000_000


def probe(me, sizes=SIZES, batches=BATCHES):
    """Measure; returns a dict of lists of seconds a message, or an operation, by size."""
    found = {}
    partner = me.rank ^ 1
    if partner < me.size:
        for name, body in (("ping_pong", ping_pong), ("exchange", exchange)):
            found[name] = [timed(me, partner, body, nbytes, batches) for nbytes in sizes]
        found["receive"] = [timed(me, partner, receive, n, batches) for n in ADD_SIZES]
        found["add"] = [timed(me, partner, add, n, batches) for n in ADD_SIZES]
        found["burst"] = burst(me, partner, batches)
    found.update(compute(me, batches))
    return found


def timed(me, partner, body, nbytes, batches):
    """Return the median over batches of the seconds that `body` takes for one message."""
    count = int(np.clip(BATCH_NBYTES // (nbytes + 1), FEW, MOST))
    x, y = np.ones(nbytes // 8), np.ones(nbytes // 8)
    seconds = []
    for _ in range(batches + 1):
        meet(me, partner)
        began = me.now()
        for _ in range(count):
            body(me, partner, x, y)
        seconds.append((me.now() - began) / count)
    return float(np.median(seconds[1:]))     # the first one has found the way


def meet(me, partner):
    me.sendrecv(partner, None, partner)


def ping_pong(me, partner, x, y):
    """One message there; every second one goes back, by whoever has received."""
    if me.rank < partner:
        me.send(partner, x)
        me.recv(partner, out=y)
    else:
        me.recv(partner, out=y)
        me.send(partner, x)


def exchange(me, partner, x, y):
    me.post([partner], x)
    me.recv(partner, out=y)
    me.flush()


def receive(me, partner, x, y):
    """As `add`, without adding."""
    if me.rank < partner:
        me.send(partner, x)
        me.recv(partner)
    else:
        me.recv(partner, out=y)
        me.send(partner, None)


def add(me, partner, x, y):
    """The higher rank adds what it receives, and says so."""
    if me.rank < partner:
        me.send(partner, x)
        me.recv(partner)
    else:
        me.accumulate([partner], y)
        me.send(partner, None)


def burst(me, partner, batches, count=100):
    """Return what sending one short message costs its sender, in seconds; both take turns."""
    x, seconds = np.ones(1), []
    for _ in range(batches + 1):
        for sender in sorted((me.rank, partner)):
            meet(me, partner)
            began = me.now()
            for _ in range(count):
                if me.rank == sender:
                    me.send(partner, x)
            if me.rank == sender:
                seconds.append((me.now() - began) / count)
            for _ in range(count):
                if me.rank != sender:
                    me.recv(partner)
    return float(np.median(seconds[1:]))


def compute(me, batches):
    """Return the seconds of a matrix product, and of a pass over memory, all peers at once."""
    a = np.ones((ORDER, ORDER))
    x, w = np.ones((PASS_NBYTES // 800, 100)), np.ones(100)
    product, one_pass = [], []
    for _ in range(batches):
        me.barrier()
        began = me.now()
        a @ a
        me.work(flops=2 * ORDER**3)
        product.append(me.now() - began)
        me.barrier()
        began = me.now()
        x @ w
        me.work(nbytes=x.nbytes)
        one_pass.append(me.now() - began)
    return {"product": float(np.median(product)), "pass": float(np.median(one_pass)),
            "pass_nbytes": x.nbytes}


def tasks(world, repeats=5):
    """Measure the scheduler; returns seconds of its start, of each task, and of each byte back."""
    def median_s(task, n):
        runs = [world.map(task, range(n), record=False) for _ in range(repeats + 1)]
        return float(np.median([run.seconds for run in runs[1:]]))

    one, many, large = median_s(nothing, 1), median_s(nothing, TASKS), median_s(array_of, 1)
    each = max((many - one) / (TASKS - 1), 1e-9)
    return max(one - each, 0.0), each, max(large - one, 1e-9) / RESULT_NBYTES


def nothing(_):
    """A task that does nothing."""


def array_of(_):
    """A task with a large result."""
    return np.empty(RESULT_NBYTES, np.uint8)

"""Small programs that measure what a world is made of; they run in every world, by its own clock.

    ping-pong    0 -> 1 -> 0           latency, and bandwidth one way
    exchange     0 <-> 1               bandwidth both ways at once, as collectives use it
    burst        0 ->->->-> 1          the sender's own time for a message
    cold         what code takes longer that comes from a wait
    add          0 -> 1 += -> 0        what adding costs beyond receiving
    compute      all at once           FLOP/s, and bytes a second from memory

Peers work in pairs, all pairs at the same time: what is measured is what a peer gets when all
are busy. With an odd number of them the last one only computes.
"""

from __future__ import annotations

import time

import numpy as np

SIZES = (8, 1_000, 8_000, 30_000, 60_000, 140_000, 300_000, 1_000_000, 4_000_000, 16_000_000)
ADD_SIZES = (300_000, 1_000_000, 4_000_000)
BATCHES = 7
BATCH_NBYTES = 40_000_000    # how much a batch of messages moves, about
MOST, FEW = 200, 2           # messages in a batch
ORDER = 384                  # of the matrices whose product is timed
PASS_NBYTES = 64_000_000     # more than caches hold
SETTLING = 6000              # messages
THINKING = 300               # times
TASKS = 30
NAPS, NAP_S = 8, 0.01        # tasks a worker, and what each takes
RESULT_NBYTES = 8_000_000


def probe(me, sizes=SIZES, batches=BATCHES):
    """Measure; returns a dict of lists of seconds a message, or an operation, by size."""
    found = {}
    partner = me.rank ^ 1
    if partner < me.size:
        settle(me, partner)
        found["cold"] = cold_s(me, partner)
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


def settle(me, partner):
    """Talk until the system has given each peer a core of its own, which takes it 0.1 s.

    Before that they may share one, and wake each other twice as fast.
    """
    x = np.ones(1)
    for _ in range(SETTLING):
        ping_pong(me, partner, x, x)


def meet(me, partner):
    me.sendrecv(partner, None, partner)


def cold_s(me, partner):
    """Return how much longer code takes that comes from a wait: with empty caches, in seconds."""
    x, hot, cold = np.ones(1), [], []
    for seconds in (hot, cold):
        for _ in range(THINKING):
            if seconds is cold:
                ping_pong(me, partner, x, x)
            began = me.now()
            think()
            seconds.append(me.now() - began)
    return max(0.0, float(np.median(cold) - np.median(hot)))


def think():
    """Compute for some 30 microseconds."""
    w = np.ones(100)
    for _ in range(20):
        w = w * 0.5 + 1


def ping_pong(me, partner, x, y):
    """One message there, one back."""
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
    """Measure the scheduler.

    Returns
    -------
    dict
        Seconds: "start" of a map, "each" task beyond the first, "byte" of a result, and
        "turnaround" of a worker between two tasks.
    """
    def median_s(task, items):
        runs = [world.map(task, items, record=False) for _ in range(repeats + 1)]
        return float(np.median([run.seconds for run in runs[1:]]))

    one, many, large = (median_s(nothing, range(1)), median_s(nothing, range(TASKS)),
                        median_s(array_of, range(1)))
    each = max((many - one) / (TASKS - 1), 1e-9)
    placed = median_s(nothing, world.shard(np.zeros(world.workers)))
    naps = world.map(nap, range(NAPS * world.workers),
                     work=lambda _: dict(flops=NAP_S * world.machine.flops_per_s)
                     if hasattr(world, "machine") else {})
    return dict(start=max(placed - world.workers * each, 0.0), each=each,
                byte=max(large - one, 1e-9) / RESULT_NBYTES,
                turnaround=max(0.0, _turnaround_s(naps)))


def _turnaround_s(run):
    gaps = []
    for rank in range(run.world.workers):
        mine = sorted((task.start_s, task.end_s) for task in run.tasks if task.rank == rank)
        gaps += [after[0] - before[1] for before, after in zip(mine, mine[1:])]
    return float(np.median(gaps)) if gaps else 0.0


def nap(_):
    """A task that takes a while, and the processor nothing."""
    time.sleep(NAP_S)


def nothing(_):
    """A task that does nothing."""


def array_of(_):
    """A task with a large result."""
    return np.empty(RESULT_NBYTES, np.uint8)

"""Jobs that are run under faults, each with an answer that is known without labkit."""

from collections import Counter
from functools import partial

import numpy as np

from labkit.elastic import TRIES
from labkit.faults import (
    Corrupt,
    Crash,
    Delay,
    Drop,
    FaultPlan,
    LoseShard,
    Partition,
    Pause,
    Slow,
)
from labkit.models import map_reduce, master_worker, peer_to_peer
from labkit.models.master_worker import parameter_server
from labkit.models.peer_to_peer import decentralised, gossip, local_sgd
from labkit.topology import graph

STEPS, RATE, N = 10, 0.4, 4
RNG = np.random.default_rng(7)
X = RNG.standard_normal((24, N))
TRUTH = np.arange(1.0, N + 1)
Y = X @ TRUTH
WORDS = ["a b a", "c a", "b b c d", "", "d a"]


def descent(steps=STEPS):
    """Serial gradient descent on all rows: what synchronous training must give."""
    w = np.zeros(N)
    for _ in range(steps):
        w = w - RATE * X.T @ (X @ w - Y) / len(X)
    return w


# ---- programs


class Local:
    """A shard, in the manner of `train`."""

    def __init__(self, X, y):
        self._X, self._y = X, y

    def answer(self, question, w):
        return self._X.T @ (self._X @ w - self._y)

    def work(self, question):
        return {"flops": 2e6}


def drive(ask):
    w = np.zeros(N)
    for _ in range(STEPS):
        w = w - RATE * ask("gradient", w) / len(X)
    return w


def training(me, X, y, train):
    return train(me, Local(X, y), drive)


def serving(me, mode):
    """A parameter server; each worker's rows are its share among those that are there."""
    def gradient(w, step):
        mine = np.array_split(np.arange(len(X)), me.size - 1)[me.rank - 1]
        return X[mine].T @ (X[mine] @ w - Y[mine]) * (me.size - 1) / len(X)

    steps = STEPS if mode == "synchronous" else 15 * STEPS
    how = parameter_server.Settings(steps, RATE if mode == "synchronous" else RATE / 4, mode)
    found = parameter_server.train(me, gradient, np.zeros(N), how, lambda step: {"flops": 1e6})
    return None if found is None else found.parameters


def gradient_on(X, y):
    return lambda w, step: X.T @ (X @ w - y) / len(X)


def averaging(me, X, y):
    return local_sgd.local_sgd(me, np.zeros(N), gradient_on(X, y), 120, RATE / 2, 4,
                               {"flops": 1e6}).value


def mixing(me, X, y):
    ring = partial(graph, "complete")
    return decentralised.d_psgd(me, np.zeros(N), gradient_on(X, y), ring, 120, RATE / 2,
                                cost={"flops": 1e6}).value


def gossiping(me):
    """Two talks: through the fault, and after it, when all can reach each other again."""
    value = np.full(2, float(me.rank))
    for _ in range(2):
        value = gossip.pairwise(me, value, graph("complete", me.size), 30, patience_s=0.05).value
    return value


def farming(me):
    return master_worker.farm(me, square, range(12), work=lambda item: {"flops": 1e6})


def square(number):
    return number * number


def words_of(line):
    return [(word, 1) for word in line.split()]


def total(key, values):
    return sum(values)


# ---- jobs: run under a plan, and compared with what is known


def all_equal(results, expected, **tolerance):
    assert any(result is not None for result in results)
    for result in results:
        if result is not None:
            np.testing.assert_allclose(result, expected, **tolerance)


def trained(train, world, plan, **how):
    run = world.run(partial(training, train=train), *world.shard(X, Y), faults=plan, elastic=True,
                    **how)
    assert None not in [type(result) for result in run.results]
    all_equal(run.results, descent(), rtol=1e-9)
    return run


def served(mode, world, plan, **how):
    run = world.run(partial(serving, mode=mode), faults=plan, elastic=2, **how)
    if mode == "synchronous":
        all_equal(run.results, descent(), rtol=1e-9)
    else:
        all_equal(run.results, TRUTH, atol=0.2)
    return run


def converged(program, world, plan):
    run = world.run(program, *world.shard(X, Y), faults=plan, elastic=True)
    all_equal(run.results, TRUTH, atol=1e-3)
    return run


def gossiped(world, plan):
    run = world.run(gossiping, faults=plan)
    all_equal(run.results, np.full(2, (world.workers - 1) / 2), atol=0.05)
    np.testing.assert_allclose(np.mean(run.results, axis=0), (world.workers - 1) / 2, rtol=1e-9)
    return run


def farmed(world, plan):
    run = world.run(farming, faults=plan, tolerate_loss=True)
    done = run.results[0]
    assert done.results == [square(number) for number in range(12)]
    assert sum(attempt.outcome == "done" for attempt in done.attempts) == 12, "applied once"
    lost = [attempt for attempt in done.attempts if attempt.outcome == "lost"]
    assert len(lost) <= len(run.lost), "a worker had one task, and nothing that was done runs again"
    return run


def mapped(world, plan):
    run = world.map(square, range(12), work=lambda item: {"flops": 1e6}, faults=plan)
    assert run.results == [square(number) for number in range(12)]
    attempts = Counter(event.label.split()[1] for event in run.events if event.kind == "task")
    assert len(attempts) == 12
    deaths = sum(event.kind == "confirmed" for event in run.events)
    assert attempts.total() == 12 + run.lost_attempts, (
        "only what a dead worker took along runs again")
    # Results that nobody had fetched go with a real worker, beside the task that it was at.
    assert run.lost_attempts <= deaths * (1 if run.world.simulated else 12)
    return run


def mapped_shards(world, plan):
    run = world.map(np.sum, world.shard(X), work=lambda item: {"flops": 1e6}, faults=plan)
    np.testing.assert_allclose(sum(run.results), X.sum())
    return run


def counted(world, plan):
    job = map_reduce.Job(words_of, total, combiner=total, n_reducers=2)
    with world.under(plan):
        outcome = job.run(world, WORDS)
    assert outcome.as_dict() == Counter(" ".join(WORDS).split())
    return outcome.runs[-1]


PEERS = (Crash, Pause, Slow, Delay, Drop, Corrupt, Partition, LoseShard)
WORKERS = (Crash, Pause, Slow, LoseShard)
JOBS = {
    "all-reduce": (partial(trained, peer_to_peer.train), PEERS),
    "master and workers": (partial(trained, master_worker.train), PEERS),
    "parameter server in step": (partial(served, "synchronous"), PEERS),
    "asynchronous parameter server": (partial(served, "asynchronous"), PEERS),
    "local SGD": (partial(converged, averaging), PEERS),
    "decentralised SGD": (partial(converged, mixing), PEERS),
    "gossip": (gossiped, (Pause, Slow, Delay, Drop, Corrupt, Partition)),
    "farm": (farmed, (Crash, Pause, Slow, Delay, Drop, Corrupt, Partition)),
    "map": (mapped, WORKERS),
    "map of shards": (mapped_shards, WORKERS),
    "word count": (counted, (Crash, Pause, Slow)),
}


def draw(kind, rng, n, worker=None, hang=False):
    """Return a fault of a kind, at a random moment, for one of `n` workers or their links."""
    worker = int(rng.integers(n)) if worker is None else worker
    other = int((worker + rng.integers(1, n)) % n)
    when = {"at_step": int(rng.integers(STEPS))}
    if kind is Pause:
        return Pause(worker, 30.0 if hang else float(rng.uniform(0.05, 0.3)), **when)
    if kind is Slow:
        return Slow(worker, float(rng.uniform(2, 8)), 0.5, **when)
    if kind is Delay:
        return Delay((worker, other), float(rng.uniform(0.001, 0.02)), 0.3, **when)
    if kind in (Drop, Corrupt):
        return kind((worker, other), float(rng.uniform(0.3, 1)), int(rng.integers(1, 4)), **when)
    if kind is Partition:
        apart = tuple(r for r in range(n) if r != worker)
        return Partition(((worker,), apart), float(rng.uniform(0.05, 0.3)), **when)
    return kind(worker, **when)


def plan_for(job, rng, n):
    """Return a plan of one to three faults of kinds that apply to the job."""
    kinds = JOBS[job][1]
    faults = []
    for _ in range(int(rng.integers(1, min(3, TRIES - 1) + 1))):
        kind = kinds[rng.integers(len(kinds))]
        # A farm's master has no deputy.
        worker = int(rng.integers(1, n)) if job == "farm" and kind is Crash else None
        faults.append(draw(kind, rng, n, worker))
    return FaultPlan(*faults, seed=int(rng.integers(2**31)))

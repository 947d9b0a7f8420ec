"""How messages, bytes and time grow with the peers: closed forms against what a run counts.

All-reduce by five algorithms, a synchronous parameter server, a round of gossip on a ring; from
2 to 16 workers in the real world, where time is only shown (there are more workers than cores),
and from 2 to 10,000 peers in the simulated one. Messages and bytes must be those of the closed
form, virtual seconds within a tenth of it where n is a power of two.

n peers, messages of m bytes, a = latency, b = 1 / bandwidth; p is n or the power of two below,
r = log2 p, and e = n - p peers fold in before and after:

                messages             bytes                    seconds
    ring        2 n (n-1)            2 m (n-1)                2 (n-1) (a + m/n b)
    pairwise    2 n (n-1)            2 m (n-1)                2 a + 2 m (n-1)/n b
    doubling    p r + 2 e            m (p r + 2 e)            (r + 2) (a + m b), or r if e = 0
    halving     2 p r + 2 e          2 m (p - 1) + 2 m e      2 r a + 2 m (p-1)/p b, and 2 (a + m b)
    tree        2 (n-1)              2 m (n-1)                2 ceil(log2 n) (a + m b)
    server      2 W K                m W (2 K - 1) + W stop   K (2 a + W m b) + (K-1) m b, + work
    gossip      2 n                  2 m n                    a + 2 m b

A server takes W = n - 1 gradients through its port in, one after the other, while the answers to
those before still leave by its port out: K steps do not cost 2 W m b each. The gradient that
comes last is added when all others have been.

At 10,000, no power of two, seconds are within 15%: a tree whose root need not wait is faster; in
doubling, peers that nobody folds into are early, which saves latency, but what they send takes
the ports of those who still wait for something else.

Sources: Thakur, Rabenseifner and Gropp, IJHPCA 19, 2005 (ring, doubling, halving, tree; their
gamma, the adding up, costs no virtual time here); the others from one port in and one out a peer
(Hockney, Parallel Computing 20, 1994).

The simulated world's peers are greenlets of one thread and move about 130,000 messages a
second, so a row is left out where it would send more than 3 million. 10,000 peers that hold
64 KB each, several times, need 1 to 3 GB, those of the parameter server 7 GB.

    python benchmarks/growth.py [real] [simulated]
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import bench
import numpy as np

import labkit
from labkit import topology, wire
from labkit.models.master_worker import parameter_server
from labkit.models.peer_to_peer import gossip
from labkit.network import named_machine, named_network

REAL, SIMULATED = [2, 4, 8, 16], [2, 16, 128, 1024, 8192, 10_000]
NETWORK, MACHINE = named_network("1GbE"), named_machine("laptop core")
SHORT, LONG, LONG_REAL = 1024, 64 * 1024, 4 * 1024 * 1024        # bytes
MESSAGES = 3_000_000                                             # of a run, at most
TIMES = 10                                                       # operations of a real run


# ---- closed forms: (messages, bytes) of all peers together, and seconds of the last one


def folded(n):
    """Return the power of two up to n, its logarithm, and how many peers are beyond."""
    rounds = n.bit_length() - 1
    return 1 << rounds, rounds, n - (1 << rounds)


def ring_counts(n, m):
    return 2 * n * (n - 1), 2 * m * (n - 1)


def ring_s(n, m, a, b):
    return 2 * (n - 1) * (a + m / n * b)


def pairwise_s(n, m, a, b):
    return 2 * a + 2 * m * (n - 1) / n * b


def doubling_counts(n, m):
    p, rounds, extra = folded(n)
    messages = p * rounds + 2 * extra
    return messages, m * messages


def doubling_s(n, m, a, b):
    _, rounds, extra = folded(n)
    return (rounds + 2 * (extra > 0)) * (a + m * b)


def halving_counts(n, m):
    p, rounds, extra = folded(n)
    return 2 * p * rounds + 2 * extra, 2 * m * (p - 1) + 2 * m * extra


def halving_s(n, m, a, b):
    p, rounds, extra = folded(n)
    return 2 * rounds * a + 2 * m * (p - 1) / p * b + 2 * (extra > 0) * (a + m * b)


def tree_counts(n, m):
    return 2 * (n - 1), 2 * m * (n - 1)


def tree_s(n, m, a, b):
    return 2 * math.ceil(math.log2(n)) * (a + m * b)


def server_counts(n, m, steps):
    workers, stop = n - 1, wire.size_of(parameter_server.STOP)
    return 2 * workers * steps, m * workers * (2 * steps - 1) + workers * stop


def server_s(n, m, a, b, steps):
    work = MACHINE.work_s(nbytes=3 * m)
    return steps * (2 * a + (n - 1) * m * b + work) + (steps - 1) * m * b


def gossip_counts(n, m):
    messages = n * min(2, n - 1)
    return messages, m * messages


def gossip_s(n, m, a, b):
    return a + min(2, n - 1) * m * b


# ---- programs: each says whether what it has found is right


def allreduce(algorithm):
    def program(me, m, times):
        x = np.ones(m // 8)
        for _ in range(times):
            total = me.allreduce(x, algorithm=algorithm)
        return total[0] == me.size and total[-1] == me.size
    return program


def server(me, m, times):
    gradient = np.broadcast_to(1.0, m // 8)          # 10,000 of them need no memory
    settings = parameter_server.Settings(times, learning_rate=0.5)
    trained = parameter_server.train(me, lambda w, step: gradient, np.zeros(m // 8), settings)
    return trained is None or math.isclose(trained.parameters[-1], -0.5 * times, rel_tol=1e-9)


def around(n):
    # All send to the right first. In order of ranks, those at the seam would be sent two
    # messages at the same time, and the round would last a + 3 m b.
    right_left = [((rank + 1) % n, (rank - 1) % n)[:n - 1] for rank in range(n)]
    graph = topology.Graph("ring", tuple(right_left))

    def program(me, m, times):
        found = gossip.synchronous(me, np.full(m // 8, float(me.rank)), graph, times)
        # Ranks are their neighbours' means, but for the seam, which comes nearer each round.
        inside = times <= me.rank < me.size - times
        return not inside or abs(found.value[-1] - me.rank) < 1e-9
    return program


@dataclass(frozen=True)
class Case:
    """Something to be run on n peers."""

    name: str
    make: Callable                       # n -> program(me, m, times)
    counts: Callable                     # (n, m) or (n, m, steps) -> messages, bytes
    seconds: Callable                    # (n, m, a, b), and steps -> seconds
    short: bool = True                   # whether it makes sense for short messages
    steps: int = 0                       # a simulated run has so many, if they are not alike

    def expected(self, n, m, times):
        """Return the messages and bytes of `times` operations."""
        if self.steps:
            return self.counts(n, m, times)
        messages, nbytes = self.counts(n, m)
        return times * messages, times * nbytes


CASES = [
    Case("ring", lambda n: allreduce("ring"), ring_counts, ring_s),
    Case("pairwise", lambda n: allreduce("pairwise"), ring_counts, pairwise_s, short=False),
    Case("doubling", lambda n: allreduce("doubling"), doubling_counts, doubling_s),
    Case("halving", lambda n: allreduce("halving"), halving_counts, halving_s),
    Case("tree", lambda n: allreduce("tree"), tree_counts, tree_s),
    Case("server", lambda n: server, server_counts, server_s, steps=2),
    Case("gossip", around, gossip_counts, gossip_s),
]


def counted(world, case, m, times):
    """Run the program, check what it finds and what it has sent; return the run."""
    n = world.workers
    run = world.run(case.make(n), [m] * n, [times] * n, record=False)
    assert all(run.results), f"{case.name} on {n} peers: a wrong result"
    expected = case.expected(n, m, times)
    assert (run.messages, run.nbytes) == expected, \
        f"{case.name} on {n} peers: {run.messages, run.nbytes}, not {expected}"
    return run


def print_real():
    print(f"\n{TIMES} operations in the real world  ({bench.machine()})\n")
    print("| operation | m | workers | messages | bytes | ms an operation |")
    print("|---|---|---|---|---|---|")
    rows = {}
    for n in REAL:
        with labkit.cluster(workers=n, deadline_s=600) as world:
            for case in CASES:
                for m in [SHORT, LONG_REAL] if case.short else [LONG_REAL]:
                    counted(world, case, m, times=2)                     # to warm up
                    rows[case.name, m, n] = counted(world, case, m, TIMES)
    for (name, m, n), run in sorted(rows.items(), key=lambda row: (ORDER[row[0][0]], row[0])):
        print(f"| {name} | {size(m)} | {n} | {run.messages:,} | {run.nbytes:,} "
              f"| {1e3 * run.seconds / TIMES:.3g} |")


def print_simulated():
    a, b = NETWORK.latency_s, 1 / NETWORK.bandwidth_Bps
    print(f"\nThe simulated world, {NETWORK.name}: virtual ms against the closed form\n")
    print("| operation | m | peers | messages | bytes | ms | closed form | ratio | real s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        times = case.steps or 1
        for m in [SHORT, LONG] if case.short else [LONG]:
            for n in SIMULATED:
                messages, nbytes = case.expected(n, m, times)
                if messages > MESSAGES:
                    print(f"| {case.name} | {size(m)} | {n:,} | {messages:,} | {nbytes:,} "
                          "| too many | | | |")
                    continue
                world = labkit.simulated(n, network=NETWORK, machine=MACHINE)
                start = time.perf_counter()
                run = counted(world, case, m, times)
                wall = time.perf_counter() - start
                closed = case.seconds(n, m, a, b, *([times] if case.steps else []))
                ratio = run.seconds / closed
                print(f"| {case.name} | {size(m)} | {n:,} | {messages:,} | {nbytes:,} "
                      f"| {1e3 * run.seconds:.4g} | {1e3 * closed:.4g} | {ratio:.3f} "
                      f"| {wall:.2g} |", flush=True)
                within = 0.15 if n & (n - 1) else 0.1
                assert abs(ratio - 1) < within, f"{case.name} on {n} peers: {ratio:.3f}"


ORDER = {case.name: number for number, case in enumerate(CASES)}


def size(m):
    return f"{m // 1024 // 1024} MB" if m >= 1024 * 1024 else f"{m // 1024} KB"


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["real", "simulated"]
    if "real" in wanted:
        print_real()
    if "simulated" in wanted:
        print_simulated()

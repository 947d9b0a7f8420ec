"""Strangers at a real cluster's doors: what they send changes no result and fills no memory.

    before a run     their connections wait until the peers look for each other, who close them
    during a run     nobody listens: they wait in the kernel until the next run begins
"""

import contextlib
import os
import select
import socket
import threading
import time

import numpy as np
import psutil

import labkit
from labkit.cluster.link import DATA, HEADER
from labkit.cluster.rendezvous import HELLO, MAX_STRANGERS, _hello

STEPS = 300
GROWTH = 50e6                # bytes that a worker may grow by
HUGE = HEADER.pack(DATA, 1, 0, 9, 2**63)
SAID = {
    "garbage": os.urandom(5000),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a hello with the wrong secret": _hello(b"wrong secret", 1, 0, b"n" * 24),
    "a hello and a frame of 2**63 bytes": _hello(b"wrong", 2, 0, b"n" * 24) + HUGE,
    "a frame of 2**63 bytes": HUGE,
    "half a hello": _hello(b"wrong secret", 1, 0, b"n" * 24)[:HELLO.size // 2],
    "nothing": b"",
}


def talk(me, steps):
    """All-reduce often; return the sum of some of what came."""
    total, x = 0.0, np.arange(100.0)
    for step in range(steps):
        total += me.allreduce(x + me.rank)[step % 100]
        time.sleep(0.001)
    return total


def expected(workers):
    return sum(workers * (step % 100) + sum(range(workers)) for step in range(STEPS))


def doors(cluster):
    """Yield a function that connects, for every listening socket of every worker."""
    for address in [cluster._listens[worker] for worker in cluster._workers]:
        yield lambda address=address: socket.create_connection((address.host, address.port), 2)
        if address.local:
            yield lambda address=address: _connect_here(address.local)


def _connect_here(name):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(2)
    sock.connect(name)
    return sock


def knock(cluster, said):
    """Connect to every door, and say it; return the open connections."""
    socks = []
    for connect in doors(cluster):
        socks.append(connect())
        with contextlib.suppress(OSError):       # it may have been closed by now
            socks[-1].sendall(said)
    return socks


def memory_of(cluster):
    pids = cluster.client.run(os.getpid, workers=cluster._workers)
    return {pid: psutil.Process(pid).memory_info().rss for pid in pids.values()}


def heard(sock):
    """Return what a stranger was told, b"" if he was turned away, None if he still waits."""
    if not select.select([sock], [], [], 2)[0]:
        return None
    try:
        return sock.recv(100)
    except ConnectionError:
        return b""


@contextlib.contextmanager
def watched(cluster):
    """Fail if a worker is replaced or grows by what a stranger could have made it grow by."""
    check(cluster.run(talk, [STEPS] * cluster.workers))      # imports, buffers
    before = memory_of(cluster)
    yield
    after = memory_of(cluster)
    assert after.keys() == before.keys(), "no worker has died"
    assert all(after[pid] - before[pid] < GROWTH for pid in before)


def check(run):
    assert run.results == [expected(run.world.workers)] * run.world.workers


def close(socks):
    for sock in socks:
        sock.close()


def test_who_comes_before_a_run_is_turned_away(cluster):
    with watched(cluster):
        socks = {name: knock(cluster, said) for name, said in SAID.items()}
        check(cluster.run(talk, [STEPS] * cluster.workers))
        # The last peer waits for nobody, so its own strangers wait for a later run.
        first = [(name, sock) for name, several in socks.items()
                 for sock in several[:len(several) // cluster.workers]]
        assert {(name, heard(sock)) for name, sock in first} == {(name, b"") for name in SAID}
        for several in socks.values():
            close(several)
        check(cluster.run(talk, [STEPS] * cluster.workers))


def test_who_comes_during_a_run_does_not_disturb_it(cluster):
    with watched(cluster):
        socks, runs = [], []

        def come():
            time.sleep(0.3)
            for said in list(SAID.values()) * 3:
                socks.extend(knock(cluster, said))

        stranger = threading.Thread(target=come)
        stranger.start()
        while stranger.is_alive():
            runs.append(cluster.run(talk, [STEPS] * cluster.workers))
        stranger.join()
        for run in runs:
            check(run)
        assert not any(heard(sock) for sock in socks if select.select([sock], [], [], 0)[0])
        close(socks)
        check(cluster.run(talk, [STEPS] * cluster.workers))


def test_a_crowd_that_says_nothing_does_not_keep_the_peers_apart(cluster):
    with watched(cluster):
        connect = next(iter(doors(cluster)))
        crowd = [connect() for _ in range(MAX_STRANGERS + 40)]
        check(cluster.run(talk, [STEPS] * cluster.workers))
        close(crowd)
        check(cluster.run(talk, [STEPS] * cluster.workers))


def test_silence_costs_a_cluster_with_tls_no_time():
    with labkit.cluster(workers=2, security=True, deadline_s=10) as world:
        socks = [sock for said in (b"", SAID["garbage"]) * 5 for sock in knock(world, said)]
        check(world.run(talk, [STEPS] * 2))
        assert [heard(sock) for sock in socks[:1]] == [b""]
        close(socks)

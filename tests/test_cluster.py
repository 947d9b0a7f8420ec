"""What only the cluster world does: processes, sockets, deadlines, other people's clusters."""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import psutil
import pytest
from by_hand import started

import labkit
from labkit.cluster import start
from labkit.errors import (
    ClusterError,
    ConfigurationError,
    DeadlineExceeded,
    DeadlockError,
    PeerLost,
    ProgramError,
)


def allreduce(me, x):
    return me.allreduce(x)


def pid(me):
    return os.getpid()


def check_works(world):
    xs = [np.arange(5.0) + rank for rank in range(world.workers)]
    world.run(allreduce, xs).verify(sum(xs))


# ---- processes and defaults


def test_every_peer_has_a_process_of_its_own_and_keeps_it(cluster):
    pids = cluster.run(pid).results
    assert len({*pids, os.getpid()}) == 4
    assert cluster.run(pid).results == pids


def test_defaults(cluster):
    from threadpoolctl import threadpool_info

    assert cluster.dashboard.startswith("http://127.0.0.1:")
    blas = cluster.run(lambda me: [pool["num_threads"] for pool in threadpool_info()]).results
    assert {threads for pools in blas for threads in pools} == {1}
    listening = {connection.laddr.ip
                 for process in [psutil.Process(), *psutil.Process().children(recursive=True)]
                 for connection in process.net_connections("tcp")
                 if connection.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_peers_are_named_tasks_on_the_dashboard(cluster):
    def ring_of_friends(me):
        me.barrier()

    cluster.run(ring_of_friends)
    names = cluster.client.run_on_scheduler(
        lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert "ring_of_friends" in names


def test_interrupt_spares_the_workers(cluster):
    pids = cluster.run(pid).results
    for process in pids:
        os.kill(process, signal.SIGINT)
    time.sleep(0.2)
    assert cluster.run(pid).results == pids


def test_interrupting_a_run_stops_it_and_the_next_one_works(cluster):
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        cluster.run(lambda me: me.recv((me.rank + 1) % me.size))
    check_works(cluster)


def test_nothing_is_left_behind():
    def scratch():
        return set(Path(tempfile.gettempdir()).glob("labkit-*"))

    before = {process.pid for process in psutil.Process().children(recursive=True)}
    scratch_before = scratch()
    with labkit.cluster(workers=2) as world:
        workers = set(world.run(pid).results)
        ports = list(world._listens.values())
    deadline = time.monotonic() + 5
    while any(psutil.pid_exists(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = {p.pid for p in psutil.Process().children(recursive=True)} - before
    # Python's own resource tracker lives as long as this process.
    left = {p for p in left if "resource_tracker" not in " ".join(psutil.Process(p).cmdline())}
    assert not left & workers and not left
    assert scratch() == scratch_before
    for address in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.host, address.port), timeout=1)
        if address.local:
            with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as sock:
                sock.connect(address.local)


# ---- faults


@pytest.fixture
def short():
    """A world of its own, with a short deadline, for tests that break it."""
    with labkit.cluster(workers=2, deadline_s=4) as world:
        yield world


def test_faults_are_named_and_the_next_run_works(short):
    with pytest.raises(DeadlockError, match="peer 0, in allreduce waits for peer 1") as caught:
        short.run(lambda me: me.allreduce(1) if me.rank == 0 else me.recv(0))
    assert "peer 1 waits for peer 0" in caught.value.got
    check_works(short)

    def dies(me):
        if me.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        me.recv(1)

    victim = short._workers[1]
    with pytest.raises(ClusterError, match="A worker died") as caught:
        short.run(dies)
    assert caught.value.got == f"peer 1 at {victim}, killed by SIGKILL"
    check_works(short)
    assert short._workers[1] != victim

    with pytest.raises(DeadlineExceeded, match=r"peers \[1\]"):
        short.run(lambda me: time.sleep(60) if me.rank else None)
    check_works(short)

    with pytest.raises(DeadlineExceeded, match="1 of 3 unfinished"):
        short.map(lambda i: time.sleep(40 * (i == 1)), range(3))
    check_works(short)


@pytest.mark.parametrize(("end", "cause"), [
    (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by SIGKILL"),
    (lambda: ctypes.string_at(0), "killed by SIGSEGV"),
    (lambda: os._exit(3), "ended with status 3")])
def test_a_task_that_ends_each_of_its_workers_is_named_with_the_cause(cluster, end, cause):
    with pytest.raises(ClusterError, match="died each time") as caught:
        cluster.map(lambda i: end() if i == 1 else i, range(2))
    assert caught.value.where == "item 1"
    assert caught.value.got.startswith(f"{cause}, last at tcp://")
    check_works(cluster)


def test_what_cannot_be_pickled_is_named_before_the_start(cluster):
    lock = threading.Lock()
    with pytest.raises(ConfigurationError, match="function guarded"):
        def guarded(me):
            return lock
        cluster.run(guarded)
    with pytest.raises(ConfigurationError, match="lock"):
        cluster.run(allreduce, [lock] * 3)


def test_an_error_that_cannot_be_pickled_still_tells_its_story(cluster):
    class Awkward(Exception):
        def __init__(self, lock):
            super().__init__("awkward")
            self.lock = threading.Lock()

    def program(me):
        raise Awkward(1)

    with pytest.raises(ProgramError, match="Awkward in peer") as caught:
        cluster.run(program)
    assert "in program\ntest_cluster.Awkward: awkward" in "".join(caught.value.__notes__)


def test_strangers_are_turned_away_while_the_run_goes_on(cluster):
    """Garbage, a wrong secret and silence at every listener, before and during a run."""
    from labkit.cluster.rendezvous import _hello

    stop = threading.Event()

    def knock(address):
        yield socket.create_connection((address.host, address.port), timeout=1)
        if address.local:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address.local)
            yield sock

    def pester():
        while not stop.is_set():
            for address in cluster._listens.values():
                for bytes_ in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 200, b"",
                               _hello(b"wrong secret", 2, 0, b"n" * 24)):
                    with contextlib.suppress(OSError):
                        for sock in knock(address):
                            sock.sendall(bytes_)
                            if bytes_:
                                sock.close()
            time.sleep(0.01)

    thread = threading.Thread(target=pester)
    thread.start()
    try:
        for _ in range(5):
            check_works(cluster)
    finally:
        stop.set()
        thread.join()


# ---- clusters given by address


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """The address of a cluster with two workers."""
    with started(tmp_path_factory.mktemp("dask"), 2, "--no-dashboard") as (address, _):
        yield address


def test_a_cluster_by_address_runs_the_same(by_hand):
    with labkit.cluster(by_hand) as world:
        assert world.workers == 2
        check_works(world)
        X = world.shard(da.ones((10, 2), chunks=(2, 2)))
        assert sum(world.map(np.sum, X).results) == 20
    with labkit.cluster(by_hand, workers=1) as world:
        check_works(world)


def test_the_environment_variable_gives_the_address(by_hand, monkeypatch):
    monkeypatch.setenv("LABKIT_SCHEDULER", by_hand)
    with labkit.cluster(workers=2) as world:
        assert world.client.scheduler.address == by_hand
        check_works(world)


def test_more_peers_than_free_workers_are_refused(by_hand):
    with pytest.raises(ClusterError, match="fewer free workers") as caught:
        labkit.cluster(by_hand, workers=3)
    assert (caught.value.expected, caught.value.got) == (3, "2 free of 2")
    with labkit.cluster(by_hand) as world:
        task = world.client.submit(time.sleep, 3, workers=[world._workers[0]], pure=False)
        time.sleep(0.3)
        with pytest.raises(ClusterError, match="1 free of 2"):
            labkit.cluster(by_hand, workers=2)
        task.result()


def test_two_notebooks_take_turns_on_one_cluster(by_hand):
    with labkit.cluster(by_hand) as one, labkit.cluster(by_hand) as two:
        threads = [threading.Thread(target=lambda w=w: [check_works(w) for _ in range(5)])
                   for w in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        check_works(one)
        check_works(two)
    assert dask.config.get("scheduler", None) is None


@pytest.mark.parametrize(("address", "error"), [
    ("tcp://127.0.0.1:1", ClusterError), ("nonsense://127.0.0.1:8786", ConfigurationError)])
def test_an_address_without_a_scheduler_is_a_clear_error(address, error, monkeypatch):
    monkeypatch.setattr(start, "CONNECT_S", 1)
    with pytest.raises(error):
        labkit.cluster(address)


# ---- TLS


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_links_use_tls_where_the_cluster_does(how, monkeypatch):
    if how == "environment":
        monkeypatch.setenv("LABKIT_SECURITY", "tls")
    with labkit.cluster(workers=2, security=True if how == "argument" else None) as world:
        assert world.client.scheduler.address.startswith("tls://")

        def kinds(me):
            return [type(link).__name__ for link in me.links.values()]

        assert world.run(kinds).results == [["TlsLink"], ["TlsLink"]]
        xs = [np.random.default_rng(rank).normal(size=1_000_000) for rank in range(2)]
        world.run(allreduce, xs).verify(sum(xs))
        check_works(world)


# ---- transport


def test_peers_of_one_host_read_each_others_memory(cluster):
    from labkit.cluster import memory

    xs = [np.random.default_rng(rank).normal(size=300_000) for rank in range(3)]
    run = cluster.run(allreduce, xs).verify(sum(xs))
    if memory.readable(*memory.card()):
        assert run.world.transport == "3 memory"


def test_peers_may_talk_by_tcp_as_between_hosts(by_hand):
    xs = [np.random.default_rng(rank).normal(size=300_000) for rank in range(2)]
    with labkit.cluster(by_hand, transport="tcp") as world:
        run = world.run(allreduce, xs).verify(sum(xs))
        assert run.world.transport == "1 tcp"
    with labkit.cluster(by_hand) as world:
        run = world.run(allreduce, xs).verify(sum(xs))
        assert run.world.transport != "1 tcp" or not sys.platform.startswith("linux")


class Flipping:
    """A socket that flips one bit, of the first long buffer that it sends."""

    def __init__(self, sock):
        self.sock = sock
        self.flipped = False

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def sendmsg(self, buffers, *rest):
        buffers = list(buffers)
        for number, buffer in enumerate(buffers):
            if len(buffer) > 10_000 and not self.flipped:
                buffers[number], self.flipped = bytearray(buffer), True
                buffers[number][5_003] ^= 64
        return self.sock.sendmsg(buffers, *rest)


def flip_a_bit(me, x):
    if me.rank == 0:
        (link,) = me.links.values()
        link.sock = Flipping(link.sock)
    total = me.allreduce(x)
    for _ in range(50):                  # short messages, while nothing else is on the way
        me.sendrecv(1 - me.rank, me.rank, 1 - me.rank)
    me.send(1 - me.rank, {"x": x})
    me.recv(1 - me.rank)
    if me.rank == 0:
        assert link.sock.flipped
    return total


def test_with_checksums_a_flipped_bit_is_sent_again(by_hand):
    xs = [np.random.default_rng(rank).normal(size=400_000) for rank in range(2)]
    with labkit.cluster(by_hand, transport="tcp", checksums=True) as world:
        clean = world.run(allreduce, xs).verify(sum(xs))
        assert clean.resent == 0
        hurt = world.run(flip_a_bit, xs).verify(sum(xs))
        assert hurt.resent >= 1
    with labkit.cluster(by_hand, transport="tcp") as world:
        hurt = world.run(flip_a_bit, xs)
        assert not np.array_equal(hurt.results[1], sum(xs))      # nobody has noticed


def test_with_checksums_peers_may_end_at_different_times(cluster):
    def program(me):
        if me.rank == 0:
            return 0                     # long before the others say goodbye
        time.sleep(0.05 * me.rank)
        return me.sendrecv(3 - me.rank, me.rank, 3 - me.rank)

    address = cluster.client.scheduler.address
    with labkit.cluster(address, transport="tcp", checksums=True, deadline_s=10) as world:
        for _ in range(5):
            assert world.run(program).results == [0, 2, 1]


def test_checksums_beside_memory(by_hand):
    xs = [np.random.default_rng(rank).normal(size=400_000) for rank in range(2)]
    with labkit.cluster(by_hand, checksums=True) as world:
        run = world.run(allreduce, xs).verify(sum(xs))
        assert run.resent == 0
        check_works(world)


def test_an_unknown_transport_is_refused():
    with pytest.raises(ConfigurationError, match="'auto' or 'tcp'"):
        labkit.cluster(workers=2, transport="pigeon")


@pytest.mark.parametrize("size", [10, 500_000])
def test_a_peer_that_dies_in_the_middle_of_a_collective_is_named(cluster, size):
    def program(me):
        for step in range(100):
            me.step(step)
            if (me.rank, step) == (1, 5):
                os.kill(os.getpid(), signal.SIGKILL)
            me.allreduce(np.ones(size))

    victim = cluster._workers[1]
    with pytest.raises(ClusterError, match="A worker died") as caught:
        cluster.run(program)
    assert caught.value.got == f"peer 1 at {victim}, killed by SIGKILL"
    check_works(cluster)


# ---- a run that goes on without a peer


def die(me):
    os.kill(os.getpid(), signal.SIGKILL)


def hand_out(me, n_tasks, how_large):
    """A master who gives the tasks of lost workers to others; a worker dies with its second."""
    if me.rank:
        while (task := me.recv(0)) is not None:
            if me.rank == 2 and task[0] >= 3:
                die(me)
            me.send(0, (task[0], task[1].sum()))
        return me.rank
    waiting, given, found = list(range(n_tasks)), {}, {}
    idle, lost = set(range(1, me.size)), []
    while len(found) < n_tasks:
        while waiting and idle:
            worker, number = idle.pop(), waiting.pop(0)
            try:
                me.send(worker, (number, np.full(how_large, float(number))))
                given[worker] = number
            except PeerLost:
                waiting.append(number)
        try:
            worker, (number, value) = me.recv_any()
        except PeerLost as error:
            lost.append(error.rank)
            idle.discard(error.rank)
            waiting += [given.pop(error.rank)] if error.rank in given else []
            continue
        found[number] = value
        del given[worker]
        idle.add(worker)
    for worker in set(range(1, me.size)) - set(lost):
        me.send(worker, None)
    return [found[number] for number in range(n_tasks)], lost


@pytest.mark.parametrize("options", [{}, {"transport": "tcp"},
                                     {"transport": "tcp", "checksums": True}])
@pytest.mark.parametrize("how_large", [3, 100_000])
def test_a_program_can_go_on_without_a_peer(cluster, options, how_large):
    with labkit.cluster(cluster.client.scheduler.address, workers=3, **options) as world:
        run = world.run(hand_out, [20] * 3, [how_large] * 3, tolerate_loss=True)
        assert run.results[0] == ([how_large * float(number) for number in range(20)], [2])
        assert run.results[1:] == [1, None]
        assert run.lost == (2,)
        check_works(world)


def test_who_is_gone_is_named_each_time_and_others_still_answer(cluster):
    def program(me):
        if me.rank == 2:
            me.send(0, "last words")
            me.recv(0), me.recv(1)       # so that nobody is in a collective any more
            die(me)
        me.send(2, "go")
        caught = []
        for _ in range(2):
            try:
                me.recv(3 - me.rank) if me.rank == 1 else me.recv_any()
            except PeerLost as error:
                caught.append(error.rank)
            else:
                caught.append("message")
        with pytest.raises(PeerLost, match="Peer 2 is gone"):
            me.send(2, 1)
        if me.rank == 1:                     # or 0 might take this for what it waits for above
            other = me.recv(0)
        me.send(1 - me.rank, np.full(100_000, me.rank))
        return caught, (me.recv(1) if me.rank == 0 else other)[0]

    run = cluster.run(program, tolerate_loss=True)
    assert run.lost == (2,)
    caught, other = run.results[0]
    assert sorted(map(str, caught)) == ["2", "message"] and other == 1
    assert run.results[1] == ([2, 2], 0)
    check_works(cluster)


def test_a_loss_that_nobody_tolerates_is_an_error(cluster):
    with pytest.raises(ClusterError, match="died during the run"):
        cluster.run(lambda me: die(me) if me.rank == 1 else me.rank)
    check_works(cluster)


def test_a_scheduler_without_a_dashboard_has_no_address(cluster, monkeypatch):
    assert cluster.dashboard.startswith("http://127.0.0.1:")
    monkeypatch.setattr(type(cluster.client), "dashboard_link", property(lambda _: {}["dashboard"]))
    assert cluster.dashboard is None

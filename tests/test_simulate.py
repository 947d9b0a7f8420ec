"""The virtual clock, against closed forms."""

import math

import numpy as np
import pytest

import labkit
from labkit.network import MACHINES, Machine, Network

NET = Network("test", latency_s=1e-3, bandwidth_Bps=1e6)


def simulated(n, **options):
    return labkit.simulated(workers=n, **{"network": NET, **options})


def test_one_message_takes_latency_plus_bytes_over_bandwidth():
    run = simulated(2).run(
        lambda me: me.send(1, np.zeros(1000)) if me.rank == 0 else me.recv(0) is None)
    assert run.seconds == pytest.approx(1e-3 + 8000 / 1e6)
    assert (run.messages, run.nbytes) == (1, 8000)


@pytest.mark.parametrize("n", [9, 12, 40])
def test_ring_allreduce_meets_the_closed_form(n):
    """2(n-1) rounds, each of latency + (m/n)/bandwidth (Patarasuk & Yuan 2009)."""
    m = 8_000 * n
    run = simulated(n).run(lambda me: me.allreduce(np.ones(m // 8), algorithm="ring"))
    assert run.seconds == pytest.approx(2 * (n - 1) * (1e-3 + m / n / 1e6))
    assert run.messages == 2 * (n - 1) * n
    assert run.nbytes == 2 * (n - 1) * m


@pytest.mark.parametrize("n", [2, 8, 64])
def test_recursive_doubling_meets_the_closed_form(n):
    run = simulated(n).run(lambda me: me.allreduce(np.ones(125)))
    assert run.seconds == pytest.approx(math.log2(n) * (1e-3 + 1000 / 1e6))
    assert run.messages == n * math.log2(n)


def test_a_master_receives_one_message_at_a_time():
    """n-1 messages arrive together; the master's port in takes them one after another."""
    def program(me):
        if me.rank:
            return me.send(0, np.zeros(1000))
        return [me.recv_any()[0] for _ in range(me.size - 1)]

    run = simulated(11).run(program)
    assert run.seconds == pytest.approx(1e-3 + 10 * 8e-3)


def test_a_master_sends_one_message_at_a_time():
    def program(me):
        if me.rank:
            return me.recv(0) is None
        for to in range(1, me.size):
            me.send(to, np.zeros(1000))

    assert simulated(11).run(program).seconds == pytest.approx(10 * 8e-3 + 1e-3)


def test_recv_any_takes_messages_by_virtual_time():
    """Later ranks compute less and so arrive earlier, whatever order the peers run in."""
    def program(me):
        if me.rank:
            me.work(flops=(me.size - me.rank) * 1e9)
            return me.send(0, me.rank)
        return [me.recv_any()[0] for _ in range(me.size - 1)]

    run = simulated(6, machine=Machine("1 GFLOP/s", 1e9, 1e9)).run(program)
    assert run.results[0] == [5, 4, 3, 2, 1]


def test_communication_overlaps_with_work():
    def program(me):
        me.send(1 - me.rank, np.zeros(1000))
        me.work(flops=1e9)
        me.recv(1 - me.rank)

    run = simulated(2, machine=Machine("1 GFLOP/s", 1e9, 1e9)).run(program)
    assert run.seconds == pytest.approx(1.0)


def test_work_takes_the_slower_of_computing_and_memory():
    run = simulated(1, machine="server").run(lambda me: me.work(flops=1e12, nbytes=400e9))
    machine = MACHINES["server"]
    assert run.seconds == max(1e12 / machine.flops_per_s, 400e9 / machine.memory_Bps)


def test_overhead_is_paid_on_both_sides():
    net = Network("logp", latency_s=1e-3, bandwidth_Bps=1e6, overhead_s=1e-4)
    run = simulated(2, network=net).run(
        lambda me: me.send(1, np.zeros(1000)) if me.rank == 0 else me.recv(0) is None)
    assert run.seconds == pytest.approx(net.message_s(8000))


def test_a_run_is_the_same_each_time_and_jitter_depends_on_the_seed():
    def program(me):
        if me.rank:
            for _ in range(20):
                me.send(0, me.rank)
            return None
        return [me.recv_any()[0] for _ in range(20 * (me.size - 1))]

    net = Network("jittery", 1e-3, 1e6, jitter_s=1e-3)
    runs = [simulated(5, network=net, seed=seed).run(program) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0].results != runs[2].results


def test_jitter_has_the_mean_that_was_asked_for_and_keeps_order():
    net = Network("jittery", 1e-3, 1e9, jitter_s=2e-3)

    def program(me):
        for number in range(4000):
            if me.rank == 0:
                me.send(1, number)
                me.recv(1)
            else:
                assert me.recv(0) == number
                me.send(0, number)

    run = simulated(2, network=net).run(program, record=False)
    assert run.seconds / 8000 == pytest.approx(3e-3, rel=0.05)


def test_a_thousand_peers_barrier_in_ten_rounds():
    run = simulated(1000).run(lambda me: me.barrier())
    assert run.messages == 10 * 1000
    assert run.seconds == pytest.approx(10 * 1e-3)


def test_map_keeps_every_worker_busy():
    """Four workers, eight tasks of one second: two rounds, plus dispatch and return."""
    world = simulated(4, machine=Machine("1 GFLOP/s", 1e9, 1e9), task_overhead_s=0.0)
    run = world.map(lambda i: i, range(8), work=lambda i: dict(flops=1e9))
    assert run.seconds == pytest.approx(2.0, rel=0.01)
    assert sorted(e.rank for e in run.events) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_map_is_bound_by_the_scheduler_when_tasks_are_small():
    run = simulated(100, task_overhead_s=2.5e-3).map(lambda i: i, range(1000))
    assert run.seconds == pytest.approx(2.5, rel=0.01)

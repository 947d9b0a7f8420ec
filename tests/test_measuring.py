"""Measuring: only right answers are timed; calibration finds what the virtual clock is made of."""

import itertools

import numpy as np
import pytest
import scipy.sparse

import labkit
from labkit.cluster.peer import LARGE
from labkit.errors import ConfigurationError, LabkitError
from labkit.faults import Crash, FaultPlan
from labkit.measuring import calibrate, measure, predict, sweep
from labkit.measuring.answers import agrees, check_answer
from labkit.network import Machine, Network
from labkit.records import Run

X = np.random.default_rng(0).normal(size=(601, 3))


def column_sums(me, part):
    me.work(nbytes=part.nbytes)
    return me.allreduce(part.sum(axis=0))


def in_one_thread(X):
    return X.sum(axis=0)


@pytest.fixture
def simulated():
    with labkit.simulated(workers=4, network="1GbE") as world:
        yield world


# ---- measure and sweep


def test_a_measurement_is_what_the_runs_took(simulated):
    run = simulated.run(column_sums, simulated.shard(X))
    found = measure(column_sums, simulated, X, repeats=3)
    assert found.seconds == (run.seconds,) * 3       # a virtual clock does not vary
    assert (found.messages, found.nbytes) == (run.messages, run.nbytes)
    assert found.verified
    assert found.name == "column_sums"
    assert len(found.wall_s) == 3
    assert found.world.simulated


def test_a_sweep_has_each_combination_and_a_baseline():
    def scaled(me, part, factor, power):
        return me.allreduce(factor * (part**power).sum())

    def baseline(X, power, factor):
        return factor * (X**power).sum()

    with labkit.serial(workers=3) as world:
        found = sweep(scaled, world, X, workers=[1, 3], factor=[1.0, 2.0], power=[2],
                      baseline=baseline, repeats=2)
    assert [one.settings for one in found] == [
        {"workers": w, "factor": f, "power": 2} for w, f in itertools.product([1, 3], [1.0, 2.0])]
    assert [one.world.workers for one in found] == [1, 1, 3, 3]
    assert [base.settings for base in found.baselines] == [{"factor": 1.0, "power": 2},
                                                           {"factor": 2.0, "power": 2}]
    assert all(len(one.seconds) == 2 for one in [*found, *found.baselines])
    assert found.environment.cores >= 1
    assert found.speedup(found[0]).median > 0


def test_virtual_seconds_are_compared_with_virtual_ones(simulated):
    found = sweep(column_sums, simulated, X, workers=[1, 2, 4], baseline=in_one_thread, repeats=1)
    assert [base.world.kind for base in found.baselines] == ["simulated"]
    assert "one simulated peer" in found.baselines[0].name
    assert [round(found.speedup(one).median, 3) for one in found] == [
        round(found[0].median_s / one.median_s, 3) for one in found]

    def needs_two(me):
        return me.recv(1) if me.rank == 0 else me.send(0, 1)

    alone = sweep(needs_two, simulated, workers=[2], repeats=1)
    assert alone.baselines == ()
    with pytest.raises(ConfigurationError, match="nothing to compare with"):
        alone.speedup(alone[0])
    idle = sweep(lambda me: 1, simulated, workers=[1, 2], repeats=1)
    assert np.isnan(idle.speedup(idle[1]).median)


def test_weak_scaling_gives_each_worker_the_same_rows(simulated):
    def rows(me, part):
        return me.allreduce(len(part))

    for world in (labkit.serial(workers=4), simulated):
        found = sweep(rows, world, X[:400], workers=[1, 2, 4], scaling="weak", baseline=len,
                      repeats=1)
        assert [base.settings["workers"] for base in found.baselines] == [1, 2, 4]
    seen = []
    sweep(lambda me, part: seen.append(len(part)) or 0, labkit.serial(workers=4), X[:400],
          workers=[1, 2, 4], scaling="weak", repeats=1, warmup=0, expected=0)
    assert set(seen) == {100}


def test_settings_take_turns_and_no_one_goes_first_always(simulated):
    order = []

    def named(me, number):
        if me.rank == 0:
            order.append(number)

    sweep(named, simulated, number=list(range(4)), repeats=6, warmup=1, expected=[None] * 4)
    rounds = [tuple(order[i:i + 4]) for i in range(0, 28, 4)]
    assert len(order) == 28
    assert all(sorted(one) == [0, 1, 2, 3] for one in rounds)
    assert len(set(rounds)) > 3
    again, first = [], list(order)
    order = again
    sweep(named, simulated, number=list(range(4)), repeats=6, warmup=1, expected=[None] * 4)
    assert again == first                # by the seed


def test_latencies_and_networks_change_a_simulated_world(simulated):
    def ping(me):
        return me.sendrecv((me.rank + 1) % me.size, 1.0, (me.rank - 1) % me.size)

    found = sweep(ping, simulated, network=["1GbE", "WiFi"], latency_s=[0.0, 0.5], repeats=1)
    assert [round(one.median_s, 3) for one in found] == [0.0, 0.5, 0.0, 0.5]
    assert [one.world.network.name for one in found] == ["1GbE", "1GbE", "WiFi", "WiFi"]


def test_tasks_and_calls_are_measured(simulated):
    def square(item):
        return item**2

    def two_maps(world, items, power):
        first = world.map(lambda x: x**power, items).results
        return sum(world.map(lambda x: x + 1, first).results)

    assert measure(square, simulated, [1, 2, 3], how="map", repeats=2).messages == 3
    found = sweep(two_maps, simulated, [1, 2, 3], how="call", power=[1, 2], repeats=2,
                  baseline=lambda items, power: sum(x**power + 1 for x in items))
    with simulated.recorded() as runs:
        two_maps(simulated, [1, 2, 3], 2)
    assert found[1].seconds == pytest.approx((sum(run.seconds for run in runs),) * 2)
    assert found[1].messages == 6


def test_the_serial_answer_is_expected_where_no_other_is_given(simulated):
    def wrong_if_simulated(me):
        return me.rank + (type(me).__name__ == "SimulatedPeer")

    with pytest.raises(LabkitError, match="wrong_if_simulated, result 0"):
        measure(wrong_if_simulated, simulated)


@pytest.mark.parametrize(("expected", "what"), [
    (1.0, "An answer is wrong"), (lambda X: X.sum(axis=0) + 1e-3, "An answer is wrong"),
    ([np.zeros(3)] * 4, "An answer is wrong")])
def test_a_wrong_answer_is_not_timed(simulated, expected, what):
    with pytest.raises(LabkitError, match=what):
        measure(column_sums, simulated, X, expected=expected)


def test_the_baseline_is_what_answers_are_compared_with(simulated):
    with pytest.raises(LabkitError, match="its time was not recorded"):
        measure(column_sums, simulated, X, baseline=lambda X: X.sum(axis=0) * 1.001)


def test_faults_strike_each_run(simulated):
    plan = FaultPlan(Crash(1, at_step=0))

    def survives(me):
        me.step(0)
        return sizes.add(me.size) or 1

    sizes = set()
    with simulated.under(elastic=True):
        found = measure(survives, simulated, faults=plan, repeats=2, expected=1)
    assert len(found.seconds) == 2
    assert sizes == {3, 4}


@pytest.mark.parametrize("wrong", [
    dict(how="walk"), dict(scaling="none"), dict(repeats=0), dict(warmup=-1), dict(workers=2),
    dict(policy="static"), dict(size=[])])
def test_what_cannot_be_measured_is_refused(simulated, wrong):
    with pytest.raises(ConfigurationError):
        sweep(column_sums, simulated, X, **wrong)


@pytest.mark.parametrize(("got", "want", "same"), [
    (1.0, 1.0 + 1e-9, True), (1.0, 1.1, False), (np.arange(3), np.arange(3), True),
    (np.arange(3), np.arange(4), False), ({"a": 1}, {"a": 1}, True), ({"a": 1}, {"b": 1}, False),
    ((1, [2.0]), (1, [2.0]), True), ((1, [2.0]), (1, [2.5]), False), ("a", "a", True),
    ("a", "b", False), (None, None, True), (None, 0, False), (np.nan, np.nan, True),
    ([1, 2], [1], False), (np.array(["x"]), np.array(["x"]), True),
    (scipy.sparse.csr_matrix(np.eye(2)), scipy.sparse.csr_matrix(np.eye(2)), True),
    (np.eye(2), scipy.sparse.csr_matrix(np.eye(2)), False), ("1", 1, False),
    (np.array([1e9, 1.0]), np.array([1e9, 1.0001]), True),       # rounding of the largest
    (Run([1], 1.0, 0, 0), Run([1], 1.0, 0, 0), True),
    (Run([1], 1.0, 0, 0), Run([2], 1.0, 0, 0), False)])
def test_answers_agree_if_they_are_equal(got, want, same):
    assert agrees(got, want, 1e-6) is same


def test_an_answer_may_be_the_root_s_only():
    check_answer([3.0, None, None], 3.0, 1e-6, "reduce")
    with pytest.raises(LabkitError, match="No peer has an answer"):
        check_answer([None, None], 3.0, 1e-6, "reduce")


# ---- on real workers


def test_a_cluster_is_measured_by_subsets_of_its_workers(cluster):
    before = len(cluster.client.scheduler_info(n_workers=-1)["workers"])
    found = sweep(column_sums, cluster, X, workers=[1, 2, 3], baseline=in_one_thread, repeats=2)
    assert [one.world.workers for one in found] == [1, 2, 3]
    assert [one.messages > 0 for one in found] == [False, True, True]
    assert all(one.verified and min(one.seconds) > 0 for one in found)
    assert len(cluster.client.scheduler_info(n_workers=-1)["workers"]) == before


def test_a_latency_is_added_to_each_message_of_a_cluster(cluster):
    def ping(me):
        if me.rank == 0:
            me.send(1, 1.0)
        return me.recv(1 - me.rank) if me.rank == 1 else None

    found = sweep(ping, cluster, workers=[2], latency_s=[0, 0.2], repeats=2,
                  expected=[None, 1.0])
    assert max(found[0].seconds) < 0.2 <= min(found[1].seconds)


# ---- the timed virtual clock


def busy(me):
    import time

    began = time.thread_time()
    while time.thread_time() < began + 0.02:
        pass
    me.step(1)
    return time.thread_time() - began


def test_a_timed_world_counts_what_programs_take():
    with labkit.simulated(workers=2, timed=True) as world:
        run = world.run(busy)
        slow = world.run(lambda me: me.work(flops=1e15))
        tasks = world.map(lambda item: busy(_Nobody()), range(2))
    assert run.seconds >= 0.02
    assert run.seconds <= sum(run.results)           # side by side, not one after the other
    assert slow.seconds < 1                          # what is declared does not count
    assert 0.02 <= tasks.seconds < sum(tasks.results) + 0.01
    work = [event for event in run.events if event.kind == "work"]
    assert {event.rank for event in work} == {0, 1}


class _Nobody:
    def step(self, number):
        """Nothing."""


def test_waiting_and_copying_are_not_counted_as_computing():
    network = Network("slow", latency_s=1.0, bandwidth_Bps=1e6)

    def program(me):
        x = np.ones(125_000)
        if me.rank == 0:
            me.send(1, x)
            me.recv(1, out=x)
        else:
            me.recv(0, out=x)
            me.send(0, x)

    with labkit.simulated(workers=2, network=network, timed=True) as world:
        assert world.run(program).seconds == pytest.approx(4.0, abs=0.05)


def test_a_timed_world_knows_no_faults():
    with labkit.simulated(workers=2, timed=True) as world:
        with pytest.raises(ConfigurationError, match="timed=False"):
            world.run(busy, faults=FaultPlan(Crash(1, at_step=1)))
        with pytest.raises(ConfigurationError, match="timed=False"):
            world.map(str, [1], faults=FaultPlan(Crash(1, at_step=1)))


def test_adding_takes_time_where_the_machine_says_so():
    def program(me):
        x, y = np.ones(1000), np.zeros(1000)
        if me.rank == 0:
            return me.send(1, x)
        me.accumulate([0], y)
        assert y.sum() == 1000

    seconds = {}
    for combine_Bps in (np.inf, 8e3):
        machine = Machine("m", 1e9, 1e9, combine_Bps)
        with labkit.simulated(workers=2, machine=machine, network="1GbE") as world:
            seconds[combine_Bps] = world.run(program).seconds
    assert seconds[8e3] == pytest.approx(seconds[np.inf] + 1.0)


def test_a_worker_pauses_between_two_tasks_where_the_scheduler_says_so():
    with labkit.simulated(workers=1, network="1GbE", task_overhead_s=0,
                          task_turnaround_s=0.5) as world:
        tasks = world.map(str, range(3)).tasks
    assert [task.start_s for task in tasks] == pytest.approx([0.0, 0.5, 1.0], abs=1e-3)
    with pytest.raises(ConfigurationError, match="task_turnaround_s="):
        labkit.simulated(task_turnaround_s=-1)


def test_what_comes_from_a_wait_takes_longer_at_most_twice():
    def program(me):
        if me.rank == 0:
            return me.send(1, 1)
        me.recv(0)
        return busy(_Nobody())

    seconds = {}
    for cold_s in (0.0, 0.01, 10.0):
        machine = Machine("m", 1e9, 1e9, cold_s=cold_s)
        with labkit.simulated(workers=2, machine=machine, timed=True) as world:
            run = world.run(program)
        seconds[cold_s] = run.seconds - run.results[1]
    assert seconds[0.0] < 0.01 <= seconds[0.01]
    assert 0.02 <= seconds[10.0] < 1


def test_what_is_timed_computes_with_one_thread():
    def threads(*_):
        from threadpoolctl import threadpool_info
        return max(pool["num_threads"] for pool in threadpool_info())

    with labkit.simulated(workers=2, timed=True) as world:
        assert world.run(threads).results == [1, 1]
        assert world.map(threads, [1]).results == [1]


def test_what_arrives_in_new_memory_is_right():
    def program(me, dtype):
        sent = np.arange(3000).astype(dtype)
        if me.rank == 0:
            return me.send(1, sent)
        out = np.empty(3000, dtype)
        return bool((me.recv(0, out=out) == sent).all())

    with labkit.simulated(workers=2, timed=True) as world:
        for dtype in ("f8", "i2", "?", "c16", "U5"):
            assert world.run(lambda me, dtype=dtype: program(me, dtype)).results[1]
        other = world.run(lambda me: me.send(1, "text") if me.rank == 0
                          else me.recv(0, out=np.ones(9)))
    assert other.results[1] == "text"


def test_long_messages_take_the_second_protocol():
    network = Network("two", 1e-3, 1e6, long_nbytes=8000, long_setup_s=0.5, long_Bps=1e7)

    def program(me, size):
        if me.rank == 0:
            me.send(1, np.ones(size))
            return me.send(1, np.ones(1))
        me.recv(0)
        arrived = me.now()
        me.recv(0)
        return arrived, me.now()

    with labkit.simulated(workers=2, network=network) as world:
        short = world.run(lambda me: program(me, 999)).results[1]
        long, next_ = world.run(lambda me: program(me, 1000)).results[1]
    assert short[0] == pytest.approx(network.message_s(7992)) == pytest.approx(1e-3 + 7992 / 1e6)
    assert long == pytest.approx(network.message_s(8000)) == pytest.approx(0.501 + 8000 / 1e7)
    assert next_ > long                              # nothing overtakes on its way


# ---- calibrate and predict


@pytest.fixture(scope="module")
def known():
    network = Network("known", 40e-6, 2e9, overhead_s=3e-6)
    machine = Machine("known", flops_per_s=7e9, memory_Bps=9e9, combine_Bps=4e9)
    return labkit.simulated(workers=4, network=network, machine=machine, task_overhead_s=1e-3,
                            task_turnaround_s=2e-3, task_network=Network("tasks", 2e-3, 3e8))


@pytest.fixture(scope="module")
def calibration(known):
    return calibrate(known)


def test_calibration_finds_what_a_world_is_made_of(known, calibration):
    assert calibration.network.latency_s == pytest.approx(known.network.latency_s, rel=0.15)
    assert calibration.network.overhead_s == pytest.approx(known.network.overhead_s, rel=0.01)
    assert calibration.network.bandwidth_Bps == pytest.approx(known.network.bandwidth_Bps, rel=0.05)
    assert calibration.machine.flops_per_s == pytest.approx(known.machine.flops_per_s, rel=0.01)
    assert calibration.machine.memory_Bps == pytest.approx(known.machine.memory_Bps, rel=0.01)
    assert calibration.machine.combine_Bps == pytest.approx(known.machine.combine_Bps, rel=0.01)
    assert calibration.task_overhead_s == pytest.approx(known.task_overhead_s, rel=0.3)
    assert calibration.task_turnaround_s == pytest.approx(2e-3, rel=0.1)
    assert calibration.task_network.bandwidth_Bps == pytest.approx(3e8, rel=0.05)
    assert max(map(abs, calibration.errors)) < 0.1
    assert "off by" in repr(calibration)


def test_one_worker_cannot_be_calibrated():
    with pytest.raises(ConfigurationError, match="nobody to send to"):
        calibrate(labkit.simulated(workers=1))


def ring(me, size):
    me.work(flops=1e6)
    return me.allreduce(np.ones(size), algorithm="ring")


def test_a_prediction_is_near_and_says_its_error(known, calibration):
    sizes = [10, 1000, 100_000]
    measured = sweep(ring, known, workers=[2, 4], size=sizes, repeats=1)
    with calibration.world(4, timed=False) as world:
        alike = sweep(ring, world, workers=[2, 4], size=sizes, repeats=1)
    for one, other in zip(measured, alike):
        assert other.median_s == pytest.approx(one.median_s, rel=0.1)
    found = predict(measured, ring, calibration, workers=[2, 4, 8], size=sizes, repeats=1)
    assert len(found.errors) == 6
    assert len(found.simulated) == 9
    for settings, error in found.errors:
        one = measured.select(**settings)[0].median_s
        assert found.simulated.select(**settings)[0].median_s == pytest.approx(one * (1 + error))
    assert "off by" in repr(found)


def test_a_prediction_of_something_else_is_refused(known, calibration):
    measured = sweep(ring, known, workers=[2], size=[10], repeats=1)
    with pytest.raises(ConfigurationError, match="same settings"):
        predict(measured, ring, calibration, workers=[2], size=[20], repeats=1)


def test_a_real_world_can_be_calibrated(cluster):
    with cluster.like(workers=2) as world:
        found = calibrate(world)
        transport = world.run(lambda me: me.barrier()).world.transport
    for value in (found.network.latency_s, found.network.overhead_s, found.task_overhead_s):
        assert 0 < value < 1
    assert found.network.long_nbytes == (LARGE if "memory" in transport else np.inf)
    simulated = found.world(2)
    assert (simulated.network, simulated.machine) == (found.network, found.machine)
    assert simulated.task_overhead_s == found.task_overhead_s
    assert len(found.errors) == len(found.nbytes) == 10


# ---- worlds


def test_recorded_collects_runs_in_order(simulated):
    with simulated.recorded() as outer:
        simulated.run(lambda me: 1)
        with simulated.recorded() as inner:
            simulated.map(str, [1])
        simulated.run(lambda me: 2)
    assert [run.results[0] for run in outer] == [1, 2]
    assert [run.results for run in inner] == [["1"]]


def test_a_world_like_another_differs_in_what_is_asked():
    with labkit.simulated(workers=4, network="WiFi", seed=3, task_overhead_s=0.5) as world:
        other = world.like(workers=2, network="1GbE")
    assert (other.workers, other.network.name, other.seed) == (2, "1GbE", 3)
    assert other.task_overhead_s == 0.5
    assert labkit.serial(workers=3).like().workers == 3

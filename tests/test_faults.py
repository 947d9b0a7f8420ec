"""Fault plans as data, and what they do on the virtual clock, to the nanosecond."""

import pickle

import numpy as np
import pytest

import labkit
from labkit.elastic import TRIES, parts_of
from labkit.errors import ClusterError, ConfigurationError, PeerLost, ProgramError, StorageFull
from labkit.faults import (
    Corrupt,
    Crash,
    Delay,
    Drop,
    Exhaust,
    FaultPlan,
    FillDisk,
    LoseShard,
    Partition,
    Pause,
    Pending,
    Slow,
    mystery,
    random_plan,
)
from labkit.network import Machine, Network
from labkit.simulate.faults import RESEND_S
from labkit.simulate.generations import REGROUP_S, REPLACE_S

LATENCY = 1e-3
NETWORK = Network("slow, wide", latency_s=LATENCY, bandwidth_Bps=1e15)
MACHINE = Machine("1 flop/s", 1.0, 1e15)


def world(n=3, **how):
    return labkit.simulated(n, NETWORK, MACHINE, **how)


# ---- plans


@pytest.mark.parametrize(("make", "where"), [
    (lambda: Crash(-1), "worker"), (lambda: Crash(1.5), "worker"), (lambda: Crash(True), "worker"),
    (lambda: Crash(0, at_step=-1), "at_step"), (lambda: Crash(0, at_s=float("nan")), "at_s"),
    (lambda: Pause(0, 0), "seconds"), (lambda: Slow(0, 0.5), "factor"),
    (lambda: Delay((0, 0), 1), "link"), (lambda: Delay((0, 1), -1), "delay_s"),
    (lambda: Drop((0, 1), 1.5), "fraction"), (lambda: Drop((0, 1), count=0), "count"),
    (lambda: Partition(((0,),), 1), "groups"), (lambda: Partition(((0, 1), (1,)), 1), "groups")])
def test_a_fault_that_cannot_be_says_why(make, where):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert f"({where}=" in caught.value.where


def test_a_fault_begins_once():
    with pytest.raises(ConfigurationError, match="at_step and at_s"):
        Crash(0, at_step=1, at_s=1.0)


def test_a_plan_describes_itself_so_that_it_can_be_typed_again():
    plan = FaultPlan(Crash(2, at_step=5), Delay((0, 1), 0.05, at_s=1.0), seed=3)
    again = eval(repr(plan))
    assert again.faults == plan.faults and again.seed == 3


def test_random_plans_are_the_same_for_the_same_seed():
    kinds = (Crash, Pause, Slow, Delay, Drop, LoseShard)
    plans = [random_plan(5, 20, 10, kinds, seed=1) for _ in range(2)]
    assert plans[0].faults == plans[1].faults
    assert plans[0].faults != random_plan(5, 20, 10, kinds, seed=2).faults
    plans[0].check(5)


def answers(plan):
    return [(type(fault).__name__, getattr(fault, "worker", None) if isinstance(fault, Slow)
             else fault.link[::-1]) for fault in plan.faults]


@pytest.mark.parametrize("seed", range(20))
def test_a_mystery_is_solved_by_all_its_causes_and_by_nothing_else(seed):
    plan = mystery(seed, workers=8, n_faults=2)
    assert plan.faults == mystery(seed, workers=8, n_faults=2).faults
    first, second = answers(plan)
    assert plan.is_solved_by(first, second) and plan.is_solved_by(second, first)
    assert not plan.is_solved_by(first) and not plan.is_solved_by(first, first)
    assert not plan.is_solved_by(first, (second[0], (8, 9)))
    assert not plan.is_solved_by(first, ("Pause", second[1]))


def test_a_mystery_does_not_tell():
    plan = mystery(5, workers=8)
    assert repr(plan) == "Mystery(1 fault, seed=5)"
    assert not any(word in repr(plan) for word in ("Slow", "Delay", "Drop"))


def test_a_mystery_strikes_links_that_are_used_and_no_worker_twice():
    ring = [(rank, (rank + 1) % 8) for rank in range(8)]
    struck, kinds = set(), set()
    for seed in range(60):
        plan = mystery(seed, workers=8, links=ring, n_faults=3)
        plan.check(8)
        ranks = [rank for fault in plan.faults
                 for rank in ([fault.worker] if isinstance(fault, Slow) else fault.link)]
        assert len(set(ranks)) == len(ranks) == 5
        assert all(fault.link in ring for fault in plan.faults if not isinstance(fault, Slow))
        struck |= set(ranks)
        kinds.add(type(mystery(seed, workers=8).faults[0]))
    assert struck == set(range(8)) and kinds == {Slow, Delay, Drop}


@pytest.mark.parametrize("how", [
    dict(workers=8, n_faults=4), dict(workers=8, kinds=[Crash]), dict(workers=8, n_faults=0),
    dict(workers=1, kinds=[Delay]), dict(workers=2, n_faults=3)])
def test_a_mystery_that_cannot_be_says_why(how):
    with pytest.raises(ConfigurationError, match="mystery|no worker left"):
        mystery(0, **how)


@pytest.mark.parametrize("answer", ["Slow", ("Slow",), ("Slow", "three"), None])
def test_what_is_no_answer_to_a_mystery_is_said(answer):
    with pytest.raises(ConfigurationError, match="no answer"):
        mystery(0, workers=4).is_solved_by(answer)


@pytest.mark.parametrize("kind", ["run", "map"])
def test_a_fault_aimed_at_nobody_is_refused(kind):
    with pytest.raises(ConfigurationError, match="not there"):
        getattr(world(), kind)(lambda x: x, range(3), faults=FaultPlan(Crash(3)))


def test_links_have_no_part_in_a_map():
    with pytest.raises(ConfigurationError, match="send each other nothing"):
        world().map(abs, range(3), faults=FaultPlan(Delay((0, 1), 1)))


def test_a_lost_message_needs_checksums():
    with pytest.raises(ConfigurationError, match="missing") as caught:
        world().run(lambda me: None, faults=FaultPlan(Drop((0, 1))))
    assert "checksums=True" in caught.value.remedy


def test_the_serial_world_has_no_faults():
    with pytest.raises(ConfigurationError, match="no faults"):
        labkit.serial(2).run(lambda me: None, faults=FaultPlan(Crash(0)))


def test_pending_gives_each_fault_once_and_in_its_time():
    pending = Pending([Crash(0, at_step=2), Pause(0, 1.0, at_s=0.5), Slow(0, 2, at_message=3)])
    assert pending.next_s == 0.5
    assert pending.take(0, 0, 0.0) is None
    assert isinstance(pending.take(0, 0, 0.5), Pause)
    assert isinstance(pending.take(0, 3, 0.5), Slow)
    assert isinstance(pending.take(5, 3, 0.5), Crash)
    assert not pending and pending.next_s == np.inf


# ---- on the virtual clock


def working(me, seconds=10.0, step=0):
    me.step(step)
    me.work(flops=seconds)
    return me.now()


@pytest.mark.parametrize(("fault", "ends"), [
    (Pause(1, 1.25, at_s=4.0), 11.25),
    (Slow(1, 3.0, at_s=4.0), 4 + 6 * 3),
    (Slow(1, 3.0, 6.0, at_s=4.0), 4 + 6 + 4),
    (Slow(1, 3.0, at_step=0), 30.0)])
def test_pauses_and_slowness_take_as_long_as_they_say(fault, ends):
    run = world().run(working, faults=FaultPlan(fault))
    assert run.results == pytest.approx([10, ends, 10])
    assert [mark.kind for mark in run.marks] == ["injected"]


def pingpong(me):
    times = []
    for step in range(3):
        me.step(step)
        if me.rank == 0:
            me.send(1, np.zeros(1))
            me.recv(1)
            times.append(me.now())
        elif me.rank == 1:
            me.send(0, me.recv(0))
    return times


@pytest.mark.parametrize(("fault", "extra", "resent"), [
    (Delay((0, 1), 0.25, at_step=1), [0, 0.5, 1.0], 0),
    (Delay((1, 0), 0.25, at_step=2), [0, 0, 0.5], 0),
    (Partition(((0,), (1, 2)), 0.5, at_step=1), [0, 0.5 - 2 * LATENCY + LATENCY, None], 0),
    (Drop((0, 1), at_step=1), [0, RESEND_S, RESEND_S], 1),
    (Corrupt((0, 1), at_step=1), [0, 3 * LATENCY, 3 * LATENCY], 1)])
def test_links_are_as_late_as_the_plan_says(fault, extra, resent):
    run = world(checksums=True).run(pingpong, faults=FaultPlan(fault))
    for step, (found, late) in enumerate(zip(run.results[0], extra)):
        if late is not None:
            assert found == pytest.approx((step + 1) * 2 * LATENCY + late)
    assert run.resent == resent


def test_without_checksums_a_flipped_bit_arrives():
    def program(me):
        me.step(0)
        if me.rank == 0:
            me.send(1, np.zeros(4))
        return me.recv(0) if me.rank == 1 else None

    run = world(2).run(program, faults=FaultPlan(Corrupt((0, 1), at_step=0), seed=2))
    bits = np.unpackbits(run.results[1].view(np.uint8))
    assert bits.sum() == 1


def summing(me, part=None, steps=10):
    state = me.restore(total=np.zeros(1), step=0)
    total = state["total"]
    for step in range(state["step"], steps):
        me.step(step)
        me.work(flops=1.0)
        mine = part.sum() if part is not None else 1.0
        total = total + me.allreduce(np.array([mine]))
        me.commit(total=total, step=step + 1)
    return total


def test_a_crash_is_heard_one_latency_later_and_costs_one_step_and_a_regrouping():
    run = world().run(summing, list(np.eye(3)), elastic=True, faults=FaultPlan(Crash(2, at_s=4.5)))
    injected, confirmed, first, second = run.marks
    assert (injected.kind, injected.rank, injected.start_s) == ("injected", 2, 4.5)
    assert confirmed.start_s == pytest.approx(4.5 + LATENCY)
    assert [mark.kind for mark in (first, second)] == ["recovered", "recovered"]
    assert [g.members for g in run.generations] == [(0, 1, 2), (0, 1), (0, 1, 2)]
    assert [g.cause for g in run.generations] == ["PeerLost", "Regroup", ""]
    # Survivors finish the step they compute, hear of it, and begin it again.
    assert run.generations[0].end_s == pytest.approx(5, abs=0.03)
    assert run.generations[1].start_s == pytest.approx(run.generations[0].end_s + REGROUP_S)
    assert run.generations[1].first_commit == 4
    # The replacement joins at the first commit after it is there.
    assert run.generations[1].end_s >= 4.5 + REPLACE_S
    assert run.lost == ()


def test_the_parts_of_the_dead_are_worked_on_by_the_living():
    X = np.arange(24.0).reshape(12, 2)
    w = world(4)
    plan = FaultPlan(Crash(1, at_step=2), Crash(3, at_step=4), Crash(0, at_step=6))
    run = w.run(summing, w.shard(X), elastic=True, faults=plan)
    for total in run.results:
        np.testing.assert_allclose(total, 10 * X.sum())


@pytest.mark.parametrize(("members", "expected"), [
    ([0, 1, 2], {0: [0], 1: [1], 2: [2]}), ([2], {2: [2, 0, 1]}),
    ([0, 1, 3], {0: [0, 2], 1: [1], 3: [3]}), ([4, 1], {1: [1, 0, 3], 4: [4, 2]})])
def test_every_part_has_one_owner(members, expected):
    n = 5 if 4 in members else 4 if 3 in members else 3
    assert parts_of(members, n) == expected


def test_all_may_die_at_once():
    plan = FaultPlan(*[Crash(worker, at_s=3.5) for worker in range(3)])
    run = world().run(summing, elastic=True, faults=plan)
    assert [float(total[0]) for total in run.results] == [30, 30, 30]
    assert run.generations[1].start_s == pytest.approx(3.5 + REPLACE_S + REGROUP_S, abs=0.01)
    assert run.generations[1].first_commit == 0, "nobody remembers anything"


def test_a_number_says_how_many_peers_are_needed():
    plan = FaultPlan(Crash(1, at_step=2), Crash(2, at_step=2))
    run = world().run(summing, elastic=2, faults=plan)
    assert [len(generation.members) for generation in run.generations] == [3, 3]


def test_who_dies_at_the_same_place_each_time_ends_the_run():
    def program(me):
        me.step(0)
        me.barrier()

    plan = FaultPlan(*[Crash(1, at_step=0)] * TRIES)
    with pytest.raises(ClusterError, match=f"died {TRIES} times"):
        world().run(program, elastic=3, faults=plan)


def test_a_worker_that_stands_still_is_ended_and_one_that_soon_goes_on_is_not():
    run = world(hang_s=1.5).run(summing, elastic=True, faults=FaultPlan(Pause(1, 60, at_s=2.2)))
    suspected = next(mark for mark in run.marks if mark.kind == "suspected")
    assert suspected.start_s == pytest.approx(3.7)
    assert run.seconds < 20
    run = world(hang_s=1.5).run(summing, elastic=True, faults=FaultPlan(Pause(1, 1.4, at_s=2.2)))
    assert [mark.kind for mark in run.marks] == ["injected"]


def test_a_lost_peer_without_elastic_is_an_error():
    with pytest.raises(ClusterError, match="died during the run") as caught:
        world().run(summing, faults=FaultPlan(Crash(2, at_step=3)))
    assert caught.value.got == "worker 2"


def test_a_program_may_catch_the_loss():
    def program(me):
        me.step(0)
        try:
            return me.recv(2) if me.rank < 2 else me.work(flops=1)
        except PeerLost as error:
            return error.rank, me.now()

    run = world().run(program, tolerate_loss=True, faults=FaultPlan(Crash(2, at_s=0.5)))
    assert run.lost == (2,)
    assert run.results == [(2, pytest.approx(0.5 + LATENCY))] * 2 + [None]


def test_lost_shards_are_read_again():
    w = world()
    X = np.arange(12.0)
    run = w.run(summing, w.shard(X), elastic=True, faults=FaultPlan(LoseShard(1, at_step=3)))
    np.testing.assert_allclose(run.results[0], 10 * X.sum())
    assert [g.cause for g in run.generations] == ["ShardLost", ""]


def test_a_lack_of_memory_is_an_error_of_the_program():
    with pytest.raises(ProgramError, match="MemoryError in peer 1"):
        world().run(summing, elastic=True, faults=FaultPlan(Exhaust(1, at_step=3)))


@pytest.mark.parametrize("kind", ["simulated", "cluster"])
def test_a_full_disk_is_told_with_the_folder(kind, cluster, tmp_path):
    from labkit.checkpoint import Checkpoints

    where = cluster if kind == "cluster" else world()
    with pytest.raises(ProgramError, match="StorageFull") as caught:
        where.run(summing, faults=FaultPlan(FillDisk(0, at_step=3)),
                  checkpoints=Checkpoints(tmp_path))
    assert isinstance(caught.value.__cause__, StorageFull)
    assert str(tmp_path) in str(caught.value.__cause__)
    assert cluster.run(lambda me: me.rank).results == [0, 1, 2]
    run = where.run(summing, checkpoints=Checkpoints(tmp_path))
    assert float(run.results[0][0]) == 30
    assert min(e.step for e in run.events if e.kind == "step") == 3, "what was saved counts"


def test_the_same_seed_is_the_same_run_to_the_byte():
    plan = FaultPlan(Crash(1, at_step=2), Drop((0, 2), 0.5, 3), Slow(2, 3.0, at_s=1.0), seed=5)
    records = [pickle.dumps((run.results, run.seconds, list(run.events), run.generations))
               for run in (world(checksums=True, seed=4).run(summing, elastic=True, faults=plan)
                           for _ in range(2))]
    assert records[0] == records[1]


# ---- tasks


def square(number):
    return number * number


def test_what_a_dead_worker_was_at_runs_again_and_nothing_else():
    run = world(2).map(square, range(10), work=lambda item: {"flops": 1.0},
                       faults=FaultPlan(Crash(1, at_step=2)))
    labels = [event.label for event in run.tasks]
    assert run.results == [square(number) for number in range(10)]
    assert sorted(label for label in labels if "lost" in label) == ["square 5 lost"]
    assert len(labels) == 11
    assert [mark.kind for mark in run.marks] == ["injected", "confirmed", "recovered"]


def test_a_worker_that_stops_for_long_holds_up_its_own_task_only():
    run = world(2).map(square, range(10), work=lambda item: {"flops": 1.0},
                       faults=FaultPlan(Pause(1, 60, at_s=2.5)))
    ends = {event.label: event.end_s for event in run.tasks}
    assert ends["square 5 lost"] == pytest.approx(4.0, abs=0.01)
    assert run.seconds < 10


def test_under_lets_each_fault_strike_once_in_several_runs():
    w = world()
    with w.under(FaultPlan(Pause(0, 1.0, at_step=0), Pause(0, 0.5, at_step=0))):
        first, second = (w.run(working) for _ in range(2))
    assert first.seconds == pytest.approx(11.5)
    assert second.seconds == pytest.approx(10)
    assert w.run(working).seconds == pytest.approx(10)

"""The task farm against a plain loop, with tasks that fail and workers that leave."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit import assignment, wire
from labkit.errors import ConfigurationError, ProgramError
from labkit.models.master_worker import Leave, farm
from labkit.models.master_worker.desk import Desk
from labkit.network import Machine, Network

POLICIES = ["dynamic", "guided", "static"]
few = settings(max_examples=40, deadline=None)      # a busy machine is no error
every_policy = pytest.mark.parametrize("policy", POLICIES)
ITEMS = [np.arange(float(n)) for n in (3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5)]
EXPECTED = [float(item.sum()) for item in ITEMS]
MACHINE = Machine("1 flop/s", 1.0, 1.0)
FAST = Network("fast", latency_s=1e-9, bandwidth_Bps=1e15)


def total(item):
    return float(item.sum())


def run(world, policy="dynamic", task=total, items=ITEMS, **options):
    """Farm on this world: `task(item)`, or `task(item, me)` if it asks who it is."""
    def program(me):
        mine = (lambda item: task(item, me)) if task.__code__.co_argcount == 2 else task
        return farm(me, mine, items if me.rank == 0 else None, policy, **options)
    return world.run(program)


def virtual(n):
    return labkit.simulated(n, network=FAST, machine=MACHINE)


# ---- the answer


@every_policy
def test_results_come_in_the_order_of_the_items(world, policy):
    found, *others = run(world, policy).results
    assert found.results == EXPECTED
    assert others == [None, None]
    assert sorted(a.task for a in found.attempts) == list(range(len(ITEMS)))
    assert {a.outcome for a in found.attempts} == {"done"}
    assert 0 not in found.done_by, "the master has workers"
    assert set(found.tries.values()) == {1}


@every_policy
@pytest.mark.parametrize("n", [1, 2, 7, 20])
@pytest.mark.parametrize("kind", ["serial", "simulated"])
def test_any_number_of_workers_finds_the_same(kind, n, policy):
    with getattr(labkit, kind)(workers=n) as world:
        found = run(world, policy).results[0]
    assert found.results == EXPECTED
    assert set(found.done_by) <= ({0} if n == 1 else set(range(1, n)))


@every_policy
def test_no_items_give_no_results(world, policy):
    record = run(world, policy, items=[])
    assert record.results[0].results == []
    assert record.messages == 2                    # one STOP each


# ---- what travels


@every_policy
def test_each_chunk_is_two_messages_and_each_worker_one_more(world, policy):
    chunks = {"dynamic": len(ITEMS), "static": 2,
              "guided": len(assignment.guided(len(ITEMS), 2))}
    assert run(world, policy).messages == 2 * chunks[policy] + 2


def test_bytes_are_those_of_items_results_and_stops(world):
    nbytes = sum(wire.size_of([(number, item)]) + wire.size_of(([(number, "done", result)], False))
                 for number, (item, result) in enumerate(zip(ITEMS, EXPECTED)))
    assert run(world).nbytes == nbytes + 2 * wire.size_of(None)


# ---- tasks that fail, workers that leave


@every_policy
def test_a_task_that_fails_on_one_worker_is_done_by_another(world, policy):
    def task(item, me):
        if me.rank == 1:
            raise ArithmeticError(f"not here: {len(item)}")
        return total(item)

    found = run(world, policy, task).results[0]
    assert found.results == EXPECTED
    assert set(found.done_by) == {2}
    failed = [a for a in found.attempts if a.outcome == "failed"]
    assert failed and {a.worker for a in failed} == {1}
    assert failed[0].why.startswith("ArithmeticError: not here: ")
    assert max(found.tries.values()) == 2


@every_policy
def test_a_worker_that_leaves_hands_back_what_it_has_not_done(world, policy):
    def program(me):
        done = []

        def task(item):
            if me.rank == 1 and len(done) == 2:
                raise Leave
            done.append(item)
            return total(item)
        return farm(me, task, ITEMS, policy), len(done)

    (found, _), (_, by_one), (_, by_two) = world.run(program).results
    assert found.results == EXPECTED
    assert by_one <= 2 and by_one + by_two == len(ITEMS)
    returned = [a for a in found.attempts if a.outcome == "returned"]
    assert {a.worker for a in returned} <= {1}
    if policy == "static":
        assert [a.task for a in returned] == [4, 6, 8, 10]
    assert [found.tries[a.task] for a in returned] == [2] * len(returned)


def test_the_master_does_the_rest_when_all_have_left(world):
    def task(item, me):
        if me.rank and len(item) > 4:
            raise Leave
        return total(item)

    found = run(world, "dynamic", task).results[0]
    assert found.results == EXPECTED
    assert found.done_by[0] >= 1
    assert {a.worker for a in found.attempts if a.outcome == "returned"} == {1, 2}


def test_when_everyone_leaves_the_error_says_so():
    def leave(item):
        raise Leave

    for world in (labkit.serial(3), labkit.simulated(3), labkit.serial(1)):
        with pytest.raises(ProgramError, match=r"(?s)Everyone has left.*got: 0"):
            run(world, "dynamic", leave)


def test_a_task_that_always_fails_is_given_up_and_named(world):
    def task(item):
        return 1 / (len(item) - 9)

    with pytest.raises(ProgramError, match="Task 5 has failed 3 times") as caught:
        run(world, "dynamic", task)
    assert "ZeroDivisionError" in str(caught.value)
    with pytest.raises(ProgramError, match="Task 5 has failed 1 times"):
        run(world, "guided", task, max_failures=1)
    assert run(world).results[0].results == EXPECTED, "the world goes on"


FAULTS = st.sets(st.tuples(st.integers(0, 7), st.sampled_from([1, 3])))


@given(fails=FAULTS, leaves=st.sets(st.tuples(st.integers(0, 7), st.sampled_from([1, 3])),
                                    max_size=2),
       policy=st.sampled_from(POLICIES), backups=st.booleans())
@few
def test_whatever_fails_each_result_is_there_once(fails, leaves, policy, backups):
    """Faults as data: (task, worker) pairs; only worker 2 never fails and stays."""
    def task(item, me):
        if (item, me.rank) in leaves:
            raise Leave
        if (item, me.rank) in fails:
            raise ValueError(item)
        return -item

    found = run(labkit.simulated(4), policy, task, range(8), backups=backups,
                work=lambda item: dict(flops=1e6 * (1 + item))).results[0]
    assert found.results == [-n for n in range(8)]
    done = sorted(a.task for a in found.attempts if a.outcome == "done")
    assert done == list(range(8))
    for attempt in found.attempts:
        if attempt.outcome == "failed":
            assert (attempt.task, attempt.worker) in fails
    if not backups:
        assert all(a.outcome != "late" for a in found.attempts)


# ---- policies against their schedules, on a virtual clock


COSTS = [7.0, 1.0, 1.0, 6.0, 1.0, 5.0, 1.0, 2.0]


@pytest.mark.parametrize(("policy", "plan"), [
    ("dynamic", assignment.schedule_chunks(assignment.singles(8), COSTS, 3)),
    ("guided", assignment.schedule_chunks(assignment.guided(8, 3), COSTS, 3)),
    ("static", assignment.schedule_plan(assignment.round_robin(8, 3), COSTS))])
def test_a_farm_takes_as_long_as_its_policy_says(policy, plan):
    record = run(virtual(4), policy, lambda item: item, COSTS,
                 work=lambda item: dict(flops=item))
    assert record.seconds == pytest.approx(plan.makespan_s, abs=1e-6)
    by = {a.task: a.worker - 1 for a in record.results[0].attempts}
    assert [by[task] for task in range(8)] == plan.worker.tolist()


def test_a_plan_that_knows_the_costs_is_longest_first():
    record = run(virtual(4), "static", lambda item: item, COSTS, costs=COSTS,
                 work=lambda item: dict(flops=item))
    assert record.seconds == pytest.approx(8.0, abs=1e-6)
    assert assignment.lower_bound(COSTS, 3) == 8.0


def straggler(backups):
    def program(me):
        return farm(me, lambda item: item, range(9), backups=backups,
                    work=lambda item: dict(flops=10.0 if me.rank == 3 else 1.0))
    return virtual(4).run(program)


def test_a_backup_brings_the_last_result_before_the_straggler_does():
    plain, backed = straggler(False), straggler(True)
    for record in (plain, backed):
        assert record.results[0].results == list(range(9))
        assert record.seconds == pytest.approx(10.0, abs=1e-6)     # it cannot be interrupted
    assert plain.step_times()[9] == pytest.approx(10.0, abs=1e-6)
    assert backed.step_times()[9] == pytest.approx(5.0, abs=1e-6)
    late = [a for a in backed.results[0].attempts if a.outcome == "late"]
    assert [(a.task, a.worker) for a in late] == [(2, 3)]
    assert all(a.outcome == "done" for a in plain.results[0].attempts)


def test_the_master_marks_a_step_for_each_result(world):
    steps = [e.step for e in run(world).events if e.kind == "step"]
    assert steps == list(range(len(ITEMS) + 1))


# ---- the desk, without messages


def test_a_failed_task_goes_elsewhere_unless_it_failed_everywhere():
    desk = Desk([(0,)], [1, 2], 1)
    assert desk.hand_out() == [(1, (0,))]
    desk.book(1, [(0, "failed", "why")], False)
    assert desk.take(1) is None
    assert desk.hand_out() == [(2, (0,))]
    desk.book(2, [(0, "failed", "why")], False)
    assert desk.hand_out() == [(1, (0,))]


def test_the_first_of_two_results_counts():
    desk = Desk([(0,)], [1, 2], 1, backups=True)
    assert desk.hand_out() == [(1, (0,)), (2, (0,))]
    assert desk.book(2, [(0, "done", "first")], False) is True
    assert not desk.finished(), "worker 1 still works"
    assert desk.book(1, [(0, "done", "second")], False) is False
    assert desk.finished() and desk.results == {0: "first"}
    assert [row[2] for row in desk.attempts] == ["done", "late"]


def test_a_backup_is_for_what_a_chunk_comes_to_last():
    desk = Desk([(0, 1, 2), (3,)], [1, 2], 4, backups=True)
    assert desk.hand_out() == [(1, (0, 1, 2)), (2, (3,))]
    desk.book(2, [(3, "done", "")], False)
    assert desk.hand_out() == [(2, (2,))]
    desk.book(2, [(2, "done", "")], False)
    assert desk.hand_out() == [(2, (1,))]


def test_a_failed_task_whose_backup_is_done_is_not_tried_again():
    desk = Desk([(0,), (1,)], [1, 2, 3], 2, backups=True)
    assert desk.hand_out() == [(1, (0,)), (2, (1,)), (3, (0,))]
    desk.book(1, [(0, "failed", "why")], False)
    desk.book(3, [(0, "done", "right")], False)
    assert not desk.waiting
    assert desk.hand_out() == [(1, (1,))], "the other one's backup"


# ---- errors


def test_settings_that_cannot_work_are_refused():
    def refused(**options):
        with pytest.raises(ProgramError) as caught:
            run(labkit.serial(2), **options)
        assert isinstance(caught.value.__cause__, ConfigurationError)
        return str(caught.value)

    assert "'dynamic', 'guided', 'static'" in refused(policy="fair")
    assert "costs do not fit" in refused(policy="static", costs=[1, 2])

"""Policies against brute force, their papers' bounds and known worst cases."""

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import assignment as a
from labkit.errors import ConfigurationError

COSTS = st.lists(st.integers(0, 20), max_size=12)
FEW = st.lists(st.integers(1, 20), min_size=1, max_size=6)
WORKERS = st.integers(1, 5)
SPEEDS = st.lists(st.sampled_from([0.1, 0.5, 1.0, 2.0]), min_size=1, max_size=4)


def stealing(costs, workers, steal_s=0.5):
    n_workers = workers if isinstance(workers, int) else len(workers)
    plan = a.round_robin(len(costs), n_workers)
    return a.schedule_stealing(plan, costs, workers, np.random.default_rng(1), steal_s)


def in_order(policy, costs, workers):
    n_workers = workers if isinstance(workers, int) else len(workers)
    return a.schedule_plan(policy(costs, n_workers), costs, workers)


def by_chunks(sizes, costs, workers):
    n_workers = workers if isinstance(workers, int) else len(workers)
    return a.schedule_chunks(sizes(len(costs), n_workers), costs, workers)


def near_rank(costs, workers):
    n_workers = workers if isinstance(workers, int) else len(workers)
    return a.schedule_delayed(costs, [{task % n_workers} for task in range(len(costs))], workers,
                              delay_s=1.5)


SCHEDULES = {
    "round robin": partial(in_order, lambda costs, m: a.round_robin(len(costs), m)),
    "longest first": lambda costs, workers: a.schedule_plan(
        a.longest_first(costs, workers), costs, workers),
    "singles": partial(by_chunks, lambda n, m: a.singles(n)),
    "guided": partial(by_chunks, a.guided),
    "stealing": stealing,
    "delay": near_rank,
    "backups": a.schedule_backups,
}
few = settings(max_examples=40, deadline=None)      # a busy machine is no error
every_policy = pytest.mark.parametrize("name", SCHEDULES)


def at_most(value, bound):
    return value <= bound * (1 + 1e-9) + 1e-9


def optimum(costs, speeds):
    """The shortest makespan of all plans, by trying them all."""
    return min(max(sum(c for c, w in zip(costs, plan) if w == worker) / speed
                   for worker, speed in enumerate(speeds))
               for plan in itertools.product(range(len(speeds)), repeat=len(costs)))


# ---- every policy


@every_policy
@given(costs=COSTS, speeds=SPEEDS)
@few
def test_every_task_is_done_once_and_nobody_does_two_at_a_time(name, costs, speeds):
    schedule = SCHEDULES[name](costs, speeds)
    won = [attempt.task for attempt in schedule.attempts if attempt.won]
    assert sorted(won) == list(range(len(costs)))
    assert all(len(found) == len(costs)
               for found in (schedule.worker, schedule.start_s, schedule.end_s))
    for worker in range(len(speeds)):
        mine = sorted(x[2:4] for x in schedule.attempts if x.worker == worker)
        assert all(end <= start for (_, end), (start, _) in zip(mine, mine[1:]))


@every_policy
@given(costs=COSTS, speeds=SPEEDS)
@few
def test_no_schedule_beats_the_lower_bound_or_a_task_its_cost(name, costs, speeds):
    schedule = SCHEDULES[name](costs, speeds)
    assert at_most(a.lower_bound(costs, speeds), schedule.makespan_s)
    for task, worker in enumerate(schedule.worker):
        took = schedule.end_s[task] - schedule.start_s[task]
        assert at_most(costs[task] / speeds[worker], took)
        if name != "delay":                  # where a task may be far from its data
            assert took == pytest.approx(costs[task] / speeds[worker])


@given(costs=COSTS, n_workers=WORKERS)
@few
def test_makespans_are_within_their_bounds(costs, n_workers):
    def takes(name):
        return SCHEDULES[name](costs, n_workers).makespan_s

    assert at_most(takes("round robin"), a.round_robin_bound(costs, n_workers))
    assert at_most(takes("singles"), a.list_bound(costs, n_workers))
    assert at_most(takes("longest first"), a.list_bound(costs, n_workers))
    assert at_most(takes("backups"), takes("singles"))
    assert at_most(takes("delay"), a.delay_bound(2 * np.array(costs), n_workers, 1.5))
    sizes = a.guided(len(costs), n_workers)
    chunks = [sum(chunk) for chunk in np.split(costs, np.cumsum(sizes)[:-1])]
    assert at_most(takes("guided"), a.list_bound(chunks, n_workers))


@given(costs=FEW, n_workers=st.integers(1, 3))
@few
def test_ratios_to_the_true_optimum_hold(costs, n_workers):
    best = optimum(costs, [1] * n_workers)
    assert at_most(a.lower_bound(costs, n_workers), best)
    assert at_most(SCHEDULES["singles"](costs, n_workers).makespan_s,
                   a.list_ratio(n_workers) * best)
    assert at_most(SCHEDULES["longest first"](costs, n_workers).makespan_s,
                   a.longest_first_ratio(n_workers) * best)


@given(costs=FEW, speeds=st.lists(st.sampled_from([0.25, 1.0, 2.0]), min_size=1, max_size=3))
@few
def test_longest_first_is_within_two_of_the_optimum_on_workers_that_differ(costs, speeds):
    m = len(speeds)
    assert at_most(SCHEDULES["longest first"](costs, speeds).makespan_s,
                   (2 - 2 / (m + 1)) * optimum(costs, speeds))


# ---- known worst cases and examples


@pytest.mark.parametrize("m", [2, 3, 7])
def test_grahams_worst_case_of_a_list_is_met(m):
    costs = [1] * (m * (m - 1)) + [m]
    assert SCHEDULES["singles"](costs, m).makespan_s == 2 * m - 1 == a.list_ratio(m) * m
    assert SCHEDULES["longest first"](costs, m).makespan_s == m


@pytest.mark.parametrize("m", [2, 3, 6])
def test_grahams_worst_case_of_longest_first_is_met(m):
    """2m-1, 2m-1, 2m-2, 2m-2, ..., m+1, m+1, m, m, m: 4m-1, where 3m is possible."""
    costs = [c for c in range(2 * m - 1, m, -1) for _ in range(2)] + [m] * 3
    assert sum(costs) == 3 * m * m
    assert SCHEDULES["longest first"](costs, m).makespan_s == 4 * m - 1
    assert a.longest_first_ratio(m) * 3 * m == pytest.approx(4 * m - 1)


def test_round_robin_can_be_as_bad_as_one_worker():
    costs = [5, 0, 0] * 4
    assert SCHEDULES["round robin"](costs, 3).makespan_s == sum(costs)
    assert SCHEDULES["longest first"](costs, 3).makespan_s == 10


def test_longest_first_gives_a_slow_worker_less():
    plan = a.longest_first([4, 4, 4, 4, 1], [1, 1, 0.1])
    assert [tasks.tolist() for tasks in plan] == [[0, 2, 4], [1, 3], []]


def test_guided_chunks_of_a_hundred_tasks_on_five_workers():
    assert a.guided(100, 5) == [20, 16, 13, 11, 8, 7, 5, 4, 4, 3, 2, 2, 1, 1, 1, 1, 1]
    assert a.guided(100, 5, smallest=8) == [20, 16, 13, 11, 8, 8, 8, 8, 8]


@given(st.integers(0, 3000), st.integers(1, 40))
@few
def test_guided_chunks_shrink_and_are_few(n_tasks, n_workers):
    sizes = a.guided(n_tasks, n_workers)
    assert sum(sizes) == n_tasks
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) <= a.guided_chunks_at_most(n_tasks, n_workers)


@given(st.integers(1, 300), st.integers(1, 9))
@few
def test_guided_workers_end_within_one_task_of_each_other(n_tasks, n_workers):
    schedule = SCHEDULES["guided"]([1.0] * n_tasks, n_workers)
    ends = [max((x.end_s for x in schedule.attempts if x.worker == w), default=0.0)
            for w in range(n_workers)]
    assert at_most(max(ends) - min(ends), 1.0)
    assert at_most(schedule.makespan_s, a.list_bound([1.0] * n_tasks, n_workers))


def test_chunks_trade_overhead_for_balance():
    costs = [1.0] * 100
    single = a.schedule_chunks(a.singles(100), costs, 5, overhead_s=0.5)
    guided = a.schedule_chunks(a.guided(100, 5), costs, 5, overhead_s=0.5)
    assert single.makespan_s == 20 * 1.5
    assert guided.makespan_s < 20 + 5 * 0.5


# ---- stealing


@given(costs=COSTS, n_workers=WORKERS, seed=st.integers(0, 5),
       steal_s=st.sampled_from([0.0, 0.25, 3.0]))
@few
def test_stealing_is_within_its_bound_wherever_tasks_begin(costs, n_workers, seed, steal_s):
    plan = [range(len(costs)), *[[]] * (n_workers - 1)]
    schedule = a.schedule_stealing(plan, costs, n_workers, np.random.default_rng(seed), steal_s)
    assert sorted(x.task for x in schedule.attempts) == list(range(len(costs)))
    assert at_most(schedule.makespan_s,
                   a.stealing_bound(costs, n_workers, schedule.steals, steal_s))


def test_a_thief_takes_the_oldest_and_the_owner_the_newest():
    schedule = a.schedule_stealing([[0, 1, 2, 3], []], [1] * 4, 2, np.random.default_rng(0))
    assert [(x.task, x.worker) for x in schedule.attempts] == [(3, 0), (0, 1), (2, 0), (1, 1)]
    assert schedule.steals == 2


def test_a_victim_is_any_other_worker():
    rng = np.random.default_rng(0)
    drawn = np.bincount([a.victim(2, 4, rng) for _ in range(3000)], minlength=4)
    assert drawn[2] == 0
    assert np.all(np.abs(drawn[[0, 1, 3]] - 1000) < 150)


# ---- locality


def test_a_worker_waits_for_local_tasks_and_then_takes_any():
    locations = [{0}, {0}, {1}]
    assert a.local_task(1, [0, 1, 2], locations, 0.0, 5.0) == 2
    assert a.local_task(1, [0, 1], locations, 4.9, 5.0) is None
    assert a.local_task(1, [0, 1], locations, 5.0, 5.0) == 0
    assert a.local_task(1, [], locations, 5.0, 5.0) is None


def test_a_delay_pays_where_travel_costs_more():
    """Eight tasks of 1 s, data of six on worker 0; far from it they take 9 s."""
    locations = [{0}] * 6 + [{1}] * 2
    eager, patient = (a.schedule_delayed([1.0] * 8, locations, 2, delay, slowdown=9.0)
                      for delay in (0.0, 10.0))
    assert patient.worker.tolist() == [0] * 6 + [1] * 2
    assert patient.makespan_s == 6
    # Worker 1 has done its own at 2, takes a far one and holds everyone up.
    assert eager.busy_s.tolist() == [5.0, 2 + 9.0]
    assert eager.makespan_s == 11


def test_offers_of_random_workers_are_skipped_as_often_as_the_formula_says():
    """Ten of a hundred workers hold data; five offers by workers drawn at random."""
    offers = np.random.default_rng(0).integers(100, size=(20_000, 5))
    assert np.mean(np.all(offers >= 10, axis=1)) == pytest.approx(
        a.skip_probability(0.1, 5), abs=0.015)


# ---- backups


def test_a_backup_cuts_the_tail_of_a_straggler():
    """Nine equal tasks, a worker ten times slower: its task again, from second 4 to 5."""
    costs, speeds = [1.0] * 9, [1, 1, 0.1]
    plain, backed = (SCHEDULES[name](costs, speeds) for name in ("singles", "backups"))
    assert (plain.makespan_s, backed.makespan_s) == (10.0, 5.0)
    again = [x for x in backed.attempts if x.task == 2]
    assert [(x.worker, x.start_s, x.end_s, x.won) for x in again] == [
        (2, 0.0, 5.0, False), (0, 4.0, 5.0, True)]


@given(costs=COSTS, speeds=SPEEDS)
@few
def test_backups_never_make_a_schedule_longer(costs, speeds):
    assert at_most(SCHEDULES["backups"](costs, speeds).makespan_s,
                   SCHEDULES["singles"](costs, speeds).makespan_s)


def test_a_worker_with_a_task_of_no_length_is_idle_again_first():
    schedule = a.schedule_backups([0, 1], [0.5, 0.1])
    assert schedule.worker.tolist() == [0, 0] and schedule.makespan_s == 2


def test_equal_workers_need_no_backups():
    schedule = a.schedule_backups([1.0] * 10, 4)
    assert len(schedule.attempts) == 10


def test_the_task_with_the_longest_time_left_is_backed_up():
    running = {7: a.Progress(0.0, 0.5), 8: a.Progress(8.0, 0.1), 9: a.Progress(0.0, 0.9)}
    rates = [p.rate(10.0) for p in running.values()] + [1.0] * 10
    decide = partial(a.should_launch_backup, now=10.0, running=running, rates=rates,
                     n_workers=10)
    # 8 has come less far, but began late: 18 s left, and 10 s for 7.
    assert [decide(task, n_backups=0) for task in (7, 8, 9)] == [False, True, False]
    assert not decide(8, n_backups=1), "at most a tenth of ten workers"


def test_a_task_as_fast_as_the_others_is_never_backed_up():
    running = {1: a.Progress(0.0, 0.2)}
    assert not a.should_launch_backup(1, 2.0, running, [0.1] * 5, 0, 100)
    assert a.should_launch_backup(1, 2.0, running, [0.2] * 5, 0, 100)


# ---- a straggler, policy by policy


def test_who_decides_late_suffers_less_from_a_straggler():
    costs, speeds = [1.0] * 30, [1, 1, 0.1]
    takes = {name: SCHEDULES[name](costs, speeds).makespan_s for name in SCHEDULES}
    assert takes["round robin"] == pytest.approx(100)
    assert takes["stealing"] == pytest.approx(20), "the straggler began its second at 10"
    assert takes["singles"] == pytest.approx(20)
    assert takes["backups"] <= 16
    assert takes["guided"] > takes["singles"], "its first chunk is too large for a straggler"


# ---- errors


@pytest.mark.parametrize("wrong", [
    lambda: a.longest_first([1, -1], 2), lambda: a.longest_first([1, np.nan], 2),
    lambda: a.longest_first([1], 0), lambda: a.longest_first([1], [1, 0]),
    lambda: a.schedule_plan([[0], [0]], [1, 1]), lambda: a.schedule_plan([[0]], [1, 1]),
    lambda: a.schedule_plan([[0], [1]], [1, 1], 3), lambda: a.schedule_chunks([2], [1], 1),
    lambda: a.schedule_stealing([[0]], [1], 2, None), lambda: a.guided(5, 0),
    lambda: a.guided(5, 2, smallest=0)])
def test_what_cannot_work_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="expected"):
        wrong()

"""Intervals between checkpoints and lost workers, against exact optima and simulated failures."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConfigurationError
from labkit.laws import after_kill_s, daly, waste, young


def slowdown(interval_s, cost_s, mtbf_s, restart_s=0.0):
    """Return expected seconds per second of work, exactly, for failures at random."""
    return (mtbf_s * math.exp(restart_s / mtbf_s)
            * math.expm1((interval_s + cost_s) / mtbf_s) / interval_s)


def best_interval(cost_s, mtbf_s):
    found = scipy.optimize.minimize_scalar(slowdown, bounds=(1e-6 * mtbf_s, 2 * mtbf_s),
                                           args=(cost_s, mtbf_s), method="bounded",
                                           options={"xatol": 1e-9 * mtbf_s})
    return found.x


def simulated_slowdown(interval_s, cost_s, mtbf_s, restart_s, n_intervals, rng):
    """Return the same from runs whose failures are drawn; restarts fail too."""
    total_s, left = 0.0, n_intervals
    while left:
        failure_s = rng.exponential(mtbf_s, left)
        done = failure_s >= interval_s + cost_s
        total_s += np.where(done, interval_s + cost_s, failure_s).sum()
        left, restarting = int((~done).sum()), int((~done).sum())
        while restarting:
            failure_s = rng.exponential(mtbf_s, restarting)
            total_s += np.minimum(failure_s, restart_s).sum()
            restarting = int((failure_s < restart_s).sum())
    return total_s / (n_intervals * interval_s)


# ---- intervals


@given(st.floats(1e-3, 1e4), st.floats(1.0, 1e7))
def test_young_is_the_least_waste(cost_s, mtbf_s):
    best = young(cost_s, mtbf_s)
    assert best == pytest.approx(math.sqrt(2 * cost_s * mtbf_s))
    for interval_s in (0.9 * best, 1.1 * best):
        assert waste(interval_s, cost_s, mtbf_s) > waste(best, cost_s, mtbf_s)


@pytest.mark.parametrize(("ratio", "rel"), [(1e-4, 1e-6), (1e-2, 2e-5), (0.1, 5e-4), (0.5, 6e-3)])
def test_daly_is_near_the_numeric_optimum_and_nearer_than_young(ratio, rel):
    mtbf_s = 86400.0
    best = best_interval(ratio * mtbf_s, mtbf_s)
    exact = mtbf_s * (1 + scipy.special.lambertw(-math.exp(-1 - ratio)).real)
    assert best == pytest.approx(exact, rel=1e-6)
    assert daly(ratio * mtbf_s, mtbf_s) == pytest.approx(best, rel=rel)
    assert abs(young(ratio * mtbf_s, mtbf_s) - best) > 10 * abs(daly(ratio * mtbf_s, mtbf_s) - best)


@given(st.floats(1e-4, 6))
def test_a_run_with_dalys_interval_is_at_most_two_thousandths_longer(ratio):
    best = slowdown(best_interval(ratio, 1.0), ratio, 1.0)
    assert slowdown(daly(ratio, 1.0), ratio, 1.0) <= 1.002 * best


def test_dalys_terms_by_hand():
    # C / 2M = 1/100: sqrt(2 C M) = 20, and 20 (1 + 0.1 / 3 + 0.01 / 9) - 2
    assert daly(2, 100) == pytest.approx(18.688888888888889, rel=1e-14)
    assert daly(200, 100) == daly(1e6, 100) == 100
    assert daly(0, 100) == young(0, 100) == 0


# ---- waste


@pytest.mark.parametrize(("interval_s", "cost_s", "restart_s"), [
    (45, 1, 0), (45, 1, 10), (15, 0.3, 5), (100, 0.2, 20)])
def test_waste_is_what_simulated_runs_lose(interval_s, cost_s, restart_s):
    mtbf_s = 2000.0
    got = simulated_slowdown(interval_s, cost_s, mtbf_s, restart_s, 400_000,
                             np.random.default_rng(0))
    assert got == pytest.approx(slowdown(interval_s, cost_s, mtbf_s, restart_s), rel=5e-4)
    assert waste(interval_s, cost_s, mtbf_s, restart_s) == pytest.approx(1 - 1 / got, rel=0.05)


def test_waste_adds_up():
    assert waste(100, 1, 1000) == pytest.approx(0.01 + 0.05)
    assert waste(100, 1, 1000, restart_s=20) == pytest.approx(0.01 + 0.05 + 0.02)


# ---- values that make no sense


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", None, np.ones(2)], ids=repr)
@pytest.mark.parametrize(("law", "n"), [(young, 2), (daly, 2), (waste, 4)])
def test_times_that_cannot_be_are_refused(law, n, value):
    for position in range(n):
        arguments = [1.0] * n
        arguments[position] = value
        with pytest.raises(ConfigurationError, match="_s="):
            law(*arguments)


def test_zero_is_refused_where_it_would_divide():
    for call in (lambda: young(1, 0), lambda: daly(1, 0), lambda: waste(0, 1, 1),
                 lambda: waste(1, 1, 0)):
        with pytest.raises(ConfigurationError, match="more than 0"):
            call()


# ---- workers lost


def redone_task_by_task(n_workers, n_tasks, n_killed, at, replaced):
    """Return when the last of equal tasks ends, each of one second, by counting them."""
    done = at * (n_workers - n_killed)               # those of the killed are lost
    workers = n_workers if replaced else n_workers - n_killed
    while done < n_tasks:
        done, at = done + workers, at + 1
    return at


@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("at", [0, 30, 70, 100])
def test_lost_work_is_done_again_by_all_that_are_left(at, replaced):
    counted = redone_task_by_task(100, 100 * 100, 20, at, replaced)
    assert after_kill_s(100, 0.2, at, replaced) == pytest.approx(counted, abs=1)


def test_a_kill_by_hand():
    assert after_kill_s(100, 0, 50) == after_kill_s(100, 0.5, 0) == 100
    assert after_kill_s(100, 0.5, 100) == 150
    assert after_kill_s(100, 0.5, 10, replaced=False) == 200
    assert after_kill_s(100, 0.1, [0, 50]).tolist() == [100, 105]


@pytest.mark.parametrize("arguments", [(0, 0.1, 0), (10, 1, 0), (10, 0.1, 11), (10, -0.1, 1)])
def test_a_kill_that_cannot_be_is_refused(arguments):
    with pytest.raises(ConfigurationError, match="expected"):
        after_kill_s(*arguments)

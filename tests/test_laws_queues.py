"""Queues against their balance equations, and against customers drawn one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConfigurationError
from labkit.laws import erlang_c, little, response_s, utilisation, waiting_s


def in_balance(arrivals_per_s, service_s, servers, n_states=20_000):
    """Return the chance of each number of requests inside: what comes in equals what goes out."""
    leaving = np.minimum(np.arange(1, n_states), servers) / service_s
    logs = np.concatenate([[0], np.cumsum(np.log(arrivals_per_s / leaving))])
    chances = np.exp(logs - logs.max())
    return chances / chances.sum()


def drawn_waiting_s(arrivals_per_s, service_s, n, rng):
    """Return the mean wait of n customers at one server: Lindley's recursion."""
    between = rng.exponential(1 / arrivals_per_s, n)
    served = rng.exponential(service_s, n)
    steps = np.cumsum(served[:-1] - between[1:])
    return np.mean(steps - np.minimum.accumulate(np.minimum(steps, 0)))


@pytest.mark.parametrize("servers", [1, 2, 5, 40])
@pytest.mark.parametrize("load", [0.05, 0.5, 0.9, 0.98])
def test_queues_are_in_balance(servers, load):
    arrivals_per_s, service_s = load * servers / 0.2, 0.2
    chances = in_balance(arrivals_per_s, service_s, servers)
    inside = np.arange(len(chances))
    waiting = (np.maximum(inside - servers, 0) * chances).sum() / arrivals_per_s
    assert erlang_c(arrivals_per_s, service_s, servers) == pytest.approx(chances[servers:].sum())
    assert waiting_s(arrivals_per_s, service_s, servers) == pytest.approx(waiting, abs=1e-12)
    assert response_s(arrivals_per_s, service_s, servers) == pytest.approx(
        little(length=(inside * chances).sum(), per_s=arrivals_per_s))


def test_one_server_against_customers_drawn_at_random():
    drawn = drawn_waiting_s(8, 0.1, 1_000_000, np.random.default_rng(0))
    assert waiting_s(8, 0.1) == pytest.approx(drawn, rel=0.03)


@given(st.floats(0, 0.99))
def test_one_server_by_formula(load):
    assert erlang_c(load, 1) == pytest.approx(load)
    assert waiting_s(load, 1) == pytest.approx(load / (1 - load))
    assert response_s(load, 1) == pytest.approx(1 / (1 - load))


@given(st.floats(0.1, 0.95), st.integers(2, 30))
def test_one_queue_for_all_is_shorter_than_one_for_each(load, servers):
    assert waiting_s(load * servers, 1, servers) < waiting_s(load, 1)


def test_arrays_of_loads_give_a_curve():
    arrivals = np.array([0, 1, 3])
    curve = waiting_s(arrivals, 0.5, servers=2)
    assert curve == pytest.approx([waiting_s(one, 0.5, servers=2) for one in arrivals])
    assert (np.diff(curve) > 0).all()


def test_littles_law_gives_the_third():
    assert little(per_s=4, seconds=0.5) == 2
    assert little(length=2, seconds=0.5) == 4
    assert little(length=2, per_s=4) == 0.5
    assert utilisation(10, 0.1, 4) == pytest.approx(little(per_s=10, seconds=0.1) / 4)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: waiting_s(10, 0.1), "cannot keep up"), (lambda: erlang_c(11, 0.1), "below 1"),
    (lambda: response_s([1, 30], 0.1, 2), "got: 1.5"),
    (lambda: utilisation(-1, 0.1), "arrivals_per_s="), (lambda: utilisation(1, 0), "service_s="),
    (lambda: utilisation(1, 0.1, 0), "whole number"), (lambda: waiting_s(1, 0.1, 1.5), "servers="),
    (lambda: little(length=1), "two of"), (lambda: little(1, 2, 3), "two of"),
    (lambda: little(length=-1, per_s=1), "length="), (lambda: little(length=1, per_s=0), "per_s="),
    (lambda: waiting_s(math.nan, 0.1), "finite")])
def test_queues_that_cannot_be_are_refused(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()

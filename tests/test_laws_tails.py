"""Fan-out, hedged and tied requests against draws at random and hand-computed values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConfigurationError
from labkit.laws import (
    fan_out,
    fan_out_latency,
    fan_out_quantile,
    fit_latency,
    fit_tied,
    hedged,
    latency_s,
    tied_s,
)

Q = np.array([0.5, 0.9, 0.99, 0.999])


def correlated_delays(delay_s, correlation, n, rng):
    """Return n pairs of exponential delays: own events, and one in common (Marshall and Olkin)."""
    common = 2 * correlation / (1 + correlation)      # the share of each delay's rate
    own = rng.exponential(delay_s / (1 - common), (2, n))
    return np.minimum(own, rng.exponential(delay_s / common, n))


# ---- fan-out


def test_fan_out_by_hand_and_at_its_ends():
    assert fan_out(0.5, 2) == 0.75
    assert fan_out(0, 100) == 0
    assert fan_out(1, 3) == 1
    assert fan_out(0.01, 1) == pytest.approx(0.01)
    assert fan_out([0, 0.5, 1], 2).tolist() == [0, 0.75, 1]
    assert fan_out(0.1, [1, 2]) == pytest.approx([0.1, 0.19])


def test_rare_delays_keep_their_digits():
    assert fan_out(1e-20, 1000) == pytest.approx(1e-17, rel=1e-12)


@given(st.floats(0.001, 0.999), st.integers(1, 1000))
def test_the_quantile_of_one_is_that_of_all(q, n):
    one = fan_out_quantile(q, n)
    assert one ** n == pytest.approx(q)
    assert fan_out(1 - one, n) == pytest.approx(1 - q)


def test_latency_of_the_slowest_is_that_of_draws():
    rng = np.random.default_rng(0)
    slowest = rng.exponential(1.0, (20_000, 50)).max(axis=1)
    got = fan_out_latency(rng.exponential(1.0, 500_000), 50, 0.9)
    assert got == pytest.approx(np.quantile(slowest, 0.9), rel=0.03)
    assert got == pytest.approx(-math.log(1 - 0.9 ** (1 / 50)), rel=0.03)


def test_a_fan_out_of_one_is_the_samples_own_quantile():
    assert fan_out_latency([3, 1, 2], 1, 0.5) == 2
    assert fan_out_latency([3, 1, 2], 1, 0) == 1


def test_too_few_samples_for_a_tail_are_refused():
    with pytest.raises(ConfigurationError, match="145 or more"):
        fan_out_latency(np.ones(144), 100, 0.5)
    assert fan_out_latency(np.ones(145), 100, 0.5) == 1


# ---- hedged requests


def test_hedged_requests_by_hand():
    got = hedged([1, 2, 5, 9], backup_s=[9, 9, 4, 1], after_s=2)
    assert got.seconds.tolist() == [1, 2, 5, 3]
    assert got.extra == 0.5


def test_a_hedge_at_the_95th_percentile_costs_a_twentieth():
    rng = np.random.default_rng(0)
    samples = rng.exponential(1.0, 100_000)
    after_s = np.quantile(samples, 0.95)
    got = hedged(samples, rng.permutation(samples), after_s)
    assert got.extra == pytest.approx(0.05, abs=1e-4)
    assert (got.seconds <= samples).all()
    # later than t: the first later than t, and the second later than t - after_s
    expected = after_s + (math.log(1000) - after_s) / 2
    assert np.quantile(got.seconds, 0.999) == pytest.approx(expected, rel=0.03)


# ---- tied requests


@pytest.mark.parametrize("correlation", [0.1, 0.5, 0.9])
def test_tied_requests_against_correlated_draws(correlation):
    delays = correlated_delays(12.0, correlation, 400_000, np.random.default_rng(0))
    assert np.corrcoef(delays)[0, 1] == pytest.approx(correlation, abs=0.01)
    assert 10 + np.quantile(delays[0], Q) == pytest.approx(latency_s(Q, 10, 12.0), rel=0.03)
    assert 10 + np.quantile(delays.min(axis=0), Q) == pytest.approx(
        tied_s(Q, 10, 12.0, correlation), rel=0.03)


def test_tied_requests_at_their_ends():
    assert tied_s(Q, 10, 12, 1) == pytest.approx(latency_s(Q, 10, 12))
    assert tied_s(Q, 10, 12) == pytest.approx(latency_s(Q, 10, 6))
    assert latency_s(0, 10, 12) == 10
    assert latency_s(1 - math.exp(-1), 10, 12) == pytest.approx(22)


def test_fits_find_what_made_the_quantiles():
    alone = fit_latency(Q, latency_s(Q, 0.010, 0.012))
    assert alone.values == pytest.approx({"floor_s": 0.010, "delay_s": 0.012})
    tied = fit_tied(Q, tied_s(Q, 0.010, 0.012, 0.3), **alone.values)
    assert tied.values["correlation"] == pytest.approx(0.3)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: fan_out(1.1, 2), "p="), (lambda: fan_out(0.1, 0), "n="),
    (lambda: fan_out_quantile(-0.1, 2), "q="), (lambda: fan_out_latency([1], 1, 1), "less than 1"),
    (lambda: fan_out_latency([-1.0, 2.0], 1, 0.5), "from -1 to 2"),
    (lambda: hedged([1, 2], [1], 1), "both latencies"), (lambda: hedged([], [], 1), "not empty"),
    (lambda: hedged([1], [1], -1), "after_s="), (lambda: latency_s(1, 1, 1), "less than 1"),
    (lambda: tied_s(0.5, 1, 1, 1.5), "correlation="),
    (lambda: fit_latency([50, 99], [1.0, 2.0]), "1 or less")])
def test_values_that_cannot_be_are_refused(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()

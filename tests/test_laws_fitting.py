"""Fits against linear regression in closed form, known constants and repeated noisy draws."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import ConfigurationError
from labkit.laws import (
    ALPHA_BETA,
    AMDAHL,
    INVERSE,
    USL,
    ExtrapolationWarning,
    Law,
    fit,
    fit_alpha_beta,
    fit_amdahl,
    fit_inverse,
    fit_usl,
    inverse,
    usl,
)

N = np.array([1, 2, 4, 8, 16, 32, 64])
LINE = Law("A line", lambda x, a, b: a + b * x, ("a", "b"), "y = a + b x")


def noisy_line(seed=0):
    rng = np.random.default_rng(seed)
    x = np.linspace(1, 10, 12)
    return x, 5 + 2 * x + rng.normal(0, 0.3, 12)


# ---- constants


def test_absolute_weights_are_plain_linear_regression():
    x, y = noisy_line()
    expected = scipy.stats.linregress(x, y)
    got = fit(LINE, x, y, weights="absolute")
    half = scipy.stats.t.ppf(0.975, len(x) - 2) * expected.stderr
    assert got.values["b"] == pytest.approx(expected.slope, rel=1e-8)
    assert got.values["a"] == pytest.approx(expected.intercept, rel=1e-8)
    assert got.high["b"] - got.values["b"] == pytest.approx(half, rel=1e-5)
    assert got.values["b"] - got.low["b"] == pytest.approx(half, rel=1e-5)


def test_relative_weights_are_weighted_linear_regression():
    nbytes = 4.0 ** np.arange(3, 14)
    seconds = (2e-5 + 3e-10 * nbytes) * np.random.default_rng(1).normal(1, 0.05, nbytes.size)
    columns = np.stack([np.ones(nbytes.size), nbytes], axis=1) / seconds[:, None]
    expected = np.linalg.lstsq(columns / [1e5, 1e10], np.ones(nbytes.size))[0] / [1e5, 1e10]
    got = fit_alpha_beta(nbytes, seconds)
    assert list(got.values) == ["alpha_s", "beta_s_per_B"]
    assert list(got.values.values()) == pytest.approx(expected, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 0.3), st.floats(0, 0.01), st.floats(1e-6, 1e6))
def test_a_fit_finds_the_constants_that_made_the_points(sigma, kappa, rate_1):
    got = fit_usl(N, usl(N, sigma, kappa, rate_1))
    assert got.values["sigma"] == pytest.approx(sigma, abs=1e-5)
    assert got.values["kappa"] == pytest.approx(kappa, abs=1e-6)
    assert got.values["rate_1"] == pytest.approx(rate_1, rel=1e-4)
    assert got.max_error < 1e-4


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-9, 1e3), st.floats(1e-9, 1e3))
def test_constants_may_have_any_unit(a, b):
    got = fit(INVERSE, N, inverse(N, a, b))
    assert got(N) == pytest.approx(inverse(N, a, b), rel=1e-6)


def test_errors_are_those_of_the_law_against_the_points():
    got = fit(Law("A constant", lambda x, c: c + 0 * x, ("c",)), [1, 2], [1.0, 3.0],
              weights="absolute")
    assert got.values["c"] == pytest.approx(2)
    assert got.relative_errors == pytest.approx([1, -1 / 3])
    assert got.mean_error == pytest.approx(2 / 3)
    assert got.max_error == pytest.approx(1)


def test_start_and_bounds_replace_those_of_the_law():
    got = fit_amdahl(N, N / (1 + 0.1 * (N - 1)), start={"serial": 0.5}, bounds={"serial": (0.2, 1)})
    assert got.values["serial"] == got.low["serial"] == 0.2


# ---- intervals


def share_that_holds(make, name, true, draws=200):
    """Return in which share of noisy draws the interval of a constant holds the true one."""
    fits = [make(np.random.default_rng(seed)) for seed in range(draws)]
    return np.mean([found.low[name] <= true <= found.high[name] for found in fits])


@pytest.mark.parametrize("name", ["a", "b"])
def test_intervals_hold_the_true_constant_with_relative_noise(name):
    def make(rng):
        return fit_inverse(N, inverse(N, 2.0, 30.0) * rng.normal(1, 0.03, N.size))

    assert 0.90 <= share_that_holds(make, name, {"a": 2.0, "b": 30.0}[name]) <= 0.99


@pytest.mark.parametrize("name", ["sigma", "kappa", "rate_1"])
def test_intervals_hold_the_true_constants_of_a_law_that_is_not_linear(name):
    true = {"sigma": 0.05, "kappa": 1e-3, "rate_1": 100.0}

    def make(rng):
        return fit_usl(N, usl(N, **true) + rng.normal(0, 10.0, N.size))

    assert 0.85 <= share_that_holds(make, name, true[name]) <= 1


def test_a_lower_level_gives_a_narrower_interval():
    x, y = noisy_line()
    wide, narrow = fit(LINE, x, y), fit(LINE, x, y, level=0.5)
    assert wide.low["b"] < narrow.low["b"] < narrow.values["b"] < narrow.high["b"] < wide.high["b"]


def test_no_interval_with_as_many_points_as_constants():
    got = fit_inverse([1, 4], [10.0, 4.0])
    assert got.values == pytest.approx({"a": 2.0, "b": 8.0})
    assert set(got.low.values()) == {-math.inf}
    assert set(got.high.values()) == {math.inf}
    assert got.band(2.0) == (-math.inf, math.inf)
    assert "no interval" in repr(got)


def test_no_interval_where_all_points_are_at_one_place():
    got = fit_inverse([2, 2, 2], [1.0, 1.1, 0.9])
    assert got(2) == pytest.approx(1.0, rel=0.02)
    assert got.high["a"] == math.inf or got.high["a"] - got.low["a"] > 1e6


# ---- values of the law


def test_the_band_is_that_of_linear_regression():
    x, y = noisy_line()
    got, at = fit(LINE, x, y, weights="absolute"), np.array([1.0, 4.0, 10.0])
    spread = np.sqrt(((y - got(x)) ** 2).sum() / (len(x) - 2))
    half = (scipy.stats.t.ppf(0.975, len(x) - 2) * spread
            * np.sqrt(1 / len(x) + (at - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()))
    low, high = got.band(at)
    assert low == pytest.approx(got(at) - half, rel=1e-5)
    assert high == pytest.approx(got(at) + half, rel=1e-5)
    assert got.band(4.0)[1] == pytest.approx(high[1])


@pytest.mark.parametrize("call", ["__call__", "predict", "band"])
def test_a_warning_exactly_outside_the_measured_range(call):
    ask = getattr(fit_inverse([2, 4, 8], [6.0, 4.0, 3.1]), call)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (2, 3.5, 8, [2, 8], np.array([])):
            ask(x)
    for x in (1.999, 8.001, [4, 9], [1, 4]):
        with pytest.warns(ExtrapolationWarning, match="n was 2 to 8") as found:
            ask(x)
        assert len(found) == 1
        assert found[0].filename == __file__
    with pytest.warns(UserWarning, match="64 is outside"):
        ask(64)


def test_values_are_floats_or_arrays_as_x_is():
    got = fit_inverse([1, 2, 4], [10.0, 6.0, 4.0])
    assert isinstance(got(2), float)
    assert got([1, 2]).tolist() == [got(1), got(2)] == [got.predict(1), got.predict(2)]


def test_the_law_is_not_asked_where_it_has_no_meaning():
    got = fit_inverse([1, 2, 4], [10.0, 6.0, 4.0])
    for x in (0, -1, math.nan, "2"):
        with pytest.raises(ConfigurationError, match="n="):
            got(x)


def test_a_fit_reads_as_what_it_found():
    text = repr(fit_inverse(N, inverse(N, 2.0, 30.0) * np.random.default_rng(0).normal(1, 0.03, 7)))
    assert text.startswith("a + b/n: seconds = a + b / n\n  a = ")
    assert "7 points, n from 1 to 64; relative error" in text
    assert " to " in text.splitlines()[1]


# ---- points that make no sense


@pytest.mark.parametrize(("x", "y", "message"), [
    ([1, 2, 4], [1.0, 2.0], "Each x needs one y"),
    ([1, 2], [1.0, 2.0], "too few points for The Universal Scalability Law"),
    ([], [], "too few"),
    ([1, 2, 4], [1.0, -2.0, 3.0], "y="),
    ([1, 2, 4], [1.0, 0.0, 3.0], "more than 0"),
    ([1, 2, math.nan], [1.0, 2.0, 3.0], "n="),
    ([1, 2, 4], [1.0, 2.0, math.nan], "y="),
    ([1, 2, 0], [1.0, 2.0, 3.0], "1 or more"),
    ([1, 2, 4], [1.0, 2.0, math.inf], "finite"),
    (["1", "2", "4"], [1.0, 2.0, 3.0], "finite numbers"),
    ([[1, 2], [3, 4]], [[1, 2], [3, 4]], "Each x needs one y"),
    ([[1], [1, 2]], [1.0, 2.0], "finite numbers")])
def test_points_that_cannot_be_are_refused(x, y, message):
    with pytest.raises(ConfigurationError, match=message):
        fit(USL, x, y)


@pytest.mark.parametrize(("options", "message"), [
    ({"weights": "none"}, "'relative' or 'absolute'"),
    ({"level": 1.0}, "level="), ({"level": 95}, "level="),
    ({"start": {"serail": 0.1}}, "no such constant"), ({"bounds": {"sigma": (0, 1)}}, "serial"),
    ({"bounds": {"serial": (1, 0)}}, "No constants were found")])
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        fit(AMDAHL, [1, 2, 4], [1.0, 1.8, 3.0], **options)


def test_a_law_without_a_value_is_an_error_with_its_reason():
    with pytest.raises(ConfigurationError, match="start"):
        fit(Law("No law", lambda x, c: c * x * math.nan, ("c",)), [1, 2], [1.0, 2.0])


def test_the_smallest_message_may_have_no_bytes():
    got = fit(ALPHA_BETA, [0, 100, 1000], [1e-5, 2e-5, 1.1e-4])
    assert got(0) == pytest.approx(1e-5)

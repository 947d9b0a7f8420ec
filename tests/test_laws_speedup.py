"""Laws of speedup against hand-computed values, their limits, and each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import ConfigurationError
from labkit.laws import (
    amdahl,
    fit_amdahl,
    fit_gustafson,
    gustafson,
    inverse,
    karp_flatt,
    usl,
    usl_peak,
)

N = np.array([1, 2, 4, 8, 16])
counts = st.floats(1, 1e6)
shares = st.floats(0, 1)


@given(counts, shares)
def test_speedups_lie_between_one_and_n(n, serial):
    for law in (amdahl, gustafson):
        assert 1 - 1e-9 <= law(n, serial) <= n * (1 + 1e-9)
        assert law(1, serial) == pytest.approx(1)
    assert amdahl(n, 0) == pytest.approx(gustafson(n, 0)) == pytest.approx(n)
    assert amdahl(n, 1) == gustafson(n, 1) == 1


def test_by_hand():
    assert amdahl(4, 0.5) == pytest.approx(1.6)
    assert amdahl(1e12, 0.05) == pytest.approx(20)
    assert gustafson(4, 0.5) == pytest.approx(2.5)
    assert usl(4, 0.1, 0.01, 50) == pytest.approx(200 / 1.42)
    assert inverse(4, 3, 8) == 5
    assert amdahl(N, 0.5)[:2] == pytest.approx([1, 4 / 3])


@given(st.floats(1.001, 1e4), st.floats(0.001, 1))
def test_gustafson_is_amdahl_with_the_share_of_one_workers_time(n, serial):
    """A share s of the time on n workers is s / (s + (1-s) n) of what one would need."""
    assert gustafson(n, serial) == pytest.approx(amdahl(n, serial / (serial + (1 - serial) * n)))


@given(counts, shares)
def test_usl_without_coherence_is_amdahl(n, sigma):
    assert usl(n, sigma, 0) == pytest.approx(amdahl(n, sigma))


@given(st.floats(0, 0.9), st.floats(1e-6, 0.09))
def test_usl_is_highest_at_its_peak(sigma, kappa):
    peak = usl_peak(sigma, kappa)
    best = usl(max(peak, 1), sigma, kappa)
    for n in (peak * 0.9, peak * 1.1):
        assert usl(max(n, 1), sigma, kappa) <= best * (1 + 1e-12)


def test_usl_without_coherence_has_no_peak():
    assert usl_peak(0.1, 0) == math.inf
    assert usl_peak(0.19, 0.01) == pytest.approx(9)


@given(st.floats(1.01, 1e4), st.floats(1e-3, 1))
def test_karp_flatt_finds_the_serial_share(n, serial):
    assert karp_flatt(n, amdahl(n, serial)) == pytest.approx(serial, rel=1e-6)


def test_karp_flatt_shows_overhead_that_grows():
    n = N[1:]
    shares = karp_flatt(n, usl(n, 0.05, 0.01))
    assert (np.diff(shares) > 0).all()
    assert karp_flatt(4, 5) < 0


@pytest.mark.parametrize(("law", "fitted"), [(amdahl, fit_amdahl), (gustafson, fit_gustafson)])
@pytest.mark.parametrize("serial", [0.0, 0.01, 0.3, 1.0])
def test_fits_find_the_serial_share(law, fitted, serial):
    assert fitted(N, law(N, serial)).values["serial"] == pytest.approx(serial, abs=2e-6)


@pytest.mark.parametrize("call", [
    lambda: amdahl(0, 0.1), lambda: amdahl(4, 1.1), lambda: amdahl(4, math.nan),
    lambda: amdahl("4", 0.1), lambda: amdahl([1, 0], 0.1), lambda: gustafson(4, -0.1),
    lambda: usl(4, 0.1, -1), lambda: usl(4, 2, 0), lambda: usl(4, 0, 0, 0),
    lambda: usl_peak(0.1, -1), lambda: karp_flatt(1, 1), lambda: karp_flatt(2, 0),
    lambda: inverse(0, 1, 1), lambda: inverse(1, 1, -1), lambda: inverse(True, 1, 1)])
def test_values_that_cannot_be_are_refused(call):
    with pytest.raises(ConfigurationError, match="expected: finite numbers"):
        call()

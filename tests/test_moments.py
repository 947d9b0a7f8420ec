"""Moments against exact fractions and NumPy; merging in any order gives the same."""

import functools
import statistics

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labkit.learning.moments import merge, moments, row_blocks

EPS = np.finfo(float).eps
values = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.1, 1.0, 1e6, 1e6 + 1e-9]))
tables = arrays(float, st.tuples(st.integers(1, 20), st.integers(1, 3)), elements=values)


def assert_close(found, expected, X):
    """Compare moments within what rounding can do to the rows `X`."""
    np.testing.assert_array_equal(found[0], expected[0])
    off = 4 * len(X) * EPS * np.abs(X).max(axis=0, initial=0.0)       # of a mean
    assert np.all(np.abs(found[1] - expected[1]) <= off)
    spread = np.ptp(X, axis=0) if len(X) else 0.0
    allowed = len(X) * (16 * EPS * len(X) * spread**2 + 2 * spread * off + off**2) + 1e-300
    assert np.all(np.abs(found[2] - expected[2]) <= allowed)


@given(tables)
def test_moments_are_those_of_exact_fractions(X):
    n = len(X)
    columns = X.T.tolist()
    exact = np.array([[n] * X.shape[1], [statistics.mean(c) for c in columns],
                      [statistics.pvariance(c) * n for c in columns]], float)
    assert_close(moments(X), exact, X)
    assert_close(moments(scipy.sparse.csr_matrix(X)), exact, X)


@given(tables, st.integers(0, 20), st.integers(0, 20))
def test_merge_is_associative_and_commutative(X, i, j):
    first, second = min(i, j), max(i, j)
    a, b, c = moments(X[:first]), moments(X[first:second]), moments(X[second:])
    assert_close(merge(merge(a, b), c), moments(X), X)
    assert_close(merge(a, merge(b, c)), moments(X), X)
    assert_close(merge(c, merge(b, a)), moments(X), X)


@given(tables)
def test_no_rows_change_nothing(X):
    some, none = moments(X), moments(X[:0])
    assert not none.any() and none.shape == some.shape
    np.testing.assert_array_equal(merge(some, none), some)
    np.testing.assert_array_equal(merge(none, some), some)
    np.testing.assert_array_equal(merge(none, none), none)


@given(values, st.integers(1, 50), st.integers(0, 50), st.sampled_from(["f8", "f4"]))
def test_a_constant_column_has_exactly_zero_squares(value, n, cut, dtype):
    X = np.full((n, 1), value, dtype)
    parts = [X[:cut], X[cut:]]
    for form in (np.asarray, scipy.sparse.csr_matrix):
        found = merge(*[moments(form(part)) for part in parts])
        np.testing.assert_array_equal(found[:, 0], [n, X[0, 0], 0])


@given(arrays(float, st.tuples(st.integers(0, 12), st.integers(1, 4)),
              elements=st.one_of(st.just(0.0), st.just(0.0), values)))
def test_sparse_is_dense(X):
    assert_close(moments(scipy.sparse.csr_matrix(X)), moments(X), X)
    assert_close(moments(scipy.sparse.csr_array(X)), moments(X), X)


def test_stored_zeros_and_unsorted_columns_are_dense_too():
    X = scipy.sparse.csr_matrix(([0.0, 3.0, 2.0, 0.0], [2, 0, 1, 1], [0, 2, 3, 4]), shape=(3, 4))
    np.testing.assert_allclose(moments(X), moments(X.toarray()))


def test_a_sparse_entry_stored_in_pieces_is_their_sum():
    X = scipy.sparse.csr_matrix(([1.0, 2.0, 3.0], [0, 0, 1], [0, 2, 3, 3]), shape=(3, 2))
    assert X.nnz == 3
    np.testing.assert_array_equal(moments(X), moments(np.array([[3.0, 0], [0, 3], [0, 0]])))
    assert X.nnz == 3, "what is not ours is left as it is"


@pytest.mark.parametrize("n_rows", [1, 999, 5000])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "?"])
def test_many_blocks_give_the_mean_and_variance_of_numpy(n_rows, dtype):
    X = (np.random.default_rng(0).normal(3, 5, (n_rows, 150))).astype(dtype)
    count, mean, squares = moments(X)
    X = X.astype(float)
    np.testing.assert_array_equal(count, n_rows)
    np.testing.assert_allclose(mean, X.mean(axis=0), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(squares, X.var(axis=0) * n_rows, rtol=1e-11)
    np.testing.assert_allclose(moments(scipy.sparse.csr_matrix(X))[2], squares, rtol=1e-11)


def test_shards_of_any_sizes_give_the_moments_of_all_rows():
    X = np.random.default_rng(1).normal(size=(1000, 5))
    parts = np.split(X, [0, 1, 10, 400, 400, 999])
    found = functools.reduce(merge, map(moments, parts))
    assert_close(found, [[1000] * 5, X.mean(axis=0), X.var(axis=0) * 1000], X)


def test_a_small_spread_around_a_large_mean_survives():
    """Mean of squares minus square of mean would leave nothing of it."""
    noise = np.random.default_rng(2).integers(-50, 50, (3000, 200))
    X = 1e9 + noise                       # exact in float64
    schoolbook = (X**2).mean(axis=0) - X.mean(axis=0)**2
    assert np.abs(schoolbook / noise.var(axis=0) - 1).max() > 0.01
    np.testing.assert_allclose(moments(X)[2] / 3000, noise.var(axis=0), rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_shows_in_its_column_and_survives_merging(bad, form):
    X = np.arange(12.0).reshape(4, 3)
    X[2, 1] = bad
    found = merge(moments(form(X[:2])), moments(form(X[2:])))
    np.testing.assert_array_equal(np.isfinite(found).all(axis=0), [True, False, True])


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (5000, 2), (3000, 200), (20, 300_000), (7, 0)])
def test_row_blocks_cover_every_row_once_without_copying(shape):
    X = np.zeros(shape)
    seen = np.zeros(shape[0], int)
    for rows, block in row_blocks(X):
        seen[rows] += 1
        assert block.base is X and len(block) <= 16384
    assert np.all(seen == 1)
    narrow = list(row_blocks(X.astype("f4")))
    assert all(block.dtype == float for _, block in narrow)

"""The log loss against scikit-learn's, its gradient against finite differences."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from sklearn.metrics import log_loss

from labkit.learning.log_loss import binomial, loss_and_gradient, multinomial
from labkit.learning.moments import row_blocks

SETS = pytest.mark.parametrize("n_sets", [1, 2, 3, 7])
FORMS = pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, scipy.sparse.csr_matrix,
                                         scipy.sparse.csr_array],
                                ids=["C", "Fortran", "csr_matrix", "csr_array"])


def problem(n_sets, n_rows=50, n_features=4, seed=0):
    rng = np.random.default_rng([seed, n_sets])
    X = rng.normal(size=(n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.6)
    codes = rng.integers(0, max(n_sets, 2), n_rows)
    return X, codes, rng.normal(size=(n_sets, n_features + 1))


def probabilities(X, weights):
    margins = X @ weights[:, :-1].T + weights[:, -1]
    if len(weights) > 1:
        return scipy.special.softmax(margins, axis=1)
    return np.column_stack([scipy.special.expit(-margins), scipy.special.expit(margins)])


@SETS
@FORMS
def test_the_loss_is_that_of_scikit_learn(n_sets, form):
    X, codes, weights = problem(n_sets)
    expected = log_loss(codes, probabilities(X, weights), normalize=False,
                        labels=np.arange(max(n_sets, 2)))
    loss, _ = loss_and_gradient(form(X), codes, weights)
    assert loss == pytest.approx(expected, rel=1e-12)


@SETS
@FORMS
def test_the_gradient_is_that_of_finite_differences(n_sets, form):
    X, codes, weights = problem(n_sets)
    X = form(X)
    _, gradient = loss_and_gradient(X, codes, weights)
    assert gradient.shape == weights.shape
    for index in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[index] = 1e-5
        above, below = (loss_and_gradient(X, codes, weights + s)[0] for s in (step, -step))
        assert gradient[index] == pytest.approx((above - below) / 2e-5, rel=1e-7, abs=1e-7)


@SETS
def test_dense_and_sparse_agree(n_sets):
    X, codes, weights = problem(n_sets)
    dense, sparse = (loss_and_gradient(form(X), codes, weights)
                     for form in (np.asarray, scipy.sparse.csr_matrix))
    assert dense[0] == pytest.approx(sparse[0], rel=1e-13)
    np.testing.assert_allclose(dense[1], sparse[1], rtol=1e-12, atol=1e-12)


@SETS
def test_many_blocks_add_up_to_one_pass(n_sets):
    X, codes, weights = problem(n_sets, n_rows=2500, n_features=200)
    assert len(list(row_blocks(X))) > 1
    loss, gradient = loss_and_gradient(X, codes, weights)
    p = probabilities(X, weights)
    truth = np.eye(p.shape[1])[codes]
    residuals = (p - truth)[:, -n_sets:]
    expected = np.column_stack([residuals.T @ X, residuals.sum(axis=0)])
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-9)
    margins = X @ weights[:, :-1].T + weights[:, -1]
    if n_sets == 1:
        margins = np.column_stack([np.zeros(len(X)), margins])
    expected = scipy.special.logsumexp(margins, axis=1) - margins[np.arange(len(X)), codes]
    assert loss == pytest.approx(expected.sum(), rel=1e-12)


@SETS
@pytest.mark.parametrize("dtype", ["f4", "f2", "i8", "u1"])
def test_other_numbers_are_computed_with_as_float64(n_sets, dtype):
    X, codes, weights = problem(n_sets)
    X = (10 * np.abs(X)).astype(dtype)
    loss, gradient = loss_and_gradient(X, codes, weights)
    expected_loss, expected = loss_and_gradient(X.astype(float), codes, weights)
    assert loss == expected_loss
    np.testing.assert_array_equal(gradient, expected)
    if dtype != "f2":                             # SciPy has no sparse half precision
        loss, gradient = loss_and_gradient(scipy.sparse.csr_matrix(X), codes, weights)
        assert loss == pytest.approx(expected_loss, rel=1e-12)
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_sets", [1, 3])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "csr"])
def test_no_rows_lose_nothing(n_sets, form):
    loss, gradient = loss_and_gradient(form(np.zeros((0, 4))), np.zeros(0, int),
                                       np.ones((n_sets, 5)))
    assert loss == 0
    np.testing.assert_array_equal(gradient, np.zeros((n_sets, 5)))


# ---- extreme margins


def exact_loss(margin):
    """log(1 + exp(-margin)) to 40 digits."""
    with localcontext(prec=40, Emin=-10**9, Emax=10**9):
        small = Decimal(-abs(margin)).exp()
        # Below, log1p is its own first term; 40 digits of 1 + small would lose it.
        log1p = small if small < Decimal("1e-20") else (1 + small).ln()
        return float(max(Decimal(0), Decimal(-margin)) + log1p)


@pytest.mark.parametrize("margin", [0.0, 1e-9, 1.0, 20.0, 36.0, 40.0, 700.0, 745.0, 1000.0, 1e300])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_extreme_margins_keep_their_precision_with_two_classes(margin):
    right, wrong = np.array([[margin]]), np.array([[-margin]])
    for code in (1, 0):
        sign = 1 if code else -1
        loss, residuals = binomial(sign * right, np.array([code]))
        assert loss == pytest.approx(exact_loss(margin), rel=1e-14, abs=1e-323)
        # Once exp(-margin) is lost beside 1, class 1 has a probability of exactly 1.
        expected = scipy.special.expit(-margin)
        assert -sign * residuals[0, 0] == pytest.approx(expected, rel=1e-13, abs=1.2e-16)
        loss, residuals = binomial(sign * wrong, np.array([code]))
        assert loss == pytest.approx(exact_loss(-margin), rel=1e-14)
        assert -sign * residuals[0, 0] == pytest.approx(scipy.special.expit(margin), rel=1e-14)


@pytest.mark.parametrize(("margin", "base"), [
    *((m, base) for m in (0.0, 1.0, 36.0, 700.0, 1000.0) for base in (0.0, 1000.0, -1e6)),
    (1e300, 0.0)])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_extreme_margins_do_not_overflow_with_many_classes(margin, base):
    margins = np.array([[base + margin, base, base]])
    p = scipy.special.softmax([margin, 0, 0])
    loss, residuals = multinomial(margins, np.array([0]))
    assert loss == pytest.approx(np.log1p(2 * np.exp(-margin)), rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(residuals[0], p - [1, 0, 0], rtol=1e-12, atol=1e-15)
    loss, residuals = multinomial(margins, np.array([2]))
    assert loss == pytest.approx(margin + np.log1p(2 * np.exp(-margin)), rel=1e-12)
    np.testing.assert_allclose(residuals[0], p - [0, 0, 1], rtol=1e-12, atol=1e-15)


def test_two_sets_are_one_set_of_differences():
    X, codes, weights = problem(2)
    loss, gradient = loss_and_gradient(X, codes, weights)
    other_loss, other = loss_and_gradient(X, codes, weights[1:] - weights[:1])
    assert loss == pytest.approx(other_loss, rel=1e-13)
    np.testing.assert_allclose(gradient, np.concatenate([-other, other]), rtol=1e-11, atol=1e-12)


def test_nothing_given_is_changed():
    X, codes, weights = problem(3)
    for array in (X, codes, weights):
        array.flags.writeable = False
    loss_and_gradient(X, codes, weights)
    loss_and_gradient(X, codes % 2, weights[:1])

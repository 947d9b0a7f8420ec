"""The optimiser against SciPy's, scikit-learn's Lasso, and the conditions of optimality."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from labkit.learning.lbfgs import Point, minimize
from labkit.learning.line_search import CURVATURE, ROUNDING, SUFFICIENT_DECREASE, line_search

# ---- functions: each returns evaluate(w) -> value, gradient


def quadratic(n, condition=1.0, seed=0):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    A = Q * np.geomspace(1, condition, n) @ Q.T
    b = rng.normal(size=n)
    return lambda w: (0.5 * w @ A @ w - b @ w, A @ w - b)


def valley(w):
    """Rosenbrock's narrow valley made convex: it leads to w = 1 everywhere."""
    apart = np.diff(w)
    gradient = np.tanh(w - 1)
    gradient[1:] += 200 * apart
    gradient[:-1] -= 200 * apart
    return np.log(np.cosh(w - 1)).sum() + 100 * apart @ apart, gradient


def quartic(w):
    """Ever flatter near w = 1: no quadratic describes it there."""
    return ((w - 1)**4).sum(), 4 * (w - 1)**3


def logistic(n_rows=200, n=6, l2=0.01, seed=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n)) * np.geomspace(1, 10, n)
    sign = np.where(rng.random(n_rows) < 1 / (1 + np.exp(-X[:, 0])), 1.0, -1.0)

    def evaluate(w):
        margins = sign * (X @ w)
        residuals = -sign / (1 + np.exp(margins))
        return (np.logaddexp(0, -margins).mean() + l2 / 2 * w @ w,
                X.T @ residuals / n_rows + l2 * w)
    return evaluate


def least_squares(n_rows=60, n=12, seed=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n)) * np.geomspace(1, 5, n)
    y = X @ np.where(np.arange(n) % 3 == 0, 1.0, 0.0) + rng.normal(size=n_rows)

    def evaluate(w):
        errors = X @ w - y
        return errors @ errors / (2 * n_rows), X.T @ errors / n_rows
    return X, y, evaluate


SMOOTH = {"round bowl": (quadratic(8), 8), "long bowl": (quadratic(10, 1e3), 10),
          "valley": (valley, 6), "quartic": (quartic, 4), "logistic": (logistic(), 6),
          "one weight": (quadratic(1), 1), "more weights than history": (quadratic(40, 100), 40)}
smooth = pytest.mark.parametrize("name", SMOOTH)


def counted(evaluate):
    def counting(w):
        counting.calls += 1
        return evaluate(w)
    counting.calls = 0
    return counting


# ---- without a penalty


@smooth
def test_the_minimum_is_that_of_scipy(name):
    evaluate, n = SMOOTH[name]
    start = np.linspace(-1, 3, n)
    found = minimize(evaluate, start, max_iter=2000, tol=1e-7)
    theirs = scipy.optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B",
                                     options=dict(maxiter=5000, ftol=0, gtol=1e-9))
    assert found.converged
    assert found.message == "converged: the gradient is below tol"
    assert found.value == pytest.approx(theirs.fun, rel=1e-9, abs=1e-9)
    # A gradient of 1e-7 leaves the quartic's weights (1e-7 / 4)**(1/3) away, the logistic's, bent
    # by no less than l2 = 0.01, at most 1e-7 / 0.01.
    atol = {"quartic": 5e-3, "logistic": 1e-5}.get(name, 1e-6)
    np.testing.assert_allclose(found.w, theirs.x, atol=atol)


@smooth
def test_it_needs_no_more_evaluations_than_scipy_by_half(name):
    evaluate, n = SMOOTH[name]
    start = np.linspace(-1, 3, n)
    found = minimize(evaluate, start, max_iter=2000, tol=1e-6)
    theirs = scipy.optimize.minimize(evaluate, start, jac=True, method="L-BFGS-B",
                                     options=dict(maxiter=5000, ftol=0, gtol=1e-6))
    assert found.n_evaluations <= 1.5 * theirs.nfev + 3


@smooth
def test_the_record_tells_what_happened(name):
    evaluate, n = SMOOTH[name]
    evaluate = counted(evaluate)
    start = np.linspace(-1, 3, n)
    found = minimize(evaluate, start, max_iter=2000)
    assert found.n_evaluations == evaluate.calls
    assert len(found.history) == found.n_iter + 1 <= found.n_evaluations
    assert found.history[0] == evaluate(start)[0]
    value, gradient = evaluate(found.w)
    assert found.value == found.history[-1] == value
    assert np.abs(gradient).max() <= 1e-6
    rises = np.diff(found.history)
    assert np.all(rises <= ROUNDING * np.abs(found.history[:-1]))


@pytest.mark.parametrize("l1", [0.0, 0.3])
def test_the_same_input_gives_the_same_bits_and_is_left_alone(l1):
    start = np.linspace(-1, 3, 6)
    before = start.copy()
    first, again = (minimize(logistic(), start, l1) for _ in range(2))
    assert first.w.tobytes() == again.w.tobytes()
    assert first.history == again.history and first.n_evaluations == again.n_evaluations
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize("max_iter", [0, 1, 4])
def test_max_iter_ends_it_on_the_way(max_iter):
    start = np.linspace(-1, 3, 6)
    found, further = minimize(valley, start, max_iter=max_iter), minimize(valley, start)
    assert not found.converged and found.message == "max_iter steps were taken"
    assert found.n_iter == max_iter < further.n_iter
    assert found.history == further.history[:max_iter + 1]


def test_a_start_at_the_minimum_takes_one_evaluation_and_no_step():
    found = minimize(valley, np.ones(5), max_iter=0)
    assert found.converged and (found.n_iter, found.n_evaluations) == (0, 1)
    np.testing.assert_array_equal(found.w, np.ones(5))


def test_no_weights_are_no_problem():
    found = minimize(lambda w: (3.0, w), np.zeros(0))
    assert found.converged and found.value == 3 and found.w.shape == (0,)


def test_integers_may_be_the_start():
    assert minimize(valley, np.array([3, -1])).w.dtype == float


def test_with_tol_zero_it_ends_when_the_value_cannot_be_lowered():
    shifted = logistic(l2=0.1)
    found = minimize(lambda w: (shifted(w)[0] + 1.0, shifted(w)[1]), np.zeros(6), tol=0.0,
                     max_iter=10_000)
    assert found.converged and "cannot be lowered" in found.message
    assert found.n_iter < 100
    assert np.abs(shifted(found.w)[1]).max() < 1e-8


@smooth
def test_a_wrong_gradient_is_suspected(name):
    evaluate, n = SMOOTH[name]
    start = np.linspace(-1, 3, n)
    found = minimize(lambda w: (evaluate(w)[0], -evaluate(w)[1]), start)
    assert not found.converged and "is the gradient right?" in found.message
    np.testing.assert_array_equal(found.w, start)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_ends_it(value):
    found = minimize(lambda w: (value, w), np.ones(2))
    assert not found.converged and found.message == "the value is not finite"
    assert (found.n_iter, found.n_evaluations) == (0, 1)


@pytest.mark.parametrize("outside", [np.nan, np.inf])
def test_it_comes_back_from_where_the_function_is_not_finite(outside):
    outsiders = []

    def barrier(w):
        if np.any(w <= 0):
            outsiders.append(w)
            return outside, np.full_like(w, np.nan)
        return (w - np.log(w)).sum(), 1 - 1 / w

    # Far out the barrier bends so little that the first curvature points beyond it.
    found = minimize(barrier, np.array([30.0, 8.0]), tol=1e-8)
    assert outsiders and found.converged
    np.testing.assert_allclose(found.w, 1, atol=1e-7)


# ---- with an L1 penalty


def violation(evaluate, w, l1):
    """How far w is from the conditions of optimality (Karush, Kuhn and Tucker)."""
    gradient = evaluate(w)[1]
    return np.where(w != 0, np.abs(gradient + np.sign(w) * l1),
                    np.maximum(np.abs(gradient) - l1, 0)).max()


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("start", [0.0, 1.0, -3.0])
def test_the_lasso_is_that_of_scikit_learn(alpha, start):
    X, y, evaluate = least_squares()
    theirs = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    found = minimize(evaluate, np.full(12, start), l1=alpha, max_iter=1000, tol=1e-9)
    assert found.converged
    np.testing.assert_allclose(found.w, theirs, atol=1e-6)
    np.testing.assert_array_equal(found.w == 0, theirs == 0)
    assert 0 < np.count_nonzero(theirs) < 12 or alpha == 0.01
    value = evaluate(found.w)[0] + alpha * np.abs(found.w).sum()
    assert found.value == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("name", ["long bowl", "valley", "logistic", "more weights than history"])
def test_the_conditions_of_optimality_hold_with_a_penalty(name, share):
    evaluate, n = SMOOTH[name]
    # Below this strength the first weight leaves zero.
    strongest = np.abs(evaluate(np.zeros(n))[1]).max()
    l1 = share * strongest * np.linspace(0, 1, n)         # a strength for each weight
    evaluate = counted(evaluate)
    found = minimize(evaluate, np.linspace(-1, 1, n), l1, max_iter=3000, tol=1e-6)
    assert found.n_evaluations == evaluate.calls
    assert found.converged and violation(evaluate, found.w, l1) <= 1e-6
    assert np.all(np.diff(found.history) <= ROUNDING * np.abs(found.history[:-1]))


def test_the_strongest_penalty_leaves_all_weights_at_exactly_zero():
    evaluate, n = SMOOTH["logistic"]
    strongest = np.abs(evaluate(np.zeros(n))[1]).max()
    assert minimize(evaluate, np.zeros(n), l1=strongest).n_evaluations == 1
    found = minimize(evaluate, np.linspace(-1, 2, n), l1=1.01 * strongest)
    assert found.converged and not found.w.any()
    assert minimize(evaluate, np.zeros(n), l1=0.99 * strongest).w.any()


# ---- line search


class Along:
    """A smooth function of one weight, as `minimize` hands it to `line_search`."""

    smooth = True

    def __init__(self, value, slope):
        self.value, self.slope = value, slope

    def __call__(self, w):
        gradient = np.array([self.slope(w[0])])
        return Point(w, self.value(w[0]), gradient, gradient)

    def stay_in_orthant(self, w, start):
        return w


CURVES = {
    "parabola": Along(lambda x: 0.5 * x * x, lambda x: x),
    "hyperbola": Along(lambda x: np.hypot(1, x), lambda x: x / np.hypot(1, x)),
    "steep then flat": Along(lambda x: np.logaddexp(0, -x) + 1e-3 * x,
                             lambda x: 1e-3 - np.exp(-np.logaddexp(0, x))),
}


@pytest.mark.parametrize("name", CURVES)
@given(exponent=st.floats(-6, 6))
def test_the_line_search_finds_a_point_that_is_lower_and_flatter(name, exponent):
    curve = CURVES[name]
    start = curve(np.array([-5.0]))
    direction = -start.slope
    found = line_search(curve, start, direction, 10.0**exponent)
    promised = start.slope @ (found.w - start.w)
    slope, steepest = found.slope @ direction, start.slope @ direction
    assert promised < 0 and slope >= CURVATURE * steepest
    # The second is what Hager and Zhang put in the place of the first: a parabola's equivalent.
    assert (found.value <= start.value + SUFFICIENT_DECREASE * promised
            or found.value < start.value and slope <= (2 * SUFFICIENT_DECREASE - 1) * steepest)


def test_the_first_length_is_taken_if_it_will_do():
    start = CURVES["parabola"](np.array([-5.0]))
    assert line_search(CURVES["parabola"], start, np.array([1.0]), 5.0).w == 0


def test_none_is_returned_where_the_value_rises_against_its_slope():
    liar = Along(lambda x: x, lambda x: -1.0)
    assert line_search(liar, liar(np.array([0.0])), np.array([1.0]), 1.0) is None

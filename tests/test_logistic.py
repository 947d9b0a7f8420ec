"""Logistic regression's two halves, `drive` and `Local`, against scikit-learn and by hand."""

import functools

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LogisticRegression

from labkit.errors import ConfigurationError, DataError
from labkit.learning.logistic import Local, Settings, drive
from labkit.learning.moments import merge

switch = functools.partial(pytest.mark.parametrize, argvalues=[True, False])


def classes_of(n_classes, n_rows=240, n_features=4, seed=0):
    """Noisy classes, features of very different scales and far from zero."""
    rng = np.random.default_rng([seed, n_classes])
    X = rng.normal(size=(n_rows, n_features))
    scores = X @ rng.normal(size=(n_features, n_classes)) + rng.gumbel(size=(n_rows, n_classes))
    return X * [1, 10, 0.1, 3] + [0, 20, -1, 5], scores.argmax(axis=1)


def fit(X, y, n_shards=1, seen=None, **settings):
    """Train on shards in this process."""
    rows = np.array_split(np.arange(len(y)), n_shards)
    shards = [Local(X[mine], y[mine]) for mine in rows]

    def ask(question, value=None, op=np.add):
        if seen is not None:
            seen.append(question)
        return functools.reduce(op, [shard.answer(question, value) for shard in shards])
    return drive(ask, Settings(**{"tol": 1e-9, "max_iter": 1000, **settings}))


def log_loss_and_residuals(X, y, coef, intercept):
    """Mean loss and (probability - truth), two classes, written out."""
    margins = X @ coef + intercept
    return (np.mean(np.logaddexp(0, margins) - y * margins), 1 / (1 + np.exp(-margins)) - y)


# ---- against scikit-learn


@switch("standardization")
@switch("fit_intercept")
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("reg_param", [0.003, 0.3])
def test_ridge_is_that_of_scikit_learn(n_classes, fit_intercept, standardization, form, reg_param):
    X, y = classes_of(n_classes)
    scale = X.std(axis=0, ddof=1) if standardization else np.ones(X.shape[1])
    theirs = LogisticRegression(C=1 / (reg_param * len(y)), fit_intercept=fit_intercept,
                                solver="newton-cholesky", tol=1e-12, max_iter=1000)
    # Centring helps their solver; it only shifts the intercept.
    middle = X.mean(axis=0) if fit_intercept else np.zeros(X.shape[1])
    theirs.fit((X - middle) / scale, y)
    coef = theirs.coef_ / scale
    intercept = theirs.intercept_ - coef @ middle
    ours = fit(form(X), y, 3, reg_param=reg_param, fit_intercept=fit_intercept,
               standardization=standardization)
    assert ours.converged
    np.testing.assert_array_equal(ours.classes, np.arange(n_classes))
    np.testing.assert_allclose(ours.coef * scale, theirs.coef_, rtol=1e-5, atol=1e-6)
    if n_classes > 2 and fit_intercept:           # where only differences count, ours sum to zero
        intercept = intercept - intercept.mean()
        assert ours.intercept.sum() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(ours.intercept, intercept, rtol=1e-5, atol=1e-6)
    assert fit_intercept or not ours.intercept.any()


@switch("standardization")
@switch("fit_intercept")
@pytest.mark.parametrize("elastic_net_param", [0.5, 1.0])
def test_elastic_net_is_that_of_scikit_learn(fit_intercept, standardization, elastic_net_param):
    X, y = classes_of(2)
    scale = X.std(axis=0, ddof=1) if standardization else 1.0
    middle = X.mean(axis=0) if fit_intercept else 0.0
    theirs = LogisticRegression(C=1 / (0.1 * len(y)), l1_ratio=elastic_net_param, solver="saga",
                                fit_intercept=fit_intercept, tol=1e-9, max_iter=100_000)
    theirs.fit((X - middle) / scale, y)
    ours = fit(X, y, 2, reg_param=0.1, elastic_net_param=elastic_net_param,
               fit_intercept=fit_intercept, standardization=standardization)
    np.testing.assert_allclose(ours.coef * scale, theirs.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(ours.coef == 0, theirs.coef_ == 0)
    intercept = theirs.intercept_ - theirs.coef_ / scale @ (middle * np.ones(4))
    np.testing.assert_allclose(ours.intercept, intercept, rtol=1e-5, atol=1e-5)


# ---- against the conditions of optimality


@switch("standardization")
@switch("fit_intercept")
@pytest.mark.parametrize("reg_param", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("elastic_net_param", [0.0, 0.4, 1.0])
def test_the_conditions_of_optimality_hold(fit_intercept, standardization, reg_param,
                                           elastic_net_param):
    X, y = classes_of(2)
    ours = fit(X, y, reg_param=reg_param, elastic_net_param=elastic_net_param,
               fit_intercept=fit_intercept, standardization=standardization)
    deviation = X.std(axis=0, ddof=1)
    penalty_unit = deviation if standardization else np.ones(4)
    w = ours.coef[0] * penalty_unit
    loss, residuals = log_loss_and_residuals(X, y, ours.coef[0], ours.intercept[0])
    l1, l2 = reg_param * elastic_net_param, reg_param * (1 - elastic_net_param)
    slope = X.T @ residuals / len(y) / penalty_unit + l2 * w
    off = np.where(w != 0, np.abs(slope + l1 * np.sign(w)), np.maximum(np.abs(slope) - l1, 0))
    if fit_intercept:
        assert residuals.mean() == pytest.approx(0, abs=1e-8)
    # `tol` is in units of standardised features.
    assert np.max(off * penalty_unit / deviation) <= 1e-6
    objective = loss + l1 * np.abs(w).sum() + l2 / 2 * w @ w
    assert ours.loss_history[-1] == pytest.approx(objective, rel=1e-12)


def test_a_multinomial_of_two_classes_is_a_binomial_with_half_the_penalty():
    X, y = classes_of(2)
    both = fit(X, y, reg_param=0.1, family="multinomial")
    one = fit(X, y, reg_param=0.05)
    assert both.coef.shape == (2, 4) and one.coef.shape == (1, 4)
    np.testing.assert_allclose(both.coef.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.diff(both.coef, axis=0), one.coef, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(np.diff(both.intercept), one.intercept, rtol=1e-5)


def test_without_a_penalty_many_classes_are_unique_because_they_sum_to_zero():
    X, y = classes_of(3)
    ours = fit(X, y)
    np.testing.assert_allclose(ours.coef.sum(axis=0), 0, atol=1e-9)
    scores = X @ ours.coef.T + ours.intercept
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    residuals = p - np.eye(3)[y]
    np.testing.assert_allclose(X.T @ residuals / len(y) / X.std(axis=0)[:, None], 0, atol=1e-7)
    np.testing.assert_allclose(residuals.mean(axis=0), 0, atol=1e-8)


# ---- features


@switch("standardization")
@switch("fit_intercept")
@pytest.mark.parametrize("constant", [0.0, 1.0, -7.3, 1e6])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("elastic_net_param", [0.0, 0.5])
def test_a_constant_feature_has_weight_zero_and_disturbs_nobody(
        standardization, fit_intercept, constant, form, elastic_net_param):
    X, y = classes_of(2)
    settings = dict(reg_param=0.1, elastic_net_param=elastic_net_param,
                    standardization=standardization, fit_intercept=fit_intercept)
    with_it = np.insert(X, 2, constant, axis=1)
    found, without = fit(form(with_it), y, 3, **settings), fit(form(X), y, 3, **settings)
    assert found.coef[0, 2] == 0
    np.testing.assert_allclose(np.delete(found.coef, 2, axis=1), without.coef, rtol=1e-5,
                               atol=1e-7)
    np.testing.assert_allclose(found.intercept, without.intercept, rtol=1e-5, atol=1e-7)


def test_only_constant_features_leave_the_odds_to_the_intercept():
    y = np.array([0, 1, 1, 1])
    found = fit(np.ones((4, 2)), y)
    assert not found.coef.any() and found.converged
    assert found.intercept[0] == pytest.approx(np.log(3))


def test_the_intercept_starts_at_the_odds():
    X, y = classes_of(3)
    found = fit(X, y, max_iter=0)
    share = np.bincount(y) / len(y)
    assert not found.converged and not found.coef.any() and found.n_iter == 0
    np.testing.assert_allclose(np.exp(found.intercept) / np.exp(found.intercept).sum(), share)
    assert found.loss_history == pytest.approx([-share @ np.log(share)])
    assert fit(X, y, max_iter=0, fit_intercept=False).loss_history == pytest.approx([np.log(3)])


def test_units_do_not_matter_with_standardization_and_do_without():
    X, y = classes_of(2)
    units = np.array([1, 1000, 1e-3, 60])
    for standardization in (True, False):
        settings = dict(reg_param=0.1, standardization=standardization)
        ours, other = fit(X, y, **settings), fit(X * units, y, **settings)
        same = np.allclose(ours.coef, other.coef * units, rtol=1e-5, atol=1e-8)
        assert same == standardization


def test_an_offset_moves_only_the_intercept():
    X, y = classes_of(2)
    offset = np.array([1e4, -50, 3, 0])
    ours, other = fit(X, y, reg_param=0.01), fit(X + offset, y, reg_param=0.01)
    np.testing.assert_allclose(other.coef, ours.coef, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(other.intercept, ours.intercept - ours.coef @ offset, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["f4", "i4"])
def test_other_numbers_are_computed_with_as_float64(dtype):
    X, y = classes_of(2)
    X = (10 * X).astype(dtype)
    ours, wide = fit(X, y, reg_param=0.01), fit(X.astype(float), y, reg_param=0.01)
    assert ours.coef.dtype == float
    np.testing.assert_array_equal(ours.coef, wide.coef)


# ---- shards and labels


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n_shards", [2, 7, 80, 100])
def test_any_cut_gives_the_same_weights(n_shards, n_classes):
    """Of 100 shards of 80 rows, 20 are empty; of 80, none knows two classes."""
    X, y = classes_of(n_classes, n_rows=80)
    whole = fit(X, y, reg_param=0.01)
    for form in (np.asarray, scipy.sparse.csr_matrix):
        cut = fit(form(X), y, n_shards, reg_param=0.01)
        np.testing.assert_allclose(cut.coef, whole.coef, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(cut.intercept, whole.intercept, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("labels", [[-1, 1], ["no", "yes"], [False, True], [1.0, 2.0], [5, 10**12],
                                    ["a", "a much longer one"]])
def test_labels_may_be_numbers_or_words(labels):
    X, y = classes_of(2)
    ours, plain = fit(X, np.array(labels)[y], 3, reg_param=0.1), fit(X, y, 3, reg_param=0.1)
    np.testing.assert_array_equal(ours.classes, labels)
    np.testing.assert_array_equal(ours.coef, plain.coef)


def test_the_questions_are_asked_once_and_the_objective_once_an_evaluation():
    X, y = classes_of(2)
    seen = []
    found = fit(X, y, 2, seen, reg_param=0.1)
    assert seen[:3] == ["labels", "counts", "moments"]
    assert seen[3:] == ["objective"] * found.n_evaluations
    assert len(found.loss_history) == found.n_iter + 1 <= found.n_evaluations
    assert found.message == "converged: the gradient is below tol"


def test_a_shard_answers_for_its_rows():
    X, y = classes_of(3, n_rows=20)
    shard = Local(X, y)
    np.testing.assert_array_equal(shard.answer("labels"), np.unique(y))
    np.testing.assert_array_equal(shard.answer("counts", np.arange(-1, 4)),
                                  [0, *np.bincount(y, minlength=3), 0])
    count, mean, squares = shard.answer("moments")
    np.testing.assert_allclose(mean, X.mean(axis=0))
    np.testing.assert_allclose(squares, X.var(axis=0) * 20)
    zeros = np.zeros((3, 5))
    answer = shard.answer("objective", (np.arange(3), zeros))
    assert answer.shape == (1 + zeros.size,) and answer[0] == pytest.approx(20 * np.log(3))
    np.testing.assert_allclose(answer[1:].reshape(3, 5)[:, 4], 20 / 3 - np.bincount(y))


def test_a_shard_may_be_asked_about_other_classes_in_between():
    X, y = classes_of(2, n_rows=20)
    shard = Local(X, y)
    weights = np.ones((1, 5))
    first = shard.answer("objective", (np.array([0, 1]), weights))
    np.testing.assert_array_equal(shard.answer("counts", np.array([-3, 0, 1])),
                                  [0, *np.bincount(y)])
    np.testing.assert_array_equal(shard.answer("objective", (np.array([0, 1]), weights)), first)


def test_a_shard_changes_nothing_of_its_data():
    X, y = classes_of(2)
    X.flags.writeable = y.flags.writeable = False
    assert fit(X, y, reg_param=0.1).converged


def test_a_shard_says_what_its_answers_cost():
    X, y = np.eye(6), np.arange(6.0) % 2
    for question in ("moments", "objective"):
        assert Local(X, y).work(question) == dict(flops=4 * 36, nbytes=8 * 36)
        assert Local(scipy.sparse.csr_matrix(X), y).work(question) == dict(flops=24, nbytes=48)
    assert Local(X, y).work("labels") == Local(X, y).work("counts") == dict(flops=6, nbytes=48)


# ---- what is refused


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_in_x_is_refused_by_column(bad, form):
    X, y = classes_of(2)
    X[170, 2] = bad
    with pytest.raises(DataError, match="NaN or infinity") as caught:
        fit(form(X), y, 3)
    assert caught.value.where == "column 2, counted from 0"
    assert "finite" in caught.value.expected and caught.value.remedy


@pytest.mark.parametrize(("labels", "what"), [
    ([1, 1, 1, 1], "only one class"), (["a"] * 4, "only one class"),
    ([0.5, 1, 0.5, 1], "fractions or NaN"), ([0, 1, np.nan, 1], "fractions or NaN"),
    ([np.nan] * 4, "fractions or NaN"), ([0, 1, 1e-9, 1], "fractions or NaN")])
def test_labels_that_are_not_classes_are_refused(labels, what):
    for n_shards in (1, 2):
        with pytest.raises(DataError, match=what) as caught:
            fit(np.arange(8.0).reshape(4, 2), np.array(labels), n_shards)
        assert caught.value.expected and caught.value.got


def test_three_classes_are_refused_by_the_binomial_family():
    X, y = classes_of(3)
    with pytest.raises(DataError, match="binomial family has two") as caught:
        fit(X, y, family="binomial")
    assert (caught.value.expected, caught.value.got) == (2, "3 classes")
    assert "multinomial" in caught.value.remedy
    assert fit(*classes_of(2), family="binomial").coef.shape == (1, 4)


@pytest.mark.parametrize("n_labels", [1, 7, 9])
def test_shards_of_x_and_y_must_be_equally_long(n_labels):
    with pytest.raises(DataError, match="differ in length") as caught:
        Local(np.ones((8, 2)), np.arange(n_labels) % 2)
    assert caught.value.got == f"{n_labels} labels" and caught.value.expected == "8, one a row"


def test_an_unknown_question_is_refused():
    with pytest.raises(ConfigurationError, match="labels, counts, moments or objective"):
        Local(np.ones((2, 1)), np.arange(2)).answer("why?")


@pytest.mark.parametrize("settings", [
    dict(reg_param=-1e-9), dict(reg_param=np.nan), dict(reg_param=np.inf), dict(reg_param="0.1"),
    dict(reg_param=None), dict(elastic_net_param=-0.1), dict(elastic_net_param=1.1),
    dict(max_iter=-1), dict(max_iter=1.5), dict(max_iter=np.inf), dict(tol=-1.0), dict(tol=np.nan),
    dict(family="gaussian"), dict(family=None)])
def test_settings_that_cannot_work_are_refused_by_name(settings):
    with pytest.raises(ConfigurationError) as caught:
        Settings(**settings)
    (name, value), = settings.items()
    assert caught.value.where == f"{name}=" and caught.value.got == repr(value)
    assert caught.value.expected


def test_moments_of_shards_are_merged_not_added():
    """The oracle for the `op` of each question: with another one the answer would be wrong."""
    X, y = classes_of(2)
    halves = [Local(X[:100], y[:100]), Local(X[100:], y[100:])]
    merged = merge(*(half.answer("moments") for half in halves))
    np.testing.assert_allclose(merged, Local(X, y).answer("moments"), rtol=1e-12)

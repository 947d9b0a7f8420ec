"""`LogisticRegression` by scikit-learn's own checks, and the same in every model and world."""

import os
import pickle
import subprocess
import sys

import cloudpickle
import dask.array as da
import numpy as np
import pytest
import scipy.sparse
import scipy.special
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import labkit
from labkit.datasets import breast_cancer, sample_libsvm
from labkit.errors import ConfigurationError, DataError
from labkit.learning import LogisticRegression
from labkit.models import map_reduce

MODELS = ["peer_to_peer", "master_worker", "map_reduce"]
models = pytest.mark.parametrize("model", MODELS)
DATA = {"sample_libsvm": sample_libsvm, "breast_cancer": breast_cancer}


def noisy(n_classes=2, n_rows=90, n_features=3):
    rng = np.random.default_rng(n_classes)
    X = rng.normal(size=(n_rows, n_features))
    scores = X @ rng.normal(size=(n_features, n_classes)) + rng.gumbel(size=(n_rows, n_classes))
    return X, scores.argmax(axis=1)


# Nothing is excused: every check has to pass, with a world of one worker as without a world. (A
# world of more refuses what some checks hand in: fewer rows than workers.)
@parametrize_with_checks([
    LogisticRegression(), LogisticRegression(0.1, 0.5, family="multinomial"),
    LogisticRegression(model="map_reduce", world=labkit.serial(1))])
def test_it_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)


# ---- three models, three worlds, one answer


@pytest.fixture(scope="module")
def oracle():
    """Return the fit without a world, and each feature's deviation; each data set once."""
    known = {}

    def ask(name):
        if name not in known:
            X, y = DATA[name]()
            alone = LogisticRegression(reg_param=0.01, max_iter=10).fit(X, y)
            X, = da.compute(X)
            X = X.toarray() if scipy.sparse.issparse(X) else X
            known[name] = alone, X.std(axis=0, ddof=1)
        return known[name]
    return ask


@models
@pytest.mark.parametrize("name", DATA)
def test_every_model_in_every_world_finds_the_same_coefficients(world, model, name, oracle):
    alone, deviation = oracle(name)
    fitted = LogisticRegression(reg_param=0.01, max_iter=10, model=model, world=world)
    fitted.fit(*DATA[name]())
    assert np.abs(alone.coef_).max() > 0 and alone.n_iter_ == fitted.n_iter_ == 10
    # In units of standardised features: no feature hides behind another's scale.
    off = np.abs(fitted.coef_ - alone.coef_) * deviation
    assert off.max() <= 1e-8
    np.testing.assert_allclose(fitted.intercept_, alone.intercept_, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(fitted.loss_history_, alone.loss_history_, rtol=1e-9)
    assert fitted.n_evaluations_ == alone.n_evaluations_
    assert fitted.run_.world.kind == type(world).__name__.removesuffix("World").lower()


@models
def test_simulated_and_serial_worlds_find_the_same_bits(model):
    X, y = breast_cancer()
    fits = [LogisticRegression(0.01, model=model, world=world).fit(X, y)
            for world in (labkit.serial(3), labkit.simulated(3), labkit.serial(3))]
    assert len({fitted.coef_.tobytes() for fitted in fits}) == 1


@models
@pytest.mark.parametrize("n_classes", [2, 4])
def test_labels_that_are_words_survive_every_world(world, model, n_classes):
    X, y = noisy(n_classes)
    words = np.array(["ant", "bee", "cicada", "dragonfly"])[y]
    fitted = LogisticRegression(0.1, model=model, world=world).fit(X, words)
    alone = LogisticRegression(0.1).fit(X, y)
    np.testing.assert_array_equal(fitted.classes_, np.unique(words))
    np.testing.assert_allclose(fitted.coef_, alone.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[alone.predict(X)])


# ---- data in every form

FORMS = {
    "numpy": lambda X, y: (X, y),
    "float32": lambda X, y: (X.astype("f4"), y),
    "csr": lambda X, y: (scipy.sparse.csr_matrix(X), y),
    "csr_array": lambda X, y: (scipy.sparse.csr_array(X), y),
    "csc": lambda X, y: (scipy.sparse.csc_matrix(X), y),
    "dask": lambda X, y: (da.from_array(X, chunks=(20, 2)), da.from_array(y, chunks=45)),
    "dask X only": lambda X, y: (da.from_array(X, chunks=(20, 2)), y),
    "dask y only": lambda X, y: (X, da.from_array(y, chunks=45)),
    "dask of csr": lambda X, y: (
        da.from_array(X, chunks=(25, -1)).map_blocks(scipy.sparse.csr_matrix), y),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["here", "serial", "cluster"])
def test_data_may_come_in_any_form(form, place, request):
    X, y = noisy()
    world = {"here": None, "serial": labkit.serial(3)}.get(place)
    if place == "cluster":
        world = request.getfixturevalue("cluster")
    fitted = LogisticRegression(0.1, world=world, tol=1e-9).fit(*FORMS[form](X, y))
    alone = LogisticRegression(0.1, tol=1e-9).fit(X, y)
    rtol = 1e-4 if form == "float32" else 1e-6
    np.testing.assert_allclose(fitted.coef_, alone.coef_, rtol=rtol)
    assert fitted.n_features_in_ == 3
    X, _ = FORMS[form](X, y)
    np.testing.assert_allclose(fitted.predict_proba(X), alone.predict_proba(noisy()[0]), rtol=1e-4)


@models
@pytest.mark.parametrize("by", ["cyclic", "hash"])
def test_shards_are_learnt_from_where_they_lie(world, model, by):
    X, y = noisy()
    shards = world.shard(scipy.sparse.csr_matrix(X), y, by=by)
    fitted = LogisticRegression(0.1, model=model, world=world, tol=1e-9).fit(*shards)
    alone = LogisticRegression(0.1, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(fitted.coef_, alone.coef_, rtol=1e-6)


@models
def test_chunks_are_computed_by_workers_and_never_here(cluster, model):
    X, y = noisy()
    here = os.getpid()

    def elsewhere(block):
        assert os.getpid() != here
        return block

    chunks = [da.from_array(array, chunks=30).map_blocks(elsewhere, meta=array[:0])
              for array in (X, y)]
    fitted = LogisticRegression(0.1, model=model, world=cluster).fit(*chunks)
    np.testing.assert_allclose(fitted.coef_, LogisticRegression(0.1).fit(X, y).coef_, rtol=1e-5)


# ---- predictions


@pytest.mark.parametrize("settings", [{}, {"family": "multinomial"}, {"fit_intercept": False}])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_predictions_follow_from_the_margins(n_classes, settings):
    X, y = noisy(n_classes)
    fitted = LogisticRegression(0.1, **settings).fit(X, y)
    margins = X @ fitted.coef_.T + fitted.intercept_
    if margins.shape[1] == 1:
        margins = np.column_stack([np.zeros(len(X)), margins])
    p = scipy.special.softmax(margins, axis=1)
    np.testing.assert_allclose(fitted.predict_proba(X), p, rtol=1e-12)
    np.testing.assert_array_equal(fitted.predict(X), margins.argmax(axis=1))
    assert fitted.score(X, y) == np.mean(margins.argmax(axis=1) == y) > 1.2 / n_classes
    expected = margins if n_classes > 2 else margins[:, 1] - margins[:, 0]
    np.testing.assert_allclose(fitted.decision_function(X), expected, rtol=1e-12)


def test_extreme_rows_have_probabilities_too():
    fitted = LogisticRegression(0.1).fit(*noisy())
    with np.errstate(over="raise", invalid="raise"):
        p = fitted.predict_proba(1e5 * fitted.coef_ * [[1], [-1]])
    np.testing.assert_array_equal(p, [[0, 1], [1, 0]])


# ---- the record


def test_the_record_tells_what_happened():
    X, y = noisy()
    fitted = LogisticRegression(0.1).fit(X, y)
    assert fitted.run_ is None and fitted.converged_
    assert len(fitted.loss_history_) == fitted.n_iter_ + 1 <= fitted.n_evaluations_
    assert np.all(np.diff(fitted.loss_history_) < 0)
    short = LogisticRegression(0.1, max_iter=1).fit(X, y)
    assert not short.converged_ and short.n_iter_ == 1


@models
def test_the_run_of_a_fit_is_kept(model):
    world = labkit.simulated(3)
    fitted = LogisticRegression(0.1, model=model, world=world).fit(*noisy())
    questions = 3 + fitted.n_evaluations_           # labels, counts, moments
    assert fitted.run_.world.simulated and fitted.run_.seconds > 0
    assert list(fitted.run_.step_times()) == list(range(questions))
    messages = {"map_reduce": 3 * questions, "master_worker": 2 * (2 * questions + 1),
                "peer_to_peer": 4 * questions}
    assert fitted.run_.messages == messages[model]


# ---- in scikit-learn's company


def test_a_clone_trains_in_the_same_world(world):
    original = LogisticRegression(0.3, 0.1, model="master_worker", world=world)
    copy = clone(original)
    assert copy is not original and copy.world is world
    assert copy.get_params() == original.get_params()
    assert not hasattr(copy.fit(*noisy()), "feature_names_in_") and not hasattr(original, "coef_")


def test_it_is_searched_and_piped_in_a_world():
    X, y = noisy()
    with labkit.serial(3) as world:
        estimator = LogisticRegression(model="map_reduce", world=world)
        search = GridSearchCV(estimator, {"reg_param": [100.0, 0.01]}, cv=3).fit(X, y)
        assert search.best_params_ == {"reg_param": 0.01}
        pipe = make_pipeline(StandardScaler(), estimator).fit(X, y)
    assert pipe.score(X, y) > 0.6


@models
def test_a_fitted_model_is_pickled_with_what_it_has_learnt(model):
    X, y = noisy(3)
    for world in (None, labkit.serial(3), labkit.simulated(3)):
        fitted = LogisticRegression(0.1, model=model, world=world).fit(X, y)
        copy = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
        assert copy.fit(X, y).coef_.tobytes() == fitted.coef_.tobytes()


def test_workers_need_not_import_scikit_learn():
    """What a fit sends to workers is unpickled in a fresh process."""
    class Spy(type(labkit.serial(2))):
        def run(self, program, *shards, **how):
            sent.append(cloudpickle.dumps(program))
            return super().run(program, *shards, **how)

        def map(self, task, items, **how):
            sent.append(cloudpickle.dumps(task))
            return super().map(task, items, **how)

    sent = []
    for model in MODELS:
        LogisticRegression(0.1, model=model, max_iter=1, world=Spy(2)).fit(*noisy())
    code = ("import pickle, sys; [pickle.loads(one) for one in pickle.load(sys.stdin.buffer)]; "
            "print('labkit.learning.logistic' in sys.modules, 'sklearn' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(sent),
                          capture_output=True, check=True)
    assert done.stdout.split() == [b"True", b"False"]


# ---- what is refused


@models
def test_what_cannot_be_learnt_from_is_refused_in_every_world(world, model):
    X, y = noisy()
    estimator = LogisticRegression(model=model, world=world)
    bad = X.copy()
    bad[80, 1] = np.nan
    with pytest.raises(DataError, match="NaN or infinity") as caught:
        estimator.fit(*world.shard(bad, y))
    assert caught.value.where == "column 1, counted from 0"
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(bad, y)
    for labels, what in ((np.ones(90), "only one class"), (y + 0.5 * (X[:, 0] > 0), "fractions"),
                         (np.where(X[:, 0] > 2, np.nan, y), "NaN")):
        with pytest.raises(DataError, match=what):
            estimator.fit(*world.shard(X, labels))
    with pytest.raises(DataError, match="binomial family has two classes"):
        clone(estimator).set_params(family="binomial").fit(*world.shard(X, np.arange(90) % 3))
    assert estimator.fit(X, y).converged_, "and the world is as good as before"


@models
def test_shards_that_do_not_belong_together_are_refused(world, model):
    X, y = noisy()
    X_shards, y_shards = world.shard(X, y)
    estimator = LogisticRegression(model=model, world=world)
    for pair in ((X_shards, y), (X, y_shards)):
        with pytest.raises(ConfigurationError, match="sharded together") as caught:
            estimator.fit(*pair)
        assert "ndarray" in caught.value.got and "world.shard(X, y)" in caught.value.remedy
    # One label for a whole shard would fit any number of rows by broadcasting.
    for labels in (y[:60], np.array([0, 1, 0])):
        with pytest.raises(DataError, match="differ in length"):
            estimator.fit(X_shards, world.shard(labels))
    for other in (labkit.serial(2).shard(X, y), labkit.serial(4).shard(X, y)):
        with pytest.raises(ConfigurationError, match="one part for each peer"):
            estimator.fit(*other)


def test_shards_without_their_world_are_refused():
    with pytest.raises(ConfigurationError, match="needs the world"):
        LogisticRegression().fit(*labkit.serial(3).shard(*noisy()))


@pytest.mark.parametrize("model", ["p2p", "", None, map_reduce])
def test_an_unknown_model_lists_the_known_ones(model):
    with pytest.raises(ConfigurationError) as caught:
        LogisticRegression(model=model).fit(*noisy())
    assert caught.value.where == "model=" and caught.value.got == repr(model)
    assert all(repr(known) in caught.value.expected for known in MODELS)


@pytest.mark.parametrize("settings", [dict(reg_param=-1), dict(elastic_net_param=2), dict(tol=-1),
                                      dict(max_iter=0.5), dict(family="poisson")])
def test_a_setting_is_refused_before_the_data_is_looked_at(settings):
    with pytest.raises(ConfigurationError) as caught:
        LogisticRegression(**settings).fit(None, None)
    assert caught.value.where == f"{next(iter(settings))}="


def test_fewer_rows_than_workers_are_refused():
    X, y = noisy(n_rows=5)
    with pytest.raises(ConfigurationError, match="fewer rows or chunks than workers"):
        LogisticRegression(world=labkit.serial(6)).fit(X, y)


def test_different_lengths_are_refused():
    X, y = noisy()
    for world in (None, labkit.serial(3)):
        for form in (np.asarray, lambda X: da.from_array(X, chunks=(30, 3))):
            with pytest.raises(ValueError, match="inconsistent|differ in length"):
                LogisticRegression(world=world).fit(form(X), y[:80])


def test_nothing_is_predicted_before_a_fit_or_from_other_features(tmp_path):
    X, y = noisy()
    for use in ("predict", "predict_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(LogisticRegression(), use)(X)
        with pytest.raises(ValueError, match="2 features.*3 features"):
            getattr(LogisticRegression().fit(X, y), use)(X[:, :2])
    with pytest.raises(NotFittedError):
        LogisticRegression().save(tmp_path / "model")
    assert not list(tmp_path.iterdir())

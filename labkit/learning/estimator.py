"""`LogisticRegression` in scikit-learn's manner, trained by one of three distributed models.

    fit(X, y) -- shards --> world.run or world.map -- model --> logistic.drive  -->  coef_
                                                             +- logistic.Local

With a world, X and y are cut up over its workers, or already are. Without one, all rows are
one shard in this process and the optimiser asks it directly: the three models would do the
same.
"""

from __future__ import annotations

from functools import partial

import dask
import dask.array as da
import numpy as np
import scipy.special
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from labkit import sharding
from labkit.errors import ConfigurationError, DataError, LabkitError, ProgramError
from labkit.learning import model_file
from labkit.learning.logistic import Local, Settings, drive, program
from labkit.models import map_reduce, master_worker, peer_to_peer
from labkit.records import join
from labkit.sharding import Shards

PEER_MODELS = {"peer_to_peer": peer_to_peer.train, "master_worker": master_worker.train}
MODELS = (*PEER_MODELS, "map_reduce")
DTYPES = [np.float64, np.float32]


class LogisticRegression(ClassifierMixin, BaseEstimator):
    """Classify rows; the objective is that of Spark MLlib (see `labkit.learning.logistic`).

    Parameters
    ----------
    reg_param, elastic_net_param, max_iter, tol, fit_intercept, standardization, family
        See `labkit.learning.logistic.Settings`. Reaching `max_iter` is no error and gives no
        warning: look at `converged_`.
    model : {"peer_to_peer", "master_worker", "map_reduce"}
        Who asks whom; all three find the same weights.
    world : World, optional
        Where to train; by default in this process.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    coef_ : ndarray, shape (n_sets, n_features)
        On the features' original scale. One set for the binomial family, else one a class.
    intercept_ : ndarray, shape (n_sets,)
    n_features_in_ : int
    n_iter_ : int
        Steps that the optimiser took.
    n_evaluations_ : int
        How often it evaluated the objective: passes over the data.
    loss_history_ : ndarray, shape (n_iter_ + 1,)
        The objective in nats a row, at the start and after each step.
    converged_ : bool
        Whether the optimum was found within `max_iter` steps.
    run_ : Run or None
        The record of the fit; None without a world.

    Examples
    --------
    >>> with labkit.cluster(workers=4) as world:
    ...     model = LogisticRegression(reg_param=0.01, max_iter=10, world=world).fit(X, y)
    """

    def __init__(self, reg_param=0.0, elastic_net_param=0.0, max_iter=100, tol=1e-6,
                 fit_intercept=True, standardization=True, family="auto", model="peer_to_peer",
                 world=None):
        self.reg_param = reg_param
        self.elastic_net_param = elastic_net_param
        self.max_iter = max_iter
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.standardization = standardization
        self.family = family
        self.model = model
        self.world = world

    def fit(self, X, y):
        """Train on rows X with labels y.

        Parameters
        ----------
        X : ndarray, sparse matrix, dask.array or Shards, shape (n_rows, n_features)
            Chunks of a dask array may be ndarrays or CSR matrices. Shards are what
            `world.shard(X, y)` returns.
        y : ndarray, dask.array or Shards, shape (n_rows,)
            Numbers or strings, two classes or more.

        Returns
        -------
        LogisticRegression
            This estimator.

        Raises
        ------
        DataError, ValueError
            For X or y that cannot be learnt from: NaN, one class, different lengths.
        ConfigurationError
            For a setting that cannot work.
        """
        settings = Settings(**{name: getattr(self, name) for name in
                               Settings.__dataclass_fields__})
        if self.model not in MODELS:
            raise ConfigurationError("This model is not known.", got=repr(self.model),
                                     expected=", ".join(map(repr, MODELS)), where="model=")
        X, y = self._checked(X, y)
        fit, self.run_ = _train(X, y, settings, self.model, self.world)
        self.classes_, self.coef_, self.intercept_ = fit.classes, fit.coef, fit.intercept
        self.n_features_in_ = fit.coef.shape[1]
        self.n_iter_, self.n_evaluations_ = fit.n_iter, fit.n_evaluations
        self.loss_history_, self.converged_ = fit.loss_history, fit.converged
        return self

    def decision_function(self, X):
        """Return each row's margin.

        Parameters
        ----------
        X : ndarray, sparse matrix or dask.array, shape (n_rows, n_features)

        Returns
        -------
        ndarray, shape (n_rows,) for two classes, else (n_rows, n_classes)
            For two classes: of the second against the first.
        """
        check_is_fitted(self)
        X = self._validated(_gathered(X), reset=False)
        margins = X @ self.coef_.T + self.intercept_
        if len(self.classes_) > 2:
            return margins
        return margins[:, 0] if len(self.coef_) == 1 else margins[:, 1] - margins[:, 0]

    def predict_proba(self, X):
        """Return each class's probability, shape (n_rows, n_classes); see `decision_function`."""
        margins = self.decision_function(X)
        if margins.ndim == 2:
            return scipy.special.softmax(margins, axis=1)
        return np.column_stack([scipy.special.expit(-margins), scipy.special.expit(margins)])

    def predict(self, X):
        """Return the most probable class of each row, shape (n_rows,)."""
        margins = self.decision_function(X)
        best = margins.argmax(axis=1) if margins.ndim == 2 else (margins > 0).astype(int)
        return self.classes_[best]

    def save(self, path):
        """Write the fitted model to one file without pickle; see `labkit.learning.model_file`."""
        check_is_fitted(self)
        model_file.write(self, path)

    @classmethod
    def load(cls, path):
        """Return the model that `save` wrote; its `world` and `run_` are None.

        Raises
        ------
        DataError
            If the file is not there, not whole, or not such a model.
        """
        return model_file.read(cls, path)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _checked(self, X, y):
        """Check what is in this process; what lies elsewhere is checked where it lies."""
        if isinstance(X, Shards) or isinstance(y, Shards):
            if self.world is None:
                raise ConfigurationError("Sharded data needs the world in which it lies.",
                                         expected="world=", got=None)
            if type(X) is not type(y):
                raise ConfigurationError("X and y must be sharded together.",
                                         expected="Shards for both, or for neither",
                                         got=f"{type(X).__name__} and {type(y).__name__}",
                                         remedy="X, y = world.shard(X, y)")
            return X, y
        if isinstance(X, da.Array) and self.world is not None:
            return X, y
        return self._validated(_gathered(X), _gathered(y))

    def _validated(self, *arrays, **options):
        """Return arrays as scikit-learn checks them; say as a DataError what it refuses."""
        try:
            checked = validate_data(self, *arrays, accept_sparse="csr", dtype=DTYPES, **options)
            if len(arrays) == 2:
                check_classification_targets(checked[1])
            return checked
        except ValueError as error:
            what, *more = str(error).splitlines()
            # Of what it recommends, other estimators for data with gaps are not meant here.
            remedy = " ".join(line for line in more if line.startswith("Reshape your data"))
            raise DataError(what, expected="finite numbers in rows of equal length, with one "
                            "label each", got=_described(*arrays), where=_place(*arrays),
                            remedy=remedy or "drop or fill what is missing, and convert text to "
                            "numbers") from error


def _described(*arrays):
    return " and ".join(f"{type(a).__name__} of shape {getattr(a, 'shape', '(?)')}"
                        for a in arrays)


def _place(X, *y):
    """Say where the first number of X is that is none, if X is an array of numbers."""
    if isinstance(X, np.ndarray) and X.dtype.kind == "f" and not np.isfinite(X).all():
        return f"X[{', '.join(map(str, np.argwhere(~np.isfinite(X))[0]))}]"
    return "X and y" if y else "X"


def _train(X, y, settings, model, world):
    """Return (Fit, what the world recorded)."""
    decide = partial(drive, settings=settings)
    if world is None:
        local = Local(X, y)
        return decide(lambda question, value=None, op=None: local.answer(question, value)), None
    if not isinstance(X, Shards):
        X, y = world.shard(X, y)
    try:
        if model == "map_reduce":
            fit, runs = map_reduce.train(world, Local, decide, X, y)
            return fit, join(runs, [fit])
        run = world.run(partial(program, train=PEER_MODELS[model], settings=settings), X, y)
        return run.results[0], run
    except ProgramError as error:
        # What is wrong with the data or the settings is no fault of the program.
        if isinstance(error.__cause__, LabkitError):
            raise error.__cause__ from None
        raise


def _gathered(array):
    """Return an array of this process; chunks of a dask array may be sparse."""
    if not isinstance(array, da.Array):
        return array
    blocks, = dask.compute(*sharding.chunk_grid([array]), scheduler="synchronous")
    return sharding.concatenate(blocks)

"""Logistic regression over shards: what one shard answers, and who asks.

    drive   labels? counts? moments?   objective at w?   objective at w'?  ...   -> Fit
              |  ^                        |  ^
    Local     answers for its rows        loss and gradient, one pass over its X

The objective is that of Spark MLlib, with n rows, margins x.w + b and standardised x:

    1/n sum log loss + reg_param * (elastic_net_param * |w|_1 + (1-elastic_net_param)/2 * |w|_2^2)

Features are divided by their sample standard deviation and centred, which lets the optimiser
converge in fewer steps. That is done to the weights: (x - mean)/deviation . u + b is x . w + b'
with w = u/deviation and b' = b - mean . w, so that X stays as it is. The intercept is not
penalised, and a feature that never varies gets the weight 0.

Sources: Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models
via coordinate descent", J. Stat. Softw. 33, 2010; Meng et al., "MLlib: machine learning in
Apache Spark", JMLR 17, 2016.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from functools import partial

import numpy as np

from labkit.errors import ConfigurationError, DataError
from labkit.learning.lbfgs import minimize
from labkit.learning.log_loss import loss_and_gradient
from labkit.learning.moments import merge, moments


@dataclass(frozen=True)
class Settings:
    """What to train; the names and meanings of Spark MLlib's parameters."""

    reg_param: float = 0.0
    """Strength of the penalty, 0 or more."""

    elastic_net_param: float = 0.0
    """Share of the L1 norm in it, from 0 (ridge) to 1 (lasso)."""

    max_iter: int = 100
    """Steps of the optimiser, at most."""

    tol: float = 1e-6
    """End when no entry of the gradient (nats per standardised weight) is larger."""

    fit_intercept: bool = True
    """Whether there is an intercept; without one, features are not centred either."""

    standardization: bool = True
    """Whether the penalty is on the weights of standardised features, or of the original ones."""

    family: str = "auto"
    """"binomial" (two classes, one set of weights), "multinomial" (a set for each class), or
    "auto": binomial for two classes."""

    def __post_init__(self):
        _check("reg_param", self.reg_param, "a number, 0 or more", 0, math.inf)
        _check("elastic_net_param", self.elastic_net_param, "a number from 0 to 1", 0, 1)
        _check("max_iter", self.max_iter, "an integer, 0 or more", 0, math.inf, numbers.Integral)
        _check("tol", self.tol, "a number, 0 or more", 0, math.inf)
        if self.family not in ("auto", "binomial", "multinomial"):
            raise ConfigurationError("This family is not known.", got=repr(self.family),
                                     expected="'auto', 'binomial' or 'multinomial'",
                                     where="family=")


def _check(name, value, expected, least, most, kind=numbers.Real):
    if not (isinstance(value, kind) and least <= value <= most and value < math.inf):
        raise ConfigurationError("A setting cannot work.", expected=expected, got=repr(value),
                                 where=f"{name}=", remedy=f"give {name} as {expected}")


@dataclass(frozen=True)
class Fit:
    """What `drive` found, in the features' original scale."""

    classes: np.ndarray
    """The labels, sorted, shape (n_classes,)."""

    coef: np.ndarray
    """Shape (n_sets, n_features); one set for the binomial family: of class 1 against 0."""

    intercept: np.ndarray
    """Shape (n_sets,)."""

    n_iter: int
    """Steps taken."""

    n_evaluations: int
    """Passes over the data to evaluate the objective."""

    loss_history: np.ndarray
    """The objective, in nats a row, at the start and after each step, shape (n_iter + 1,)."""

    converged: bool
    """Whether the optimum was found within `max_iter` steps."""

    message: str
    """Why training ended."""


class Local:
    """One shard, and the answers it gives; combine them with the `op` in brackets.

    "labels"                      the distinct labels, sorted [np.union1d]
    "counts", classes             how many rows there are of each class [np.add]
    "moments"                     count, mean and squares of each feature [merge]
    "objective", (classes, w)     summed log loss, then its gradient, flat [np.add]

    w has shape (n_sets, n_features + 1), the intercept last.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n_rows, n_features)
        Neither changed nor copied.
    y : ndarray, shape (n_rows,)
        Labels: numbers or strings.

    Raises
    ------
    DataError
        If X and y differ in length.
    """

    def __init__(self, X, y):
        if X.shape[0] != len(y):
            raise DataError("X and y of a shard differ in length.", got=f"{len(y)} labels",
                            expected=f"{X.shape[0]}, one a row",
                            where="X and y of this worker",
                            remedy="cut both at the same rows: world.shard(X, y)")
        if X.dtype.kind not in "fiub":
            raise DataError("X holds something else than numbers.", expected="an array of numbers",
                            got=f"dtype {X.dtype}", where="X",
                            remedy="convert it, for example with X.astype(float)")
        self.X, self.y = X, y
        self._coded = None                  # (classes, each row's class), once asked

    def answer(self, question, value=None):
        """Return this shard's answer to one of the questions above."""
        if question == "labels":
            return _distinct(self.y)
        if question == "counts":
            return np.bincount(self._codes(value), minlength=len(value)).astype(float)
        if question == "moments":
            return moments(self.X)
        if question == "objective":
            classes, weights = value
            loss, gradient = loss_and_gradient(self.X, self._codes(classes), weights)
            return np.append(loss, gradient)
        raise ConfigurationError("A shard does not know this question.", got=repr(question),
                                 expected="labels, counts, moments or objective")

    def work(self, question):
        """Return what the answer costs, as `me.work` takes it; two classes are assumed."""
        if question in ("labels", "counts"):
            return dict(flops=len(self.y), nbytes=self.y.nbytes)
        stored = self.X.size                # of a sparse matrix: the values that are stored
        return dict(flops=4 * stored, nbytes=8 * stored)

    def _codes(self, classes):
        if self._coded is None or not np.array_equal(self._coded[0], classes):
            self._coded = classes, _codes_of(self.y, classes)
        return self._coded[1]


def _distinct(y):
    try:
        return np.unique(y)
    except TypeError as error:
        raise DataError("The labels cannot be sorted.", expected="all numbers, or all strings",
                        got=f"{type(y[0]).__name__} and others: {error}", where="y",
                        remedy="convert y, for example with y.astype(str)") from error


def _codes_of(y, classes):
    codes = np.searchsorted(classes, y)
    known = classes[np.minimum(codes, len(classes) - 1)] == y
    if not np.all(known):
        row = int(np.argmin(known))
        raise DataError("A label is none of the classes.", expected=f"one of {classes[:10]}",
                        got=y[row], where=f"y, row {row} of a worker's part, counted from 0",
                        remedy="take the classes from all rows: ask for the labels first")
    return codes


def drive(ask, settings):
    """Find the weights; the data is wherever `ask` finds it.

    Parameters
    ----------
    ask : callable
        ``ask(question, value=None, op=np.add)`` returns all shards' answers combined; the
        questions are those of `Local`.
    settings : Settings

    Returns
    -------
    Fit

    Raises
    ------
    DataError
        For one class only, NaN or infinity in X or y, labels that are not classes, and three
        classes or more with the binomial family.
    """
    classes = ask("labels", op=np.union1d)
    n_sets = _count_sets(classes, settings.family)
    counts = ask("counts", classes)
    space = _Space(ask("moments", op=merge), _curvature(counts), settings)

    def evaluate(u):
        u = u.reshape(n_sets, -1)
        answer = ask("objective", (classes, space.to_weights(u))) / space.n_rows
        return space.penalised(u, answer[0], answer[1:].reshape(u.shape))

    u0 = np.zeros((n_sets, len(space.mean) + 1))
    u0[:, -1] = _first_intercept(counts, n_sets) if settings.fit_intercept else 0.0
    best = minimize(evaluate, u0.ravel(), np.tile(space.l1, n_sets), settings.max_iter,
                    settings.tol)
    weights = _centred(space.to_weights(best.w.reshape(n_sets, -1)), settings)
    return Fit(classes, weights[:, :-1].copy(), weights[:, -1].copy(), best.n_iter,
               best.n_evaluations, np.array(best.history), best.converged, best.message)


def program(me, X, y, train, settings):
    """Train with one of the models for peers: what `world.run` takes.

    Here and not beside the estimator, because workers import the module that it comes from, and
    scikit-learn with the estimator's.

    Parameters
    ----------
    me : Peer
    X, y : array_like
        This peer's shard, as `Local` takes it.
    train : callable
        `train` of `labkit.models.peer_to_peer` or `labkit.models.master_worker`.
    settings : Settings

    Returns
    -------
    Fit
    """
    return train(me, Local(X, y), partial(drive, settings=settings))


class _Space:
    """The space in which the optimiser works, seen from the original one."""

    def __init__(self, found, curvature, settings):
        count, mean, squares = found
        if not np.all(np.isfinite(found)):
            column = int(np.flatnonzero(~np.isfinite(found).all(axis=0))[0])
            raise DataError("X holds NaN or infinity, or values too large for float64.",
                            expected="finite numbers", got=f"a mean of {mean[column]}",
                            where=f"column {column}, counted from 0",
                            remedy="drop these rows, or fill the gaps")
        self.n_rows = count[0]
        self.mean = mean if settings.fit_intercept else np.zeros_like(mean)
        self.fit_intercept = settings.fit_intercept
        varies = squares > 0
        deviation = np.sqrt(squares / max(self.n_rows - 1, 1))
        standard = np.divide(1.0, deviation, out=np.zeros_like(mean), where=varies)
        measured = varies if settings.standardization else standard
        l1 = settings.reg_param * settings.elastic_net_param * measured
        l2 = settings.reg_param * (1 - settings.elastic_net_param) * measured**2
        # A penalty that differs from weight to weight would slow the optimiser down: a unit
        # of its own for each weight makes the curvature about the same in all of them.
        unit = 1 / np.sqrt(1 + l2 / curvature)
        self.scale = standard * unit
        self.l1, self.l2 = np.append(l1 * unit, 0.0), np.append(l2 * unit**2, 0.0)

    def to_weights(self, u):
        """Return the weights on the original scale, shape (n_sets, n_features + 1)."""
        W = u[:, :-1] * self.scale
        return np.column_stack([W, u[:, -1] - W @ self.mean])

    def penalised(self, u, loss, gradient):
        """Return the objective without its L1 part, and its gradient by `u`, flat."""
        by_intercept = gradient[:, -1:]
        by_u = (gradient[:, :-1] - by_intercept * self.mean) * self.scale
        gradient = np.hstack([by_u, by_intercept * self.fit_intercept]) + self.l2 * u
        return loss + 0.5 * np.sum(self.l2 * u**2), gradient.ravel()


def _count_sets(classes, family):
    if classes.dtype.kind == "f" and not (np.isfinite(classes).all()
                                          and np.array_equal(classes, np.round(classes))):
        raise DataError("Unknown label type: y holds fractions or NaN or infinity, which are "
                        "not classes.", expected="whole numbers or strings", got=f"{classes[:5]}",
                        where="y", remedy="cut y into classes, or use a regression")
    if len(classes) < 2:
        raise DataError("There is only one class in y.", expected="two classes or more",
                        got=f"{classes}", where="y",
                        remedy="add rows of another class; or were the rows filtered?")
    if family == "binomial" and len(classes) > 2:
        raise DataError("The binomial family has two classes.", got=f"{len(classes)} classes",
                        expected=2, where="y", remedy="use family='multinomial' or 'auto'")
    return len(classes) if family == "multinomial" or len(classes) > 2 else 1


def _curvature(counts):
    """How much the loss bends along a standardised weight while all weights are zero."""
    share = counts / counts.sum()
    return np.mean(share * (1 - share))


def _first_intercept(counts, n_sets):
    """The best intercepts while all other weights are zero: the logarithms of the odds."""
    logs = np.log(counts)
    return logs[1] - logs[0] if n_sets == 1 else logs - logs.mean()


def _centred(weights, settings):
    """Choose among equal optima as Spark does: sets that sum to zero where nothing else says."""
    if len(weights) == 1:
        return weights
    free = np.zeros(weights.shape[1], bool)
    free[:-1] = settings.reg_param == 0
    free[-1] = settings.fit_intercept
    return weights - weights.mean(axis=0) * free

"""A fitted model as one .npz file: arrays and JSON, no pickle, whole or not there at all.

    format     "labkit LogisticRegression 1"      settings   JSON: the estimator's parameters
    classes, coef, intercept, loss_history        facts      JSON: n_iter, converged ...

A model may come from anyone: see `labkit.safe_files` for how it is written and read.
"""

from __future__ import annotations

import json
import os

import numpy as np

from labkit import safe_files
from labkit.errors import DataError

FORMAT = "labkit LogisticRegression 1"
ARRAYS = ("classes", "coef", "intercept", "loss_history")
REMEDY = "save the model again"
FACTS = ("n_iter", "n_evaluations", "converged")


def write(model, path):
    """Write a fitted estimator.

    Parameters
    ----------
    model : LogisticRegression
    path : str or path-like
        The file's name, exactly; a file of that name is replaced.

    Raises
    ------
    DataError
        If labels are neither numbers nor strings.
    OSError
        If the file cannot be written.
    """
    settings = {name: _plain(value) for name, value in model.get_params(deep=False).items()
                if name != "world"}
    facts = {name: _plain(getattr(model, name + "_")) for name in FACTS}
    arrays = {name: getattr(model, name + "_") for name in ARRAYS}
    arrays["classes"] = _without_objects(arrays["classes"])
    if hasattr(model, "feature_names_in_"):
        arrays["feature_names_in"] = _without_objects(model.feature_names_in_)
    texts = {"format": FORMAT, "settings": json.dumps(settings), "facts": json.dumps(facts)}
    arrays.update((name, np.array(text)) for name, text in texts.items())
    with safe_files.replacing(path) as (file,):
        safe_files.write_npz(file, arrays)


def read(cls, path):
    """Return the estimator of class `cls` that `write` wrote.

    Raises
    ------
    DataError
        If the file is not there, not whole, of another format, or needs pickle.
    """
    arrays = _arrays(path)
    if (found := str(arrays.get("format", "none"))) != FORMAT:
        raise _error(path, "This is not a model of this version.", FORMAT, found,
                     "load it with the version of labkit that saved it")
    missing = {"settings", "facts", *ARRAYS} - set(arrays)
    if missing:
        raise _error(path, "Arrays are missing from this model.", ", ".join(ARRAYS),
                     "no " + ", ".join(sorted(missing)))
    _check_shapes(path, arrays)
    try:
        model = cls(**json.loads(str(arrays["settings"])))
        facts = json.loads(str(arrays["facts"]))
        for name in FACTS:
            setattr(model, name + "_", facts[name])
    except (ValueError, TypeError, KeyError) as error:
        raise _error(path, "The settings in this model cannot be read.", "JSON of known names",
                     error) from error
    for name in ARRAYS:
        setattr(model, name + "_", arrays[name])
    if "feature_names_in" in arrays:
        model.feature_names_in_ = arrays["feature_names_in"].astype(object)
    model.n_features_in_ = model.coef_.shape[1]
    model.run_ = None
    return model


def _arrays(path):
    """Return all arrays of an .npz file."""
    try:
        with open(path, "rb") as file:
            return safe_files.read_npz(file, REMEDY)
    except OSError as error:
        raise _error(path, "There is no such model, or nobody may read it.",
                     "a file that `save` wrote", error, "check the name") from error


def _check_shapes(path, arrays):
    classes, coef, intercept = (arrays[name] for name in ARRAYS[:3])
    n_sets = {1, 2} if len(np.atleast_1d(classes)) == 2 else {len(np.atleast_1d(classes))}
    numeric = all(a.dtype.kind == "f" and np.isfinite(a).all() for a in (coef, intercept))
    if not (numeric and classes.ndim == 1 and coef.ndim == 2 and len(coef) in n_sets
            and intercept.shape == coef.shape[:1]):
        raise _error(path, "The arrays in this model do not fit together.",
                     "finite weights, a set for each class, an intercept for each set",
                     f"classes {classes.shape}, coef {coef.shape}, intercept {intercept.shape}")


def _error(path, what, expected, got, remedy=REMEDY):
    return DataError(what, expected=expected, got=got, where=os.fspath(path), remedy=remedy)


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _without_objects(labels):
    if labels.dtype != object:
        return labels
    if not all(isinstance(label, str) for label in labels):
        raise DataError("These labels cannot be saved without pickle.",
                        expected="numbers or strings", got=f"{labels[:5]}",
                        where="classes_ or feature_names_in_",
                        remedy="train with labels of one of these types")
    return labels.astype(str)

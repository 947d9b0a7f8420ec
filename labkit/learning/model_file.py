"""A fitted model as one .npz file: arrays and JSON, no pickle, whole or not there at all.

    format     "labkit LogisticRegression 1"      settings   JSON: the estimator's parameters
    classes, coef, intercept, loss_history        facts      JSON: n_iter, converged ...

Reading runs no code from the file, so a model may come from anyone. Writing goes to a temporary
file beside the target, which replaces it once it is safely on disk.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import zipfile
from pathlib import Path

import numpy as np

from labkit.errors import DataError

FORMAT = "labkit LogisticRegression 1"
ARRAYS = ("classes", "coef", "intercept", "loss_history")
MAX_EXPANSION = 100          # times: deflate makes a thousand of what holds nothing but zeros
FREE_BYTES = 10_000_000      # that an archive may unpack to, however small it is
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
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, format=FORMAT, settings=json.dumps(settings),
                     facts=json.dumps(facts), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


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
    # np.load returns a member that is no array as its bytes.
    found = {name for name, array in arrays.items() if isinstance(array, np.ndarray)}
    missing = {"settings", "facts", *ARRAYS} - found
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
    if not os.path.isfile(path):
        raise _error(path, "There is no such model.", "a file that `save` wrote", "no file",
                     "check the name")
    if not zipfile.is_zipfile(path):
        raise _error(path, "This file is not a saved model, or not all of it.",
                     "an .npz file", "something else")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except DataError:
        raise
    except Exception as error:         # zipfile, zlib and NumPy each have their own for damage
        what = ("This file needs pickle, which could run code of its own."
                if "allow_pickle" in str(error) else "This file is damaged.")
        raise _error(path, what, "arrays of numbers and text", error) from error


def _check_members(path, archive):
    """Refuse what unpacking would regret, before anything is unpacked."""
    members = archive.infolist()
    unpacked, packed = (sum(getattr(one, size) for one in members)
                        for size in ("file_size", "compress_size"))
    if unpacked > MAX_EXPANSION * packed and unpacked > FREE_BYTES:
        raise _error(path, "This archive would expand beyond all measure.",
                     f"at most {MAX_EXPANSION} times its size", f"{unpacked:,} bytes in "
                     f"{packed:,}", "do not use it: `save` does not compress at all")
    for member in members:
        name = member.filename
        if ".." in Path(name).parts or name.startswith(("/", "\\")) or ":" in name:
            raise _error(path, "This archive holds a file that would lie outside of it.",
                         "names of arrays", repr(name), "do not use or unpack it")
        if name.endswith(".npy"):
            _check_header(path, archive, member)


def _check_header(path, archive, member):
    """Refuse an array whose header claims more, or less, than there is of it."""
    with archive.open(member) as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            return                       # no array, and missing then
        version = tuple(file.read(2))
        read = (np.lib.format.read_array_header_1_0 if version == (1, 0) else
                np.lib.format.read_array_header_2_0)
        shape, _, dtype = read(file)
        claimed, there = dtype.itemsize * math.prod(shape), member.file_size - file.tell()
    if claimed != there and not dtype.hasobject:
        raise _error(path, "This file is damaged.", f"{claimed:,} bytes of {member.filename}, "
                     f"as its header claims: {dtype} of shape {shape}", f"{there:,} bytes")


def _check_shapes(path, arrays):
    classes, coef, intercept = (arrays[name] for name in ARRAYS[:3])
    n_sets = {1, 2} if len(np.atleast_1d(classes)) == 2 else {len(np.atleast_1d(classes))}
    numeric = all(a.dtype.kind == "f" and np.isfinite(a).all() for a in (coef, intercept))
    if not (numeric and classes.ndim == 1 and coef.ndim == 2 and len(coef) in n_sets
            and intercept.shape == coef.shape[:1]):
        raise _error(path, "The arrays in this model do not fit together.",
                     "finite weights, a set for each class, an intercept for each set",
                     f"classes {classes.shape}, coef {coef.shape}, intercept {intercept.shape}")


def _error(path, what, expected, got, remedy="save the model again"):
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

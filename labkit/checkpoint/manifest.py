"""A checkpoint's manifest: the promise against which its arrays are read.

    {"format": 1, "number": 123, "labkit": "0.1", "sha256": of the .npz,
     "arrays": {"w": {"dtype": "<f8", "shape": [5, 3], "kind": "array"},
                "step": {"dtype": "<i8", "shape": [], "kind": "int"}},
     "digest": SHA-256 of all the rest}

An .npz file knows arrays only; the kind says what Python had. The digest sees to it that no
damage turns one kind into another.
"""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np

from labkit import wire
from labkit.errors import CheckpointError, ConfigurationError
from labkit.safe_files import described

FORMAT = 1
KINDS = {"array": lambda array: array, "scalar": lambda array: array[()],
         "bool": bool, "int": int, "float": float}
REMEDY = "restore it from a copy"


def arrays_of(state):
    """Return a state as arrays, and the kind of each.

    Raises
    ------
    ConfigurationError
        If something cannot be saved without pickle, or has no simple name.
    """
    arrays, kinds = {}, {}
    for name, value in state.items():
        if not (isinstance(name, str) and re.fullmatch(r"\w+", name)):
            raise ConfigurationError("A state has simple names.", expected="letters, digits and _",
                                     got=repr(name), where="state",
                                     remedy="commit it under another name")
        kind = _kind_of(value)
        array = np.asarray(value if kind else None)              # None becomes an object
        # Some dtypes, bfloat16 for one, would come back as bytes without a meaning.
        if array.dtype.hasobject or np.dtype(array.dtype.str) != array.dtype:
            raise ConfigurationError(
                "This cannot be saved without pickle.", where=f"state[{name!r}]",
                expected="an array of numbers or text, or a number of at most 64 bits",
                got=f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip(),
                remedy="commit the numbers and arrays it is made of")
        arrays[name], kinds[name] = array, kind
    return arrays, kinds


def _kind_of(value):
    if wire.is_plain(value):
        return "array"
    if wire.is_number(value):
        return "scalar"
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "")


def state_of(arrays, manifest):
    """Return the state that `arrays_of` took apart."""
    return {name: KINDS[entry["kind"]](arrays[name]) for name, entry in manifest["arrays"].items()}


def promised_by(manifest):
    """Return what `labkit.safe_files.read_npz` is to find."""
    return {name: (entry["dtype"], tuple(entry["shape"]))
            for name, entry in manifest["arrays"].items()}


def manifest_of(number, arrays, kinds, sha256):
    """Return a manifest as bytes."""
    entries = {name: dict(zip(("dtype", "shape"), described(array)), kind=kinds[name])
               for name, array in arrays.items()}
    manifest = {"format": FORMAT, "number": number, "labkit": _version(), "sha256": sha256,
                "arrays": entries}
    return json.dumps({**manifest, "digest": _digest(manifest)}, indent=1).encode()


def read_manifest(file, number):
    """Return the manifest in a file, or raise CheckpointError if it is not that of `number`."""
    manifest = json.load(file)
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise damaged(file, "This is no manifest of a checkpoint.", "a format", "none")
    if manifest["format"] != FORMAT:
        raise damaged(file, "This checkpoint is of another version.", f"format {FORMAT}",
                      f"format {str(manifest['format'])[:40]}, "
                      f"by labkit {str(manifest.get('labkit'))[:40]}",
                      "load it with the version of labkit that saved it")
    digest = manifest.pop("digest", None)
    if digest != _digest(manifest):
        raise damaged(file, "This manifest has been changed.", _digest(manifest), digest)
    if manifest["number"] != number:
        raise damaged(file, "This manifest is of another checkpoint.", number, manifest["number"])
    return manifest


def _digest(manifest):
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _version():
    import labkit  # not at the top: it may be what imports this module

    return labkit.__version__


def damaged(file, what, expected, got, remedy=REMEDY):
    """Return the error of a file that is not what it should be."""
    return CheckpointError(what, expected=expected, got=got, where=file.name, remedy=remedy)

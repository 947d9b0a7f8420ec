"""Records in one open file: a run or a sweep, with the machine and the versions that made it.

    run.labkit.npz                an .npz file: a zip archive of NumPy arrays, not compressed
      record.npy                  UTF-8 text, as bytes: the record as JSON
      array-0.npy, array-1.npy    what the JSON refers to: results, and the columns of events

    {"format": "labkit 1", "environment": {...}, "record": {"$": "Run", "seconds": 1.5, ...}}

`numpy.load` and any JSON reader open it without labkit. In the JSON an object with "$" is one of
labkit's records, by the name of its class; the others are

    {"$": "array", "name": "array-0"}         an array       {"$": "tuple", "items": [...]}
    {"$": "dict", "items": [[key, value]]}    keys that are no text
    {"$": "number", "value": "nan"}           nan, inf, -inf, which JSON lacks
    {"$": "complex", "items": [re, im]}       {"$": "bytes", "value": "hexadecimal"}
    {"$": "Events", "kinds": [...], "labels": [...], "columns": {"kind": array, ...}}
                                              kind and label are positions in these lists

Nothing is pickled, so a file from a stranger runs no code.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os

import numpy as np

from labkit.errors import ConfigurationError, DataError
from labkit.network import Machine, Network
from labkit.records.environment import Environment, environment
from labkit.records.events import Event, Events
from labkit.records.run import Run
from labkit.records.sweep import Measurement, Sweep
from labkit.records.world import Generation, WorldInfo
from labkit.safe_files import read_npz, replacing, write_npz

FORMAT = "labkit 1"
CLASSES = {cls.__name__: cls for cls in (Run, Sweep, Measurement, WorldInfo, Generation, Network,
                                         Machine, Environment)}
WORDS = ("kind", "label")                            # columns of events that are text
TYPES = {"rank": np.int32, "start_s": np.float64, "end_s": np.float64, "peer": np.int32,
         "nbytes": np.int64, "step": np.int64}
REMEDY = "save it again from the run; files of other programs cannot be read"


def save(record, path):
    """Write a Run or a Sweep to one file.

    Parameters
    ----------
    record : Run or Sweep
        Results may be arrays, numbers, text, and lists, tuples and dicts of these.
    path : path-like
        Its name should end in .npz. What is there is replaced, once all is written.

    Raises
    ------
    ConfigurationError
        If the record holds an object of another kind.
    """
    arrays = {}
    tree = {"format": FORMAT, "environment": _encode(environment(), arrays, "environment"),
            "record": _encode(record, arrays, type(record).__name__)}
    text = json.dumps(tree, allow_nan=False).encode()
    with replacing(path) as (file,):
        write_npz(file, {"record": np.frombuffer(text, np.uint8), **arrays})


def load(path):
    """Return the Run or the Sweep in a file.

    Raises
    ------
    FileNotFoundError
    DataError
        If the file is damaged, of a later format, or no record.
    """
    return _read(path, "record", (Run, Sweep))


def saved_in(path):
    """Return the `Environment` in which a file was saved; errors as those of `load`."""
    return _read(path, "environment", Environment)


def _read(path, what, kinds):
    with open(path, "rb") as file:
        arrays = read_npz(file, REMEDY)
    try:
        tree = json.loads(bytes(arrays["record"]))
        found = tree["format"]
        record = _decode(tree[what], arrays) if found == FORMAT else None
    except Exception as error:           # a tree of any shape may have been written there
        raise DataError("This file holds no record of labkit.", where=os.fspath(path),
                        expected=f"a record in the format {FORMAT!r}", remedy=REMEDY,
                        got=f"{type(error).__name__}: {error}") from error
    if not isinstance(record, kinds):
        raise DataError("This file holds another kind of record.", where=os.fspath(path),
                        expected=f"a Run or a Sweep in the format {FORMAT!r}", got=repr(found),
                        remedy="open it with the version of labkit that wrote it")
    return record


# ---- to JSON


def _encode(value, arrays, where):
    """Return a value as JSON's types; its arrays go to `arrays`."""
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        return _keep(np.asarray(value), arrays)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$": "number", "value": str(value)}
    if isinstance(value, complex):
        return {"$": "complex", "items": _encode([value.real, value.imag], arrays, where)}
    if isinstance(value, bytes):
        return {"$": "bytes", "value": value.hex()}
    if isinstance(value, Events):
        return _encode_events(value, arrays)
    if type(value) in CLASSES.values():
        return {"$": type(value).__name__,
                **{field.name: _encode(getattr(value, field.name), arrays, f"{where}.{field.name}")
                   for field in dataclasses.fields(value)}}
    return _encode_container(value, arrays, where)


def _encode_container(value, arrays, where):
    if isinstance(value, (list, tuple)):
        items = [_encode(one, arrays, f"{where}[{i}]") for i, one in enumerate(value)]
        return items if isinstance(value, list) else {"$": "tuple", "items": items}
    if isinstance(value, dict):
        items = [(_encode(key, arrays, f"a key of {where}"),
                  _encode(one, arrays, f"{where}[{key!r}]")) for key, one in value.items()]
        if all(isinstance(key, str) for key in value) and "$" not in value:
            return dict(items)
        return {"$": "dict", "items": items}
    raise ConfigurationError(
        "This cannot be saved.", got=type(value).__name__, where=where,
        expected="arrays, numbers, text, and lists, tuples and dicts of them",
        remedy="return such values from the program, or save dataclasses.replace(run, results=[])")


def _keep(array, arrays):
    name = f"array-{len(arrays)}"
    arrays[name] = array
    return {"$": "array", "name": name}


def _encode_events(events, arrays):
    rows = list(zip(*events)) or [()] * len(Event._fields)
    columns = dict(zip(Event._fields, rows))
    tree = {"$": "Events", "columns": {}}
    for name, values in columns.items():
        if name in WORDS:
            words = list(dict.fromkeys(values))
            place = {word: position for position, word in enumerate(words)}
            tree[f"{name}s"] = words
            values = np.array([place[word] for word in values], np.int32)
        tree["columns"][name] = _keep(np.array(values, TYPES.get(name, np.int32)), arrays)
    return tree


# ---- from JSON


def _decode(tree, arrays):
    if isinstance(tree, list):
        return [_decode(one, arrays) for one in tree]
    if not isinstance(tree, dict):
        return tree
    if "$" not in tree:
        return {key: _decode(one, arrays) for key, one in tree.items()}
    kind = tree["$"]
    if kind in CLASSES:
        return CLASSES[kind](**{name: _decode(one, arrays) for name, one in tree.items()
                                if name != "$"})
    return _DECODERS[kind](tree, arrays)


def _decode_events(tree, arrays):
    columns = {name: arrays[one["name"]].tolist() for name, one in tree["columns"].items()}
    for name in WORDS:
        columns[name] = [tree[f"{name}s"][position] for position in columns[name]]
    return Events(list(zip(*[columns[name] for name in Event._fields], strict=True)))


def _decode_array(tree, arrays):
    array = arrays[tree["name"]]
    return array if array.ndim else array[()]


_DECODERS = {
    "array": _decode_array,
    "tuple": lambda tree, arrays: tuple(_decode(tree["items"], arrays)),
    "dict": lambda tree, arrays: {_decode(key, arrays): _decode(value, arrays)
                                  for key, value in tree["items"]},
    "number": lambda tree, arrays: float(tree["value"]),
    "complex": lambda tree, arrays: complex(*_decode(tree["items"], arrays)),
    "bytes": lambda tree, arrays: bytes.fromhex(tree["value"]),
    "Events": _decode_events,
}

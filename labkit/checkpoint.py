"""Checkpoints on disk: what was committed last, whole, or the one before, and never a pickle.

    step-000120.npz     step-000120.json      an older generation, kept in case
    step-000123.npz     step-000123.json      arrays, and the manifest that vouches for them
    step-000126.npz.5f3a90c1.part             its writer was killed; swept by the next save

    write .npz.part, fsync -> write .json.part, fsync -> rename .npz -> rename .json
                                                                        ^ from here on it counts

A generation is there once its manifest is. A writer that is killed earlier leaves the generations
before as they were. The reader trusts nothing: the manifest has a digest of itself, and the size
and SHA-256 of the .npz; each array is compared with what was promised before memory is taken for
it. Only a save under a number that is there already has a gap, between its two renames: then the
generation before counts.

Sources: Pillai et al., "All file systems are not created equal", OSDI 2014, for the order of
writes; Daly, FGCS 22, 2006, for how often; NumPy's `numpy.lib.format` for the arrays.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import operator
import os
import re
import secrets
import shutil
import statistics
import time
import warnings
import zipfile
from dataclasses import dataclass

import numpy as np

from labkit import wire
from labkit.errors import CheckpointError, ConfigurationError, LabkitError, StorageFull
from labkit.laws import daly

FORMAT = 1
MARGIN = 16 * 2**20      # bytes of the disk that a checkpoint leaves to others
RECENT = 5               # saves whose mean is the cost of one
FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
KINDS = {"array": lambda array: array, "scalar": lambda array: array[()],
         "bool": bool, "int": int, "float": float}


class CheckpointWarning(UserWarning):
    """The newest checkpoint is bad, and an older one is used."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint that has been read."""

    number: int
    """The commit's number."""

    arrays: dict
    """The state: arrays and numbers, by name."""


class Checkpoints:
    """Where and when the state of a run is saved.

    Parameters
    ----------
    folder : str or path-like
        Where the files are; made by the first save. One run writes there at a time.
    every_s : float, optional
        Save when so many seconds have passed since the last save; without it, at every offer.
    mtbf_s : float, optional
        Instead: the mean time between failures, in seconds. The interval is then Daly's optimum
        for what this object's last saves took.
    keep : int
        How many generations stay, 1 or more. With 1, there is none to fall back to.

    Raises
    ------
    ConfigurationError
        If both times are given, or a value makes no sense.
    """

    def __init__(self, folder, every_s=None, mtbf_s=None, keep=2):
        if every_s is not None and mtbf_s is not None:
            raise ConfigurationError("Checkpoints follow one rule.", expected="every_s or mtbf_s",
                                     got="both", where="Checkpoints", remedy="leave one out")
        _check("every_s", every_s, lambda v: v is None or 0 <= v < math.inf, "seconds, 0 or more")
        _check("mtbf_s", mtbf_s, lambda v: v is None or 0 < v < math.inf, "seconds, more than 0")
        _check("keep", keep, lambda v: operator.index(v) >= 1, "a whole number, 1 or more")
        self.folder = os.path.abspath(folder)       # a worker may have another working directory
        self.every_s, self.mtbf_s, self.keep = every_s, mtbf_s, keep
        self._saved_s = None
        self._costs_s = []
        self._bad = set()                           # numbers that `load` could not read

    @property
    def interval_s(self):
        """Seconds from one checkpoint to the next; 0 while it is not known what one costs."""
        if self.mtbf_s is None:
            return self.every_s or 0.0
        return daly(statistics.fmean(self._costs_s), self.mtbf_s) if self._costs_s else 0.0

    def offer(self, number, state, now_s):
        """Save the state if a checkpoint is due: the first always is.

        Parameters
        ----------
        number : int
            The commit's number.
        state : dict of str to ndarray or number
        now_s : float
            Seconds on the run's clock; one that goes backwards has begun anew.

        Returns
        -------
        bool
            Whether it was saved; errors are those of `save`.
        """
        since_s = math.inf if self._saved_s is None else now_s - self._saved_s
        if 0 <= since_s < self.interval_s:
            return False
        self.save(number, state)
        self._saved_s = now_s
        return True

    def save(self, number, state):
        """Save a state, and remove generations that are too old.

        Parameters
        ----------
        number : int
            The commit's number, 0 or more; a checkpoint of this number is replaced.
        state : dict of str to ndarray or number
            Names that could be variables; arrays of numbers or text, Python's and NumPy's numbers.

        Raises
        ------
        ConfigurationError
            If something in the state cannot be saved.
        StorageFull
            If there is no room. What was saved before is still there.
        CheckpointError
            If the folder cannot be written to.
        """
        began = time.perf_counter()
        _check("number", number, lambda v: operator.index(v) >= 0, "a whole number, 0 or more")
        arrays, entries = _checked(state)
        with _folder_errors(self.folder):
            os.makedirs(self.folder, exist_ok=True)
            for name in os.listdir(self.folder):
                if re.fullmatch(r"step-.*\.part", name):
                    self._remove(name)
            _check_room(self.folder, arrays)
            _write(self.folder, operator.index(number), arrays, entries)
            self._bad.discard(number)
            self._prune(number)
        self._costs_s = [*self._costs_s[1 - RECENT:], time.perf_counter() - began]

    def load(self):
        """Return the newest good checkpoint; None if there is none at all.

        Returns
        -------
        Saved or None

        Raises
        ------
        CheckpointError
            If there are some and none is good.

        Warns
        -----
        CheckpointWarning
            For each bad one that is newer than the one returned.
        """
        with _folder_errors(self.folder):
            numbers = sorted((n for n, name in _files(self.folder) if name.endswith(".json")),
                             reverse=True)
        bad = {}
        for number in numbers:
            try:
                saved = _read(self.folder, number)
            except CheckpointError as error:
                bad[number] = error
                continue
            instead = f"generation {number}, {_path(self.folder, number, 'npz')}"
            for error in bad.values():
                text = f"{error}\n  used instead: {instead}"
                warnings.warn(text, CheckpointWarning, stacklevel=2)
            self._bad = set(bad)
            return saved
        if not bad:
            return None
        raise CheckpointError(
            "There are checkpoints, and none of them is good.", where=self.folder,
            expected="at least one whole generation",
            got="; ".join(f"{error.where}: {error.what}" for error in bad.values()),
            remedy="restore the folder from a copy, or name an empty one to begin anew",
        ) from bad[numbers[0]]

    def _prune(self, number):
        """Remove what is older than the generations to keep, and data without a manifest."""
        files = [(n, name) for n, name in _files(self.folder) if n <= number]
        whole = sorted(n for n, name in files if name.endswith(".json") and n not in self._bad)
        for n, name in files:
            if n not in whole[-self.keep:]:
                self._remove(name)

    def _remove(self, name):
        with contextlib.suppress(OSError):          # it is only in the way
            os.unlink(os.path.join(self.folder, name))

    def __repr__(self):
        given = {"every_s": self.every_s, "mtbf_s": self.mtbf_s, "keep": self.keep}
        return f"Checkpoints({self.folder!r}" + "".join(
            f", {name}={value!r}" for name, value in given.items() if value is not None) + ")"


def _check(name, value, fits, expected):
    try:
        good = fits(value) and not isinstance(value, bool)
    except (TypeError, ValueError):                 # a text, an array
        good = False
    if not good:
        raise ConfigurationError("Checkpoints cannot be like this.", expected=expected,
                                 got=repr(value), where=f"{name}=")


def _path(folder, number, suffix):
    return os.path.join(folder, f"step-{number:06d}.{suffix}")


def _files(folder):
    """Return `(number, name)` of all files of generations; a manifest comes before its data."""
    names = sorted(os.listdir(folder)) if os.path.lexists(folder) else []
    found = [(re.fullmatch(r"step-([0-9]{6,})\.(json|npz)", name), name) for name in names]
    return [(int(match[1]), name) for match, name in found
            if match and name == f"step-{int(match[1]):06d}.{match[2]}"]


@contextlib.contextmanager
def _folder_errors(folder):
    try:
        yield
    except LabkitError:
        raise
    except OSError as error:
        if error.errno in FULL:
            raise _full(folder, "room for the next checkpoint", f"{error}, ") from error
        raise CheckpointError(
            "The folder of checkpoints cannot be used.", got=error, where=folder,
            expected="a folder that can be read and written",
            remedy="check its name, its permissions and who else writes there") from error


def _full(folder, expected, got=""):
    return StorageFull("There is no room for a checkpoint.", where=folder, expected=expected,
                       got=f"{got}{_free(folder)} bytes free",
                       remedy="make room there, keep fewer generations, or name another folder; "
                              "what was saved before is still there")


def _free(folder):
    while not os.path.isdir(folder):                # making it may be what failed
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


# ---- writing


def _checked(state):
    """Return the arrays to write, and what the manifest says of each."""
    arrays, entries = {}, {}
    for name, value in state.items():
        kind = _kind_of(value)
        array = np.asarray(value if kind else None)              # None becomes an object
        # Some dtypes, bfloat16 for one, would come back as bytes without a meaning.
        if array.dtype.hasobject or np.dtype(array.dtype.str) != array.dtype:
            raise ConfigurationError(
                "This cannot be saved without pickle.", where=f"state[{name!r}]",
                expected="an array of numbers or text, or a number of at most 64 bits",
                got=f"{type(value).__name__} {getattr(value, 'dtype', '')}".strip(),
                remedy="commit the numbers and arrays it is made of")
        if not (isinstance(name, str) and name.isidentifier()):
            raise ConfigurationError("A state has names that could be variables.",
                                     expected="letters, digits and _", got=repr(name),
                                     where="state", remedy="commit it under another name")
        arrays[name] = array
        entries[name] = {"shape": list(array.shape), "dtype": array.dtype.str, "kind": kind}
    return arrays, entries


def _kind_of(value):
    if wire.is_plain(value):
        return "array"
    if wire.is_number(value):
        return "scalar"
    return {bool: "bool", int: "int", float: "float"}.get(type(value), "")


def _check_room(folder, arrays):
    need = sum(array.nbytes + 1024 for array in arrays.values()) + MARGIN
    if _free(folder) < need:
        raise _full(folder, f"{need} bytes, with a margin of {MARGIN}")


def _write(folder, number, arrays, entries):
    paths = [_path(folder, number, suffix) for suffix in ("npz", "json")]
    mark = secrets.token_hex(4)
    parts = [f"{path}.{mark}.part" for path in paths]
    try:
        with open(parts[0], "x+b") as file:
            _write_arrays(file, arrays)
            size = _sync(file)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        manifest = {"format": FORMAT, "number": number, "arrays": entries, "size": size,
                    "sha256": sha256, "labkit": _version()}
        with open(parts[1], "xb") as file:
            file.write(json.dumps({**manifest, "digest": _digest(manifest)}, indent=1).encode())
            _sync(file)
        for part, path in zip(parts, paths):        # the manifest last
            os.replace(part, path)
            _sync_folder(folder)
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                os.unlink(part)


def _write_arrays(file, arrays):
    # numpy.savez would do the same, but for states with the names "file" and "allow_pickle".
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def _sync(file):
    file.flush()
    os.fsync(file.fileno())
    return os.fstat(file.fileno()).st_size


def _sync_folder(folder):
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(manifest):
    """Return the digest of all the manifest says: a flipped bit must not change a kind."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _version():
    import labkit  # not at the top: it imports this module

    return labkit.__version__


# ---- reading


def _read(folder, number):
    """Return a generation, or raise CheckpointError that says which file is bad, and why."""
    with _reading(_path(folder, number, "json")) as file:
        manifest = _manifest(file, number)
    with _reading(_path(folder, number, "npz")) as file:
        size = os.fstat(file.fileno()).st_size
        if size != manifest["size"]:
            raise _error(file, "This checkpoint has another length.", manifest["size"], size)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != manifest["sha256"]:
            raise _error(file, "This checkpoint has been changed.", manifest["sha256"], sha256)
        return Saved(number, _arrays(file, manifest))


@contextlib.contextmanager
def _reading(path):
    try:
        with open(path, "rb") as file:
            yield file
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:         # json, zipfile and NumPy each have their own for damage
        raise CheckpointError("This file of a checkpoint cannot be read.", where=path,
                              expected="a file that `save` wrote", remedy="restore it from a copy",
                              got=f"{type(error).__name__}: {error}") from error


def _manifest(file, number):
    manifest = json.load(file)
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise _error(file, "This is no manifest of a checkpoint.", "a format", "none")
    if manifest["format"] != FORMAT:
        raise _error(file, "This checkpoint is of another version.", f"format {FORMAT}",
                     f"format {str(manifest['format'])[:40]}, "
                     f"by labkit {str(manifest.get('labkit'))[:40]}",
                     "load it with the version of labkit that saved it")
    digest = manifest.pop("digest", None)
    if digest != _digest(manifest):
        raise _error(file, "This manifest has been changed.", _digest(manifest), digest)
    if manifest["number"] != number:
        raise _error(file, "This manifest is of another checkpoint.", number, manifest["number"])
    return manifest


def _arrays(file, manifest):
    """Return the values in an .npz file, if it holds what was promised and not a byte more."""
    entries = manifest["arrays"]
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        found, promised = sorted(m.filename for m in members), sorted(f"{n}.npy" for n in entries)
        if found != promised or not all(name.isidentifier() for name in entries):
            raise _error(file, "This checkpoint holds other arrays.", ", ".join(promised)[:200],
                         ", ".join(found)[:200])
        expanded = sum(m.file_size for m in members)
        if expanded > manifest["size"] or any(m.compress_type for m in members):
            raise _error(file, "This checkpoint would expand.", "arrays that are not compressed, "
                         f"{manifest['size']} bytes at most", f"{expanded} bytes")
        return {m.filename.removesuffix(".npy"): _value(file, archive, m, entries) for m in members}


def _value(file, archive, member, entries):
    """Return one value; its header is checked before memory is taken for it."""
    entry = entries[member.filename.removesuffix(".npy")]
    with archive.open(member) as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        nbytes = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise _error(file, "This checkpoint needs pickle, which could run code of its own.",
                         "arrays of numbers and text", f"{member.filename}: {dtype}")
        if [list(shape), dtype.str] != [entry["shape"], entry["dtype"]]:
            raise _error(file, "An array is not as promised.",
                         f"{entry['dtype']} {entry['shape']}", f"{dtype.str} {list(shape)}")
        if stream.tell() + nbytes != member.file_size:
            raise _error(file, "An array has another length.", f"{nbytes} bytes",
                         f"{member.file_size - stream.tell()} bytes in {member.filename}")
        stream.seek(0)
        return KINDS[entry["kind"]](np.lib.format.read_array(stream, allow_pickle=False))


def _error(file, what, expected, got, remedy="restore it from a copy"):
    return CheckpointError(what, expected=expected, got=got, where=file.name, remedy=remedy)

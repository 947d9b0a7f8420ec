"""The two files of a generation: written together, read with suspicion, named by a number.

    write   state -> arrays -> .npz, its SHA-256 -> .json          both on disk, then both named
    read    .json -> is it whole? -> .npz -> the SHA-256? -> arrays as promised -> state
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass

from labkit import safe_files
from labkit.checkpoint import manifest
from labkit.errors import CheckpointError, LabkitError

WHAT = "a checkpoint"
ROOM = ("make room there, keep fewer generations, or name another folder; what was saved before is "
        "still there")



@dataclass(frozen=True)
class Saved:
    """A checkpoint that has been read."""

    number: int
    """The commit's number."""

    arrays: dict
    """The state: arrays and numbers, by name."""


def path_of(folder, number, suffix):
    """Return the name of one of a generation's files."""
    return os.path.join(folder, f"step-{number:06d}.{suffix}")


def files_in(folder):
    """Return `(number, name)` of all files of generations; a manifest comes before its data."""
    names = sorted(os.listdir(folder)) if os.path.lexists(folder) else []
    found = [(re.fullmatch(r"step-([0-9]{6,})\.(json|npz)", name), name) for name in names]
    return [(int(match[1]), name) for match, name in found if match]


def remove(folder, name):
    """Remove a file, or leave it: it is only in the way."""
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(folder, name))


def sweep(folder):
    """Remove what killed writers have left."""
    for name in os.listdir(folder):
        if re.fullmatch(r"step-.*\.part", name):
            remove(folder, name)


@contextlib.contextmanager
def folder_errors(folder):
    """Tell errors of the operating system in labkit's words."""
    try:
        yield
    except LabkitError:
        raise
    except OSError as error:
        if error.errno in safe_files.FULL:
            raise safe_files.full(folder, WHAT, error, ROOM) from error
        raise CheckpointError(
            "The folder of checkpoints cannot be used.", got=error, where=folder,
            expected="a folder that can be read and written",
            remedy="check its name, its permissions and who else writes there") from error


def room(folder, arrays):
    """Raise StorageFull if the disk would be full with these arrays, or is."""
    return safe_files.room(folder, sum(array.nbytes + 1024 for array in arrays.values()), WHAT,
                           ROOM)


def write(folder, number, arrays, kinds):
    """Write a generation; it counts once its manifest has its name."""
    with safe_files.replacing(path_of(folder, number, "npz"),
                              path_of(folder, number, "json")) as (data, promise):
        safe_files.write_npz(data, arrays)
        data.seek(0)
        sha256 = hashlib.file_digest(data, "sha256").hexdigest()
        promise.write(manifest.manifest_of(number, arrays, kinds, sha256))


def read(folder, number):
    """Return a generation as Saved; a LabkitError says which file is bad, and why."""
    with _reading(path_of(folder, number, "json")) as file:
        promise = manifest.read_manifest(file, number)
    with _reading(path_of(folder, number, "npz")) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != promise["sha256"]:
            raise manifest.damaged(file, "This checkpoint has been changed.", promise["sha256"],
                                   sha256)
        arrays = safe_files.read_npz(file, manifest.REMEDY, manifest.promised_by(promise))
        return Saved(number, manifest.state_of(arrays, promise))


@contextlib.contextmanager
def _reading(path):
    try:
        with open(path, "rb") as file:
            yield file
    except (LabkitError, MemoryError):
        raise
    except Exception as error:             # JSON has its own, a forged promise any other
        raise CheckpointError("This file of a checkpoint cannot be read.", where=path,
                              expected="a file that `save` wrote", remedy=manifest.REMEDY,
                              got=f"{type(error).__name__}: {error}") from error

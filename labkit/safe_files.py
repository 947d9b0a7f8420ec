"""Files that are whole or not there, and archives of arrays that are read with suspicion.

    write   x.npz.5f3a90c1.part, fsync        killed here: x.npz is as it was
            renamed x.npz, fsync of the folder

    read    the archive's directory           nothing compressed, no more bytes than the file has
            the header of each array          no objects, as large as it says
            the arrays                        only now memory is taken for them

An .npz file may come from anyone: reading it runs no code, and takes no more memory than the file
has bytes. Damage is found by the archive's check sums, one for each array.

Sources: Pillai et al., "All file systems are not created equal", OSDI 2014, for the order of
writes; NumPy's `numpy.lib.format` for the arrays.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import math
import os
import secrets
import shutil
import zipfile

import numpy as np

from labkit.errors import DataError, StorageFull

MARGIN = 16 * 2**20      # bytes of a disk that are left to others
FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
MAGIC = np.lib.format.magic(1, 0)        # what an array of numbers or text begins with


@contextlib.contextmanager
def room(folder, nbytes, what, remedy="make room there, or name another folder"):
    """Raise StorageFull before so many bytes are written, if they would fill the disk, or while.

    Parameters
    ----------
    folder : str
    nbytes : int
    what : str
        What is written, for the message.
    remedy : str
    """
    free = shutil.disk_usage(folder).free
    if free < nbytes + MARGIN:
        raise full(folder, what, f"{free} bytes free", remedy,
                   f"{nbytes + MARGIN} bytes, with a margin of {MARGIN}")
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        free = shutil.disk_usage(folder).free
        raise full(folder, what, f"{error}, {free} bytes free", remedy) from error


def full(folder, what, got, remedy, expected="room on the disk"):
    """Return the error that says so."""
    return StorageFull(f"There is no room for {what}.", where=folder, expected=expected, got=got,
                       remedy=remedy)


@contextlib.contextmanager
def replacing(*paths):
    """Open a new file for each path; they take the names, in this order, once all are on disk.

    If anything fails, in the `with` block or after it, what is there stays, and nothing else.

    Parameters
    ----------
    *paths : str or path-like
        Files of these names are replaced.

    Yields
    ------
    list of file
        Open for writing and reading bytes.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    mark = secrets.token_hex(4)
    parts = [f"{os.fspath(path)}.{mark}.part" for path in paths]
    try:
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(open(part, "x+b")) for part in parts]
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for part, path in zip(parts, paths):
            os.replace(part, path)
            _sync_folder(os.path.dirname(part) or ".")
    finally:
        for part in parts:
            with contextlib.suppress(OSError):       # it has got its name
                os.unlink(part)


def _sync_folder(folder):
    if os.name == "nt":                              # where a folder cannot be opened
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_npz(file, arrays):
    """Write arrays as an .npz file, without pickle.

    `numpy.savez` would do the same, but for the names "file" and "allow_pickle".

    Parameters
    ----------
    file : file
        Open for writing bytes.
    arrays : dict of str to ndarray
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def described(array):
    """Return what identifies an array's type: its dtype, as a string, and its shape."""
    return array.dtype.str, array.shape


def read_npz(file, remedy, promised=None):
    """Return the arrays in an .npz file.

    Parameters
    ----------
    file : file
        Open for reading bytes.
    remedy : str
        What an error says to do.
    promised : dict, optional
        What is to be there: `described(array)` by name. By default, anything.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DataError
        If the file is damaged, needs pickle, is compressed, or holds something else.
    """
    refused = functools.partial(DataError, where=os.fspath(file.name), remedy=remedy)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_size(members, os.fstat(file.fileno()).st_size, refused)
            found = {_name(one): _header(archive, one, refused) for one in members}
            if promised is not None and found != promised:
                raise refused("This file does not hold the arrays that were promised.",
                              expected=str(promised)[:200], got=str(found)[:200])
            return {_name(one): _array(archive, one) for one in members}
    except (DataError, MemoryError):
        raise
    except Exception as error:         # zipfile, zlib and NumPy each have their own for damage
        raise refused("This file is damaged, or no .npz file.", expected="a whole .npz file",
                      got=f"{type(error).__name__}: {error}") from error


def _name(member):
    return member.filename.removesuffix(".npy")


def _check_size(members, size, refused):
    """Refuse an archive that is small only until it is unpacked."""
    unpacked = sum(member.file_size for member in members)
    if unpacked > size or any(member.compress_type for member in members):
        raise refused("This archive would expand.", got=f"{unpacked:,} bytes",
                      expected=f"arrays that are not compressed, {size:,} bytes at most")


def _header(archive, member, refused):
    """Return what `described` will say of an array, if its header can be trusted."""
    with archive.open(member) as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise refused("This archive holds something that is no array.", got=member.filename,
                          expected="arrays of numbers and text")
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        there = member.file_size - stream.tell()
    if dtype.hasobject:
        raise refused("This file needs pickle, which could run code of its own.",
                      expected="arrays of numbers and text", got=f"{member.filename}: {dtype}")
    if math.prod(shape) * dtype.itemsize != there:
        raise refused("An array has another length than its header claims.",
                      expected=f"{math.prod(shape) * dtype.itemsize:,} bytes",
                      got=f"{there:,} bytes in {member.filename}")
    return dtype.str, shape


def _array(archive, member):
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)

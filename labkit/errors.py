"""Errors that say what was expected, what was got, where, and what to do.

Every error that labkit raises on purpose is a `LabkitError`. Each class also
inherits the built-in exception that Python programmers would catch, so
``except ValueError`` and ``except TimeoutError`` work as usual.
"""

from __future__ import annotations


class LabkitError(Exception):
    """An error with four parts, each on a line of its own where it is known.

    Parameters
    ----------
    what : str
        One sentence: what went wrong.
    expected, got, where, remedy : object, optional
        What should have been, what was found, the file and line or the peer
        and step, and what the reader can do about it.
    """

    def __init__(self, what, *, expected=None, got=None, where=None, remedy=None):
        self.what = what
        self.expected = expected
        self.got = got
        self.where = where
        self.remedy = remedy
        parts = {"expected": expected, "got": got, "where": where, "remedy": remedy}
        lines = [f"  {name}: {value}" for name, value in parts.items() if value is not None]
        super().__init__("\n".join([what, *lines]))

    def __reduce__(self):
        # The default would rebuild the error from its message and lose its parts.
        parts = {k: getattr(self, k) for k in ("expected", "got", "where", "remedy")}
        return _rebuild, (type(self), self.what, parts), dict(self.__dict__)


def _rebuild(cls, what, parts):
    return cls(what, **parts)


class ConfigurationError(LabkitError, ValueError):
    """An argument that cannot work: zero workers, an unknown network, a wrong length."""


class DataError(LabkitError, ValueError):
    """Input data that labkit refuses: a bad line, a NaN, an empty file."""


class ProgramError(LabkitError, RuntimeError):
    """A program or task raised; the original exception is the ``__cause__``."""


class DeadlockError(LabkitError, RuntimeError):
    """Peers wait for messages that nobody will send."""


class DeadlineExceeded(LabkitError, TimeoutError):
    """Work that was not done when its deadline passed."""


class ClusterError(LabkitError, RuntimeError):
    """The cluster cannot run this: too few free workers, no scheduler, a lost worker."""


class PeerLost(ClusterError):
    """A peer has died or cannot be reached any more; its number is in `rank`.

    Raised by every attempt to talk to that peer, and once by whatever might have waited for it: a
    collective, or `recv_any`. What it had sent before can be received first, unless it was to be
    read from its memory.
    """

    rank = -1


class ShardLost(ClusterError):
    """A worker's part of the data is gone, and has to be read from its source again."""


class StorageFull(LabkitError, OSError):
    """There is no room on the disk for what has to be written."""


class CheckpointError(LabkitError, OSError):
    """Saved state that is damaged, is of another version, or cannot be written."""

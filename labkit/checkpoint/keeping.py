"""When the state of a run is saved, and how many generations of it stay.

    offered   0 s   1 s   2 s   3 s   4 s   5 s   6 s       one offer a commit
    saved     0                       4                     every_s=4: the first, then when due
    kept      0                       4                     keep=2: one to fall back to

With `mtbf_s` the interval is Daly's optimum for what the last saves took: see `labkit.laws`.
"""

from __future__ import annotations

import math
import operator
import os
import statistics
import time
import warnings

from labkit.checkpoint import generation
from labkit.checkpoint.manifest import arrays_of
from labkit.errors import CheckpointError, ConfigurationError, LabkitError
from labkit.laws import daly

RECENT = 5               # saves whose mean is the cost of one


class CheckpointWarning(UserWarning):
    """The newest checkpoint is bad, and an older one is used."""


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
            Names of letters, digits and _; arrays of numbers or text, Python's and NumPy's numbers.

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
        arrays, kinds = arrays_of(state)
        with generation.folder_errors(self.folder):
            os.makedirs(self.folder, exist_ok=True)
            generation.sweep(self.folder)
            with generation.room(self.folder, arrays):
                generation.write(self.folder, operator.index(number), arrays, kinds)
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
        with generation.folder_errors(self.folder):
            numbers = [number for number, name in generation.files_in(self.folder)
                       if name.endswith(".json")]
        bad = {}
        for number in sorted(numbers, reverse=True):
            try:
                saved = generation.read(self.folder, number)
            except LabkitError as error:
                bad[number] = error
                continue
            for error in bad.values():
                warnings.warn(f"{error}\n  used instead: generation {number}, in {self.folder}",
                              CheckpointWarning, stacklevel=2)
            self._bad = set(bad)
            return saved
        if not bad:
            return None
        raise CheckpointError(
            "There are checkpoints, and none of them is good.", where=self.folder,
            expected="at least one whole generation",
            got="; ".join(f"{error.where}: {error.what}" for error in bad.values()),
            remedy="restore the folder from a copy, or name an empty one to begin anew",
        ) from next(iter(bad.values()))

    def _prune(self, number):
        """Remove what is older than the generations to keep, and data without a manifest."""
        files = [(n, name) for n, name in generation.files_in(self.folder) if n <= number]
        whole = sorted(n for n, name in files if name.endswith(".json") and n not in self._bad)
        for n, name in files:
            if n not in whole[-self.keep:]:
                generation.remove(self.folder, name)

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

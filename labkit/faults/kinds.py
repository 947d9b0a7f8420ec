"""The kinds of faults.

    of a worker    Crash, Pause, Slow, LoseShard, FillDisk, Exhaust
    of a link      Delay, Drop, Corrupt
    of the network Partition
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from labkit.errors import ConfigurationError


def _check(fault, name, fits, expected):
    value = getattr(fault, name)
    if not fits(value):
        raise ConfigurationError("A fault cannot be like this.", expected=expected, got=repr(value),
                                 where=f"{type(fault).__name__}({name}=)",
                                 remedy=f"give {name} as {expected}")


def _is_rank(value):
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0


def _is_number(value, least=0.0):
    return isinstance(value, int | float | np.number) and least <= value < math.inf


@dataclass(frozen=True, kw_only=True, repr=False)
class Fault:
    """When a fault begins; its kinds say what it is."""

    at_step: int | None = None
    """When its worker begins this step, by `me.step`."""

    at_message: int | None = None
    """When its worker is about to send its message of this number, counted from 0."""

    at_s: float | None = None
    """Seconds after the start of the run: virtual ones if it is simulated."""

    def __post_init__(self):
        for name in ("at_step", "at_message"):
            _check(self, name, lambda v: v is None or _is_rank(v), "a whole number, 0 or more")
        _check(self, "at_s", lambda v: v is None or _is_number(v), "seconds, 0 or more")
        given = [name for name in ("at_step", "at_message", "at_s")
                 if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigurationError("A fault begins once.", expected="one of at_step, "
                                     "at_message and at_s", got=" and ".join(given))

    def __repr__(self):
        given = [f"{f.name}={getattr(self, f.name)!r}" for f in reversed(fields(self))
                 if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(given)})"

    @property
    def is_timed(self):
        """Whether time begins it."""
        return self.at_step is None and self.at_message is None

    def is_due(self, step, messages, seconds):
        """Whether it begins now, for a worker that is so far."""
        if self.at_step is not None:
            return step >= self.at_step
        if self.at_message is not None:
            return messages >= self.at_message
        return seconds >= (self.at_s or 0.0)


@dataclass(frozen=True, repr=False)
class OnWorker(Fault):
    """Strikes one worker."""

    worker: int
    """Rank."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "worker", _is_rank, "a rank, 0 or more")


@dataclass(frozen=True, repr=False)
class Crash(OnWorker):
    """The worker's process ends at once, as by SIGKILL."""


@dataclass(frozen=True, repr=False)
class Pause(OnWorker):
    """The worker stops and goes on later, as by SIGSTOP and SIGCONT."""

    seconds: float

    def __post_init__(self):
        super().__post_init__()
        _check(self, "seconds", lambda v: _is_number(v) and v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class Slow(OnWorker):
    """The worker computes `factor` times slower: it is stopped for a part of each 20 ms."""

    factor: float
    seconds: float = math.inf
    """For how long."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "factor", lambda v: _is_number(v, 1.0), "a number, 1 or more")
        _check(self, "seconds", lambda v: v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class OnLink(Fault):
    """Strikes the messages between two workers."""

    link: tuple[int, int]
    """The ranks of its two ends; the first one's steps and messages say when it begins."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "link", lambda v: isinstance(v, tuple) and len(v) == 2
               and all(map(_is_rank, v)) and v[0] != v[1], "two different ranks")


@dataclass(frozen=True, repr=False)
class Delay(OnLink):
    """Messages on the link, in both directions, arrive later."""

    delay_s: float
    seconds: float = math.inf
    """For how long."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "delay_s", lambda v: _is_number(v) and v > 0, "seconds, more than 0")
        _check(self, "seconds", lambda v: v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class Drop(OnLink):
    """Some messages on the link are lost once, and have to be sent again."""

    fraction: float = 1.0
    """Of the messages, at random by the plan's seed."""

    count: int = 1
    """How many at most."""

    def __post_init__(self):
        super().__post_init__()
        _check(self, "fraction", lambda v: _is_number(v) and 0 < v <= 1, "more than 0, up to 1")
        _check(self, "count", lambda v: _is_rank(v) and v > 0, "a whole number, 1 or more")


@dataclass(frozen=True, repr=False)
class Corrupt(Drop):
    """A bit is flipped in some messages on the link: found by checksums, or by nobody."""


@dataclass(frozen=True, repr=False)
class Partition(Fault):
    """Workers of different groups cannot reach each other for a while."""

    groups: tuple[tuple[int, ...], ...]
    seconds: float

    def __post_init__(self):
        super().__post_init__()
        ranks = [rank for group in self.groups for rank in group]
        _check(self, "groups", lambda v: len(v) > 1 and all(v) and all(map(_is_rank, ranks))
               and len(set(ranks)) == len(ranks), "two groups of ranks or more, no rank twice")
        _check(self, "seconds", lambda v: _is_number(v) and v > 0, "seconds, more than 0")


@dataclass(frozen=True, repr=False)
class LoseShard(OnWorker):
    """The worker's shards are gone, as if its disk were; the worker itself lives."""


@dataclass(frozen=True, repr=False)
class FillDisk(OnWorker):
    """The folder in which the worker spills has no room left."""


@dataclass(frozen=True, repr=False)
class Exhaust(OnWorker):
    """The worker asks for more memory than its limit."""


def ranks_of(fault):
    """Return the ranks of the workers at which a fault is aimed."""
    if isinstance(fault, Partition):
        return [rank for group in fault.groups for rank in group]
    return list(fault.link) if isinstance(fault, OnLink) else [fault.worker]

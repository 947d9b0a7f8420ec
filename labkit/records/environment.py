"""On what a record was made: processor, cores, memory, and versions of what took part."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

PACKAGES = ("labkit", "numpy", "scipy", "dask", "distributed", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class Environment:
    """The machine of the notebook; workers on other hosts may have another."""

    processor: str
    """Its model, as the system calls it."""

    cores: int
    """How many this process may use."""

    memory_nbytes: int
    """Main memory, in bytes."""

    system: str
    """The operating system and its release."""

    python: str
    """Its version."""

    versions: dict[str, str] = field(default_factory=dict)
    """{package: version} of what takes part in a measurement."""

    time: str = ""
    """When it was noted: ISO 8601, UTC, to the second."""

    def __str__(self):
        return (f"{self.processor}, {self.cores} cores, {self.memory_nbytes / 2**30:.0f} GiB, "
                f"{self.system}, Python {self.python}")


def environment():
    """Return this process's `Environment`."""
    return Environment(_processor(), usable_cores(), psutil.virtual_memory().total,
                       f"{platform.system()} {platform.release()}", platform.python_version(),
                       {name: _version(name) for name in PACKAGES},
                       datetime.now(UTC).isoformat(timespec="seconds"))


def usable_cores():
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):             # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:                                  # macOS, Windows
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""

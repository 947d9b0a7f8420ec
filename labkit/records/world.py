"""Where a run was made, and how its group changed and lost workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from labkit.network import Machine, Network


@dataclass(frozen=True)
class WorldInfo:
    """Which world made a run."""

    kind: str
    """"serial", "cluster" or "simulated"."""

    workers: int
    """How many peers took part."""

    network: Network | None = None
    """The network of a simulated world; None elsewhere."""

    detail: str = ""
    """The scheduler's address, or whatever identifies the world further."""

    transport: str = ""
    """How the messages of a real run travelled: "6 memory" says that 6 pairs of peers read
    each other's memory; others are "unix" and "tcp" sockets, and "tls"."""

    machine: Machine | None = None
    """What each peer of a simulated world computes with; None elsewhere."""

    seed: int | None = None
    """Of a simulated world's jitter; None elsewhere."""

    @property
    def simulated(self):
        """Whether seconds are virtual."""
        return self.kind == "simulated"

    def __str__(self):
        network = f", {self.network.name}" if self.network else ""
        return f"{self.kind}, {self.workers} worker{'s' * (self.workers != 1)}{network}"


@dataclass(frozen=True)
class Generation:
    """Peers of an elastic run between two losses, or other changes of the group."""

    members: tuple[int, ...]
    """The workers that took part, by number; their ranks were their places in this order."""

    start_s: float
    end_s: float
    """Seconds since the run began."""

    first_commit: int
    """The number of the commit that it began with; 0 if there was none."""

    last_commit: int
    """The newest commit when it ended."""

    cause: str
    """Why it ended: the error's name, or "" at the end of the run."""


class Loss(NamedTuple):
    """How one worker was lost, and the run went on. Seconds since the run began; nan: never."""

    worker: int
    injected_s: float
    """When the last fault before the loss struck this worker; nan if none was injected."""

    confirmed_s: float
    """When somebody knew that it is lost."""

    recovered_s: float
    """When the others, or its replacement, went on; of a map, when its tasks were done."""

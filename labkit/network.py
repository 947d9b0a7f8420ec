"""Networks and machines as data: what a message and a computation cost.

    time of one message  =  latency_s  +  nbytes / bandwidth_Bps          (alpha-beta model)
    time of one piece of work  =  max(flops / flops_per_s, nbytes / memory_Bps)   (roofline)
    time to add what is received  =  nbytes / combine_Bps                 (gamma)

Sources: Hockney, "The communication challenge for MPP", Parallel Computing 20,
1994 (alpha-beta); Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

from labkit.errors import ConfigurationError


def _check_number(name, value, low=-math.inf, above=-math.inf):
    if not (isinstance(value, numbers.Real) and math.isfinite(value) and low <= value > above):
        bound = f"more than {above:g}" if above > -math.inf else f"at least {low:g}"
        raise ConfigurationError(f"{name} is out of range.", expected=f"a finite number, {bound}",
                                 got=repr(value), where=f"{name}=",
                                 remedy="give seconds, and bytes or operations a second")


@dataclass(frozen=True)
class Network:
    """One kind of link between any two peers; each peer has one port in and one out."""

    name: str
    """What figures call it."""

    latency_s: float
    """Seconds until the first byte arrives."""

    bandwidth_Bps: float
    """Bytes a second through one port."""

    overhead_s: float = 0.0
    """Processor seconds that one send or one receive costs its peer (the `o` of LogP)."""

    jitter_s: float = 0.0
    """Mean of an exponential delay that is added to each message's latency."""

    long_nbytes: float = math.inf
    """Messages of so many bytes or more go by another protocol, if the network has two: the
    receiver is told, and takes them from where they lie (rendezvous, where others are eager)."""

    long_setup_s: float = 0.0
    """Seconds that a long message waits before its first byte moves."""

    long_Bps: float | None = None
    """Bytes a second of long messages; None: as of the others."""

    def __post_init__(self):
        if self.long_Bps is None:
            object.__setattr__(self, "long_Bps", self.bandwidth_Bps)
        _check_number("long_setup_s", self.long_setup_s, low=0.0)
        _check_number("long_Bps", self.long_Bps, above=0.0)
        _check_number("latency_s", self.latency_s, low=0.0)
        _check_number("jitter_s", self.jitter_s, low=0.0)
        _check_number("overhead_s", self.overhead_s, low=0.0)
        _check_number("bandwidth_Bps", self.bandwidth_Bps, above=0.0)

    def port_s(self, nbytes):
        """Seconds that a message of `nbytes` keeps a port busy."""
        return nbytes / (self.bandwidth_Bps if nbytes < self.long_nbytes else self.long_Bps)

    def setup_s(self, nbytes):
        """Seconds that pass before the first byte of such a message moves."""
        return 0.0 if nbytes < self.long_nbytes else self.long_setup_s

    def message_s(self, nbytes):
        """Seconds that a message of `nbytes` takes on an idle link."""
        return (self.latency_s + self.setup_s(nbytes) + self.port_s(nbytes)
                + 2 * self.overhead_s)


@dataclass(frozen=True)
class Machine:
    """What one peer computes with."""

    name: str
    """What figures call it."""

    flops_per_s: float
    """Floating-point operations a second, as reached by real code."""

    memory_Bps: float
    """Bytes a second from main memory."""

    combine_Bps: float = math.inf
    """Bytes a second at which an array that is received is added to one's own, beyond the time
    of receiving it; textbooks that leave that out are at infinity."""

    cold_s: float = 0.0
    """What code takes longer that comes from a wait, with empty caches; at most as long again as
    it takes. For programs that are timed: see `labkit.simulate.timed`."""

    def __post_init__(self):
        if self.combine_Bps != math.inf:
            _check_number("combine_Bps", self.combine_Bps, above=0.0)
        _check_number("cold_s", self.cold_s, low=0.0)
        _check_number("flops_per_s", self.flops_per_s, above=0.0)
        _check_number("memory_Bps", self.memory_Bps, above=0.0)

    def work_s(self, flops=0.0, nbytes=0.0):
        """Seconds for `flops` operations that move `nbytes`: the slower of the two."""
        return max(flops / self.flops_per_s, nbytes / self.memory_Bps)


# Round figures of the classes of hardware that they are named after: latency between two
# user processes, and the line rate. A measured network replaces them.
NETWORKS = {
    network.name: network
    for network in (
        Network("loopback", 15e-6, 3e9),
        Network("1GbE", 50e-6, 125e6),
        Network("10GbE", 20e-6, 1.25e9),
        Network("100GbE RDMA", 2e-6, 12.5e9),
        Network("InfiniBand NDR", 1e-6, 50e9),
        Network("WiFi", 3e-3, 25e6),
        Network("continents", 75e-3, 12.5e6),
    )
}

MACHINES = {
    machine.name: machine
    for machine in (
        Machine("laptop core", 5e9, 8e9),
        Machine("server", 1e12, 200e9),
    )
}


def named_network(network):
    """Return a `Network`, given one or the name of one.

    Raises
    ------
    ConfigurationError
        If the name is unknown; the error lists the known ones.
    """
    return _named(network, Network, NETWORKS, "network")


def named_machine(machine):
    """Return a `Machine`, given one or the name of one; errors as in `named_network`."""
    return _named(machine, Machine, MACHINES, "machine")


def _named(value, kind, known, word):
    if isinstance(value, kind):
        return value
    if value in known:
        return known[value]
    raise ConfigurationError(
        f"This {word} is not known.", expected=", ".join(map(repr, known)), got=repr(value),
        remedy=f"pass one of these names or a {kind.__name__}")

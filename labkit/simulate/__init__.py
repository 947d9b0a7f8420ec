"""The simulated world: thousands of peers on a virtual clock, in this process.

    world    what `labkit.simulated` makes: run and map
    peers    messages through ports, in the order of virtual time
    tasks    which worker does which task of `map`, and when
    faults   peers that crash, stop, slow down; links that delay, lose, flip, part
"""

from labkit.simulate.world import SimulatedWorld

__all__ = ["SimulatedWorld"]

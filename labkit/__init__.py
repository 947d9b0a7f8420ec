"""labkit: write a distributed program once, run it in three worlds.

    with labkit.serial(workers=4) as world:        # in this process: the oracle
    with labkit.cluster(workers=4) as world:       # real Dask worker processes
    with labkit.simulated(workers=4) as world:     # a virtual clock

A world has `run(program, *shards)`, `map(task, items)` and `shard(X, y)`.
"""

from labkit.cluster import ClusterWorld as cluster
from labkit.serial import SerialWorld as serial
from labkit.simulate import SimulatedWorld as simulated

__all__ = ["cluster", "serial", "simulated"]
__version__ = "0.1.0"

"""labkit: write a distributed program once, run it in three worlds.

    with labkit.serial(workers=4) as world:        # in this process: the oracle
    with labkit.cluster(workers=4) as world:       # real Dask worker processes
    with labkit.simulated(workers=4) as world:     # a virtual clock

A world has `run(program, *shards)`, `map(task, items)` and `shard(X, y)`; each run leaves a
`Run`, which `labkit.plots` draws and `labkit.show` shows.
"""

from labkit.cluster import ClusterWorld as cluster
from labkit.serial import SerialWorld as serial
from labkit.simulate import SimulatedWorld as simulated

__all__ = ["cluster", "serial", "show", "simulated"]
__version__ = "0.1.0"


def __getattr__(name):
    # Importing matplotlib takes half a second; workers never draw and never wait for it.
    if name == "show":
        from labkit.plots import show

        return show
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

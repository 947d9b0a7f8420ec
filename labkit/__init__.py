"""labkit: write a distributed program once, run it in three worlds.

    with labkit.serial(workers=4) as world:        # in this process: the oracle
    with labkit.cluster(workers=4) as world:       # real Dask worker processes
    with labkit.simulated(workers=4) as world:     # a virtual clock

A world has `run(program, *shards)`, `map(task, items)` and `shard(X, y)`; each run leaves a
`Run`, which `labkit.plots` draws and `labkit.show` shows.
"""

import importlib

from labkit.cluster import ClusterWorld as cluster
from labkit.records import load, save
from labkit.serial import SerialWorld as serial
from labkit.simulate import SimulatedWorld as simulated

__all__ = ["calibrate", "check", "cluster", "live", "load", "measure", "predict", "predict_first",
           "replay", "save", "serial", "show", "simulated", "sweep"]
__version__ = "0.1.0"


# Importing matplotlib takes half a second: workers never draw, and never wait for it.
LATER = {"labkit.measuring": ("calibrate", "measure", "predict", "sweep"),
         "labkit.guess": ("predict_first",), "labkit.checking": ("check",),
         "labkit.watching": ("live",), "labkit.replaying": ("replay",), "labkit.plots": ("show",)}


def __getattr__(name):
    for module, names in LATER.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

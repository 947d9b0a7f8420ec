"""labkit: write a distributed program once, run it in three worlds.

    with labkit.serial(workers=4) as world:        # in this process: the oracle
    with labkit.cluster(workers=4) as world:       # real Dask worker processes
    with labkit.simulated(workers=4) as world:     # a virtual clock

A world has `run(program, *shards)`, `map(task, items)` and `shard(X, y)`; each run leaves a
`Run`, which `labkit.plots` draws, `labkit.show` shows, `labkit.replay` plays and `labkit.save`
keeps.

    measure, sweep          seconds that can be believed, over a baseline in one thread
    calibrate, predict      what this machine is made of, and what it would take with more
    check                   what is wrong with a learner's program, in the learner's terms
    live, predict_first     while it runs; before it runs
    knob                    a figure with a slider
"""

import importlib

from labkit.cluster import ClusterWorld as cluster
from labkit.records import load, save
from labkit.serial import SerialWorld as serial
from labkit.simulate import SimulatedWorld as simulated

__all__ = ["Targets", "calibrate", "check", "cluster", "knob", "live", "load", "measure", "predict",
           "predict_first", "replay", "save", "serial", "show", "simulated", "sweep"]
__version__ = "0.1.0"


# Importing matplotlib takes half a second: workers never draw, and never wait for it.
LATER = {"labkit.measuring": ("calibrate", "measure", "predict", "sweep"),
         "labkit.guess": ("predict_first",), "labkit.slider": ("knob",),
         "labkit.checking": ("Targets", "check"),
         "labkit.watching": ("live",), "labkit.replaying": ("replay",), "labkit.plots": ("show",)}


def __getattr__(name):
    if name == "plots":
        return importlib.import_module("labkit.plots")
    for module, names in LATER.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

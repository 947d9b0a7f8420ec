"""What runs leave behind: events and results that never change.

    world.run(program, shards)  ->  Run(results, seconds, messages, nbytes, events, ...)
                                                                              |
                                                        Event(kind, rank, start_s, end_s, ...)

    labkit.measure, labkit.sweep  ->  Measurement, Sweep(measurements, baselines)

    save(record, path), load(path)      one open file: see `labkit.records.files`
    saved_in(path)                      machine, versions and time of it
    save_chrome_trace(run, path)        for Perfetto

Plots and measures know only these records, so they work alike for real, serial and simulated
runs.
"""

from labkit.records.environment import Environment, environment, usable_cores
from labkit.records.events import LOST, Event, Events, messages
from labkit.records.files import load, save, saved_in
from labkit.records.run import Run, join
from labkit.records.sweep import Estimate, Measurement, Sweep
from labkit.records.trace import chrome_trace, save_chrome_trace
from labkit.records.world import Generation, Loss, WorldInfo

__all__ = ["LOST", "Environment", "Estimate", "Event", "Events", "Generation", "Loss",
           "Measurement", "Run", "Sweep", "WorldInfo", "chrome_trace", "environment", "join",
           "load", "messages", "save", "save_chrome_trace", "saved_in", "usable_cores"]

"""What takes turns in a sweep: a program in one setting, and its baseline."""

from __future__ import annotations

import inspect
import itertools
import time
from dataclasses import replace
from functools import partial

from threadpoolctl import threadpool_limits

from labkit.faults import Delay, FaultPlan
from labkit.measuring.answers import check_answer
from labkit.records import Measurement, Run, WorldInfo, join
from labkit.serial import SerialWorld

OF_WORLD = ("workers", "network", "machine", "latency_s", "transport", "checksums")


class Worlds:
    """Worlds that differ from one by some settings; each is made once.

    Parameters
    ----------
    world : World
    stack : ExitStack
        Closes them.
    faults : FaultPlan or None
        What strikes each run.
    """

    def __init__(self, world, stack, faults):
        self._world, self._stack, self._faults = world, stack, faults
        self._made = {}

    def get(self, chosen):
        """Return the world with these settings, and the faults of its runs."""
        changes = {name: chosen[name] for name in OF_WORLD if name in chosen}
        faults, latency_s = self._faults, changes.pop("latency_s", None)
        if latency_s is not None and hasattr(self._world, "network"):
            network = self._world.like(**changes).network
            changes["network"] = replace(network, latency_s=latency_s)
        elif latency_s:
            faults = faults or FaultPlan()
            delays = _delays(changes.get("workers", self._world.workers), latency_s)
            faults = FaultPlan(*faults.faults, *delays, seed=faults.seed)
        key = repr(sorted(changes.items()))
        if not changes:
            return self._world, faults
        if key not in self._made:
            self._made[key] = self._stack.enter_context(self._world.like(**changes))
        return self._made[key], faults


def _delays(workers, latency_s):
    """Return faults that hold back all messages of a cluster from its beginning on."""
    return [Delay(link, latency_s, at_s=0.0) for link in itertools.combinations(range(workers), 2)]


class Setting:
    """A program in one setting, with the seconds of its runs."""

    def __init__(self, name, program, worlds, how, arrays, chosen):
        self.name, self.how, self.arrays, self.chosen = name, how, arrays, chosen
        self.base_program = program
        self.options = {k: v for k, v in chosen.items() if k not in OF_WORLD}
        self.program = partial(program, **self.options) if self.options else program
        self.world, self.faults = worlds.get(chosen)
        self.placed = self._place(self.world)
        self.seconds, self.wall_s, self.run = [], [], None

    def _place(self, world):
        """Return the arrays where the world has them; what is no array as it is."""
        cut = [a for a in self.arrays if hasattr(a, "shape")] if self.how != "call" else []
        if not cut:
            return self.arrays
        parts = world.shard(*cut)
        parts = iter(parts if len(cut) > 1 else [parts])
        return [next(parts) if hasattr(a, "shape") else a for a in self.arrays]

    def expect(self, expected, rtol):
        """Have each run's answer compared with this one."""
        self.expected, self.rtol = expected, rtol

    def serial_answer(self):
        """Return what all peers return in the serial world, or what the call returns there."""
        world = SerialWorld(self.world.workers)
        return self._go(world, self._place(world), None)[1]

    def once(self, keep):
        """Run it, check its answer, and keep its time if asked to."""
        began = time.perf_counter()
        run, results = self._go(self.world, self.placed, self.faults)
        wall_s = time.perf_counter() - began
        check_answer(results, self.expected, self.rtol, self.name)
        self.run = run
        if keep:
            self.seconds.append(run.seconds)
            self.wall_s.append(wall_s)

    def _go(self, world, placed, faults):
        if self.how == "call":
            with world.under(faults), world.recorded() as runs:
                found = self.program(world, *placed)
            results = found.results if isinstance(found, Run) else [found]
            return join(runs, results), results
        verb = world.run if self.how == "run" else world.map
        run = verb(self.program, *placed, record=False, faults=faults)
        return run, run.results

    def measurement(self):
        """Return the record of what was kept."""
        return Measurement(self.name, self.chosen, tuple(self.seconds), tuple(self.wall_s),
                           self.run.messages, self.run.nbytes, True, self.run.world)


class Baseline:
    """The same work in one thread, in this process."""

    def __init__(self, function, arrays, settings):
        self.name, self.settings, self._arrays = name_of(function), settings, arrays
        self._function = partial(function, **taken(function, settings))
        self.seconds = []
        self.answer = self._time()[0]

    def _time(self):
        with threadpool_limits(1):
            began = time.perf_counter()
            answer = self._function(*self._arrays)
            return answer, time.perf_counter() - began

    def once(self, keep):
        _, seconds = self._time()
        if keep:
            self.seconds.append(seconds)

    def measurement(self):
        seconds = tuple(self.seconds)
        return Measurement(self.name, self.settings, seconds, seconds, verified=True,
                           world=WorldInfo("serial", 1))


def taken(function, options):
    """Return those of the options that a function takes by name."""
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:                               # some functions of C have none
        return {}
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return options
    return {name: value for name, value in options.items() if name in parameters}


def name_of(program):
    """Return what a program is called; of a partial one, what it is made of."""
    program = getattr(program, "func", program)
    return getattr(program, "__name__", type(program).__name__)

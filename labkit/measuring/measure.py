"""Repeat, in turns, and believe only what is right.

    warm-up   setting 1, 2, 3, baseline               not recorded: caches, connections, code
    round 1   setting 3, baseline, 1, 2               each answer is checked, then its time kept
    round 2   baseline, 2, 3, 1                       whatever disturbs the machine meanwhile
    ...                                               disturbs all of them alike

The right answer is the baseline's, where there is one: what a careful person would write for one
thread. Its time is taken in the same rounds.

Sources: McSherry, Isard and Murray, "Scalability! But at what COST?", HotOS 2015; Hoefler and
Belli, "Scientific benchmarking of parallel computing systems", SC 2015.
"""

from __future__ import annotations

import contextlib
import itertools
from contextlib import ExitStack

import numpy as np

from labkit.errors import ConfigurationError, LabkitError
from labkit.measuring.turns import OF_WORLD, Baseline, Setting, Worlds, name_of, taken
from labkit.progress import progress
from labkit.records import Sweep, environment

HOW = ("run", "map", "call")
SCALING = ("strong", "weak")


def measure(program, world, *arrays, repeats=7, **options):
    """Measure one program in a world; arguments and errors are those of `sweep`.

    Returns
    -------
    Measurement
    """
    return sweep(program, world, *arrays, repeats=repeats, **options)[0]


def sweep(program, world, *arrays, how="run", baseline=None, expected=None, scaling="strong",
          repeats=5, warmup=1, rtol=1e-6, seed=0, name=None, faults=None, **settings):
    """Measure a program in all combinations of some settings.

    Parameters
    ----------
    program : callable
        ``program(me, *parts)`` for `how` "run", ``program(item)`` for "map", and
        ``program(world, *arrays)`` for "call": a model or an estimator's fit, whose runs are
        added up.
    world : World
    *arrays : ndarray, CSR matrix, dask.array, or sequence
        Arrays are cut into one part a worker; lists are passed as they are, one entry a peer, or
        one a task. With `how` "call" everything is passed as it is.
    how : {"run", "map", "call"}
    baseline : callable, optional
        ``baseline(*arrays)`` does the same in one thread, without a cluster, and returns the
        answer that each peer has to return. Speedups are over its time; in a simulated world that
        is not timed, over the virtual time of one peer, if `workers` vary.
    expected : object or callable, optional
        The answer, or a function as `baseline` that is not timed. By default that of `baseline`,
        or else what the serial world returns for the same program and number of workers.
    scaling : {"strong", "weak"}
        Whether all numbers of workers get all rows of the arrays, or each worker as many rows as
        it has with the largest number.
    repeats, warmup : int
        Recorded runs of each setting, and runs before them.
    rtol : float
        How far answers may differ: numbers in another order add up differently.
    seed : int
        Of the order in which settings take turns.
    name : str, optional
        What is measured; by default the program's name.
    faults : FaultPlan, optional
        What strikes each run.
    **settings
        A list of values each. `workers`, `network`, `machine`, `latency_s`, `transport` and
        `checksums` change the world: a cluster's workers are a part of its own, and its messages
        are held back by `latency_s`. All others are passed to the program and, where it takes
        them, to the baseline, by name.

    Returns
    -------
    Sweep

    Raises
    ------
    LabkitError
        If an answer is wrong: its time is not recorded.
    ConfigurationError
        If settings, `how` or `scaling` cannot work.
    """
    _check(how, scaling, repeats, warmup, settings)
    name = name or name_of(program)
    most = max(settings.get("workers", [world.workers]))
    with ExitStack() as stack:
        worlds = Worlds(world, stack, faults)
        jobs, bases = [], []
        for values in itertools.product(*settings.values()):
            chosen = dict(zip(settings, values))
            share = chosen.get("workers", most) / most if scaling == "weak" else 1.0
            rows = [_share(array, share) for array in arrays]
            base = _baseline(bases, baseline, rows, chosen, scaling)
            jobs.append(Setting(name, program, worlds, how, rows, chosen))
            jobs[-1].expect(_expected(jobs[-1], base, expected, rows), rtol)
        if getattr(world, "timed", True):
            turns = [*bases, *jobs]
        else:                            # real seconds are nothing to compare virtual ones with
            turns = jobs + (bases := _alone(jobs, worlds, scaling))
        _take_turns(turns, warmup, repeats, np.random.default_rng(seed), name)
    return Sweep(name, tuple(job.measurement() for job in jobs),
                 tuple(base.measurement() for base in bases), environment(), seed)


def _take_turns(jobs, warmup, repeats, rng, name):
    with progress((warmup + repeats) * len(jobs), f"measuring {name}") as done:
        for number in range(warmup + repeats):
            for position in rng.permutation(len(jobs)):
                jobs[position].once(keep=number >= warmup)
                done()


def _baseline(bases, function, rows, chosen, scaling):
    """Return the Baseline for these settings: one of `bases`, or a new one that is added."""
    if function is None:
        return None
    settings = taken(function, {k: v for k, v in chosen.items() if k not in OF_WORLD})
    if scaling == "weak" and "workers" in chosen:
        settings["workers"] = chosen["workers"]      # its rows are as many
    for base in bases:
        if base.settings == settings:
            return base
    bases.append(Baseline(function, rows, settings))
    return bases[-1]


def _alone(jobs, worlds, scaling):
    """Return settings with one simulated peer, for those jobs whose programs can do with one."""
    found = []
    for job in jobs:
        chosen = dict(job.chosen) if scaling == "weak" else {
            name: value for name, value in job.chosen.items() if name != "workers"}
        if "workers" not in job.chosen or chosen in [one.chosen for one in found]:
            continue
        one = Setting(f"{job.name}, one simulated peer", job.base_program, worlds, job.how,
                      job.arrays, chosen | {"workers": 1})
        one.chosen = chosen
        one.expect(job.expected[:1] if isinstance(job.expected, list) else job.expected, job.rtol)
        with contextlib.suppress(LabkitError):       # it needs others
            one.once(keep=False)
            found.append(one)
    return found


def _expected(job, base, expected, rows):
    if callable(expected):
        return expected(*rows, **taken(expected, job.options))
    if expected is not None:
        return expected
    return job.serial_answer() if base is None else base.answer


def _share(array, share):
    """Return the first rows of an array, so large a share of them; a list as it is."""
    if share == 1.0 or not hasattr(array, "shape"):
        return array
    return array[:round(share * array.shape[0])]


def _check(how, scaling, repeats, warmup, settings):
    for value, known, where in ((how, HOW, "how="), (scaling, SCALING, "scaling=")):
        if value not in known:
            raise ConfigurationError("This is not known.", got=repr(value), where=where,
                                     expected=", ".join(map(repr, known)))
    if repeats < 1 or warmup < 0:
        raise ConfigurationError("There is nothing to record.", expected="repeats of 1 or more",
                                 got=f"repeats={repeats}, warmup={warmup}")
    for name, values in settings.items():
        if isinstance(values, str) or not hasattr(values, "__len__") or not len(values):
            raise ConfigurationError("A setting needs a list of values.", got=repr(values),
                                     where=f"{name}=", expected="a list, with one value or more",
                                     remedy=f"pass {name}=[{values!r}]")

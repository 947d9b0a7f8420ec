"""What a world is made of: a network and a machine, measured, for the simulated world to take.

    t(n) = latency + 2 overhead + n / bandwidth              messages of up to long_nbytes
    t(n) = latency + 2 overhead + setup + n / bandwidth'     longer ones, read where they lie

Fitted to messages of 8 bytes to 16 MB, each size counting by its relative error.

Sources: Hockney, "The communication challenge for MPP", Parallel Computing 20, 1994; Culler et
al., "LogP: towards a realistic model of parallel computation", PPoPP 1993; Alexandrov et al.,
"LogGP: incorporating long messages into the LogP model", SPAA 1995.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.cluster.peer import LARGE
from labkit.errors import ConfigurationError
from labkit.laws import fit_alpha_beta
from labkit.measuring import probes
from labkit.network import Machine, Network
from labkit.progress import progress
from labkit.simulate import SimulatedWorld


@dataclass(frozen=True, repr=False)
class Calibration:
    """What was measured in a world, and the constants that describe it."""

    network: Network
    """For ``labkit.simulated(network=...)``."""

    machine: Machine
    """For ``labkit.simulated(machine=...)``."""

    task_overhead_s: float
    """What the scheduler takes for one task of `map`, in seconds."""

    task_turnaround_s: float
    """From the end of a worker's task to the begin of its next one, in seconds."""

    task_network: Network
    """What items and results of `map` travel by."""

    nbytes: tuple[int, ...]
    """Sizes of the messages that were timed."""

    message_s: tuple[float, ...]
    """Seconds of one message of each size: the mean of one way and both ways at once."""

    fit: Any
    """The `labkit.laws.Fit` of messages up to `network.long_nbytes`."""

    def world(self, workers=2, timed=True, **settings):
        """Return a simulated world that is made of this.

        Parameters
        ----------
        workers : int
        timed : bool
            Whether programs' own code is timed while it is simulated, or costs what the programs
            declare: see `labkit.simulated`.
        **settings
            Of `labkit.simulated`.
        """
        mine = dict(network=self.network, machine=self.machine,
                    task_overhead_s=self.task_overhead_s,
                    task_turnaround_s=self.task_turnaround_s, task_network=self.task_network)
        return SimulatedWorld(workers, timed=timed, **mine | settings)

    @property
    def errors(self):
        """The network's seconds over the measured ones, less 1, for each size."""
        return [self.network.message_s(n) / s - 1 for n, s in zip(self.nbytes, self.message_s)]

    def __repr__(self):
        network, machine = self.network, self.machine
        long = ("" if network.long_nbytes == math.inf else
                f"\n  from {network.long_nbytes:,} bytes on   {1e6 * network.long_setup_s:.3g} us "
                f"more, {network.long_Bps / 1e9:.3g} GB/s")
        off = 100 * np.abs(self.errors)
        return (f"Calibration of {network.name}:\n"
                f"  latency            {1e6 * network.latency_s:.3g} us\n"
                f"  overhead           {1e6 * network.overhead_s:.3g} us a send, and a receive\n"
                f"  bandwidth          {network.bandwidth_Bps / 1e9:.3g} GB/s{long}\n"
                f"  adding             {machine.combine_Bps / 1e9:.3g} GB/s\n"
                f"  computing          {machine.flops_per_s / 1e9:.3g} GFLOP/s, "
                f"{1e6 * machine.cold_s:.3g} us longer after a wait\n"
                f"  memory             {machine.memory_Bps / 1e9:.3g} GB/s\n"
                f"  task               {1e3 * self.task_overhead_s:.3g} ms each, "
                f"{1e3 * self.task_turnaround_s:.3g} ms between two of a worker, results "
                f"{self.task_network.bandwidth_Bps / 1e9:.3g} GB/s after "
                f"{2e3 * self.task_network.latency_s:.3g} ms\n"
                f"  messages           {len(self.nbytes)} sizes, off by {off.mean():.0f}% in the "
                f"mean, {off.max():.0f}% at most")


def calibrate(world, name=None):
    """Measure what a world is made of; takes a few seconds.

    Parameters
    ----------
    world : World
        Of two workers or more. All are busy at once, as in a program.
    name : str, optional
        What figures call it.

    Returns
    -------
    Calibration

    Raises
    ------
    ConfigurationError
        If there is nobody to send a message to.
    """
    if world.workers < 2:
        raise ConfigurationError("One worker has nobody to send to.", got=world, where="world=",
                                 expected="a world of two workers or more")
    with progress(2, "calibrating") as done:
        run = world.run(probes.probe, record=False)
        done()
        tasks = probes.tasks(world)
        done()
    found = {key: np.mean([mine[key] for mine in run.results if key in mine], axis=0)
             for key in run.results[0]}
    name = name or f"calibrated {run.world.kind}"
    nbytes = np.array(probes.SIZES)
    # A message there and back is two; in an exchange they pass each other.
    seconds = (found["ping_pong"] / 2 + found["exchange"]) / 2
    split = LARGE if "memory" in run.world.transport else math.inf
    network, fit = _network(name, nbytes, seconds, float(found["burst"]), split)
    # A task's way there and its result's way back share what a map takes beyond its tasks.
    of_tasks = Network(f"{name}, tasks", tasks["start"] / 2, 1 / tasks["byte"])
    return Calibration(network, _machine(name, found), tasks["each"], tasks["turnaround"],
                       of_tasks, tuple(probes.SIZES), tuple(seconds.tolist()), fit)


def _network(name, nbytes, seconds, burst_s, split):
    """Return the Network that explains these times of messages, and the fit of the short ones."""
    short = nbytes < split
    fit = fit_alpha_beta(nbytes[short], seconds[short])
    alpha_s, beta = fit.values["alpha_s"], fit.values["beta_s_per_B"]
    overhead_s = min(burst_s, alpha_s / 2)
    settings = {}
    if not short.all():
        long = fit_alpha_beta(nbytes[~short], seconds[~short]).values
        settings = dict(long_nbytes=split, long_setup_s=max(0.0, long["alpha_s"] - alpha_s),
                        long_Bps=1 / long["beta_s_per_B"])
    return Network(name, alpha_s - 2 * overhead_s, 1 / beta, overhead_s, **settings), fit


def _machine(name, found):
    extra_s = found["add"] - found["receive"]
    rates = np.array(probes.ADD_SIZES) / np.maximum(extra_s, 1e-12)
    combine_Bps = float(np.median(rates))
    return Machine(name, 2 * probes.ORDER**3 / float(found["product"]),
                   float(found["pass_nbytes"]) / float(found["pass"]),
                   combine_Bps if combine_Bps < 1e12 else math.inf, float(found["cold"]))

"""Records become figures: each function takes records and returns Axes.

    timeline          who worked, waited and sent, peer by peer           one Run
    utilisation       what the workers' time was spent on                 one Run
    traffic           who sent how much to whom                           one Run
    memory            bytes held by each worker through time              one Run
    recovery          throughput through a fault, and what happened       one Run
    compare           one number of several runs, as bars                 {name: Run}
    scaling           seconds by the number of workers                    {name: [Run, ...]}
    convergence       the loss, by evaluation, by second, or both         {name: history}
    speedup           over a baseline, with laws and a prediction         one Sweep
    sweep             seconds by one setting, a line for another          one Sweep
    latency           the distribution, with p50, p95 and p99             {name: seconds}, Sweep
    message_time      seconds by size, with alpha and beta                points, Sweep
    predicted         simulated over measured seconds                     two Sweeps
    prediction_first  a learner's number, the model's, the measured one   three numbers

    describe          what a figure shows, in words
    show              a figure in a notebook, with its description

A plot runs no experiment, and touches no global style, backend or file. Colours are those of
Okabe and Ito, "Color universal design", 2008, which colour-blind readers can tell apart; markers
and line styles tell them apart in grey. Each leaves its description with its Axes, where `show`
finds it.
"""

from labkit.plots.convergence import convergence
from labkit.plots.curves import compare, scaling
from labkit.plots.guesses import prediction_first
from labkit.plots.latency import latency
from labkit.plots.memory import memory
from labkit.plots.message_time import message_time
from labkit.plots.predictions import predicted
from labkit.plots.recovery import describe_recovery, recovery
from labkit.plots.show import show
from labkit.plots.speedup import speedup
from labkit.plots.sweeps import sweep
from labkit.plots.timeline import timeline
from labkit.plots.traffic import traffic
from labkit.plots.utilisation import utilisation
from labkit.plots.words import describe

__all__ = ["compare", "convergence", "describe", "describe_recovery", "latency", "memory",
           "message_time", "predicted", "prediction_first", "recovery", "scaling", "show",
           "speedup", "sweep", "timeline", "traffic", "utilisation"]

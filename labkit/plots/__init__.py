"""Records become figures: each function takes records and returns Axes.

    timeline      who worked, waited and sent, peer by peer       one Run
    compare       one number of several runs, as bars             {name: Run}
    convergence   the loss, by evaluation or by second            {name: history}
    scaling       seconds by the number of workers                {name: [Run, ...]}
    recovery      throughput through a fault, and what happened   one Run
    show          a figure in a notebook, with its description in words

A plot runs no experiment, and touches no global style, backend or file. Colours are those of
Okabe and Ito, "Color universal design", 2008, which colour-blind readers can tell apart; markers
and line styles tell them apart in grey.
"""

from labkit.plots.curves import compare, convergence, scaling
from labkit.plots.recovery import describe_recovery, recovery
from labkit.plots.show import show
from labkit.plots.timeline import timeline

__all__ = ["compare", "convergence", "describe_recovery", "recovery", "scaling", "show", "timeline"]

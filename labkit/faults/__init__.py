"""Faults as data: what goes wrong, for whom, and when.

    FaultPlan(Crash(2, at_step=5), Delay((0, 1), 0.05), seed=1)
                    |                     |
                    worker 2 ends         what 0 and 1 send each other comes 50 ms later
                    at its step 5

    world.run(program, shards, faults=plan)      real: SIGKILL, SIGSTOP, frames on labkit's links
                                                 simulated: the same on the virtual clock

A fault begins when its worker begins a step, has sent some number of messages, or when some time
has passed: `at_step`, `at_message`, `at_s`; without any of them, at once. Each strikes once in a
run: what is tried again after it succeeds, unless another fault is in its way.
"""

from labkit.faults.kinds import (
    Corrupt,
    Crash,
    Delay,
    Drop,
    Exhaust,
    Fault,
    FillDisk,
    LoseShard,
    Partition,
    Pause,
    Slow,
)
from labkit.faults.mystery import Mystery, mystery
from labkit.faults.plan import FaultPlan, Pending, check_plan, random_plan

__all__ = ["Corrupt", "Crash", "Delay", "Drop", "Exhaust", "Fault", "FaultPlan", "FillDisk",
           "LoseShard", "Mystery", "Partition", "Pause", "Pending", "Slow", "check_plan", "mystery",
           "random_plan"]

"""A learner's program is tried, and what is wrong is said in the learner's terms.

    labkit.check(program, "sum")

    exercise, tasks         the program, the serial answer, the input; the cases to try
    watched, trial          one simulated run: every message noted, and stopped if it does not end
    findings, waits         what is wrong with it             compare   how results differ
    shrink, patterns        the smallest case that is wrong so, and which cases are
    explain                 formulas, placed, contributions: what a wrong result comes from
    tags, cargo, trails     inputs by which each peer's value is known again, in any message
    races, steady, real     what only a disturbance, a second run or real workers show
    costs, memory           messages, bytes, rounds, seconds, peak memory against targets
    checker, report         one after the other; what a learner reads

What cannot be proved by trying is not claimed: a program that passes is right in the cases that
were tried.
"""

from labkit.checking.checker import check
from labkit.checking.costs import Cost, Targets
from labkit.checking.exercise import Case
from labkit.checking.report import Report, WrongProgram

__all__ = ["Case", "Cost", "Report", "Targets", "WrongProgram", "check"]

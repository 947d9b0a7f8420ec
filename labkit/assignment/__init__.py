"""Who does which task: policies as pure functions, and a clock to compare them with.

    before the start   round_robin, longest_first        costs are known, workers do not change
    when one is idle   singles, guided                   one queue; whoever is idle takes a chunk
                       victim                            a queue each; whoever is idle steals
                       local_task                        wait a little for a task whose data is here
                       should_launch_backup              do the slowest task a second time

m workers, n tasks, sum and max of their costs; no schedule ends before `lower_bound`:

    policy           makespan at most                   source
    round robin      ceil(n/m) max                      -
    list, singles    (2 - 1/m) lower bound              Graham 1966
    longest first    (4/3 - 1/(3m)) optimum             Graham 1969
    guided           sum/m + (1 - 1/m) max, if equal    Polychronopoulos and Kuck 1987
    stealing         sum/m + O(max), expected           Blumofe and Leiserson 1999
    delay            (sum + (n + m) delay)/m + max      Zaharia et al. 2010 (the policy)
    backups          that of the same list without      Zaharia et al. 2008 (the policy)

Each policy decides and does nothing; each `schedule_...` plays one on a clock of its own and
returns a `Schedule`. Bounds are for workers of equal speed. Costs are seconds on a worker of
speed 1.
"""

from labkit.assignment.backup import Progress, schedule_backups, should_launch_backup
from labkit.assignment.locality import delay_bound, local_task, schedule_delayed, skip_probability
from labkit.assignment.queue import (
    guided,
    guided_chunks_at_most,
    schedule_chunks,
    singles,
)
from labkit.assignment.schedule import Attempt, Schedule, list_bound, list_ratio, lower_bound
from labkit.assignment.static import (
    longest_first,
    longest_first_ratio,
    round_robin,
    round_robin_bound,
    schedule_plan,
)
from labkit.assignment.stealing import schedule_stealing, stealing_bound, victim

__all__ = ["Attempt", "Progress", "Schedule", "delay_bound", "guided", "guided_chunks_at_most",
           "list_bound", "list_ratio", "local_task", "longest_first", "longest_first_ratio",
           "lower_bound", "round_robin", "round_robin_bound", "schedule_backups",
           "schedule_chunks", "schedule_delayed", "schedule_plan", "schedule_stealing",
           "should_launch_backup", "singles", "skip_probability", "stealing_bound", "victim"]

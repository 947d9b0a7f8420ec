"""Delay scheduling: a worker that is idle waits a little for a task whose data it holds.

    worker 1 is idle; no task that waits has its data there
      waited less than delay_s    nothing yet: a local task may still appear, or be left over
      waited delay_s              any task, and its data must travel

Reading over the network makes a task longer, waiting makes it later. A delay of a small part
of a task's length is enough where data has several copies and workers fall idle often.

Source: Zaharia, Borthakur, Sen Sarma, Elmeleegy, Shenker and Stoica, "Delay scheduling",
EuroSys 2010. There a job waits, among many jobs; here there is one job, and a worker waits.
"""

from __future__ import annotations

from labkit.assignment.schedule import checked, play


def local_task(worker, waiting, locations, waited_s, delay_s):
    """Return the task that an idle worker does next, or None: it should wait on.

    Parameters
    ----------
    worker : int
    waiting : sequence of int
        Tasks that nobody has begun, in order.
    locations : sequence of collection of int
        For each task, the workers that hold its data.
    waited_s, delay_s : float
        How long the worker has waited for a local task, and how long it should.

    Returns
    -------
    int or None
        The first local task; else, after the delay, the first task.
    """
    for task in waiting:
        if worker in locations[task]:
            return task
    return waiting[0] if waiting and waited_s >= delay_s else None


def skip_probability(share, skips):
    """Return (1 - share)^skips: how likely no local task was met in so many offers.

    Parameters
    ----------
    share : float
        Share of the workers that hold data of the job's tasks (the paper's p).
    skips : int
        How many offers, by workers that fall idle at random, are let pass (its D).
    """
    return (1 - share)**skips


def delay_bound(costs, n_workers, delay_s):
    """Return (sum + (n + m) delay_s)/m + max: no makespan with delays exceeds it.

    `costs` are those of tasks far from their data. Until the last task begins each worker
    works, or waits: at most `delay_s` before each of n tasks, and once more in vain.
    """
    costs, _ = checked(costs, n_workers)
    waits = (len(costs) + n_workers) * delay_s
    return float((costs.sum() + waits) / n_workers + costs.max(initial=0.0))


def schedule_delayed(costs, locations, workers, delay_s, slowdown=2.0):
    """Play delay scheduling.

    Parameters
    ----------
    costs : array_like, shape (n_tasks,)
        Seconds at speed 1, with the data at hand.
    locations, delay_s
        As in `local_task`.
    workers : int, or array_like of shape (n_workers,)
        How many, or the speed of each.
    slowdown : float
        How many times longer a task takes when its data must travel.

    Returns
    -------
    Schedule
    """
    costs, speeds = checked(costs, workers)
    waiting = list(range(len(costs)))
    waits = set()                        # workers that let one offer pass

    def duration_s(task, worker):
        far = 1.0 if worker in locations[task] else slowdown
        return float(far * costs[task] / speeds[worker])

    def choose(worker, now):
        if not waiting:
            return None
        waited_s = delay_s if worker in waits else 0.0
        task = local_task(worker, waiting, locations, waited_s, delay_s)
        if task is None:
            waits.add(worker)
            return [], delay_s
        waits.discard(worker)
        waiting.remove(task)
        return [task], 0.0

    return play(len(speeds), duration_s, choose)

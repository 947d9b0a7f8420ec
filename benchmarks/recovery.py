"""What a killed worker costs: the same job without and with a SIGKILL half-way.

    without   worker 0  ============|============          seconds
              worker 1  ============|============
    with      worker 0  ============|================      seconds + extra
              worker 1  ============x        -========     killed; detected; replaced

Farm: 200 tasks of 0.05 s, which sleep. Training: 200 synchronous steps of gradient descent on
dense 200,000 x 50 (Spark 40), a part in each worker's memory; the clock starts when it is there.
"Half-way" is half the time that the same contender took without a kill just before, and extra what
it takes longer. Every cluster is warm, and all workers are there when a run begins. Answers are
compared with what Python and NumPy give.

Contenders differ in what their users have to write. labkit, Ray and Spark go on by themselves;
Dask does in the farm. A broken pool's user submits again, to a new pool, what has not returned, and
Dask's makes new actors: see `peers/recovery_*.py`.

Beside the table: seconds until labkit knows (confirmed minus injected), until a replacement has
joined, and tasks begun twice.

    python benchmarks/recovery.py
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"          # a core a worker, before NumPy is loaded

import bench  # noqa: E402
import numpy as np  # noqa: E402
from peers import recovery_jobs as jobs  # noqa: E402

import labkit  # noqa: E402
from labkit.faults import Crash, FaultPlan  # noqa: E402

ROUNDS = int(os.environ.get("LABKIT_ROUNDS", 3))
DETECTED_S = 0.1                             # the mark


# ---- labkit


def task(number):
    return jobs.task(number)


def program(me, X, y):
    state = me.restore(w=np.zeros(jobs.COLUMNS), step=0)

    def total(w, step):
        if step > state["step"]:
            me.commit(w=w, step=step)
        return me.allreduce(jobs.gradient(X, y, w))

    return jobs.descend(total, state["w"], state["step"])


def farm(world, faults):
    run = world.map(task, range(jobs.N_TASKS), faults=faults)
    return run, jobs.farm_is_right(run.results)


def train(world, faults, shards, folder):
    run = world.run(program, *shards, faults=faults, elastic=True)
    return run, all(jobs.training_is_right(folder, w) for w in run.results)


def compare(world, job):
    """Do a job without and with a crash; return times, and what the run's record says of it."""
    world.run(lambda me: None)               # waits for the last run's replacement
    without, (_, right) = jobs.timed(partial(job, world, FaultPlan()))
    world.run(lambda me: None)
    plan = FaultPlan(Crash(1, at_s=without / 2))
    seconds, (run, still_right) = jobs.timed(partial(job, world, plan))
    at = {mark.kind: mark.start_s for mark in reversed(run.marks)}
    begun = Counter(event.label.split()[1] for event in run.events if event.kind == "task")
    joined = [mark.start_s for mark in run.marks if "joined" in mark.label]
    return {"without": without, "with": seconds, "right": right and still_right,
            "detected": at["confirmed"] - at["injected"],
            "joined": joined[0] - at["injected"] if joined else None,
            "twice": sum(n > 1 for n in begun.values())}


# ---- a pool


def pool_farm(pools, n):
    """Map over a pool; what has not returned when it breaks goes to a new one."""
    answers = {}
    while len(answers) < jobs.N_TASKS:
        with ProcessPoolExecutor(n) as pool:
            pools.append(pool)
            futures = {pool.submit(task, number): number for number in range(jobs.N_TASKS)
                       if number not in answers}
            for future in as_completed(futures):
                try:
                    answers[futures[future]] = future.result()
                except BrokenProcessPool:
                    break
    return [answers[number] for number in range(jobs.N_TASKS)]


def pool_compare(n):
    pools = []
    return jobs.compare(partial(pool_farm, pools, n), lambda: lambda: max(pools[-1]._processes),
                        jobs.farm_is_right)


# ---- rounds and table


def one_round(worlds, shards, folder):
    """Return {job: {contender: what was measured}}."""
    found = {}

    def enter(n, by_job):
        for name, contenders in (by_job or {}).items():
            rows = {"farm": f"farm, {n} workers", "train": f"training, {n} workers"}
            found.setdefault(rows[name], {}).update(contenders)

    for n, world in worlds.items():
        enter(n, {"farm": {"labkit": compare(world, farm), "pool, by hand": pool_compare(n)}})
        if n == 2:
            trained = partial(train, shards=shards, folder=folder)
            enter(n, {"train": {"labkit": compare(world, trained)}})
        wanted = ["farm", "train"] if n == 2 else ["farm"]
        for script in ("dask", "ray", "spark")[:3 if n == 2 else 2]:
            enter(n, bench.peer(f"recovery_{script}.py", folder, n, *wanted))
    return found


def show(rounds):
    """Print the table, and return whether labkit's extra is below each peer's."""
    print(f"\nA worker killed half-way  ({bench.machine()})\n")
    print("| job | contender | seconds without | extra with a kill, median | min | max "
          "| extra / labkit's | right |")
    print("|" + "---|" * 8)
    below = {}
    for job, contenders in rounds[0].items():
        for name in contenders:
            runs = [found[job][name] for found in rounds]
            ours = [extra(found[job]["labkit"]) for found in rounds]
            theirs = list(map(extra, runs))
            without = statistics.median(run["without"] for run in runs)
            # Ratios of single rounds mean little: an extra may be as small as the noise.
            median, own = statistics.median(theirs), statistics.median(ours)
            right = f"{sum(run['right'] for run in runs)} of {len(runs)}"
            print(f"| {job} | {name} | {without:.2f} | {median:.2f} | {min(theirs):.2f} "
                  f"| {max(theirs):.2f} | {median / own:.2f} | {right} |")
            if name != "labkit":
                below[f"{name}, {job}"] = own < median
    return below


def extra(run):
    return run["with"] - run["without"]


def show_record(rounds):
    """Print what labkit's records say; return every time of detection."""
    print("\n| job | labkit knows after: median | max | replacement joined after | tasks twice |")
    print("|" + "---|" * 5)
    every = []
    for job in rounds[0]:
        runs = [found[job]["labkit"] for found in rounds]
        knows = [run["detected"] for run in runs]
        joined = [run["joined"] for run in runs if run["joined"] is not None]
        cell = f"{statistics.median(joined):.2f}" if joined else ""
        twice = ", ".join(str(run["twice"]) for run in runs) if "farm" in job else ""
        print(f"| {job} | {statistics.median(knows):.3f} | {max(knows):.3f} | {cell} | {twice} |")
        every += knows
    return every


def main():
    rounds = []
    with (tempfile.TemporaryDirectory() as folder, labkit.cluster(workers=2) as two,
          labkit.cluster(workers=4) as four):
        shards = two.shard(*jobs.write_data(folder))
        for number in range(ROUNDS):
            rounds.append(one_round({2: two, 4: four}, shards, folder))
            print(f"  round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    below = show(rounds)
    slowest = max(show_record(rounds))
    met = "met" if slowest <= DETECTED_S else "MISSED"
    print(f"\nMark: detected within {DETECTED_S} s: {met}, at most {slowest:.3f} s.")
    missed = [name for name, met in below.items() if not met]
    print(f"Mark: less extra time than each peer: {'MISSED by ' if missed else 'met'}"
          f"{'; '.join(missed)}.")


if __name__ == "__main__":
    main()

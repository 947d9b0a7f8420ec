"""Random schedules of faults: a thousand in the simulated world, two hundred in the real one.

    python tests/chaos.py [simulated schedules] [real ones] [first seed]

Every schedule is drawn from its seed: a job of `fault_jobs`, and one to three faults. A simulated
one runs twice, and must be the same to the byte. Prints what survived and what failed, with the
seed of each failure; ends with status 1 if there was one.
"""

from __future__ import annotations

import pickle
import sys
import time
import traceback

import numpy as np
from fault_jobs import JOBS, plan_for

import labkit

REAL_WORKERS = 3


def schedule(seed, n=None):
    """Return (job's name, number of workers, plan) of a seed."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(3, 9))
    job = list(JOBS)[rng.integers(len(JOBS))]
    return job, n, plan_for(job, rng, n)


def simulated(seed):
    """Run a schedule twice on the virtual clock; return its record."""
    job, n, plan = schedule(seed)
    records = []
    for _ in range(2):
        run = JOBS[job][0](labkit.simulated(n, checksums=True, seed=seed), plan)
        records.append(pickle.dumps((run.results, run.seconds, run.messages, run.nbytes,
                                             list(run.events), run.generations)))
    assert records[0] == records[1], "the same seed must give the same run"


def real(seed, world):
    job, _, plan = schedule(seed, REAL_WORKERS)
    JOBS[job][0](world, plan)


def survive(title, seeds, run):
    """Run every seed; print and return the seeds that failed."""
    began, failed = time.perf_counter(), []
    for seed in seeds:
        try:
            run(seed)
        except Exception:
            failed.append(seed)
            print(f"\n{title} seed {seed}: {schedule(seed, None if run is simulated else 3)}")
            traceback.print_exc(limit=-3)
    which = f", seeds {failed}" if failed else ""
    print(f"{title}: {len(seeds) - len(failed)} survived, {len(failed)} failed{which}, "
          f"{time.perf_counter() - began:.0f} s", flush=True)
    return failed


def main(n_simulated=1000, n_real=200, first=0):
    failed = survive("simulated", range(first, first + n_simulated), simulated)
    if n_real:
        with labkit.cluster(workers=REAL_WORKERS, deadline_s=30, checksums=True,
                            hang_s=0.7) as world:
            failed += survive("real", range(first, first + n_real), lambda s: real(s, world))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

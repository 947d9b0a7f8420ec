"""Every model under every fault that applies to it, in the simulated and in the real world."""

import gc
import threading

import numpy as np
import psutil
import pytest
from fault_jobs import JOBS, draw

import labkit
from labkit.faults import FaultPlan

WORKERS = 3
MATRIX = [(job, kind) for job, (_, kinds) in JOBS.items() for kind in kinds]
every = pytest.mark.parametrize(("job", "kind"), MATRIX,
                                ids=[f"{job}, {kind.__name__}" for job, kind in MATRIX])


@pytest.fixture(scope="module")
def checked_cluster():
    with labkit.cluster(workers=WORKERS, deadline_s=30, checksums=True, hang_s=0.7) as world:
        yield world


def one_fault(job, kind, seed):
    rng = np.random.default_rng([seed, MATRIX.index((job, kind))])
    worker = int(rng.integers(1, WORKERS)) if job == "farm" else None
    return FaultPlan(draw(kind, rng, WORKERS, worker), seed=seed)


@pytest.mark.parametrize("seed", range(3))
@every
def test_simulated(job, kind, seed):
    world = labkit.simulated(WORKERS, checksums=True)
    JOBS[job][0](world, one_fault(job, kind, seed))


@every
def test_real(checked_cluster, job, kind):
    before = open_files()
    JOBS[job][0](checked_cluster, one_fault(job, kind, 0))
    gc.collect()
    assert threading.active_count() < 60
    assert open_files() <= before + 20, "sockets of the client"


def open_files():
    return psutil.Process().num_fds()

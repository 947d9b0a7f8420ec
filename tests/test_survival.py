"""What the real world survives beyond the matrix: exact attempts, memory, silence, schedulers."""

import os
import re
import signal
import threading
import time
from collections import Counter
from functools import partial

import dask.array as da
import numpy as np
import pytest
from by_hand import started
from fault_jobs import trained

import labkit
from labkit.checkpoint import Checkpoints
from labkit.errors import ClusterError, ConfigurationError, ProgramError
from labkit.faults import Corrupt, Crash, Exhaust, FaultPlan, LoseShard
from labkit.models import peer_to_peer
from labkit.records import LOST
from labkit.sharding import zipped


def pids(world):
    return world.run(lambda me: os.getpid()).results


def logged(path, number):
    """A task that leaves a line for each time it is begun, and one when it is done."""
    with open(path, "a") as log:
        log.write(f"begun {number}\n")
    time.sleep(0.02)
    with open(path, "a") as log:
        log.write(f"done {number}\n")
    return number


def test_what_was_done_is_not_done_again(cluster, tmp_path):
    path = tmp_path / "log"
    cluster.map(partial(logged, tmp_path / "before"), range(3))      # workers import this file
    run = cluster.map(partial(logged, path), range(30), faults=FaultPlan(Crash(1, at_s=0.15)))
    assert run.results == list(range(30))
    lines = Counter(path.read_text().splitlines())
    attempts = Counter(event.label.split()[1] for event in run.tasks)
    lost = Counter(event.label.split()[1] for event in run.tasks if event.label.endswith(LOST))
    assert 1 <= lost.total() == run.lost_attempts
    for n in map(str, range(30)):
        assert attempts[n] == 1 + lost[n]
        # The crash may come before the first line, or after the last one and before the answer.
        assert 1 <= lines[f"done {n}"] <= lines[f"begun {n}"] <= attempts[n]
    assert attempts.total() < 45             # rank 1 alone was to do ten


def test_shards_of_the_dead_come_from_their_source_and_are_compared(cluster):
    X = np.arange(60.0).reshape(12, 5)
    shards = cluster.shard(X)
    run = cluster.map(np.sum, shards, faults=FaultPlan(Crash(1, at_step=0)))
    np.testing.assert_allclose(sum(run.results), X.sum())
    X[:] = 7                                     # behind labkit's back
    with pytest.raises(labkit.errors.DataError, match="not what it was") as caught:
        cluster.run(lambda me, part: me.step(0), shards, elastic=True,
                    faults=FaultPlan(LoseShard(0, at_step=0)))
    assert "leave arrays as they are" in caught.value.remedy


@pytest.mark.parametrize("copies", [1, 2])
def test_chunks_of_the_dead_are_read_again(cluster, copies):
    X = np.arange(60.0).reshape(12, 5)
    shards = cluster.shard(da.from_array(X, chunks=(2, 5)))
    items, task = (zipped(shards, shards), zipped_sum) if copies == 2 else (shards, np.sum)
    for _ in range(2):                            # the second time from where they are now
        run = cluster.map(task, items, faults=FaultPlan(Crash(1, at_step=0)))
        np.testing.assert_allclose(sum(run.results), copies * X.sum())
        assert run.marks[0].kind == "injected" and run.lost_attempts >= 1
    run = cluster.run(chunk_sum, shards, faults=FaultPlan(Crash(2, at_step=0)), elastic=True)
    assert {result for result in run.results if result is not None} == {X.sum()}


def zipped_sum(parts):
    return sum(part.sum() for part in parts)


def chunk_sum(me, part):
    me.step(0)
    return me.allreduce(part.sum())


def test_what_an_earlier_run_announced_is_not_taken_for_a_fault_of_this_one(cluster):
    told = {"fault": 0, "plan": "an earlier one", "worker": cluster._workers[1], "step": -1,
            "time": time.time() + 5}
    cluster.health._told.append(told)
    try:
        assert cluster.map(abs, range(3)).marks == []
        assert cluster.run(lambda me: me.step(0)).marks == []
    finally:
        cluster.health._told.remove(told)


def waits_for_the_last(folder, number):
    """Task 0 takes until the last one is done, by someone else."""
    (folder / f"{number}").touch()
    until = time.monotonic() + 20
    while number == 0 and not (folder / "19").exists() and time.monotonic() < until:
        time.sleep(0.01)
    return (folder / "19").exists()


def test_a_part_of_a_cluster_takes_tasks_from_a_queue_too(cluster, tmp_path):
    with cluster.like(workers=2) as two:
        run = two.map(partial(waits_for_the_last, tmp_path), range(20))
    assert run.results[0] and run.results[19]
    assert sum(run.results) <= 3                  # one more may have stood behind task 0
    assert sorted(Counter(event.rank for event in run.tasks).values())[0] <= 2


def test_a_worker_may_get_the_address_of_a_dead_one(cluster):
    with cluster.like(workers=2) as two:
        shards = two.shard(np.arange(6.0))
        address = two._workers[1]
        event = {"worker": address, "processing-tasks": [], "lost-computed-tasks": []}
        two.health._on_event((0, event | {"action": "remove-worker"}))
        assert address in two.health.gone
        two.health._on_event((0, event | {"action": "add-worker"}))
        assert address not in two.health.gone and address in two.health.reborn
        two.client.cancel([shards.parts[1].future], force=True)       # it went with the dead one
        two.run(chunk_sum, shards).verify(15.0)
        assert address in two._workers and not two.health.reborn
        assert sum(two.map(np.sum, shards).results) == 15.0


def test_too_much_memory_is_an_error_and_the_worker_lives():
    with labkit.cluster(workers=2, memory_limit="800MB", deadline_s=60) as world:
        before = pids(world)
        with pytest.raises(ProgramError, match="MemoryError on item 1"):
            world.map(lambda i: np.ones(10**9 * i).sum(), range(2))
        with pytest.raises(ProgramError, match="MemoryError in peer 1"):
            world.run(lambda me: me.step(0), faults=FaultPlan(Exhaust(1, at_step=0)))
        assert pids(world) == before


def hold_the_lock(seconds):
    """Keep Python's interpreter lock for some seconds, as only C code can."""
    until, length = time.monotonic() + seconds, 18
    while time.monotonic() < until:
        re.match("(a+)+$", "a" * length + "b")
        length += 1


def test_who_stands_still_is_ended_and_who_is_busy_is_not():
    with labkit.cluster(workers=2, hang_s=0.6, deadline_s=60) as world:
        before = pids(world)
        world.map(hold_the_lock, [1.2, 1.2])
        assert pids(world) == before

        def stopped(me):
            if me.rank == 1:
                os.kill(os.getpid(), signal.SIGSTOP)
            return me.allreduce(1)

        with pytest.raises(ClusterError, match="died") as caught:
            world.run(stopped)
        assert "peer 1" in caught.value.got and "SIGKILL" in caught.value.got
        after = pids(world)
        assert after[0] == before[0] and after[1] != before[1]


def test_results_that_cannot_travel_are_named(cluster):
    with pytest.raises(ProgramError, match="in peer 1") as caught:
        cluster.run(lambda me: threading.Lock() if me.rank == 1 else 0)
    assert isinstance(caught.value.__cause__, ConfigurationError)
    with pytest.raises(ProgramError, match="on item 1"):
        cluster.map(lambda i: threading.Lock() if i == 1 else i, range(2))


def test_without_checksums_a_flipped_bit_arrives(cluster):
    def program(me):
        me.step(0)
        if me.rank == 0:
            me.send(1, np.zeros(100_000))
        return me.recv(0) if me.rank == 1 else None

    for plan in (FaultPlan(Corrupt((0, 1), at_step=0)), FaultPlan()):
        run = cluster.run(program, faults=plan)
        assert np.unpackbits(run.results[1].view(np.uint8)).sum() == len(plan)


# ---- clusters that others have started


@pytest.fixture
def by_hand(tmp_path):
    """(address, scheduler's process) of a cluster with two workers and their nannies."""
    with started(tmp_path, 2, "--no-dashboard") as cluster:
        yield cluster


def test_on_a_cluster_given_by_address_a_worker_strikes_itself_and_is_replaced(by_hand):
    with labkit.cluster(by_hand[0], deadline_s=60) as world:
        run = trained(peer_to_peer.train, world, FaultPlan(Crash(1, at_step=4)))
        assert [mark.kind for mark in run.marks][:2] == ["injected", "confirmed"]
        run = trained(peer_to_peer.train, world, FaultPlan())
        assert not run.marks


def test_a_scheduler_that_dies_is_named_and_the_run_goes_on_elsewhere(by_hand, tmp_path):
    address, scheduler = by_hand
    kept = Checkpoints(tmp_path / "kept")

    def training(me, wait_s):
        state = me.restore(total=0.0, step=0)
        total = state["total"]
        for step in range(state["step"], 20):
            me.step(step)
            total += me.allreduce(1.0)
            me.commit(total=total, step=step + 1)
            if step == 9:
                time.sleep(wait_s)
        return total

    with labkit.cluster(address, deadline_s=60) as world:
        threading.Timer(1.0, scheduler.kill).start()
        with pytest.raises(ClusterError, match="scheduler is gone") as caught:
            world.run(training, [30, 30], checkpoints=kept)
        assert caught.value.where == address
        with pytest.raises(ClusterError, match="scheduler is gone"):
            world.map(abs, range(3))
    with labkit.simulated(2) as world:
        run = world.run(training, [0, 0], checkpoints=kept)
    assert run.results == [40.0, 40.0]
    assert min(event.step for event in run.events if event.kind == "step") == 10

"""How much memory workers hold is in the record of real runs."""

import time

import numpy as np
import psutil

from labkit.cluster.resident import resident_nbytes


def test_it_is_what_the_system_says():
    held = np.ones(10_000_000)
    rss = psutil.Process().memory_info().rss
    assert abs(resident_nbytes() - rss) < 0.05 * rss
    assert rss > held.nbytes


def test_a_run_shows_what_its_workers_hold(cluster):
    def program(me):
        me.step(0)
        held = np.ones(10_000_000 if me.rank == 1 else 1)
        time.sleep(0.01)                 # it looks every few milliseconds
        me.step(1)
        return held.sum()

    run = cluster.run(program)
    held = [[e.nbytes for e in run.events if e.kind == "memory" and e.rank == rank]
            for rank in range(3)]
    assert all(len(mine) >= 2 for mine in held)
    assert max(held[1]) - min(held[1]) > 70_000_000
    assert cluster.run(program, record=False).events == type(run.events)()


def test_a_map_shows_what_its_workers_hold_after_each_task(cluster):
    run = cluster.map(lambda i: i, range(5))
    held = [event for event in run.events if event.kind == "memory"]
    assert len(held) == 5
    assert {event.rank for event in held} <= {0, 1, 2}
    assert all(event.nbytes > 10_000_000 for event in held)

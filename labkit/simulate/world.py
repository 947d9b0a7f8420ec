"""The simulated world: the same programs and tasks, on a virtual clock; see `peers` and `tasks`."""

from __future__ import annotations

import contextlib
import time

from threadpoolctl import threadpool_limits

from labkit.errors import ConfigurationError
from labkit.network import named_machine, named_network
from labkit.records import Events, Run, WorldInfo
from labkit.serial import (
    checked,
    local_parts,
    place_here,
    program_error,
    run_task,
    task_name,
)
from labkit.sharding import Shards
from labkit.simulate.generations import FaultyRun
from labkit.simulate.peers import SimulatedRun
from labkit.simulate.task_faults import TaskFaults
from labkit.simulate.tasks import assign, map_record, stored_in, value_of
from labkit.simulate.timed import kind_of_peer
from labkit.world import World, check_shards


class SimulatedWorld(World):
    """Peers on a virtual clock; made by `labkit.simulated`.

    Parameters
    ----------
    workers : int
        How many peers; thousands are fine.
    network : str or Network
        What connects them: "10GbE" by default; `labkit.network.NETWORKS` has more.
    machine : str or Machine
        What each computes with, for programs that call `me.work`.
    seed : int
        Of the network's jitter.
    task_overhead_s : float
        The scheduler's time for one task of `map`; Dask needs about 2.5 ms.
    task_turnaround_s : float
        From the end of a worker's task to the begin of its next one.
    task_network : str or Network, optional
        What connects scheduler, workers and client, for items and results of `map`; by default
        what connects the peers.
    checksums : bool
        Whether links find what a `Corrupt` fault flips, and send it again.
    hang_s : float
        How long a worker may be stopped before it counts as dead, and is replaced.
    timed : bool
        Whether the programs' own code and tasks are timed as they run here, instead of by what
        they say that they cost: see `labkit.simulate.timed`. Not with faults or checkpoints.
    """

    def __init__(self, workers=4, network="10GbE", machine="laptop core", seed=0,
                 task_overhead_s=2.5e-3, task_turnaround_s=0.0, task_network=None,
                 checksums=False, hang_s=1.5, timed=False):
        super().__init__(workers)
        self.network = named_network(network)
        self._own_task_network = task_network
        self.task_network = self.network if task_network is None else named_network(task_network)
        self.machine = named_machine(machine)
        self.seed = seed
        self.checksums = checksums
        self.hang_s = hang_s
        self.timed = timed
        for name, value in (("task_overhead_s", task_overhead_s),
                            ("task_turnaround_s", task_turnaround_s)):
            if not value >= 0:
                raise ConfigurationError("A scheduler cannot be faster than no time at all.",
                                         expected="seconds, 0 or more", got=value,
                                         where=f"{name}=")
        self.task_overhead_s = task_overhead_s
        self.task_turnaround_s = task_turnaround_s

    def run(self, program, *shards, record=True, tolerate_loss=False, faults=None, elastic=None,
            checkpoints=None):
        check_shards(shards, self.workers)
        plan, elastic, checkpoints = self._under_run(faults, elastic, checkpoints)
        if plan or elastic or checkpoints is not None:
            self._check_not_timed()
            run = FaultyRun(self, plan, record, elastic, tolerate_loss, checkpoints)
            return self._made(run.run(program, shards, self.info()))
        run = SimulatedRun(self.workers, self.network, self.machine, self.seed, record,
                           kind_of_peer(self.machine, self.timed))
        results = [None] * self.workers

        def body(peer):
            parts = local_parts(shards, peer.rank)
            peer.begin()
            try:
                results[peer.rank] = program(peer, *parts)
            except Exception as error:
                raise program_error(error, peer) from error
            peer.end()

        with self._like_a_worker():
            run.go(body)
        seconds = max(peer._clock for peer in run.peers)
        return self._made(Run(results, seconds, run.messages, run.nbytes,
                              Events(run.events), world=self.info()))

    def map(self, task, items, work=None, record=True, keep=None, backup=None, faults=None):
        plan = self._under_map(faults)
        parts = list(items.parts if isinstance(items, Shards) else items)
        pinned = isinstance(items, Shards) and not any(map(stored_in, parts))
        run_one = checked(task, keep)
        results, took_s = [], []
        with self._like_a_worker():
            for number, part in enumerate(parts):
                began_s = time.thread_time()
                results.append(run_task(run_one, value_of(part), number))
                took_s.append(time.thread_time() - began_s)

        def cost_s(number):
            if self.timed:
                return took_s[number]
            return self.machine.work_s(**(work(value_of(parts[number])) if work else {}))

        if plan:
            self._check_not_timed()
        struck = TaskFaults(self, plan) if plan else None
        schedule = assign(self, parts, pinned, cost_s, backup, struck)
        return self._made(map_record(self, results, schedule, task_name(task), record, keep,
                                          struck.marks if struck else ()))

    def _like_a_worker(self):
        """Have what is timed compute with one thread, as workers do."""
        return threadpool_limits(1) if self.timed else contextlib.nullcontext()

    def _check_not_timed(self):
        if self.timed:
            raise ConfigurationError("A timed world knows no faults.", expected="timed=False",
                                     got="timed=True, with faults, elastic= or checkpoints=",
                                     remedy="declare what computing costs: me.work(flops=...)")

    def like(self, **changes):
        settings = dict(workers=self.workers, network=self.network, machine=self.machine,
                        seed=self.seed, task_overhead_s=self.task_overhead_s,
                        task_turnaround_s=self.task_turnaround_s,
                        task_network=self._own_task_network, checksums=self.checksums,
                        hang_s=self.hang_s, timed=self.timed)
        return SimulatedWorld(**settings | changes)

    def info(self):
        return WorldInfo("simulated", self.workers, self.network, machine=self.machine,
                         seed=self.seed)

    def _place(self, blocks, by):
        return place_here(blocks, by)

    def __repr__(self):
        return f"<labkit.simulated: {self.workers} workers, {self.network.name}>"

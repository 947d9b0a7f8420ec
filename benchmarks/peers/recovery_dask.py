"""A worker killed half-way under plain Dask: folder with the data, workers, jobs.

farm: `map` and `gather`, which leaves results with the workers until all are there, and
`as_completed(with_results=True)`, which takes each away at once. train: an actor a shard. Dask
restarts no actor, so its user makes new ones and begins again, or goes on with the step and the
weights that the driver has.
"""

import json
import os
import sys
from functools import partial

import recovery_jobs as jobs
from distributed import Client, LocalCluster, as_completed


class Shard:
    """An actor with its part of the rows."""

    def __init__(self, folder, part, n):
        self.X, self.y = jobs.part_of(folder, part, n)

    def gradient(self, w):
        return jobs.gradient(self.X, self.y, w)


def gather(client):
    return client.gather(client.map(jobs.task, range(jobs.N_TASKS), pure=False))


def completed(client):
    futures = client.map(jobs.task, range(jobs.N_TASKS), pure=False)
    numbers, answers = {f: number for number, f in enumerate(futures)}, {}
    coming = as_completed(futures, with_results=True)
    del futures
    for future, answer in coming:
        answers[numbers.pop(future)] = answer
        future.release()
    return [answers[number] for number in range(jobs.N_TASKS)]


class Training:
    """Descent over actors, made anew when one is lost."""

    def __init__(self, client, folder, n, goes_on):
        self.client, self.folder, self.n, self.goes_on = client, folder, n, goes_on

    def actor(self, part, **where):
        return self.client.submit(Shard, self.folder, part, self.n, actor=True, pure=False, **where)

    def place(self):
        """Make the actors, one a worker, and wait for them."""
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"])
        self.futures = [self.actor(part, workers=[worker])
                        for part, worker in zip(range(self.n), workers, strict=True)]
        self.actors = [future.result() for future in self.futures]

    def total(self, w, step):
        self.at = w, step
        return sum([asked.result() for asked in [actor.gradient(w) for actor in self.actors]])

    def run(self):
        at = None, 0
        while True:
            try:
                return jobs.descend(self.total, *at)
            except OSError:                          # an actor's worker cannot be reached
                at = self.replace()

    def replace(self):
        """Make new actors wherever Dask puts them; return from where to go on."""
        alive = self.client.scheduler_info(n_workers=-1)["workers"]
        for part in range(self.n):
            if not self.goes_on or self.actors[part]._address not in alive:
                self.futures[part] = self.actor(part)
        self.actors = [future.result() for future in self.futures]
        return self.at if self.goes_on else (None, 0)


def main(folder, n, *wanted):
    found = {}
    with (LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address="127.0.0.1:0",
                       host="127.0.0.1", memory_limit=None, silence_logs=50) as cluster,
          Client(cluster) as client):
        def ready(prepare=lambda: None):
            client.wait_for_workers(n)
            client.run(lambda: None)
            prepare()
            pids = list(client.run(os.getpid).values())
            return lambda: pids[-1]

        if "farm" in wanted:
            for name, job in {"Dask gather": gather, "Dask as_completed": completed}.items():
                found.setdefault("farm", {})[name] = jobs.compare(
                    partial(job, client), ready, jobs.farm_is_right)
        if "train" in wanted:
            for name, goes_on in {"Dask, begins again": False, "Dask, goes on": True}.items():
                training = Training(client, folder, n, goes_on)
                found.setdefault("train", {})[name] = jobs.compare(
                    training.run, partial(ready, training.place),
                    partial(jobs.training_is_right, folder))
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])

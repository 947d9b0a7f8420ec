"""A worker killed half-way under Ray: folder with the data, workers, jobs.

farm: tasks with the retries that they have by default; the process killed is one that runs a task
at that moment. train: an actor a shard, which Ray restarts, so that it reads its rows again, and
whose call it repeats; weights and step are with the driver.
"""

import json
import sys
from functools import partial

import psutil
import ray
import recovery_jobs as jobs


@ray.remote
def task(number):
    return jobs.task(number)


@ray.remote(max_restarts=1, max_task_retries=1)
class Shard:
    def __init__(self, folder, part, n):
        self.X, self.y = jobs.part_of(folder, part, n)

    def gradient(self, w):
        return jobs.gradient(self.X, self.y, w)


def farm():
    return ray.get([task.remote(number) for number in range(jobs.N_TASKS)])


def find(title):
    """Return the pid of a process of this Ray that does what its title says."""
    for process in psutil.Process().children(recursive=True):
        if process.cmdline()[:1] and process.cmdline()[0].startswith(title):
            return process.pid
    raise RuntimeError(f"no {title}")


class Training:
    def __init__(self, folder, n):
        self.folder, self.n = folder, n

    def place(self):
        self.actors = [Shard.remote(self.folder, part, self.n) for part in range(self.n)]
        ray.get([actor.gradient.remote(jobs.np.zeros(jobs.COLUMNS)) for actor in self.actors])
        return partial(find, "ray::Shard")

    def total(self, w, step):
        return sum(ray.get([actor.gradient.remote(w) for actor in self.actors]))

    def run(self):
        return jobs.descend(self.total)


def main(folder, n, *wanted):
    # Ray takes 127.0.0.1 for this machine's outward address.
    ray.init(num_cpus=n, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             _node_ip_address="127.0.0.2")
    found = {}
    if "farm" in wanted:
        def ready():
            ray.get([task.remote(number) for number in range(2 * n)])
            return partial(find, "ray::task")

        found["farm"] = {"Ray": jobs.compare(farm, ready, jobs.farm_is_right)}
    if "train" in wanted:
        training = Training(folder, n)
        found["train"] = {"Ray": jobs.compare(training.run, training.place,
                                              partial(jobs.training_is_right, folder))}
    print(json.dumps(found), flush=True)
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])

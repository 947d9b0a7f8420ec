"""All-reduce by Ray actors through its object store: workers, then sizes in bytes.

Each actor puts its array into the store, and adds up what all have put.
"""

import json
import statistics
import sys
import time

import numpy as np
import ray


def named(nbytes):
    return f"{nbytes // 1048576} MB" if nbytes >= 1048576 else f"{nbytes // 1024} KB"


@ray.remote(num_cpus=0)
class Peer:
    def make(self, nbytes):
        self.x = np.zeros(nbytes // 4, np.float32)

    def give(self):
        return self.x

    def add(self, *arrays):
        np.add(arrays[0], arrays[1], out=self.x)
        for array in arrays[2:]:
            self.x += array


n, *sizes = map(int, sys.argv[1:])
ray.init(num_cpus=n, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
         object_store_memory=4 * 2**30, _node_ip_address="127.0.0.1")
peers, found = [Peer.remote() for _ in range(n)], {}
for nbytes in sizes:
    ray.get([peer.make.remote(nbytes) for peer in peers])
    times = []
    for _ in range(max(3, min(30, 67108864 // nbytes))):
        start = time.perf_counter()
        arrays = [peer.give.remote() for peer in peers]
        ray.get([peer.add.remote(*arrays) for peer in peers])
        times.append(time.perf_counter() - start)
    found[named(nbytes)] = statistics.median(times)
print(json.dumps(found), flush=True)

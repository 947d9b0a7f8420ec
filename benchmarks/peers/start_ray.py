"""Start Ray until n workers have answered, twice: first, later."""

import json
import sys
import time

begin = time.perf_counter()
import ray  # noqa: E402

n, seconds = int(sys.argv[1]), []
for _ in range(2):
    ray.init(num_cpus=n, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             _node_ip_address="127.0.0.1")

    @ray.remote
    def answer():
        time.sleep(0.01)

    ray.get([answer.remote() for _ in range(n)])
    seconds.append(time.perf_counter() - begin)
    ray.shutdown()
    begin = time.perf_counter()
print(json.dumps({"first": seconds[0], "later": seconds[1]}))

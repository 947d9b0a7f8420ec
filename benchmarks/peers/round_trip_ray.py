"""Round trip of 8 bytes between two Ray actors: one calls the other, again and again."""

import json
import time

import numpy as np
import ray

TRIPS = 1_000


@ray.remote(num_cpus=0)
class Peer:
    def answer(self, message):
        return message

    def ask(self, other):
        message = np.zeros(1)
        ray.get(other.answer.remote(message))
        start = time.perf_counter()
        for _ in range(TRIPS):
            message = ray.get(other.answer.remote(message))
        return (time.perf_counter() - start) / TRIPS


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
         _node_ip_address="127.0.0.1")
first, second = Peer.remote(), Peer.remote()
print(json.dumps({"8 bytes": ray.get(first.ask.remote(second))}), flush=True)

"""A synchronous parameter server by Dask actors in worker processes: parameters, steps, ...

Each worker calls the server's actor directly, by Dask's comms; the server answers when the
gradients of both are there.
"""

import asyncio
import json
import sys
import time

import numpy as np
import updates
from distributed import Client, LocalCluster


class Server:
    """The parameters, and the gradients of the step that is under way."""

    def __init__(self, n):
        self.w = np.zeros(n, np.float32)
        self.held = []
        self.future = None

    async def step(self, gradient):
        self.held.append(gradient)
        if len(self.held) == 1:
            self.future = asyncio.get_running_loop().create_future()
            return await self.future
        total = self.held[0] + self.held[1]
        total *= updates.RATE / 2
        self.w -= total
        self.held = []
        # No gradient comes before both workers have these parameters: no copy needed.
        self.future.set_result(self.w)
        return self.w

    def parameters(self):
        return self.w


class Worker:
    def __init__(self, n, rank):
        self.mine = updates.gradient(n, rank)

    def train(self, server, steps):
        for step in range(steps):
            w = server.step(self.mine).result()
            assert w[-1] == updates.RATE * (step + 1) * -((len(w) - 1) % 7 + 1.5)


def main(works):
    found = {}
    with (LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address="127.0.0.1:0",
                       memory_limit=None) as cluster, Client(cluster) as client):
        places = list(client.scheduler_info(n_workers=-1)["workers"])

        def actor(kind, place, *arguments):
            return client.submit(kind, *arguments, actor=True, workers=[places[place]],
                                 pure=False).result()

        for n, steps in works:
            workers = [actor(Worker, rank, n, rank) for rank in (1, 2)]
            for count in (3, steps):                 # the first to warm up
                server = actor(Server, 0, n)
                start = time.perf_counter()
                for done in [worker.train(server, count) for worker in workers]:
                    done.result()
                seconds = time.perf_counter() - start
                w = server.parameters().result()
                assert (w == updates.parameters(n, count)).all(), "these parameters are wrong"
            found[updates.named(n)] = steps / seconds
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(updates.works(sys.argv[1:]))

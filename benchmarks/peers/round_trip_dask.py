"""Round trip of 8 bytes between two Dask workers: by their comms, or by an actor."""

import json
import sys
import time

import numpy as np
from distributed import Client, LocalCluster, comm, get_client

TRIPS = 1_000


class Peer:
    def answer(self, message):
        return message


def ask(actor):
    """Call the actor from another worker's task."""
    get_client()
    message = np.zeros(1)
    actor.answer(message).result()
    start = time.perf_counter()
    for _ in range(TRIPS):
        message = actor.answer(message).result()
    return (time.perf_counter() - start) / TRIPS


async def listen(dask_worker):
    """Answer whatever comes, on a listener of its own; return where."""
    async def answer(connection):
        try:
            while True:
                await connection.write(await connection.read())
        except comm.CommClosedError:
            pass

    dask_worker.listener_of_bench = await comm.listen("tcp://127.0.0.1:0", answer)
    return dask_worker.listener_of_bench.contact_address


async def talk(address):
    """Ask over a comm, on the worker's event loop."""
    connection = await comm.connect(address)
    start = time.perf_counter()
    for _ in range(TRIPS):
        await connection.write(b"12345678")
        await connection.read()
    seconds = (time.perf_counter() - start) / TRIPS
    await connection.close()
    return seconds


def main(how):
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                      host="127.0.0.1") as cluster, Client(cluster) as client:
        first, second = client.scheduler_info()["workers"]
        if how == "actor":
            actor = client.submit(Peer, actor=True, workers=[second])
            seconds = client.submit(ask, actor.result(), workers=[first]).result()
        else:
            address = client.run(listen, workers=[second])[second]
            seconds = client.run(talk, address, workers=[first])[first]
    print(json.dumps({"8 bytes": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

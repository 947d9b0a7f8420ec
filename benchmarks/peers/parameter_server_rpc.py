"""A synchronous parameter server by torch's RPC (TensorPipe): parameters, steps, ...

As in PyTorch's tutorial on batch processing: the server answers a gradient with a future, which
gets its value when the gradients of both workers are there.
"""

import json
import os
import sys
import threading
import time

import torch
import torch.distributed.rpc as rpc
import torch.multiprocessing as mp
import updates

WORKERS = 1, 2


class Server:
    """The parameters, and the gradients of the step that is under way."""

    def __init__(self, n):
        self.w = torch.zeros(n)
        self.held = []
        self.future = torch.futures.Future()
        self.lock = threading.Lock()

    @staticmethod
    @rpc.functions.async_execution
    def step(server, gradient):
        self = server.local_value()
        with self.lock:
            self.held.append(gradient)
            future = self.future
            if len(self.held) == len(WORKERS):
                total = self.held[0].add_(self.held[1])
                self.w.sub_(total, alpha=updates.RATE / len(WORKERS))
                self.held, self.future = [], torch.futures.Future()
                # No gradient comes before both workers have these parameters: no copy needed.
                future.set_result(self.w)
        return future

    def parameters(self):
        return self.w


def compute(server, n, steps):
    """One worker's side: its gradient to the server, the new parameters back."""
    mine = torch.from_numpy(updates.gradient(n, rpc.get_worker_info().id))
    for step in range(steps):
        w = rpc.rpc_sync("0", Server.step, args=(server, mine))
        assert w[-1] == updates.RATE * (step + 1) * -((n - 1) % 7 + 1.5)


def work(rank, works):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29514", GLOO_SOCKET_IFNAME="lo",
                      TP_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    options = rpc.TensorPipeRpcBackendOptions(init_method="env://", rpc_timeout=300)
    rpc.init_rpc(str(rank), rank=rank, world_size=1 + len(WORKERS), rpc_backend_options=options)
    found = {}
    for n, steps in works if rank == 0 else []:
        for count in (3, steps):                     # the first to warm up
            server = rpc.RRef(Server(n))
            start = time.perf_counter()
            for done in [rpc.rpc_async(str(worker), compute, args=(server, n, count))
                         for worker in WORKERS]:
                done.wait()
            seconds = time.perf_counter() - start
            w = server.local_value().parameters().numpy()
            assert (w == updates.parameters(n, count)).all(), "these parameters are wrong"
        found[updates.named(n)] = steps / seconds
    rpc.shutdown()
    if rank == 0:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    mp.spawn(work, args=(updates.works(sys.argv[1:]),), nprocs=1 + len(WORKERS))

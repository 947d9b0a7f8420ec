"""A synchronous parameter server by torch.distributed over gloo: parameters, steps, ...

The server receives from both workers at once, into buffers that it keeps, and answers both at
once; it asks for the next gradients before it answers.
"""

import json
import os
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import updates

WORKERS = 1, 2


def serve(w, steps, buffers):
    coming = [dist.irecv(buffers[worker], worker) for worker in WORKERS]
    for step in range(steps):
        for message in coming:
            message.wait()
        total = buffers[1].add_(buffers[2])
        w.sub_(total, alpha=updates.RATE / len(WORKERS))
        if step < steps - 1:
            coming = [dist.irecv(buffers[worker], worker) for worker in WORKERS]
            going = [dist.isend(w, worker) for worker in WORKERS]
            for message in going:
                message.wait()


def compute(w, steps, gradient):
    for step in range(steps):
        coming = dist.irecv(w, 0) if step < steps - 1 else None
        dist.send(gradient, 0)
        if coming:
            coming.wait()


def work(rank, works):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29513", GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=1 + len(WORKERS))
    found = {}
    for n, steps in works:
        mine = torch.from_numpy(updates.gradient(n, rank))
        buffers = {worker: torch.zeros(n) for worker in WORKERS if rank == 0}
        for count in (3, steps):                     # the first to warm up
            w = torch.zeros(n)
            dist.barrier()
            start = time.perf_counter()
            serve(w, count, buffers) if rank == 0 else compute(w, count, mine)
            dist.barrier()
            seconds = time.perf_counter() - start
            # A worker is not sent what the last step makes.
            expected = updates.parameters(n, count if rank == 0 else count - 1)
            assert (w.numpy() == expected).all(), "these parameters are wrong"
        found[updates.named(n)] = steps / seconds
    if rank == 0:
        print(json.dumps(found), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, args=(updates.works(sys.argv[1:]),), nprocs=1 + len(WORKERS))

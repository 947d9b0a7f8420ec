"""Round trip of 8 bytes by torch.distributed over gloo."""

import json
import os
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

TRIPS = 2_000


def work(rank):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29513", GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    message = torch.zeros(1, dtype=torch.float64)
    dist.barrier()
    start = time.perf_counter()
    for _ in range(TRIPS):
        if rank == 0:
            dist.send(message, 1)
            dist.recv(message, 1)
        else:
            dist.recv(message, 0)
            dist.send(message, 0)
    if rank == 0:
        print(json.dumps({"8 bytes": (time.perf_counter() - start) / TRIPS}), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, nprocs=2)

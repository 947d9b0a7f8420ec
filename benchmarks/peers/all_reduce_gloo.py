"""All-reduce by torch.distributed over gloo: workers, then sizes in bytes."""

import json
import os
import statistics
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def named(nbytes):
    return f"{nbytes // 1048576} MB" if nbytes >= 1048576 else f"{nbytes // 1024} KB"


def work(rank, n, sizes):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29511", GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=n)
    found = {}
    for nbytes in sizes:
        x = torch.full((nbytes // 4,), rank + 1.0)
        dist.all_reduce(x)
        assert torch.all(x == n * (n + 1) / 2)
        x.zero_()
        times = []
        for _ in range(max(3, min(200, 67108864 // nbytes))):
            dist.barrier()
            start = time.perf_counter()
            dist.all_reduce(x)
            times.append(time.perf_counter() - start)
        slowest = torch.tensor(times, dtype=torch.float64)
        dist.all_reduce(slowest, op=dist.ReduceOp.MAX)
        found[named(nbytes)] = statistics.median(slowest.tolist())
    if rank == 0:
        print(json.dumps(found), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    n, *sizes = map(int, sys.argv[1:])
    mp.spawn(work, args=(n, sizes), nprocs=n)

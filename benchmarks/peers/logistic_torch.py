"""Logistic regression by torch in two processes: L-BFGS, gradients all-reduced by gloo.

Folder with the data, strength of the penalty. The steps needed are found once and kept there.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

WORKS = {"dense 200,000 x 100": "dense", "sparse 100,000 x 20,000": "sparse"}
CLOSE = 1e-6


def load(folder, name, rank, n):
    y = np.load(folder / f"{name}-y.npy")
    rows = np.array_split(np.arange(len(y)), n)[rank]
    rows = slice(rows[0], rows[-1] + 1)
    if name == "sparse":
        X = scipy.sparse.load_npz(folder / f"{name}.npz")[rows]
        X = torch.sparse_csr_tensor(torch.from_numpy(X.indptr.astype(np.int64)),
                                    torch.from_numpy(X.indices.astype(np.int64)),
                                    torch.from_numpy(X.data), X.shape)
    else:
        X = torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="r")[rows].copy())
    return X, torch.from_numpy(y[rows].astype(np.float64)), len(y)


def fit(X, Xt, y, total, reg, steps):
    """Return the history of the loss: value, gradient by hand, one all-reduce an evaluation."""
    w = torch.zeros(X.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    history = []
    optimiser = torch.optim.LBFGS([w], max_iter=steps, history_size=10, tolerance_grad=0,
                                  tolerance_change=0, line_search_fn="strong_wolfe")

    def closure():
        with torch.no_grad():
            margins = X @ w[:-1] + w[-1]
            residuals = (torch.sigmoid(margins) - y) / total
            answer = torch.empty(len(w) + 1, dtype=torch.float64)
            answer[0] = (torch.nn.functional.softplus(margins) - y * margins).sum() / total
            answer[1:-1] = Xt @ residuals
            answer[-1] = residuals.sum()
            dist.all_reduce(answer)
            answer[1:-1] += reg * w[:-1]
            loss = answer[0] + reg / 2 * (w[:-1] @ w[:-1])
            w.grad = answer[1:].clone()
        history.append(float(loss))
        return loss

    optimiser.step(closure)
    return history


def work(rank, n, folder, reg):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29512", GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=n)
    state, found = folder / "torch.json", {}
    steps = json.loads(state.read_text()) if state.exists() else {}
    for name, short in WORKS.items():
        X, y, total = load(folder, short, rank, n)
        Xt = X.t().to_sparse_csr() if short == "sparse" else X.t()
        if name not in steps:
            best = min(fit(X, Xt, y, total, reg, 200))
            steps[name] = next(k for k in range(2, 200)
                               if min(fit(X, Xt, y, total, reg, k)) - best <= CLOSE * best)
        dist.barrier()
        start = time.perf_counter()
        fit(X, Xt, y, total, reg, steps[name])
        dist.barrier()
        found[name] = time.perf_counter() - start
    if rank == 0:
        state.write_text(json.dumps(steps))
        print(json.dumps(found), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, args=(2, Path(sys.argv[1]), float(sys.argv[2])), nprocs=2)

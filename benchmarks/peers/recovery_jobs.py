"""What each contender of `recovery.py` does, without and with a worker killed half-way."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np

N_TASKS, TASK_S = 200, 0.05
ROWS, COLUMNS, RATE = 200_000, 50, 0.01
STEPS, FEW = 200, 40                         # Spark would take a minute for the usual number


def task(number):
    """A task of the farm."""
    time.sleep(TASK_S)
    return number * number


def farm_is_right(answers):
    return list(answers) == [number * number for number in range(N_TASKS)]


def write_data(folder):
    """Write X, y and the weights after so many steps; return X and y."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, COLUMNS))
    y = X @ rng.standard_normal(COLUMNS) + rng.standard_normal(ROWS)
    gram, moments, w = X.T @ X, X.T @ y, np.zeros(COLUMNS)
    for step in range(1, STEPS + 1):
        w = w - RATE / ROWS * (gram @ w - moments)
        if step in (FEW, STEPS):
            np.save(Path(folder) / f"w{step}.npy", w)
    np.save(Path(folder) / "X.npy", X)
    np.save(Path(folder) / "y.npy", y)
    return X, y


def part_of(folder, part, n):
    """Return the rows of one part in memory."""
    mine = slice(ROWS * part // n, ROWS * (part + 1) // n)
    return [np.array(np.load(Path(folder) / f"{name}.npy", mmap_mode="r")[mine])
            for name in ("X", "y")]


def gradient(X, y, w):
    """Return a part's share of the gradient, without the factor 1 / rows."""
    return X.T @ (X @ w - y)


def descend(total, w=None, first=0, steps=STEPS):
    """Do the steps from `first` on; `total(w, step)` is the sum of all parts' gradients."""
    w = np.zeros(COLUMNS) if w is None else w
    for step in range(first, steps):
        w = w - RATE / ROWS * total(w, step)
    return w


def training_is_right(folder, w, steps=STEPS):
    return bool(np.allclose(w, np.load(Path(folder) / f"w{steps}.npy"), rtol=1e-9, atol=0))


def compare(job, ready, is_right):
    """Do a job as it is, then with a SIGKILL in the middle.

    Parameters
    ----------
    job : callable
        Returns the answer.
    ready : callable
        Waits until all workers are there, and returns a function that finds the pid of one.
    is_right : callable

    Returns
    -------
    dict
        Seconds "without" and "with" a kill, and whether both answers were "right".
    """
    ready()
    without, answer = timed(job)
    right = is_right(answer)
    find = ready()
    timer = threading.Timer(without / 2, lambda: os.kill(find(), signal.SIGKILL))
    timer.start()
    killed, answer = timed(job)
    timer.join()
    return {"without": without, "with": killed, "right": right and is_right(answer)}


def timed(job):
    start = time.perf_counter()
    answer = job()
    return time.perf_counter() - start, answer

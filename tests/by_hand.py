"""A Dask cluster as one starts it by hand: scheduler and workers are processes of their own."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
from distributed import Client


@contextlib.contextmanager
def started(folder, workers, *options):
    """Yield (address, scheduler's process) of a cluster on loopback; ends it with its nannies."""
    file = Path(folder) / "scheduler.json"
    # Workers started elsewhere import a program's module from their own path.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    environment.pop("LABKIT_SCHEDULER", None)

    def start(*command):
        return subprocess.Popen([sys.executable, "-m", "dask", *command, "--host", "127.0.0.1"],
                                cwd=folder, env=environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    scheduler = start("scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0",
                      "--scheduler-file", str(file))
    nannies = start("worker", "--scheduler-file", str(file), "--nthreads", "1", "--nworkers",
                    str(workers), *options)
    try:
        with Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
            address = client.scheduler.address
        yield address, scheduler
    finally:
        children = psutil.Process(nannies.pid).children(recursive=True)
        for process in [nannies, scheduler, *children]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        nannies.wait()
        scheduler.wait()

"""Round trip of 8 bytes by Open MPI; started by mpirun."""

import json
import time

import numpy as np
from mpi4py import MPI

TRIPS = 5_000

comm, message = MPI.COMM_WORLD, np.zeros(1)
comm.Barrier()
start = time.perf_counter()
for _ in range(TRIPS):
    if comm.rank == 0:
        comm.Send(message, 1)
        comm.Recv(message, 1)
    else:
        comm.Recv(message, 0)
        comm.Send(message, 0)
if comm.rank == 0:
    print(json.dumps({"8 bytes": (time.perf_counter() - start) / TRIPS}), flush=True)

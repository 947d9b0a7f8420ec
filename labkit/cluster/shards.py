"""Parts of the data on workers, and how to get them again when a worker is gone.

    blocks (arrays of the client, chunks of a dask array)  -- concatenate -->  Placed on a worker
                                                                                  |
    the worker dies: the same blocks go to another one, and the checksum is compared
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dask.graph_manipulation import clone
from distributed import wait

from labkit import sharding, wire
from labkit.cluster.checked import sum_of
from labkit.cluster.entry import Placed
from labkit.errors import DataError


@dataclass(eq=False)
class Part:
    """One part of Shards, as the client knows it."""

    blocks: list
    """Where it comes from."""
    future: Any = None
    worker: str = ""
    """Who was given it."""
    checksum: int | None = None

    @property
    def is_read(self):
        """Whether its blocks are chunks of a dask array, which a worker reads."""
        return all(hasattr(block, "dask") for block in self.blocks)


def place(client, parts, workers, deadline_s):
    """Send parts to workers, each to one of them, and wait until they are there.

    Parameters
    ----------
    client : Client
    parts : list of Part
        New ones, or some whose worker is gone.
    workers : list of str
    deadline_s : float

    Raises
    ------
    DataError
        If a part is not what it was before.
    """
    for part, worker in zip(parts, workers, strict=True):
        where = {"workers": [worker], "allow_other_workers": False}
        if part.is_read:
            # Under the names of the first time they would be bound to the worker of that time.
            again = part.checksum is not None and part.blocks
            blocks = [client.compute(block, **where)
                      for block in (clone(*part.blocks) if again else part.blocks)]
        else:
            blocks = client.scatter(part.blocks, workers=[worker], hash=False)
        part.future, part.worker = client.submit(placed, blocks, pure=False, **where), worker
    sums = [client.submit(checksum_of, part.future, pure=False) for part in parts]
    wait(sums, timeout=deadline_s)
    for part, found in zip(parts, client.gather(sums)):
        if part.checksum not in (None, found):
            raise DataError("Data that was read again is not what it was before.",
                            expected=f"checksum {part.checksum:x}", got=f"{found:x}",
                            remedy="leave arrays as they are once they have been sharded, or "
                                   "shard them again")
        part.checksum = found


def placed(blocks):
    """Return a part, in the worker."""
    value = sharding.concatenate(blocks)
    arrays = (value.data, value.indices, value.indptr) if sharding.is_sparse(value) else (value,)
    total = 0
    for array in arrays:
        if array.size and not array.dtype.hasobject:
            total = total * 31 + sum_of(wire.view_of(array)) & 0xffff_ffff_ffff_ffff
    return Placed(value, total)


def checksum_of(part):
    """Return a placed part's checksum."""
    return part.checksum

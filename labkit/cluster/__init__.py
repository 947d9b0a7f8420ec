"""The cluster world: real Dask worker processes, on this machine or on many.

    start        start a LocalCluster, or connect to a scheduler
    preload      what every worker does first
    rendezvous   how peers find and trust each other
    link         one connection: frames over a socket
    peer         a peer in a worker process
    world        the client's side: run, map, shard

Nothing outside this folder imports distributed.
"""

from labkit.cluster.world import ClusterWorld

__all__ = ["ClusterWorld"]

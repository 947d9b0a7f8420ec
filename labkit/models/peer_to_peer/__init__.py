"""Peer to peer: everyone has a part of the data, everyone decides, nobody is in charge.

                  how often they talk            to whom             what they agree on
    train         at every question              all, all-reduce     everything, to the last bit
    local_sgd     every H steps                  all, all-reduce     the mean, every H steps
    decentralised every step                     their neighbours    the mean, in the long run
    gossip        (no training: the mean itself) their neighbours    the mean, in the long run

    collectives   all-reduce and its relatives, of which the first two are made

The less is said, and to the fewer, the cheaper a step; and the further peers drift apart.
`labkit.topology` predicts how fast neighbours agree.
"""

from labkit.models.peer_to_peer import collectives, decentralised, gossip, local_sgd
from labkit.models.peer_to_peer.train import train

__all__ = ["collectives", "decentralised", "gossip", "local_sgd", "train"]

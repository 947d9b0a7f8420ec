"""One or a few peers are in charge, the others work for them.

    train              peer 0 asks and decides, the others answer about their shards
    farm               peer 0 hands out independent tasks, and again those that fail
    parameter_server   servers hold the parameters, workers send gradients
    compression        gradients in fewer bytes
"""

from labkit.models.master_worker import compression, parameter_server
from labkit.models.master_worker.farm import Farmed, Leave, farm
from labkit.models.master_worker.train import train

__all__ = ["Farmed", "Leave", "compression", "farm", "parameter_server", "train"]

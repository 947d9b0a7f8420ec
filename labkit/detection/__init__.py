"""Failure detectors: who is dead, and who is only slow?

    timeout   silence longer than a limit                  one number to choose, for all
    phi       silence unlikely for this member             adapts to each member's own rhythm
    swim      probes of one at a time, and gossip          the same load however many members

None knows a clock or a network: time is an argument, messages are return values, so that the same
code runs on real heartbeats and on a virtual clock.

    programs  the three as programs of peers, for any world
    watched   what they have seen: detection times, wrong suspicions, messages
"""

from labkit.detection.phi import PhiAccrual, phi
from labkit.detection.swim import Swim
from labkit.detection.timeout import Timeout

__all__ = ["PhiAccrual", "Swim", "Timeout", "phi"]

"""Laws: what theory says a distributed program will do, as functions, and their fits to points.

    speedup      Amdahl, Gustafson, the Universal Scalability Law, Karp-Flatt, a + b/n
    messages     alpha + beta nbytes, bus bandwidth     collectives  an all-reduce and others
    queues       Little, M/M/c                          tails        fan-out, hedged requests
    replicas     tied requests                          mixing       spectral gaps, rounds
    checkpoints  Young, Daly, waste                     restarts     workers killed in a job
    fitting      constants from points                  fitted       how well they are known

A law is a function of numbers or arrays and knows no world. `fit(law, x, y)` and `fit_...(x, y)`
return a `Fit`, which is called like the law.
"""

from labkit.laws.checkpoints import daly, waste, young
from labkit.laws.collectives import (
    allgather_s,
    allreduce_s,
    alltoall_s,
    broadcast_s,
    reduce_scatter_s,
)
from labkit.laws.fitted import ExtrapolationWarning, Fit, Law
from labkit.laws.fitting import fit
from labkit.laws.messages import (
    ALPHA_BETA,
    bus_bandwidth_Bps,
    bus_seconds,
    fit_alpha_beta,
    fit_bus_bandwidth,
    message_s,
)
from labkit.laws.mixing import closed_form_gap, rounds_to_reach, spectral_gap
from labkit.laws.queues import erlang_c, little, response_s, utilisation, waiting_s
from labkit.laws.replicas import LATENCY, fit_latency, fit_tied, latency_s, tied_s
from labkit.laws.restarts import after_kill_s
from labkit.laws.speedup import (
    AMDAHL,
    GUSTAFSON,
    INVERSE,
    USL,
    amdahl,
    fit_amdahl,
    fit_gustafson,
    fit_inverse,
    fit_usl,
    gustafson,
    inverse,
    karp_flatt,
    usl,
    usl_peak,
)
from labkit.laws.tails import Hedged, fan_out, fan_out_latency, fan_out_quantile, hedged

__all__ = ["ALPHA_BETA", "AMDAHL", "ExtrapolationWarning", "Fit", "GUSTAFSON", "Hedged", "INVERSE",
           "LATENCY", "Law", "USL", "after_kill_s", "allgather_s", "allreduce_s", "alltoall_s",
           "amdahl", "broadcast_s", "bus_bandwidth_Bps", "bus_seconds", "closed_form_gap", "daly",
           "erlang_c", "fan_out", "fan_out_latency", "fan_out_quantile", "fit", "fit_alpha_beta",
           "fit_amdahl", "fit_bus_bandwidth", "fit_gustafson", "fit_inverse", "fit_latency",
           "fit_tied", "fit_usl", "gustafson", "hedged", "inverse", "karp_flatt", "latency_s",
           "little", "message_s", "reduce_scatter_s", "response_s", "rounds_to_reach",
           "spectral_gap", "tied_s", "usl", "usl_peak", "utilisation", "waiting_s", "waste",
           "young"]

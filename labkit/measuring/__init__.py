"""Measure programs, so that the numbers can be believed; measure a machine, and predict from it.

    measure      one program, warmed up, repeated, verified           -> Measurement
    sweep        over workers, sizes, latencies, policies, in turns   -> Sweep, with a baseline
    calibrate    latency, bandwidth, FLOP/s ... of a world            -> Calibration
    predict      the same sweep on the virtual clock                  -> Prediction, with its error
"""

from labkit.measuring.calibrate import Calibration, calibrate
from labkit.measuring.measure import measure, sweep
from labkit.measuring.predict import Prediction, predict

__all__ = ["Calibration", "Prediction", "calibrate", "measure", "predict", "sweep"]

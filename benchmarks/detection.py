"""Failure detectors: how soon, how often wrong, at what cost; real workers and simulated members.

    stopped      |<---- 1.2 s, by SIGSTOP ---->|
    watcher 0    ------------- suspected ---------> withdrawn
    watcher 1    ----------------- suspected -----> withdrawn
                 first |<--->|    all |<------->|           seconds since it was stopped

Heartbeats go from everyone to everyone each 0.1 s, phi's threshold is 3 or 8; a period of SWIM is
0.2 s. For each member that is stopped, the time until somebody suspects it and until each of the
others does; then wrong suspicions, for each watcher and minute, with idle workers and with workers
that compute for 50 to 400 ms, about once a second, in the thread that should send heartbeats;
then messages of each member a second.

In the real world the clock starts when a worker begins to start the process that stops it, some
20 ms before it stands still. In the simulated one members stand still at once, and for as long as
it takes: news of SWIM needs time to get around. Heartbeats among n members are n (n - 1) messages
an interval, too many for 1,000 members; a dash is a run under load that would take minutes.

Real workers stop one after the other in one run. Phi learns from each stop: the next ones take
longer to be suspected. A suspicion in SWIM counts for everyone who hears of it.

    python benchmarks/detection.py [real] [simulated]
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from dataclasses import replace

import bench
import numpy as np

import labkit
from labkit.detection import PhiAccrual, Timeout, programs
from labkit.detection.swim import Settings
from labkit.detection.watched import detection_times, false_suspicions, message_rate
from labkit.faults import FaultPlan, Pause
from labkit.network import named_machine

INTERVAL_S, PERIOD_S = 0.1, 0.2
WORKERS, SEEDS, PAUSE_S = 4, 2, 1.2                      # of the real world
WATCH_S = 15.0                                           # for wrong suspicions
MEMBERS = {4: WATCH_S, 100: 3.0, 300: 0.0, 1000: 5.0, 10_000: 0.0}        # simulated -> under load
MOST_MESSAGES = 3_000_000                                # of a simulated run
FLOPS = named_machine("laptop core").flops_per_s


def heartbeats(detector):
    def make(seconds, busy=None):
        return lambda me: programs.heartbeats(me, detector, INTERVAL_S, seconds, busy=busy)
    return make


def swim(seconds, busy=None):
    # Patient, so that who is stopped for a while is not struck off.
    settings = Settings(PERIOD_S, suspicion_periods=15)
    return lambda me: programs.swim(me, settings, seconds, busy=busy)


DETECTORS = {
    "timeout 0.3 s": heartbeats(lambda members, now_s: Timeout(members, 0.3, now_s)),
    "timeout 1 s": heartbeats(lambda members, now_s: Timeout(members, 1.0, now_s)),
    "phi 3": heartbeats(lambda members, now_s: PhiAccrual(members, 3, INTERVAL_S, now_s=now_s)),
    "phi 8": heartbeats(lambda members, now_s: PhiAccrual(members, 8, INTERVAL_S, now_s=now_s)),
    "SWIM 0.2 s": swim,
}


def load(seed=0):
    """Return what keeps a peer from its heartbeats now and then."""
    rngs, next_s = {}, {}

    def busy(me):
        rng = rngs.setdefault(me.rank, np.random.default_rng([seed, me.rank]))
        if me.now() < next_s.setdefault(me.rank, rng.uniform(0.5, 1.0)):
            return
        for_s = rng.uniform(0.05, 0.4)
        end_s, x = me.now() + 0.999 * for_s, np.ones(1000)
        me.work(flops=for_s * FLOPS)                     # the simulated world's time
        while me.now() < end_s:                          # the real one's
            x = np.sqrt(x * x + 1e-9)
        next_s[me.rank] = me.now() + rng.exponential(0.5)

    return busy


# ---- measuring


def stops(members, first_s, gap_s, pause_s, seed=0):
    """Return a plan in which members stop one after the other, not quite regularly."""
    rng = np.random.default_rng(seed)
    return FaultPlan(*[Pause(member, pause_s, at_s=first_s + gap_s * (number + rng.random() / 10))
                       for number, member in enumerate(members)])


def detected(run):
    """Return seconds to the first suspicion of each that was stopped, and to everyone's."""
    first, everyone = [], []
    for mark in run.marks:
        if mark.kind == "injected":
            times = list(detection_times(run.results, mark.rank, mark.start_s).values())
            first.append(min(times))
            everyone += times
    return first, everyone


def wrong_a_minute(results):
    """Return wrong suspicions of a watcher a minute."""
    return 60 * false_suspicions(results) / sum(watched.seconds for watched in results)


def show(world, n, name, first, everyone, idle, busy, rate, wall_s):
    def numbers(values):
        return " | ".join("never" if math.isinf(v) else f"{v:.2f}" for v in values)

    rates = " | ".join("-" if v is None else f"{v:,.0f}" if v >= 100 else f"{v:.3g}"
                       for v in (idle, busy, rate))
    firsts = statistics.median(first), min(first), max(first)
    alls = statistics.median(everyone), max(everyone)
    print(f"| {world} | {n:,} | {name} | {numbers(firsts)} | {numbers(alls)} | {rates} "
          f"| {wall_s:.0f} |", flush=True)


def real():
    with labkit.cluster(workers=WORKERS, deadline_s=120) as world:
        for name, make in DETECTORS.items():
            start, first, everyone = time.perf_counter(), [], []
            gap_s = 2 * PAUSE_S
            for seed in range(SEEDS):
                run = world.run(make(1.5 + gap_s * WORKERS), record=False, tolerate_loss=True,
                                faults=stops(range(WORKERS), 1.5, gap_s, PAUSE_S, seed))
                for found, more in zip((first, everyone), detected(run)):
                    found += more
            idle = world.run(make(WATCH_S), record=False).results
            busy = world.run(make(WATCH_S, load()), record=False).results
            show("real", WORKERS, name, first, everyone, wrong_a_minute(idle),
                 wrong_a_minute(busy), message_rate(idle), time.perf_counter() - start)


def simulated(n, load_s):
    for name, make in DETECTORS.items():
        seconds = 4.4 if make is swim else 2.2
        if make is not swim and seconds / INTERVAL_S * n * (n - 1) > MOST_MESSAGES:
            continue
        start, first, everyone = time.perf_counter(), [], []
        world = labkit.simulated(n, hang_s=math.inf)
        for stopped in stopped_at_once(n):
            run = world.run(make(seconds), record=False, tolerate_loss=True,
                            faults=stops(stopped, 1.0 + stopped[0] / 100, 0.01, 99.0))
            watching = [watched for watched in run.results if watched.rank not in stopped]
            for found, more in zip((first, everyone), detected(replace(run, results=watching))):
                found += more
            wrong = 60 * false_suspicions(watching, stopped) / (seconds * len(watching))
        rate = message_rate(world.run(make(0.4), record=False).results)
        busy = world.run(make(load_s, load()), record=False).results if load_s else None
        show("simulated", n, name, first, everyone, wrong, busy and wrong_a_minute(busy), rate,
             time.perf_counter() - start)


def stopped_at_once(n):
    """Return who stops in each of some runs: 10 of many members, at moments of one interval."""
    return [list(range(10))] if n > 10 else [[number] for number in range(n)]


def main(wanted):
    print("\nSeconds until a member that was stopped is suspected; wrong suspicions of a watcher a "
          f"minute;\nmessages of a member a second  ({bench.machine()})\n")
    print("| world | members | detector | first: median | min | max | all: median | max "
          "| wrong, idle | wrong, busy | messages | took s |")
    print("|" + "---|" * 12)
    if "real" in wanted:
        real()
    if "simulated" in wanted:
        for n, load_s in MEMBERS.items():
            simulated(n, load_s)


if __name__ == "__main__":
    main(sys.argv[1:] or ["real", "simulated"])

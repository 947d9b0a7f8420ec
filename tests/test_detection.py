"""Failure detectors on clocks that the tests turn, in the simulated world and in the real one."""

import heapq
import math
import statistics
import sys

import cloudpickle
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.detection import PhiAccrual, Swim, Timeout, phi, programs
from labkit.detection.swim import ALIVE, FAILED, PING, SUSPECTED, Message, News, Settings
from labkit.detection.watched import (
    LOST,
    WITHDRAWN,
    Change,
    Watched,
    detection_times,
    false_suspicions,
    message_rate,
    notice_times,
)
from labkit.errors import ConfigurationError
from labkit.faults import Crash, Delay, FaultPlan, Pause, Slow
from labkit.network import Network, named_machine

cloudpickle.register_pickle_by_value(sys.modules[__name__])     # workers need not import it

# ---- timeout


def test_silence_is_suspicious_after_the_limit():
    detector = Timeout("ab", 1.0)
    assert detector.suspected(0.9) == set()
    detector.heard("a", 0.9)
    assert detector.suspected(1.0) == {"b"}
    assert detector.suspicion("a", 1.4) == pytest.approx(0.5)
    detector.heard("b", 1.5)
    assert detector.suspected(1.8) == set()
    detector.forget("a")
    assert detector.suspected(99) == {"b"}


@pytest.mark.parametrize("make", [
    lambda: Timeout("a", 0), lambda: Timeout("a", math.nan), lambda: PhiAccrual("a", -1),
    lambda: PhiAccrual("a", window=0), lambda: Settings(period_s=0), lambda: Settings(ack_s=1)])
def test_settings_that_cannot_work_are_refused(make):
    with pytest.raises(ConfigurationError):
        make()


# ---- phi


@given(st.floats(0, 50), st.floats(0.1, 5), st.floats(0.01, 3))
def test_phi_is_the_normal_tail(silence_s, mean_s, deviation_s):
    want = -scipy.stats.norm.logsf(silence_s, mean_s, deviation_s) / math.log(10)
    assert phi(silence_s, mean_s, deviation_s) == pytest.approx(want, rel=2e-3, abs=1e-12)


def test_phi_grows_without_end():
    values = [phi(s, 1.0, 0.1) for s in np.linspace(0, 100, 2000)]
    assert np.all(np.diff(values) >= 0)
    assert values[-1] > 1e5


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=60), st.integers(1, 20))
def test_phi_knows_mean_and_deviation_of_the_last_intervals(intervals, window):
    detector = PhiAccrual("a", window=window, least_deviation_s=1e-3)
    times = np.cumsum(intervals)
    for time_s in times:
        detector.heard("a", time_s)
    last = np.diff(times, prepend=0.0)[-window:]
    want = phi(1.0, last.mean(), max(last.std(), 1e-3))
    assert detector.suspicion("a", times[-1] + 1.0) == pytest.approx(want, rel=1e-4, abs=1e-6)


def test_phi_adapts_to_the_rhythm_of_each_member():
    detector = PhiAccrual("ab", threshold=8, least_deviation_s=0.01)
    rng = np.random.default_rng(0)
    regular = np.cumsum(0.1 + 0.002 * rng.normal(size=100))
    erratic = np.cumsum(rng.exponential(0.1, 100))
    for member, times in (("a", regular), ("b", erratic)):
        for time_s in times:
            detector.heard(member, time_s)
    assert detector.suspicion("a", regular[-1] + 0.3) > 8
    assert detector.suspicion("b", erratic[-1] + 0.3) < 8


def test_a_pause_that_is_acceptable_is_not_suspected():
    strict, patient = PhiAccrual("a"), PhiAccrual("a", pause_s=1.0)
    for detector in (strict, patient):
        for beat in range(1, 50):
            detector.heard("a", beat / 10)
    assert strict.suspected(6.0) == {"a"}
    assert patient.suspected(6.0) == set()
    assert patient.suspected(7.0) == {"a"}


def test_who_comes_later_is_watched_too():
    detector = PhiAccrual("a")
    detector.heard("b", 5.0)
    assert detector.suspected(5.1) == {"a"}
    detector.forget("a")
    assert detector.suspected(9.0) == {"b"}


# ---- SWIM


class Net:
    """Members that talk on a virtual clock; `cut(source, to, now_s)` loses a message."""

    def __init__(self, n, seed=0, cut=lambda source, to, now_s: False):
        self.members = [Swim(rank, n, seed=seed) for rank in range(n)]
        self.now_s, self.sent, self.dead = 0.0, 0, set()
        self._cut = cut
        self._rng = np.random.default_rng(seed)
        self._heap, self._count = [], 0
        for rank in range(n):
            self._push(self.members[rank].next_s, rank, None)

    def _push(self, at_s, rank, message):
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, rank, message))

    def run(self, until_s):
        while self._heap[0][0] <= until_s:
            self.now_s, _, rank, message = heapq.heappop(self._heap)
            if rank in self.dead:
                continue
            member = self.members[rank]
            if message is None:
                out = member.tick(self.now_s)
                self._push(max(member.next_s, self.now_s + 1e-6), rank, None)
            else:
                out = member.receive(self.now_s, *message)
            for to, answer in out:
                self.sent += 1
                if not self._cut(rank, to, self.now_s):
                    self._push(self.now_s + self._rng.exponential(0.01), to, (rank, answer))
        return self

    def living(self):
        return [member for member in self.members if member.rank not in self.dead]


@pytest.mark.parametrize("n", [1, 2, 3, 20, 200])
def test_nobody_is_suspected_while_all_are_well(n):
    net = Net(n).run(30)
    assert all(member.changes == [] for member in net.members)
    assert net.sent <= 2.1 * n * 31


@pytest.mark.parametrize("n", [2, 5, 50, 300])
def test_everyone_learns_of_a_crash_and_of_nothing_else(n):
    net = Net(n, seed=n).run(5)
    net.dead.add(0)
    net.run(60)
    for member in net.living():
        assert member.failed == {0}
        assert {news.member for _, news in member.changes} == {0}
    first_s = min(time_s for member in net.living() for time_s, news in member.changes)
    # A member is probed in each round of all probes: after 2 n - 1 periods at the latest; many
    # probers make it soon.
    assert 5 < first_s < 5 + (2 * n if n < 10 else 6)


def test_the_load_of_a_member_does_not_grow_with_their_number():
    loads = [Net(n).run(20).sent / n for n in (10, 100, 400)]
    assert max(loads) < 1.15 * min(loads)


def test_others_reach_a_member_when_one_link_is_broken():
    net = Net(10, cut=lambda source, to, now_s: {source, to} == {0, 1}).run(60)
    assert all(member.failed == set() for member in net.members)


def test_a_member_that_is_suspected_wrongly_refutes_it():
    def cut(source, to, now_s):
        return 0 in (source, to) and 5 < now_s < 8

    net = Net(20, cut=cut, seed=3).run(8)
    assert any(0 in member.suspected for member in net.members[1:])
    net.run(60)
    assert net.members[0].incarnation > 0
    assert all(member.status(0) == ALIVE for member in net.members[1:])


def test_the_same_seed_is_the_same_story():
    def story(seed):
        net = Net(30, seed=seed).run(3)
        net.dead.add(7)
        return [member.changes for member in net.run(30).members]

    assert story(1) == story(1) != story(2)


NEWS = st.builds(News, st.integers(1, 3), st.sampled_from([ALIVE, SUSPECTED, FAILED]),
                 st.integers(0, 3))


@settings(deadline=None)
@given(st.lists(NEWS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_news_comes_does_not_matter(news, random):
    """What everyone ends up with is the same, if nobody's patience ends in between."""
    shuffled = list(news)
    random.shuffle(shuffled)
    members = [Swim(0, 4), Swim(0, 4)]
    for member, stream in zip(members, (news, shuffled)):
        for number, one in enumerate(stream):
            member.receive(0.0, 1, Message(PING, number, -1, (one,)))
    for other in (1, 2, 3):
        assert members[0].status(other) == members[1].status(other)


# ---- as programs, in the simulated world

INTERVAL_S, LATENCY_S = 1 / 8, 1e-3                                  # latency: more than there is


def by_timeout(limit_s):
    return lambda members, now_s: Timeout(members, limit_s, now_s)


def by_phi(threshold):
    return lambda members, now_s: PhiAccrual(members, threshold, INTERVAL_S, now_s=now_s)


def beating(detector, seconds=4.0, **more):
    return lambda me: programs.heartbeats(me, detector, INTERVAL_S, seconds, **more)


def swimming(seconds, seed=0, **settings):
    return lambda me: programs.swim(me, Settings(**settings), seconds, seed)


def seen(world, program, *faults, seed=0):
    """Return what each peer has seen."""
    return world.run(program, faults=FaultPlan(*faults, seed=seed), tolerate_loss=True,
                     record=False).results


def phi_limit_s(threshold, deviation_s=0.05):
    """Return the silence of a regular member at which phi reaches the threshold."""
    return INTERVAL_S + deviation_s * scipy.stats.norm.isf(10.0 ** -threshold)


@pytest.mark.parametrize("fault", [lambda at_s: Crash(1, at_s=at_s),
                                   lambda at_s: Pause(1, 1.0, at_s=at_s)], ids=["crash", "pause"])
@pytest.mark.parametrize(("detector", "limit_s"), [
    (by_timeout(0.3), 0.3), (by_timeout(0.8), 0.8), (by_phi(3), phi_limit_s(3)),
    (by_phi(8), phi_limit_s(8))], ids=["0.3 s", "0.8 s", "phi 3", "phi 8"])
@pytest.mark.parametrize("at_s", [1.51, 1.574, 1.62])
def test_silence_is_suspected_by_all_within_the_bound(fault, detector, limit_s, at_s):
    results = seen(labkit.simulated(6), beating(detector), fault(at_s))
    times = detection_times(results, 1, at_s)
    assert set(times) == {0, 2, 3, 4, 5}
    # Its last heartbeat was at most an interval ago; a quarter of one may pass until the next look.
    for detected_s in times.values():
        assert limit_s - INTERVAL_S < detected_s <= limit_s + INTERVAL_S / 4 + LATENCY_S
    assert false_suspicions(results, {1}) == 0


def test_a_pause_is_withdrawn_and_who_was_stopped_suspects_nobody():
    results = seen(labkit.simulated(4), beating(by_timeout(0.3)), Pause(1, 1.0, at_s=1.57))
    assert results[1].changes == ()
    for rank in (0, 2, 3):
        assert [(change.member, change.status) for change in results[rank].changes] == \
            [(1, SUSPECTED), (1, WITHDRAWN)]
        assert 2.57 <= results[rank].changes[1].at_s < 2.57 + INTERVAL_S
    assert set(notice_times(results, 1, 0).values()) == {math.inf}


def test_a_crash_is_told_by_the_transport_before_the_silence_tells():
    results = seen(labkit.simulated(4), beating(by_timeout(0.3)), Crash(1, at_s=1.57))
    assert results[1] is None
    for rank in (0, 2, 3):
        assert [change.status for change in results[rank].changes] == [LOST, SUSPECTED]
    assert max(notice_times(results, 1, 1.57).values()) < LATENCY_S


def test_members_that_crash_at_once_fall_silent_all():
    faults = Crash(1, at_s=1), Crash(3, at_s=1)
    results = seen(labkit.simulated(5), beating(by_timeout(0.3)), *faults)
    assert [watched is None for watched in results] == [False, True, False, True, False]
    for member in (1, 3):
        assert max(detection_times(results, member, 1).values()) < 0.3 + INTERVAL_S + LATENCY_S


def test_who_is_left_alone_comes_to_an_end():
    for program in (beating(by_timeout(0.3)), swimming(4.0)):
        results = seen(labkit.simulated(3), program, Crash(1, at_s=1), Crash(2, at_s=1.5))
        assert results[0].seconds == pytest.approx(1.5, abs=LATENCY_S)
        assert labkit.simulated(1).run(program).results[0].messages == 0


@pytest.mark.parametrize("n", [2, 5, 20])
def test_heartbeats_cost_a_message_for_each_other_member(n):
    program = beating(by_timeout(1.0))
    assert message_rate(seen(labkit.simulated(n), program)) == (n - 1) / INTERVAL_S
    to_one = beating(by_timeout(1.0), watchers=[0])
    results = seen(labkit.simulated(n), to_one, Pause(n - 1, 1.2, at_s=1))
    assert [watched.messages for watched in results[:-1]] == [0] + [32] * (n - 2)
    assert [change.status for change in results[0].changes] == [SUSPECTED, WITHDRAWN]
    assert all(watched.changes == () for watched in results[1:])


def test_swim_costs_a_ping_and_an_answer_a_period():
    rates = {n: message_rate(seen(labkit.simulated(n), swimming(6.0, period_s=0.2)))
             for n in (16, 256)}
    assert rates[16] == pytest.approx(10, rel=0.05)
    assert rates[256] == pytest.approx(rates[16], rel=0.05)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", [Crash(1, at_s=1.0), Pause(1, 1.2, at_s=1.0)], ids=repr)
def test_swim_probes_everyone_in_each_round(fault, seed):
    n, period_s = 5, 0.1
    program = swimming(4.0, seed, period_s=period_s, suspicion_periods=15)
    results = seen(labkit.simulated(n), program, fault)
    # A member is at the end of one round and at the start of the next, or the other way round; a
    # probe takes a period to be given up.
    times = detection_times(results, 1, 1.0).values()
    assert period_s < min(times) and max(times) <= (2 * (n - 1) + 1) * period_s
    assert false_suspicions(results, {1}) == 0
    after = WITHDRAWN if isinstance(fault, Pause) else FAILED
    assert all(watched.changes[-1][1:] == (1, after) for watched in results if watched
               and watched.rank != 1)


def crashed_among(n, seconds, n_crashes=20, period_s=0.2):
    """Return the periods until the first suspicion of each crash, with nobody else suspected."""
    rng = np.random.default_rng(0)
    dead = rng.choice(n, n_crashes, replace=False).tolist()
    times = rng.uniform(2 * period_s, 3 * period_s, n_crashes).tolist()
    results = seen(labkit.simulated(n), swimming(seconds, period_s=period_s),
                   *[Crash(member, at_s=at_s) for member, at_s in zip(dead, times)])
    assert [rank for rank in range(n) if results[rank] is None] == sorted(dead)
    assert false_suspicions(results, dead) == 0
    return [min(detection_times(results, member, at_s).values()) / period_s
            for member, at_s in zip(dead, times)]


def check_periods(periods):
    # Probes of one member come at random, one a period on average: the first one later than k
    # periods with probability e^-k, so that 20 seeds in 21 hold the bound. It is given up a
    # period later.
    assert min(periods) >= 1
    assert 1.4 < statistics.mean(periods) < 2.6
    assert max(periods) < 1 + 6


def test_swim_finds_crashes_among_a_thousand():
    check_periods(crashed_among(1000, seconds=2.4))


@pytest.mark.slow
def test_swim_finds_crashes_among_ten_thousand():
    check_periods(crashed_among(10_000, seconds=2.4))


def test_phi_adapts_where_a_timeout_is_wrong_again_and_again():
    """One member computes 8 times slower from 4 s on, a link is slow, messages have jitter."""
    machine = named_machine("laptop core")

    def busy(me):
        me.work(flops=0.04 * machine.flops_per_s)

    def measured(detector):
        network = Network("jitter", 1e-3, 125e6, jitter_s=0.03)
        results = seen(labkit.simulated(6, network=network, machine=machine, seed=1),
                       beating(detector, seconds=24.0, busy=busy), Slow(2, 8.0, at_s=4.0),
                       Delay((3, 4), 0.25, 10.0, at_s=6.0), Crash(0, at_s=20.03))
        return (statistics.median(detection_times(results, 0, 20.03).values()),
                false_suspicions(results, {0}))

    phi_s, phi_wrong = measured(by_phi(5))
    timeouts = [measured(by_timeout(limit_s)) for limit_s in np.arange(0.2, 0.6, 0.05).tolist()]
    as_fast = [wrong for detected_s, wrong in timeouts if detected_s <= phi_s + INTERVAL_S / 4]
    assert as_fast and phi_wrong < min(as_fast) / 2
    as_right = [detected_s for detected_s, wrong in timeouts if wrong <= phi_wrong]
    assert not as_right or phi_s < min(as_right)


def test_a_watched_run_is_the_same_each_time():
    def story(seed):
        world = labkit.simulated(4, network=Network("jitter", 1e-3, 125e6, jitter_s=0.1), seed=seed)
        return seen(world, beating(by_timeout(0.3)))

    assert story(1) == story(1) != story(2)


# ---- as programs, in all worlds


@pytest.mark.parametrize("kind", ["heartbeats", "swim"])
def test_what_is_left_over_disturbs_nobody(world, kind):
    def program(me):
        seconds = 0.3 + 0.1 * me.rank                   # they end one after the other
        if kind == "swim":
            watched = programs.swim(me, Settings(0.1), seconds)
        else:
            watched = programs.heartbeats(me, by_timeout(5.0), 0.05, seconds)
        me.send((me.rank + 1) % me.size, "mine")
        return watched, me.recv_any()[1]

    for watched, message in world.run(program).results:
        assert message == "mine"
        assert watched.messages > 0
        assert false_suspicions([watched]) == 0 or kind == "swim"


@pytest.mark.parametrize("wrong", [
    lambda me: programs.heartbeats(me, by_timeout(1), 0, 1),
    lambda me: programs.heartbeats(me, by_timeout(1), 1, -1),
    lambda me: programs.swim(me, None, 0)])
def test_programs_that_cannot_work_are_refused(wrong):
    with pytest.raises(labkit.errors.LabkitError):
        labkit.simulated(2).run(wrong)


def test_a_stopped_worker_is_suspected_and_forgiven(cluster):
    run = cluster.run(beating(by_timeout(0.3), seconds=2.5), tolerate_loss=True,
                      faults=FaultPlan(Pause(1, 0.7, at_s=0.8)))
    assert run.lost == ()
    for rank, detected_s in detection_times(run.results, 1, 0.8).items():
        after = [change.status for change in run.results[rank].changes
                 if change.member == 1 and change.at_s >= 0.8 + detected_s]
        assert after[:2] == [SUSPECTED, WITHDRAWN]


@pytest.mark.parametrize("kind", ["heartbeats", "swim"])
def test_a_killed_worker_is_lost_before_its_silence_shows(cluster, kind):
    program = beating(by_timeout(0.6), seconds=2.5) if kind == "heartbeats" else \
        swimming(2.5, period_s=0.3)
    run = cluster.run(program, tolerate_loss=True, faults=FaultPlan(Crash(1, at_s=0.8)))
    assert run.lost == (1,) and run.results[1] is None
    lost_s, suspected_s = (times(run.results, 1, 0.8) for times in (notice_times, detection_times))
    for rank in (0, 2):
        assert lost_s[rank] < suspected_s[rank] < math.inf


# ---- measures


def test_measures_of_what_was_watched():
    results = [Watched(0, (Change(1.0, 2, SUSPECTED), Change(1.5, 2, WITHDRAWN),
                           Change(4.0, 2, LOST), Change(4.5, 2, SUSPECTED)), 30, 10.0),
               Watched(1, (Change(5.0, 2, FAILED), Change(6.0, 0, SUSPECTED)), 50, 10.0),
               None, Watched(3, (), 10, 5.0)]
    assert detection_times(results, 2, 3.5) == {0: 1.0, 1: 1.5, 3: math.inf}
    assert detection_times(results, 0, 0.0) == {1: 6.0, 3: math.inf}
    assert notice_times(results, 2, 3.5) == {0: 0.5, 1: math.inf, 3: math.inf}
    assert false_suspicions(results) == 3
    assert false_suspicions(results, {2}) == 1
    assert message_rate(results) == pytest.approx(90 / 25)

"""Failure detectors on clocks that the tests turn."""

import heapq
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.detection import PhiAccrual, Swim, Timeout, phi
from labkit.detection.swim import ALIVE, FAILED, PING, SUSPECTED, Message, News, Settings
from labkit.errors import ConfigurationError

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

"""Local SGD and DiLoCo against synchronous SGD, against each other, and against known optima."""

import numpy as np
import pytest

import labkit
from labkit.errors import ProgramError
from labkit.models.peer_to_peer import local_sgd
from labkit.models.peer_to_peer.optimisers import SGD, AdamW
from labkit.network import Machine, Network

START = np.zeros(4)
RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 8, 4)) / np.sqrt(8)
b = A @ np.arange(1.0, 5.0) + RNG.normal(size=(3, 8))
OPTIMUM = np.linalg.lstsq(A.reshape(-1, 4), b.reshape(-1))[0]


def gradient(rank, w, step=0):
    """Of |A_i w - b_i|^2 / 2, on one row or all: peers disagree on where the lowest point is."""
    rows = slice(step % 8, step % 8 + 1) if step >= 0 else slice(None)
    return A[rank, rows].T @ (A[rank, rows] @ w - b[rank, rows])


def of(rank, stochastic=True):
    return lambda w, step: gradient(rank, w, step if stochastic else -1)


def falling(step):
    return 0.2 / (1 + 0.01 * step)


def run_local(world, steps, rate, every, stochastic=True, **options):
    return world.run(lambda me: local_sgd.local_sgd(me, START, of(me.rank, stochastic), steps,
                                                    rate, every, **options))


def run_diloco(world, steps, every, inner=None, outer=None, stochastic=True):
    def program(me):
        return local_sgd.diloco(me, START, of(me.rank, stochastic), steps, every,
                                inner and inner(), outer and outer())
    return world.run(program)


def assert_same_bits(run):
    assert len({found.value.tobytes() for found in run.results}) == 1


# ---- local SGD


def test_averaging_every_step_is_synchronous_sgd(world):
    run = run_local(world, 30, falling, every=1)
    w = START
    for step in range(30):
        w = w - falling(step) * np.mean([gradient(r, w, step) for r in range(3)], axis=0)
    for found in run.results:
        np.testing.assert_allclose(found.value, w, atol=1e-12)


@pytest.mark.parametrize("every", [2, 7, 10, 50])
def test_in_between_each_peer_does_sgd_alone(world, every):
    """30 steps: with rounds of 7 the last one is shorter, with rounds of 50 it is the only one."""
    run = run_local(world, 30, falling, every)
    w = np.tile(START, (3, 1))
    drifted = []
    for step in range(30):
        w = np.array([w[r] - falling(step) * gradient(r, w[r], step) for r in range(3)])
        if (step + 1) % every == 0 or step == 29:
            drifted.append(np.linalg.norm(w - w.mean(axis=0), axis=1))
            w[:] = w.mean(axis=0)
    for rank, found in enumerate(run.results):
        np.testing.assert_allclose(found.value, w[rank], atol=1e-12)
        np.testing.assert_allclose(found.disagreement, np.array(drifted)[:, rank], atol=1e-12)
        assert found.rounds == 30
    assert_same_bits(run)


def test_fewer_rounds_send_fewer_messages_and_drift_further(world):
    runs = [run_local(world, 24, 0.05, every) for every in (1, 4, 24)]
    once = runs[-1].messages
    assert once > 0
    assert [run.messages for run in runs] == [24 * once, 6 * once, once]
    drift = [max(max(found.disagreement) for found in run.results) for run in runs]
    assert drift[0] < drift[1] < drift[2]


def test_local_sgd_finds_the_common_optimum(world):
    run = run_local(world, 2000, falling, every=5, stochastic=False)
    for found in run.results:
        np.testing.assert_allclose(found.value, OPTIMUM, atol=0.02)


def test_time_is_that_of_the_gradients_and_of_an_all_reduce_a_round():
    world = labkit.simulated(8, network=Network("a second", 1.0, 1e15),
                             machine=Machine("slow", 1, 1))

    def program(me):
        return local_sgd.local_sgd(me, START, lambda w, step: w, 12, 0.1, 4, dict(flops=2))

    assert world.run(program).seconds == pytest.approx(12 * 2 + 3 * 3)     # log2 8 rounds each


# ---- DiLoCo


@pytest.mark.parametrize("every", [1, 5, 12])
def test_an_outer_rate_of_1_without_momentum_is_local_sgd(world, every):
    found = run_diloco(world, 30, every, lambda: SGD(falling), lambda: SGD(1.0))
    local = run_local(world, 30, falling, every)
    for a, b in zip(found.results, local.results):
        np.testing.assert_allclose(a.value, b.value, atol=1e-12)
        np.testing.assert_allclose(a.disagreement, b.disagreement, atol=1e-12)


def test_the_outer_optimiser_follows_the_mean_of_what_peers_moved(world):
    """The paper's outer step by hand: rate 0.7, Nesterov momentum 0.9."""
    run = run_diloco(world, 24, 4, lambda: SGD(0.1))
    theta, velocity = START, np.zeros(4)
    for first in range(0, 24, 4):
        w = np.tile(theta, (3, 1))
        for step in range(first, first + 4):
            w = np.array([w[r] - 0.1 * gradient(r, w[r], step) for r in range(3)])
        moved = theta - w.mean(axis=0)
        velocity = 0.9 * velocity + moved
        theta = theta - 0.7 * (moved + 0.9 * velocity)
    for found in run.results:
        np.testing.assert_allclose(found.value, theta, atol=1e-12)
    assert_same_bits(run)


def test_diloco_finds_the_common_optimum(world):
    run = run_diloco(world, 1500, 10, lambda: SGD(lambda step: 0.1 / (1 + 0.02 * step)),
                     stochastic=False)
    for found in run.results:
        np.testing.assert_allclose(found.value, OPTIMUM, atol=0.03)


def test_diloco_with_adamw_inside_finds_what_all_can_agree_on(world):
    """AdamW takes steps of one size, so that peers who pull apart would not meet at the mean."""
    def program(me):
        def slope(w, step):
            return A[me.rank].T @ (A[me.rank] @ (w - [1, 2, 3, 4]))
        inner = AdamW(lambda step: 0.3 / (1 + 0.02 * step), (0.9, 0.95), decay=0)
        return local_sgd.diloco(me, START, slope, 600, 10, inner)

    run = world.run(program)
    for found in run.results:
        np.testing.assert_allclose(found.value, [1, 2, 3, 4], atol=0.02)
    assert_same_bits(run)


def test_its_defaults_are_adamw_inside_and_nesterov_outside(world):
    default = run_diloco(world, 20, 5)
    spelt_out = run_diloco(world, 20, 5, lambda: AdamW(1e-3, (0.9, 0.999), 1e-8, 0.01),
                           lambda: SGD(0.7, momentum=0.9))
    for a, b in zip(default.results, spelt_out.results):
        np.testing.assert_array_equal(a.value, b.value)


def test_momentum_outside_gets_further_with_the_same_messages():
    world = labkit.simulated(3)
    plain = run_diloco(world, 60, 5, lambda: SGD(0.02), lambda: SGD(0.7), stochastic=False)
    momentum = run_diloco(world, 60, 5, lambda: SGD(0.02), stochastic=False)
    assert plain.messages == momentum.messages
    left = [np.linalg.norm(run.results[0].value - OPTIMUM) for run in (plain, momentum)]
    assert left[1] < 0.7 * left[0]


@pytest.mark.parametrize("every", [0, -3])
def test_a_round_without_steps_is_refused(every):
    for train in (run_local, lambda world, steps, rate, every: run_diloco(world, steps, every)):
        with pytest.raises(ProgramError, match="1 or more"):
            train(labkit.serial(2), 10, 0.1, every)


def test_no_steps_leave_the_start_as_it_is(world):
    for run in (run_local(world, 0, 0.1, 5), run_diloco(world, 0, 5)):
        for found in run.results:
            np.testing.assert_array_equal(found.value, START)
            assert (found.disagreement, found.rounds) == ((), 0)
        assert run.messages == 0


# ---- optimisers


def gradients(n=12, seed=1):
    return np.random.default_rng(seed).normal(size=(n, 5))


def test_adamw_is_that_of_the_paper():
    """With sums over the whole past in place of running means (Kingma and Ba, section 3)."""
    first, second, eps, decay, rate = 0.8, 0.95, 1e-6, 0.1, 0.01
    optimiser, g = AdamW(rate, (first, second), eps, decay), gradients()
    w = want = np.ones(5)
    for t in range(1, len(g) + 1):
        w = optimiser.step(w, g[t - 1])
        past = np.arange(t)[::-1]
        mean = (1 - first) * (first**past @ g[:t]) / (1 - first**t)
        square = (1 - second) * (second**past @ g[:t]**2) / (1 - second**t)
        want = want - rate * decay * want - rate * mean / (np.sqrt(square) + eps)
        np.testing.assert_allclose(w, want, rtol=1e-12)


def test_adamw_first_moves_every_parameter_by_the_rate():
    np.testing.assert_allclose(AdamW(0.5, decay=0).step(np.zeros(3), np.array([1e-3, -7.0, 40.0])),
                               [-0.5, 0.5, -0.5], rtol=1e-4)


def test_nesterov_looks_ahead():
    """Sutskever 2013: gradients are taken at w + momentum * velocity, which is our w."""
    optimiser, momentum, rate = SGD(0.1, momentum=0.6), 0.6, 0.1
    behind, velocity, w = np.ones(2), np.zeros(2), np.ones(2)
    for _ in range(10):
        w = optimiser.step(w, np.array([1.0, 3.0]) * w)
        ahead = behind + momentum * velocity
        velocity = momentum * velocity - rate * np.array([1.0, 3.0]) * ahead
        behind = behind + velocity
        np.testing.assert_allclose(w, behind + momentum * velocity, rtol=1e-12)


@pytest.mark.parametrize("make", [lambda: SGD(0.1), lambda: SGD(0.1, 0.9), AdamW])
def test_optimisers_leave_what_they_are_given_as_it_is(make):
    optimiser, w, g = make(), np.ones(3), np.full(3, 2.0)
    for _ in range(3):
        assert (optimiser.step(w, g) < 1).all()
    assert (w == 1).all() and (g == 2).all()


def test_rates_may_follow_a_schedule():
    w = np.zeros(1)
    for optimiser in (SGD(lambda step: 10.0**-step), AdamW(lambda step: 10.0**-step, decay=0)):
        moved = [-optimiser.step(w, np.ones(1))[0] for _ in range(3)]
        np.testing.assert_allclose(moved, [1, 0.1, 0.01], rtol=1e-6)

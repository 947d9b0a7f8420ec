"""D-PSGD and AD-PSGD against serial SGD, matrix iterations and known optima."""

import numpy as np
import pytest
from scipy.optimize import minimize

import labkit
from labkit import topology
from labkit.errors import ProgramError
from labkit.models.peer_to_peer import decentralised, gossip
from labkit.network import Machine, Network
from labkit.topology import Graph, graph, mixing_matrix

PATH = Graph("path", ((1,), (0, 2), (1,)))
GRAPHS = {"ring": graph("ring", 8), "torus": graph("torus", 9),
          "exponential": graph("exponential", 8), "random": topology.random_regular(8, 3, seed=2),
          "one-peer": topology.one_peer_exponential(8)}
each_graph = pytest.mark.parametrize("name", GRAPHS)
virtual = pytest.mark.parametrize("kind", ["serial", "simulated"])
START = np.zeros(4)


class Quadratic:
    """Peer i has f_i(w) = |A_i w - b_i|^2 / 2; together they have one lowest point."""

    def __init__(self, n, noise=1.0, rows=8, seed=0):
        rng = np.random.default_rng([seed, n])
        self.A = rng.normal(size=(n, rows, 4)) / np.sqrt(rows)
        self.b = self.A @ np.arange(1.0, 5.0) + noise * rng.normal(size=(n, rows))
        self.optimum = np.linalg.lstsq(self.A.reshape(-1, 4), self.b.reshape(-1))[0]

    def gradient(self, rank):
        return lambda w, step: self.A[rank].T @ (self.A[rank] @ w - self.b[rank])


def falling(step):
    return 0.5 / (1 + 0.05 * step)


def size_of(found):
    return (found if isinstance(found, Graph) else found[0]).size


def by_matrices(problem, graphs, steps, rate, overlap):
    """The same iteration with all peers' parameters in one array."""
    W = [mixing_matrix(found) for found in graphs]
    w = np.tile(START, (len(W[0]), 1))
    for step in range(steps):
        moves = np.array([rate(step) * problem.gradient(rank)(w[rank], step)
                          for rank in range(len(w))])
        mix = W[step % len(W)]
        w = mix @ w - moves if overlap else mix @ (w - moves)
    return w


def d_psgd(world, problem, found, steps, rate, **options):
    return world.run(lambda me: decentralised.d_psgd(me, START, problem.gradient(me.rank), found,
                                                     steps, rate, **options))


def ad_psgd(world, problem, found, steps, rate, **options):
    return world.run(lambda me: decentralised.ad_psgd(me, START, problem.gradient(me.rank), found,
                                                      steps, rate, **options))


# ---- D-PSGD


def test_on_the_complete_graph_it_is_mini_batch_sgd(world):
    problem = Quadratic(3)
    run = d_psgd(world, problem, graph("complete", 3), 40, falling)
    w = START
    for step in range(40):
        w = w - falling(step) * np.mean([problem.gradient(r)(w, step) for r in range(3)], axis=0)
    for found in run.results:
        np.testing.assert_allclose(found.value, w, rtol=0, atol=1e-10)
        assert len(found.disagreement) == found.rounds == 40


@pytest.mark.parametrize("overlap", [False, True])
def test_each_step_is_that_of_the_matrix_iteration(world, overlap):
    problem = Quadratic(3)
    run = d_psgd(world, problem, PATH, 30, falling, overlap=overlap)
    np.testing.assert_allclose([found.value for found in run.results],
                               by_matrices(problem, [PATH], 30, falling, overlap), atol=1e-10)
    assert run.messages == 30 * 4


@each_graph
@virtual
def test_each_step_is_that_of_the_matrix_iteration_on_any_graph(kind, name):
    found = GRAPHS[name]
    n = size_of(found)
    problem = Quadratic(n)
    world = getattr(labkit, kind)(n)
    for overlap in (False, True):
        run = d_psgd(world, problem, found, 10, falling, overlap=overlap)
        graphs = [found] if isinstance(found, Graph) else found
        np.testing.assert_allclose([agreed.value for agreed in run.results],
                                   by_matrices(problem, graphs, 10, falling, overlap), atol=1e-10)


@each_graph
def test_everyone_comes_near_the_common_optimum(name):
    found = GRAPHS[name]
    problem = Quadratic(size_of(found))
    run = d_psgd(labkit.simulated(size_of(found)), problem, found, 700, falling)
    for agreed in run.results:
        np.testing.assert_allclose(agreed.value, problem.optimum, atol=0.1)
    alone = [np.linalg.lstsq(A, b)[0] for A, b in zip(problem.A, problem.b)]
    assert min(np.linalg.norm(w - problem.optimum) for w in alone) > 0.3, "nobody could alone"


def test_the_better_connected_agree_the_better():
    n, problem = 16, Quadratic(16)
    apart = {}
    for name in ("ring", "torus", "exponential", "complete"):
        run = d_psgd(labkit.simulated(n), problem, graph(name, n), 30, 0.1)
        values = np.array([found.value for found in run.results])
        apart[name] = np.linalg.norm(values - values.mean(axis=0))
    assert apart["ring"] > apart["torus"] > apart["exponential"] > apart["complete"]
    assert apart["complete"] < 1e-12


def test_overlap_hides_the_messages_behind_the_gradient():
    """A gradient takes 1 s, a message 0.4 s."""
    world = labkit.simulated(8, network=Network("slow", 0.4, 1e15), machine=Machine("1", 1, 1))
    steps, problem = 10, Quadratic(8)
    run = d_psgd(world, problem, graph("ring", 8), steps, 0.1, cost=dict(flops=1))
    assert run.seconds == pytest.approx(steps * 1.4)
    run = d_psgd(world, problem, graph("ring", 8), steps, 0.1, overlap=True, cost=dict(flops=1))
    assert run.seconds == pytest.approx(steps * 1.0)


# ---- AD-PSGD


@pytest.mark.parametrize("found", [PATH, graph("complete", 3), graph("exponential", 3)],
                         ids=lambda g: g.name)
def test_at_its_own_pace_everyone_finds_what_all_can_agree_on(world, found):
    problem = Quadratic(3, noise=0.0, rows=2)        # no peer could find the four alone
    run = ad_psgd(world, problem, found, 600, 0.15)
    for agreed in run.results:
        np.testing.assert_allclose(agreed.value, [1, 2, 3, 4], atol=1e-3)
        assert agreed.rounds == len(agreed.disagreement) == 600
        assert agreed.disagreement[-1] < 1e-2 < max(agreed.disagreement)


@pytest.mark.parametrize("name", ["ring", "torus", "exponential", "random"])
@virtual
def test_at_its_own_pace_everyone_comes_near_the_common_optimum(kind, name):
    found = GRAPHS[name]
    problem = Quadratic(found.size, noise=0.3)
    run = ad_psgd(getattr(labkit, kind)(found.size), problem, found, 800, falling)
    values = np.array([agreed.value for agreed in run.results])
    np.testing.assert_allclose(values, np.tile(problem.optimum, (found.size, 1)), atol=0.1)
    alone = [np.linalg.lstsq(A, b)[0] for A, b in zip(problem.A, problem.b)]
    assert max(np.abs(w - problem.optimum).max() for w in alone) > 0.3


def test_without_a_slope_it_is_pairwise_gossip():
    X = list(np.random.default_rng(0).normal(size=(8, 4)))
    world = labkit.simulated(8)
    trained = world.run(lambda me, x: decentralised.ad_psgd(
        me, x, lambda w, step: np.zeros(4), GRAPHS["ring"], 15, 1.0, seed=9), X)
    averaged = world.run(lambda me, x: gossip.pairwise(me, x, GRAPHS["ring"], 15, seed=9), X)
    for a, b in zip(trained.results, averaged.results):
        np.testing.assert_array_equal(a.value, b.value)
        assert a.disagreement == b.disagreement


def test_one_peer_alone_does_sgd():
    problem = Quadratic(1)
    w = START
    for step in range(20):
        w = w - falling(step) * problem.gradient(0)(w, step)
    for train in (d_psgd, ad_psgd):
        run = train(labkit.serial(1), problem, graph("ring", 1), 20, falling)
        np.testing.assert_allclose(run.results[0].value, w, atol=1e-12)
        assert run.messages == 0


def test_peers_may_take_different_numbers_of_steps(world):
    problem = Quadratic(3, noise=0.0)
    run = world.run(lambda me, steps: decentralised.ad_psgd(
        me, START, problem.gradient(me.rank), PATH, steps, 0.3), [0, 400, 30])
    assert [found.rounds for found in run.results] == [0, 400, 30]
    for found in run.results:
        np.testing.assert_allclose(found.value, [1, 2, 3, 4], atol=1e-2)


def last_steps(run):
    """When each peer began its last step."""
    times = {}
    for event in run.events:
        if event.kind == "step":
            times[event.rank] = event.start_s
    return [times[rank] for rank in sorted(times)]


def test_a_slow_peer_holds_up_all_in_lockstep_but_only_its_neighbours_otherwise():
    """Peer 0 needs 10 s for a gradient, the others 1 s."""
    n, steps, found = 16, 20, graph("ring", 16)
    world = labkit.simulated(n, network=Network("fast", 1e-6, 1e12), machine=Machine("1", 1, 1))
    costs = [dict(flops=10 if rank == 0 else 1) for rank in range(n)]
    problem = Quadratic(n)

    def program(me, cost, train, *options):
        return train(me, START, problem.gradient(me.rank), found, steps, 0.1, *options, cost=cost)

    together = last_steps(world.run(program, costs, [decentralised.d_psgd] * n))
    alone = last_steps(world.run(program, costs, [decentralised.ad_psgd] * n))
    assert min(together) > 10 * (steps - n), "the wave of waiting has come round"
    assert alone[0] == pytest.approx(together[0], rel=0.05)
    assert np.median(alone) < 0.5 * np.median(together)


def test_a_peer_that_never_gets_an_answer_of_the_right_size_says_so(world):
    with pytest.raises(ProgramError, match="a Graph of 3 peers"):
        d_psgd(world, Quadratic(3), graph("ring", 5), 1, 0.1)
    with pytest.raises(ProgramError, match="a Graph of 3 peers"):
        ad_psgd(world, Quadratic(3), topology.one_peer_exponential(3), 1, 0.1)


# ---- logistic regression


def logistic(rows=240, seed=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 4))
    y = np.where(rng.random(rows) < 1 / (1 + np.exp(-X @ [1.0, -2.0, 0.5, 0.0])), 1.0, -1.0)
    return X, y


def slope(X, y, w):
    """Gradient of the mean log loss with a ridge of 0.05."""
    return 0.05 * w - X.T @ (y / (1 + np.exp(y * (X @ w)))) / len(y)


def loss(X, y, w):
    return 0.025 * w @ w + np.log1p(np.exp(-y * (X @ w))).mean()


@pytest.mark.parametrize("train", [decentralised.d_psgd, decentralised.ad_psgd],
                         ids=lambda f: f.__name__)
def test_logistic_regression_on_shards_finds_the_optimum_of_all_rows(world, train):
    X, y = logistic()
    optimum = minimize(lambda w: loss(X, y, w), np.zeros(4), jac=lambda w: slope(X, y, w),
                       tol=1e-10).x
    run = world.run(lambda me, X, y: train(me, np.zeros(4), lambda w, step: slope(X, y, w),
                                           graph("ring", 3), 500,
                                           lambda step: 1 / (1 + 0.05 * step)),
                    *world.shard(X, y))
    for found in run.results:
        np.testing.assert_allclose(found.value, optimum, atol=0.05)

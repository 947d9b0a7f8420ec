"""Gossip against matrix products, conserved sums and predicted rates."""

import time
from fractions import Fraction

import numpy as np
import pytest

import labkit
from labkit import topology
from labkit.errors import ConfigurationError, ProgramError
from labkit.models.peer_to_peer import gossip
from labkit.models.peer_to_peer.talk import stream
from labkit.network import Network
from labkit.topology import Graph, graph, mixing_matrix, spectral_gap

PATH = Graph("path", ((1,), (0, 2), (1,)))
LOPSIDED = Graph("lopsided", ((1, 2), (2,), (0,)))
SMALL = [PATH, graph("complete", 3), graph("exponential", 3)]
LARGE = [graph("ring", 16), graph("torus", 16), graph("tree", 16), graph("hypercube", 16),
         graph("exponential", 13), graph("complete", 9), topology.random_regular(16, 3, seed=1)]
small = pytest.mark.parametrize("found", SMALL, ids=lambda g: g.name)
large = pytest.mark.parametrize("found", LARGE, ids=lambda g: g.name)
ASYNCHRONOUS = [gossip.pairwise, gossip.push_sum]
asynchronous = pytest.mark.parametrize("method", ASYNCHRONOUS, ids=lambda f: f.__name__)


def vectors(n, shape=(4,), seed=0):
    return list(np.random.default_rng([seed, n]).normal(size=(n, *shape)))


def apart(results, mean):
    """The distance of all peers' values to the mean, together."""
    return np.linalg.norm([found.value - mean for found in results])


def all_rounds(me, x, found, rounds):
    values = []
    for _ in range(rounds):
        x, _ = gossip.mix(me, x, found)
        values.append(x)
    return values


def assert_each_round_multiplies_by_W(world, found):
    X = np.array(vectors(found.size))
    W = mixing_matrix(found)
    run = world.run(lambda me, x: all_rounds(me, x, found, 8), list(X))
    for number, values in enumerate(zip(*run.results), start=1):
        want = np.linalg.matrix_power(W, number) @ X
        np.testing.assert_allclose(values, want, atol=1e-12)
    assert run.messages == 8 * sum(map(len, found.neighbours))


# ---- synchronous


@small
def test_a_round_multiplies_by_the_mixing_matrix(world, found):
    assert_each_round_multiplies_by_W(world, found)


@large
def test_a_round_multiplies_by_the_mixing_matrix_on_any_graph(found):
    for kind in ("serial", "simulated"):
        assert_each_round_multiplies_by_W(getattr(labkit, kind)(found.size), found)


@large
def test_differences_shrink_as_the_spectral_gap_predicts(found):
    X = vectors(found.size)
    mean = np.mean(X, axis=0)
    left = 1 - spectral_gap(mixing_matrix(found))
    rounds = topology.rounds_to_reach(1e-3, 1 - left)
    run = labkit.simulated(found.size).run(
        lambda me, x: gossip.synchronous(me, x, found, rounds, mean=mean), X)
    errors = np.linalg.norm([found.errors for found in run.results], axis=0)
    assert (errors <= left ** np.arange(rounds + 1) * errors[0] + 1e-12).all()
    assert errors[-1] <= 1e-3 * errors[0]


def test_the_slowest_difference_shrinks_at_exactly_the_predicted_rate():
    """One wave around the ring is the eigenvector of the second largest eigenvalue."""
    wave = np.cos(2 * np.pi * np.arange(12) / 12)
    run = labkit.simulated(12).run(
        lambda me, x: gossip.synchronous(me, x, graph("ring", 12), 20, mean=0.0), list(wave))
    errors = np.linalg.norm([found.errors for found in run.results], axis=0)
    gap = topology.closed_form_gap("ring", 12)
    np.testing.assert_allclose(errors[1:] / errors[:-1], 1 - gap, rtol=1e-9)


def test_one_peer_a_round_finds_the_exact_mean():
    X = vectors(16)
    graphs = topology.one_peer_exponential(16)
    run = labkit.simulated(16).run(lambda me, x: gossip.synchronous(me, x, graphs, 4), X)
    for found in run.results:
        np.testing.assert_allclose(found.value, np.mean(X, axis=0), atol=1e-14)
    assert run.messages == 4 * 16


@pytest.mark.parametrize("found", [graph("ring", 30), graph("complete", 30)],
                         ids=lambda g: g.name)
def test_a_round_lasts_one_latency(found):
    run = labkit.simulated(30, network=Network("a second", 1.0, 1e15)).run(
        lambda me: gossip.synchronous(me, np.ones(3), found, 5))
    assert run.seconds == pytest.approx(5)


def test_the_record_says_how_far_a_peer_was_from_mean_and_neighbours(world):
    xs = [np.array([0.0, 0.0]), np.array([3.0, 0.0]), np.array([3.0, 4.0])]
    run = world.run(
        lambda me, x: gossip.synchronous(me, x, graph("complete", 3), 2, mean=np.mean(xs, 0)), xs)
    for x, found in zip(xs, run.results):
        np.testing.assert_allclose(found.value, [2, 4 / 3])
        assert found.rounds == 2
        assert found.errors[0] == pytest.approx(np.linalg.norm(x - [2, 4 / 3]))
        np.testing.assert_allclose(found.errors[1:], 0, atol=1e-15)
        assert found.disagreement[0] == max(np.linalg.norm(x - other) for other in xs)
        assert found.disagreement[1] == pytest.approx(0)


def test_errors_are_left_out_when_nobody_knows_the_mean(world):
    run = world.run(lambda me: gossip.synchronous(me, np.ones(1), PATH, 3))
    assert [(found.errors, len(found.disagreement)) for found in run.results] == [((), 3)] * 3


def test_values_may_have_any_shape_and_are_left_as_they_are(world):
    def program(me):
        for shape in [(), (0,), (2, 3)]:
            x = np.full(shape, float(me.rank))
            for method in (gossip.synchronous, *ASYNCHRONOUS):
                found = method(me, x, PATH, 70)
                assert np.shape(found.value) == shape
                np.testing.assert_allclose(found.value, np.ones(shape), atol=1e-6)
            assert (x == me.rank).all()
        return True

    assert world.run(program).results == [True] * 3


def test_large_values_cross_without_blocking(world):
    """Half a megabyte each: more than is sent before anyone has received."""
    def program(me):
        return [method(me, np.full((300, 200), float(me.rank)), graph("complete", 3), 12)
                for method in (gossip.synchronous, *ASYNCHRONOUS)]

    for results in zip(*world.run(program).results):
        total = sum(found.value * found.weight for found in results)
        np.testing.assert_allclose(total, np.full((300, 200), 3.0))


# ---- asynchronous


@asynchronous
@small
def test_peers_at_their_own_pace_find_the_mean(world, found, method):
    X = vectors(3, (5,))
    run = world.run(lambda me, x: method(me, x, found, 60, seed=3, mean=np.mean(X, 0)), X)
    for agreed in run.results:
        np.testing.assert_allclose(agreed.value, np.mean(X, axis=0), atol=1e-6)
        assert len(agreed.errors) == 61 and agreed.errors[-1] < 1e-6 < agreed.errors[0]
        assert agreed.rounds == 60


@asynchronous
@large
def test_sum_and_mass_stay_on_any_graph_however_far_it_has_come(found, method):
    X = vectors(found.size)
    for kind in ("serial", "simulated"):
        for rounds in (0, 1, 2, 17):
            run = getattr(labkit, kind)(found.size).run(
                lambda me, x, rounds: method(me, x, found, rounds), X, [rounds] * found.size)
            total = sum(agreed.value * agreed.weight for agreed in run.results)
            np.testing.assert_allclose(total, np.sum(X, axis=0), atol=1e-12)
            assert sum(agreed.weight for agreed in run.results) == pytest.approx(found.size)


def fractions(rank):
    return np.array([Fraction(rank + 1, 3), Fraction(-rank, 7)])


def test_push_sum_conserves_mass_exactly(world):
    """Fractions are not rounded: what is in hand adds up to what there was, to the last bit."""
    def program(me):
        return gossip.push_sum(me, fractions(me.rank), PATH, 12, weight=Fraction(me.rank + 1))

    results = world.run(program).results
    total = sum(found.value * found.weight for found in results)
    assert list(total) == list(sum(fractions(rank) * (rank + 1) for rank in range(3)))
    assert sum(found.weight for found in results) == 6


def test_pairwise_averaging_conserves_the_sum_exactly(world):
    results = world.run(lambda me: gossip.pairwise(me, fractions(me.rank), PATH, 12)).results
    assert list(sum(found.value for found in results)) == [Fraction(2), Fraction(-3, 7)]


def test_push_sum_weighs_values(world):
    """The mean over all rows, from the means of shards of different lengths."""
    shards = [np.arange(5.0), np.arange(5.0, 6.0), np.arange(6.0, 20.0)]
    run = world.run(lambda me, x: gossip.push_sum(me, x.mean(), graph("complete", 3), 60,
                                                  weight=len(x)), shards)
    for found in run.results:
        assert found.value == pytest.approx(9.5)


def test_push_sum_needs_no_weights_on_the_edges(world):
    """On this graph W x would not keep the mean."""
    X = vectors(3)
    run = world.run(lambda me, x: gossip.push_sum(me, x, LOPSIDED, 80), X)
    for found in run.results:
        np.testing.assert_allclose(found.value, np.mean(X, axis=0), atol=1e-6)
    with pytest.raises(ProgramError, match="push-sum works on any graph"):
        world.run(lambda me, x: gossip.synchronous(me, x, LOPSIDED, 80), X)


@pytest.mark.parametrize("n", [8, 32])
def test_pairs_on_the_complete_graph_agree_almost_as_fast_as_one_after_the_other(n):
    """One exchange of a random pair leaves 1 - 1/(n-1) of the summed squares, on average.

    Here all ask at once, and some exchanges work with values that have just changed.
    """
    X = vectors(n, (50,))
    mean = np.mean(X, axis=0)
    run = labkit.simulated(n).run(
        lambda me, x: gossip.pairwise(me, x, graph("complete", n), 12), X)
    shrunk = np.log(apart(run.results, mean) / np.linalg.norm(X - mean))
    assert 0.6 < shrunk / (12 * n / 2 * np.log(1 - 1 / (n - 1))) < 0.9


def test_two_peers_who_ask_each_other_at_once_meet_in_the_middle(world):
    pair = Graph("pair", ((1,), (0,), ()))
    run = world.run(lambda me, x: gossip.pairwise(me, x, pair, 1), [0.0, 8.0, 5.0])
    values = [found.value for found in run.results]
    assert values == [4, 4, 5]


@asynchronous
def test_who_has_finished_still_answers(world, method):
    """Peer 0 asks nobody, peer 2 asks 200 times."""
    X = vectors(3)
    run = world.run(lambda me, x, rounds: method(me, x, graph("complete", 3), rounds), X,
                    [0, 5, 200])
    assert [found.rounds for found in run.results] == [0, 5, 200]
    total = sum(found.value * found.weight for found in run.results)
    np.testing.assert_allclose(total, np.sum(X, axis=0), atol=1e-12)
    assert not np.allclose(run.results[0].value, X[0]), "it was drawn to the mean all the same"


def test_nothing_is_left_over_for_what_comes_next(world):
    """Conversations one after the other, then messages from anyone."""
    def program(me, x):
        for number in range(6):
            found = ASYNCHRONOUS[number % 2](me, x, PATH, 3 * me.rank, seed=number)
            x = found.value
            me.send((me.rank + 1) % me.size, ("next", number))
            assert me.recv_any() == ((me.rank - 1) % me.size, ("next", number))
            me.barrier()                     # or a fast peer's next question came too early
        return True

    assert world.run(program, vectors(3)).results == [True] * 3


@asynchronous
def test_conversations_end_on_a_slow_and_jittery_network(method):
    found = topology.random_regular(20, 3, seed=0)
    X = vectors(20)
    for seed in range(5):
        world = labkit.simulated(20, network=Network("jittery", 1e-3, 1e5, jitter_s=2e-3),
                                 seed=seed)
        run = world.run(lambda me, x, rounds: method(me, x, found, rounds), X,
                        [rank % 7 * 5 for rank in range(20)])
        total = sum(agreed.value * agreed.weight for agreed in run.results)
        np.testing.assert_allclose(total, np.sum(X, axis=0), atol=1e-12)


@asynchronous
def test_one_peer_alone_has_the_mean_already(method):
    for kind in ("serial", "simulated"):
        run = getattr(labkit, kind)(1).run(
            lambda me: method(me, np.array([7.0]), graph("ring", 1), 4, mean=7.0))
        assert run.results[0].value == [7.0]
        assert run.results[0].errors == (0.0,) * 5
        assert run.messages == 0


# ---- seeds and arguments


@asynchronous
def test_the_seed_decides_whom_a_peer_asks(method):
    def asked(seed):
        run = labkit.simulated(8).run(
            lambda me: method(me, 1.0, graph("complete", 8), 5, seed=seed))
        return [(event.rank, event.peer) for event in run.events if event.kind == "send"]

    assert asked(1) == asked(1) == asked(np.random.default_rng(1))
    assert asked(1) != asked(2)


def test_each_peer_has_a_stream_of_its_own_and_a_generator_stays_as_it_is():
    rng = np.random.default_rng(5)
    before = rng.bit_generator.state
    drawn = {tuple(stream(seed, rank).integers(1000, size=5))
             for seed in (rng, 6) for rank in range(10)}
    assert len(drawn) == 20
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("found", [graph("ring", 4), "ring"], ids=["four", "a name"])
@pytest.mark.parametrize("method", [gossip.synchronous, *ASYNCHRONOUS], ids=lambda f: f.__name__)
def test_a_graph_that_does_not_fit_is_refused(world, method, found):
    with pytest.raises(ProgramError, match="a Graph of 3 peers") as caught:
        world.run(lambda me: method(me, 1.0, found, 1))
    assert isinstance(caught.value.__cause__, ConfigurationError)


@pytest.mark.parametrize("weight", [0, -1.0, float("nan")])
def test_a_value_without_weight_is_refused(weight):
    with pytest.raises(ProgramError, match="more than 0"):
        labkit.serial(2).run(
            lambda me: gossip.push_sum(me, 1.0, graph("ring", 2), 1, weight=weight))


def test_messages_of_a_program_never_mix_with_gossip(world):
    """A slow peer that takes a message from anyone must not take a question."""
    ring = graph("ring", world.workers)

    def program(me, x):
        me.send((me.rank + 1) % me.size, "first")
        if me.rank == 0:
            time.sleep(0.02)
        _, word = me.recv_any()
        return word, gossip.pairwise(me, x, ring, 5, seed=1).value

    results = world.run(program, [np.full(2, float(rank)) for rank in range(world.workers)]).results
    assert all(word == "first" for word, _ in results)
    np.testing.assert_allclose(sum(value for _, value in results), [3.0, 3.0])

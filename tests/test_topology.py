"""Graphs against their definitions, gaps against NumPy's eigenvalues and published numbers."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import topology
from labkit.errors import ConfigurationError
from labkit.topology import Graph, closed_form_gap, graph, mixing_matrix, spectral_gap

PUBLISHED = Path(__file__).parents[1] / "datasets" / "published" / "spectral_gaps_exact.csv"
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 30, 64]
CASES = [(name, n) for name in topology.NEIGHBOURS for n in SIZES
         if name != "hypercube" or n & (n - 1) == 0]
each_graph = pytest.mark.parametrize(("name", "n"), CASES)
PATH = Graph("path", ((1,), (0, 2), (1,)))


def adjacency(found):
    """1 where a message goes from the column's peer to the row's."""
    A = np.zeros((found.size, found.size), int)
    for rank, others in enumerate(found.neighbours):
        for other in others:
            A[other, rank] += 1
    return A


def gap_by_eigenvalues(W):
    """The definition: one eigenvalue is 1, and the largest of the others counts."""
    return 1 - np.sort(np.abs(np.linalg.eigvals(W)))[-2] if len(W) > 1 else 1.0


# ---- graphs


@pytest.mark.parametrize(("name", "n", "neighbours"), [
    ("ring", 5, (1, 4)), ("ring", 2, (1,)), ("ring", 1, ()), ("torus", 9, (1, 2, 3, 6)),
    ("torus", 16, (1, 3, 4, 12)), ("torus", 12, (1, 3, 4, 8)), ("torus", 7, (1, 6)),
    ("tree", 7, (1, 2)), ("tree", 2, (1,)), ("hypercube", 8, (1, 2, 4)),
    ("exponential", 8, (1, 2, 4)), ("exponential", 9, (1, 2, 4, 8)), ("exponential", 1, ()),
    ("complete", 4, (1, 2, 3))])
def test_peer_0_has_the_neighbours_of_the_picture(name, n, neighbours):
    assert graph(name, n).neighbours[0] == neighbours


@each_graph
def test_every_graph_is_connected_and_nobody_is_its_own_neighbour(name, n):
    A = adjacency(graph(name, n))
    assert not A.diagonal().any()
    assert A.max(initial=0) <= 1
    steps = np.linalg.matrix_power(np.eye(n) + A, max(1, n - 1))
    assert (steps > 0).all()


@each_graph
def test_edges_have_two_directions_except_on_the_exponential_graph(name, n):
    found = graph(name, n)
    A = adjacency(found)
    assert found.is_undirected == np.array_equal(A, A.T)
    assert found.is_undirected or name == "exponential"
    assert [sorted(s) for s in found.sources] == [list(np.flatnonzero(row)) for row in A]


@each_graph
def test_all_but_the_tree_are_regular(name, n):
    A = adjacency(graph(name, n))
    degrees = {*A.sum(axis=0), *A.sum(axis=1)}
    assert graph(name, n).is_regular == (len(degrees) == 1)
    assert (len(degrees) == 1) == (name != "tree" or n <= 2)


def test_a_tree_has_as_many_children_as_it_is_told():
    found = graph("tree", 14, arity=3)
    assert found.neighbours[0] == (1, 2, 3)
    assert found.neighbours[1] == (0, 4, 5, 6)
    assert found.neighbours[13] == (4,)
    assert adjacency(found).sum() == 2 * 13


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 2**32))
@settings(deadline=None)
def test_random_graphs_are_regular_connected_and_repeatable(n, degree, seed):
    if degree >= n or n * degree % 2 or (degree == 1 and n > 2):
        with pytest.raises(ConfigurationError, match="no such connected graph"):
            topology.random_regular(n, degree, seed)
        return
    found = topology.random_regular(n, degree, seed)
    A = adjacency(found)
    assert (A == A.T).all() and (A.sum(axis=0) == degree).all()
    assert (np.linalg.matrix_power(np.eye(n) + A, n) > 0).all()
    assert found == topology.random_regular(n, degree, np.random.default_rng(seed))


def test_random_graphs_differ_from_seed_to_seed():
    assert len({topology.random_regular(20, 3, seed) for seed in range(5)}) == 5


def test_random_graphs_beat_the_ring_however_many_peers_there_are():
    """Friedman 2003: the second eigenvalue of A is close to 2 sqrt(d - 1), whatever n is."""
    for n in (50, 200, 400):
        gap = spectral_gap(mixing_matrix(topology.random_regular(n, 4, seed=n)))
        assert gap == pytest.approx(1 - (1 + 2 * math.sqrt(3)) / 5, abs=0.05)
        assert gap > 10 * closed_form_gap("ring", n)


# ---- mixing


@each_graph
def test_rows_and_columns_of_the_mixing_matrix_add_up_to_1(name, n):
    W = mixing_matrix(graph(name, n))
    np.testing.assert_allclose(W.sum(axis=0), 1, atol=1e-14)
    np.testing.assert_allclose(W.sum(axis=1), 1, atol=1e-14)
    assert (W >= 0).all()
    np.testing.assert_array_equal((W > 0) | np.eye(n, dtype=bool),
                                  (adjacency(graph(name, n)) > 0) | np.eye(n, dtype=bool))


def test_weights_of_a_path_are_those_of_metropolis_and_hastings():
    np.testing.assert_allclose(mixing_matrix(PATH) * 3, [[2, 1, 0], [1, 1, 1], [0, 1, 2]])


@each_graph
def test_uniform_weights_need_a_regular_graph(name, n):
    found = graph(name, n)
    if found.is_regular:
        W = mixing_matrix(found, "uniform")
        np.testing.assert_allclose(W[W > 0], 1 / (1 + len(found.neighbours[0])))
    else:
        with pytest.raises(ConfigurationError, match="a regular graph"):
            mixing_matrix(found, "uniform")


def test_a_directed_graph_of_several_degrees_has_no_weights():
    lopsided = Graph("lopsided", ((1, 2), (2,), (0,)))
    with pytest.raises(ConfigurationError, match="push-sum"):
        mixing_matrix(lopsided)


# ---- gaps


@each_graph
def test_the_gap_is_that_of_the_eigenvalues(name, n):
    W = mixing_matrix(graph(name, n))
    assert spectral_gap(W) == pytest.approx(gap_by_eigenvalues(W), abs=1e-9)


@each_graph
def test_closed_forms_agree_with_the_matrix(name, n):
    found = closed_form_gap(name, n)
    if found is None:
        assert (name, n % 2) in {("tree", 0), ("tree", 1), ("exponential", 1)} or name == "torus"
    else:
        assert found == pytest.approx(spectral_gap(mixing_matrix(graph(name, n))), rel=1e-9)


COLUMNS = {"ring_1/3": "ring", "ring_formula": "ring", "torus_1/5": "torus",
           "static_exp": "exponential", "2/(1+ceil(log2 n))": "exponential"}


def test_gaps_are_the_published_ones():
    with PUBLISHED.open() as file:
        rows = list(csv.DictReader(file))
    compared = 0
    for row in rows:
        for column, name in COLUMNS.items():
            if row[column]:
                n, published = int(row["n"]), float(row[column])
                W = mixing_matrix(graph(name, n), "uniform")
                assert spectral_gap(W) == pytest.approx(published, rel=0.01), (name, n)
                assert closed_form_gap(name, n) == pytest.approx(published, rel=0.01), (name, n)
                compared += 1
    assert compared == 27


@pytest.mark.parametrize("n", [2, 4, 8, 32])
def test_one_peer_a_round_gives_the_exact_mean_after_log2_n_rounds(n):
    graphs = topology.one_peer_exponential(n)
    assert len(graphs) == math.log2(n)
    W = np.eye(n)
    for found in graphs:
        assert {len(others) for others in found.neighbours} == {1}
        W = mixing_matrix(found) @ W
    np.testing.assert_allclose(W, np.full((n, n), 1 / n), atol=1e-15)


def test_one_peer_a_round_mixes_any_number_of_peers():
    for n in (1, 3, 6, 10):
        W = np.linalg.multi_dot([np.eye(n), np.eye(n), *(
            mixing_matrix(found) for found in topology.one_peer_exponential(n))])
        assert spectral_gap(W) > 0.5


@each_graph
def test_predicted_rounds_are_enough_and_not_many_too_many(name, n):
    W = mixing_matrix(graph(name, n))
    rounds = topology.rounds_to_reach(1e-3, spectral_gap(W))
    mean = np.full((n, n), 1 / n)

    def left(k):
        return np.linalg.norm(np.linalg.matrix_power(W, k) - mean, 2)

    assert left(rounds) <= 1e-3 * (1 + 1e-9)
    assert rounds == 1 or left(rounds - 1) > 1e-3 * (1 - 1e-9)


def test_sequences_of_graphs_repeat():
    graphs = topology.one_peer_exponential(8)
    assert [topology.at_round(graphs, k) for k in range(6)] == [*graphs, *graphs]
    assert topology.at_round(PATH, 5) is PATH


# ---- what cannot be


@pytest.mark.parametrize("n", [0, -1, 1.5, "two", None])
def test_impossible_sizes_are_refused(n):
    for make in (lambda: graph("ring", n), lambda: topology.one_peer_exponential(n),
                 lambda: topology.random_regular(n, 2), lambda: closed_form_gap("ring", n)):
        with pytest.raises(ConfigurationError, match="1 or more"):
            make()


@pytest.mark.parametrize("make", [lambda: graph("star", 4), lambda: closed_form_gap("star", 4)])
def test_an_unknown_graph_lists_the_known_ones(make):
    with pytest.raises(ConfigurationError, match="'hypercube'"):
        make()


def test_unknown_weights_list_the_known_ones():
    with pytest.raises(ConfigurationError, match="'metropolis' or 'uniform'"):
        mixing_matrix(PATH, "equal")


def test_a_hypercube_of_six_peers_is_refused():
    with pytest.raises(ConfigurationError, match="4 or 8"):
        graph("hypercube", 6)


@pytest.mark.parametrize("neighbours", [((0,),), ((1,), (2,)), ((1, 1), (0,)), ((-1,), (0,))])
def test_neighbours_that_make_no_graph_are_named(neighbours):
    with pytest.raises(ConfigurationError, match="neighbours of peer"):
        Graph("broken", neighbours)


@pytest.mark.parametrize(("tolerance", "gap"), [(0, 0.5), (1, 0.5), (0.1, 0), (0.1, -1)])
def test_no_number_of_rounds_reaches_the_impossible(tolerance, gap):
    with pytest.raises(ConfigurationError, match="a gap above 0"):
        topology.rounds_to_reach(tolerance, gap)

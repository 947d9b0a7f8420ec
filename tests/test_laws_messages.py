"""Costs of messages and collectives against hand counts, and against the virtual clock."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit.errors import ConfigurationError
from labkit.laws import (
    allgather_s,
    allreduce_s,
    alltoall_s,
    broadcast_s,
    bus_bandwidth_Bps,
    bus_seconds,
    fit_bus_bandwidth,
    message_s,
    reduce_scatter_s,
)
from labkit.network import Network

ALPHA, BETA, GAMMA = 1e-3, 1e-6, 1e-7
NET = Network("test", latency_s=ALPHA, bandwidth_Bps=1 / BETA)


def simulated_s(n, program):
    return labkit.simulated(workers=n, network=NET).run(program).seconds


# ---- messages


def test_a_message_is_that_of_a_network():
    assert message_s(5000, ALPHA, BETA) == pytest.approx(NET.message_s(5000))
    assert message_s([0, 1000], ALPHA, BETA) == pytest.approx([1e-3, 2e-3])


@given(st.integers(2, 10_000), st.floats(1, 1e12), st.floats(1e-9, 1e6))
def test_bus_bandwidth_and_seconds_are_inverse(n, nbytes, seconds):
    bandwidth = bus_bandwidth_Bps(n, nbytes, seconds)
    assert bus_seconds(n, nbytes, bandwidth) == pytest.approx(seconds)


def test_bus_bandwidth_of_a_long_ring_is_the_links():
    for n in (2, 8, 100):
        seconds = allreduce_s(n, 1e12, 1e-6, 1e-9)
        assert bus_bandwidth_Bps(n, 1e12, seconds) == pytest.approx(1e9, rel=1e-3)


@pytest.mark.parametrize("n", [2, 8, 32])
def test_a_sweep_gives_back_its_start_and_bandwidth(n):
    nbytes = 2.0 ** np.arange(10, 34, 3)
    seconds = allreduce_s(n, nbytes, 5e-6, 2e-11)
    got = fit_bus_bandwidth(n, nbytes, bus_bandwidth_Bps(n, nbytes, seconds))
    assert got.values["alpha_s"] == pytest.approx(2 * (n - 1) * 5e-6, rel=1e-6)
    assert got.values["beta_s_per_B"] == pytest.approx(2e-11, rel=1e-6)
    assert got(nbytes) == pytest.approx(seconds)


# ---- collectives


@pytest.mark.parametrize(("algorithm", "n"), [
    ("ring", 2), ("ring", 6), ("ring", 8), ("tree", 2), ("tree", 8), ("doubling", 2),
    ("doubling", 8), ("halving", 2), ("halving", 8)])
def test_an_allreduce_takes_what_the_virtual_clock_shows(algorithm, n):
    m = 8 * 840                                       # divisible by every n here
    seconds = simulated_s(n, lambda me: me.allreduce(np.ones(m // 8), algorithm=algorithm))
    assert allreduce_s(n, m, ALPHA, BETA, algorithm=algorithm) == pytest.approx(seconds)


@pytest.mark.parametrize(("algorithm", "low", "high"), [
    ("tree", 0.7, 1), ("doubling", 1, 1.25), ("halving", 1, 1.25)])
@pytest.mark.parametrize("n", [3, 5, 6, 7, 13])
def test_other_numbers_of_peers_overlap_in_trees_and_queue_in_folds(algorithm, low, high, n):
    seconds = simulated_s(n, lambda me: me.allreduce(np.ones(840), algorithm=algorithm))
    law_s = allreduce_s(n, 8 * 840, ALPHA, BETA, algorithm=algorithm)
    assert low * law_s <= seconds * (1 + 1e-9)
    assert seconds <= high * law_s * (1 + 1e-9)


@pytest.mark.parametrize("n", [2, 5, 8, 13])
def test_other_collectives_take_what_the_virtual_clock_shows(n):
    part = np.ones(100)
    broadcast = simulated_s(n, lambda me: me.broadcast(part if me.rank == 0 else None))
    assert broadcast <= broadcast_s(n, part.nbytes, ALPHA, BETA) * (1 + 1e-9)
    if n & (n - 1) == 0:
        assert broadcast == pytest.approx(broadcast_s(n, part.nbytes, ALPHA, BETA))
    assert allgather_s(n, n * part.nbytes, ALPHA, BETA) == pytest.approx(
        simulated_s(n, lambda me: me.allgather(part)))
    assert alltoall_s(n, n * part.nbytes, ALPHA, BETA) == pytest.approx(
        simulated_s(n, lambda me: me.alltoall([part] * me.size)))


def test_a_reduce_scatter_and_an_all_gather_are_a_ring():
    together = (reduce_scatter_s(6, 600, ALPHA, BETA, GAMMA) + allgather_s(6, 600, ALPHA, BETA))
    assert allreduce_s(6, 600, ALPHA, BETA, GAMMA) == pytest.approx(together)


@pytest.mark.parametrize(("algorithm", "n", "combined"), [
    ("ring", 4, 3 / 4), ("tree", 4, 2), ("doubling", 4, 2), ("halving", 4, 1 / 2 + 1 / 4),
    ("tree", 5, 3), ("doubling", 5, 1 + 2), ("halving", 5, 1 + 1 / 2 + 1 / 4)])
def test_bytes_combined_by_hand(algorithm, n, combined):
    got = allreduce_s(n, 1000, 0, 0, GAMMA, algorithm=algorithm)
    assert got == pytest.approx(combined * 1000 * GAMMA)


@given(st.integers(2, 500), st.floats(0, 1e10))
def test_no_allreduce_beats_the_bound_on_bytes(n, nbytes):
    least = 2 * (n - 1) / n * nbytes
    assert allreduce_s(n, nbytes, 0, 1) == pytest.approx(least)
    for algorithm in ("tree", "halving"):
        assert allreduce_s(n, nbytes, 0, 1, algorithm=algorithm) >= least * (1 - 1e-12)


def test_one_peer_costs_nothing_and_names_have_two_forms():
    for algorithm in ("ring", "tree", "doubling", "halving"):
        assert allreduce_s(1, 1e6, ALPHA, BETA, GAMMA, algorithm) == 0
    assert broadcast_s(1, 1e6, ALPHA, BETA) == alltoall_s(1, 1e6, ALPHA, BETA) == 0
    for short, long in (("doubling", "recursive doubling"), ("halving", "halving-doubling")):
        assert (allreduce_s(8, 100, 1, 1, 1, short) == allreduce_s(8, 100, 1, 1, 1, long))
    assert allreduce_s(4, [0, 8], 1, 1).tolist() == [6, 18]


@pytest.mark.parametrize(("call", "message"), [
    (lambda: message_s(-1, 1, 1), "nbytes="), (lambda: message_s(1, -1, 1), "alpha_s="),
    (lambda: message_s(1, 1, math.nan), "beta_s_per_B="),
    (lambda: allreduce_s(0, 1, 1, 1), "whole number, 1 or more"),
    (lambda: allreduce_s(2.5, 1, 1, 1), "whole number"),
    (lambda: allreduce_s([2], 1, 1, 1), "whole number"),
    (lambda: allreduce_s(2, 1, 1, 1, algorithm="magic"), "'ring', 'tree'"),
    (lambda: bus_seconds(1, 1, 1), "2 or more"), (lambda: bus_seconds(2, 1, 0), "more than 0"),
    (lambda: bus_bandwidth_Bps(2, 1, 0), "more than 0")])
def test_values_that_cannot_be_are_refused(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()

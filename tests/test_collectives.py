"""Collectives against NumPy, their messages and virtual time against closed forms."""

import functools
import math
from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import labkit
from labkit.collectives import (
    ALGORITHMS,
    SHORT,
    Group,
    allgather,
    allreduce,
    alltoall,
    barrier,
    broadcast,
    choose,
    reduce,
    reduce_scatter,
)
from labkit.collectives.group import hierarchical
from labkit.errors import ConfigurationError, ProgramError
from labkit.models import peer_to_peer
from labkit.network import Network

PEERS = range(1, 18)
DTYPES = ["f2", "f4", "f8", "i1", "i8", "u2", "c16", "?"]
SHAPES = [(), (0,), (1,), (2,), (7,), (40,), (0, 3), (3, 0), (4, 5), (2, 3, 4)]
LAYOUTS = ["C", "F", "every other", "backwards"]
OUTS = [None, "new", "in place"]
algorithms = pytest.mark.parametrize("algorithm", [*ALGORITHMS, "auto"])
virtual = pytest.mark.parametrize("kind", ["serial", "simulated"])


def values(n, shape, dtype, op, seed=0):
    """One array a peer, such that no order of combining them rounds or overflows."""
    low, high = (-1, 1) if op is np.multiply else (0, 3)
    rng = np.random.default_rng([seed, n])
    drawn = [rng.integers(low, high, shape, endpoint=True) for _ in range(n)]
    return [x.astype(dtype) for x in drawn]


def ops_of(dtype):
    return [np.logical_or] if dtype == "?" else [np.add, np.maximum, np.multiply]


def expected(xs, op):
    return np.asarray(functools.reduce(op, xs))


def laid_out(x, layout):
    """The same numbers, differently in memory; a part of a program's data is always in C order."""
    if layout == "F":
        return np.asfortranarray(x) if x.ndim else x
    if layout == "every other" and x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    if layout == "backwards" and x.ndim:
        return x[::-1].copy()[::-1]
    return x


def reduce_all(me, x, op, algorithm, layout, how):
    """The program under test: the result, and whether result and input are what they should be."""
    x = laid_out(x, layout)
    before = x.tobytes()
    out = {None: None, "new": laid_out(np.full_like(x, 1), layout), "in place": x}[how]
    result = allreduce(me, x, op, algorithm, out)
    is_out = how is None or result is out
    fresh = how is not None or not np.shares_memory(result, x)
    return result, is_out, fresh, how == "in place" or x.tobytes() == before


def assert_reduced(results, want, dtype):
    for result, is_out, fresh, untouched in results:
        assert isinstance(result, np.ndarray)
        assert (result.shape, result.dtype) == (want.shape, np.dtype(dtype))
        np.testing.assert_array_equal(result, want)
        assert result.tobytes() == results[0][0].tobytes(), "the same bits on every peer"
        assert is_out, "the result is `out` where it was given"
        assert fresh, "a result of its own where not"
        assert untouched, "the input is unchanged unless it is `out`"


# ---- all-reduce


@pytest.mark.parametrize(("nbytes", "n", "algorithm"), [
    (0, 2, "doubling"), (2**16, 4, "doubling"), (2**16 + 1, 4, "pairwise"),
    (2**24, 16, "pairwise"), (2**24, 17, "ring"), (2**25, 4, "ring"), (2**20, 100, "halving")])
def test_auto_goes_by_size_and_peers(nbytes, n, algorithm):
    assert choose(nbytes, n) == algorithm


@algorithms
@virtual
def test_any_number_of_peers_reduces_as_numpy_does(kind, algorithm):
    for n in PEERS:
        xs = values(n, 37, "f8", np.add)
        run = getattr(labkit, kind)(n).run(
            lambda me, x: reduce_all(me, x, np.add, algorithm, "C", None), xs)
        assert_reduced(run.results, expected(xs, np.add), "f8")


@st.composite
def cases(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.sampled_from(SHAPES) | st.lists(st.integers(0, 5), max_size=3).map(tuple))
    return (draw(st.sampled_from(PEERS)), draw(st.sampled_from([*ALGORITHMS, "auto"])), dtype,
            shape, draw(st.sampled_from(ops_of(dtype))), draw(st.sampled_from(LAYOUTS)),
            draw(st.sampled_from(OUTS)), draw(st.integers(0, 1000)))


@example((5, "tree", "f8", (), np.add, "C", None, 0))
@example((4, "doubling", "?", (), np.logical_or, "C", None, 0))
@example((17, "ring", "i1", (3, 4), np.multiply, "F", "in place", 0))
@example((6, "halving", "c16", (0,), np.maximum, "C", "new", 0))
@settings(deadline=None)
@given(cases())
def test_any_array_is_reduced_as_numpy_does(case):
    n, algorithm, dtype, shape, op, layout, how, seed = case
    xs = values(n, shape, dtype, op, seed)
    for kind in ("serial", "simulated"):
        run = getattr(labkit, kind)(n).run(
            lambda me, x: reduce_all(me, x, op, algorithm, layout, how), xs)
        assert_reduced(run.results, expected(xs, op), dtype)


REAL_PEERS = range(1, 7)
TRANSPORTS = {"auto": {}, "tcp": {"transport": "tcp"},
              "checked": {"transport": "tcp", "checksums": True}}


@pytest.fixture(scope="module")
def real_worlds():
    """Worlds of 1 to 6 real peers and of every transport, on the same processes."""
    with ExitStack() as stack:
        largest = stack.enter_context(labkit.cluster(workers=max(REAL_PEERS)))
        address = largest.client.scheduler.address
        yield {(n, name): stack.enter_context(labkit.cluster(address, workers=n, **options))
               for n in REAL_PEERS for name, options in TRANSPORTS.items()}


@settings(deadline=None, max_examples=40)
@given(cases(), st.sampled_from(REAL_PEERS), st.sampled_from(sorted(TRANSPORTS)),
       st.sampled_from([(), (40_001,), (300, 301)]))
def test_any_number_of_real_peers_reduces_any_array_as_numpy_does(real_worlds, case, n, transport,
                                                                  long):
    _, algorithm, dtype, shape, op, layout, how, seed = case
    xs = values(n, long or shape, dtype, op, seed)
    run = real_worlds[n, transport].run(
        lambda me, x: reduce_all(me, x, op, algorithm, layout, how), xs)
    assert_reduced(run.results, expected(xs, op), dtype)


def test_real_peers_reduce_as_numpy_does(cluster):
    """Short arrays and such as are read from where they lie, in one run."""
    shapes = [*SHAPES, (40_001,), (300, 301)]
    grid = [(algorithm, dtype, shapes[(i + j) % len(shapes)], op, LAYOUTS[(i + j) % 4],
             OUTS[(i + j + k) % 3])
            for i, algorithm in enumerate([*ALGORITHMS, "auto"]) for j, dtype in enumerate(DTYPES)
            for k, op in enumerate(ops_of(dtype))]
    grid += [(algorithm, "f8", shape, np.add, layout, how) for algorithm in ALGORITHMS
             for shape in shapes[-2:] for layout, how in [("C", None), ("C", "in place"),
                                                          ("F", "in place"), ("backwards", "new")]]

    def program(me):
        for algorithm, dtype, shape, op, layout, how in grid:
            xs = values(me.size, shape, dtype, op)
            want = expected(xs, op)                  # before one of them changes in place
            got = reduce_all(me, xs[me.rank], op, algorithm, layout, how)
            assert_reduced([got], want, dtype)
        return len(grid)

    assert cluster.run(program).results == [len(grid)] * 3


@algorithms
def test_rounding_is_the_same_on_every_peer(world, algorithm):
    for size in (11, 50_000):
        xs = [np.random.default_rng(rank).normal(size=size).astype("f4") for rank in range(3)]
        results = world.run(lambda me, x: me.allreduce(x, algorithm=algorithm), xs).results
        assert len({result.tobytes() for result in results}) == 1
        np.testing.assert_allclose(results[0], sum(x.astype(float) for x in xs), atol=1e-5)


def test_long_arrays_of_different_length_are_refused(cluster):
    with pytest.raises(ProgramError, match="differ in shape"):
        cluster.run(lambda me: me.allreduce(np.ones(300_000 + 3 * me.rank)))
    assert cluster.run(lambda me: me.allreduce(1)).results == [3] * 3


@pytest.mark.parametrize("shift", [-3, 3])
@algorithms
def test_out_may_overlap_the_input(world, algorithm, shift):
    def program(me):
        memory = np.arange(30.0) * (me.rank + 1)
        x, out = memory[5:25], memory[5 + shift:25 + shift]
        return me.allreduce(x, algorithm=algorithm, out=out)

    for result in world.run(program).results:
        np.testing.assert_array_equal(result, np.arange(5.0, 25.0) * 6)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("make", [
    lambda x: np.zeros(4), lambda x: np.zeros((3, 1)), lambda x: np.zeros(3, "f4"), read_only,
    lambda x: [0.0] * 3], ids=["longer", "other shape", "other dtype", "read-only", "list"])
def test_an_out_that_does_not_fit_is_refused(world, make):
    with pytest.raises(ProgramError, match="does not fit") as caught:
        world.run(lambda me: me.allreduce(np.ones(3), out=make(np.ones(3))))
    assert isinstance(caught.value.__cause__, ConfigurationError)
    assert world.run(lambda me: me.allreduce(1)).results == [3] * 3


def test_an_unknown_algorithm_lists_the_known_ones(world):
    with pytest.raises(ProgramError, match="'doubling'.*'hierarchical'"):
        world.run(lambda me: me.allreduce(np.ones(3), algorithm="magic"))


def test_readers_find_every_algorithm_among_the_peers():
    for name, function in ALGORITHMS.items():
        assert getattr(peer_to_peer.collectives, name) is function
    for function in (allgather, allreduce, alltoall, barrier, broadcast, reduce, reduce_scatter):
        assert getattr(peer_to_peer.collectives, function.__name__) is function


def longest(a, b):
    return max(a, b, key=lambda text: (len(text), text))


@algorithms
def test_functions_that_are_no_ufuncs_get_whole_values(world, algorithm):
    def program(me):
        return (me.allreduce(np.arange(me.rank, 4), np.union1d, algorithm),
                me.allreduce("abc"[:me.rank + 1], longest, algorithm),
                me.allreduce({me.rank: 1}, lambda a, b: a | b, algorithm),
                me.allreduce(np.arange(3.0), lambda a, b: a + b, algorithm, np.zeros(3)),
                me.allreduce(2.5, np.add, algorithm))

    for union, text, merged, added, number in world.run(program).results:
        np.testing.assert_array_equal(union, np.arange(4))
        assert (text, merged, number) == ("abc", {0: 1, 1: 1, 2: 1}, 7.5)
        np.testing.assert_array_equal(added, 3 * np.arange(3.0))


# ---- what all-reduce costs


def sum_of_ones(m, algorithm):
    """A program that all-reduces m bytes."""
    return lambda me: me.allreduce(np.ones(m // 8), algorithm=algorithm)


def power_below(n):
    return 1 << n.bit_length() - 1


def messages_and_bytes(algorithm, n, m):
    """What all n peers send together, for messages of m bytes."""
    power, rounds = power_below(n), n.bit_length() - 1
    folded = 2 * (n - power)
    if algorithm == "doubling":
        return power * rounds + folded, m * (power * rounds + folded)
    if algorithm in ("pairwise", "ring"):
        return 2 * n * (n - 1), 2 * m * (n - 1)
    if algorithm == "halving":
        return 2 * power * rounds + folded, 2 * m * (power - 1) + m * folded
    if algorithm == "tree":
        return 2 * (n - 1), 2 * m * (n - 1)
    leaders = math.ceil(n / math.isqrt(n))
    within = 2 * (n - leaders)
    among = messages_and_bytes("doubling" if m <= SHORT else "pairwise", leaders, m)
    return within + among[0], within * m + among[1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@virtual
def test_messages_and_bytes_are_those_of_the_closed_form(kind, algorithm):
    for n in PEERS:
        for m in (8 * 9009, 8 * 17):
            run = getattr(labkit, kind)(n).run(sum_of_ones(m, algorithm), record=False)
            assert (run.messages, run.nbytes) == messages_and_bytes(algorithm, n, m), (n, m)


def test_real_peers_send_what_the_closed_forms_say(cluster):
    for algorithm in ALGORITHMS:
        for m in (720_720, 8 * 17)[:1 + (algorithm == "hierarchical")]:
            run = cluster.run(sum_of_ones(m, algorithm))
            assert (run.messages, run.nbytes) == messages_and_bytes(algorithm, 3, m), algorithm


@pytest.mark.parametrize(("algorithm", "per_peer"), [
    ("doubling", lambda n: math.log2(n)), ("pairwise", lambda n: 2 * (n - 1) / n),
    ("ring", lambda n: 2 * (n - 1) / n), ("halving", lambda n: 2 * (n - 1) / n),
    ("tree", lambda n: math.log2(n)), ("hierarchical", lambda n: math.log2(n))])
def test_no_peer_sends_more_bytes_than_the_table_says(algorithm, per_peer):
    for n in (2, 4, 16, 64):
        m = 8 * 64
        run = labkit.simulated(n).run(sum_of_ones(m, algorithm))
        sent = np.zeros(n)
        for event in run.events:
            if event.kind == "send":
                sent[event.rank] += event.nbytes
        assert sent.max() == m * per_peer(n)


def rounds_of(algorithm, n):
    """The table in labkit/collectives/__init__.py, for powers of two."""
    log, group = math.log2(n), math.isqrt(n)
    return {"doubling": log, "pairwise": 2, "ring": 2 * (n - 1), "halving": 2 * log,
            "tree": 2 * log, "hierarchical": 2 * math.log2(group) + math.log2(n / group)}[algorithm]


def predicted_s(algorithm, n, m, network):
    """Rounds of a latency each, and the bytes through the busiest port."""
    rounds = rounds_of(algorithm, n)
    whole = algorithm in ("doubling", "tree", "hierarchical")
    nbytes = rounds * m if whole else 2 * m * (n - 1) / n
    return rounds * network.latency_s + nbytes / network.bandwidth_Bps


# On a ring, and pairwise, a thousand peers send two million messages.
SLOW = [pytest.param(algorithm, 1024, marks=pytest.mark.slow) for algorithm in ("ring", "pairwise")]
SIZES = [(algorithm, n) for algorithm in ALGORITHMS for n in (2, 4, 16, 64, 1024)
         if n < 1024 or algorithm not in ("ring", "pairwise")] + SLOW
EXTREMES = [Network("latency counts", 1e-3, 1e9), Network("bytes count", 1e-9, 1e6)]


@pytest.mark.parametrize(("algorithm", "n"), SIZES)
def test_virtual_time_is_that_of_latency_and_bandwidth(algorithm, n):
    m = 8 * 1024
    for network in [Network("both", 1e-4, 1e8), *(EXTREMES if n < 1024 else [])]:
        run = labkit.simulated(n, network=network).run(sum_of_ones(m, algorithm), record=False)
        assert run.seconds == pytest.approx(predicted_s(algorithm, n, m, network), rel=0.1)
        np.testing.assert_array_equal(run.results[-1], np.full(m // 8, n))


# ---- the others


@virtual
def test_reduce_scatter_gives_each_peer_its_part_of_the_sum(kind):
    def program(me, x):
        before = x.tobytes()
        mine = reduce_scatter(me, laid_out(x, "F"), np.add)
        return mine, x.tobytes() == before

    for n in PEERS:
        for shape in [(0,), (3,), (40,), (2, 3), (20, 2)]:
            xs = values(n, shape, "f4", np.add)
            run = getattr(labkit, kind)(n).run(program, xs)
            for (mine, untouched), want in zip(run.results, np.array_split(sum(xs), n)):
                np.testing.assert_array_equal(mine, want, strict=True)
                assert untouched
            assert (run.messages, run.nbytes) == (n * (n - 1), (n - 1) * xs[0].nbytes)


@virtual
def test_every_root_broadcasts_and_reduces(kind):
    def program(me, x):
        return [(broadcast(me, x if me.rank == root else None, root),
                 reduce(me, x, np.add, root)) for root in range(me.size)]

    for n in PEERS:
        xs = values(n, 5, "i8", np.add)
        run = getattr(labkit, kind)(n).run(program, xs)
        for rank, got in enumerate(run.results):
            for root, (sent, total) in enumerate(got):
                np.testing.assert_array_equal(sent, xs[root])
                assert (total is None) == (rank != root)
            np.testing.assert_array_equal(got[rank][1], sum(xs))
        assert (run.messages, run.nbytes) == (n * 2 * (n - 1), n * 2 * (n - 1) * 40)


@virtual
def test_everyone_gets_everything_and_a_table_is_transposed(kind):
    def program(me):
        return (allgather(me, np.full(me.rank, me.rank)),
                alltoall(me, [(me.rank, to) for to in range(me.size)]))

    for n in PEERS:
        run = getattr(labkit, kind)(n).run(program)
        for rank, (gathered, transposed) in enumerate(run.results):
            assert [list(x) for x in gathered] == [[r] * r for r in range(n)]
            assert transposed == [(r, rank) for r in range(n)]
        assert run.messages == 2 * n * (n - 1)


@pytest.mark.parametrize(("collective", "rounds", "messages"), [
    (lambda me: broadcast(me, np.ones(0), 0), lambda n: math.ceil(math.log2(n)), lambda n: n - 1),
    (lambda me: reduce(me, np.ones(0), np.add, 0), lambda n: math.ceil(math.log2(n)),
     lambda n: n - 1),
    (lambda me: allgather(me, np.ones(0)), lambda n: n - 1, lambda n: n * (n - 1)),
    (lambda me: alltoall(me, [np.ones(0)] * me.size), lambda n: n - 1, lambda n: n * (n - 1)),
    (lambda me: reduce_scatter(me, np.ones(0), np.add), lambda n: 1, lambda n: n * (n - 1)),
    (barrier, lambda n: math.ceil(math.log2(n)), lambda n: n * math.ceil(math.log2(n)))],
    ids=["broadcast", "reduce", "allgather", "alltoall", "reduce_scatter", "barrier"])
def test_rounds_and_messages_of_the_others(collective, rounds, messages):
    """A message takes a second, whatever it holds: the clock counts the rounds."""
    for n in range(2, 18):
        run = labkit.simulated(n, network=Network("a second", 1.0, 1e12)).run(collective)
        assert run.messages == messages(n)
        # A root that need not wait sends to all its children in one round.
        assert run.seconds <= rounds(n) if n & (n - 1) else run.seconds == rounds(n)


def test_nobody_leaves_a_barrier_before_all_have_come():
    def program(me):
        me.work(flops=5e9 * me.rank)
        me.barrier()
        me.step(0)

    run = labkit.simulated(9).run(program)
    came = max(event.end_s for event in run.events if event.kind == "work")
    left = [event.start_s for event in run.events if event.kind == "step"]
    assert len(left) == 9 and min(left) >= came


def test_real_peers_do_the_others_as_well(cluster):
    x = np.arange(60_000.0).reshape(-1, 2)

    def program(me):
        mine = reduce_scatter(me, x * (me.rank + 1), np.add)
        np.testing.assert_array_equal(mine, np.array_split(x * 6, me.size)[me.rank])
        for root in range(me.size):
            sent = me.broadcast(x * root if me.rank == root else None, root)
            np.testing.assert_array_equal(sent, x * root)
            total = me.reduce(x, root=root)
            assert (total is None) == (me.rank != root)
        gathered = me.allgather(x * me.rank)
        received = me.alltoall([x * (me.rank + to) for to in range(me.size)])
        for source in range(me.size):
            np.testing.assert_array_equal(gathered[source], x * source)
            np.testing.assert_array_equal(received[source], x * (me.rank + source))
        return True

    assert cluster.run(program).results == [True] * 3


# ---- groups


@virtual
def test_groups_work_side_by_side(kind):
    """Odd and even ranks, each in a group of their own and in reverse order."""
    def program(me):
        ranks = range(me.size)[me.rank % 2::2][::-1]
        group = Group(me, ranks)
        assert ranks[group.rank] == me.rank
        sums = [allreduce(group, np.full(9, me.rank), np.add, name) for name in ALGORITHMS]
        barrier(group)
        return (sums, allgather(group, me.rank), alltoall(group, list(ranks)),
                broadcast(group, me.rank, group.size - 1),
                reduce_scatter(group, np.full(group.size, me.rank), np.add))

    for n in range(2, 12):
        for rank, (sums, gathered, exchanged, first, part) in enumerate(
                getattr(labkit, kind)(n).run(program).results):
            ranks = list(range(n))[rank % 2::2][::-1]
            np.testing.assert_array_equal(sums, np.full((len(ALGORITHMS), 9), sum(ranks)))
            assert gathered == ranks
            assert exchanged == [rank] * len(ranks)
            assert first == ranks[-1]
            np.testing.assert_array_equal(part, [sum(ranks)])


def test_two_real_peers_reduce_while_the_third_does_something_else(cluster):
    def program(me):
        if me.rank == 1:
            return me.recv(2)
        total = allreduce(Group(me, [2, 0]), np.full(50_000, me.rank + 1.0), np.add, "pairwise")
        if me.rank == 2:
            me.send(1, total[0])
        return total[-1]

    assert cluster.run(program).results == [4.0] * 3


def test_groups_of_any_size_make_the_same_sum():
    def program(me, x, group_size):
        out = np.empty_like(x)
        hierarchical(me, x, out, np.add, group_size)
        return out

    for n in (1, 2, 5, 12):
        xs = values(n, 6, "f8", np.add)
        for group_size in range(1, n + 2):
            run = labkit.serial(n).run(program, xs, [group_size] * n)
            for result in run.results:
                np.testing.assert_array_equal(result, sum(xs))

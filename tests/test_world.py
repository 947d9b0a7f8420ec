"""The three worlds, against each other and against serial NumPy."""

import functools
import operator

import dask.array as da
import numpy as np
import pytest
import scipy.sparse

import labkit
from labkit.errors import ConfigurationError, DeadlockError, ProgramError
from labkit.network import NETWORKS, Network

RNG = np.random.default_rng(0)


def vectors(n, size=7, dtype=float):
    return [np.random.default_rng([n, rank]).integers(0, 100, size).astype(dtype)
            for rank in range(n)]


# ---- messages


def test_a_message_is_a_copy(world):
    def program(me):
        if me.rank == 0:
            x, pair = np.arange(3.0), [np.ones(2)]
            for to in range(1, me.size):
                me.send(to, x)
                me.send(to, pair)
            x[:] = -1
            pair[0][:] = -1
            return None
        return me.recv(0), me.recv(0)

    for x, pair in world.run(program).results[1:]:
        np.testing.assert_array_equal(x, [0, 1, 2])
        np.testing.assert_array_equal(pair[0], [1, 1])
        x += 1                                    # and the receiver may change it
        pair[0] += 1


MESSAGES = [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(20)[::3], np.array(5), np.zeros((0, 4), np.float32), np.array([True, False]),
    np.array(["ab", "c"]), np.array(["2026-01-01"], "datetime64[D]"), np.array([1 + 2j]),
    np.array([{"an": "object"}, None]), np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    np.arange(300_000.0), np.float32(1.5), np.int8(-3), np.complex128(1j), np.bool_(True),
    np.str_("text"), np.datetime64("2026-01-01"),
    3, None, "text", b"", b"bytes", (1, [2, {"k": 3}]),
    {"array": np.arange(4), "nested": (np.ones((2, 2)), "x")}, [np.ones(3)] * 5,
    scipy.sparse.csr_matrix(np.eye(3)),
]


def same(a, b):
    if scipy.sparse.issparse(a):
        return same(a.toarray(), b.toarray())
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool(np.all(a == b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("size", [3, 300_000])
def test_a_message_to_several_is_a_copy_for_each(world, size):
    def program(me):
        if me.rank == 0:
            x = np.arange(float(size))
            me.multicast(range(1, me.size), x)
            x[:] = -1
            return None
        return me.recv(0)

    run = world.run(program)
    for x in run.results[1:]:
        np.testing.assert_array_equal(x, np.arange(float(size)))
        x += 1
    assert (run.messages, run.nbytes) == (world.workers - 1, 8 * size * (world.workers - 1))


@pytest.mark.parametrize("size", [3, 300_000])
@pytest.mark.parametrize("late", [False, True])
def test_a_message_can_be_received_into_an_array(world, size, late):
    def program(me):
        if me.rank == 0:
            me.multicast([1, 2], np.arange(float(size)))
            me.multicast([1, 2], None)
            me.barrier()
            return None
        out = np.full((2, size), -1.0)
        if late:                             # the messages are here before they are wanted
            me.send(3 - me.rank, "x")
            me.recv(3 - me.rank)
        same = me.recv(0, out=out[0]).base is out
        none = me.recv(0, out=out[1])
        me.barrier()
        return same, none, out

    for same_array, none, out in world.run(program).results[1:]:
        assert same_array
        assert none is None
        np.testing.assert_array_equal(out, [np.arange(float(size)), np.full(size, -1.0)])


@pytest.mark.parametrize("size", [3, 300_000])
def test_arrays_of_several_are_accumulated_in_order(world, size):
    def subtract_half(w, x, out):
        x *= 0.5                             # a copy, of which nobody else knows
        np.subtract(w, x, out=out)

    def program(me):
        mine = np.full(size, float(me.rank))
        if me.rank:
            for _ in range(2):
                me.send(0, mine)
                me.recv(0)
            return mine
        w = np.arange(float(size))
        for op in (subtract_half, np.multiply):
            me.accumulate([2, 1], w, op)
            me.multicast([1, 2], None)
        return w

    results = world.run(program).results
    np.testing.assert_array_equal(results[0], (np.arange(float(size)) - 1.5) * 2)
    np.testing.assert_array_equal(results[2], np.full(size, 2.0))


@pytest.mark.parametrize("size", [3, 300_000])
def test_whoever_accumulates_holds_nobody_up(world, size):
    """Peer 1 cannot go on before its array is taken, and peer 2 waits for peer 1."""
    def program(me):
        if me.rank == 0:
            total = np.zeros(size)
            me.accumulate([1, 2], total)
            return total[-1]
        if me.rank == 1:
            me.send(0, np.ones(size))
            return me.send(2, "go")
        me.recv(1)
        return me.send(0, np.full(size, 2.0))

    assert world.run(program).results == [3.0, None, None]


@pytest.mark.parametrize("size", [3, 300_000])
def test_posts_that_cross_are_accumulated(world, size):
    """Each waits until its array is taken, before it adds the others'."""
    def program(me):
        others = [rank for rank in range(me.size) if rank != me.rank]
        mine = np.full(size, float(me.rank))
        me.post(others, mine)
        me.accumulate(others, mine)
        return mine[-1]

    assert world.run(program).results == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("size", [3, 300_000])
def test_posts_that_cross_are_flushed(world, size):
    def program(me):
        others = [rank for rank in range(me.size) if rank != me.rank]
        mine = np.full(size, float(me.rank))
        me.post(others, mine)
        me.flush()
        mine[:] = -1
        me.post(others, mine + 10)           # taken by its receivers after the program's end
        first = sum(me.recv(other)[0] for other in others)
        return first, sum(me.recv(other)[-1] for other in others)

    assert world.run(program).results == [(3.0 - rank, 18.0) for rank in range(3)]


def test_an_array_that_is_not_contiguous_receives_nothing(world):
    def program(me):
        me.recv(1 - me.rank, out=np.zeros((4, 4))[:, 0]) if me.rank < 2 else None

    with pytest.raises(ProgramError, match="contiguous"):
        world.run(program)


def test_reduce_scatter_does_not_mix_with_other_messages(world):
    def program(me):
        mine = me.reduce_scatter(np.arange(6.0) * (me.rank + 1))
        me.send((me.rank + 1) % me.size, "after")
        return mine, me.recv_any()[1]

    total = np.arange(6.0) * 6
    for (mine, word), want in zip(world.run(program).results, np.array_split(total, 3)):
        np.testing.assert_array_equal(mine, want)
        assert word == "after"


def test_every_kind_of_message_arrives_as_it_was(world):
    def program(me, messages):
        return [me.sendrecv((me.rank + 1) % me.size, message, (me.rank - 1) % me.size)
                for message in messages]

    run = world.run(program, [MESSAGES] * world.workers)
    for received in run.results:
        for sent, got in zip(MESSAGES, received, strict=True):
            assert same(sent, got), sent


def test_all_worlds_count_the_same_messages_and_bytes(cluster):
    def program(me, messages):
        for message in messages:
            me.sendrecv((me.rank + 1) % me.size, message, (me.rank - 1) % me.size)
        me.allreduce(np.ones(100_000))

    worlds = [labkit.serial(3), labkit.simulated(3), cluster]
    counts = {(run.messages, run.nbytes)
              for run in (world.run(program, [MESSAGES] * 3) for world in worlds)}
    assert len(counts) == 1


def test_large_messages_cross_without_blocking(world):
    """Everyone sends more than any socket buffers before anyone receives."""
    def program(me):
        for other in range(me.size):
            if other != me.rank:
                me.send(other, np.full(1_000_000, float(me.rank)))
        return [me.recv(other)[0] for other in range(me.size) if other != me.rank]

    assert world.run(program).results == [[1, 2], [0, 2], [0, 1]]


def test_a_peer_blocked_on_another_still_takes_messages_in(world):
    """Peer 1 waits for peer 2, who waits for peer 0, who is sending to peer 1."""
    def program(me):
        big = np.ones(2_000_000)
        if me.rank == 0:
            me.send(1, big)
            me.send(2, "go")
        elif me.rank == 2:
            me.recv(0)
            me.send(1, "done")
        else:
            return me.recv(2), me.recv(0).sum()

    assert world.run(program).results[1] == ("done", 2_000_000)


def test_messages_of_one_sender_keep_their_order(world):
    def program(me):
        if me.rank:
            for number in range(50):
                me.send(0, (me.rank, number))
            return None
        return [me.recv_any() for _ in range(50 * (me.size - 1))]

    received = world.run(program).results[0]
    for sender in range(1, world.workers):
        assert [m for s, m in received if s == sender] == [(sender, i) for i in range(50)]


def test_collectives_do_not_disturb_recv_any(world):
    """Peer 1 is in the barrier already while peer 0 still receives from anyone."""
    def program(me):
        if me.rank == 2:
            me.send(0, "late")
        received = me.recv_any() if me.rank == 0 else None
        me.barrier()
        return received

    assert world.run(program).results[0] == (2, "late")


# ---- collectives


@pytest.mark.parametrize("size", [1, 7, 40_000])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "c16"])
def test_allreduce_and_reduce_sum(world, size, dtype):
    xs = vectors(3, size, dtype)
    run = world.run(lambda me, x: (me.allreduce(x), me.reduce(x, root=1)), xs)
    for rank, (everywhere, at_root) in enumerate(run.results):
        np.testing.assert_array_equal(everywhere, sum(xs))
        assert everywhere.dtype == dtype
        assert (at_root is None) == (rank != 1)
    np.testing.assert_array_equal(run.results[1][1], sum(xs))


@pytest.mark.parametrize("n", range(1, 10))
@pytest.mark.parametrize("kind", ["serial", "simulated"])
def test_collectives_for_any_number_of_peers(kind, n):
    def program(me, x, root):
        return dict(
            allreduce=me.allreduce(x), ring=me.allreduce(np.resize(x, 9001)),
            least=me.allreduce(x, np.minimum), text=me.allreduce(str(me.rank), max),
            union=me.allreduce(np.array([me.rank % 3]), np.union1d),
            reduce=me.reduce(x, root=root), gathered=me.allgather(me.rank * 10),
            broadcast=me.broadcast(x if me.rank == root else None, root),
            transposed=me.alltoall([(me.rank, to) for to in range(me.size)]), _=me.barrier())

    xs = vectors(n)
    root = n // 2
    with getattr(labkit, kind)(workers=n) as world:
        results = world.run(program, xs, [root] * n).results
    for rank, got in enumerate(results):
        np.testing.assert_array_equal(got["allreduce"], sum(xs))
        np.testing.assert_array_equal(got["ring"], np.resize(sum(xs), 9001))
        np.testing.assert_array_equal(got["least"], functools.reduce(np.minimum, xs))
        assert got["text"] == str(n - 1)
        np.testing.assert_array_equal(got["union"], np.arange(min(n, 3)))
        np.testing.assert_array_equal(got["broadcast"], xs[root])
        assert got["gathered"] == [10 * r for r in range(n)]
        assert got["transposed"] == [(r, rank) for r in range(n)]
        if rank == root:
            np.testing.assert_array_equal(got["reduce"], sum(xs))
        else:
            assert got["reduce"] is None


def test_allreduce_gives_the_same_bits_on_every_peer(world):
    for size in (5, 50_000):
        xs = [np.random.default_rng(rank).normal(size=size) for rank in range(3)]
        results = world.run(lambda me, x: me.allreduce(x), xs).results
        assert {result.tobytes() for result in results} == {results[0].tobytes()}


# ---- programs and their data


def test_a_program_may_change_its_part_but_not_the_callers(world):
    def program(me, x):
        x += me.rank
        return x

    xs = [np.zeros(2) for _ in range(3)]
    assert [r[0] for r in world.run(program, xs).results] == [0, 1, 2]
    assert all((x == 0).all() for x in xs)


def test_the_step_and_the_events_are_recorded(world):
    def program(me):
        for number in range(3):
            me.step(number)
            me.allreduce(np.ones(4))

    run = world.run(program)
    sends = [event for event in run.events if event.kind == "send"]
    assert len(sends) == run.messages
    assert sum(event.nbytes for event in sends) == run.nbytes
    assert {event.step for event in sends} == {0, 1, 2}
    assert {event.label for event in sends} == {"allreduce"}
    assert len([e for e in run.events if e.kind == "step"]) == 9
    assert len([e for e in run.events if e.kind == "recv"]) == run.messages
    starts = [event.start_s for event in run.events]
    assert starts == sorted(starts)
    assert all(0 <= e.start_s <= e.end_s <= run.seconds + 1e-3 for e in run.events)
    assert len(world.run(program, record=False).events) == 0


@pytest.mark.parametrize(("data", "got"), [([1, 2], 2), (7, "int")])
def test_data_must_have_one_part_a_peer(world, data, got):
    with pytest.raises(ConfigurationError, match="one part for each peer") as caught:
        world.run(lambda me, x: x, data)
    assert caught.value.got == got


@pytest.mark.parametrize("rank", [3, -1, 1.0, None, "0"])
def test_a_rank_out_of_range_is_named(world, rank):
    def program(me):
        if me.rank == 1:
            me.send(rank, 0)

    with pytest.raises(ProgramError, match="a rank from 0 to 2"):
        world.run(program)


def test_sending_to_oneself_is_refused(world):
    with pytest.raises(ProgramError, match="itself"):
        world.run(lambda me: me.send(me.rank, 0))


def test_an_unpicklable_message_is_named(world):
    with pytest.raises(ProgramError, match="cannot be sent"):
        world.run(lambda me: me.sendrecv((me.rank + 1) % 3, lambda: 0, (me.rank - 1) % 3))


def test_an_error_in_a_program_says_where(world):
    def program(me):
        me.step(4)
        if me.rank == 2:
            raise KeyError("missing")
        return me.recv(2)

    with pytest.raises(ProgramError, match=r"KeyError in peer 2") as caught:
        world.run(program)
    assert caught.value.where == "peer 2, step 4"
    assert isinstance(caught.value.__cause__, KeyError)
    assert world.run(lambda me: me.allreduce(1), ).results == [3, 3, 3]


def test_a_message_that_nobody_sends_is_a_deadlock(world):
    def program(me):
        return me.recv(2) if me.rank == 0 else None

    with pytest.raises(DeadlockError, match="peer 0.* waits for peer 2"):
        world.run(program)
    with pytest.raises(DeadlockError, match="peer 0.* waits for any peer"):
        world.run(lambda me: me.recv_any() if me.rank == 0 else None)


@pytest.mark.parametrize("kind", ["serial", "simulated"])
def test_a_deadlock_names_everyone_at_once(kind):
    with pytest.raises(DeadlockError) as caught:
        getattr(labkit, kind)(workers=3).run(lambda me: me.recv((me.rank + 1) % 3))
    assert caught.value.got == ("peer 0 waits for peer 1; peer 1 waits for peer 2; "
                                "peer 2 waits for peer 0")


# ---- map


def test_map_gives_results_in_order(world):
    run = world.map(lambda i: i * i, range(20))
    assert run.results == [i * i for i in range(20)]
    tasks = [event for event in run.events if event.kind == "task"]
    assert sorted(int(e.label.split()[-1]) for e in tasks) == list(range(20))
    assert world.map(len, []).results == []


def test_map_names_the_item_that_failed(world):
    with pytest.raises(ProgramError, match="ZeroDivisionError on item 2") as caught:
        world.map(lambda i: 1 / (2 - i), range(4))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_map_over_shards_and_partials(world):
    shards = world.shard(np.arange(10.0))
    run = world.map(functools.partial(operator.mul, 2.0), shards)
    np.testing.assert_array_equal(np.concatenate(run.results), 2 * np.arange(10.0))


# ---- shards


@pytest.mark.parametrize("by", ["contiguous", "cyclic", "hash"])
@pytest.mark.parametrize("make", [
    lambda X: X, scipy.sparse.csr_matrix, lambda X: da.from_array(X, chunks=(3, 2)),
    lambda X: da.from_array(X, chunks=(4, -1)).map_blocks(scipy.sparse.csr_matrix)],
    ids=["numpy", "csr", "dask", "dask of csr"])
def test_shards_hold_every_row_once_and_stay_aligned(world, make, by):
    X = RNG.normal(size=(30, 3))
    y = np.arange(30)
    X_shards, y_shards = world.shard(make(X), y, by=by)
    seen = np.concatenate(list(y_shards))
    assert sorted(seen) == list(range(30))
    dense = [p.toarray() if scipy.sparse.issparse(p) else p for p in X_shards]
    np.testing.assert_array_equal(np.concatenate(dense), X[seen])
    sums = world.run(lambda me, x, y: (np.asarray(x.sum(axis=0)).ravel(), len(y)),
                     X_shards, y_shards)
    np.testing.assert_allclose(sum(s for s, _ in sums.results), X.sum(axis=0))


def test_shards_lie_where_numpy_is_fast(world):
    shards = world.shard(np.arange(300_000.0).reshape(-1, 3))
    assert world.run(lambda me, part: part.flags.aligned, shards).results == [True] * 3


def test_shards_are_read_only(world):
    shards = world.shard(np.arange(9.0))

    def program(me, x):
        x += 1

    with pytest.raises(ProgramError, match="read-only"):
        world.run(program, shards)


@pytest.mark.parametrize("arrays", [(np.ones(4), np.ones(5)), (np.ones(2),), ()])
def test_data_that_cannot_be_sharded_is_refused(arrays):
    with pytest.raises(ConfigurationError):
        labkit.serial(workers=3).shard(*arrays)


# ---- making worlds


@pytest.mark.parametrize("workers", [0, -1, 1.5, "two", None])
@pytest.mark.parametrize("kind", ["serial", "simulated"])
def test_impossible_numbers_of_workers_are_refused(kind, workers):
    with pytest.raises(ConfigurationError, match="1 or more"):
        getattr(labkit, kind)(workers)


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_impossible_clusters_are_refused_before_they_start(workers):
    with pytest.raises(ConfigurationError, match="1 or more"):
        labkit.cluster(workers=workers)


def test_runs_describe_their_world(world):
    run = world.run(lambda me: me.rank)
    assert run.world.workers == 3
    assert ("virtual" in repr(run)) == run.world.simulated
    assert not run.verified
    checked = run.verify([0, 1, 2])
    assert checked.verified and not run.verified
    with pytest.raises(labkit.errors.LabkitError, match=r"results\[1\]"):
        run.verify([0, 5, 2])


@pytest.mark.parametrize("expected", [7, [7, 7, 7]])
def test_a_result_that_is_missing_is_named(world, expected):
    run = world.run(lambda me: None if me.rank == 1 else 7)
    with pytest.raises(labkit.errors.LabkitError, match="A result is missing") as caught:
        run.verify(expected)
    assert (caught.value.got, caught.value.where) == ("None", "results[1]")
    assert caught.value.remedy == "does every peer return something?"


@pytest.mark.parametrize("values", [
    dict(latency_s=-1, bandwidth_Bps=1), dict(latency_s=np.nan, bandwidth_Bps=1),
    dict(latency_s=0, bandwidth_Bps=0), dict(latency_s=0, bandwidth_Bps=np.inf)])
def test_impossible_networks_are_refused(values):
    with pytest.raises(ConfigurationError, match="out of range"):
        Network("broken", **values)


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(ConfigurationError, match="10GbE"):
        labkit.simulated(2, network="carrier pigeon")
    assert all(name == network.name for name, network in NETWORKS.items())

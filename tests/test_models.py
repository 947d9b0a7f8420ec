"""The three models against serial answers, and their messages against closed forms."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labkit
from labkit import wire
from labkit.errors import ConfigurationError, DeadlockError, ProgramError
from labkit.models import map_reduce, master_worker, peer_to_peer

RNG = np.random.default_rng(0)
X = RNG.integers(-5, 5, (50, 3)).astype(float)      # whole numbers: sums have the same bits
y = RNG.integers(-5, 5, 50).astype(float)

PEER_MODELS = {"peer_to_peer": peer_to_peer.train, "master_worker": master_worker.train}
peer_models = pytest.mark.parametrize("name", PEER_MODELS)
virtual = pytest.mark.parametrize("kind", ["serial", "simulated"])


class Local:
    """A shard of a least-squares problem."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def answer(self, question, value=None):
        if question == "normal equations":
            return np.column_stack([self.X.T @ self.X, self.X.T @ self.y])
        if question == "squared error":
            return np.array([np.sum((self.X @ value - self.y)**2)])
        if question == "lowest":
            return self.y.min()
        raise KeyError(question)

    def work(self, question):
        return dict(flops=1e6 * self.X.size, nbytes=0)


def drive(ask):
    """Solve the problem: three questions, each answer an array of its own size."""
    A = ask("normal equations")
    w = np.linalg.solve(A[:, :3], A[:, 3])
    return w, ask("squared error", w)[0], ask("lowest", op=np.minimum)


QUESTIONS = 3


def expected():
    w, (squared_error,), *_ = np.linalg.lstsq(X, y)
    return w, squared_error, y.min()


def assert_right(found):
    for got, want in zip(found, expected(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def run(world, name, drive, *shards, **how):
    """Run a peer model."""
    train = PEER_MODELS[name]

    def program(me, *parts):
        return train(me, Local(*parts), drive)
    return world.run(program, *shards, **how)


# ---- the answer


@peer_models
def test_peers_find_the_serial_answer(world, name):
    results = run(world, name, drive, *world.shard(X, y)).results
    assert len(results) == world.workers
    for found in results:
        assert_right(found)
        assert found[0].tobytes() == results[0][0].tobytes()


def test_map_reduce_finds_the_serial_answer(world):
    found, runs = map_reduce.train(world, Local, drive, *world.shard(X, y))
    assert_right(found)
    assert len(runs) == QUESTIONS


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@virtual
def test_any_number_of_workers_finds_the_same(kind, n):
    with getattr(labkit, kind)(workers=n) as world:
        shards = world.shard(X, y)
        for name in PEER_MODELS:
            for found in run(world, name, drive, *shards).results:
                assert_right(found)
        assert_right(map_reduce.train(world, Local, drive, *shards)[0])


def test_the_master_decides_alone_and_peers_decide_together(world):
    def program(me, train, *parts):
        decided = []

        def drive(ask):
            decided.append(ask("squared error", np.zeros(3))[0])
            return me.rank
        return train(me, Local(*parts), drive), len(decided)

    shards = world.shard(X, y)
    results = world.run(program, [master_worker.train] * 3, *shards).results
    assert results == [(0, 1), (0, 0), (0, 0)]
    results = world.run(program, [peer_to_peer.train] * 3, *shards).results
    assert results == [(0, 1), (1, 1), (2, 1)]


def test_the_master_combines_answers_in_the_order_of_ranks(world):
    class Named:
        def __init__(self, rank):
            self.rank = rank

        def answer(self, question, value):
            return [(self.rank, question, value)]

        def work(self, question):
            return dict(flops=1e12 * (3 - self.rank))     # the last answers first

    def program(me):
        return master_worker.train(me, Named(me.rank),
                                   lambda ask: ask("who?", 7, op=lambda a, b: a + b))

    assert world.run(program).results[2] == [(rank, "who?", 7) for rank in range(3)]


# ---- what it costs


def size_of_questions(ask):
    """Run the three questions in this process; return their sizes and those of the answers."""
    sent, answered = [], []
    local = Local(X, y)

    def asking(question, value=None, op=None):
        sent.append(wire.size_of((question, value)))
        answered.append(wire.size_of(local.answer(question, value)))
        return local.answer(question, value)
    return wire.size_of((None, drive(asking))), sum(sent), sum(answered)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@virtual
def test_a_master_sends_and_receives_one_message_a_worker_and_question(kind, n):
    stop, sent, answered = size_of_questions(drive)
    with getattr(labkit, kind)(workers=n) as world:
        record = run(world, "master_worker", drive, *world.shard(X, y))
    assert record.messages == (n - 1) * (2 * QUESTIONS + 1)
    assert record.nbytes == (n - 1) * (sent + answered + stop)
    sends = [event for event in record.events if event.kind == "send"]
    assert all(0 in (event.rank, event.peer) for event in sends), "workers never talk"


def allreduce_messages(n):
    """Recursive doubling: log2 p rounds of p messages, p the power of two below; and the rest."""
    rounds = n.bit_length() - 1
    return 2**rounds * rounds + 2 * (n - 2**rounds)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6, 8])
@virtual
def test_peers_send_what_the_all_reduces_send(kind, n):
    _, _, answered = size_of_questions(drive)
    with getattr(labkit, kind)(workers=n) as world:
        record = run(world, "peer_to_peer", drive, *world.shard(X, y))
    assert record.messages == allreduce_messages(n) * QUESTIONS
    assert record.nbytes == allreduce_messages(n) * answered


@pytest.mark.parametrize("n", [3, 4, 7])
@virtual
def test_long_answers_go_around_a_ring(kind, n):
    class Long:
        def answer(self, question, value):
            return np.ones(10_080)

        def work(self, question):
            return {}

    def program(me):
        return peer_to_peer.train(me, Long(), lambda ask: ask("ones") + ask("ones"))

    with getattr(labkit, kind)(workers=n) as world:
        record = world.run(program)
    np.testing.assert_array_equal(record.results[0], np.full(10_080, 2.0 * n))
    assert record.messages == 2 * n * 2 * (n - 1)
    assert record.nbytes == 2 * 2 * (n - 1) * 8 * 10_080


@peer_models
def test_the_real_world_counts_as_the_others_do(cluster, name):
    counts = set()
    for world in (cluster, labkit.serial(3), labkit.simulated(3)):
        record = run(world, name, drive, *world.shard(X, y))
        counts.add((record.messages, record.nbytes))
    assert len(counts) == 1 and counts.pop()[0] > 0


def test_map_reduce_returns_one_answer_a_shard_and_question(cluster):
    for world in (labkit.simulated(3), cluster):
        _, runs = map_reduce.train(world, Local, drive, *world.shard(X, y))
        assert [r.messages for r in runs] == [3] * QUESTIONS
        # What returns are key-value pairs: the question and the shard's answer.
        local, w = Local(X, y), expected()[0]
        sizes = [3 * wire.size_of([(question, local.answer(question, w))])
                 for question in ("normal equations", "squared error", "lowest")]
        assert [r.nbytes for r in runs] == sizes
    with labkit.serial(3) as world:
        _, runs = map_reduce.train(world, Local, drive, *world.shard(X, y))
        assert [(r.messages, r.nbytes) for r in runs] == [(0, 0)] * QUESTIONS
        assert [len(r.tasks) for r in runs] == [3] * QUESTIONS


@peer_models
def test_each_question_is_a_step_of_every_peer(world, name):
    record = run(world, name, drive, *world.shard(X, y))
    steps = sorted((e.rank, e.step) for e in record.events if e.kind == "step")
    assert steps == [(rank, step) for rank in range(3) for step in range(QUESTIONS)]


@peer_models
def test_answers_cost_the_virtual_clock_what_they_say(name):
    world = labkit.simulated(3)
    shards = world.shard(X, y)
    record = run(world, name, drive, *shards)
    spent = sorted((e.rank, e.end_s - e.start_s) for e in record.events if e.kind == "work")
    cost = [world.machine.work_s(**Local(part, None).work("")) for part in shards[0]]
    assert [rank for rank, _ in spent] == [0] * 3 + [1] * 3 + [2] * 3
    np.testing.assert_allclose([s for _, s in spent], np.repeat(cost, QUESTIONS), rtol=1e-9)


def test_map_tasks_cost_the_virtual_clock_what_they_say():
    world = labkit.simulated(3)
    shards = world.shard(X, y)
    _, runs = map_reduce.train(world, Local, drive, *shards)
    cost = [world.machine.work_s(**Local(part, None).work("")) for part in shards[0]]
    for record in runs:
        assert [e.rank for e in record.tasks] == [0, 1, 2]
        np.testing.assert_allclose([e.end_s - e.start_s for e in record.tasks], cost, rtol=1e-9)


# ---- when something goes wrong


class Stubborn(Exception):
    """What a driver of these tests raises."""


def give_up(ask):
    ask("squared error", np.zeros(3))
    raise Stubborn("enough")


def test_workers_are_told_to_stop_when_the_driver_raises(world):
    def program(me, *parts):
        try:
            return master_worker.train(me, Local(*parts), give_up)
        except Exception as error:
            return type(error).__name__, str(error)

    assert world.run(program, *world.shard(X, y)).results == [("Stubborn", "enough"), None, None]


def test_without_that_message_they_would_wait_for_ever():
    """The oracle of the test above: a deadlock is what it would see."""
    def program(me, *parts):
        if me.rank:
            return master_worker.train(me, Local(*parts), give_up)

    with pytest.raises(DeadlockError, match="waits for peer 0"):
        world = labkit.serial(3)
        world.run(program, *world.shard(X, y))


@peer_models
def test_what_the_driver_raises_is_the_cause(world, name):
    with pytest.raises(ProgramError, match="Stubborn in peer") as caught:
        run(world, name, give_up, *world.shard(X, y))
    assert type(caught.value.__cause__).__name__ == "Stubborn"
    assert world.run(lambda me: me.allreduce(1)).results == [3, 3, 3]


def test_map_reduce_raises_what_the_driver_raises(world):
    with pytest.raises(Stubborn, match="enough"):
        map_reduce.train(world, Local, give_up, *world.shard(X, y))


@peer_models
def test_a_question_that_no_shard_knows_is_named(world, name):
    with pytest.raises(ProgramError, match="KeyError"):
        run(world, name, lambda ask: ask("meaning"), *world.shard(X, y))
    with pytest.raises(ProgramError, match="KeyError on item"):
        map_reduce.train(world, Local, lambda ask: ask("meaning"), *world.shard(X, y))


@pytest.mark.parametrize("wrong", [2, 4])
def test_shards_of_another_number_of_workers_are_refused(wrong):
    X3, y3 = labkit.serial(3).shard(X, y)
    Xn, yn = labkit.serial(wrong).shard(X, y)
    for shards in ((X3, yn), (Xn, y3), (Xn, yn)):
        with pytest.raises(ConfigurationError, match="one part for each peer"):
            map_reduce.train(labkit.serial(3), Local, drive, *shards)


# ---- MapReduce jobs

TEXTS = ["the quick brown fox", "jumps over the lazy dog", "", "the end the end the end",
         "fox dog fox"]
COUNTS = Counter(" ".join(TEXTS).split())


def words(text):
    for word in text.split():
        yield word, 1


def total(word, counts):
    return sum(counts)


@pytest.mark.parametrize("combiner", [None, total], ids=["pairs", "combined"])
@pytest.mark.parametrize("n_reducers", [None, 0, 1, 2, 100])
def test_words_are_counted_as_counter_counts_them(world, n_reducers, combiner):
    counts, runs = map_reduce.map_reduce(world, words, total, TEXTS, combiner, n_reducers)
    assert counts == COUNTS
    assert list(counts) == list(COUNTS), "in the order of their first appearance"
    tasks = [len(r.results) for r in runs]
    reducers = min(3 if n_reducers is None else n_reducers, len(COUNTS))
    assert tasks == ([5, reducers] if reducers else [5])


@given(st.lists(st.text("abc ", max_size=12), max_size=6), st.integers(1, 4),
       st.sampled_from([None, 0, 1, 3, 50]), st.sampled_from([None, total]))
def test_any_words_are_counted_as_counter_counts_them(texts, workers, n_reducers, combiner):
    with labkit.serial(workers) as world:
        counts, _ = map_reduce.map_reduce(world, words, total, texts, combiner, n_reducers)
    assert list(counts.items()) == list(Counter(" ".join(texts).split()).items())


@pytest.mark.parametrize("n_reducers", [None, 0, 1, 5])
def test_no_items_give_no_results(world, n_reducers):
    for items in ([], ["", "  "]):
        counts, runs = map_reduce.map_reduce(world, words, total, items, n_reducers=n_reducers)
        assert counts == {}
        assert len(runs[0].results) == len(items)
        assert all(r.results == [] for r in runs[1:])


def test_a_combiner_lets_fewer_pairs_travel(cluster):
    texts = ["to be or not to be " * 50] * 4
    for world in (labkit.simulated(3), cluster):
        (plain, runs), (combined, fewer) = (
            map_reduce.map_reduce(world, words, total, texts, combiner)
            for combiner in (None, total))
        assert plain == combined == Counter(" ".join(texts).split())
        assert all(len(pairs) == 300 for pairs in runs[0].results)
        assert all(len(pairs) == 4 for pairs in fewer[0].results)
        assert runs[0].nbytes == 4 * wire.size_of(list(words(texts[0])))
        assert fewer[0].nbytes < runs[0].nbytes / 5


def test_a_reducer_gets_all_values_of_a_key_in_the_order_of_the_items(world):
    def mapper(item):
        yield item % 2, item
        yield item % 2, -item

    found, _ = map_reduce.map_reduce(world, mapper, lambda key, values: values, range(1, 6))
    assert found == {1: [1, -1, 3, -3, 5, -5], 0: [2, -2, 4, -4]}


def test_a_mapper_may_return_a_list_and_keys_may_be_anything_hashable(world):
    found, _ = map_reduce.map_reduce(
        world, lambda item: [((item, None), 2.5), (frozenset([1]), 1)],
        lambda key, values: len(values), [3, 3, 4])
    assert found == {(3, None): 2, frozenset([1]): 3, (4, None): 1}


def test_jobs_run_over_shards(world):
    shards = world.shard(np.arange(20) % 4)

    def mapper(part):
        for number in part:
            yield int(number), 1

    assert map_reduce.map_reduce(world, mapper, total, shards)[0] == {0: 5, 1: 5, 2: 5, 3: 5}


def test_mapping_costs_the_virtual_clock_what_it_says():
    world = labkit.simulated(2)
    _, (mapped, _) = map_reduce.map_reduce(world, words, total, TEXTS,
                                           work=lambda text: dict(flops=1e9 * len(text)))
    spent = {e.label: e.end_s - e.start_s for e in mapped.tasks}
    cost = [world.machine.work_s(flops=1e9 * len(text)) for text in TEXTS]
    assert sorted(spent.values()) == pytest.approx(sorted(cost), abs=1e-12)


@pytest.mark.parametrize("n_reducers", [-1, -5])
def test_fewer_than_no_reducers_are_refused_before_anything_runs(n_reducers):
    asked = []
    with pytest.raises(ConfigurationError, match="0 or more"):
        map_reduce.map_reduce(labkit.serial(2), asked.append, total, TEXTS, n_reducers=n_reducers)
    assert not asked


def test_an_error_in_a_mapper_or_reducer_names_its_item(world):
    def picky(text):
        return words(text) if text else 1 / 0

    def fussy(word, counts):
        return sum(counts) if word != "fox" else int(word)

    with pytest.raises(ProgramError, match="ZeroDivisionError on item 2"):
        map_reduce.map_reduce(world, picky, total, TEXTS)
    with pytest.raises(ProgramError, match="ValueError on item 1"):      # fox is key 3
        map_reduce.map_reduce(world, words, fussy, TEXTS, n_reducers=2)

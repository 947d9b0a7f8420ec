"""Jobs against Counter, sorted, dicts and scikit-learn; what happens when things go wrong."""

import functools
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter

import cloudpickle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.errors import ConfigurationError, ProgramError
from labkit.models.map_reduce import Job
from labkit.models.map_reduce.backup import patience_s
from labkit.models.map_reduce.jobs import join, kmeans, sort, word_count
from labkit.models.map_reduce.keys import by_hash, by_range, encode
from labkit.models.map_reduce.skew import Sample, Skew, draw, heavy_keys, quantiles, shares
from labkit.models.map_reduce.spill import FAN_IN, Groups
from labkit.sharding import joined, zipped

cloudpickle.register_pickle_by_value(sys.modules[__name__])     # workers need not import it

TEXTS = ["the quick brown fox", "jumps over the lazy dog", "", "the end the end the end",
         "fox dog fox"]
COUNTS = Counter(" ".join(TEXTS).split())


def words(text):
    for word in text.split():
        yield word, 1


def total(word, counts):
    return sum(counts)


def attempts(run):
    return Counter(event.label.removesuffix(" again") for event in run.tasks)


# ---- what a world keeps


def test_kept_parts_are_transposed(world):
    mapped = world.map(lambda i: [np.array([i, part]) for part in range(4)], range(5), keep=4)
    assert [len(shards) for shards in mapped.results] == [4] * 5
    assert mapped.results[2][3].tolist() == [2, 3]
    assert (mapped.messages, mapped.nbytes) == (0, 0), "nothing comes back"
    columns = zipped(*mapped.results)
    got = world.map(lambda column: [part.tolist() for part in column], columns).results
    assert got == [[[i, part] for i in range(5)] for part in range(4)]
    flat = world.map(lambda part: int(part.sum()), joined(*mapped.results)).results
    assert flat == [i + part for i in range(5) for part in range(4)]


@pytest.mark.parametrize("wrong", [3, "ab", [1]])
def test_a_task_must_return_as_many_parts_as_are_kept(world, wrong):
    with pytest.raises(ProgramError, match="must return all of them") as caught:
        world.map(lambda i: wrong, range(2), keep=2)
    assert isinstance(caught.value.__cause__, ConfigurationError)


def test_in_the_simulated_world_a_part_costs_its_way_from_where_it_is():
    def reduce_s(nbytes):
        world = labkit.simulated(2, network="1GbE")
        mapped = world.map(lambda i: [np.zeros(nbytes, np.uint8)] * 2, range(2), keep=2)
        return world.map(len, zipped(*mapped.results)).seconds

    bandwidth = labkit.simulated(2, network="1GbE").network.bandwidth_Bps
    # Each reducer has one of its two parts, and fetches the other.
    assert reduce_s(10**9) - reduce_s(0) == pytest.approx(1e9 / bandwidth, rel=0.01)


# ---- jobs


@pytest.mark.parametrize("how", [
    dict(), dict(n_reducers=1, combiner=total), dict(n_reducers=7), dict(sort=True),
    dict(associative=True, combiner=total), dict(sort=True, associative=True),
    dict(budget_nbytes=200, combiner=total)], ids=lambda how: "-".join(how) or "plain")
def test_words_are_counted_as_counter_counts_them(world, how):
    outcome = Job(words, total, **how).run(world, TEXTS)
    assert outcome.as_dict() == COUNTS
    assert len(list(outcome)) == len(COUNTS), "no key is reduced twice"
    n = how.get("n_reducers", world.workers)
    tasks = [5, 5, 5, n] if len(how.keys() & {"sort", "associative"}) else [5, n]
    assert [len(run.tasks) for run in outcome.runs] == tasks
    assert all(set(attempts(run).values()) == {1} for run in outcome.runs)
    assert all(run.messages == 0 for run in outcome.runs[:-1] if run.results
               and not isinstance(run.results[0], Sample)), "pairs stay on the workers"
    if how.get("sort"):
        assert [key for key, _ in outcome] == sorted(COUNTS)
    else:
        assert all(by_hash(key, n) == part for part, results in enumerate(outcome.parts)
                   for key, _ in results)


def test_no_items_give_no_results(world):
    for how in (dict(), dict(sort=True, associative=True)):
        for items in ([], iter(["", " "])):
            outcome = Job(words, total, **how).run(world, items)
            assert outcome.as_dict() == {} and len(outcome.parts) == 3
            assert outcome.skew.imbalance == 1


def test_a_reducer_gets_all_values_of_a_key_in_the_order_of_the_items(world):
    def mapper(item):
        yield item % 2, item
        yield item % 2, -item

    for budget in (None, 100):
        job = Job(mapper, lambda key, values: values, budget_nbytes=budget)
        assert job.run(world, range(1, 6)).as_dict() == {1: [1, -1, 3, -3, 5, -5],
                                                         0: [2, -2, 4, -4]}


def test_jobs_run_over_shards(world):
    def mapper(part):
        yield from ((int(number), 1) for number in part)

    outcome = Job(mapper, total, total).run(world, world.shard(np.arange(20) % 4))
    assert outcome.as_dict() == {0: 5, 1: 5, 2: 5, 3: 5}


@pytest.mark.parametrize("how", [dict(), dict(sort=True), dict(associative=True),
                                 dict(combiner=total)], ids=str)
def test_a_key_that_cannot_be_hashed_is_named(world, how):
    job = Job(lambda item: [([item], 1)], total, **how)
    with pytest.raises(ProgramError, match=r"(?s)must be hashable.*list \[7\].*tuple"):
        job.run(world, [7])


def test_what_a_job_cannot_do_is_refused():
    world = labkit.serial(2)
    with pytest.raises(ConfigurationError, match="1 or more"):
        Job(words, total, n_reducers=0).run(world, TEXTS)
    with pytest.raises(ProgramError, match=r"(?s)names no reducer.*2 for key 'the'"):
        Job(words, total, partitioner=lambda key, n: n).run(world, TEXTS)
    with pytest.raises(ProgramError, match="cannot be assigned to a reducer"):
        Job(lambda item: [(object(), 1)], total).run(world, TEXTS)


# ---- keys


KEYS = st.recursive(
    st.one_of(st.text(max_size=3), st.binary(max_size=3), st.integers(-3, 3), st.none(),
              st.booleans(), st.sampled_from([0.0, -0.0, 1.0, 0.5, 2**70, 2.0**70, np.int8(1),
                                              np.float32(0.5), np.bool_(True), np.str_("a")])),
    lambda inside: st.one_of(st.tuples(inside, inside), st.frozensets(inside, max_size=3)),
    max_leaves=4)


@given(KEYS, KEYS)
@settings(max_examples=200, deadline=None)
def test_equal_keys_are_encoded_alike_and_others_apart(a, b):
    assert (encode(a) == encode(b)) == (len({a, b}) == 1)
    assert by_hash(a, 5) in range(5)


def test_a_key_has_the_same_reducer_in_every_process(world):
    keys = [("a", 1), "b", b"c", None, frozenset(["x", "y", "z"]), 2.5]
    for found in world.map(lambda _: [by_hash(key, 1000) for key in keys], range(3)).results:
        assert found == [by_hash(key, 1000) for key in keys]
    assert by_hash("b", 1000) == 990, "and in every session"


# ---- skew


def test_a_heavy_key_is_split_and_its_results_are_combined(world):
    rng = random.Random(0)
    items = [["hot"] * 800 + [rng.randrange(1000) for _ in range(200)] for _ in range(4)]

    def mapper(item):
        return [(key, 1) for key in item]

    expected = Counter(key for item in items for key in item)
    plain = Job(mapper, total).run(world, items)
    split = Job(mapper, total, associative=True).run(world, items)
    assert plain.as_dict() == split.as_dict() == expected
    assert plain.skew.imbalance > 2.3 and plain.skew.heavy == {}
    assert split.skew.heavy == {"hot": 3}
    assert split.skew.imbalance < 1.1
    assert sum(split.skew.pairs) == sum(plain.skew.pairs) == 4000
    assert "hot" in dict(split.parts[by_hash("hot", 3)])


def test_shares_weigh_samples_by_what_they_stand_for():
    found = shares([Sample(["a", "a", "b", "b"], 400), Sample(["b"], 100), Sample([], 0)])
    assert found == {"a": 0.4, "b": 0.6}
    assert heavy_keys(found, 4) == {"a": 4, "b": 4}
    assert heavy_keys({"a": 0.3, "b": 0.1}, 2) == {"a": 2}
    assert heavy_keys(found, 1) == {}
    assert Skew((6, 0, 0), {}).imbalance == 3


def test_a_sample_is_drawn_by_its_seed():
    keys = list(range(1000))
    assert draw(keys, 50, 1) == draw(keys, 50, 1) != draw(keys, 50, 2)
    assert draw(keys, 50, 1).keys == sorted(set(draw(keys, 50, 1).keys))
    assert draw(keys, 1000, 1) == Sample(keys, 1000)


@given(st.lists(st.integers(0, 30), max_size=200), st.integers(1, 6))
@settings(deadline=None)
def test_quantiles_cut_evenly_as_far_as_keys_allow(keys, n):
    share = shares([Sample(keys, len(keys))] if keys else [])
    bounds = quantiles(share, n)
    assert bounds == sorted(set(bounds)) and len(bounds) < n
    loads = Counter(by_range(bounds, key, n) for key in keys)
    largest = max(share.values(), default=0) * len(keys)
    assert max(loads.values(), default=0) <= len(keys) / n + 2 * largest + 1


# ---- sort


@given(st.lists(st.lists(st.integers(-20, 20), max_size=30), max_size=6), st.integers(1, 5),
       st.sampled_from([None, 300]), st.sampled_from([None, abs]))
@settings(max_examples=60, deadline=None)
def test_parts_are_in_total_order(chunks, n, budget, key):
    with labkit.serial(2) as world:
        parts, _ = sort(world, chunks, key, n_reducers=n, budget_nbytes=budget)
    assert len(parts) == n
    assert sum(parts, []) == sorted(sum(chunks, []), key=key)


def test_sorting_spreads_the_load(world):
    rng = np.random.default_rng(0)
    chunks = rng.exponential(size=(4, 2000)).tolist()
    parts, outcome = sort(world, chunks)
    assert sum(parts, []) == sorted(sum(chunks, []))
    assert outcome.skew.imbalance < 1.15


# ---- memory


def open_temporary_files():
    """Return the temporary files of this process and of its folder that are there."""
    folder = tempfile.gettempdir()
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue                     # the folder's own handle
    return sorted(link for link in links if link.startswith(folder) and "deleted" in link)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers()), max_size=80), st.integers(1, 2000),
       st.booleans())
@settings(max_examples=60, deadline=None)
def test_groups_are_the_same_on_disk_as_in_memory(pairs, budget, sort):
    expected = {}
    for key, value in pairs:
        expected.setdefault(key, []).append(value)
    with Groups(budget, sort) as groups:
        for key, value in pairs:
            groups.add(key, value)
        found = list(groups)
    assert dict(found) == expected and len(found) == len(expected)
    if sort:
        assert [key for key, _ in found] == sorted(expected)


def test_many_runs_are_merged_in_turns():
    before = open_temporary_files()
    with Groups(1, sort=True) as groups:
        for number in range(3 * FAN_IN):
            groups.add(number % 10, number)
            assert len(open_temporary_files()) - len(before) <= FAN_IN + 1
        # Each merge leaves one run of FAN_IN, so it is needed for every FAN_IN - 1 new ones.
        assert groups.n_runs == 3 * FAN_IN + (3 * FAN_IN - 2) // (FAN_IN - 1)
        assert dict(groups) == {k: list(range(k, 3 * FAN_IN, 10)) for k in range(10)}
    assert open_temporary_files() == before


def arrays(item):
    for i in range(50):
        yield i % 7, np.full(1000, float(item))


def test_a_partition_that_outgrows_its_budget_goes_to_disk_and_leaves_nothing(world):
    job = Job(arrays, lambda key, values: float(np.sum(values)), budget_nbytes=50_000)
    before = world.map(lambda _: open_temporary_files(), range(6)).results
    outcome = job.run(world, range(1, 4))
    expected = {key: 6000.0 * len(range(key, 50, 7)) for key in range(7)}
    assert outcome.as_dict() == expected
    assert outcome.spilled_nbytes >= 3 * 50 * 8000
    failing = Job(arrays, lambda key, values: 1 / 0, budget_nbytes=50_000)
    with pytest.raises(ProgramError, match="ZeroDivisionError"):
        failing.run(world, range(1, 4))
    after = world.map(lambda _: open_temporary_files(), range(6)).results
    assert set(sum(after, [])) <= set(sum(before, []))


# ---- second attempts


def test_patience_is_known_once_half_are_done():
    assert patience_s([], 1) == math.inf
    assert patience_s([1.0], 4) == math.inf
    assert patience_s([1.0, 3.0], 4) == 4.0
    assert patience_s([1e-3] * 4, 4) == 0.1
    assert patience_s([1.0, 2.0, 9.0], 4, slow=3, done=0.75) == 6.0


def test_a_late_task_gets_one_second_attempt_whose_answer_counts_once():
    slow = iter([1.0, 1.0, 1.0, 50.0, 1.0])          # the second attempt is quick

    def work(item):
        return dict(flops=next(slow) * 1e10)

    world = labkit.simulated(2)
    run = world.map(lambda i: i * 10, range(4), work=work, backup=patience_s)
    assert run.results == [0, 10, 20, 30]
    assert attempts(run) == {"<lambda> 0": 1, "<lambda> 1": 1, "<lambda> 2": 1, "<lambda> 3": 2}
    first, again = (e for e in run.tasks if e.label.startswith("<lambda> 3"))
    second_s = world.machine.work_s(flops=1e10)
    assert again.rank != first.rank
    assert again.start_s == pytest.approx(first.start_s + 2 * second_s)
    assert again.end_s == pytest.approx(again.start_s + second_s) == first.end_s
    assert run.messages == 4


def test_on_time_no_task_runs_twice(world):
    run = world.map(lambda i: time.sleep(0.01) or i, range(6), backup=patience_s)
    assert run.results == list(range(6))
    assert set(attempts(run).values()) == {1}


def test_the_answer_of_an_idle_worker_comes_first(cluster, tmp_path):
    def task(item):
        first = not (tmp_path / str(item)).exists()
        (tmp_path / str(item)).touch()
        if item == 0 and first:
            time.sleep(2.5)
            return "late"
        return item

    run = cluster.map(task, range(3), backup=patience_s)
    assert run.results == [0, 1, 2]
    assert attempts(run) == {"task 0": 2, "task 1": 1, "task 2": 1}
    assert run.messages == 3
    kept = cluster.map(lambda i: [i], range(3), keep=1, backup=patience_s)
    assert [shards[0] for shards in kept.results] == [0, 1, 2]


# ---- a worker that dies


def test_a_worker_killed_between_map_and_reduce_costs_its_tasks_only(tmp_path):
    def mapper(item):
        (tmp_path / f"{item}-{os.getpid()}-{time.monotonic_ns()}").touch()
        yield from ((i % 5, i) for i in range(item * 10))

    def bucket(item):
        parts = [[], []]
        for key, value in mapper(item):
            parts[key % 2].append((key, value))
        return parts

    def tally(buckets):
        return Counter(key for bucket in buckets for key, _ in bucket)

    with labkit.cluster(workers=2, deadline_s=60) as world:
        mapped = world.map(bucket, range(6), keep=2)
        ran = Counter(path.name.split("-")[0] for path in tmp_path.iterdir())
        assert ran == {str(item): 1 for item in range(6)}
        held = {event.label.split()[1] for event in mapped.tasks if event.rank == 0}
        pids = world.client.run(os.getpid)
        os.kill(pids[world._workers[0]], signal.SIGKILL)
        reduced = world.map(tally, zipped(*mapped.results))
        expected = Counter(i % 5 for item in range(6) for i in range(item * 10))
        assert sum(reduced.results, Counter()) == expected
        assert set(attempts(reduced).values()) == {1}
    ran = Counter(path.name.split("-")[0] for path in tmp_path.iterdir())
    again = {item for item, times in ran.items() if times > 1}
    assert again <= held and max(ran.values()) == 2, "what the other worker holds is kept"


# ---- join


@pytest.mark.parametrize("n", [1, 3])
def test_rows_with_the_same_key_are_joined(world, n):
    left = [[(1, "a"), (2, "b")], [(2, "c"), (None, "d")], []]
    right = [[(2, "x"), (2.0, "y")], [(9, "z"), (None, "w")]]
    parts, runs = join(world, left, right, n_reducers=n)
    expected = [(k, a, b) for k, a in sum(left, []) for j, b in sum(right, []) if j == k]
    assert Counter(row for part in parts for row in part) == Counter(expected)
    assert [len(run.tasks) for run in runs] == [3, 2, n]
    assert join(world, left, [])[0] == [[]] * 3


# ---- learning


RNG = np.random.default_rng(1)
X = np.concatenate([RNG.normal(centre, 1.0, (100, 3)) for centre in (-4, 0, 4)])
START = X[[0, 120, 250, 10]]


def test_kmeans_finds_what_scikit_learn_finds(world):
    from sklearn.cluster import KMeans

    found = kmeans(world, X, START)
    oracle = KMeans(4, init=START, n_init=1, algorithm="lloyd", tol=0, max_iter=100).fit(X)
    np.testing.assert_allclose(found.centres, oracle.cluster_centers_, rtol=1e-9)
    assert found.inertia == pytest.approx(oracle.inertia_)
    assert found.n_steps == oracle.n_iter_ == len(found.runs)
    assert all(set(attempts(run).values()) == {1} for run in found.runs)


def test_a_centre_without_rows_stays_and_steps_are_counted():
    found = kmeans(labkit.serial(2), X, np.array([[0.0] * 3, [1e6] * 3]), max_steps=5)
    np.testing.assert_allclose(found.centres, [X.mean(axis=0), [1e6] * 3])
    assert found.n_steps == 2
    assert kmeans(labkit.serial(2), X, START, max_steps=1).n_steps == 1
    with pytest.raises(ConfigurationError, match="needs steps"):
        kmeans(labkit.serial(2), X, START, max_steps=0)


def test_logistic_regression_finds_the_serial_optimum(world):
    from labkit.learning.logistic import Local, Settings, drive
    from labkit.models.map_reduce.jobs.logistic import logistic_regression

    y = (X[:, 0] + RNG.normal(size=300) > 0).astype(float)
    options = Settings(reg_param=0.1)
    local = Local(X, y)
    oracle = drive(lambda question, value=None, op=None: local.answer(question, value), options)
    fit, runs = logistic_regression(world, *world.shard(X, y), settings=options)
    np.testing.assert_allclose(fit.coef, oracle.coef, rtol=1e-6)
    assert all(len(run.tasks) == 3 for run in runs)


def test_words_are_counted_while_tasks_are_backed_up():
    texts = [b"a b"] * 4
    costs = iter([1, 1, 1, 30] + [1] * 20)
    counts, (mapped, reduced) = word_count(
        labkit.simulated(2), texts, work=lambda text: dict(flops=1e10 * next(costs)),
        backup=functools.partial(patience_s, least_s=0.0))
    assert counts == {b"a": 4, b"b": 4}, "a task that ran twice counts once"
    assert sum(attempts(mapped).values()) == 5

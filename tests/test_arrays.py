"""Sorting arrays against `np.sort`, k-means over files, files of rows against the rows."""

import contextlib
import gc
import os
import pickle
import signal
import sys
import tempfile
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import labkit
from labkit.errors import ConfigurationError, DataError, ProgramError
from labkit.models.map_reduce import ArrayFiles
from labkit.models.map_reduce.arrays import blocks_of
from labkit.models.map_reduce.buckets import write_buckets
from labkit.models.map_reduce.jobs import arrays, kmeans, sort_arrays
from labkit.models.map_reduce.jobs.arrays import bounds_of, cuts

cloudpickle.register_pickle_by_value(sys.modules[__name__])     # workers need not import it

RNG = np.random.default_rng(0)
DTYPES = ["<f8", ">f8", "<f4", "<f2", "<i8", ">i4", "<u8", "|u1", "|b1", "<M8[s]", "<m8[ns]", "<U3",
          "|S4", "<c16"]


def saved(folder, chunks):
    """Write chunks to files; return their paths."""
    paths = [folder / f"{number}.npy" for number in range(len(chunks))]
    for path, chunk in zip(paths, chunks):
        np.save(path, chunk)
    return paths


def rows_of(parts):
    """Return sorted parts, wherever they are, as one array."""
    return np.concatenate([np.load(path) for path in parts.paths] if isinstance(parts, ArrayFiles)
                          else list(parts))


def same(found, expected):
    """Whether arrays are equal, NaN and NaT to themselves, and of one dtype."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


# ---- files


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 6),
       st.one_of(st.none(), st.integers(1, 200)), st.integers(1, 100))
@settings(max_examples=60, deadline=None)
def test_every_row_is_in_one_range_and_one_block(lengths, workers, range_nbytes, block_nbytes):
    chunks = [RNG.integers(100, size=(length, 2)) for length in lengths]
    rows = np.concatenate(chunks)
    with tempfile.TemporaryDirectory() as folder:
        files = ArrayFiles(saved(Path(folder), chunks), range_nbytes)
        ranges = files.ranges(workers)
        blocks = [list(blocks_of(item, block_nbytes)) for item in ranges]
        taken = [item.take(np.arange(len(item))) for item in ranges]
        sizes = [(len(item), item.shape, item.nbytes) for item in ranges]
    same(np.concatenate([rows[:0], *sum(blocks, [])]), rows)
    same(np.concatenate(taken), rows)
    assert files.shape == rows.shape and max(sizes)[0] - (min(sizes[:-1] or sizes)[0]) == 0
    assert sizes == [(len(part), part.shape, part.nbytes) for part in taken]
    assert all(len(block) == 1 or block.nbytes <= block_nbytes for block in sum(blocks, []))
    if range_nbytes is None:
        assert len(ranges) <= 4 * workers
    else:
        assert all(len(item) <= 1 or item.nbytes <= range_nbytes for item in ranges)


def test_rows_are_taken_by_number_across_files(tmp_path):
    item, = ArrayFiles(saved(tmp_path, [np.arange(3), np.arange(3, 4), np.arange(4, 9)]),
                       range_nbytes=1000).ranges(1)
    assert item.take(np.array([0, 2, 2, 3, 8])).tolist() == [0, 2, 2, 3, 8]
    assert not next(item.blocks(100)).flags.writeable


def test_what_is_no_file_of_rows_is_named(tmp_path):
    def write(name, array):
        np.save(tmp_path / name, array)
        return tmp_path / name

    good = write("good.npy", np.zeros(3))
    (tmp_path / "text.npy").write_text("1 2 3")
    with pytest.raises(ConfigurationError, match="nothing to read"):
        ArrayFiles([])
    with pytest.raises(ConfigurationError, match="range_nbytes=0"):
        ArrayFiles(good, range_nbytes=0)
    for bad in (tmp_path / "text.npy", tmp_path / "missing.npy", tmp_path,
                write("objects.npy", np.array([{}], object))):
        with pytest.raises(DataError, match=f"(?s)cannot be read.*where: {bad}"):
            ArrayFiles([good, bad])
    with pytest.raises(DataError, match="no rows"):
        ArrayFiles(write("number.npy", np.array(1.0)))
    for other in (np.zeros(3, "f4"), np.zeros((3, 1))):
        with pytest.raises(DataError, match="(?s)rows of these files differ.*good.npy"):
            ArrayFiles([good, write("other.npy", other)])


# ---- buckets


def test_a_bucket_arrives_as_its_arrays_and_its_file_goes_with_the_last():
    def open_files():
        """Files without a name that this process holds; a cluster next door has sockets."""
        gc.collect()
        found = 0
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):       # the one that listed them
                found += os.readlink(f"/proc/self/fd/{fd}").endswith("(deleted)")
        return found

    before = open_files()
    rows = np.arange(12).reshape(6, 2)
    blocks = [(rows[:4], np.array([1, 1])), (rows[4:], np.array([0, 2]))]
    buckets = write_buckets(blocks, rows[:0], 3)
    assert open_files() == before + 1
    assert [[part.tolist() for part in bucket] for bucket in buckets] == [
        [[[0, 1]]], [[[8, 9], [10, 11]]], [[[2, 3], [4, 5], [6, 7]]]]
    assert [bucket.nbytes for bucket in buckets] == [16, 32, 48]
    outside = []
    sent = pickle.dumps(buckets[1], protocol=5, buffer_callback=outside.append)
    assert len(outside) == 1 and len(sent) < 300, "its bytes travel outside of the pickle"
    arrived = pickle.loads(sent, buffers=outside)
    assert type(arrived) is list and arrived[0].tolist() == [[8, 9], [10, 11]]
    del buckets, arrived, outside
    assert open_files() == before


# ---- where rows go


@given(st.lists(st.lists(st.integers(0, 5), max_size=30), max_size=5), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
@example([[3] * 30] * 5, 7)
def test_parts_are_even_and_ascending_whatever_repeats(chunks, n):
    chunks = [np.sort(np.array(chunk, int)) for chunk in chunks] or [np.empty(0, int)]
    bounds = bounds_of([len(chunk) for chunk in chunks], chunks, n)
    total = sum(map(len, chunks))
    assert len(bounds) == (n - 1 if total else 0)
    parts = [[] for _ in range(n)]
    for number, chunk in enumerate(chunks):
        edges = [0, *cuts(chunk, bounds, number / len(chunks)).tolist(), len(chunk)]
        assert edges == sorted(edges)
        for part, start, stop in zip(parts, edges, edges[1:]):
            part.extend((key, number) for key in chunk[start:stop].tolist())
    rows = sum((sorted(part, key=lambda row: row[0]) for part in parts), [])
    assert rows == sorted(rows), "keys ascend, and rows of one key are in the chunks' order"


def test_a_key_that_is_everywhere_has_several_parts_to_itself():
    chunks = [np.zeros(100)] * 20
    bounds = bounds_of([100] * 20, chunks, 5)
    first = [cuts(chunk, bounds, number / 20).tolist() for number, chunk in enumerate(chunks)]
    loads = np.diff([[0, *cut, 100] for cut in first], axis=1).sum(axis=0)
    assert loads.tolist() == [400] * 5


def test_a_sample_counts_for_as_many_keys_as_it_was_drawn_from():
    assert bounds_of([900, 100], [np.arange(10), np.arange(100, 110)], 2).tolist() == [5]
    assert bounds_of([0, 2], [np.empty(0), np.array([2.0, 1.0])], 3).tolist() == [1, 2]


# ---- sort


@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_any_numbers_are_sorted_as_numpy_sorts_them(data, dtype, n):
    chunk = hnp.arrays(dtype, st.integers(0, 20))
    chunks = data.draw(st.lists(chunk, min_size=1, max_size=4))
    parts, _ = sort_arrays(labkit.serial(2), chunks, n_parts=n)
    assert len(parts) == n
    same(rows_of(parts), np.sort(np.concatenate(chunks)))


NAN = np.array([3, np.nan, -np.inf, np.nan, 0.0, -0.0, np.inf, 3])
CHUNKS = {
    "random": [RNG.random(size) for size in (1000, 0, 1, 5000)],
    "nan": [NAN, NAN[::-1], np.full(9, np.nan), RNG.random(100)],
    "equal": [np.full(500, 7, "u2")] * 4,
    "few": [np.array([2, 1], ">i4")],
    "none": [np.empty(0, "f4")],
    "dates": [np.array(["2024-01-03", "NaT", "2020-02-29"], "M8[D]"), np.array([], "M8[D]")],
    "bools": [RNG.random(100) < 0.3] * 3,
}


@pytest.mark.parametrize("name", CHUNKS)
def test_every_world_sorts_chunks_and_files_into_memory_and_files(world, tmp_path, name):
    chunks = CHUNKS[name]
    expected = np.sort(np.concatenate(chunks))
    files = ArrayFiles(saved(tmp_path, chunks))
    kept, (sampled, cut, *sorts) = sort_arrays(world, chunks, n_parts=7)
    same(rows_of(kept), expected)
    assert len(kept) == 7 and len(cut.tasks) == len(chunks)
    assert sum(len(run.tasks) for run in sorts) == 7
    assert (cut.messages, cut.results) == (0, []), "no row comes here, and no bucket stays"
    assert all(run.nbytes == 0 for run in sorts)
    written, _ = sort_arrays(world, files, folder=tmp_path / "new" / "sorted")
    same(rows_of(written), expected)
    assert len(list((tmp_path / "new" / "sorted").iterdir())) == world.workers
    again, _ = sort_arrays(world, kept, n_parts=2)
    same(rows_of(again), expected)


def test_one_array_of_any_kind_is_cut_into_shards(world):
    import dask.array as da

    numbers = RNG.integers(1000, size=2000)
    for source in (numbers, da.from_array(numbers, chunks=300), world.shard(numbers)):
        same(rows_of(sort_arrays(world, source)[0]), np.sort(numbers))


def test_an_item_is_sorted_block_by_block(monkeypatch, tmp_path):
    monkeypatch.setattr(arrays, "blocks_of", lambda item: blocks_of(item, 800))
    numbers = RNG.integers(5, size=(2000, 2))
    numbers[:, 1] = np.arange(2000)
    files = ArrayFiles(saved(tmp_path, np.array_split(numbers, 3)))
    parts, (sampled, cut, *_) = sort_arrays(labkit.serial(2), files, by=0, n_parts=9)
    same(rows_of(parts), numbers[np.argsort(numbers[:, 0], kind="stable")])
    assert len(cut.tasks) == 8
    assert max(map(len, parts)) < 2 * 2000 / 9, "five keys fill nine parts evenly"


def test_rows_are_sorted_by_a_column_or_field_and_keep_their_order(world):
    rows = np.stack([RNG.integers(4, size=300), np.arange(300)], axis=1).astype(float)
    records = np.zeros(300, [("key", "i2"), ("name", "U2"), ("more", "f4", 2)])
    records["key"], records["name"] = rows[:, 0], [f"{i % 99}" for i in range(300)]
    expected = np.argsort(rows[:, 0], kind="stable")
    parts, _ = sort_arrays(world, np.array_split(rows, 5), by=0, n_parts=6)
    same(rows_of(parts), rows[expected])
    parts, _ = sort_arrays(world, np.array_split(records, 5), by="key", n_parts=6)
    same(rows_of(parts), records[expected])


def test_parts_are_even(world):
    chunks = [RNG.exponential(size=size) for size in (20_000, 2_000, 9_000)]
    parts, _ = sort_arrays(world, chunks, n_parts=5)
    sizes = [len(part) for part in parts]
    assert max(sizes) < 1.3 * np.mean(sizes)


def test_what_cannot_be_sorted_is_named():
    world = labkit.serial(2)
    with pytest.raises(ConfigurationError, match="n_parts="):
        sort_arrays(world, [NAN], n_parts=0)
    with pytest.raises(ConfigurationError, match="nothing to sort"):
        sort_arrays(world, [])
    for chunks in ([NAN, np.arange(3)], [np.array(["a", {}], object)]):
        with pytest.raises(ConfigurationError, match="(?s)cannot be sorted together.*jobs.sort"):
            sort_arrays(world, chunks)
    rows = np.zeros((5, 2))
    for chunk, by in ((rows, None), (rows, 2), (rows, "x"), (NAN, 0), (rows[0] == 0, "x"),
                      (np.zeros(3, [("x", "f4")]), None), (np.zeros(3, [("x", "f4")]), "y")):
        with pytest.raises(ProgramError, match=f"(?s)no such key.*by={by!r}"):
            sort_arrays(world, [chunk], by)


def test_sorting_costs_the_virtual_clock_what_it_says():
    world = labkit.simulated(2, task_overhead_s=0)
    _, (_, cut, *_) = sort_arrays(world, world.shard(np.zeros(2**21)))
    expected = world.machine.work_s(flops=2**20 * 20, nbytes=3 * 8 * 2**20)
    assert cut.seconds == pytest.approx(expected, rel=0.05)


def test_a_worker_killed_between_cut_and_sort_costs_no_row(tmp_path, monkeypatch):
    chunks = [RNG.random(500) for _ in range(6)]
    with labkit.cluster(workers=2, deadline_s=60) as world:
        plain, killed = world.map, []

        def deadly_map(task, items, **how):
            if getattr(task, "func", None) is not None and "_sort" in repr(task) and not killed:
                pids = world.client.run(os.getpid)
                killed.append(pids[world._workers[0]])
                os.kill(killed[0], signal.SIGKILL)
            return plain(task, items, **how)

        monkeypatch.setattr(world, "map", deadly_map)
        parts, _ = sort_arrays(world, ArrayFiles(saved(tmp_path, chunks)), n_parts=4)
        assert killed
        same(rows_of(parts), np.sort(np.concatenate(chunks)))


def test_workers_sort_more_than_they_may_hold(tmp_path):
    limit = 400_000_000
    rng, total = np.random.default_rng(1), 0
    for number in range(8):
        numbers = rng.integers(2**62, size=7_000_000)
        np.save(tmp_path / f"{number}.npy", numbers)
        total += int(numbers.sum(dtype="u8"))
    with labkit.cluster(workers=1, memory_limit=limit, deadline_s=60) as world:
        pid, = world.client.run(os.getpid).values()
        parts, _ = sort_arrays(world, ArrayFiles(sorted(tmp_path.glob("*.npy"))),
                               folder=tmp_path / "sorted")
        assert [pid] == list(world.client.run(os.getpid).values()), "it was not restarted"
    assert len(parts) * 8 == 448_000_000 > limit
    found, last = 0, -1
    for path in parts.paths:
        numbers = np.load(path)
        assert numbers[0] >= last and np.all(numbers[1:] >= numbers[:-1])
        found, last = found + int(numbers.sum(dtype="u8")), numbers[-1]
    assert found % 2**64 == total % 2**64


# ---- k-means


POINTS = np.concatenate([RNG.normal(centre, 1.0, (100, 3)) for centre in (-4, 0, 4)])
START = POINTS[[0, 120, 250, 10]]


@pytest.mark.parametrize(("shift", "dtype", "rtol"), [(0, "f8", 1e-9), (1e6, "f8", 1e-9),
                                                      (100, "f4", 1e-5), (0, ">f8", 1e-9)])
def test_kmeans_over_files_finds_what_scikit_learn_finds(world, tmp_path, shift, dtype, rtol):
    from sklearn.cluster import KMeans

    points = (POINTS + shift).astype(dtype)
    start = points[[0, 120, 250, 10]].astype(float)
    found = kmeans(world, ArrayFiles(saved(tmp_path, np.array_split(points, 5))), start)
    oracle = KMeans(4, init=start, n_init=1, algorithm="lloyd", tol=0).fit(points.astype(float))
    np.testing.assert_allclose(found.centres, oracle.cluster_centers_, rtol=rtol)
    assert found.inertia == pytest.approx(oracle.inertia_, rel=1e-4)
    assert found.n_steps == oracle.n_iter_


def test_kmeans_counts_a_row_once_however_many_centres_are_nearest():
    found = kmeans(labkit.serial(2), POINTS, np.repeat(START[:2], 2, axis=0), max_steps=1)
    np.testing.assert_array_equal(found.centres[1::2], START[:2])
    pair = kmeans(labkit.serial(2), POINTS, START[:2], max_steps=1)
    np.testing.assert_allclose(found.centres[::2], pair.centres, rtol=1e-12)
    assert found.inertia == pair.inertia


@pytest.mark.parametrize("dtype", ["i4", "f4", "?"])
def test_kmeans_of_any_numbers_sums_in_double(dtype):
    ones = np.ones((3, 200_001), dtype).T
    found = kmeans(labkit.serial(1), [ones], np.array([[0.0] * 3]), max_steps=1)
    assert found.centres.tolist() == [[1.0] * 3]
    assert found.inertia == pytest.approx(3 * 200_001, rel=1e-6)

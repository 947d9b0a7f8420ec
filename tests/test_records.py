"""Records: saved and loaded again, exported, compared with a baseline."""

import dataclasses
import json
import math
import os
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import labkit
from labkit.errors import ConfigurationError, DataError
from labkit.faults import Crash, FaultPlan
from labkit.records import (
    Event,
    Events,
    Measurement,
    Run,
    Sweep,
    WorldInfo,
    chrome_trace,
    environment,
    load,
    messages,
    save,
    save_chrome_trace,
    saved_in,
)


def ring(me):
    me.step(3)
    me.work(flops=1e6)
    me.sendrecv((me.rank + 1) % me.size, np.full(4, me.rank), (me.rank - 1) % me.size)
    return me.allreduce(np.arange(5.0))


@pytest.fixture(scope="module")
def run():
    with labkit.simulated(workers=4, network="1GbE", seed=5) as world:
        return world.run(ring)


def same(a, b):
    """Whether two values are equal in type and content, arrays and nan included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    return a == b or (a != a and b != b)


# ---- files


def test_a_run_comes_back_as_it_was(run, tmp_path):
    save(run, tmp_path / "run.npz")
    back = load(tmp_path / "run.npz")
    assert same(back.results, run.results)
    assert back.events == run.events
    assert len(back.events) > 10
    for field in dataclasses.fields(Run):
        if field.name not in ("results", "events"):
            assert getattr(back, field.name) == getattr(run, field.name), field.name
    assert back.world.network.name == "1GbE"
    assert back.world.seed == 5


def test_a_run_with_losses_comes_back(tmp_path):
    def program(me):
        start = me.restore(done=0)["done"]
        for step in range(start, 4):
            me.step(step)
            me.work(flops=1e7)
            me.allreduce(1.0)
            me.commit(done=step + 1)

    with labkit.simulated(workers=3) as world:
        run = world.run(program, elastic=True, faults=FaultPlan(Crash(1, at_step=2)))
    save(run, tmp_path / "run.npz")
    back = load(tmp_path / "run.npz")
    assert back.losses == run.losses
    assert back.generations == run.generations
    assert len(run.losses) == 1
    assert back.work_lost_s == run.work_lost_s


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2**70, 2**70) | st.floats() | st.text(max_size=8)
    | st.complex_numbers() | st.binary(max_size=8)
    | npst.arrays(st.sampled_from(["f4", "i8", "?", "c16", "U3"]), npst.array_shapes(min_side=0)),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=3) | st.integers() | st.just("$"), inner, max_size=3),
    max_leaves=8)


@given(results=st.lists(values, max_size=4))
@settings(max_examples=150, deadline=None)
def test_all_plain_results_come_back(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "run.npz"
    save(Run(results, 1.5, 0, 0), path)
    assert same(load(path).results, results)


def test_numbers_keep_their_types(tmp_path):
    results = [np.float32(1.5), np.int8(3), np.bool_(True), 2.5, True, 3, "text", math.inf]
    save(Run(results, 1.5, 0, 0), tmp_path / "run.npz")
    assert same(load(tmp_path / "run.npz").results, results)


def test_the_file_opens_without_labkit(run, tmp_path):
    save(run, tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as file:
        tree = json.loads(bytes(file["record"]))
        events = tree["record"]["events"]
        start_s = file[events["columns"]["start_s"]["name"]]
        kinds = [events["kinds"][k] for k in file[events["columns"]["kind"]["name"]]]
    assert tree["format"] == "labkit 1"
    assert tree["environment"]["versions"]["numpy"] == np.__version__
    assert tree["record"]["world"]["network"]["latency_s"] == run.world.network.latency_s
    np.testing.assert_array_equal(start_s, [event.start_s for event in run.events])
    assert kinds == [event.kind for event in run.events]


def test_a_file_says_where_it_was_saved(run, tmp_path):
    save(run, tmp_path / "run.npz")
    there, here = saved_in(tmp_path / "run.npz"), environment()
    assert dataclasses.replace(there, time=here.time) == here
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(DataError):
        saved_in(tmp_path / "other.npz")


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"Run\.results\[1\]\['model'\]") as caught:
        save(Run([1, {"model": object()}], 1.5, 0, 0), tmp_path / "run.npz")
    assert caught.value.got == "object"
    assert list(tmp_path.iterdir()) == []


def change(text, path):
    tree = json.loads(bytes(np.load(path)["record"]))
    np.savez(path, record=np.frombuffer(json.dumps(text(tree)).encode(), np.uint8))


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(path.read_bytes()[:-30]),
    lambda path: path.write_bytes(b"no archive"),
    lambda path: np.savez(path, other=np.arange(3)),
    lambda path: np.savez(path, record=np.arange(3.0)),
    partial(change, lambda tree: tree | {"format": "labkit 99"}),
    partial(change, lambda tree: tree | {"record": {"$": "WorldInfo", "kind": "serial",
                                                    "workers": 1}}),
    partial(change, lambda tree: tree | {"record": {"$": "Popen", "args": "ls"}}),
    partial(change, lambda tree: {"format": "labkit 1", "record": {"$": "Run", "seconds": 1.0}})])
def test_a_file_that_is_no_record_is_refused(run, spoil, tmp_path):
    path = tmp_path / "run.npz"
    save(run, path)
    spoil(path)
    with pytest.raises(DataError):
        load(path)


# ---- Chrome's trace


def test_a_trace_has_all_events_and_arrows(run, tmp_path):
    save_chrome_trace(run, tmp_path / "run.json")
    trace = json.loads((tmp_path / "run.json").read_text())
    assert trace == chrome_trace(run)
    rows = trace["traceEvents"]
    lasting = [row for row in rows if row["ph"] == "X"]
    assert {(row["tid"], row["ts"], row["dur"]) for row in lasting} == {
        (e.rank, e.start_s * 1e6, (e.end_s - e.start_s) * 1e6) for e in run.events
        if e.kind != "step"}
    assert [row["tid"] for row in rows if row["ph"] == "i"] == [0, 1, 2, 3]
    for phase, pick in (("s", 0), ("f", 1)):
        assert [row["tid"] for row in rows if row["ph"] == phase] == [
            pair[pick].rank for pair in messages(run.events)]
    assert all(row["pid"] == 0 and "name" in row for row in rows)
    assert "simulated" in rows[0]["args"]["name"]


def test_messages_are_paired_by_channel_and_order():
    def event(kind, rank, start, peer, label=""):
        return Event(kind, rank, start, start + 0.5, peer, 8, -1, label)

    events = Events([event("send", 0, 0, 1), event("send", 0, 1, 1, "allreduce"),
                     event("send", 0, 2, 1), event("recv", 1, 3, 0, "allreduce"),
                     event("recv", 1, 4, 0), event("recv", 2, 4, 0)])
    assert [(sent.start_s, got.start_s) for sent, got in messages(events)] == [(1, 3), (0, 4)]


# ---- sweeps


def measured(seconds, **options):
    return Measurement("sum", options, tuple(seconds), verified=True,
                       world=WorldInfo("cluster", options.get("workers", 1)))


@pytest.fixture
def sweep():
    rows = [measured([base / workers * k for k in (0.9, 1.0, 1.2)], workers=workers, size=size)
            for size, base in ((10, 2.0), (20, 8.0)) for workers in (1, 2, 4)]
    baselines = tuple(measured([seconds] * 3, size=size)
                      for size, seconds in ((10, 1.5), (20, 1.9)))
    return Sweep("sum", tuple(rows), baselines, environment(), seed=3)


def test_a_sweep_comes_back_as_it_was(sweep, tmp_path):
    save(sweep, tmp_path / "sweep.npz")
    back = load(tmp_path / "sweep.npz")
    assert back == sweep
    assert back.table() == sweep.table()


def test_speedup_is_over_the_baseline_of_the_same_size(sweep):
    assert [sweep.speedup(one).median for one in sweep] == pytest.approx(
        [0.75, 1.5, 3.0, 1.9 / 8, 1.9 / 4, 1.9 / 2])
    median, low, high = sweep.speedup(sweep[1])
    assert low == pytest.approx(1.5 / 1.2)
    assert high == pytest.approx(1.5 / 0.9)


def test_cost_is_the_least_number_of_workers_that_beats_one_thread(sweep):
    assert sweep.cost(size=10) == 2
    assert sweep.cost(size=20) is None


def test_a_sweep_is_looked_at_by_setting(sweep):
    assert sweep.values("workers") == [1, 2, 4]
    assert [one.settings["size"] for one in sweep.select(workers=2)] == [10, 20]
    with pytest.raises(ConfigurationError, match="workers, size"):
        sweep.select(colour="red")
    text = repr(sweep)
    assert "sum, cluster, verified" in text
    assert "baseline sum: 1.5 s, size=10" in text
    assert len(text.splitlines()) == 1 + 1 + 6 + 2


def test_without_a_baseline_there_is_no_speedup(sweep):
    alone = dataclasses.replace(sweep, baselines=())
    assert "speedup" not in alone.table()[0]
    with pytest.raises(ConfigurationError, match="baseline="):
        alone.speedup(alone[0])


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_an_interval_holds_its_median_and_no_more_than_was_measured(seconds):
    median, low, high = measured(seconds).estimate
    assert median == np.median(seconds)
    assert min(seconds) <= low <= median <= high <= max(seconds)


def test_intervals_cover_the_true_median_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        _, low, high = measured(np.exp(rng.normal(size=15))).estimate
        hits += low <= 1.0 <= high
    assert 0.88 <= hits / 200 <= 1.0


def test_the_environment_says_where_this_is():
    here = environment()
    assert here.cores == len(os.sched_getaffinity(0))
    assert here.versions["dask"]
    assert here.memory_nbytes > 2**28

"""Laws against published measurements, each within the error that it owes them."""

import csv
import importlib

import numpy as np
import pytest

from labkit import topology
from labkit.datasets import published
from labkit.errors import ConfigurationError, DataError
from labkit.laws import (
    after_kill_s,
    daly,
    fan_out,
    fit_bus_bandwidth,
    fit_gustafson,
    fit_inverse,
    fit_latency,
    fit_tied,
    fit_usl,
    gustafson,
    inverse,
    latency_s,
    rounds_to_reach,
    tied_s,
    usl,
    usl_peak,
)

SPEC = {"sigma": 0.02773, "kappa": 1.044e-4, "rate_1": 90.0}   # the published fit of all rows
MODULE = importlib.import_module("labkit.datasets.published")
TABLES = sorted(path.stem for path in MODULE.FOLDER.glob("*.csv"))


def columns(rows, *names):
    return [np.array([row[name] for row in rows]) for name in names]


def item(name):
    """A number of the MapReduce paper."""
    return next(row["value"] for row in published("mapreduce_2004") if row["item"] == name)


# ---- the tables themselves


@pytest.mark.parametrize("name", TABLES)
def test_tables_have_a_value_in_every_column_and_are_described(name):
    rows = published(name)
    with open(MODULE.FOLDER / f"{name}.csv", newline="") as file:
        head, *lines = csv.reader(file)
    assert [list(row) for row in rows] == [head] * len(lines)
    assert all(len(line) == len(head) for line in lines)
    readme = (MODULE.FOLDER.parent / "README.md").read_text()
    (described,) = [line for line in readme.splitlines() if f"| `published/{name}.csv`" in line]
    assert described.split("|")[2].strip() == str(len(rows))


def test_numbers_are_numbers_and_nothing_is_none():
    assert published("usl_specsdm91")[0] == {"load": 1.0, "throughput": 64.9}
    assert [row["value"] for row in published("mapreduce_2004")][3] == 1e10
    first = published("tail_at_scale")[0]
    assert (first["p_or_setting"], first["source"]) == (0.01, "CACM 2013")
    assert published("tail_at_scale")[1]["n"] is None


def test_an_unknown_table_lists_the_known_ones():
    for name in ("nothing", "../README", None):
        with pytest.raises(ConfigurationError, match="cost_2015, daly_samples"):
            published(name)


def test_a_package_without_its_checkout_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(MODULE, "FOLDER", tmp_path / "published")
    with pytest.raises(DataError, match="pip install -e"):
        published("usl_specsdm91")


# ---- speedup


def test_constants_of_the_whole_spec_set_are_found_again_from_their_curve():
    load = [1, 18, 36, 72, 108, 144, 216]
    got = fit_usl(load, usl(load, **SPEC))
    assert got.values == pytest.approx(SPEC, rel=1e-4)
    assert usl_peak(SPEC["sigma"], SPEC["kappa"]) == pytest.approx(96.5, abs=0.1)


def test_constants_of_the_whole_spec_set_are_near_the_rows_above_one_user():
    """The fit weighs errors in jobs an hour, so the lowest row decides least: 90 for 64.9."""
    load, throughput = columns(published("usl_specsdm91")[1:], "load", "throughput")
    assert usl(load, **SPEC) == pytest.approx(throughput, rel=0.09)


@pytest.mark.parametrize(("table", "n", "error"), [
    ("usl_specsdm91", "load", 0.07), ("usl_raytracer", "processors", 0.08)])
def test_the_universal_scalability_law_passes_near_all_rows(table, n, error):
    got = fit_usl(*columns(published(table), n, "throughput"))
    assert got.max_error < error
    assert got.mean_error < error / 2


def test_the_whole_sets_contention_is_inside_the_interval_of_the_rows_before_the_peak():
    got = fit_usl(*columns(published("usl_specsdm91"), "load", "throughput"))
    for name, value in SPEC.items():
        assert got.low[name] <= value <= got.high[name], name


@pytest.mark.parametrize("row", published("gustafson_1988"), ids=lambda row: row["app"])
def test_gustafsons_speedups_follow_from_his_serial_shares(row):
    for serial in (0.004, 0.008):
        assert gustafson(row["N"], serial) == pytest.approx(row["speedup_published"], rel=0.01)


def test_gustafsons_speedups_give_back_a_serial_share_just_below_his():
    got = fit_gustafson(*columns(published("gustafson_1988"), "N", "speedup_published"))
    assert 0.002 < got.values["serial"] < 0.008


def test_spark_and_hadoop_have_a_fixed_and_a_divisible_part():
    """Only 25 and 100 nodes are in the table: the line through both, and what it means."""
    rows = [row for row in published("spark_nsdi12") if row["exp"] in ("LR later", "KM later")]
    for name in {(row["exp"], row["system"]) for row in rows}:
        mine = [row for row in rows if (row["exp"], row["system"]) == name]
        got = fit_inverse(*columns(mine, "x", "seconds"))
        b = (mine[0]["seconds"] - mine[1]["seconds"]) / (1 / 25 - 1 / 100)
        assert got.values == pytest.approx({"a": mine[1]["seconds"] - b / 100, "b": b})
        # In memory nothing is fixed: four times the nodes are more than four times as fast.
        assert (got.values["a"] < 0) == (name[1] == "Spark")


@pytest.mark.parametrize(("table", "n", "seconds", "chosen"), [
    ("torchgpipe_resnet101", [1, 2, 4], lambda row: 1 / row["samples_s"],
     lambda row: row["partitions"].startswith("pipeline")),
    ("megascale_table2_175B", [256, 512, 768, 1024], lambda row: row["iter_s"],
     lambda row: row["method"] == "MegaScale"),
    ("megascale_table2_175B", [256, 512, 768, 1024], lambda row: row["iter_s"],
     lambda row: row["method"] == "Megatron-LM")])
def test_the_end_points_predict_those_between(table, n, seconds, chosen):
    """What is owed is 10 %."""
    times = np.array([seconds(row) for row in published(table) if chosen(row)])
    got = fit_inverse([n[0], n[-1]], [times[0], times[-1]])
    assert got(n[1:-1]) == pytest.approx(times[1:-1], rel=0.02)
    assert inverse(n, **got.values) == pytest.approx(times, rel=0.02)


# ---- messages


@pytest.mark.parametrize(("table", "n", "GBps"), [
    ("allreduce_h200_8gpu", 8, 452), ("allreduce_4nodes_32gpu", 32, 92.6)])
def test_a_start_and_a_bandwidth_explain_a_sweep_of_allreduces(table, n, GBps):
    KiB, busbw_GBps = columns(published(table), "KiB", "busbw_GBps")
    got = fit_bus_bandwidth(n, KiB * 1024, busbw_GBps * 1e9)
    assert got.mean_error < 0.10
    assert got.max_error < 0.27
    assert 1e-9 / got.values["beta_s_per_B"] == pytest.approx(GBps, rel=0.01)


# ---- tails


def test_fan_out_is_the_published_one():
    row = published("tail_at_scale")[0]
    assert fan_out(row["p_or_setting"], row["n"]) == pytest.approx(row["published"], rel=0.01)


def test_three_constants_from_four_numbers_predict_tied_requests():
    """A floor and a delay from two quantiles, a correlation from two of the tied ones."""
    percent, alone_ms, tied_ms = columns(published("tied_requests"), "pct", "nohedge_ms",
                                         "tied_ms")
    q, ends = percent / 100, [0, 3]
    alone = fit_latency(q[ends], alone_ms[ends])
    tied = fit_tied(q[ends], tied_ms[ends], **alone.values)
    assert latency_s(q, **alone.values) == pytest.approx(alone_ms, rel=0.04)
    assert tied_s(q, **alone.values, **tied.values) == pytest.approx(tied_ms, rel=0.07)
    assert 0.1 < tied.values["correlation"] < 0.3


# ---- checkpoints and restarts


@pytest.mark.parametrize("row", published("daly_samples"), ids=lambda row: row["source"])
def test_dalys_interval_is_the_one_that_he_printed(row):
    interval_min = daly(row["delta_min"] * 60, row["M_min"] * 60) / 60
    assert interval_min == pytest.approx(row["tau_opt_min_published"], rel=0.01)


@pytest.mark.parametrize("at_s", [180, 240, 300])
def test_killing_workers_makes_the_sort_as_much_longer_as_published(at_s):
    """Section 5.5: 200 workers killed "several minutes" into the sort, 5 % more time."""
    normal_s = item("sort_normal_total")
    got = after_kill_s(normal_s, 200 / item("sort_workers"), at_s)
    assert got / normal_s == pytest.approx(1.05, rel=0.03)


def test_the_law_of_mixing_is_that_of_topology():
    assert rounds_to_reach is topology.rounds_to_reach

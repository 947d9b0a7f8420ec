"""What figures of sweeps show: speedup, seconds by a setting, latencies, messages, predictions."""

import warnings
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")


from figures import legend, no_figure_is_left_open  # noqa: E402, F401

from labkit import laws, plots  # noqa: E402
from labkit.errors import ConfigurationError  # noqa: E402
from labkit.guess import Guess  # noqa: E402
from labkit.network import Network  # noqa: E402
from labkit.plots.guesses import factor  # noqa: E402
from labkit.plots.latency import quantiles  # noqa: E402
from labkit.plots.message_time import half_size  # noqa: E402
from labkit.plots.predictions import ratios  # noqa: E402
from labkit.records import Environment, Measurement, Sweep, WorldInfo  # noqa: E402

MACHINE = Environment("a processor", 2, 2**34, "Linux", "3.11")


def one(settings, *seconds, kind="cluster", name="sum"):
    return Measurement(name, settings, seconds, world=WorldInfo(kind, settings.get("workers", 1)))


def by_workers(seconds, base=1.0, kind="cluster"):
    """A sweep of {workers: seconds}."""
    return Sweep("sum", tuple(one({"workers": n}, s, kind=kind) for n, s in seconds.items()),
                 (one({}, base, name="one loop"),) if base else (), MACHINE)


MEASURED = {1: 1.25, 2: 0.8, 4: 0.5}


def line(ax, label):
    """Return the points of a curve, also of one with intervals."""
    for container in ax.containers:
        if container.get_label() == label:
            return container.lines[0].get_xydata().tolist()
    (found,) = [one for one in ax.lines if one.get_label() == label]
    return found.get_xydata().tolist()


def intervals(ax, label):
    """Return the ends of the intervals of a curve, as a list of (low, high)."""
    (container,) = [one for one in ax.containers if one.get_label() == label]
    return [tuple(map(float, segment[:, 1])) for segment in container.lines[2][0].get_segments()]


# ---- speedup


def test_speedup_is_over_the_baseline_and_efficiency_per_worker():
    left, right = plots.speedup(by_workers(MEASURED))
    assert line(left, "measured") == [[1, 0.8], [2, 1.25], [4, 2.0]]
    assert line(right, "measured") == [[1, 0.8], [2, 0.625], [4, 0.5]]
    assert line(left, "ideal")[0] == [1, 1]
    assert line(left, "ideal")[-1] == [4, 4]
    assert {y for _, y in line(right, "ideal")} == {1}
    assert {y for _, y in line(left, "1 = baseline: one loop")} == {1}


def test_speedup_has_the_intervals_of_the_sweep():
    seconds = (1.0, 1.1, 1.2, 1.5)
    found = Sweep("sum", (one({"workers": 2}, *seconds),), (one({}, 2.0, 2.1, name="one loop"),))
    left, right = plots.speedup(found)
    estimate = found.speedup(found[0])
    assert intervals(left, "measured") == [pytest.approx((estimate.low, estimate.high))]
    assert intervals(right, "measured") == [pytest.approx((estimate.low / 2, estimate.high / 2))]
    assert estimate.low < estimate.median < estimate.high


def test_points_are_in_order_of_workers():
    left, _ = plots.speedup(by_workers({4: 0.5, 1: 1.25, 2: 0.8}))
    assert [n for n, _ in line(left, "measured")] == [1, 2, 4]


def test_cost_is_the_first_number_of_workers_that_beats_the_baseline():
    left, right = plots.speedup(by_workers(MEASURED))
    assert line(left, "COST: 2 workers") == [[2, 1.25]]
    assert "COST: 2 workers" in legend(right)
    left, right = plots.speedup(by_workers({1: 2.0, 2: 1.5}))
    assert "COST: more than 2 workers" in legend(right)
    assert line(left, "COST: more than 2 workers") == []
    assert "COST: 1 worker" in legend(plots.speedup(by_workers({1: 0.5}))[1])


def test_points_are_joined_unless_a_law_is():
    for fits, style in (((), "-"), (("amdahl",), "None")):
        for ax in plots.speedup(by_workers(MEASURED), fits=fits):
            assert ax.containers[0].lines[0].get_linestyle() == style


def test_the_cores_of_the_machine_are_a_line():
    for options, cores in (({}, "2 cores"), ({"cores": 1}, "1 core"), ({"cores": 8}, "8 cores")):
        for ax in plots.speedup(by_workers(MEASURED), **options):
            assert {x for x, _ in line(ax, cores)} == {int(cores.split()[0])}
            assert ax.get_xlim()[1] >= int(cores.split()[0])


def test_simulated_workers_have_no_cores():
    _, right = plots.speedup(by_workers(MEASURED, kind="simulated"))
    assert not any("core" in name for name in legend(right))
    assert "simulated" in legend(right)
    assert "measured" not in legend(right)


def test_a_prediction_is_called_simulated_and_looks_different():
    left, right = plots.speedup(by_workers(MEASURED),
                                simulated=by_workers({2: 0.5, 8: 0.125}, kind="simulated"))
    assert line(left, "simulated") == [[2, 2.0], [8, 8.0]]
    assert line(right, "simulated") == [[2, 1.0], [8, 1.0]]
    looks = [(c.lines[0].get_marker(), c.lines[0].get_linestyle(), c.lines[0].get_color(),
              c.lines[0].get_markerfacecolor()) for c in left.containers]
    assert all(a != b for a, b in zip(*looks))


def test_a_prediction_without_a_baseline_takes_the_measured_one():
    left, _ = plots.speedup(by_workers(MEASURED, base=3.0),
                            simulated=by_workers({2: 0.5}, base=None, kind="simulated"))
    assert line(left, "simulated") == [[2, 6.0]]


@pytest.mark.parametrize("name", ["amdahl", "usl", "gustafson"])
def test_a_law_passes_through_points_that_it_made(name):
    n = np.array([1, 2, 3, 4, 6, 8, 12])
    exact = {"amdahl": laws.amdahl(n, 0.1), "usl": laws.usl(n, 0.05, 0.002),
             "gustafson": laws.gustafson(n, 0.2)}[name]
    found = by_workers(dict(zip(n.tolist(), 1.25 / exact)))      # one worker: 0.8 of the baseline
    label = {"amdahl": "Amdahl's law", "gustafson": "Gustafson's law",
             "usl": "The Universal Scalability\nLaw"}[name]
    for power, ax in enumerate(plots.speedup(found, fits=(name,))):
        points = np.array(line(ax, label))
        drawn = np.interp(n, *points.T)
        np.testing.assert_allclose(drawn, 0.8 * exact / n**power, rtol=0.01)


def test_a_fit_is_solid_where_it_was_measured_and_dashed_beyond():
    fit = laws.fit_amdahl([1, 2, 4], [1.0, 1.8, 3.1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")                # dashes say it, so no warning is due
        left, _ = plots.speedup(by_workers(MEASURED), fits=(fit,), cores=16)
    solid = np.array(line(left, "Amdahl's law"))
    (beyond,) = [one for one in left.lines if one.get_label() == "_beyond"]
    assert (solid[0, 0], solid[-1, 0]) == (1, 4)
    assert (beyond.get_xdata()[0], beyond.get_xdata()[-1]) == (4, 16)
    assert beyond.get_linestyle() != "-"
    np.testing.assert_allclose(solid[:, 1], laws.amdahl(solid[:, 0], fit.values["serial"]))


def test_a_fit_is_dashed_below_what_was_measured_too():
    fit = laws.fit_amdahl([2, 3, 4], [1.8, 2.5, 3.1])
    left, _ = plots.speedup(by_workers(MEASURED), fits=(fit,))
    (below,) = [one for one in left.lines if one.get_label() == "_beyond"]
    assert (below.get_xdata()[0], below.get_xdata()[-1]) == (1, 2)
    assert below.get_linestyle() != "-"


def test_the_band_of_a_fit_is_drawn_and_does_not_stretch_the_axes():
    fit = laws.fit_usl([1, 2, 4, 8], [1.0, 1.8, 2.9, 4.0])
    left, _ = plots.speedup(by_workers(MEASURED), fits=(fit,), cores=8)
    vertices = left.collections[-1].get_paths()[0].vertices if left.collections else []
    bands = [one for one in left.collections if one.get_alpha()]
    assert bands
    low, high = fit.band(2.0)
    x, y = bands[0].get_paths()[0].vertices.T
    at_two = y[np.abs(x - 2.0) < 0.02]
    assert at_two.min() == pytest.approx(low, rel=0.03)
    assert at_two.max() == pytest.approx(high, rel=0.03)
    assert len(vertices)
    wild = replace(fit, covariance=1e6 * np.eye(3))
    assert plots.speedup(by_workers(MEASURED), fits=(wild,), cores=8)[0].get_ylim()[1] < 20


def test_laws_differ_without_colour():
    left, _ = plots.speedup(by_workers({n: 1 / n + 0.1 for n in (1, 2, 3, 4, 6)}), cores=16,
                            fits=("amdahl", "usl", "gustafson"))
    laws_drawn = [one for one in left.lines if "aw" in one.get_label()]
    assert len({one.get_marker() for one in laws_drawn}) == 3
    dashed = [str(one._unscaled_dash_pattern) for one in left.lines
              if one.get_label() == "_beyond"]
    assert len(set(dashed)) == 3


def test_speedup_without_a_baseline_says_what_to_do():
    with pytest.raises(ConfigurationError, match="pass baseline="):
        plots.speedup(by_workers(MEASURED, base=None))


def test_speedup_refuses_what_it_cannot_draw():
    twice = Sweep("sum", (one({"workers": 1, "size": 1}, 1.0), one({"workers": 1, "size": 2}, 2.0)),
                  (one({}, 1.0),))
    with pytest.raises(ConfigurationError, match=r"sweep.select\(size=...\)"):
        plots.speedup(twice)
    assert plots.speedup(twice.select(size=2))
    with pytest.raises(ConfigurationError, match='over "workers"'):
        plots.speedup(Sweep("sum", (one({"size": 1}, 1.0),), (one({}, 1.0),)))
    with pytest.raises(ConfigurationError, match="'amdahl', 'gustafson', 'usl'"):
        plots.speedup(by_workers(MEASURED), fits=("moore",))
    with pytest.raises(ConfigurationError, match="me.work"):
        plots.speedup(by_workers({1: 0.0}))


def test_speedup_in_words_has_numbers_of_simulated_runs_only():
    real, virtual = (
        plots.describe(plots.speedup(by_workers(MEASURED, kind=kind), fits=("amdahl",)))
        for kind in ("cluster", "simulated"))
    for words in (real, virtual):
        assert "1, 2 and 4 workers" in words
        assert "one loop" in words
    assert "COST" not in real
    assert "core" not in real
    assert "2 times as fast with 4 workers; COST: 2." in virtual


# ---- sweep


def grid(x, hue, seconds, kind="cluster"):
    return Sweep("sort", tuple(one({"size": a, "policy": b}, s, kind=kind)
                               for (a, b), s in zip([(a, b) for a in x for b in hue], seconds)))


def test_a_sweep_has_a_line_for_each_hue():
    ax = plots.sweep(grid([20, 10], ["static", "queue"], [4.0, 3.0, 2.0, 1.0]), "size", "policy")
    assert line(ax, "policy: static") == [[10, 2.0], [20, 4.0]]
    assert line(ax, "policy: queue") == [[10, 1.0], [20, 3.0]]
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel(), ax.get_ylabel()) == (
        "linear", "linear", "size", "time")
    assert ax.get_ylim()[0] == 0


def test_names_are_categories_and_lie_beside_each_other():
    ax = plots.sweep(grid([10, 20], ["static", "queue"], [4.0, 3.0, 2.0, 1.0]), "policy", "size")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["static", "queue"]
    (a, _), (b, _) = line(ax, "size: 10")
    (c, _), (d, _) = line(ax, "size: 20")
    assert a < 0 < c < 0.5 < b < 1 < d
    assert all(container.lines[0].get_linestyle() == "None" for container in ax.containers)


@pytest.mark.parametrize(("sizes", "seconds", "scales"), [
    ([1, 2], [1.0, 2.0], ("linear", "linear")), ([1, 1000], [1.0, 2.0], ("log", "linear")),
    ([1, 2], [1.0, 2000.0], ("linear", "log")), ([0, 1000], [0.0, 2000.0], ("linear", "linear"))])
def test_axes_are_logarithmic_over_decades(sizes, seconds, scales):
    ax = plots.sweep(grid(sizes, ["one"], seconds), "size")
    assert (ax.get_xscale(), ax.get_yscale()) == scales


def test_a_sweep_has_intervals_and_its_baseline():
    found = Sweep("sort", (one({"size": 1}, 1.0, 2.0, 4.0),), (one({}, 3.0, name="sorted()"),))
    ax = plots.sweep(found, "size")
    assert intervals(ax, "sort") == [found[0].estimate[1:]]
    assert {y for _, y in line(ax, "baseline: sorted()")} == {3.0}


def test_a_simulated_sweep_says_so():
    ax = plots.sweep(grid([1, 2], ["one"], [1.0, 2.0], "simulated"), "size")
    assert ax.get_ylabel() == "virtual time"
    assert legend(ax) == ["sort (simulated)"]
    assert "shortest is 1 s, with size 1, policy one" in plots.describe(ax)


def test_a_sweep_with_more_than_one_value_a_place_is_refused():
    with pytest.raises(ConfigurationError, match=r"select\(policy=...\)"):
        plots.sweep(grid([1], ["static", "queue"], [1.0, 2.0]), "size")
    with pytest.raises(ConfigurationError, match="not varied"):
        plots.sweep(grid([1], ["static"], [1.0]), "colour")


def test_more_than_six_lines_have_hollow_markers():
    ax = plots.sweep(grid([1, 2], [f"p{i}" for i in range(9)], range(1, 19)), "size", "policy")
    looks = {(c.lines[0].get_marker(), c.lines[0].get_markerfacecolor()) for c in ax.containers}
    assert len(looks) == 9


# ---- latency


def test_the_curve_counts_how_many_are_at_least_so_slow():
    seconds = np.array([5.0, 1.0, 3.0, 3.0, 2.0])
    ax = plots.latency({"a": seconds})
    points = np.array(line(ax, "a\np50 3 s"))
    for x, share in points[:-1]:
        assert share == pytest.approx(np.mean(seconds >= x)) or x == 3.0
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the tail is at the top"


@pytest.mark.parametrize(("n", "names"), [(1, []), (2, [0.5]), (19, [0.5]), (20, [0.5, 0.95]),
                                          (99, [0.5, 0.95]), (100, [0.5, 0.95, 0.99])])
def test_only_percentiles_that_so_many_samples_tell_are_marked(n, names):
    seconds = np.random.default_rng(n).lognormal(size=n)
    found = quantiles(seconds)
    assert list(found) == names
    for share, value in found.items():
        assert np.mean(seconds <= value) >= share - 1e-9
        assert np.mean(seconds < value) < share


def test_percentiles_are_marked_on_the_curve_and_named():
    seconds = np.arange(1.0, 101.0) / 1000
    ax = plots.latency({"a": seconds, "b": 2 * seconds})
    marks = [(m.get_marker(), m.get_xdata()[0], 1 - m.get_ydata()[0]) for m in ax.lines
             if len(m.get_xdata()) == 1]
    assert marks[:3] == [("o", 0.05, 0.5), ("s", 0.095, pytest.approx(0.95)),
                         ("^", 0.099, pytest.approx(0.99))]
    assert legend(ax) == ["a\np50 50 ms\np95 95 ms\np99 99 ms",
                          "b\np50 100 ms\np95 190 ms\np99 198 ms"]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert {"p50", "p95", "p99"} <= set(names)


def test_latencies_of_a_sweep_know_their_clock():
    ax = plots.latency(by_workers({1: 1.0, 2: 0.5}, kind="simulated"))
    assert ax.get_xlabel() == "latency, virtual time"
    assert [name.split("\n")[0] for name in legend(ax)] == ["workers=1", "workers=2"]
    assert plots.latency({"a": [1.0]}, simulated=True).get_xlabel() == "latency, virtual time"
    assert plots.latency({"a": [1.0]}).get_xlabel() == "latency, time"


@pytest.mark.parametrize("samples", [[0.0, 1.0], [-1.0], [np.nan], [np.inf]])
def test_what_is_no_latency_is_refused(samples):
    with pytest.raises(ConfigurationError, match="more than 0"):
        plots.latency({"a": samples})


# ---- message_time


SIZES = [8, 80, 800, 8000, 80000]


def test_alpha_and_the_half_size_are_lines():
    ax = plots.message_time([(n, 1e-5 + 1e-9 * n) for n in SIZES], "alpha-beta")
    assert [n for n, _ in line(ax, "measured")] == SIZES
    assert line(ax, "alpha = 10 µs")[0][1] == pytest.approx(1e-5)
    assert line(ax, "n$_{1/2}$ = 10 kB")[0][0] == pytest.approx(1e4)
    x, y = np.array(line(ax, "The alpha-beta model")).T
    np.testing.assert_allclose(y, 1e-5 + 1e-9 * x, rtol=1e-6)
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylabel()) == ("log", "log", "time")


def test_a_given_fit_is_not_fitted_again():
    fit = laws.fit_alpha_beta(SIZES, [2e-5 + 2e-9 * n for n in SIZES])
    ax = plots.message_time([(n, 1e-5 + 1e-9 * n) for n in SIZES], fit)
    assert "alpha = 20 µs" in legend(ax)
    assert half_size(fit) == pytest.approx(1e4)


def test_a_line_without_start_has_no_half_size():
    fit = replace(laws.fit_alpha_beta(SIZES, [1e-9 * n for n in SIZES]),
                  values={"alpha_s": 0.0, "beta_s_per_B": 1e-9})
    assert half_size(fit) is None
    assert legend(plots.message_time([(n, 1e-9 * n) for n in SIZES], fit)) == [
        "The alpha-beta model", "measured"]


def test_messages_of_a_sweep_have_intervals_and_their_clock():
    found = Sweep("ping", tuple(one({"nbytes": n}, 1e-5, 2e-5, 4e-5, kind="simulated")
                                for n in SIZES))
    ax = plots.message_time(found)
    assert intervals(ax, "simulated")[0] == found[0].estimate[1:]
    assert ax.get_ylabel() == "virtual time"
    with pytest.raises(ConfigurationError, match="not varied"):
        plots.message_time(found, size="bytes")


def test_a_message_of_no_bytes_has_a_place():
    ax = plots.message_time([(0, 1e-5), (1000, 2e-5)])
    assert ax.get_xscale() == "symlog"
    assert line(ax, "measured")[0][0] == 0
    assert ax.get_xlim()[0] < 0


@pytest.mark.parametrize("points", [[], [(-1, 1.0)], [(1, 0.0)]])
def test_what_is_no_time_of_a_message_is_refused(points):
    with pytest.raises(ConfigurationError, match="pairs of bytes"):
        plots.message_time(points)


# ---- predictions


def test_ratios_are_of_equal_settings_in_the_measured_order():
    rows = ratios(by_workers({1: 1.0, 2: 0.5, 4: 0.4}),
                  by_workers({8: 1.0, 4: 0.2, 1: 1.2}, kind="simulated"))
    assert [(name, ratio) for name, ratio, *_ in rows] == [
        ("workers=1", pytest.approx(1.2)), ("workers=4", pytest.approx(0.5))]


def test_a_prediction_in_the_band_is_filled_and_one_outside_hollow():
    ax = plots.predicted(by_workers({1: 1.0, 2: 0.5, 4: 0.4}),
                         by_workers({1: 1.2, 2: 0.63, 4: 0.31}, kind="simulated"))
    assert line(ax, "in the band") == [[pytest.approx(1.2), 0], [pytest.approx(0.775), 2]]
    assert line(ax, "outside") == [[1.26, 1]]
    outside = next(c for c in ax.containers if c.get_label() == "outside")
    assert outside.lines[0].get_markerfacecolor() == "white"
    band = ax.patches[0]
    assert (band.get_x(), band.get_x() + band.get_width()) == (0.75, 1.25)
    assert [text.get_text() for text in ax.texts] == ["1.2", "1.26", "0.775"]
    assert ax.get_xlabel() == "virtual time, simulated / time, measured"


def test_a_prediction_that_is_far_off_has_a_logarithmic_axis():
    measured, far = by_workers({1: 1.0}), by_workers({1: 500.0}, kind="simulated")
    assert plots.predicted(measured, far).get_xscale() == "log"
    assert plots.predicted(measured, by_workers({1: 2.0}, kind="simulated")
                           ).get_xscale() == "linear"


def test_sweeps_without_a_common_setting_have_nothing_to_compare():
    with pytest.raises(ConfigurationError, match="same settings"):
        plots.predicted(by_workers({1: 1.0}), by_workers({2: 1.0}, kind="simulated"))


def test_a_guess_a_model_and_a_measurement_are_on_one_axis():
    ax = plots.prediction_first(2.0, 1.2, 1.0, "s", "How long does it take?")
    assert [line(ax, name) for name in ("your prediction", "model", "measured")] == [
        [[2.0, 0]], [[1.2, 1]], [[1.0, 2]]]
    assert [text.get_text() for text in ax.texts] == [
        "2 s  (2 times too high)", "1.2 s  (1.2 times too high)", "1 s"]
    assert ax.get_title(loc="left") == "How long does it take?"
    assert ax.get_xscale() == "linear"
    assert "How long does it take?" in plots.describe(ax)
    assert not any(digit in plots.describe(ax) for digit in "0123456789")


def test_numbers_of_different_magnitude_have_a_logarithmic_axis():
    assert plots.prediction_first(11.0, 1.0, 1.0, "", "?").get_xscale() == "log"
    assert plots.prediction_first(-11.0, 1.0, 1.0, "", "?").get_xscale() == "linear"


def test_a_simulated_number_is_not_called_measured():
    ax = plots.prediction_first(2.0, 1.2, 1.0, "s", "How long?", simulated=True)
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "your prediction", "model", "simulated"]
    assert "simulated" in plots.describe(ax) and "measured" not in plots.describe(ax)
    assert ax.texts[1].get_text() == "1.2 s  (1.2 times too high)"


def test_what_is_not_known_yet_has_an_empty_row():
    ax = plots.prediction_first(2.0, None, None, "s", "How long?")
    assert [text.get_text() for text in ax.texts] == ["2 s", "not known yet", "not known yet"]
    with pytest.raises(ConfigurationError, match="no number"):
        plots.prediction_first(None, None, None, "s", "How long?")


@pytest.mark.parametrize(("value", "words"), [
    (1.0, "the same"), (3.0, "3 times too high"), (0.25, "4 times too low"),
    (-1.0, "of another sign"), (0.0, "none of it"), (12345.0, "12,300 times too high")])
def test_the_factor_to_the_measured_number_in_words(value, words):
    assert factor(value, 1.0) == words


def test_a_network_with_two_protocols_has_a_jump_in_its_line():
    network = Network("two", 1e-5, 1e9, long_nbytes=10_000, long_setup_s=1e-4, long_Bps=1e10)
    sizes = np.geomspace(10, 1e6, 9)
    ax = plots.message_time([(n, network.message_s(n)) for n in sizes], network=network)
    (line,) = [line for line in ax.lines if line.get_label() == "two network"]
    x, y = line.get_data()
    np.testing.assert_allclose(y, [network.message_s(n) for n in x])
    assert y[x < 10_000].max() < y[x >= 10_000].min()
    assert "line of the network" in plots.describe(ax)


@pytest.mark.parametrize(("stored", "row"), [(True, "stored prediction"),
                                             (False, "your prediction")])
def test_a_guess_brings_its_question_and_says_whose_it_is(stored, row):
    guess = Guess("How long does it take?", "s", 2.0, stored)
    ax = plots.prediction_first(guess, model=1.2, measured=1.0)
    assert ax.get_title(loc="left") == "How long does it take?"
    assert [label.get_text() for label in ax.get_yticklabels()] == [row, "model", "measured"]
    assert any("2 s  (2 times too high)" in text.get_text() for text in ax.texts)
    assert row in plots.describe(ax)
    nobody = plots.prediction_first(Guess("How long?", "s"), model=1.2, measured=1.0)
    assert "not known yet" in [text.get_text() for text in nobody.texts]

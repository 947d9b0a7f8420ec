"""Every figure can be read: no text lies on another or leaves the figure, on many inputs."""

import itertools

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.text import Text  # noqa: E402

import labkit  # noqa: E402
from labkit import plots  # noqa: E402
from labkit.errors import ConfigurationError  # noqa: E402
from labkit.faults import Crash, FaultPlan, Pause, Slow  # noqa: E402
from labkit.plots.timeline import COLOURS, TASKS  # noqa: E402
from labkit.plots.utilisation import KINDS  # noqa: E402
from labkit.records import (  # noqa: E402
    Environment,
    Event,
    Events,
    Measurement,
    Run,
    Sweep,
    WorldInfo,
)

LONG = "a policy of assignment with a name that is really much too long for any legend of a figure"
SIZES = (1, 2, 16, 64, 1000)
MACHINE = Environment("a processor", 2, 2**34, "Linux", "3.11")


# ---- what is drawn


def program(me):
    for step in range(3):
        me.step(step)
        me.work(flops=1e7 * (me.rank % 5 + 1))
        if me.size > 1:
            me.allreduce(np.ones(1000))


def peers(n):
    return labkit.simulated(workers=n).run(program)


def tasks(n, *faults):
    return labkit.simulated(workers=n).map(abs, range(3 * n), faults=FaultPlan(*faults),
                                           work=lambda item: dict(flops=1e8 + 1e7 * (item % 7)))


def training(me):
    state = me.restore(step=0)
    for step in range(state["step"], 30):
        me.step(step)
        me.work(flops=1e7)
        me.allreduce(np.ones(10))
        if step % 10 == 9:
            me.commit(step=step + 1)


def trained(*faults, n=4):
    return labkit.simulated(workers=n).run(training, faults=FaultPlan(*faults), elastic=True)


def holding(n, seconds=10.0, nbytes=1e9):
    """A run whose workers hold more and more, and then less."""
    rows = [("memory", rank, seconds * i / 12, seconds * i / 12, -1,
             int(nbytes * (1 + rank % 7) * (i if i < 9 else 12 - i) / 60), -1, "")
            for rank in range(n) for i in range(12)]
    return Run([], seconds, 0, 0, Events(rows), world=WorldInfo("cluster", n))


def measured(settings, seconds, kind="cluster", name="sum of squares", noise=0.05):
    """A sweep of five repeats of each setting, with a baseline of 1 s."""
    world = WorldInfo(kind, 1)
    rng = np.random.default_rng(5)

    def one(name, settings, seconds):
        spread = 1 + noise * rng.standard_normal(5) * (kind != "simulated")
        return Measurement(name, settings, tuple(seconds * spread), world=world)

    return Sweep(name, tuple(one(name, *row) for row in zip(settings, seconds)),
                 (one("one loop of NumPy", {}, seconds[0] / 1.3),), MACHINE)


def by_workers(counts, kind="cluster", scale=1.0, serial=0.1, **options):
    seconds = [scale * (serial + (1 - serial) / n + 0.004 * n) for n in counts]
    return measured([{"workers": n} for n in counts], seconds, kind, **options)


def by_two(x, hue, xs, hues, scale=1.0, **options):
    settings = [{x: one, hue: other} for one in xs for other in hues]
    return measured(settings, [scale * (1 + i % 5) for i in range(len(settings))], **options)


def waits(n, seconds=1e-3, tail=1.0):
    return seconds * np.random.default_rng(n).lognormal(0, tail, n)


def times(sizes, alpha_s=2e-5, beta=1e-9):
    return [(size, alpha_s + beta * size) for size in sizes]


FIGURES = {
    **{f"timeline of {n}": lambda n=n: plots.timeline(peers(n)) for n in SIZES},
    **{f"timeline of tasks of {n}": lambda n=n: plots.timeline(tasks(n)) for n in SIZES[:4]},
    "timeline of lost tasks": lambda: plots.timeline(tasks(4, Crash(2, at_s=0.05))),
    "timeline with faults": lambda: plots.timeline(trained(
        Crash(2, at_step=15), Pause(1, 30.0, at_step=25), Slow(0, 2.0, 0.01, at_step=3))),
    "timeline, a part": lambda: plots.timeline(trained(Crash(2, at_step=15)), end_s=0.02),
    **{f"utilisation of {n}": lambda n=n: plots.utilisation(peers(n)) for n in SIZES},
    "utilisation of tasks": lambda: plots.utilisation(tasks(5, Crash(2, at_s=0.05))),
    "utilisation, real": lambda: plots.utilisation(labkit.serial(workers=3).run(program)),
    **{f"traffic of {n}": lambda n=n: plots.traffic(peers(n)) for n in SIZES},
    **{f"messages of {n}": lambda n=n: plots.traffic(peers(n), "messages") for n in (3, 8, 16)},
    **{f"memory of {n}": lambda n=n: plots.memory(holding(n), 5e8) for n in SIZES},
    "memory, tiny": lambda: plots.memory(holding(2, 1e-7, 100)),
    "memory, huge": lambda: plots.memory(holding(2, 1e6, 1e17), 10**17),
    "recovery": lambda: plots.recovery(trained(Crash(2, at_step=15)), trained()),
    "compare": lambda: plots.compare({"one": peers(2), LONG: peers(16)}, "seconds"),
    "compare, log": lambda: plots.compare({"one": peers(2), LONG: peers(16)}, "nbytes", log=True),
    "scaling": lambda: plots.scaling({name: [peers(n) for n in (2, 4, 8, 100)]
                                      for name in ("all-reduce", LONG)}),
    "scaling of one": lambda: plots.scaling({"all-reduce": [peers(4)]}),
    "convergence": lambda: plots.convergence({"one": 0.9 ** np.arange(40), LONG: [1, 0.5, 0.1]}),
    "convergence, both": lambda: plots.convergence(
        {"with a crash": 1 + 0.8 ** np.arange(30), "without": 1 + 0.8 ** np.arange(30)}, best=1.0,
        both=True, seconds={"with a crash": np.linspace(0.002, 0.14, 30),
                            "without": np.linspace(0.002, 0.07, 30)},
        runs={"with a crash": trained(Crash(2, at_step=15)), "without": trained()}),
    "convergence, slow": lambda: plots.convergence(
        {"one": [3.0, 2.9]}, best=1.0, seconds={"one": [1e5, 1.2e5]}),
    "speedup": lambda: plots.speedup(by_workers([1, 2, 3, 4])),
    "speedup with all": lambda: plots.speedup(
        by_workers([1, 2, 3, 4, 6, 8]), fits=("amdahl", "usl"),
        simulated=by_workers([1, 2, 4, 8, 16], "simulated")),
    "speedup to 1000": lambda: plots.speedup(
        by_workers([1, 2, 4, 8, 16, 32, 64, 100, 128, 256, 500, 512, 1000], "simulated"),
        fits=("usl", "gustafson")),
    "speedup of one": lambda: plots.speedup(by_workers([1]), cores=64),
    "speedup, never": lambda: plots.speedup(by_workers([1, 2], name=LONG, serial=0.99)),
    "sweep of policies": lambda: plots.sweep(
        by_two("policy", "size", ["static", "stealing", "queue"], [10, 1000]), "policy", "size"),
    "sweep of long names": lambda: plots.sweep(
        by_two("policy", "size", [LONG, "b " + LONG, "queue"], [10, LONG]), "policy", "size"),
    "sweep of many policies": lambda: plots.sweep(
        measured([{"policy": f"policy {i}"} for i in range(16)], range(1, 17)), "policy"),
    "sweep of sizes": lambda: plots.sweep(measured(
        [{"size": 10**i} for i in range(2, 9)], [1e-7 * 9**i for i in range(7)]), "size"),
    "sweep of workers": lambda: plots.sweep(by_two(
        "workers", "network", [1, 2, 3, 4], ["1GbE", "InfiniBand NDR"], kind="simulated",
        scale=1e-6), "workers", "network"),
    "sweep of one": lambda: plots.sweep(by_workers([2], scale=1e5), "workers"),
    **{f"latency of {n}": lambda n=n: plots.latency({"plain": waits(n), "hedged": waits(n, 5e-4)})
       for n in (1, 10, 100, 1000, 100000)},
    "latency of four": lambda: plots.latency({name: waits(1000, 1e-3, 0.2 + i / 5) for i, name in
                                              enumerate(("a", "b", "c", LONG))}, simulated=True),
    "latency of a sweep": lambda: plots.latency(by_workers([1, 2, 4])),
    "latency, narrow": lambda: plots.latency({"narrow": waits(200, 1e-9, 1e-3)}),
    "message time": lambda: plots.message_time(times(2 ** np.arange(3, 27)), "alpha-beta"),
    "message time from 0": lambda: plots.message_time(times([0, 1, 100, 10000]), "alpha-beta"),
    "message time, huge": lambda: plots.message_time(times([10**9, 10**12, 10**15])),
    "message time of a sweep": lambda: plots.message_time(measured(
        [{"nbytes": 8**i} for i in range(8)], [1e-5 + 8**i * 1e-9 for i in range(8)]),
        "alpha-beta"),
    "message time of one": lambda: plots.message_time(times([1000])),
    "predicted": lambda: plots.predicted(by_workers([1, 2, 3, 4]),
                                         by_workers([1, 2, 4, 8], "simulated", 1.15, 0.02)),
    "predicted, far": lambda: plots.predicted(by_workers([1, 2]),
                                              by_workers([1, 2], "simulated", 1e4)),
    "predicted, many": lambda: plots.predicted(by_workers(range(1, 100)),
                                               by_workers(range(1, 100), "simulated", 1.2)),
    "predicted, long": lambda: plots.predicted(
        by_two("policy", "size", [LONG, "queue"], [1, 2, 10**9]),
        by_two("policy", "size", [LONG, "queue"], [1, 2, 10**9], kind="simulated")),
    "prediction": lambda: plots.prediction_first(2.0, 1.6, 1.45, "", "How many times faster are "
                                                 "two workers than one?"),
    "prediction, far": lambda: plots.prediction_first(
        1e-6, 0.0123, 150.0, "s", f"How long does it take, with {LONG}?"),
    "prediction, unknown": lambda: plots.prediction_first(3e9, None, None, "B", "How many bytes?"),
    "prediction, nothing": lambda: plots.prediction_first(0, 0, 0, "B", "How many bytes?"),
}


# ---- how it is read


def texts_of(figure):
    """Return the texts of a drawn figure that can be seen, with their extents in pixels."""
    figure.canvas.draw()
    ticks = {}
    for ax in figure.axes:
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = sorted(axis.get_transform().transform(np.array(limits)))
            slack = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                with np.errstate(all="ignore"):
                    at = axis.get_transform().transform(np.array([tick.get_loc()]))[0]
                for label in (tick.label1, tick.label2):
                    ticks[label] = low - slack <= at <= high + slack
    found = []
    for text in figure.findobj(Text):
        if text.get_text().strip() and text.get_visible() and ticks.get(text, True):
            box = text.get_window_extent()
            if box.width > 0:
                found.append((text, box))
    return found


def problems(figure):
    """Return what a reader would complain about."""
    found, width, height = texts_of(figure), *figure.canvas.get_width_height()
    said = [f"{text.get_text()!r} leaves the figure" for text, box in found
            if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]
    said += [f"{text.get_text()!r} is too small" for text, _ in found if text.get_fontsize() < 10]
    for (one, a), (other, b) in itertools.combinations(found, 2):
        over_x, over_y = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if over_x > 1 and over_y > 2:                # the boxes have a pixel or two of air
            said.append(f"{one.get_text()!r} lies on {other.get_text()!r}")
    for ax in figure.axes:
        box, legend = ax.get_window_extent(), ax.get_legend()
        beside = legend.get_window_extent() if legend is not None else box
        if legend is not None and beside.x0 < box.x1 - 1 and beside.y0 < box.y1 - 1:
            said.append("the legend lies on the data")
        if box.width < 0.3 * width / len(figure.axes) and ax.get_label() != "<colorbar>":
            said.append("the axes are too narrow")
    return said


def root(axes):
    return plots.words.whole(axes)


@pytest.fixture(autouse=True)
def nothing_global_is_touched():
    before = dict(matplotlib.rcParams), matplotlib.get_backend()
    yield
    plt.close("all")
    assert (dict(matplotlib.rcParams), matplotlib.get_backend()) == before


@pytest.mark.parametrize("name", FIGURES)
def test_every_text_can_be_read_and_the_figure_describes_itself(name):
    figure = root(FIGURES[name]())
    assert not problems(figure)
    words = plots.describe(figure)
    assert len(words) >= 40
    assert words.endswith((".", "?"))
    assert plt.get_fignums() == [figure.number]


def test_the_check_itself_finds_what_is_wrong():
    figure, ax = plt.subplots()
    ax.text(0.5, 0.5, "one text")
    ax.text(0.51, 0.5, "another")
    ax.text(0.98, 0.2, "beyond the edge of it all")
    ax.text(0.1, 0.2, "tiny", fontsize=6)
    ax.plot([0], label="a line")
    ax.legend()
    said = " ".join(problems(figure))
    for part in ("lies on", "leaves the figure", "too small", "legend lies on the data"):
        assert part in said


def luminance(colour):
    """Relative luminance, by WCAG 2: 0 is black, 1 white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_series_differ_without_colour():
    for one, other in itertools.combinations(plots.style.SERIES, 2):
        assert one[1] != other[1]
        assert one[2] != other[2]
    looks = [plots.style.series(number) for number in range(12)]
    assert len({(look["marker"], look.get("markerfacecolor")) for look in looks}) == 12


@pytest.mark.parametrize(("one", "other"), [
    pair for colours in ([colour for colour, _ in COLOURS.values()], TASKS,
                         [KINDS[kind][0] for kind in ("work", "send", "recv")])
    for pair in itertools.pairwise(colours)])
def test_bars_beside_each_other_differ_in_grey(one, other):
    assert contrast(one, other) > 1.4


def test_colours_of_traffic_rise_in_grey():
    greys = [luminance(colour) for colour in
             matplotlib.colormaps["cividis"](np.linspace(0, 1, 50))[:, :3]]
    assert (np.diff(greys) > 0).all()


def test_a_run_of_100_000_events_is_a_handful_of_artists():
    rows = [Event(kind, rank, i + begin, i + begin + 0.4, (rank + 1) % 10, 8, i, "")
            for rank in range(10) for i in range(5000)
            for kind, begin in (("work", 0.0), ("send", 0.4))]
    done = Run([], 5000.0, 50000, 400000, Events(map(tuple, rows)),
               world=WorldInfo("simulated", 10))
    ax = plots.timeline(done)
    assert len(ax.get_children()) < 40
    assert sum(len(one.get_paths()) for one in ax.collections) >= 100_000


NOTHING = Run([], 0.0, 0, 0)
UNRECORDED = Run([], 1.0, 5, 40, world=WorldInfo("cluster", 2))
NO_SWEEP = Sweep("nothing", ())


@pytest.mark.parametrize("draw", [
    lambda: plots.utilisation(NOTHING), lambda: plots.utilisation(UNRECORDED),
    lambda: plots.traffic(UNRECORDED), lambda: plots.traffic(peers(2), "seconds"),
    lambda: plots.memory(peers(2)), lambda: plots.recovery(UNRECORDED),
    lambda: plots.recovery(peers(2), UNRECORDED),
    lambda: plots.compare({}, "seconds"), lambda: plots.compare({"one": peers(2)}, "beauty"),
    lambda: plots.scaling({}), lambda: plots.scaling({"one": []}), lambda: plots.convergence({}),
    lambda: plots.convergence({"one": []}), lambda: plots.convergence({"one": [1.0]}, both=True),
    lambda: plots.latency({}), lambda: plots.latency({"one": []}),
    lambda: plots.latency({"one": [0.0]}), lambda: plots.latency(NO_SWEEP),
    lambda: plots.message_time([]), lambda: plots.speedup(NO_SWEEP),
    lambda: plots.speedup(by_workers([1, 2]), fits=("moore",)),
    lambda: plots.sweep(NO_SWEEP, "workers"), lambda: plots.predicted(NO_SWEEP, NO_SWEEP),
    lambda: plots.prediction_first(None, None, None, "s", "?")])
def test_an_error_says_what_to_do_and_leaves_no_empty_figure(draw):
    with pytest.raises(ConfigurationError) as caught:
        draw()
    assert caught.value.expected
    assert caught.value.got is not None
    assert not plt.get_fignums()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", [
    lambda: plots.timeline(NOTHING), lambda: plots.timeline(UNRECORDED),
    lambda: plots.traffic(Run([], 1.0, 0, 0, world=WorldInfo("cluster", 3))),
    lambda: plots.compare({"none": NOTHING}, "messages"),
    lambda: plots.compare({"none": NOTHING}, "seconds", log=True),
    lambda: plots.scaling({"none": [NOTHING]}),
    lambda: plots.convergence({"one": [1.0, 1.0]}),
    lambda: plots.convergence({"one": [1e-100, 1.0, 1e100]}),
    lambda: plots.sweep(measured([{"size": 1}, {"size": 2}], [1e-12, 1e12]), "size"),
    lambda: plots.latency({"one": [1e-12, 1e12]})])
def test_zeros_and_extremes_are_drawn_without_a_warning(draw):
    assert not problems(root(draw()))

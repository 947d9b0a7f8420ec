"""What a figure shows: its artists, data, labels and description, not its pixels."""

import io

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402
from figures import legend, no_figure_is_left_open, program, run, texts  # noqa: E402, F401
from PIL import Image  # noqa: E402

import labkit  # noqa: E402
from labkit import plots  # noqa: E402
from labkit.errors import ConfigurationError  # noqa: E402
from labkit.records import Events, Run, WorldInfo, join  # noqa: E402

# ---- compare, convergence, scaling


def test_bars_have_the_numbers_of_the_runs_and_say_them():
    runs = {"two": run(2), "eight": run(8)}
    ax = plots.compare(runs, "messages")
    assert [bar.get_width() for bar in ax.patches] == [2, 24]
    assert texts(ax) == ["2", "24"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["two", "eight"]
    assert texts(plots.compare(runs, "nbytes")) == ["160 B", "1.92 kB"]


def test_a_logarithmic_comparison_has_points_and_no_bars():
    runs = {"two": run(2), "eight": run(8)}
    ax = plots.compare(runs, "seconds", log=True)
    assert not ax.patches
    assert [line.get_xdata()[0] for line in ax.lines] == [r.seconds for r in runs.values()]
    assert ax.get_xlabel() == "virtual time"


def test_real_and_simulated_seconds_in_one_figure_are_told_apart():
    runs = {"real": labkit.serial(2).run(program), "simulated": run(2)}
    assert plots.compare(runs, "seconds").get_xlabel() == "time, virtual where simulated"


def test_an_unknown_measure_is_refused():
    with pytest.raises(ConfigurationError, match="'seconds', 'messages', 'nbytes'"):
        plots.compare({"one": run()}, "beauty")


def test_convergence_shows_the_distance_from_the_best():
    ax = plots.convergence({"a": [3.0, 2.0, 1.0], "b": [3.0, 1.5]}, best=0.5)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2.5, 1.5, 0.5])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [2.5, 1.0])
    assert legend(ax) == ["a", "b"]
    assert ax.get_yscale() == "log"
    assert len({line.get_marker() for line in ax.lines}) == 2


def test_convergence_by_second():
    ax = plots.convergence({"a": [3.0, 2.0]}, best=1.0, seconds={"a": [0.1, 0.2]})
    np.testing.assert_allclose(ax.lines[0].get_xdata(), [0.1, 0.2])
    assert ax.get_xlabel() == "time"


def test_both_panels_of_convergence_in_one_call():
    seconds = {"a": [1e-3, 2e-3, 4e-3], "b": [1e-3, 1e-2, 1e-1]}
    left, right = plots.convergence({"a": [3.0, 2.0, 1.5], "b": [3.0, 2.0, 1.5]}, best=1.0,
                                    both=True, seconds=seconds)
    for line, times in zip(right.lines, seconds.values()):
        np.testing.assert_allclose(line.get_xdata(), times)
    for line in (*left.lines, *right.lines):
        np.testing.assert_allclose(line.get_ydata(), [2.0, 1.0, 0.5])
    np.testing.assert_array_equal(left.lines[0].get_xdata(), [0, 1, 2])
    assert left.get_legend() is None
    assert legend(right) == ["a", "b"]
    assert (left.get_xlabel(), right.get_xlabel()) == ("evaluation of the objective", "time")
    ax = plots.convergence({"a": [2.0, 1.0]}, entry="step of all")
    assert ax.get_xlabel() == "step of all" and "by step, for a" in plots.describe(ax)


def test_convergence_marks_faults_on_the_curve_and_says_virtual():
    marks = [("injected", 1, 2.0, 2.0, -1, 0, -1, "Crash(worker=1)"),
             ("confirmed", 1, 4.0, 4.0, -1, 0, -1, "")]
    done = Run([], 8.0, 0, 0, Events(marks), world=WorldInfo("simulated", 2))
    ax = plots.convergence({"a": [9.0, 5.0, 2.0]}, best=1.0, seconds={"a": [1.0, 2.0, 4.0]},
                           runs={"a": done})
    places = {line.get_marker(): (line.get_xdata()[0], line.get_ydata()[0])
              for line in ax.lines[1:] if len(line.get_xdata())}
    assert places == {"X": (2.0, pytest.approx(4.0)), "s": (4.0, pytest.approx(1.0))}
    assert legend(ax) == ["a", "injected", "confirmed"]
    assert ax.get_xlabel() == "virtual time"
    assert "Crash(worker=1) of worker 1 at 2 s" in plots.describe(ax)


def test_convergence_without_times_cannot_have_both():
    with pytest.raises(ConfigurationError, match="seconds="):
        plots.convergence({"a": [1.0]}, both=True)
    with pytest.raises(ConfigurationError, match="2 times"):
        plots.convergence({"a": [2.0, 1.0]}, seconds={"a": [1.0]})


def test_a_figure_of_two_panels_refuses_one():
    figure, ax = plt.subplots()
    with pytest.raises(ConfigurationError, match="two panels"):
        plots.convergence({"a": [2.0, 1.0]}, seconds={"a": [1, 2]}, both=True, ax=ax)


def test_scaling_has_a_curve_a_model_on_logarithmic_axes():
    runs = [run(n) for n in (2, 4, 8)]
    ax = plots.scaling({"all-reduce": runs})
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [2, 4, 8])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [r.seconds for r in runs])
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylabel()) == ("log", "log", "virtual time")


def test_a_plot_draws_into_the_axes_it_is_given():
    figure, axes = plt.subplots(1, 5)
    done = run()
    assert plots.timeline(done, ax=axes[0]) is axes[0]
    assert plots.compare({"one": done}, "seconds", ax=axes[1]) is axes[1]
    assert plots.convergence({"one": [2.0, 1.0]}, ax=axes[2]) is axes[2]
    assert plots.scaling({"one": [done]}, ax=axes[3]) is axes[3]
    assert plots.recovery(done, ax=axes[4]) is axes[4]
    assert plt.get_fignums() == [figure.number]


# ---- show


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: (data, metadata) of each output."""
    import IPython.display

    found = []
    monkeypatch.setattr(IPython.display, "display",
                        lambda data, raw, metadata=None: found.append((data, metadata)))
    return found


ALT = "Two bars, of which the second is > 2 times as tall as the first."


@pytest.mark.parametrize("what", ["figure", "axes"])
def test_a_shown_figure_carries_its_description_and_is_closed(shown, what):
    figure, ax = plt.subplots(figsize=(5, 2))
    labkit.show({"figure": figure, "axes": ax}[what], alt=ALT)
    (data, metadata), (hidden, _) = shown
    assert data["text/plain"] == ALT
    assert metadata["image/png"] == {"alt": ALT, "width": 500}
    assert "second is &gt; 2 times" in hidden["text/html"]
    image = Image.open(io.BytesIO(data["image/png"]))
    assert image.size == (1000, 400)
    assert not plt.get_fignums()


@pytest.mark.parametrize("alt", ["", "a figure"])
def test_a_figure_without_a_description_is_refused(shown, alt):
    figure, _ = plt.subplots()
    with pytest.raises(ConfigurationError, match="needs a description"):
        labkit.show(figure, alt=alt)
    assert not shown


def test_a_plot_describes_itself_unless_told_otherwise(shown):
    done = run(2)
    words = plots.describe(plots.compare({"one": done}, "seconds"))
    labkit.show(plots.compare({"one": done}, "seconds"))
    labkit.show(plots.compare({"one": done}, "seconds"), alt=ALT)
    assert [data["text/plain"] for data, metadata in shown if metadata] == [words, ALT]
    assert plots.style.rounded(done.seconds, "s") in words


def test_two_axes_and_several_plots_of_a_figure_are_shown_together(shown):
    figure, axes = plt.subplots(1, 2)
    done = run(2)
    for ax, measure in zip(axes, ("messages", "nbytes")):
        plots.compare({"one": done}, measure, ax=ax)
    words = plots.describe(figure)
    assert words == plots.describe(axes) == plots.describe(tuple(axes))
    assert words.index("Bars of messages") < words.index("Bars of bytes sent")
    labkit.show(axes)
    assert shown[0][0]["text/plain"] == words


def test_descriptions_of_real_runs_are_the_same_each_time():
    real = [{"one": labkit.serial(2).run(program), "two": labkit.serial(3).run(program)}
            for _ in range(2)]
    for draw in (lambda runs: plots.compare(runs, "seconds"),
                 lambda runs: plots.timeline(runs["one"]),
                 lambda runs: plots.utilisation(runs["one"]),
                 lambda runs: plots.traffic(runs["two"]),
                 lambda runs: plots.scaling({"all": list(runs.values())})):
        first, second = (plots.describe(draw(runs)) for runs in real)
        assert first == second
        assert "virtual" not in first


def test_names_are_listed_and_the_many_left_out():
    assert [plots.words.listed(names) for names in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == [
        "", "a", "a and b", "a, b and c"]
    assert plots.words.listed(range(1, 100)) == "1, 2, 3, ... and 99"


def test_ticks_of_short_logarithmic_axes_have_one_notation():
    figure, ax = plt.subplots()
    for low, high in ((1.0, 1.5), (1.0, 7.0), (1.0, 20.0), (1e-6, 1e3)):
        ax.plot([low, high], [low, high])
        ax.set_ylim(low, high)
        plots.scales.logarithmic(ax, "y", "s")
        figure.canvas.draw()
        names = [label.get_text() for label in ax.get_yticklabels() if label.get_text()]
        assert names
        assert all(name.endswith("s") for name in names)
        assert not any(label.get_text() for label in ax.get_yticklabels(minor=True))
        assert 2 <= sum(low <= tick <= high for tick in ax.get_yticks()) <= 7


# ---- runs in a row


def test_joined_runs_follow_one_another_and_become_steps():
    world = labkit.simulated(workers=2)
    jobs = [world.map(abs, [-1, -2, -3]) for _ in range(3)]
    joined = join(jobs, ["found"])
    assert joined.results == ["found"]
    assert joined.seconds == pytest.approx(3 * jobs[0].seconds)
    assert joined.messages == 9
    assert [event.step for event in joined.events] == [0] * 3 + [1] * 3 + [2] * 3
    times = joined.step_times()
    assert list(times) == [0, 1, 2]
    assert times[2] == pytest.approx(times[0] + 2 * jobs[0].seconds)
    assert not joined.verified

"""What a figure shows: its artists, data, labels and description, not its pixels."""

import io

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402
from PIL import Image  # noqa: E402

import labkit  # noqa: E402
from labkit import plots  # noqa: E402
from labkit.errors import ConfigurationError  # noqa: E402
from labkit.plots.timeline import messages  # noqa: E402
from labkit.records import Event, join  # noqa: E402


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    style = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == style, "a plot has touched the global style"


def program(me):
    me.step(0)
    me.work(flops=1e7 * (me.rank + 1))
    return me.allreduce(np.ones(10))


def run(workers=4, **options):
    return labkit.simulated(workers=workers).run(program, **options)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ---- timeline


def test_every_message_is_paired_with_its_receive():
    done = run(5)
    pairs = messages(done.events)
    assert len(pairs) == done.messages
    for sent, got in pairs:
        assert (sent.rank, sent.peer, sent.nbytes) == (got.peer, got.rank, got.nbytes)
        assert sent.start_s <= got.end_s


def test_messages_of_different_collectives_are_not_mixed_up():
    def event(kind, rank, start_s, peer, label):
        return Event(kind, rank, start_s, start_s + 1, peer, 8, -1, label)

    early, late = event("send", 0, 0, 1, "reduce"), event("send", 0, 1, 1, "")
    got_late, got_early = event("recv", 1, 2, 0, ""), event("recv", 1, 3, 0, "reduce")
    lost = event("send", 0, 4, 1, "")
    assert messages([early, late, got_late, got_early, lost]) == [
        (late, got_late), (early, got_early)]


def test_a_timeline_has_a_lane_a_peer_and_a_line_a_message():
    done = run(4)
    ax = plots.timeline(done)
    (lines,) = ax.collections
    assert len(lines.get_segments()) == done.messages
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"peer {r}" for r in range(4)]
    assert legend(ax) == ["at work", "waiting", "a message"]
    assert ax.get_xlim() == (0.0, done.seconds)
    assert "virtual time" in ax.get_xlabel()
    lanes = [bar for bar in ax.patches if bar.get_x() == 0.0 and bar.get_height() == 0.5]
    assert max(bar.get_width() for bar in lanes) == pytest.approx(done.seconds)


def test_a_real_timeline_does_not_say_virtual():
    assert "virtual" not in plots.timeline(labkit.serial(3).run(program)).get_xlabel()


def test_a_part_of_a_timeline():
    done = run(4)
    ax = plots.timeline(done, start_s=0.0, end_s=done.seconds / 2)
    assert ax.get_xlim() == (0.0, done.seconds / 2)


def test_a_timeline_of_tasks():
    done = labkit.simulated(workers=2).map(abs, range(6), work=lambda item: dict(flops=1e8))
    ax = plots.timeline(done)
    assert len(ax.patches) == 6
    assert {round(bar.get_y() + bar.get_height() / 2) for bar in ax.patches} == {0, 1}


def test_a_thousand_peers_have_no_names_and_too_many_messages_no_lines():
    ax = plots.timeline(run(1000))
    assert not ax.collections
    assert ax.get_ylabel() == "peer"


def test_a_plot_draws_into_the_axes_it_is_given():
    figure, axes = plt.subplots(1, 4)
    done = run()
    assert plots.timeline(done, ax=axes[0]) is axes[0]
    assert plots.compare({"one": done}, "seconds", ax=axes[1]) is axes[1]
    assert plots.convergence({"one": [2.0, 1.0]}, ax=axes[2]) is axes[2]
    assert plots.scaling({"one": [done]}, ax=axes[3]) is axes[3]
    assert plt.get_fignums() == [figure.number]


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


def test_scaling_has_a_curve_a_model_on_logarithmic_axes():
    runs = [run(n) for n in (2, 4, 8)]
    ax = plots.scaling({"all-reduce": runs})
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [2, 4, 8])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [r.seconds for r in runs])
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylabel()) == ("log", "log", "virtual time")


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

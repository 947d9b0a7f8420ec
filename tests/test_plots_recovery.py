"""How `plots.recovery` shows a fault: throughput, marks, description; and the numbers behind it."""

import math
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")


from figures import legend, no_figure_is_left_open, run, texts  # noqa: E402, F401

import labkit  # noqa: E402
from labkit import plots  # noqa: E402
from labkit.errors import ConfigurationError  # noqa: E402
from labkit.faults import Crash, FaultPlan, Pause, Slow  # noqa: E402
from labkit.plots.throughput import bin_edges, finished, rates  # noqa: E402
from labkit.records import LOST, Events, Generation, Run  # noqa: E402

STEPS = 60


def training(me):
    """Steps of 2 ms; committed after every tenth."""
    state = me.restore(step=0)
    for step in range(state["step"], STEPS):
        me.step(step)
        me.work(flops=1e7)
        me.allreduce(np.ones(10))
        if step % 10 == 9:
            me.commit(step=step + 1)
    return STEPS


def trained(*faults, workers=4, **options):
    world = labkit.simulated(workers=workers)
    return world.run(training, faults=FaultPlan(*faults), elastic=True, **options)


def mapped(*faults):
    return labkit.simulated(workers=4).map(abs, range(40), work=lambda item: dict(flops=1e8),
                                           faults=FaultPlan(*faults))


def by_hand():
    """Steps of 1 s by three workers; 2 is struck in step 3, and lost; step 2 and 3 come again."""
    marks = [("step", rank, at_s, at_s, -1, 0, step, "") for rank in (0, 1, 2)
             for step, at_s in enumerate((0.0, 1.0, 2.0, 3.0))]
    marks += [("step", 1, at_s, at_s, -1, 0, step, "") for step, at_s in
              ((2, 6.0), (3, 7.0), (4, 8.0))]
    marks += [(kind, rank, at_s, at_s, -1, 0, -1, label) for kind, rank, at_s, label in (
        ("injected", 2, 1.5, "Slow(factor=2, worker=2)"), ("injected", 2, 3.5, "Crash(worker=2)"),
        ("confirmed", 2, 3.75, ""), ("recovered", 0, 5.5, "2 peers go on"))]
    return Run([None] * 3, 9.0, 0, 0, Events(marks), lost=(2,), generations=(
        Generation((0, 1, 2), 0.0, 4.0, 0, 2, "PeerLost"),
        Generation((0, 1), 5.75, 9.0, 2, 5, "")))


def stairs(ax, label):
    (found,) = [patch for patch in ax.patches if patch.get_label() == label]
    return found.get_data()


def area(ax, label):
    data = stairs(ax, label)
    return np.sum((data.values - data.baseline) * np.diff(data.edges))


def marks_of(ax, marker):
    return [line.get_xdata()[0] for line in ax.lines if line.get_marker() == marker]


def test_numbers_of_a_run_with_a_loss():
    done = by_hand()
    (loss,) = done.losses
    assert loss == (2, 3.5, 3.75, 5.5), "the crash, not the slowness, is what it was lost by"
    assert done.detection_s == [0.25]
    assert done.recovery_s == [2.0]
    assert done.repeated_steps == 2
    assert done.work_lost_s == 3 * 2.0, "three workers, from the begin of step 2 to the end"
    assert done.lost_attempts == 0


def test_numbers_of_a_run_without_faults():
    done = run()
    assert (done.losses, done.detection_s, done.recovery_s) == ([], [], [])
    assert (done.repeated_steps, done.lost_attempts, done.work_lost_s) == (0, 0, 0)


def test_a_loss_that_nobody_injected_or_made_good_has_no_time():
    done = Run([], 9.0, 0, 0, Events([("confirmed", 1, 2.0, 2.0, -1, 0, -1, "")]))
    assert math.isnan(done.detection_s[0])
    assert math.isnan(done.recovery_s[0])


def test_each_task_is_made_good_for_its_own_worker():
    def mark(kind, rank, at_s):
        return kind, rank, at_s, at_s, -1, 0, -1, ""

    done = Run([], 9.0, 0, 0, Events([
        mark("injected", 1, 1.0), mark("injected", 2, 1.25), mark("confirmed", 1, 2.0),
        mark("confirmed", 2, 2.0), mark("recovered", 2, 3.0), mark("recovered", 1, 4.0),
        ("task", 1, 0.5, 1.0, -1, 0, -1, "f 0 lost"), ("task", 2, 1.0, 1.25, -1, 0, -1, "f 1 lost"),
        ("task", 0, 2.0, 3.0, -1, 0, -1, "f 1"), ("task", 0, 3.0, 4.0, -1, 0, -1, "f 0")]))
    assert [loss.worker for loss in done.losses] == [1, 2]
    assert done.recovery_s == [3.0, 1.75]
    assert (done.lost_attempts, done.work_lost_s) == (2, 0.75)


def test_numbers_of_a_simulated_training():
    done = trained(Crash(2, at_step=25))
    assert done.repeated_steps == 6, "20 to 25: the last commit was after 19"
    assert done.detection_s == pytest.approx([done.world.network.latency_s])
    (loss,) = done.losses
    assert loss.recovered_s == done.generations[1].start_s
    first = done.generations[0]
    assert done.work_lost_s == pytest.approx(
        4 * (first.end_s - done.steps_by_generation()[0][20]))
    assert done.work_lost_s > 4 * 5 * 2e-3


def test_a_hung_worker_is_detected_late():
    assert trained(Pause(1, 30.0, at_step=5)).detection_s == pytest.approx([1.5], rel=1e-3)


def test_two_losses_in_one_run_are_told_apart():
    done = trained(Crash(2, at_step=15), Crash(1, at_step=45))
    assert [loss.worker for loss in done.losses] == [2, 1]
    assert done.repeated_steps == 6 + 6
    assert all(0.05 <= seconds < 0.1 for seconds in done.recovery_s)


def test_what_was_not_recorded_is_not_known():
    done = trained(Crash(2, at_step=25), record=False)
    assert len(done.recovery_s) == 1
    assert math.isnan(done.work_lost_s)


def test_numbers_of_a_simulated_map():
    done = mapped(Crash(2, at_s=0.13))
    assert done.lost_attempts == 1
    (lost,) = [event for event in done.events if event.label.endswith(LOST)]
    assert done.work_lost_s == pytest.approx(0.13 - lost.start_s)
    again = next(event for event in done.events if event.label == lost.label.removesuffix(LOST))
    assert done.recovery_s == pytest.approx([again.end_s - 0.13])


def test_a_step_ends_when_the_next_begins_and_one_that_was_cut_short_does_not_count():
    assert finished(by_hand()) == [(0.0, 1.0, False), (1.0, 2.0, False), (2.0, 3.0, False),
                                   (6.0, 7.0, True), (7.0, 8.0, True), (8.0, 9.0, False)]


def test_of_a_task_only_the_attempt_that_counts_is_finished():
    def task(label, start_s, end_s):
        return "task", 0, start_s, end_s, -1, 0, -1, label

    done = Run([], 9.0, 0, 0, Events([task("f 0", 0, 3), task("f 0 again", 1, 2),
                                      task("f 1 lost", 0, 2), task("f 1", 2, 4)]))
    assert sorted(finished(done)) == [(1, 2, False), (2, 4, True)]


def test_rates_do_not_depend_on_where_the_bins_lie():
    np.testing.assert_allclose(rates([(0.0, 2.0, False), (2.0, 3.0, False)],
                                     np.array([0.0, 0.5, 2.0, 2.9, 3.0, 4.0])),
                               [0.5, 0.5, 1.0, 1.0, 0.0], atol=1e-12)


@pytest.mark.parametrize("bins", [7, 40])
def test_the_area_of_throughput_is_the_number_of_steps(bins):
    done = trained(Crash(2, at_step=25))
    ax = plots.recovery(done, trained(), bins=bins)
    assert area(ax, "steps done") == pytest.approx(STEPS - 1), "step 25 was cut short"
    assert area(ax, "begun again") == pytest.approx(done.repeated_steps)
    assert area(ax, "without faults") == pytest.approx(STEPS)


def test_a_baseline_ends_at_its_own_end_and_does_not_fall_before():
    base = trained()
    data = stairs(plots.recovery(trained(Crash(2, at_step=25)), base), "without faults")
    assert data.edges[-1] == base.seconds
    assert data.values[-1] == pytest.approx(data.values[-2], rel=0.02)


def test_throughput_is_nothing_until_the_run_has_recovered():
    done = trained(Crash(2, at_step=25))
    (loss,) = done.losses
    data = stairs(plots.recovery(done), "steps done")
    middle = (data.edges[1:] + data.edges[:-1]) / 2
    stopped = (middle > loss.confirmed_s) & (middle < loss.recovered_s)
    assert stopped.any()
    assert not data.values[stopped].any()
    assert data.values[(middle > data.edges[1]) & (middle < loss.injected_s - 0.01)].min() > 100


def test_edges_lie_at_what_happened_and_never_on_each_other():
    done = trained(Crash(2, at_step=25))
    edges = bin_edges(done, done.seconds, 40)
    assert (edges[0], edges[-1]) == (0.0, done.seconds)
    assert np.diff(edges).min() > 0
    assert np.abs(edges - done.losses[0].recovered_s).min() < 1e-9


def test_each_kind_of_mark_has_a_lane_a_marker_and_a_name():
    done = trained(Pause(2, 30.0, at_step=25), Slow(0, 2.0, 0.01, at_step=3))
    ax = plots.recovery(done)
    lanes = {}
    for kind, marker in (("injected", "X"), ("suspected", "D"), ("confirmed", "s"),
                         ("recovered", "^")):
        assert marks_of(ax, marker) == [m.start_s for m in done.marks if m.kind == kind]
        lines = [line for line in ax.lines if line.get_marker() == marker]
        lanes[kind] = {line.get_ydata()[0] for line in lines}
        assert len(lanes[kind]) == 1
        assert legend(ax).count(kind) == 1
    assert len(set.union(*lanes.values())) == 4
    assert texts(ax) == ["0, 2", "2", "2", "2"], "the one who was lost, also where the others go on"
    assert len({line.get_linestyle() for line in ax.lines}) == 4


def test_only_kinds_that_occur_are_in_the_legend():
    assert legend(plots.recovery(trained(), trained())) == ["steps done", "without faults"]
    assert "suspected" not in legend(plots.recovery(trained(Crash(1, at_step=3))))


def test_marks_at_one_moment_share_a_line_and_a_text():
    done = trained(Crash(1, at_step=25), Crash(2, at_step=25))
    ax = plots.recovery(done)
    feet = [line for line in ax.lines if line.get_ydata()[1] == 0.0]
    assert len([m for m in done.marks if m.kind != "recovered"]) == 4
    assert len([line for line in feet if line.get_marker() != "^"]) == 1
    assert texts(ax).count("1, 2") == 3


def test_many_workers_are_counted():
    crashes = [Crash(worker, at_step=25) for worker in range(1, 7)]
    assert "6 workers" in texts(plots.recovery(trained(*crashes, workers=8)))


def test_no_text_of_marks_leaves_the_axes():
    done = by_hand()
    late = replace(done, events=Events([*map(tuple, done.events),
                                        ("injected", 1, 8.99, 8.99, -1, 0, -1, "Crash(worker=1)")]))
    ax = plots.recovery(late)
    ax.figure.canvas.draw()
    box = ax.get_window_extent()
    for text in ax.texts:
        extent = text.get_window_extent()
        assert box.x0 <= extent.x0
        assert extent.x1 <= box.x1


def test_throughput_stays_below_the_marks():
    ax = plots.recovery(trained(Crash(2, at_step=25)), trained())
    lowest = min(line.get_ydata()[0] for line in ax.lines)
    tallest = max(np.max(patch.get_data().values) for patch in ax.patches
                  if hasattr(patch, "get_data"))
    assert tallest / ax.get_ylim()[1] < lowest - 0.03
    assert max(ax.get_yticks()) <= 1.05 * tallest


def test_the_window_is_shaded_from_the_fault_to_the_recovery():
    done = trained(Crash(2, at_step=25))
    ax = plots.recovery(done)
    (window,) = [patch for patch in ax.patches if patch.get_alpha()]
    assert window.get_x() == done.losses[0].injected_s
    assert window.get_width() == pytest.approx(done.recovery_s[0])


def test_recovery_of_a_map():
    ax = plots.recovery(mapped(Crash(2, at_s=0.13)), mapped())
    assert area(ax, "tasks done") == pytest.approx(39)
    assert area(ax, "begun again") == pytest.approx(1)
    assert (ax.get_ylabel(), ax.get_xlabel().split("  ")[0]) == (
        "tasks per virtual second", "virtual time")


def test_real_recovery_does_not_say_virtual():
    ax = plots.recovery(by_hand())
    assert ax.get_ylabel() == "steps per second"
    assert "virtual" not in ax.get_xlabel()
    assert max(stairs(ax, "begun again").values) == pytest.approx(1.0)


def test_nothing_to_draw():
    with pytest.raises(ConfigurationError, match="call me.step"):
        plots.recovery(run(record=False))


def test_recovery_in_words_has_the_numbers_of_a_simulated_run():
    done, base = trained(Crash(2, at_step=25)), trained()
    words = plots.describe_recovery(done, base)
    for part in ("65 steps, 6 of them begun again", "Crash(worker=2, at_step=25)", "20 µs",
                 plots.style.rounded(done.recovery_s[0], "s"), "virtual",
                 plots.style.rounded(base.seconds, "s")):
        assert part in words
    assert "Worker 2" in words


def test_recovery_in_words_has_no_times_of_a_real_run():
    words = plots.describe_recovery(by_hand(), by_hand())
    assert "Worker 2 is lost: confirmed, made good." in words
    assert "Crash(worker=2)" in words
    assert not any(number in words for number in ("0.25", "250 ms", "5.5", "3.5", "9"))


def test_of_many_losses_the_description_gives_the_number():
    marks = [(kind, rank, at_s, at_s, -1, 0, -1, label) for rank in range(11)
             for kind, at_s, label in (("injected", 1.0, f"Crash(worker={rank})"),
                                       ("confirmed", 1.5, ""))]
    tasks = [("task", 11, at_s, at_s + 1, -1, 0, -1, f"f {at_s}") for at_s in range(4)]
    text = plots.describe_recovery(Run([None] * 4, 4.0, 0, 0, Events(tasks + marks)))
    assert "11 workers are lost." in text
    assert text.count("Injected") == 1 and len(text) < 1_000


def test_losses_that_overlap_are_shaded_once():
    marks = [(kind, rank, at_s, at_s, -1, 0, -1, "") for rank, began_s, ended_s in (
        (0, 1.0, 3.0), (1, 2.0, 4.0), (2, 6.0, 7.0)) for kind, at_s in (
        ("injected", began_s), ("confirmed", began_s), ("recovered", ended_s))]
    tasks = [("task", 3, at_s, at_s + 1, -1, 0, -1, f"f {at_s}") for at_s in range(8)]
    ax = plots.recovery(Run([None] * 8, 8.0, 0, 0, Events(tasks + marks)))
    spans = [patch.get_extents().transformed(ax.transData.inverted()) for patch in ax.patches
             if patch.get_alpha() == 0.2]
    assert [(round(box.x0, 6), round(box.x1, 6)) for box in spans] == [(1.0, 4.0), (6.0, 7.0)]

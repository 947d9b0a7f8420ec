"""What figures of one run show, compared with its events: timeline, utilisation and others."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

from figures import legend, no_figure_is_left_open, run  # noqa: E402, F401
from matplotlib.colors import to_rgba  # noqa: E402
from matplotlib.patches import FancyArrowPatch  # noqa: E402

import labkit  # noqa: E402
from labkit import plots  # noqa: E402
from labkit.errors import ConfigurationError  # noqa: E402
from labkit.faults import Crash, FaultPlan  # noqa: E402
from labkit.plots import spans  # noqa: E402
from labkit.plots.utilisation import busy  # noqa: E402
from labkit.records import (  # noqa: E402
    Event,
    Events,
    Generation,
    Run,
    WorldInfo,
    messages,  # noqa: E402
)


def bars(ax, label=None, colour=None):
    """Return the bars of a colour or a name, as (start, end, row)."""
    found = []
    for one in ax.collections:
        same = (one.get_label() == label if label else
                len(one.get_facecolor()) and tuple(one.get_facecolor()[0]) == to_rgba(colour))
        if same:
            for path in one.get_paths():
                (x0, y0), (x1, y1) = path.vertices.min(0), path.vertices.max(0)
                found.append((float(x0), float(x1), round(float(y0 + y1) / 2)))
    return sorted(found)


def lines_of(ax, label):
    (found,) = [one for one in ax.collections if one.get_label() == label]
    return found.get_segments()


def mark(kind, rank, at_s, label=""):
    return kind, rank, at_s, at_s, -1, 0, -1, label


def real(events, seconds=10.0, workers=2, **options):
    return Run([], seconds, 0, 0, Events(events), world=WorldInfo("cluster", workers), **options)


SEND = ("send", 0, 2.0, 3.0, 1, 8, -1, "")
RECV = ("recv", 1, 1.0, 4.0, 0, 8, -1, "")
BY_HAND = [SEND, RECV, mark("step", 0, 6.0), mark("step", 1, 9.0)]


# ---- pairs


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


# ---- spans


def array(*rows):
    return np.array(rows, float).reshape(-1, 2)


@pytest.mark.parametrize(("own", "others", "left"), [
    ([(0, 4)], [(1, 2)], [(0, 1), (2, 4)]),
    ([(0, 2), (1, 4)], [], [(0, 4)]),
    ([(0, 1), (1, 2), (3, 4)], [], [(0, 2), (3, 4)]),
    ([(0, 4)], [(0, 4)], []),
    ([(0, 4), (6, 8)], [(3, 7)], [(0, 3), (7, 8)]),
    ([(1, 1)], [], []), ([], [(0, 1)], [])])
def test_spans_without_others(own, others, left):
    np.testing.assert_array_equal(spans.without(array(*own), array(*others)), array(*left))


def test_spans_without_others_agree_with_counting():
    rng = np.random.default_rng(3)
    for _ in range(30):
        own, others = (np.sort(rng.integers(0, 40, (n, 2)), axis=1).astype(float) for n in (6, 4))
        inside = {i for a, b in own.astype(int) for i in range(a, b)}
        outside = {i for a, b in others.astype(int) for i in range(a, b)}
        found = spans.without(own, others)
        assert {i for a, b in found.astype(int) for i in range(a, b)} == inside - outside
        assert (found[1:, 0] > found[:-1, 1]).all()


def test_work_of_a_real_run_is_what_lies_between_its_events():
    done = spans.activity(real(BY_HAND))
    assert [done[kind][0].tolist() for kind in ("work", "send", "recv")] == [
        [[0, 2], [3, 6]], [[2, 3]], []]
    assert [done[kind][1].tolist() for kind in ("work", "send", "recv")] == [
        [[0, 1], [4, 9]], [], [[1, 4]]]


def test_work_of_a_simulated_run_is_what_it_says():
    done = run(4)
    for worker, mine in spans.activity(done)["work"].items():
        said = [event for event in done.events if event.kind == "work" and event.rank == worker]
        assert spans.total(mine) == pytest.approx(sum(e.end_s - e.start_s for e in said))


def test_a_simulated_receive_that_gave_up_is_waiting():
    def patient(me):
        if me.rank == 0:
            me.recv_any(timeout_s=0.5)
        me.work(flops=5e9)

    done = labkit.simulated(workers=2).run(patient)
    assert spans.activity(done)["recv"][0].tolist() == [[0.0, 0.5]]


@pytest.mark.parametrize("kind", ["cluster", "simulated"])
def test_survivors_wait_for_the_lost_and_nobody_takes_part_between_generations(kind):
    rows = [mark("step", rank, at_s) for rank, at_s in ((0, 1.0), (1, 2.0), (0, 6.0))]
    done = Run([], 10.0, 0, 0, Events([*rows, mark("confirmed", 1, 2.5)]), lost=(1,),
               world=WorldInfo(kind, 2), generations=(
                   Generation((0, 1), 0.0, 3.0, 0, 0, "PeerLost"),
                   Generation((0,), 5.0, 10.0, 0, 0, "")))
    found = spans.activity(done)
    other = {"cluster": "work", "simulated": "recv"}[kind]
    spent = [found[other][0].tolist(), found[other][1].tolist()]
    if kind == "cluster":
        assert spent == [[[0, 1], [5, 6]], [[0, 2]]]
        assert (found["recv"][0].tolist(), found["recv"][1].tolist()) == ([[1, 3]], [])
    else:
        assert spent == [[[0, 3], [5, 6]], [[0, 2]]]


# ---- timeline


def test_a_timeline_has_a_lane_a_peer_and_a_line_a_message():
    done = run(4)
    ax = plots.timeline(done)
    assert len(lines_of(ax, "messages")) == done.messages
    for (begin, end), (sent, got) in zip(lines_of(ax, "messages"), messages(done.events)):
        assert (*begin, *end) == (sent.start_s, sent.rank, got.end_s, got.rank)
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"peer {r}" for r in range(4)]
    assert legend(ax) == ["at work", "waiting", "a message", "begin of a step"]
    assert ax.get_xlim() == (0.0, done.seconds)
    assert "virtual time" in ax.get_xlabel()
    work = [(e.start_s, e.end_s, e.rank) for e in done.events if e.kind == "work"]
    assert bars(ax, "at work") == sorted(work)
    assert max(end for _, end, _ in bars(ax, "waiting")) == pytest.approx(done.seconds)


def test_a_real_timeline_shows_sending_and_does_not_say_virtual():
    ax = plots.timeline(real(BY_HAND))
    assert legend(ax) == ["at work", "sending", "waiting", "a message", "begin of a step"]
    assert bars(ax, "at work") == [(0, 1, 1), (0, 2, 0), (3, 6, 0), (4, 9, 1)]
    assert (bars(ax, "sending"), bars(ax, "waiting")) == ([(2, 3, 0)], [(1, 4, 1)])
    assert "virtual" not in ax.get_xlabel()


def test_few_messages_have_heads_and_many_have_none():
    few, many = run(4), run(64)
    assert sum(isinstance(p, FancyArrowPatch) for p in plots.timeline(few).patches) == few.messages
    ax = plots.timeline(many)
    assert not ax.patches
    assert len(lines_of(ax, "messages")) == many.messages > 60


def test_a_part_of_a_timeline_pairs_messages_as_the_whole_does():
    sends = [("send", 0, at_s, at_s, 1, 8, -1, "") for at_s in (1.0, 5.0)]
    receives = [("recv", 1, at_s, at_s + 1, 0, 8, -1, "") for at_s in (2.0, 7.0)]
    ax = plots.timeline(real([*sends, *receives]), start_s=4.0, end_s=9.0)
    assert ax.get_xlim() == (4.0, 9.0)
    ((begin, end),) = lines_of(ax, "messages")
    assert (begin[0], end[0]) == (5.0, 8.0)


def test_steps_are_ticks_unless_they_would_touch():
    ax = plots.timeline(real(BY_HAND))
    assert sorted(at[0] for at, _ in lines_of(ax, "steps")) == [6.0, 9.0]
    crowded = real([mark("step", 0, at_s) for at_s in np.linspace(0, 10, 500)])
    assert "begin of a step" not in legend(plots.timeline(crowded))


def test_a_timeline_of_tasks():
    done = labkit.simulated(workers=2).map(abs, range(6), work=lambda item: dict(flops=1e8))
    ax = plots.timeline(done)
    drawn = bars(ax, colour=plots.style.BLUE) + bars(ax, colour=plots.style.SKY)
    assert sorted(drawn) == sorted((e.start_s, e.end_s, e.rank) for e in done.events)
    assert legend(ax) == ["a task", "the next task"]


def test_lost_tasks_are_hatched():
    done = labkit.simulated(workers=4).map(abs, range(12), work=lambda item: dict(flops=1e8),
                                           faults=FaultPlan(Crash(2, at_s=0.05)))
    ax = plots.timeline(done)
    (hatched,) = [one for one in ax.collections if one.get_hatch()]
    (lost,) = [event for event in done.events if event.label.endswith("lost")]
    x = hatched.get_paths()[0].vertices[:, 0]
    assert (x.min(), x.max()) == (lost.start_s, lost.end_s)
    assert "lost with its worker" in legend(ax)
    assert "lost with their workers are hatched" in plots.describe(ax)


def faulty():
    marks = [mark("injected", 1, 2.0, "Crash(worker=1)"), mark("suspected", 1, 2.5),
             mark("confirmed", 1, 3.0), mark("recovered", 0, 5.0, "1 peers go on")]
    steps = [mark("step", rank, at_s) for rank, at_s in ((0, 1.0), (1, 1.0), (0, 6.0), (0, 8.0))]
    return real(steps + marks, lost=(1,), generations=(
        Generation((0, 1), 0.0, 3.0, 0, 0, "PeerLost"), Generation((0,), 5.0, 10.0, 0, 0, "")))


def test_each_kind_of_fault_is_marked_on_the_lane_of_its_worker():
    ax = plots.timeline(faulty())
    marks = {line.get_label(): line for line in ax.lines}
    assert {kind: (line.get_xdata()[0], round(line.get_ydata()[0]))
            for kind, line in marks.items()} == {
        "injected": (2.0, 1), "suspected": (2.5, 1), "confirmed": (3.0, 1), "recovered": (5.0, 1)}
    assert len({line.get_marker() for line in marks.values()}) == 4
    assert legend(ax)[-4:] == ["injected", "suspected", "confirmed", "recovered"]
    assert "Injected: Crash(worker=1) of worker 1. Lost: worker 1." in plots.describe(ax)


def test_marks_of_one_moment_do_not_hide_each_other():
    done = real([mark("step", 1, 1.0), mark("injected", 1, 2.0), mark("confirmed", 1, 2.0)])
    heights = [line.get_ydata()[0] for line in plots.timeline(done).lines]
    assert abs(np.diff(heights)) > 0.3


def test_only_faults_and_generations_of_the_part_are_in_its_legend():
    assert legend(plots.timeline(faulty(), end_s=2.2))[-1] == "injected"
    whole, part = (legend(plots.timeline(faulty(), end_s=end_s)) for end_s in (10.0, 4.0))
    assert [any("second group" in name for name in names) for names in (whole, part)] == [
        True, False]


def test_every_second_generation_is_shaded():
    (shade,) = [patch for patch in plots.timeline(faulty()).patches if patch.get_alpha()]
    assert (shade.get_x(), shade.get_width()) == (5.0, 5.0)


def test_a_thousand_peers_have_no_names_and_too_many_messages_no_lines():
    ax = plots.timeline(run(1000))
    assert "messages" not in [one.get_label() for one in ax.collections]
    assert ax.get_ylabel() == "peer"
    assert "1,000 workers" in plots.describe(ax)


# ---- utilisation


def test_shares_are_the_seconds_of_the_events():
    left, _ = plots.utilisation(real(BY_HAND))
    assert bars(left, "at work") == [(0.0, pytest.approx(0.5), 0), (0.0, pytest.approx(0.6), 1)]
    assert bars(left, "sending")[0] == (pytest.approx(0.5), pytest.approx(0.6), 0)
    assert bars(left, "waiting")[1] == (pytest.approx(0.6), pytest.approx(0.9), 1)
    assert left.get_title(loc="left") == ("2 workers for 10 s of time:\n"
                                          "55% at work, 5% sending, 15% waiting, 25% idle")


def test_busy_workers_are_those_at_work_or_sending():
    _, right = plots.utilisation(real(BY_HAND))
    data = right.patches[0].get_data()
    at = [0.5, 1.5, 2.5, 3.5, 5.0, 7.0, 9.5]
    assert [data.values[np.searchsorted(data.edges, t) - 1] for t in at] == [2, 1, 1, 1, 2, 1, 0]


def test_averaged_busy_workers_have_the_same_area():
    rng = np.random.default_rng(0)
    rows = [("send", 0, at_s, at_s, 1, 8, -1, "") for at_s in rng.uniform(0, 100, 600)]
    rows += [("recv", 1, at_s, at_s + 0.05, 0, 8, -1, "") for at_s in rng.uniform(0, 100, 600)]
    done = real(rows, seconds=101.0)
    activity = spans.activity(done)
    worked = sum(spans.total(activity[kind][rank]) for kind in ("work", "send") for rank in (0, 1))
    edges, number = busy(done, activity, 50)
    assert len(number) == 50
    assert np.sum(number * np.diff(edges)) == pytest.approx(worked)


def test_workers_of_a_map_are_at_work_or_idle():
    done = labkit.simulated(workers=3).map(abs, range(7), work=lambda item: dict(flops=1e8))
    left, right = plots.utilisation(done)
    assert not bars(left, "waiting") or all(a == b for a, b, _ in bars(left, "waiting"))
    worked = sum(event.end_s - event.start_s for event in done.events) / done.seconds
    assert sum(b - a for a, b, _ in bars(left, "at work")) == pytest.approx(worked)
    assert legend(right) == ["at work", "idle"]


def test_the_makespan_of_a_simulated_run_is_in_words():
    done = run(4)
    words = plots.describe(plots.utilisation(done))
    idle_s = 4 * done.seconds - sum(e.end_s - e.start_s for e in done.events if e.kind == "work")
    assert f"makespan is {plots.style.rounded(done.seconds, 's')} of virtual time" in words
    assert plots.style.rounded(idle_s, "s") in words


def test_a_run_without_events_has_no_use_of_time():
    with pytest.raises(ConfigurationError, match="record=True"):
        plots.utilisation(run(record=False))


# ---- traffic


def cells(ax):
    return ax.images[0].get_array()


@pytest.mark.parametrize("measure", ["nbytes", "messages"])
def test_cells_are_what_was_sent(measure):
    done = run(6)
    expected = np.zeros((6, 6))
    for event in done.events:
        if event.kind == "send":
            expected[event.rank, event.peer] += event.nbytes if measure == "nbytes" else 1
    found = cells(plots.traffic(done, measure))
    np.testing.assert_array_equal(found.filled(0), expected)
    np.testing.assert_array_equal(found.mask, expected == 0)
    assert expected.sum() == getattr(done, measure)


def test_totals_are_at_the_margins_and_numbers_in_the_cells_of_few():
    ax = plots.traffic(run(2))
    assert [text.get_text() for text in ax.texts].count("80 B") == 6
    lengths = sorted(round(b - a, 6) for a, b, _ in bars(plots.traffic(real([
        ("send", 0, 0, 0, 1, 100, -1, ""), ("send", 1, 0, 0, 0, 25, -1, "")])),
        colour=plots.style.SKY))
    assert lengths[:2] == [0.25, 0.8], "rows: a quarter of the longest; columns: their width"
    assert not plots.traffic(run(9)).texts


def test_a_message_of_no_bytes_is_not_an_empty_cell():
    found = cells(plots.traffic(real([("send", 0, 0, 0, 1, 0, -1, "")])))
    np.testing.assert_array_equal(found.mask, [[True, False], [True, True]])


def test_numbers_that_are_nearly_equal_have_nearly_one_colour():
    ax = plots.traffic(real([("send", 0, 0, 0, 1, 1000, -1, ""),
                             ("send", 1, 0, 0, 0, 1001, -1, "")]))
    shades = ax.images[0].norm(cells(ax).compressed())
    assert np.ptp(shades) < 0.01
    np.testing.assert_allclose(shades, 0.5, atol=0.01)


def test_cells_of_many_peers_are_blocks_and_none_is_left_out():
    done = run(600)
    found = cells(plots.traffic(done, "messages"))
    assert found.shape == (200, 200)
    assert found.sum() == done.messages
    assert "a cell is 3 x 3 peers" in plots.traffic(done).get_xlabel()


def test_traffic_needs_recorded_messages():
    with pytest.raises(ConfigurationError, match="record=True"):
        plots.traffic(run(record=False))
    with pytest.raises(ConfigurationError, match="map"):
        plots.traffic(labkit.simulated(workers=2).map(abs, range(3)))
    with pytest.raises(ConfigurationError, match="'nbytes', 'messages'"):
        plots.traffic(run(), "seconds")


# ---- memory


def holding(rows, workers, kind="cluster"):
    return Run([], 10.0, 0, 0, world=WorldInfo(kind, workers), events=Events(
        [("memory", rank, at_s, at_s, -1, nbytes, -1, "") for rank, at_s, nbytes in rows]))


def test_memory_has_a_step_line_a_worker_and_a_star_at_the_peak():
    done = holding([(0, 1.0, 100), (1, 2.0, 300), (0, 3.0, 200), (1, 4.0, 50)], 2)
    ax = plots.memory(done, limit_nbytes=400)
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["worker 0"].get_xydata(), [[1, 100], [3, 200]])
    np.testing.assert_array_equal(lines["worker 1"].get_xydata(), [[2, 300], [4, 50]])
    assert lines["worker 0"].get_drawstyle() == "steps-post"
    star = lines["peak: 300 B,\nworker 1"]
    assert (star.get_marker(), *star.get_xydata()[0]) == ("*", 2, 300)
    assert lines["limit: 400 B"].get_ydata()[0] == 400
    assert "300" not in plots.describe(ax)
    assert "300 B, at 2 s" in plots.describe(plots.memory(
        holding([(0, 2.0, 300)], 1, "simulated")))


def test_of_many_workers_the_one_at_the_peak_is_in_front():
    ax = plots.memory(holding([(rank, 1.0, 10 + (rank == 5)) for rank in range(20)], 20))
    assert legend(ax) == ["the other 19 workers", "worker 5", "peak: 11 B,\nworker 5"]


def test_a_run_that_does_not_know_its_memory():
    with pytest.raises(ConfigurationError, match='"memory"'):
        plots.memory(run())

"""The live view: what it shows while a run goes on, and what it costs when nobody looks."""

import io
import re
import time
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright
from test_browser import (
    ARGUMENTS,
    CHROMIUM,
    NAMES,
    PROMPT,
    choose,
    jupyterlab,
    notebook,
    opened,
    problems,
)

import labkit
from labkit.cluster.health import Death
from labkit.cluster.report import reports
from labkit.faults import Crash, FaultPlan
from labkit.watching import show
from labkit.watching.board import Board, Row


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def lines(self):
        return self.getvalue().replace("\r", "\n").split("\n")[1:-1]


@pytest.fixture
def terminal(monkeypatch):
    out = Terminal()
    # Not sys.stderr itself, which pytest replaces before each call.
    monkeypatch.setattr(show, "sys", SimpleNamespace(stderr=out))
    return out


def slow(me, steps=40):
    for step in range(me.restore(k=0)["k"], steps):
        me.step(step)
        time.sleep(0.02)
        me.allreduce(np.ones(10))
        me.commit(k=step + 1)


# ---- rows, made of reports


def board(**options):
    """A board of a world that is not there."""
    health = SimpleNamespace(gone={}, struck=lambda since, numbers: [])
    world = SimpleNamespace(workers=2, _workers=["a", "b"], _numbers={"a": 0, "b": 1},
                            health=health)
    newest = {}
    return Board(world, newest), world, newest


def report(worker, at, **options):
    return dict(worker=worker, time=at, begun=0, done=0, messages=0, nbytes=0, step=-1,
                program=False, waits="") | options


def test_a_row_says_what_a_worker_is_at():
    rows, _, newest = board()
    now = time.time()
    assert [row.state for row in rows.rows()] == ["starting", "starting"]
    newest["a"] = report("a", now, program=True, waits="peer 1 in allreduce", step=3)
    newest["b"] = report("b", now, begun=2, done=1)
    assert [row.state for row in rows.rows()] == ["waits for peer 1 in allreduce",
                                                  "works on a task"]
    newest["a"] = report("a", now, program=True)
    newest["b"] = report("b", now - 5)
    assert [row.state for row in rows.rows()] == ["works", "silent for 5 s"]


def test_steps_a_second_are_those_between_two_reports():
    rows, _, newest = board()
    newest["a"] = report("a", 10.0, program=True, step=3)
    rows.rows()
    newest["a"] = report("a", 10.5, program=True, step=13)
    assert rows.rows()[0].rate == 20
    assert rows.rows()[0].rate == 20             # nothing new
    newest["a"] = report("a", 11.0, program=True, step=2)        # began again
    assert rows.rows()[0].rate == 0


def test_a_worker_that_was_replaced_goes_on_in_its_row():
    rows, world, newest = board()
    now = time.time()
    newest["b"] = report("b", now, program=True, messages=7, nbytes=70, done=2)
    assert rows.rows()[1].messages == 7
    world.health.gone["b"] = Death(now + 1, [], [])
    world.health.struck = lambda since, numbers: [(0, "b", now + 0.5, 3)]
    row = rows.rows()[1]
    assert row.state == "lost"
    assert re.fullmatch(r"struck at 0\.5 s, lost at 1\.0 s", row.faults)
    world._workers[1] = "c"
    world._numbers["c"] = 1
    newest["c"] = report("c", now, program=True, messages=3, nbytes=30, done=1)
    row = rows.rows()[1]
    assert (row.state, row.messages, row.nbytes, row.tasks) == ("works", 10, 100, 3)
    assert row.faults.endswith("lost at 1.0 s, replaced")


def test_a_table_has_a_row_a_worker_and_nothing_in_it_becomes_markup():
    rows = [Row(0, "works", step=7, rate=20.0, messages=1234, nbytes=5000),
            Row(1, "waits for <b>", tasks=3, faults="struck at 1.0 s")]
    html = show.table(rows, 1.25, ["run: <Run>"])
    assert html.count("<tr>") == 3
    assert "1,234" in html and "5 kB" in html and "struck at 1.0 s" in html
    assert "1.2 s, 1 run ended" in html
    assert "<b>" not in html and "<Run>" not in html
    assert "width: 90px" in html                 # the fastest has the longest bar


# ---- in a terminal


def test_a_line_is_written_over_while_a_run_goes_on(cluster, terminal):
    world = labkit.live(cluster, period_s=0.05)
    run = world.run(slow)
    lines = terminal.lines()
    assert len(lines) > 3
    assert all(re.match(r"\d+\.\d s: 3 workers, ", line) for line in lines)
    steps = [int(number) for line in lines for number in re.findall(r"step (\d+)", line)]
    assert steps == sorted(steps) and len(set(steps)) > 3
    # The last line is of the end, with all that was counted.
    assert f"3 idle; step 39; {run.messages:,} messages, 12.8 kB" in lines[-1]


def test_a_block_shows_all_runs_in_it_and_leaves_the_world_as_it_was(cluster, terminal):
    with labkit.live(cluster, period_s=0.05) as world:
        first = cluster.run(slow, record=False)
        cluster.map(lambda item: time.sleep(0.01), range(7))
        assert world.workers == cluster.workers
        assert "live" in repr(world)
    assert len(world._done) == 2
    assert f"{first.messages:,} messages" in terminal.lines()[-1]
    assert "7 tasks" in terminal.lines()[-1]
    assert vars(cluster).keys().isdisjoint({"run", "map"})
    assert not any("report" in name for name in cluster.client.run(
        lambda dask_worker: list(dask_worker.plugins)).popitem()[1])
    written = len(terminal.getvalue())
    cluster.run(slow, record=False)
    assert len(terminal.getvalue()) == written


def test_a_view_inside_of_a_view_leaves_the_outer_one(cluster, terminal):
    with labkit.live(cluster, period_s=0.05) as outer:
        labkit.live(cluster, period_s=0.05).run(slow, record=False)
        cluster.run(slow, record=False)
    assert len(outer._done) == 2
    assert "320 messages" in terminal.lines()[-1]
    assert vars(cluster).keys().isdisjoint({"run", "map"})


def test_a_fault_is_marked_and_the_replacement_reports_too(terminal):
    with labkit.cluster(workers=3) as world, labkit.live(world, period_s=0.05):
        world.run(slow, faults=FaultPlan(Crash(2, at_step=5)), elastic=3)
    lines = terminal.lines()
    assert any(re.search(r"1 lost.*worker 2 struck at [\d.]+ s, lost at", line) for line in lines)
    assert "replaced" in lines[-1] and "3 idle; step 39" in lines[-1]


def test_an_error_comes_through_and_the_view_ends(cluster, terminal):
    def wrong(me):
        raise KeyError(me.rank)

    with pytest.raises(labkit.errors.ProgramError):
        labkit.live(cluster).run(wrong)
    assert "3 idle" in terminal.lines()[-1]
    assert vars(cluster).keys().isdisjoint({"run", "map"})


def test_without_a_terminal_nothing_is_written(cluster, capsys):
    labkit.live(cluster).run(slow, record=False)
    for world in (labkit.serial(2), labkit.simulated(2)):
        assert labkit.live(world).run(lambda me: me.allreduce(1)).results == [2, 2]
    assert capsys.readouterr() == ("", "")


def test_the_programs_thread_does_nothing_for_a_report(cluster):
    def files(me):
        import sys

        called = set()
        sys.setprofile(lambda frame, event, arg: called.add(frame.f_code.co_filename))
        for _ in range(100):
            me.allreduce(1.0)
            time.sleep(0.005)
        sys.setprofile(None)
        return called

    with reports(cluster, period_s=0.02) as newest:
        called = set().union(*cluster.run(files).results)
        assert len(newest) == 3
    assert any(name.endswith("peer.py") for name in called)
    assert not any(name.endswith("report.py") for name in called)


# ---- in a notebook


def executed(*sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    node = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(node, timeout=60, kernel_name="python3").execute()
    return node.cells


SLOW = """
import labkit, time
def slow(me):
    for step in range(60):
        me.step(step)
        time.sleep(0.02)
        me.allreduce(1.0)
"""


def test_a_notebook_that_is_executed_unattended_has_the_same_output_each_time():
    _, cell, widget = executed(
        SLOW, "with labkit.cluster(workers=2) as world, labkit.live(world):\n    world.run(slow)",
        "labkit.replay(labkit.simulated(2).run(slow)).widget()")
    assert [output["data"] for output in cell.outputs] == [{
        "text/plain": "Live view of <labkit.cluster: 2 workers>: what each worker is at, while a "
                      "run goes on."}]
    assert widget.outputs[0]["data"].keys() == {"text/html", "text/plain"}


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is on the PATH")
def test_in_jupyterlab_the_view_changes_while_the_cell_runs(tmp_path, monkeypatch):
    with jupyterlab(tmp_path, []) as lab, sync_playwright() as playwright:
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmpdir"))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        notebook(lab, "live.ipynb", SLOW,
                 "with labkit.cluster(workers=2) as world, labkit.live(world):\n"
                 "    world.run(slow)")
        with opened(browser, lab, "live.ipynb") as page:
            choose(page, "Run", "Run All Cells")
            page.locator(".labkit-live tbody tr").first.wait_for(timeout=60_000)
            steps = []
            while "*" in page.locator(PROMPT).last.text_content():
                steps.append(page.locator(".labkit-live tbody tr td:nth-child(3)").first
                             .text_content())
                page.wait_for_timeout(100)
            page.locator(".labkit-live", has_text="1 run ended").wait_for()
            assert len(set(steps)) > 3
            assert page.locator(".labkit-live tbody tr").count() == 2
            assert "59" in page.locator(".labkit-live tbody tr").first.text_content()
            assert problems(page, figures=0) == []
        browser.close()

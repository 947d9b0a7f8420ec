"""A replay: what is encoded is what was recorded, and what a browser makes of it."""

import io
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from playwright.sync_api import sync_playwright
from test_browser import (
    ARGUMENTS,
    CHROMIUM,
    NAMES,
    choose,
    jupyterlab,
    notebook,
    opened,
    picture,
    problems,
    run_all,
)

import labkit
from labkit.errors import ConfigurationError
from labkit.faults import Crash, FaultPlan
from labkit.records import Event, Events, Run, WorldInfo, messages
from labkit.replaying.encode import MOST, encode
from labkit.replaying.page import source

LABEL = 'a "quoted" </script><script>window.stolen = 1</script> & ü → \u2028'


def program(me, steps=4):
    for step in range(steps):
        me.step(step)
        me.work(flops=1e5 * (me.rank + 1))
        me.allreduce(np.ones(1000))
        if me.rank == 0 and me.size > 1:
            me.send(1, np.ones(3))
        if me.rank == 1:
            me.recv(0)


def simulated(workers=4):
    return labkit.simulated(workers=workers).run(program)


def elastic():
    def steps(me):
        for step in range(me.restore(k=0)["k"], 20):
            me.step(step)
            me.work(flops=1e7)
            me.allreduce(np.ones(10))
            me.commit(k=step + 1)

    return labkit.simulated(4).run(steps, faults=FaultPlan(Crash(2, at_step=9)), elastic=True)


def made_of(events, workers=3, seconds=1.0):
    return Run([None] * workers, seconds, 0, 0, Events(map(tuple, events)),
               world=WorldInfo("cluster", workers))


def decoded(data):
    """Undo the encoding, as data.js does."""
    columns = data["columns"]
    starts = list(accumulate(columns["start"], initial=data["zero"]))[1:]
    return [(data["kinds"][kind], rank, start, start + length, peer, nbytes, step,
             data["labels"][label]) for kind, rank, start, length, peer, nbytes, step, label in
            zip(*map(columns.get, ("kind", "rank")), starts,
                *map(columns.get, ("length", "peer", "nbytes", "step", "label")))]


def in_ns(events):
    return [(e.kind, e.rank, round(e.start_s * 1e9), round(e.end_s * 1e9), e.peer, e.nbytes,
             e.step, e.label) for e in events]


# ---- the encoding


@st.composite
def events(draw):
    start_s = draw(st.floats(-1.0, 1e5))
    return Event(draw(st.sampled_from(["send", "recv", "work", "step", "task", "odd"])),
                 draw(st.integers(0, 2)), start_s, start_s + draw(st.floats(0.0, 1e3)),
                 draw(st.integers(-1, 2)), draw(st.integers(0, 2**40)), draw(st.integers(-1, 99)),
                 draw(st.text(max_size=5)))


@given(st.lists(events(), max_size=30))
def test_what_is_decoded_is_what_was_encoded(some):
    run = made_of(some)
    data, kept, _ = encode(run)
    assert kept == list(run.events)
    assert decoded(json.loads(json.dumps(data))) == in_ns(run.events)
    first, last = data["window"]
    assert all(first <= start and end <= last for _, _, start, end, *_ in decoded(data))


def test_messages_are_paired_as_in_the_record():
    run = simulated(5)
    data, kept, pairs = encode(run)
    rows = {(kept[sent], kept[row]) for row, sent in enumerate(data["columns"]["sent"])
            if sent >= 0}
    assert rows == set(messages(run.events)) == set(pairs)
    assert len(rows) == run.messages


def test_a_message_that_died_with_its_generation_is_not_the_next_ones():
    run = elastic()
    boundary = run.generations[1].start_s
    pairs = run.pairs()
    assert pairs
    assert all((sent.start_s < boundary) == (got.start_s < boundary) for sent, got in pairs)


def test_more_events_than_a_page_holds_are_cut_off_with_a_notice():
    many = [Event("step", 0, i * 1e-6, i * 1e-6, -1, 0, i, "") for i in range(MOST + 5)]
    data, kept, _ = encode(made_of(many))
    assert len(kept) == MOST
    assert data["window"][1] == round(kept[-1].start_s * 1e9)
    assert "first 10,000 of 10,005 events, up to 10 ms" in data["notice"]
    assert encode(made_of(many[:MOST])).data["notice"] == ""


def test_a_part_has_both_ends_of_the_messages_under_way():
    rows = [Event("send", 0, 0.0, 0.1, 1, 8, -1, ""), Event("work", 0, 0.1, 0.2),
            Event("recv", 1, 0.0, 0.9, 0, 8, -1, ""), Event("work", 1, 0.95, 1.0)]
    data, kept, pairs = encode(made_of(rows), start_s=0.5, end_s=0.92)
    assert {event.kind for event in kept} == {"send", "recv"}
    assert len(pairs) == 1
    assert data["window"] == [500_000_000, 920_000_000]
    assert data["notice"] == "2 of the run's 4 events: those of this part."


@pytest.mark.parametrize(("start_s", "end_s"), [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0),
                                                (0.0, math.inf)])
def test_a_part_that_is_none_is_refused(start_s, end_s):
    with pytest.raises(ConfigurationError, match="between two moments"):
        labkit.replay(simulated(2), start_s=start_s, end_s=end_s)


# ---- the page


def test_a_page_needs_nothing_else_and_is_the_same_each_time():
    run = simulated()
    replay = labkit.replay(run)
    html = replay._repr_html_()
    assert not re.search(r"https?:|\b(src|href|import|url)\s*[=(]|import ", html)
    assert html == labkit.replay(simulated())._repr_html_()
    assert 'sandbox="allow-scripts"' in html
    assert "allow-same-origin" not in html


def test_nothing_in_a_label_or_title_becomes_markup():
    run = made_of([Event("recv", 0, 0.0, 0.1, 1, 8, 0, LABEL)])
    html = labkit.replay(run, title='<b>"&').html()
    assert "<script>window" not in html
    assert "<b>" not in html
    (text,) = re.findall(r'labkit-replay-data">(.*?)</script>', html)
    assert json.loads(text)["labels"] == [LABEL]


def test_ten_thousand_events_are_less_than_600_kilobytes():
    def rounds(me):
        for step in range(42):
            me.step(step)
            me.allreduce(np.ones(200), algorithm="ring")

    replay = labkit.replay(labkit.simulated(8).run(rounds))
    assert len(replay.events) > 9_500
    assert len(replay._repr_html_().encode()) < 600_000


def test_words_have_numbers_only_where_they_are_the_same_each_time(cluster):
    replay = labkit.replay(simulated())
    assert repr(replay).startswith("Replay of a run (simulated, 4 workers, 10GbE): 36 messages, "
                                   "256 kB in ")
    real = labkit.replay(cluster.run(program))
    assert repr(real) == ("Replay of a run (cluster, 3 workers). Play it, step through its "
                          "events, or read them as a table.")
    assert real._repr_mimebundle_().keys() == {"text/html", "text/plain"}
    alt = "A ring of four peers that pass a token on, twice around."
    assert labkit.replay(simulated(), alt=alt)._repr_mimebundle_()["text/plain"] == alt
    with pytest.raises(ConfigurationError, match="needs a description"):
        labkit.replay(simulated(), alt="a ring")


def test_without_scripts_a_short_run_is_a_picture():
    run = simulated(3)
    html = labkit.replay(run).html()
    (svg,) = re.findall(r"<svg.*?</svg>", html)
    tree = ElementTree.fromstring(svg)
    assert tree.attrib["aria-label"] == labkit.replay(run).alt
    assert len(tree.findall("path")) == run.messages
    assert [text.text for text in tree.findall("text")][:3] == ["peer 0", "peer 1", "peer 2"]
    assert "<svg" not in labkit.replay(simulated(40)).html()


def test_width_and_height_are_kept_if_given():
    html = labkit.replay(simulated(2), width=700, height=500)._repr_html_()
    assert 'style="width: 700px; height: 500px' in html
    assert 'data-fixed="true"' in html
    assert "data-fixed=" not in labkit.replay(simulated(2))._repr_html_()


def luminance(colour):
    channels = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_read_and_told_apart_in_grey(theme):
    blocks = re.findall(r"\{([^}]*--replay-paper[^}]*)\}", source("replay.css"))
    colours = dict(re.findall(r"--replay-(\w+): (#\w{6})", blocks[theme]))
    for name in ("ink", "quiet"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("message", "send", "work", "line", "focus", "injected", "suspected", "confirmed",
                 "recovered"):
        assert contrast(colours[name], colours["paper"]) >= 3, name
    for one, other in (("work", "lane"), ("wait", "lane"), ("work", "wait"), ("task", "other")):
        assert contrast(colours[one], colours[other]) >= 1.5, (one, other)


# ---- in a browser

browser_only = [pytest.mark.browser, pytest.mark.skipif(
    CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is on the PATH")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("chromium")))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield browser
            browser.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with jupyterlab(tmp_path_factory.mktemp("lab"), []) as lab:
        yield lab


@pytest.fixture
def show(browser, tmp_path):
    """Return a function that opens a replay, or HTML; fails if the page has complained."""
    complaints, pages = [], []

    def show_it(thing, **options):
        path = tmp_path / f"{len(pages)}.html"
        if isinstance(thing, str):
            path.write_text(thing, encoding="utf-8")
        else:
            thing.save(path)
        page = browser.new_context(viewport={"width": 1000, "height": 900}, **options).new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url)
                if not request.url.startswith(("file:", "about:", "data:", "blob:")) else None)
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield show_it
    for page in pages:
        page.context.close()
    assert complaints == []


def player(page, expression):
    """Evaluate JavaScript with `p`, the player of the page or frame."""
    return page.evaluate(f"(() => {{ const p = document.querySelector('.labkit-replay').player; "
                         f"return {expression}; }})()")


def words(page):
    return page.locator(".now").text_content()


def waits_for(page, expression):
    page.wait_for_function(f"(() => {{ const p = document.querySelector('.labkit-replay').player;"
                           f" return {expression}; }})()")


def frames(page):
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


class TestBrowser:
    pytestmark = browser_only

    def test_the_browser_has_the_events_that_were_recorded(self, show):
        run = simulated()
        page = show(labkit.replay(run))
        columns = player(page, "Object.fromEntries(Object.entries(p.run.events).filter(([k]) => "
                               "k !== 'n').map(([k, v]) => [k, Array.from(v)]))")
        names = ("kind", "rank", "start", "end", "peer", "nbytes", "step", "label")
        assert list(zip(*map(columns.get, names))) == in_ns(run.events)

    def test_steps_go_through_the_events_in_the_order_in_which_they_happen(self, show):
        run = simulated(2)
        page = show(labkit.replay(run))
        # A receive happens when it ends, all else when it begins.
        happens = sorted(e.end_s if e.kind == "recv" else e.start_s for e in run.events)
        seen = []
        for number in range(len(happens)):
            page.get_by_role("button", name="One event forward").click()
            frames(page)
            assert words(page).startswith(f"Event {number + 1} of {len(happens)}. ")
            seen.append(player(page, "p.time"))
        assert seen == [round(at_s * 1e9) for at_s in happens]
        page.get_by_role("button", name="One event back").click()
        assert player(page, "p.position") == len(happens) - 2

    def test_an_event_in_words(self, show):
        page = show(labkit.replay(made_of([
            Event("send", 0, 0.0, 1e-3, 1, 8000, 3, "allreduce"),
            Event("recv", 1, 1e-3, 2.1e-3, 0, 8000, 3, "allreduce"),
            Event("injected", 2, 3e-3, 3e-3, -1, 0, -1, "Crash(2)")])))
        for _ in range(2):
            page.keyboard.press("Tab")
            page.locator(".stage").press("ArrowRight")
        frames(page)
        assert words(page) == ("Event 2 of 3. 2.1 ms: peer 1 receives 8,000 bytes from peer 0, "
                               "after 1.1 ms, all-reduce, step 3")
        page.locator(".stage").press("ArrowRight")
        frames(page)
        assert words(page).endswith("3 ms: peer 2 is struck: Crash(2)")

    def test_keys(self, show):
        page = show(labkit.replay(simulated()))
        stage = page.locator(".stage")
        stage.press("End")
        assert player(page, "p.time === p.last")
        stage.press("Home")
        assert player(page, "p.time === p.first && p.position === -1")
        stage.press("+")
        assert player(page, "(p.last - p.first) / (p.diagram.to - p.diagram.from)") == \
            pytest.approx(2)
        before = player(page, "p.diagram.from")
        stage.press("Shift+ArrowRight")
        assert player(page, "p.diagram.from") > before
        stage.press("-")
        assert player(page, "p.diagram.to - p.diagram.from === p.last - p.first")
        stage.press(" ")
        assert player(page, "p.playing")
        waits_for(page, "p.time > p.first")
        assert page.locator(".now").get_attribute("aria-live") == "off"
        stage.press(" ")
        frames(page)
        assert not player(page, "p.playing")
        assert page.locator(".now").get_attribute("aria-live") == "polite"

    def test_it_plays_to_the_end_and_from_the_beginning_again(self, show):
        page = show(labkit.replay(simulated(2)))
        page.get_by_label("Speed").select_option("10")
        page.get_by_role("button", name="Play").click()
        waits_for(page, "!p.playing && p.time === p.last")
        assert page.get_by_role("button", name="Play").text_content() == "Play"
        page.get_by_role("button", name="Play").click()
        waits_for(page, "p.playing && p.time < p.last / 2")

    def test_the_slider_scrubs_and_says_where_it_is(self, show):
        run = simulated()
        page = show(labkit.replay(run))
        slider = page.get_by_role("slider", name="Time")
        slider.fill("5000")
        frames(page)
        assert player(page, "p.time") == pytest.approx(run.seconds * 0.5e9, rel=1e-3)
        assert re.fullmatch(r"[\d.]+ (µs|ms)", slider.get_attribute("aria-valuetext"))

    @pytest.mark.parametrize(("filter", "test"), [
        ({"peers": "0-1"}, lambda e: e.rank < 2),
        ({"peers": "3, 1"}, lambda e: e.rank in (1, 3)),
        ({"steps": "2"}, lambda e: e.step == 2),
        ({"label": "allreduce"}, lambda e: e.label == "allreduce"),
        ({"kinds": ["send"]}, lambda e: e.kind == "send"),
        ({"kinds": ["recv"], "steps": "0-1", "peers": "0"},
         lambda e: e.kind == "recv" and e.step < 2 and e.rank == 0),
    ])
    def test_a_filter_leaves_what_it_says(self, show, filter, test):
        run = simulated()
        page = show(labkit.replay(run))
        wanted = sum(map(test, run.events))
        page.locator("summary", has_text="Filter").click()
        for name, label in (("peers", "Show only these peers"), ("steps", "Show only these steps")):
            if name in filter:
                page.get_by_label(label).fill(filter[name])
                page.get_by_label(label).press("Enter")
        if "label" in filter:
            page.get_by_label("Collective").select_option("all-reduce")
        for kind in {e.kind for e in run.events} - set(filter.get("kinds", [])):
            if "kinds" in filter:
                page.get_by_role("checkbox", name=kind).uncheck()
        frames(page)
        assert page.locator("summary", has_text="Filter").text_content() == \
            f"Filter: {wanted} of {len(run.events)} events"
        page.locator("summary", has_text="table").click()
        frames(page)
        assert page.locator("details[open] tbody tr").count() == min(wanted, 200)
        page.get_by_role("button", name="Clear the filter").click()
        frames(page)
        page.get_by_text(f"Filter: {len(run.events)} of").wait_for()

    def test_what_each_peer_is_at(self, show):
        run = simulated(3)
        page = show(labkit.replay(run))
        for share in (0.0, 0.13, 0.5, 0.77, 1.0):
            player(page, f"p.scrub({share})")
            frames(page)
            at = player(page, "p.time") / 1e9
            rows = page.locator(".scroll").first.locator("tbody tr").all()
            assert len(rows) == 3
            for rank, row in enumerate(rows):
                cells = row.locator("td").all_text_contents()
                sends = [e for e in run.events if e.kind == "send" and e.rank == rank
                         and round(e.start_s * 1e9) <= at * 1e9]
                waits = [e for e in run.events if e.kind == "recv" and e.rank == rank
                         and round(e.start_s * 1e9) <= at * 1e9 < round(e.end_s * 1e9)]
                assert cells[2] == f"{len(sends):,}"
                assert cells[3] == f"{sum(e.nbytes for e in sends):,}"
                if waits:
                    assert cells[0].startswith(f"waits for peer {waits[-1].peer}")

    def test_in_the_network_messages_are_where_they_are_now(self, show):
        page = show(labkit.replay(made_of([
            Event("send", 0, 0.0, 0.1, 1, 8, 0, ""), Event("recv", 1, 0.0, 1.0, 0, 8, 0, "")],
            workers=2)))
        page.locator("summary", has_text="Network").click()
        reddish = {}
        for share in (0.3, 0.51, 0.9):             # from the first peer, at the top, down
            player(page, f"p.scrub({share})")
            frames(page)
            png = page.locator("details canvas").screenshot()
            image = Image.open(io.BytesIO(png)).convert("RGB")
            red, _, blue = image.getpixel((image.width // 2, image.height // 2))
            reddish[share] = red - blue > 60
        assert reddish == {0.3: False, 0.51: True, 0.9: True}

    def test_a_click_selects_what_is_there(self, show):
        run = simulated(2)
        page = show(labkit.replay(run))
        frames(page)
        work = next(i for i, e in enumerate(run.events) if e.kind == "work" and e.rank == 1)
        x, y = player(page, f"[p.diagram.x((p.run.events.start[{work}] + p.run.events.end[{work}])"
                            f" / 2), p.diagram.y(1)]")
        page.locator(".stage canvas").click(position={"x": x, "y": y})
        assert player(page, "p.row") == work

    def test_every_control_has_a_name(self, show):
        page = show(labkit.replay(elastic()))
        for summary in page.locator("summary").all():
            summary.click()
        nameless = page.evaluate("""[...document.querySelectorAll(
            'button, input, select, summary, canvas, output, [tabindex], [role], table')]
            .filter(one => !(one.getAttribute('aria-label') || one.closest('label')?.textContent
              || one.textContent).trim()).map(one => one.outerHTML)""")
        assert nameless == []
        assert page.evaluate("document.documentElement.lang") == "en"
        assert page.evaluate("document.querySelectorAll('[id]').length") == 0

    def test_all_controls_are_reached_and_shown_by_tab(self, show):
        page = show(labkit.replay(simulated()))
        reached = []
        for _ in range(18):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.tagName"))
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width == "3px" or reached[-1] == "BODY", reached
        assert {"DIV", "BUTTON", "SELECT", "INPUT", "SUMMARY"} <= set(reached)

    def test_without_motion_it_plays_event_by_event(self, show):
        page = show(labkit.replay(simulated()), reduced_motion="reduce")
        page.get_by_label("Speed").select_option("10")
        page.get_by_role("button", name="Play").click()
        waits_for(page, "p.position >= 2")
        assert player(page, "p.time === p.selection.times[p.position]")

    def test_themes(self, show):
        for scheme, theme in (("dark", "dark"), ("light", "light")):
            page = show(labkit.replay(simulated()), color_scheme=scheme)
            assert page.locator(".labkit-replay").get_attribute("data-theme") == theme
        # The page around is dark, whatever the system is.
        html = labkit.replay(simulated())._repr_html_()
        page = show(f'<body data-jp-theme-light="false">{html}', color_scheme="light")
        page.frames[1].locator('.labkit-replay[data-theme="dark"]').wait_for()
        page.evaluate("document.body.dataset.jpThemeLight = 'true'")
        page.frames[1].locator('.labkit-replay[data-theme="light"]').wait_for()

    def test_two_on_a_page_do_not_meet(self, show):
        html = labkit.replay(simulated(2))._repr_html_()
        page = show(f"<!DOCTYPE html><body>{html}{html}")
        first, second = page.frames[1:]
        first.locator(".stage").press("ArrowRight")
        first.locator(".stage").press("ArrowRight")
        assert player(first, "p.position") == 1
        assert player(second, "p.position") == -1
        # A frame is as high as what is in it.
        page.wait_for_function("[...document.querySelectorAll('iframe')].every(f => "
                               "f.clientHeight > 400)")
        frames(page)
        for number, frame in enumerate((first, second)):
            inside = frame.evaluate("document.documentElement.scrollHeight")
            assert inside <= page.locator("iframe").nth(number).evaluate("f => f.clientHeight")

    def test_labels_are_text(self, show):
        run = made_of([Event("recv", 0, 0.0, 0.1, 1, 8, 0, LABEL),
                       Event("task", 1, 0.0, 0.1, -1, 0, 0, LABEL)])
        page = show(labkit.replay(run, title=LABEL))
        page.locator(".stage").press("ArrowRight")
        frames(page)
        assert LABEL in words(page)
        assert page.evaluate("window.stolen") is None

    @pytest.mark.parametrize("run", [
        made_of([]), made_of([], seconds=0.0), labkit.simulated(1).run(program),
        made_of([Event("send", 0, -3e-4, -2e-4, 1, 8, -1, ""),
                 Event("recv", 1, -5e-4, 1.5, 0, 8, -1, ""), Event("odd", 7, 0.1, 0.2)]),
        labkit.simulated(3).map(abs, range(9), work=lambda item: dict(flops=1e6)),
    ], ids=["empty", "no time", "one peer", "odd", "tasks"])
    def test_odd_runs(self, show, run):
        page = show(labkit.replay(run))
        for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft", "Home", "+", "+"):
            page.locator(".stage").press(key)
            frames(page)
        assert player(page, "p.all") == len(run.events)
        if not run.events:
            assert "No events were recorded" in page.locator(".notice").text_content()

    def test_a_real_run(self, show, cluster):
        run = cluster.run(program)
        page = show(labkit.replay(run))
        assert player(page, "p.run.messages.n") == run.messages == len(messages(run.events))
        held = page.locator(".scroll").first.locator("td:last-child").all_text_contents()
        page.locator(".stage").press("End")
        frames(page)
        assert Counter(page.locator(".scroll").first.locator("td:nth-child(2)")
                       .all_text_contents()) == {"has ended": 3}
        assert held == ["", "", ""]
        held = page.locator(".scroll").first.locator("td:last-child").all_text_contents()
        assert all(re.fullmatch(r"[\d.]+ [MG]B", text) for text in held)

    def test_a_thousand_peers_and_ten_thousand_events(self, show):
        run = labkit.simulated(1000).run(lambda me: me.allreduce(np.ones(100)))
        page = show(labkit.replay(run))
        assert "The first 10,000 of" in page.locator(".notice").text_content()
        player(page, "p.scrub(0.5)")
        frames(page)
        assert page.locator(".scroll").first.locator("tbody tr").count() == 32
        page.locator("summary", has_text="Network").click()
        page.get_by_text("A network has room for 64 peers").wait_for()
        page.locator("summary", has_text="Filter").click()
        page.get_by_label("Show only these peers").fill("500-507")
        page.get_by_label("Show only these peers").press("Enter")
        frames(page)
        assert player(page, "p.diagram.lane") > 20
        # Generous: this machine may be busy with others' tests.
        spent = player(page, "(() => { p.setFilter({}); const at = performance.now(); "
                             "for (let i = 0; i < 10; i++) { p.diagram.dirty = true; "
                             "p.diagram.draw(); } return (performance.now() - at) / 10; })()")
        assert spent < 160

    def test_where_scripts_are_off_the_picture_stays(self, show):
        page = show(labkit.replay(simulated()), java_script_enabled=False)
        assert page.locator("svg").is_visible()
        assert "Replay of a run" in page.locator(".labkit-replay p").text_content()

    def test_in_jupyterlab_the_kernel_sees_and_leads(self, browser, lab, tmp_path):
        notebook(lab, "replay.ipynb", """
import ipywidgets, labkit
run = labkit.simulated(3).run(lambda me: me.allreduce(1.0))
labkit.replay(run)""", """
widget, text = labkit.replay(run).widget(), ipywidgets.Label()
def tell(change):
    text.value = f"{widget.event.kind} of {widget.event.rank}, {run.events.index(widget.event)}"
widget.observe(tell, "selected")
ipywidgets.VBox([widget, text])""", 'widget.filter = {"peers": "0-1"}; widget.selected = 2')
        with opened(browser, lab, "replay.ipynb") as page:
            run_all(page)
            root = page.locator(".jp-OutputArea .labkit-replay")
            page.get_by_text(", 2").wait_for()
            root.get_by_text("Filter: ").wait_for()
            shown = sum(e.rank < 2 for e in labkit.simulated(3).run(
                lambda me: me.allreduce(1.0)).events)
            assert f"Filter: {shown} of" in root.text_content()
            before = words(root)
            root.locator(".stage").press("ArrowRight")
            page.wait_for_function("text => document.querySelector('.jp-OutputArea .now')"
                                   ".textContent !== text", arg=before)
            frame = page.frames[1]
            frame.locator(".stage").press("End")
            assert player(frame, "p.time === p.last")
            assert problems(page, figures=0) == []
            choose(page, "File", "Save Notebook")
            picture(page, tmp_path / "replay.png")
            page.wait_for_timeout(1000)
        text = Path(lab.folder / "replay.ipynb").read_text(encoding="utf-8")
        assert "labkit-replay-frame" in text
        # Somebody else's notebook is not trusted: words are left.
        (lab.folder / "strange.ipynb").write_text(text.replace("ipywidgets, labkit",
                                                               "labkit, ipywidgets"))
        with opened(browser, lab, "strange.ipynb") as page:
            page.get_by_text("trust this notebook").first.wait_for()
            assert page.locator("iframe").count() == 0

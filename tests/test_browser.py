"""Every lesson as a learner meets it: in JupyterLab, in a real browser, from Run All Cells.

    copy of notebooks/   ->   jupyterlab   ->   Chromium   ->   no error, every figure is drawn
    (without outputs)         own folders       own profile

The copy is in a temporary folder, which holds all that the server, the kernels and the browser
write. ``LABKIT_SCREENSHOTS=folder`` keeps a picture of each lesson there.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from nbformat import v4
from playwright.sync_api import sync_playwright

from labkit.lessons import find_lessons

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"]
WIDTH, HEIGHT, TALLEST = 1300, 1600, 16_000      # pixels; Chromium draws no higher picture
START_S, CELLS_S = 90, 180
PROMPT = ".jp-CodeCell .jp-InputPrompt"
# JupyterLab 4.6 shows an error as it shows stderr; only IPython's traceback is coloured.
ERROR = '[data-mime-type$=".error"], [data-mime-type$=".stderr"]:has([class*="ansi-"])'
# Figures in a widget's output are not in the cell's, where they could be stored.
FIGURE = ".jp-RenderedImage:not(.jupyter-widgets *) img"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is on the PATH"),
]


# The server.


@contextmanager
def jupyterlab(home, source):
    """Serve a copy of the notebooks from the folder `home`, until the block ends."""
    folder, token = home / "notebooks", secrets.token_hex(16)
    folder.mkdir()
    for path in source:
        save(without_outputs(v4.reads(path.read_text(encoding="utf-8"))), folder / path.name)
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command(folder, token), env=environment(home),
                                  stdout=log, stderr=log)
        try:
            yield SimpleNamespace(url=address(server, home), token=token, folder=folder)
        finally:
            end(server)


def without_outputs(notebook):
    """Empty it in place, or the numbers of the run that was stored would look like this run's."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    return notebook


def save(notebook, path):
    path.write_text(v4.writes(notebook), encoding="utf-8")


def command(folder, token):
    return [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={folder}",
            "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={token}",
            f"--ServerApp.allow_root={hasattr(os, 'getuid') and os.getuid() == 0}",
            "--LabApp.news_url=None"]            # or a question about news covers the page


def environment(home):
    """Folders under `home` for all that the server, its kernels and their workers write."""
    names = ["TMPDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR",
             "JUPYTER_RUNTIME_DIR"]
    folders = {name: str(home / name.lower()) for name in names}
    for folder in folders.values():
        Path(folder).mkdir()
    return os.environ | folders


def address(server, home):
    """The server's address, from the file that it writes once it listens."""
    file = home / "jupyter_runtime_dir" / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return json.loads(file.read_text())["url"]
        except (OSError, ValueError):            # not there yet, or half written
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{(home / 'log').read_text()}")


def end(server):
    """Ask the server to end with its kernels, then end what they left."""
    if server.poll() is not None:
        return
    parent = psutil.Process(server.pid)
    family = [parent, *parent.children(recursive=True)]
    server.terminate()
    _, alive = psutil.wait_procs(family, timeout=20)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=10)


def sessions(lab, method="GET", session=""):
    """Ask the server for its sessions, or something of one session."""
    request = urllib.request.Request(f"{lab.url}api/sessions/{session}", method=method,
                                     headers={"Authorization": f"token {lab.token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or "null")


# The page: what a learner does, and what is there to see.


def until(page, condition, seconds, what):
    """The condition's value as soon as it is true; waits in the browser, which goes on working."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not in {seconds} s")
        page.wait_for_timeout(100)
    return value


@contextmanager
def opened(browser, lab, name):
    """A page with the notebook, its kernel ready; the kernel ends with the block."""
    def ready():
        # The page's toolbar says idle before the page listens to the kernel.
        return [session["id"] for session in sessions(lab) if session["path"] == name
                and session["kernel"]["execution_state"] == "idle"
                and session["kernel"]["connections"] > 0]

    with browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}) as context:
        page = context.new_page()
        page.goto(f"{lab.url}lab/tree/{name}?token={lab.token}&reset")
        (session,) = until(page, ready, START_S, f"a kernel for {name}")
        try:
            yield page
        finally:
            sessions(lab, "DELETE", session)


def choose(page, menu, item):
    """Choose an item of one of JupyterLab's menus."""
    page.locator("#jp-MainMenu").get_by_text(menu, exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text(item, exact=True).click()


def run_all(page):
    """Run all cells, until each has its number or one has failed."""
    choose(page, "Run", "Run All Cells")
    until(page, lambda: prompts_done(page.locator(PROMPT).all_text_contents()), CELLS_S,
          "the end of Run All Cells")


def prompts_done(prompts):
    """Whether the cells ran: ``[3]:`` for one that did, ``[*]:`` running, ``[ ]:`` left out."""
    ran = [prompt.strip("[]: ").isdigit() for prompt in prompts]
    return any(ran) and not any("*" in prompt for prompt in prompts)


def problems(page, figures):
    """What is wrong on a page that was run and should show so many figures."""
    left_out = [text for text in page.locator(PROMPT).all_text_contents() if "[ ]" in text]
    widths = page.locator(FIGURE).evaluate_all("all => all.map(img => img.naturalWidth)")
    found = [f"error: {text}" for text in page.locator(ERROR).all_text_contents()]
    found += [f"{len(left_out)} cells did not run"] * bool(left_out)
    found += [f"{len(widths)} figures instead of {figures}"] * (len(widths) != figures)
    return found + ["a figure is empty" for width in widths if not width]


def press(page, key, times=1, slider=0):
    """Press a key on one of the page's sliders; returns the value that it then shows."""
    handle = page.locator(".noUi-handle").nth(slider)
    for _ in range(times):
        handle.press(key)
    return float(handle.get_attribute("aria-valuenow"))


def picture(page, path):
    """Save a picture of the whole notebook, on a page as high as its cells together."""
    # Otherwise a cell that was never in view has a height that is only estimated.
    page.add_style_tag(content=".jp-Cell { content-visibility: visible !important }")
    panel = page.locator(".jp-WindowedPanel-outer").first
    hidden = panel.evaluate("panel => panel.scrollHeight - panel.clientHeight")
    page.set_viewport_size({"width": WIDTH, "height": min(HEIGHT + hidden, TALLEST)})
    panel.evaluate("panel => panel.scrollTo(0, 0)")
    page.wait_for_timeout(1000)          # frames that come into view are drawn a moment later
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)


def stored_figures(path):
    """How many figures the notebook's stored outputs have."""
    cells = v4.reads(path.read_text(encoding="utf-8")).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


# The tests. Server and browser end with this module, not with the session: while Playwright runs,
# its event loop is the thread's, and whoever starts one of their own fails.

LESSONS = find_lessons(folder=Path(__file__).parents[1] / "notebooks")
AT_EACH_TEST = ("00_start_here", "21_peer_to_peer")


@pytest.fixture(scope="module")
def home():
    with tempfile.TemporaryDirectory(prefix="lab") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def lab(home):
    with jupyterlab(home, LESSONS) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser(home, lab):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(home / "tmpdir"))       # for the browser's profile
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield browser
            browser.close()


@pytest.mark.parametrize("path", [
    pytest.param(path, id=path.stem, marks=[] if path.stem in AT_EACH_TEST else pytest.mark.slow)
    for path in LESSONS])
def test_a_lesson_as_a_learner_uses_it(browser, lab, path):
    code = source(path)
    with opened(browser, lab, path.name) as page:
        run_all(page)
        if os.environ.get("LABKIT_SCREENSHOTS"):
            picture(page, Path(os.environ["LABKIT_SCREENSHOTS"]) / f"{path.stem}.png")
        assert problems(page, stored_figures(path)) == []
        assert page.get_by_placeholder("your number, then Enter").count() \
            == code.count("labkit.predict_first(")
        turn(page)
        frames = page.locator("iframe[srcdoc]")
        assert bool(frames.count()) == ("labkit.replay(" in code)
        for number in range(frames.count()):
            play(page, frames.nth(number))
        assert page.locator(ERROR).count() == 0


def source(path):
    """The notebook's code."""
    cells = v4.reads(path.read_text(encoding="utf-8")).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def turn(page):
    """Move the knob away and back: a figure appears, and then another one."""
    figure, seen = page.locator(".jupyter-widgets img"), [None]
    assert figure.count() == 0
    begin = float(page.locator(".noUi-handle").get_attribute("aria-valuenow"))
    keys = ["ArrowRight", "ArrowLeft"]
    if press(page, keys[0]) == begin:                # it starts at its end
        keys.reverse()
        press(page, keys[0])
    for key in (keys[1], None):
        until(page, lambda: figure.count() == 1 and figure.get_attribute("src") not in seen,
              CELLS_S, "the knob's figure")
        assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
        assert len(figure.get_attribute("alt")) > 40
        seen.append(figure.get_attribute("src"))
        if key:
            press(page, key)


def play(page, frame):
    """Play a replay with the space bar: its time goes on."""
    frame.scroll_into_view_if_needed()
    inside = frame.element_handle().content_frame()
    stage = inside.locator(".stage")
    stage.press("Home")
    time_of = "document.querySelector('.labkit-replay').player.time"
    begin = inside.evaluate(time_of)
    stage.press(" ")
    until(page, lambda: inside.evaluate(time_of) > begin, 30, "the replay's first step")


def notebook(lab, name, *sources):
    cells = [v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    save(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), lab.folder / name)


@pytest.mark.parametrize(("source", "name"), [("x / 0", "ZeroDivisionError"),
                                              ("x = ", "SyntaxError")])
def test_the_check_itself_finds_a_cell_that_raises(browser, lab, source, name):
    file_name = f"{name}.ipynb"
    notebook(lab, file_name, "import sys\nx = 1\nprint('a warning', file=sys.stderr)", source, "x")
    with opened(browser, lab, file_name) as page:
        run_all(page)
        # An error is drawn a moment after its cell has its number.
        until(page, lambda: len(problems(page, figures=1)) == 3, 20, "an error that is drawn")
        error, left_out, figures = problems(page, figures=1)
    assert name in error
    assert left_out == "1 cells did not run"
    assert figures == "0 figures instead of 1"


def test_a_slider_moves_and_the_kernel_hears_of_it(browser, lab, home):
    notebook(lab, "slider.ipynb",
             "import ipywidgets\nslider = ipywidgets.IntSlider(3)\ntext = ipywidgets.Label('')",
             "slider.observe(lambda change: setattr(text, 'value', f'now {change.new}'), 'value')",
             "ipywidgets.VBox([slider, text])")
    with opened(browser, lab, "slider.ipynb") as page:
        run_all(page)
        assert press(page, "ArrowRight", times=2) == 5
        page.get_by_text("now 5").wait_for()
        assert problems(page, figures=0) == []
        picture(page, home / "slider.png")
    assert (home / "slider.png").stat().st_size > 10_000

"""Slides: what is on them, and that a browser shows them without network, page by page.

The pages are counted from the notebook's headings, and their heights are measured in Chromium.
"""

import re
import struct
import zlib
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import v4
from playwright.sync_api import sync_playwright
from test_browser import ARGUMENTS, CHROMIUM
from test_student import cell, lesson

from labkit import student
from labkit.__main__ import main
from labkit.errors import ConfigurationError
from labkit.lessons import find_lessons
from labkit.slides import blocks, deck, html, page

LESSONS = find_lessons(folder=Path(__file__).parents[1] / "notebooks")


def each_lesson(test):
    return pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)(test)


def read(path):
    return nbformat.read(path, as_version=4)


def kinds(slides):
    return [one.metadata["slideshow"]["slide_type"] for one in slides.cells]


def sources(slides):
    return [one.source for one in slides.cells]


def text(source):
    return cell(source, kind="markdown")


def picture(width, height):
    """A PNG's header in base64, as a notebook stores it."""
    header = struct.pack(">4sIIBBBBB", b"IHDR", width, height, 8, 2, 0, 0, 0)
    size, check = struct.pack(">I", 13), struct.pack(">I", zlib.crc32(header))
    return b64encode(b"\x89PNG\r\n\x1a\n" + size + header + check).decode()


# What goes on which slide.


def test_a_heading_begins_a_slide_also_inside_a_cell():
    slides = deck(lesson(text("# A\n\nWords.\n\n## B\n\nMore.\n### C\nLast."), cell("1 + 1")))
    assert sources(slides) == ["# A\n\nWords.", "## B\n\nMore.\n\n### C\n\nLast.", "1 + 1"]
    assert kinds(slides) == ["slide", "slide", "-"]


def test_a_heading_in_code_or_after_a_number_sign_is_none():
    fenced = "# A\n\n```\n## comment\n\nx\n```\n\n#hash"
    assert sources(deck(lesson(text(fenced), cell("# comment\nx")))) == [fenced, "# comment\nx"]


def test_lists_and_formulas_keep_their_shape():
    source = ("# A\n\nItems:\n- one\n  goes on\n- two\n\n1. first\n\n$$ a\n\n+ b $$\n\n"
              "| a | b |\n|---|---|")
    assert sources(deck(lesson(text(source)))) == [source]
    assert [block.text for block in blocks.text_blocks(source)][1:4] == [
        "Items:", "- one\n  goes on", "- two"]


def test_a_full_page_goes_on_below_under_the_same_title():
    paragraphs = [f"{number} " + 70 * "word " for number in range(8)]
    slides = deck(lesson(text("## Long\n\n" + "\n\n".join(paragraphs))))
    assert kinds(slides) == ["slide"] + (len(slides.cells) - 1) * ["subslide"]
    assert len(slides.cells) > 1
    assert all(one.source.startswith('<p class="again">Long</p>') for one in slides.cells[1:])
    found = re.findall(r"(?m)^\d ", "\n".join(sources(slides)))
    assert found == [f"{number} " for number in range(8)]
    for one in slides.cells:
        assert sum(blocks.text_height(block) for block in blocks.text_blocks(one.source)) < 800


def test_a_heading_is_not_left_alone():
    slides = deck(lesson(text("## High"), cell("\n".join(26 * ["x"]))))
    assert kinds(slides) == ["slide", "-"]


def test_solutions_tests_and_imports_are_left_out():
    slides = deck(lesson(
        text("# A"), cell("import os\n\nfrom a import b"), cell("x = 1", "x", True),
        cell("assert x", "t", points=1), cell("import os\nos.name")))
    assert sources(slides) == ["# A", "import os\nos.name"]


def test_code_and_a_figure_that_do_not_fit_together_are_two_pages():
    data = {"image/png": picture(900, 900), "text/plain": "A curve."}
    figure = v4.new_output("display_data", data)
    for lines, expected in [(3, ["slide", "-"]), (20, ["slide", "-", "subslide", "-"])]:
        one = cell("\n".join(lines * ["x"]))
        one.outputs = [figure]
        slides = deck(lesson(text("# A"), one))
        assert kinds(slides) == expected
        (shown,) = [output for found in slides.cells for output in found.get("outputs", [])]
        assert shown.metadata["image/png"]["alt"] == "A curve."
    assert blocks.HIDE in slides.cells[-1].metadata["tags"]
    assert blocks.png_size(picture(640, 480)) == (640, 480)


def test_the_source_is_left_as_it_is():
    source = lesson(text("# A"), cell("1"))
    before = source.copy()
    deck(source)
    assert source == before


# The page.


@pytest.fixture(scope="module", autouse=True)
def reveal():
    try:
        return html.reveal()
    except ConfigurationError as error:
        pytest.skip(str(error))


def written(folder, slides, name="slides"):
    path = folder / f"{name}.html"
    path.write_text(page(slides, name), encoding="utf-8")
    return path


def headings(notebook):
    """How many headings of level 1 and 2 stand in the markdown cells, outside code."""
    found = 0
    for one in notebook.cells:
        if one.cell_type == "markdown":
            plain = re.sub(r"(?ms)^```.*?^```", "", one.source)
            found += len(re.findall(r"(?m)^##? ", plain))
    return found


def squeezed(text):
    return "".join(text.split())


def secret(notebook):
    """Lines that stand in solutions and tests only."""
    hidden, shown = set(), ""
    for one in notebook.cells:
        if student.is_solution(one) or student.is_test(one):
            hidden |= {squeezed(line) for line in one.source.splitlines() if len(line) > 25}
        else:
            shown += squeezed(one.source)
    return {line for line in hidden if line not in shown}


@each_lesson
def test_a_lesson_as_slides(path, tmp_path):
    source = read(path)
    tree = BeautifulSoup(page(deck(source), path.stem), "html.parser")
    columns = tree.select(".slides > section")
    assert len(columns) == headings(source) > 5
    assert all(column.select(":scope > section") for column in columns)
    shown = squeezed(tree.get_text())
    lines = secret(source)
    assert len(lines) > 5
    assert [line for line in lines if line in shown] == []
    figures = sum("image/png" in output.get("data", {}) for one in source.cells
                  if not student.is_solution(one) and not student.is_test(one)
                  for output in one.get("outputs", []))
    assert len(tree.select("section img")) == figures
    assert all(len(img["alt"]) > 20 for img in tree.select("section img"))
    assert not tree.select("script[src], link[href], img[src^=http], iframe[src^=http]")


def test_formulas_are_mathml():
    source = lesson(text("# A\n\nLet $x_i < 2$.\n\n$$ \\frac{1}{n} $$"))
    tree = BeautifulSoup(page(deck(source), "a"), "html.parser")
    inline, block = tree.select("math")
    assert (inline["display"], block["display"]) == ("inline", "block")
    assert [one.get_text() for one in inline.select("mi, mo, mn")] == ["x", "i", "<", "2"]
    assert [one.get_text() for one in block.select("mfrac > *")] == ["1", "n"]


def test_the_command_writes_slides(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("notebooks").mkdir()
    nbformat.write(lesson(text("# A"), text("## B"), text("Words.")), "notebooks/10_a.ipynb")
    assert main(["slides"]) == 0
    assert "2 topics, 2 slides" in capsys.readouterr().out
    assert "Words." in Path("build/slides/10_a.slides.html").read_text(encoding="utf-8")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(html.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="make slides"):
        page(deck(lesson(text("# A"))), "a")


# In a browser.


@pytest.fixture(scope="module")
def browser(reveal, tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("profile")))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield browser
            browser.close()


# Shows page after page; returns [how many, what is too large].
WALK = """async () => {
  const found = [];
  let pages = 0, last = null;
  for (; Reveal.getCurrentSlide() !== last; pages += 1, Reveal.next()) {
    const slide = last = Reveal.getCurrentSlide(), {h, v} = Reveal.getIndices();
    await new Promise(drawn => requestAnimationFrame(() => setTimeout(drawn)));
    const say = text => found.push(`page ${h + 1}.${v + 1} ${text}`);
    if (slide.scrollHeight > 800) say(`is ${slide.scrollHeight} pixels high`);
    for (const part of slide.querySelectorAll(".jp-InputArea pre, p, li, math, img, table, iframe"))
      if (part.scrollWidth > part.clientWidth + 1 && part.matches("pre")
          || part.getBoundingClientRect().right > innerWidth)
        say(`${part.tagName} is too wide: ${part.textContent.slice(0, 60)}`);
  }
  return [pages, found];
}"""


@contextmanager
def opened(browser, path, wrong):
    """The first page of a deck; what goes wrong is added to the list."""
    with browser.new_context(viewport={"width": 1280, "height": 800}, offline=True) as context:
        tab = context.new_page()
        tab.on("request", lambda one: wrong.append(f"asks for {one.url}")
               if one.url.startswith(("http", "ws")) else None)
        tab.on("requestfailed", lambda one: wrong.append(f"does not get {one.url[:60]}"))
        tab.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        tab.goto(path.as_uri())
        tab.wait_for_function("window.Reveal && Reveal.isReady()", timeout=20_000)
        yield tab


def walk(browser, path):
    """Go through a deck; returns how many pages there are, and what is wrong."""
    wrong = []
    with opened(browser, path, wrong) as tab:
        pages, found = tab.evaluate(WALK)
    return pages, wrong + found


@pytest.mark.browser
def test_the_arrow_key_moves_to_the_next_page(browser, tmp_path):
    parts, wrong = ["# A", "## B\n\n" + "\n\n".join(6 * [70 * "word "]), "## C"], []
    path = written(tmp_path, deck(lesson(*map(text, parts))))
    with opened(browser, path, wrong) as tab:
        seen = []
        for key in 4 * ["ArrowRight"] + ["ArrowLeft"]:
            seen.append(tab.evaluate("Reveal.getCurrentSlide().innerText").split()[0])
            tab.keyboard.press(key)
        seen.append(tab.evaluate("Reveal.getIndices().h"))
    assert seen == ["A", "B", "B", "C", "C", 1]
    assert wrong == []


@pytest.mark.browser
def test_a_deck_is_printed_page_by_page(browser, tmp_path):
    path = written(tmp_path, deck(lesson(text("# A"), text("## B"), text("## C"))))
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto(path.as_uri() + "?print-pdf")
        tab.wait_for_selector(".pdf-page >> nth=2")
        pages = re.findall(rb"/Type\s*/Page\b", tab.pdf(prefer_css_page_size=True))
    assert len(pages) == 3


@pytest.mark.browser
@each_lesson
def test_a_browser_shows_all_pages_offline_and_nothing_is_cut_off(browser, path, tmp_path):
    slides = deck(read(path))
    seen, wrong = walk(browser, written(tmp_path, slides, path.stem))
    assert wrong == []
    assert seen == len(kinds(slides)) - kinds(slides).count("-")


@pytest.mark.browser
def test_the_walk_itself_finds_what_is_wrong(browser, tmp_path):
    parts = ["# Good", "## High\n\n" + 40 * "word\n\n",
             "## Far\n\n![picture](http://192.0.2.1/a.png)"]
    slides = v4.new_notebook(cells=[text(part) for part in parts])
    slides.cells.append(v4.new_code_cell(200 * "wide "))
    for one in slides.cells:
        one.metadata["slideshow"] = {"slide_type": "slide"}
    seen, wrong = walk(browser, written(tmp_path, slides))
    assert seen == 4
    found = "\n".join(wrong)
    assert re.search(r"page 2\.1 is \d+ pixels high", found)
    assert "asks for http://192.0.2.1/a.png" in found
    assert "page 4.1 PRE is too wide" in found
    assert "page 1.1" not in found

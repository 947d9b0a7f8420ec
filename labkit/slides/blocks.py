"""A lesson cut into what stays together on a slide, each with its height.

    markdown cell   ->  heading, paragraph, item of a list, table, formula, fenced code
    code cell       ->  code with its outputs, or one after the other where a page is too small

Heights are estimated, in the pixels of a page; tests/test_slides.py measures them in a browser.
"""

from __future__ import annotations

import base64
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

from nbformat import v4

from labkit.student import is_solution, is_test

WIDTH, HEIGHT = 1280, 800
ROOM = 720
"""Pixels for blocks on a page: the rest is margin."""
TEXT, CODE, HEADING, GAP = 34, 26, 74, 16
"""Pixels of a line of text, of a line of code, of a heading, and between blocks."""
COLUMNS, CODE_COLUMNS = 88, 100
"""Characters in a line of text, and of printed output."""
TALLEST, WIDEST = 480, 1150
"""Pixels of a figure at most; it is shrunk to them."""
FRAME, ZOOM = 650, 0.7
"""Pixels of a replay, and how much it is shrunk."""
SCROLLS = 16
"""Lines of printed output that are shown; the rest is there to scroll to."""
HIDE = "hide-input"
"""Tag of a cell of which only the outputs are shown."""


@dataclass
class Block:
    """What stays together on a slide."""

    height: float
    """Pixels."""
    text: str = ""
    """Markdown; empty for code and outputs."""
    cell: Any = None
    level: int = 0
    """Of a heading: 1 for ``#``; 0 for what is no heading."""
    tight: bool = False
    """Whether it follows the block before it without an empty line, as list items do."""


def blocks(notebook):
    """The blocks of a lesson, without its solutions and tests."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found += text_blocks(cell.source)
        elif cell.cell_type == "code" and not is_solution(cell) and not is_test(cell):
            found += code_blocks(cell) if not only_imports(cell) else []
    return found


def only_imports(cell):
    """Whether a cell does nothing that is worth a slide."""
    lines = [line for line in cell.source.splitlines() if line.strip()]
    return all(re.match(r"(from|import|%) ?", line) for line in lines)


def text_blocks(source):
    """Headings, paragraphs, items of lists, tables, formulas and fenced code, each a block."""
    found, fenced, formula, empty = [], False, False, True
    for line in source.split("\n"):
        inside = fenced or formula
        fenced ^= line.lstrip().startswith("```")
        formula ^= line.count("$$") % 2 == 1
        item = re.match(r"([-*]|\d+\.) ", line)
        heading = re.match(r"(#+) ", line)
        if not line.strip() and not inside:
            empty = True
        elif not inside and (empty or item or heading):
            found.append(Block(0, line, level=len(heading[1]) if heading else 0,
                               tight=bool(item and not empty)))
            empty = bool(heading)
        else:
            found[-1].text += "\n" + line
    for block in found:
        block.height = text_height(block)
    return found


def text_height(block):
    """Pixels that a piece of markdown takes."""
    lines = block.text.split("\n")
    if block.level:
        return HEADING
    if lines[0].lstrip().startswith("```"):
        return CODE * len(lines) + GAP
    if lines[0].startswith("|"):
        return 1.3 * TEXT * len(lines) + GAP
    displayed = len(re.findall(r"(?s)\$\$.*?\$\$", block.text))
    plain = re.sub(r"(?s)\$\$.*?\$\$", "", block.text)
    plain = re.sub(r"\]\([^)]*\)|\\[a-zA-Z]+", "", plain)
    return TEXT * math.ceil(len(plain) / COLUMNS) + 3 * TEXT * displayed + GAP


def code_blocks(cell):
    """One block for the code and one for the outputs, or one for both if they fit on a page."""
    code = v4.new_code_cell(cell.source)
    outputs = [described(output) for output in cell.outputs]
    high = CODE * (cell.source.count("\n") + 1) + 2 * GAP
    results = sum(output_height(output) for output in outputs)
    if not outputs or high + results <= ROOM - HEADING:
        code.outputs = outputs
        return [Block(high + results, cell=code)]
    shown = v4.new_code_cell("", outputs=outputs, metadata={"tags": [HIDE]})
    return [Block(high, cell=code), Block(results, cell=shown)]


def described(output):
    """A copy of an output whose figure has its description as a text for those who hear it."""
    output = output.copy()
    if "image/png" in output.get("data", {}):
        output.metadata = {"image/png": {"alt": output.data.get("text/plain", "")}}
    return output


def output_height(output):
    """Pixels that an output takes."""
    data = output.get("data", {})
    if "image/png" in data:
        width, height = png_size(data["image/png"])
        return min(height * min(1, WIDEST / width), TALLEST) + GAP
    page = data.get("text/html", "")
    if page.startswith("<iframe"):
        return FRAME + GAP
    if "width: 1px" in page[:200]:                   # a description for those who hear it
        return 0
    text = output.get("text") or data.get("text/html") or data.get("text/plain", "")
    text = text or "\n".join([*output.get("traceback", []), output.get("evalue", "")])
    lines = sum(max(1, math.ceil(len(line) / CODE_COLUMNS)) for line in text.rstrip().split("\n"))
    return CODE * min(lines, SCROLLS) + GAP


def png_size(data):
    """(Width, height) of a picture in base64, from its header."""
    return struct.unpack(">II", base64.b64decode(data[:64])[16:24])

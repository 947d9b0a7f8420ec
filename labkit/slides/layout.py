"""What goes on which slide.

    # Title          slide        ->   a column for each heading
    text             |
    ## Heading       slide             |  a new slide below it
    text, code       |                 |  when the page is full
    figure           subslide          v

Blocks are laid on a page as long as they fit. What reveal.js calls a slide is a column; its pages
are the subslides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from nbformat import v4

from labkit.slides.blocks import CODE, GAP, ROOM, Block, blocks


@dataclass
class Slide:
    """Blocks on one page."""

    column: bool
    """Whether it begins a column."""
    blocks: list = field(default_factory=list)

    def height(self):
        return sum(block.height for block in self.blocks)


def deck(notebook):
    """A new notebook whose cells are laid on slides by ``metadata.slideshow.slide_type``.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        A lesson with its outputs, which is left as it is.

    Returns
    -------
    nbformat.NotebookNode
        Cells with ``slide_type`` ``"slide"`` (begins a column), ``"subslide"`` (begins a page), or
        ``"-"`` (goes on).
    """
    cells = [cell for slide in pages(blocks(notebook)) for cell in as_cells(slide)]
    return v4.new_notebook(cells=cells, metadata=notebook.metadata)


def pages(found):
    """Lay blocks on slides; a heading begins a column, a full page the next one below."""
    slides, title = [], ""
    for block in found:
        if block.level in (1, 2) or not slides:
            slides.append(Slide(column=True))
            title = block.text.lstrip("# ") if block.level else ""
        elif slides[-1].height() + block.height > ROOM and not lonely(slides[-1]):
            slides.append(Slide(column=False))
            if title:
                again = f'<p class="again">{title}</p>'
                slides[-1].blocks.append(Block(CODE + GAP, again))
        slides[-1].blocks.append(block)
    return slides


def lonely(slide):
    """Whether a slide has a heading and nothing else; what follows has to stay with it."""
    return all(block.level or block.text.startswith("<p class") for block in slide.blocks)


def as_cells(slide):
    """The cells of a slide: neighbouring texts are one cell."""
    cells, kind = [], "slide" if slide.column else "subslide"
    for block in slide.blocks:
        if block.text and cells and cells[-1].cell_type == "markdown":
            cells[-1].source += ("\n" if block.tight else "\n\n") + block.text
        else:
            cells.append(v4.new_markdown_cell(block.text) if block.text else block.cell)
            cells[-1].metadata["slideshow"] = {"slide_type": "-" if len(cells) > 1 else kind}
    return cells

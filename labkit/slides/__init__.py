"""Lessons as slides: one HTML file each, which opens without network, kernel or server.

    source notebook  --deck-->  cells with slide_type  --page-->  build/slides/NAME.slides.html

Nothing is run: the outputs are those stored in the notebook. Tasks of exercises are shown, their
solutions and tests are not. Formulas become MathML, which browsers draw by themselves; reveal.js
and the styles are copied into the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

from labkit.lessons import find_lessons
from labkit.slides.html import page
from labkit.slides.layout import deck

__all__ = ["deck", "page", "write_slides"]


def write_slides(names=(), folder="notebooks", build="build/slides", out=None):
    """Write these lessons, or all, as slides, a line for each.

    Returns
    -------
    list of Path
        The files written, ``build/<name>.slides.html``.

    Raises
    ------
    ConfigurationError
        When there is no such lesson, or reveal.js is not installed.
    """
    written = []
    for path in find_lessons(names, folder):
        slides = deck(nbformat.read(path, as_version=4))
        written.append(Path(build) / f"{path.stem}.slides.html")
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        written[-1].write_text(page(slides, path.stem), encoding="utf-8")
        kinds = [cell.metadata["slideshow"]["slide_type"] for cell in slides.cells]
        print(f"{written[-1]}  {kinds.count('slide')} topics, "
              f"{kinds.count('slide') + kinds.count('subslide')} slides", file=out or sys.stdout)
    return written

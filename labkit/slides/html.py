"""A deck as one HTML file with all that it needs.

    nbconvert's template for reveal.js   without jQuery, RequireJS, Mermaid and MathJax, which it
                                         would fetch from the network
    reveal.js                            out of the package sphinx-revealjs, copied into the file
    $formula$                            MathML, by latex2mathml
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from jinja2 import pass_context
from nbconvert import SlidesExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from traitlets.config import Config

from labkit.errors import ConfigurationError
from labkit.slides import blocks

TEMPLATE = Path(__file__).with_name("slides.html.j2")
FILES = {"reveal_css": "dist/reveal.css", "reveal_theme_css": "dist/theme/white.css",
         "reveal_js": "dist/reveal.js"}


def page(deck, name):
    """The HTML of a deck: see `labkit.slides.layout`.

    Parameters
    ----------
    deck : nbformat.NotebookNode
        Cells with their ``slide_type``.
    name : str
        For the title of the page.

    Raises
    ------
    ConfigurationError
        When the packages of the extra ``slides`` are missing.
    """
    sizes = {key.lower(): getattr(blocks, key) for key in (
        "WIDTH", "HEIGHT", "TEXT", "CODE", "WIDEST", "TALLEST", "SCROLLS", "FRAME", "ZOOM")}
    resources = {"metadata": {"name": name}, "page": reveal() | sizes}
    hidden = {"enabled": True, "remove_input_tags": {blocks.HIDE}}
    config = Config({"TagRemovePreprocessor": hidden})
    html, _ = Exporter(config=config).from_notebook_node(deck, resources=resources)
    return html


def reveal():
    """The texts of reveal.js by their name in the template."""
    found = importlib.util.find_spec("sphinx_revealjs")
    if not found or not importlib.util.find_spec("latex2mathml"):
        raise ConfigurationError("the packages for slides are missing",
                                 expected="sphinx-revealjs and latex2mathml",
                                 remedy="run make slides, or pip install 'labkit[slides]'")
    folder = Path(found.submodule_search_locations[0]) / "_static" / "revealjs"
    return {name: (folder / file).read_text(encoding="utf-8") for name, file in FILES.items()}


class Exporter(SlidesExporter):
    """nbconvert's slides with a page that fetches nothing, and formulas as MathML."""

    def __init__(self, **how):
        super().__init__(**how, raw_template=TEMPLATE.read_text(encoding="utf-8"),
                         exclude_input_prompt=True, exclude_output_prompt=True,
                         exclude_anchor_links=True)

    @pass_context
    def markdown2html(self, context, source):
        renderer = Renderer(escape=False, exclude_anchor_links=True)
        return MarkdownWithMath(renderer=renderer).render(source)


class Renderer(IPythonRenderer):
    """Markdown as HTML, formulas as MathML."""

    def inline_math(self, body):
        return mathml(body, "inline")

    def block_math(self, body):
        return mathml(body, "block")


def mathml(formula, display):
    """A formula in TeX as MathML."""
    from latex2mathml.converter import convert

    return convert(formula.strip(), display=display)

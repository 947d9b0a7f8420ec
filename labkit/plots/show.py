"""A figure in a notebook, with its description in words."""

from __future__ import annotations

import html
import io

import matplotlib.pyplot as plt

from labkit.errors import ConfigurationError
from labkit.plots.words import describe, whole

DPI = 100
SHARPNESS = 2         # pixels a point of the screen, for projectors and fine displays
SHORTEST = 40
HIDDEN = ('<p style="position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; '
          'clip-path: inset(50%)">{}</p>')


def show(figure, alt=None):
    """Show a figure as a PNG that carries its description.

    Those who cannot see the figure hear `alt`: JupyterLab gives a PNG no description, so it
    follows the picture as text that only screen readers find. Whoever compares a lesson's
    outputs reads it too: a picture's bytes differ from machine to machine, its description
    does not.

    Parameters
    ----------
    figure : Figure, Axes, or sequence of Axes
    alt : str, optional
        What the figure shows, in a sentence or two; by default what `labkit.plots.describe` says
        of it.

    Raises
    ------
    ConfigurationError
        For a description of fewer than 40 characters, and for a figure without one that was not
        drawn by `labkit.plots`.
    """
    from IPython.display import display

    png, alt, width = png_of(figure, alt)
    display({"image/png": png, "text/plain": alt}, raw=True,
            metadata={"image/png": {"alt": alt, "width": width}})
    display({"text/html": HIDDEN.format(html.escape(alt)), "text/plain": ""}, raw=True)


def png_of(figure, alt=None):
    """Return (PNG bytes, description, width in pixels of the screen), and close the figure.

    Parameters and errors are those of `show`.
    """
    alt = describe(figure) if alt is None else alt
    if len(alt) < SHORTEST:
        raise ConfigurationError("A figure needs a description.", got=repr(alt), where="alt=",
                                 expected=f"a sentence of {SHORTEST} characters or more",
                                 remedy="say what is on the axes and what can be seen")
    figure = whole(figure)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=SHARPNESS * DPI)
    plt.close(figure)              # or the notebook would show it a second time
    return png.getvalue(), alt, round(figure.get_figwidth() * DPI)

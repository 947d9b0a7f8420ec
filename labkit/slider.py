"""One knob: a figure for one setting, and a slider that draws it for the others.

    labkit.knob(lambda n: plots.timeline(simulate(n)), "workers", [2, 4, 8, 16], start=4)

    figure    for `start`; it stays, is stored with the lesson and is in its HTML
    slider    in a notebook with somebody at it; once it is moved, a second figure beside the first

A slider needs a kernel, so that an exported lesson has the first figure only.
"""

from __future__ import annotations

import base64
import html

from labkit.audience import audience
from labkit.errors import ConfigurationError
from labkit.plots.show import png_of, show

UNTOUCHED = "<em>Move the slider: the figure for that setting appears here.</em>"


def knob(draw, name, values, start):
    """Show a figure for one setting, and let the learner turn it.

    Parameters
    ----------
    draw : callable
        ``draw(value)`` returns a figure of `labkit.plots`, as Axes or Figure, or
        ``(figure, alt)`` with a description of its own. Its run should take less than a second.
    name : str
        What is set: "workers".
    values : sequence
        The slider's settings, in order.
    start
        One of them, of the figure that stays.

    Raises
    ------
    ConfigurationError
        If `start` is none of the values.
    """
    values = list(values)
    if start not in values:
        raise ConfigurationError("The knob starts at a setting that it does not have.",
                                 expected=f"one of {values}", got=repr(start), where="start=")
    show(*_drawn(draw, start))
    if audience() == "notebook":
        _show_slider(draw, name, values, start)


def _drawn(draw, value):
    """Return (figure, description or None)."""
    drawn = draw(value)
    return drawn if isinstance(drawn, tuple) and isinstance(drawn[-1], str) else (drawn, None)


def _show_slider(draw, name, values, start):
    import ipywidgets
    from IPython.display import display

    slider = ipywidgets.SelectionSlider(
        options=[(str(value), value) for value in values], value=start, description=name,
        continuous_update=False, style={"description_width": "initial"})
    picture = ipywidgets.HTML(UNTOUCHED)

    def redraw(change):
        picture.value = _picture(draw, name, change["new"])

    slider.observe(redraw, names="value")
    display(ipywidgets.VBox([slider, picture]))


def _picture(draw, name, value):
    """Return an HTML image for one setting, or what went wrong with it."""
    try:
        png, alt, width = png_of(*_drawn(draw, value))
    except Exception as error:           # nobody would see it: a callback has no cell
        return f"<pre>{html.escape(f'{name} = {value}: {error}')}</pre>"
    data = base64.b64encode(png).decode()
    return (f'<img src="data:image/png;base64,{data}" width="{width}" '
            f'alt="{html.escape(f"{name} = {value}. {alt}")}">')

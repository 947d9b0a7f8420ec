"""What all figures share: colours, markers, names, legends, bars of time.

    series 0   blue         o   ----      each differs from its neighbours in colour, marker and
    series 1   vermillion   s   - - -     line style, so that figures can be read in grey too
    series 2   green        ^   -.-.

Text is 10 points or more, legible on a projector; legends stand beside the data, not on them.
"""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.ticker import EngFormatter

from labkit.errors import ConfigurationError

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")
SERIES = [(BLUE, "o", "-"), (VERMILLION, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":"),
          (ORANGE, "v", (0, (5, 1))), (SKY, "P", (0, (3, 1, 1, 1)))]
GREY = "#595959"
LIGHT = "#d9d9d9"
NAME_WIDTH = 28              # characters of a line of a name, in legends and beside axes
NAME_LINES = 3


def check_some(name, values):
    """Refuse an argument that holds nothing to draw."""
    sized = [one for one in values.values() if hasattr(one, "__len__")]
    if not values or not all(map(len, sized)):
        raise ConfigurationError("There is nothing to draw.", expected="one entry or more",
                                 got=repr(values), where=f"{name}=")


def axes(ax, width=7.0, height=3.2):
    """Return `ax`, or the Axes of a new figure of that size in inches."""
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def two_axes(ax, width, height, rows=1, columns=2, **options):
    """Return `ax`, a pair of Axes, or two of a new figure of that size in inches."""
    if ax is None:
        _, ax = plt.subplots(rows, columns, figsize=(width, height), layout="constrained",
                             **options)
    if np.size(ax) != 2:
        raise ConfigurationError("This figure has two panels.", got=f"{np.size(ax)} Axes",
                                 expected="two Axes, as from plt.subplots(1, 2)", where="ax=")
    return tuple(axes(one) for one in ax)


def series(number):
    """Return the colour, marker and line style of series `number`, as keywords for `Axes.plot`."""
    colour, marker, style = SERIES[number % len(SERIES)]
    look = dict(color=colour, marker=marker, linestyle=style)
    # Beyond six the colours come again, with hollow markers.
    return look | dict(markerfacecolor="white") if number // len(SERIES) % 2 else look


def layered(number):
    """Return the line width and marker size of series `number`.

    Curves that lie on each other stay visible: each is thinner than the one before.
    """
    return dict(linewidth=4.5 - 1.5 * min(number, 2), markersize=8 - 1.5 * min(number, 3))


def clock(runs):
    """Return what the seconds of these runs are called: a simulated number never goes without."""
    kinds = {run.world.simulated for run in runs}
    return {frozenset({True}): "virtual time", frozenset({False}): "time"}.get(
        frozenset(kinds), "time, virtual where simulated")


def rounded(value, unit):
    """Return a value with three digits and the prefix of its magnitude: 1.23 ms."""
    if not unit:
        return f"{value:,}"
    return EngFormatter(unit, places=None).format_data(float(f"{value:.3g}"))


def digits(value):
    """Return a number with three digits, without an exponent where it has less than ten."""
    value = float(f"{value:.3g}")
    return f"{value:g}" if value < 1000 else f"{value:,.0f}" if value < 1e9 else f"{value:.0e}"


def wrapped(name, width=NAME_WIDTH):
    """Return a name in lines of at most `width` characters, and at most three of them."""
    lines = textwrap.wrap(str(name), width) or [""]
    if len(lines) > NAME_LINES:
        lines = [*lines[:NAME_LINES - 1], lines[NAME_LINES - 1][:width - 3] + " ..."]
    return "\n".join(lines)


def shortened(name, width=NAME_WIDTH):
    """Return a name of one line: where there are many rows, none may take two."""
    return name if len(name) <= width else name[:width - 4] + " ..."


def legend(ax, handles=None, **options):
    """Name what is drawn, to the right of the axes, where it hides nothing."""
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False,
                  **options)


def bars(ax, spans, rows, height, upright=False, **options):
    """Draw spans of time as bars, each in its row, as one artist: a patch each is slow.

    Parameters
    ----------
    ax : Axes
    spans : ndarray, shape (n, 2)
        Start and end.
    rows : ndarray, shape (n,)
    height : float
    upright : bool
        Whether the spans are vertical, and the rows columns.
    **options
        Of `PolyCollection`.
    """
    if not len(spans):
        return
    (left, right), rows = np.asarray(spans, float).T, np.broadcast_to(rows, len(spans))
    low, high = rows - height / 2, rows + height / 2
    corners = np.stack([np.stack([left, low], 1), np.stack([left, high], 1),
                        np.stack([right, high], 1), np.stack([right, low], 1)], 1)
    if upright:
        corners = corners[:, :, ::-1]
    ax.add_collection(PolyCollection(corners, **{"linewidth": 0, **options}))

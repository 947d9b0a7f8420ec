"""What a figure shows, in words: for those who cannot see it, and for comparing lessons.

    ax = plots.speedup(sweep)        each plot leaves its sentences with its Axes
    labkit.show(ax)                  shows the figure with them
    plots.describe(ax)               returns them, to be changed or added to

A number of a real run differs from run to run, and the lessons' stored descriptions are compared
to the letter. So the sentences have numbers of simulated runs only, and else what is on the axes
and which curves there are.
"""

from __future__ import annotations

from labkit import words

MANY_NAMES = 8


def tell(ax, *sentences):
    """Leave sentences with an Axes, for `describe`; empty ones are left out."""
    ax.labkit_alt = " ".join(sentence for sentence in sentences if sentence)
    return ax


def describe(figure):
    """Return what a figure of `labkit.plots` shows, in words.

    Parameters
    ----------
    figure : Figure, Axes, or sequence of Axes
        Of a figure with several plots, all are described.

    Returns
    -------
    str
        "" if none of its Axes was drawn by a function of `labkit.plots`.
    """
    figure = whole(figure)
    return " ".join(ax.labkit_alt for ax in figure.axes if getattr(ax, "labkit_alt", ""))


def whole(figure):
    """Return the Figure of an Axes, or of several, or the Figure itself."""
    while not hasattr(figure, "get_figure"):
        figure = figure[0]                           # two Axes, or an array of them
    return figure.get_figure(root=True)


def listed(names):
    """Return "a, b and c"; of many, the first and the last."""
    names = list(names)
    if len(names) > MANY_NAMES:
        names = [", ".join(map(str, [*names[:3], "..."])), names[-1]]
    return words.listed(names)

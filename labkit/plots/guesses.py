"""A learner's prediction beside the model's and the measured number.

    your prediction   |  D             2 s  (4 times too low)
    model             |        s       7 s  (1.14 times too low)
    measured          |         *      8 s
                      +-----------

A prediction that is written down before the measurement can be wrong; one made afterwards cannot,
and teaches nothing.
"""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import EngFormatter, StrMethodFormatter

from labkit.errors import ConfigurationError
from labkit.guess import Guess
from labkit.plots import scales, style
from labkit.plots.words import listed, tell

ROWS = {"your prediction": (style.PURPLE, "D"), "model": (style.BLUE, "s"),
        "measured": (style.ORANGE, "*")}
FAR = 10                     # largest / smallest: beyond it an axis is logarithmic


def prediction_first(guess, model, measured, unit=None, question=None, simulated=False, ax=None):
    """Draw a learner's prediction, the model's and the measured number on one axis.

    Parameters
    ----------
    guess : Guess, float or None
        What `labkit.predict_first` has returned, or a number.
    model, measured : float or None
        None for what is not known yet: its row stays empty.
    unit : str, optional
        "s", "B", ...; "" for a count or a ratio. By default the Guess's.
    question : str, optional
        What was asked: the title. By default the Guess's.
    simulated : bool
        Whether the third number comes from a simulated run: it is called so then.
    ax : Axes, optional

    Returns
    -------
    Axes
        Logarithmic if the numbers differ by more than a factor of 10. Beside each number is the
        factor to the measured one.

    Raises
    ------
    ConfigurationError
        If none of the three is a number.
    """
    names = [*list(ROWS)[:2], "simulated" if simulated else "measured"]
    if isinstance(guess, Guess):
        unit = guess.unit if unit is None else unit
        question = guess.question if question is None else question
        names[0] = "stored prediction" if guess.stored else names[0]
        guess = guess.value
    unit, question = unit or "", question or ""
    values = dict(zip(names, (guess, model, measured)))
    known = [value for value in values.values() if value is not None]
    if not known or not np.isfinite(np.array(known, float)).all():
        raise ConfigurationError("There is no number to draw.", where="prediction_first",
                                 expected="finite numbers, or None for some",
                                 got=f"{guess!r}, {model!r}, {measured!r}")
    ax = style.axes(ax, width=8.0, height=2.3)
    for number, (name, value) in enumerate(values.items()):
        if value is not None:
            _draw_number(ax, number, name, value, measured, unit)
        else:
            ax.text(0.02, number, "not known yet", color=style.GREY, va="center",
                    transform=ax.get_yaxis_transform(), backgroundcolor="white")
    ax.set_yticks(range(len(names)), names)
    _finish_numbers(ax, known, unit, question)
    return tell(ax, f"Three numbers on one axis: {listed(names)}. The question: {question}")


def _draw_number(ax, number, name, value, measured, unit):
    colour, marker = list(ROWS.values())[number]
    ax.plot(value, number, marker=marker, color=colour, markeredgecolor="black", linestyle="none",
            markersize=16 if marker == "*" else 10, label=name, clip_on=False)
    text = f"{style.rounded(value, unit) if unit else f'{value:,.4g}'}"
    if number < 2 and measured:
        text += f"  ({factor(value, measured)})"
    # At the right edge, in a column: beside the markers they might leave the axes.
    ax.annotate(text, (1.02, number), xycoords=ax.get_yaxis_transform(), va="center")


def factor(value, measured):
    """Return how many times the measured number another one is, in words."""
    ratio = value / measured
    if ratio < 0 or 0.995 <= ratio < 1.005:
        return "of another sign" if ratio < 0 else "the same"
    if ratio == 0:
        return "none of it"
    if ratio > 1:
        return f"{style.digits(ratio)} times too high"
    return f"{style.digits(1 / ratio)} times too low"


def _finish_numbers(ax, known, unit, question):
    ax.set_ylim(len(ROWS) - 0.4, -0.6)
    ax.grid(axis="y", color=style.LIGHT)
    ax.set_axisbelow(True)
    if min(known) > 0 and max(known) > FAR * min(known):
        ax.set_xscale("log")
        ax.margins(x=0.1)
        scales.logarithmic(ax, "x", unit)
    else:
        ax.set_xlim(min(0, 1.15 * min(known)), max(0, 1.15 * max(known)) or 1)
        scales.few_ticks(ax, "x")
        ax.xaxis.set_major_formatter(EngFormatter(unit) if unit
                                     else StrMethodFormatter("{x:,g}"))
    ax.set_title(style.wrapped(question, 64), loc="left", fontsize=11)

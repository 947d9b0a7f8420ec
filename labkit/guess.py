"""A number that the learner writes down before anything is measured.

    guess = labkit.predict_first("How long will four workers take?", unit="s", stored=1.5)
    ...
    plots.prediction_first(guess, model=..., measured=...)
    print(f"predicted: {guess:g} s")

In a notebook a field asks for it, and nothing waits: whoever runs all cells at once has no
prediction, and the figure says so. Where nobody is there to answer, a stored answer stands in.

Source: predict, observe, explain: White and Gunstone, "Probing Understanding", 1992; Crouch et
al., "Classroom demonstrations: learning tools or entertainment?", Am. J. Phys. 72, 2004.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

from labkit.audience import audience
from labkit.errors import ConfigurationError


@dataclass
class Guess:
    """What was asked, and what somebody thought."""

    question: str
    unit: str
    """Of the value: "s", "B", "" for a plain number."""

    value: float | None = None
    """None as long as nobody has answered."""

    stored: bool = False
    """Whether the value is the lesson's, not the learner's."""

    def give(self, value):
        """Set the learner's value.

        Raises
        ------
        ConfigurationError
            If it is no finite number.
        """
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ConfigurationError("A prediction is a number.", got=repr(value),
                                     expected=f"a number of {self.unit or 'something'}")
        self.value, self.stored = number, False

    def __format__(self, spec):
        """Write the value into a sentence, as ``f"predicted: {guess:g}"``; it may be missing."""
        if not spec:
            return str(self)
        return "nothing" if self.value is None else format(self.value, spec)

    def __repr__(self):
        if self.value is None:
            return f"{self.question} No prediction yet."
        whose = "a stored prediction" if self.stored else "your prediction"
        return f"{self.question} {self.value:g} {self.unit}".rstrip() + f", {whose}."


def predict_first(question, unit="", stored=None):
    """Ask the learner for a number, and keep it.

    Parameters
    ----------
    question : str
        "How long will ...?"
    unit : str
        What the number is of.
    stored : float, optional
        What stands in for it in a headless run.

    Returns
    -------
    Guess
        For `labkit.plots.prediction_first`; `value` is None until there is an answer.
    """
    guess = Guess(question, unit)
    asked = audience()
    if asked == "notebook":
        _show_field(guess)
    elif asked == "terminal" and sys.stdin is not None and sys.stdin.isatty():
        guess.give(input(f"{question} [{unit}] "))
    else:
        if stored is not None:
            guess.give(stored)
            guess.stored = True
        print(guess)
    return guess


def _show_field(guess):
    """Show a field whose number goes to the guess when it is confirmed."""
    import ipywidgets
    from IPython.display import display

    question = ipywidgets.Label(guess.question)
    field = ipywidgets.Text(placeholder="your number, then Enter", description=guess.unit,
                            continuous_update=False)
    answer = ipywidgets.Label("")

    def keep(change):
        try:
            guess.give(change["new"])
            answer.value = f"Kept: {guess.value:g} {guess.unit}".rstrip()
        except ConfigurationError as error:
            answer.value = f"{error.what} Got {error.got}."

    field.observe(keep, names="value")
    display(ipywidgets.VBox([question, ipywidgets.HBox([field, answer])]))

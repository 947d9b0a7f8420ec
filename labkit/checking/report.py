"""What `labkit.check` found, as a learner reads it.

    Not right yet. Peer 1's value is counted twice in entries 4 to 7 (part 1) of peer 0's result.
      where: ...      case: 3 peers, size 12, seed 0      hint: ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from labkit.checking.exercise import Case
from labkit.errors import LabkitError
from labkit.records import Run


class WrongProgram(LabkitError, AssertionError):
    """A program that `labkit.check` has found wrong."""


@dataclass(frozen=True, repr=False)
class Report:
    """The outcome of a check."""

    ok: bool
    """Whether nothing wrong was found."""

    diagnosis: str = ""
    """What is wrong, in one sentence; "" if nothing is."""

    detail: str = ""
    """Where on the way it happened, if that is known."""

    hint: str = ""
    """What to look at."""

    kind: str = ""
    """A short name for this kind of mistake."""

    case: Case | None = None
    """The smallest case found that goes wrong so."""

    inputs: tuple[list, ...] = ()
    """That case's lists of parts: ``report.case.world().run(program, *report.inputs)``."""

    run: Run | None = None
    """That case's run; if peers wait for ever, the events up to there."""

    printed: str = ""
    """What the program printed in that run; all others are silent."""

    costs: tuple[Any, ...] = ()
    """`Cost` of undisturbed cases, by peers, for the largest size."""

    cases: int = 0
    """How many were run."""

    scope: str = field(default="", repr=False)
    """What they were, in words."""

    def timeline(self, ax=None):
        """Draw the case that went wrong (or one that went well); return the Axes."""
        from labkit.plots import timeline  # matplotlib takes half a second

        return timeline(self.run, ax=ax)

    def show(self):
        """Show the timeline in a notebook, with the diagnosis as its description."""
        from labkit.plots import show

        show(self.timeline(), alt=f"Timeline of a run with {self.case}. {self.diagnosis}".strip())

    def raise_if_wrong(self):
        """Raise WrongProgram with the diagnosis, unless all is right."""
        if not self.ok:
            raise WrongProgram(self.diagnosis, where=self.case, got=self.detail or None,
                               remedy=self.hint)

    def __repr__(self):
        return self._right() if self.ok else self._wrong()

    def _wrong(self):
        lines = {"more": self.detail, "case": str(self.case), "hint": self.hint}
        return "\n".join([f"Not right yet. {self.diagnosis}",
                          *(f"  {name}: {text}" for name, text in lines.items() if text)])

    def _right(self):
        rows = [f"{'peers':>7}{'messages':>10}{'bytes':>10}{'rounds':>8}{'virtual s':>12}"]
        rows += [f"{cost.n_peers:>7}{cost.messages:>10,}{cost.nbytes:>10,}{cost.rounds:>8}"
                 f"{cost.virtual_s:>12.3g}" for cost in self.costs]
        return "\n".join([f"Right in {self.scope}.", *rows])

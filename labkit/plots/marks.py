"""Marks of faults, alike in all figures: what happened to a worker, and when.

    injected    X    the fault strikes it             suspected   D    somebody misses it
    confirmed   s    it is known to be lost           recovered   ^    the others go on
"""

from __future__ import annotations

from matplotlib.lines import Line2D

from labkit.plots import style

MARKS = {"injected": (style.VERMILLION, "X", "-"), "suspected": (style.PURPLE, "D", ":"),
         "confirmed": ("black", "s", "--"), "recovered": (style.GREEN, "^", "-.")}


def workers_of(mark, run):
    """Return whom a mark is about: when others go on, those in place of whom they do."""
    if mark.kind == "recovered" and mark.label.endswith("go on"):
        return [loss.worker for loss in run.losses if loss.recovered_s == mark.start_s]
    return [mark.rank]


def places(run, kind):
    """Return when and to whom marks of a kind happened, as a list of (seconds, worker)."""
    return [(mark.start_s, worker) for mark in run.marks if mark.kind == kind
            for worker in workers_of(mark, run)]


def handles(marks, lines=True):
    """Return the legend's entries for the kinds of these marks."""
    kinds = {mark.kind for mark in marks}
    return [Line2D([], [], color=colour, marker=marker, linestyle=dashes if lines else "none",
                   markersize=8, markeredgecolor="white", label=kind)
            for kind, (colour, marker, dashes) in MARKS.items() if kind in kinds]


def in_words(run):
    """Return a sentence about a run's faults; the times of a simulated one are in it."""
    if not run.marks:
        return ""
    said = [f"{mark.label or 'a fault'} of worker {mark.rank}" + (
        f" at {style.rounded(mark.start_s, 's')}" if run.world.simulated else "")
        for mark in run.marks if mark.kind == "injected"]
    lost = sorted({loss.worker for loss in run.losses})
    return " ".join([f"Injected: {'; '.join(said)}." * bool(said),
                     f"Lost: worker{'s' * (len(lost) != 1)} {', '.join(map(str, lost))}."
                     * bool(lost)]).strip()

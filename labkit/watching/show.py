"""Rows become HTML for a notebook or a line for a terminal, and stay up to date.

    Notebook   one output that is replaced: display messages, from another thread; no port
    Terminal   one line of stderr, written over
    Nobody     in a notebook that is executed unattended: a sentence, the same each time
"""

from __future__ import annotations

import html
import sys

from labkit.plots import style

BAR_PX = 90
CELL = 'style="text-align: left; padding: 1px 12px 1px 0"'
HEADS = ("worker", "is at", "step", "steps/s", "messages", "bytes", "tasks", "faults")


class Notebook:
    """An output of the cell that runs, replaced with each update."""

    def __init__(self, alt):
        # Only where there is a kernel.
        from IPython.display import display

        self._alt = alt
        self._handle = display(self._bundle(""), raw=True, display_id=True)

    def update(self, rows, seconds, done):
        self._handle.update(self._bundle(table(rows, seconds, done)), raw=True)

    def end(self, rows, seconds, done):
        self.update(rows, seconds, done)

    def _bundle(self, content):
        return {"text/html": content or f"<p>{html.escape(self._alt)}</p>",
                "text/plain": self._alt}


class Terminal:
    """A line that is written over."""

    def __init__(self, out):
        self._out, self._wide = out, 0

    def update(self, rows, seconds, done, end=""):
        text = line(rows, seconds)
        self._out.write("\r" + text.ljust(self._wide) + end)
        self._out.flush()
        self._wide = len(text)

    def end(self, rows, seconds, done):
        if rows:
            self.update(rows, seconds, done, "\n")


class Nobody:
    """Shows nothing that changes."""

    def __init__(self, alt=""):
        if alt:
            from IPython.display import display

            display({"text/plain": alt}, raw=True)

    def update(self, rows, seconds, done):
        return

    end = update


def view(alt, kernel, looks, out=None):
    """Return what shows rows here.

    Parameters
    ----------
    alt : str
        What is said where nothing can be shown.
    kernel, looks : bool
        Whether there is a kernel, and somebody in front of it.
    out : file, optional
        The terminal; stderr by default.
    """
    out = out or sys.stderr
    if kernel:
        return Notebook(alt) if looks else Nobody(alt)
    return Terminal(out) if out is not None and out.isatty() else Nobody()


def table(rows, seconds, done):
    """Return rows as an HTML table.

    Parameters
    ----------
    rows : list of Row
    seconds : float
        Since the view was opened.
    done : list of str
        The runs that have ended, in words.
    """
    fastest = max([row.rate for row in rows], default=0.0)
    body = "".join(f"<tr>{''.join(f'<td {CELL}>{cell}</td>' for cell in _cells(row, fastest))}"
                   f"</tr>" for row in rows)
    heads = "".join(f'<th scope="col" {CELL}>{head}</th>' for head in HEADS)
    ended = "".join(f"<li>{html.escape(words)}</li>" for words in done[-5:])
    shown = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
    return (f'<div class="labkit-live"><p>{seconds:.1f} s, {len(done)} run{"s" * (len(done) != 1)} '
            f'ended</p>{shown}<ul>{ended}</ul></div>')


def _cells(row, fastest):
    share = row.rate / fastest if fastest else 0.0
    bar = (f'<span style="display: inline-block; height: 0.7em; width: {share * BAR_PX:.0f}px; '
           f'background: {style.BLUE}"></span> {row.rate:.0f}' if row.step >= 0 else "")
    return [row.number, html.escape(row.state), row.step if row.step >= 0 else "", bar,
            f"{row.messages:,}", style.rounded(row.nbytes, "B"), f"{row.tasks:,}",
            html.escape(row.faults)]


def line(rows, seconds):
    """Return rows as one line of text.

    >>> from labkit.watching.board import Row
    >>> line([Row(0, "works", step=7, messages=12), Row(1, "waits for peer 0", step=6)], 1.25)
    '1.2 s: 2 workers, 1 works, 1 waits; step 6 to 7; 12 messages, 0 B'
    """
    states = {}
    for row in rows:
        state = row.state.split()[0]
        states[state] = states.get(state, 0) + 1
    steps = sorted({row.step for row in rows if row.step >= 0})
    words = [f"{seconds:.1f} s: {len(rows)} workers, "
             + ", ".join(f"{number} {state}" for state, number in states.items())]
    if steps:
        words.append(f"step {steps[0]} to {steps[-1]}" if len(steps) > 1 else f"step {steps[0]}")
    tasks, nbytes = sum(row.tasks for row in rows), sum(row.nbytes for row in rows)
    words.append(f"{sum(row.messages for row in rows):,} messages, {style.rounded(nbytes, 'B')}")
    words += [f"{tasks:,} tasks"] * bool(tasks)
    words += [f"worker {row.number} {row.faults}" for row in rows if row.faults]
    return "; ".join(words)

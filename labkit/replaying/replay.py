"""What `labkit.replay` returns, and its twin with a kernel.

    Replay   HTML: plays wherever it is shown, also when the notebook is exported or reopened
    widget   traits: `time_s`, `selected`, `playing`, `filter` are the same here and there

HTML is the default since a notebook is read more often than it is run: a stored widget without
its kernel is an error message in JupyterLab, and needs a server for scripts in an export.
"""

from __future__ import annotations

from pathlib import Path

from labkit.errors import ConfigurationError
from labkit.plots import style
from labkit.replaying.encode import encode
from labkit.replaying.page import output, page
from labkit.replaying.picture import picture

LANE, LEAST, MOST = 26, 130, 440         # pixels a lane, and of all lanes
AROUND = 400                             # pixels of controls and words, roughly
SHORTEST = 40                            # of a description, as in `labkit.show`


def replay(run, *, width=None, height=None, title=None, alt=None, start_s=None, end_s=None):
    """Return a run as an interactive diagram, for a notebook or a file.

    Parameters
    ----------
    run : Run
        With its events recorded.
    width : int or str, optional
        In pixels, or as CSS has it; all the room there is by default.
    height : int, optional
        In pixels, of the whole; by default as much as the lanes need.
    title : str, optional
        Above the diagram; by default which world it was.
    alt : str, optional
        In words what it is, for those who cannot see it, and for comparing a lesson's outputs.
        By default with numbers if they are simulated; those of a real run differ each time.
    start_s, end_s : float, optional
        A part of the run, in its seconds. At most 10,000 events are shown, the first of the
        run or part; a line says so where there are more.

    Returns
    -------
    Replay

    Raises
    ------
    ConfigurationError
        For a part that ends before it begins, or a description of fewer than 40 characters.
    """
    if alt is not None and len(alt) < SHORTEST:
        raise ConfigurationError("A replay needs a description.", got=repr(alt), where="alt=",
                                 expected=f"a sentence of {SHORTEST} characters or more",
                                 remedy="leave it out, or say what the run is")
    return Replay(run, encode(run, start_s, end_s), _css(width), height, title, alt)


class Replay:
    """A run as an interactive diagram; made by `labkit.replay`."""

    def __init__(self, run, encoded, width, height, title, alt):
        self.alt = alt or describe(run)
        self.title = title or f"Replay: {run.world}"
        self.events = encoded.events
        self._encoded = encoded
        self._width, self._height = width, height
        lanes = min(max(LANE * encoded.data["workers"], LEAST), MOST)
        self.data = {**encoded.data, "title": self.title, "alt": self.alt, "lanes_px": lanes}

    def html(self):
        """Return a whole HTML page that needs no other file."""
        return page(self.data, picture(self._encoded, self.alt), self.title)

    def save(self, path):
        """Write the page to a file; return its path."""
        path = Path(path)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def widget(self):
        """Return the same as a widget, which this kernel can read and lead."""
        # Half a second, which those who only look need not wait.
        from labkit.replaying.widget import ReplayWidget

        return ReplayWidget(self)

    def _repr_html_(self):
        fixed = self._height is not None
        height = self._height if fixed else self.data["lanes_px"] + AROUND
        return output(self.html(), self.title, self.alt, self._width, height, fixed)

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": self._repr_html_(), "text/plain": self.alt}

    def __repr__(self):
        return self.alt


def describe(run):
    """Return in words what a replay is of; no number that differs from run to run.

    Parameters
    ----------
    run : Run
    """
    words = f"Replay of a run ({run.world})"
    if run.world.simulated:
        words += (f": {run.messages:,} message{'s' * (run.messages != 1)}, "
                  f"{style.rounded(run.nbytes, 'B')} in "
                  f"{style.rounded(run.seconds, 's')} of virtual time")
    return f"{words}. Play it, step through its events, or read them as a table."


def _css(width):
    return "100%" if width is None else width if isinstance(width, str) else f"{width}px"

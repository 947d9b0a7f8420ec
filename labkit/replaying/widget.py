"""A replay with a kernel behind it: what is selected there can be read here, and the reverse.

    widget = labkit.replay(run).widget()
    widget.observe(lambda change: print(widget.event), "selected")
    widget.time_s = 0.002                     # the diagram follows
    ipywidgets.jslink((widget, "time_s"), (other, "time_s"))

The script is that of `labkit.replay`; it draws into the notebook's page instead of a frame.
"""

from __future__ import annotations

import anywidget
import traitlets

from labkit.audience import audience
from labkit.replaying.page import SCRIPTS, source


class ReplayWidget(anywidget.AnyWidget):
    """A replay whose state is shared with the kernel; made by `Replay.widget`.

    Parameters
    ----------
    replay : Replay
    """

    _esm = source(*SCRIPTS)
    _css = source("replay.css")

    data = traitlets.Dict().tag(sync=True)
    time_s = traitlets.Float(0.0).tag(sync=True)
    """Where it stands, in the run's seconds."""
    selected = traitlets.Int(-1).tag(sync=True)
    """The place in `events` of the event that is described; -1 before the first."""
    playing = traitlets.Bool(False).tag(sync=True)
    filter = traitlets.Dict().tag(sync=True)
    """What is shown: {"peers": "0-3, 7", "steps": "2", "label": "allreduce", "kinds": [...]};
    what is left out is all."""

    def __init__(self, replay):
        self.events = replay.events
        self._replay = replay
        super().__init__(data=replay.data, time_s=replay.data["window"][0] / 1e9)

    @property
    def event(self):
        """The selected event; None before the first."""
        return self.events[self.selected] if 0 <= self.selected < len(self.events) else None

    def _repr_mimebundle_(self, **kwargs):
        # Whoever executes notebooks for an export or a comparison gets what lasts: HTML.
        bundle = self._replay._repr_mimebundle_()
        if audience() == "notebook":
            view = super()._repr_mimebundle_(**kwargs)
            bundle.update({mime: data for mime, data in (view[0] if isinstance(view, tuple)
                                                         else view).items()
                           if mime != "text/plain"})
        return bundle

    def __repr__(self):
        return self._replay.alt

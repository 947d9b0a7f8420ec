"""What `labkit.live` returns: a world whose runs can be watched.

    the notebook's thread    world.run(...), which waits until the run is over
    the view's thread        every 0.2 s: newest reports -> rows -> display

Only a cluster has something to show while it runs. The other worlds do all their work in the
notebook's own thread; of them, as of a cluster in the end, the record is shown.
"""

from __future__ import annotations

import contextlib
import threading
import time

from labkit.audience import audience, kernel
from labkit.watching.board import Board
from labkit.watching.show import view

PERIOD_S = 0.2


def live(world, period_s=PERIOD_S):
    """Return a world whose runs and maps are shown while they go on.

    In a notebook a table, a row a worker, as the output of the cell; in a terminal a line. In
    a notebook that is executed unattended a sentence, and nothing where nobody could see it.

    Parameters
    ----------
    world : World
    period_s : float
        Between two reports of a worker, and two updates of the view.

    Returns
    -------
    Live
        Use it as the world, or in a `with` block for all runs of the world inside. Whoever has
        opened the world closes it.
    """
    return Live(world, period_s)


class Live:
    """A world and a view of it; made by `labkit.live`. What it does not have, the world has."""

    def __init__(self, world, period_s=PERIOD_S):
        self._world = world
        self._period_s = period_s
        self._stack = None               # open while something is shown
        self._done = []

    def __getattr__(self, name):
        if name == "_world":             # while it is copied, before there is one
            raise AttributeError(name)
        return getattr(self._world, name)

    def __repr__(self):
        return f"<live {self._world!r}>"

    def __enter__(self):
        self._open()
        return self

    def __exit__(self, *exc_info):
        self._close()

    def run(self, *args, **options):
        """Run a program and show it; see `World.run`."""
        return self._shown(self._world.run, *args, **options)

    def map(self, *args, **options):
        """Run tasks and show them; see `World.map`."""
        return self._shown(self._world.map, *args, **options)

    def _shown(self, method, *args, **options):
        opened = self._stack is None
        if opened:
            self._open()
        try:
            return method(*args, **options)
        finally:
            if opened:
                self._close()

    # ---- the view

    def _open(self):
        self._began, self._done = time.time(), []
        self._stack = contextlib.ExitStack()
        self._listen_to("run")
        self._listen_to("map")
        self._board = self._reporting()
        # In the cell that runs, which may be another one than that which made this.
        alt = (f"Live view of {self._world!r}".split(" at ")[0].rstrip(">") + ">: what each "
               "worker is at, while a run goes on.")
        self._view = view(alt, kernel() is not None, audience() == "notebook")
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._refresh, daemon=True, name="labkit-live")
        self._thread.start()

    def _close(self):
        self._ends.set()
        self._thread.join()
        self._stack.close()              # with a last look at the workers
        self._stack = None
        rows = self._board.rows() if self._board else []
        for row in rows:
            row.rate = 0.0
        self._view.end(rows, time.time() - self._began, self._done)

    def _listen_to(self, name):
        """Note the record of every run inside, whoever starts it: an estimator, for example."""
        method = getattr(self._world, name)

        def noted(*args, **options):
            run = method(*args, **options)
            self._done.append(f"{name}: {run!r}")
            return run

        mine = vars(self._world)
        if name in mine:                 # of another view, which goes on
            self._stack.callback(mine.update, {name: mine[name]})
        else:
            self._stack.callback(mine.pop, name, None)
        mine[name] = noted

    def _reporting(self):
        """Have a cluster's workers report; return the Board, None of other worlds."""
        if not hasattr(self._world, "health"):
            return None
        from labkit.cluster.report import reports

        return Board(self._world, self._stack.enter_context(reports(self._world, self._period_s)))

    def _refresh(self):
        # A view must not disturb what it shows: whatever goes wrong ends the view, not the run.
        with contextlib.suppress(Exception):
            while self._board and not self._ends.wait(self._period_s):
                self._view.update(self._board.rows(), time.time() - self._began, self._done)

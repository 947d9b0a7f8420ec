"""Whether somebody is watching, and a bar for what takes longer than two seconds.

A lesson that runs headless (nbval, nbconvert, `make lessons`) shows no bar: its outputs would
differ from run to run.
"""

from __future__ import annotations

import contextlib
import sys

DELAY_S = 2


def audience():
    """Return who sees what is shown: "notebook", "terminal" or "nobody"."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        # A front end with a person in front of it lets a cell ask for input.
        return "notebook" if getattr(kernel, "_allow_stdin", False) else "nobody"
    return "terminal" if sys.stderr is not None and sys.stderr.isatty() else "nobody"


@contextlib.contextmanager
def progress(total, what):
    """Show a bar, from the third second on; yields a function to call after each step.

    Parameters
    ----------
    total : int
        How many steps there are.
    what : str
        What is being done, in two or three words.
    """
    if audience() == "nobody":
        yield lambda: None
        return
    from tqdm.auto import tqdm  # which imports ipywidgets in a notebook

    with tqdm(total=total, desc=what, delay=DELAY_S, leave=False) as bar:
        yield bar.update

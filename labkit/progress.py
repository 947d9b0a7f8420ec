"""A bar for what takes longer than two seconds, where somebody sees it.

A lesson that runs headless (nbval, nbconvert, `make lessons`) shows no bar: its outputs would
differ from run to run.
"""

from __future__ import annotations

import contextlib

from labkit.audience import audience

DELAY_S = 2


@contextlib.contextmanager
def progress(total, what):
    """Show a bar, from the third second on; yields a function to call after each step.

    Parameters
    ----------
    total : int or None
        How many steps there are; None where nobody knows: then it is the time that is shown.
    what : str
        What is being done, in two or three words.
    """
    if audience() == "nobody":
        yield lambda: None
        return
    from tqdm.auto import tqdm  # which imports ipywidgets in a notebook

    form = None if total else "{desc}: {elapsed}"
    with tqdm(total=total, desc=what, delay=DELAY_S, leave=False, bar_format=form) as bar:
        yield bar.update

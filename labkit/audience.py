"""Who is there to see what changes, and to answer: somebody at a notebook, a terminal, or nobody.

A kernel cannot see its front end, but is told with each cell whether a question to the user could
be answered. JupyterLab says yes; whatever executes notebooks unattended (nbconvert, nbval) no.
"""

from __future__ import annotations

import sys


def kernel():
    """Return the Jupyter kernel that this is, or None."""
    # Nobody has loaded IPython where there is none: do not be the first.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None)


def audience():
    """Return who is there: "notebook", "terminal" or "nobody"."""
    here = kernel()
    if here is not None:
        return "notebook" if getattr(here, "_allow_stdin", False) else "nobody"
    return "terminal" if sys.stderr is not None and sys.stderr.isatty() else "nobody"

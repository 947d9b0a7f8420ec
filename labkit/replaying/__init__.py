"""A run to play, stop and step through: an interactive space-time diagram.

    labkit.replay(run)              HTML with its own script: a notebook, an export, a file
    labkit.replay(run).widget()     the same with a kernel behind it, which can read and lead it

    encode   events become columns of integers           *.js, *.css   what runs in the browser
    page     columns become a page, a page an output     picture       what is there without it
    replay   the two objects above
"""

from labkit.replaying.replay import Replay, replay

__all__ = ["Replay", "replay"]

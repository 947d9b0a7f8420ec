"""What the workers are at while a run goes on, without a port and without a dashboard.

    with labkit.live(world):                 world = labkit.live(world)
        world.run(program, ...)              world.run(program, ...)

    board   reports of workers become rows, one a worker     show    rows become HTML, or a line
    live    the object above, and its thread                 where   who is there to see it
"""

from labkit.watching.live import Live, live

__all__ = ["Live", "live"]

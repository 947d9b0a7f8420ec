"""What the workers' time is spent on, and how many are busy at once.

    peer 0  |######--......    |   # at work   - sending   . waiting
    peer 1  |##########--......|     idle: has no task, is done, or is lost
             0 %            100 %  of the time that the run took (its makespan)

    busy    4 |__    ___
            2 |  |__|   |___       busy: at work or sending
              +------------- time

What counts as work is said in `labkit.plots.spans`.
"""

from __future__ import annotations

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.spans import activity, total, without
from labkit.plots.words import tell
from labkit.words import counted

KINDS = {"work": (style.BLUE, "", "at work"), "send": (style.ORANGE, "", "sending"),
         "lost": ("white", "////", "lost"), "recv": (style.LIGHT, "", "waiting")}
MANY_PEERS = 16              # names beyond this would overlap
MANY_CHANGES = 400           # of the number of busy workers: beyond, it is averaged in bins


def utilisation(run, ax=None, bins=200):
    """Draw the share of each worker's time at work, sending and waiting, and how many are busy.

    Parameters
    ----------
    run : Run
        With its events recorded.
    ax : pair of Axes, optional
    bins : int
        Of the number of busy workers, where it changes too often to be drawn as it is.

    Returns
    -------
    tuple of Axes
        Of the shares and of the number of busy workers. The rest of each bar is idle: a worker
        that has no task, is done with its program, or is lost.

    Raises
    ------
    ConfigurationError
        If no events were recorded, or no time has passed.
    """
    done, n = activity(run), run.world.workers
    shares = _shares(run, done)
    height = min(1.3 + 0.32 * n, 5.0)
    left, right = pair = style.two_axes(ax, width=10.5, height=max(3.2, height))
    shown = _draw_shares(left, shares, n)
    _draw_busy(right, run, done, bins)
    left.set_xlabel(f"share of the run  ({run.world})")
    right.set_xlabel(style.clock([run]))
    style.legend(right, shown)
    left.set_title(_summary(run, shares), loc="left", fontsize=10)
    tell(left, *_in_words(run, shares))
    return pair


def _shares(run, done):
    """Return {kind: ndarray with the share of each worker's time}, with "idle" for the rest."""
    if run.seconds <= 0 or not any(len(spans) for mine in done.values() for spans in mine.values()):
        raise ConfigurationError("There is no use of time to draw.", where="run", got=repr(run),
                                 expected="a run that takes time, with its events",
                                 remedy="run with record=True")
    shares = {kind: np.array([total(spans) for spans in mine.values()]) / run.seconds
              for kind, mine in done.items()}
    shares["idle"] = np.maximum(1 - sum(shares.values()), 0)
    return shares


def _draw_shares(ax, shares, n):
    """Draw bars that are stacked to the right; return what the legend says."""
    begun, shown = np.zeros(n), []
    for kind, (colour, hatch, name) in KINDS.items():
        look = dict(facecolor=colour, hatch=hatch, edgecolor=style.VERMILLION if hatch else "none")
        style.bars(ax, np.stack([begun, begun + shares[kind]], 1), np.arange(n),
                   0.7 if n <= MANY_PEERS else 1.0, label=name, **look)
        begun = begun + shares[kind]
        shown += [Patch(label=name, **look)] * bool(shares[kind].max() > 1e-3)
    ax.set_xlim(0, 1)
    ax.set_ylim(n - 0.4, -0.6)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if n <= MANY_PEERS:
        ax.set_yticks(range(n), [f"peer {rank}" for rank in range(n)])
    else:
        ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.set_ylabel("peer")
    return shown + [Patch(facecolor="white", edgecolor=style.GREY, label="idle")] * bool(
        shares["idle"].max() > 1e-3)


def busy(run, done, bins):
    """Return edges in seconds, and how many workers are at work or sending between them."""
    spans = [without(np.concatenate([done[kind][worker] for kind in ("work", "send", "lost")]),
                     np.empty((0, 2))) for worker in range(run.world.workers)]
    spans = np.concatenate(spans)
    times, order = np.unique(np.append(spans.ravel(), [0.0, run.seconds]), return_inverse=True)
    change = np.zeros(len(times))
    np.add.at(change, order[:-2].reshape(-1, 2)[:, 0], 1)
    np.add.at(change, order[:-2].reshape(-1, 2)[:, 1], -1)
    number = np.cumsum(change)[:-1]
    if len(times) <= MANY_CHANGES:
        return times, number
    # Bins get the mean: the difference of the worked time at their edges, over their width.
    worked_s = np.append(0.0, np.cumsum(number * np.diff(times)))
    edges = np.linspace(0.0, run.seconds, bins + 1)
    return edges, np.diff(np.interp(edges, times, worked_s)) / np.diff(edges)


def _draw_busy(ax, run, done, bins):
    edges, number = busy(run, done, bins)
    ax.stairs(number, edges, fill=True, color=style.SKY, linewidth=0)
    ax.stairs(number, edges, color=style.BLUE, linewidth=1.2)
    ax.axhline(run.world.workers, color=style.GREY, linestyle=(0, (6, 2)), linewidth=1.2)
    ax.set_xlim(0, run.seconds)
    ax.set_ylim(0, 1.08 * run.world.workers)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    scales.few_ticks(ax, "x")
    scales.engineering(ax.xaxis, "s")
    ax.set_ylabel("busy workers")


def _summary(run, shares):
    """Return the makespan and what it is made of."""
    virtual = "virtual " * run.world.simulated
    names = {kind: name for kind, (_, _, name) in KINDS.items()} | {"idle": "idle"}
    said = [f"{shares[kind].mean():.0%} {name}" for kind, name in names.items()
            if shares[kind].mean() >= 0.005]
    return (f"{counted(run.world.workers, 'worker')} for {style.rounded(run.seconds, 's')} "
            f"of {virtual}time:\n{', '.join(said)}")


def _in_words(run, shares):
    yield (f"Left, the share of the run's time that each of "
           f"{counted(run.world.workers, 'worker')} is at work, sending, waiting or idle. "
           "Right, the number of busy workers through time.")
    if run.world.simulated:
        idle_s = float(shares["idle"].sum() + shares["recv"].sum()) * run.seconds
        yield (f"The makespan is {style.rounded(run.seconds, 's')} of virtual time; waiting and "
               f"idle, the workers spend {style.rounded(idle_s, 's')} of theirs, summed up; "
               f"{shares['work'].mean():.0%} of their time is work.")

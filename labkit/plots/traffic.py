"""Who sends how much to whom: a matrix of senders and receivers.

              to 0   1   2  | sent
    from 0      .  10B   .  |  =         . nothing: white, with no number
         1    10B   .   80B |  ======    bright: much, on a logarithmic scale of colours
         ------------------
    received    |   |   H                totals: bars, the longest for the most

Its shape is the topology: a ring is a diagonal, a master a row and a column, and all-to-all is
everything but the diagonal.
"""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import EngFormatter

from labkit.errors import ConfigurationError
from labkit.plots import scales, style
from labkit.plots.words import tell

COLOURS = "cividis"          # even in lightness, also in grey and to colour-blind readers
FEW_PEERS = 8                # numbers fit into the cells of so many
MANY_PEERS = 16              # names beyond this would overlap
LEAST_RANGE = 4              # largest / smallest number on the scale of colours
MOST_CELLS = 250             # in a row: beyond, cells stand for blocks of peers
NAMES = {"nbytes": ("bytes", "B"), "messages": ("messages", "")}


def traffic(run, measure="nbytes", ax=None):
    """Draw what each peer sent to each other one, with the totals of rows and columns.

    Parameters
    ----------
    run : Run
        With its events recorded.
    measure : {"nbytes", "messages"}
    ax : Axes, optional

    Returns
    -------
    Axes
        Cells are white where no message was sent. A message of no bytes counts as one byte for
        its colour, or it would look like none.

    Raises
    ------
    ConfigurationError
        For another measure, and for a run whose messages were not recorded.
    """
    if measure not in NAMES:
        raise ConfigurationError("Messages have no such number.", got=repr(measure),
                                 expected=", ".join(map(repr, NAMES)), where="measure=")
    sent, amount = matrices(run, measure)
    n = len(sent)
    side = min(2.0 + 0.68 * n, 6.2)
    ax = style.axes(ax, width=side + 2.2, height=side)
    norm = _draw_cells(ax, *_blocks(sent, amount), n)
    _draw_totals(ax, amount)
    if n <= FEW_PEERS and _room(ax, n):
        _write(ax, sent, amount, norm, NAMES[measure][1])
    _finish(ax, run, n, NAMES[measure])
    return tell(ax, *_in_words(run, sent, measure))


def matrices(run, measure):
    """Return two ndarrays of shape (n, n): how many messages were sent, and the measure.

    Rows are senders, columns receivers.
    """
    n = run.world.workers
    sends = [event for event in run.events if event.kind == "send"]
    if not sends and run.messages:
        raise ConfigurationError(
            "There are no messages to draw.", where="run", got=repr(run),
            expected="a run with messages between peers, recorded",
            remedy="run with record=True; the tasks of a map send none to each other")
    sent, amount = np.zeros((n, n), np.int64), np.zeros((n, n), np.int64)
    for event in sends:
        sent[event.rank, event.peer] += 1
        amount[event.rank, event.peer] += event.nbytes if measure == "nbytes" else 1
    return sent, amount


def block_of(n):
    """Return how many peers share a row or a column of cells, so that each is a pixel at least."""
    return -(-n // MOST_CELLS)


def _blocks(sent, amount):
    """Return both matrices, of many peers summed over blocks: none may fall between pixels."""
    block = block_of(len(sent))
    starts = range(0, len(sent), block)
    return (np.add.reduceat(np.add.reduceat(one, starts, 0), starts, 1) for one in (sent, amount))


def _draw_cells(ax, sent, amount, n):
    """Draw the cells; return what turns a number into a place on the scale of colours."""
    shown = np.ma.masked_where(sent == 0, np.maximum(amount, 1))
    values = shown.compressed()
    low, high = (values.min(), values.max()) if len(values) else (1, 1)
    if high < LEAST_RANGE * low:                     # or what is as good as equal would look unlike
        middle = np.sqrt(low * high)
        low, high = middle / np.sqrt(LEAST_RANGE), middle * np.sqrt(LEAST_RANGE)
    norm = LogNorm(low, high)
    width = len(sent) * block_of(n)                  # the last block may be less than full
    ax.imshow(shown, norm=norm, cmap=COLOURS, interpolation="nearest",
              extent=(-0.5, width - 0.5, width - 0.5, -0.5))
    lines = np.arange(n + 1) - 0.5 if n <= MANY_PEERS else [-0.5, n - 0.5]
    for lines_of in (ax.vlines, ax.hlines):
        lines_of(lines, -0.5, n - 0.5, color=style.LIGHT if n <= MANY_PEERS else style.GREY,
                 linewidth=0.8)
    return norm


def _margin(n):
    """Return where the bars of totals begin and how long the longest is, in cells."""
    return (n - 0.25, 1.0) if n <= MANY_PEERS else (1.02 * n - 0.5, 0.1 * n)


def _draw_totals(ax, amount):
    n = len(amount)
    begin, length = _margin(n)
    for axis, upright in ((1, False), (0, True)):
        totals = amount.sum(axis=axis)
        ends = begin + length * totals / max(totals.max(), 1)
        style.bars(ax, np.stack([np.full(n, begin), ends], 1), np.arange(n),
                   0.8 if n <= MANY_PEERS else 1.0, upright=upright, color=style.SKY)
    end = begin + length
    ax.set_xlim(-0.5 - 0.01 * n, end + 0.01 * n)
    ax.set_ylim(end + 0.01 * n, -0.5 - 0.01 * n)
    _name_ticks(ax, n, begin + length / 2)


def _room(ax, n):
    """Whether a number fits into a cell: 36 points for 12 kB."""
    figure = ax.get_figure(root=True)
    return ax.get_position().width * figure.get_figwidth() * 72 / (n + 1.3) >= 36


def _write(ax, sent, amount, norm, unit):
    """Write numbers into the cells, and totals on their bars."""
    begin, length = _margin(len(sent))
    middle = begin + length / 2
    for row, column in zip(*np.nonzero(sent)):
        value = amount[row, column]
        ax.text(column, row, _short(value, unit), ha="center", va="center",
                color="white" if norm(max(value, 1)) < 0.55 else "black")
    for rank in range(len(sent)):
        for total, at in ((amount[rank].sum(), (middle, rank)),
                          (amount[:, rank].sum(), (rank, middle))):
            ax.text(*at, _short(total, unit), ha="center", va="center")


def _short(value, unit):
    """Return a value with two digits: 1.3 MB."""
    return EngFormatter(unit, places=None).format_data(float(f"{value:.2g}")) \
        if unit or value >= 1000 else f"{value:,}"


def _name_ticks(ax, n, middle):
    stride = max(1, -(-n // (MANY_PEERS if n <= MANY_PEERS else 8)))
    if stride > 1:                                   # multiples of 1, 2, 5, 10, ...
        power = 10 ** (len(str(stride)) - 1)
        stride = next(m * power for m in (1, 2, 5, 10) if m * power >= stride)
    ranks = [rank for rank in range(0, n, stride) if n <= MANY_PEERS or rank < 0.95 * n]
    ax.set_xticks([*ranks, middle], [*map(str, ranks), "sent"])
    ax.set_yticks([*ranks, middle], [*map(str, ranks), "received"])
    ax.tick_params(length=0)


def _finish(ax, run, n, name):
    word, unit = name
    block = block_of(n)
    cells = f"; a cell is {block} x {block} peers" if block > 1 else ""
    ax.spines[:].set_visible(False)
    ax.set_xlabel(f"to peer  ({run.world}{cells})")
    ax.set_ylabel("from peer")
    if not ax.images[0].get_array().count():
        return
    colours = ax.figure.colorbar(ax.images[0], ax=ax, pad=0.02,
                                 label=f"{word} (white: no message)")
    scales.logarithmic(colours.ax, "y", unit)


def _in_words(run, sent, measure):
    n = len(sent)
    yield (f"Matrix of the {NAMES[measure][0]} that each of {n:,} peers sent to each other one, "
           "rows to columns, with totals.")
    if run.world.simulated:
        yield (f"{np.count_nonzero(sent):,} of {n * (n - 1):,} pairs have messages: "
               f"{run.messages:,} in all, of {style.rounded(run.nbytes, 'B')}.")

"""What the tests of figures share: runs to draw, and what is written on Axes."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402

import labkit  # noqa: E402


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    style = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    assert dict(matplotlib.rcParams) == style, "a plot has touched the global style"


def program(me):
    me.step(0)
    me.work(flops=1e7 * (me.rank + 1))
    return me.allreduce(np.ones(10))


def run(workers=4, **options):
    return labkit.simulated(workers=workers).run(program, **options)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]

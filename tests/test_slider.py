"""A knob shows one figure that stays, and another for each setting that is chosen."""

import base64
import re
from types import SimpleNamespace

import pytest

import labkit
from labkit import plots
from labkit import slider as module
from labkit.errors import ConfigurationError
from labkit.slider import knob


def program(me):
    return me.allreduce(1)


def draw(workers):
    with labkit.simulated(workers=workers) as world:
        return plots.timeline(world.run(program))


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would display: pictures as dicts, then widgets."""
    found = []
    monkeypatch.setattr("IPython.display.display", lambda content, **how: found.append(content))
    return found


@pytest.fixture
def turned(monkeypatch, shown):
    """A function that makes a knob in a notebook; returns slider and picture."""
    monkeypatch.setattr(module, "audience", lambda: "notebook")

    def make(draw, values, start):
        knob(draw, "workers", values, start)
        return SimpleNamespace(**dict(zip(("slider", "picture"), shown[-1].children)))
    return make


def test_where_nobody_is_there_is_the_figure_alone(shown):
    knob(draw, "workers", [2, 4], start=4)
    picture, hidden = shown
    assert "a lane for each of 4 workers" in picture["text/plain"]
    assert picture["image/png"].startswith(b"\x89PNG")


def test_the_slider_draws_its_setting(turned, shown):
    knob = turned(draw, [2, 4, 8], 4)
    assert (knob.slider.value, knob.picture.value) == (4, module.UNTOUCHED)
    knob.slider.value = 8
    assert 'alt="workers = 8.' in knob.picture.value
    assert "a lane for each of 8 workers" in knob.picture.value
    png = base64.b64decode(re.search(r"base64,([^\"]+)", knob.picture.value)[1])
    assert png.startswith(b"\x89PNG") and png != shown[0]["image/png"]
    assert [label for label, _ in knob.slider.options] == ["2", "4", "8"]


def test_a_setting_that_fails_says_why(turned):
    knob = turned(lambda n: draw(n) if n else 1 / n, [0, 2], 2)
    knob.slider.value = 0
    assert "workers = 0: division by zero" in knob.picture.value
    knob.slider.value = 2
    assert "<img" in knob.picture.value


def test_a_figure_may_bring_its_description(shown):
    alt = "A timeline of peers that add up ones, told by somebody else."
    knob(lambda n: (draw(n), alt), "workers", [2], start=2)
    assert shown[0]["text/plain"] == alt


def test_a_start_that_is_no_setting_is_refused():
    with pytest.raises(ConfigurationError, match="does not have"):
        knob(draw, "workers", [2, 4], start=3)

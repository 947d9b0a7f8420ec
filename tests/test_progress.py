"""A bar is shown to somebody, and to nobody else."""

import io
import sys
import types

import pytest

from labkit import progress as module
from labkit.audience import audience
from labkit.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def kernel(allow_stdin):
    shell = types.SimpleNamespace(kernel=types.SimpleNamespace(_allow_stdin=allow_stdin))
    return types.SimpleNamespace(get_ipython=lambda: shell)


def test_who_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", kernel(True))
    assert audience() == "notebook"
    monkeypatch.setitem(sys.modules, "IPython", kernel(False))
    assert audience() == "nobody"        # nbval, nbconvert
    monkeypatch.delitem(sys.modules, "IPython")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert audience() == "terminal"
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert audience() == "nobody"
    monkeypatch.setattr(sys, "stderr", None)         # as in some programs with windows
    assert audience() == "nobody"


@pytest.mark.parametrize(("delay_s", "shown"), [(0, True), (60, False)])
def test_a_terminal_sees_a_bar_when_it_takes_long(monkeypatch, delay_s, shown):
    terminal = Terminal()
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(module, "DELAY_S", delay_s)
    with progress(3, "counting") as done:
        for _ in range(3):
            done()
    assert ("counting" in terminal.getvalue()) is shown


def test_nobody_sees_nothing(monkeypatch, capsys):
    monkeypatch.setattr(module, "audience", lambda: "nobody")
    with progress(3, "counting") as done:
        done()
    assert capsys.readouterr() == ("", "")

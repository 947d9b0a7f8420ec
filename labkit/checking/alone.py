"""Whether peers share what only peers of one process can share.

    totals = []                              in the simulation all peers append to one list;
    def program(me, part):                   real workers have a list each
        totals.append(part)

The program is run again with a copy of itself and of its variables for each peer, as worker
processes have them. What is right only without copies is shared; variables that the run has changed
are named.
"""

from __future__ import annotations

import contextlib
import inspect
import sys

import cloudpickle

LARGE = 50_000_000           # bytes of a program with all that it uses
LIBRARIES = ("labkit", "numpy", "scipy", "builtins")


def copies(program, n):
    """Return n copies of a program, each with its own variables; None if it cannot be copied."""
    try:
        with _by_value(program):
            code = cloudpickle.dumps(program)
        return [cloudpickle.loads(code) for _ in range(n)] if len(code) < LARGE else None
    except Exception:                    # an open file, a lock: the real run will tell
        return None


@contextlib.contextmanager
def _by_value(program):
    """Copy the variables of the program's own module too, not only a notebook's."""
    module = sys.modules.get(getattr(program, "__module__", None) or "")
    name = getattr(module, "__name__", "__main__")
    own = name != "__main__" and name.split(".")[0] not in LIBRARIES
    if own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        if own:
            cloudpickle.unregister_pickle_by_value(module)


def outer_variables(program):
    """Return what a program and its functions use from outside, as {name: its bytes}."""
    while hasattr(program, "func"):      # functools.partial
        program = program.func
    found, todo, seen = {}, [program], set()
    while todo:
        function = todo.pop()
        if not inspect.isfunction(function) or function in seen or _is_library(function):
            continue
        seen.add(function)
        variables = _variables(function)
        todo += variables.values()
        found.update((name, _bytes(value)) for name, value in variables.items()
                     if not (inspect.ismodule(value) or callable(value)))
    return found


def _variables(function):
    """Return a function's globals, variables of the functions around it, and defaults, by name."""
    used = inspect.getclosurevars(function)
    defaults = {name: parameter.default
                for name, parameter in inspect.signature(function).parameters.items()
                if parameter.default is not parameter.empty}
    return {**used.globals, **used.nonlocals, **defaults}


def _is_library(function):
    return (function.__module__ or "").split(".")[0] in LIBRARIES


def _bytes(value):
    try:
        return cloudpickle.dumps(value)
    except Exception:
        return b""


def changed(before, after):
    """Return the names of variables whose bytes are no longer what they were."""
    return sorted(name for name in after if before.get(name, b"") != after[name])

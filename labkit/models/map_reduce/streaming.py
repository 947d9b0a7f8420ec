r"""Any executable as mapper or reducer: lines in, lines out.

    range of a file --stdin--> mapper  --stdout--> key TAB value lines
    the lines of a reducer's keys, sorted --stdin--> reducer --stdout--> lines

    grep -o '[a-z]*'   |   sort   |   uniq -c            the same on one machine

A reducer gets lines, not groups: that a key has ended it sees from the next line's key, which
is why lines are sorted. Source: Hadoop Streaming, in the documentation of Apache Hadoop.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import zlib
from functools import partial

from labkit.errors import ConfigurationError, DeadlineExceeded, ProgramError
from labkit.models.map_reduce.shuffle import shuffle
from labkit.models.map_reduce.text import TextRange, items_of

TAIL_NBYTES = 2000           # of what a program said on stderr


def stream(world, mapper, reducer, source, combiner=None, n_reducers=None, deadline_s=60,
           backup=None):
    """Run a job whose mapper and reducer are executables.

    Parameters
    ----------
    world : World
    mapper, reducer : str or list of str
        A command and its arguments, as in a shell but run without one. It reads stdin,
        writes stdout, and exits with status 0; workers must have it.
    source : TextFiles, or iterable of bytes
        One mapper process for each range or item.
    combiner : str or list of str, optional
        Like the reducer, on the sorted lines of one mapper.
    n_reducers : int, optional
        One a worker by default.
    deadline_s : float
        Seconds that one process may take.
    backup : callable, optional
        See `labkit.models.map_reduce.backup`.

    Returns
    -------
    parts : list of bytes
        What each reducer wrote.
    runs : list of Run
        The map phase and the reduce phase.

    Raises
    ------
    ProgramError
        If a program fails, with its exit status and the end of its stderr; or is late, which
        has a DeadlineExceeded as its cause.
    """
    n = world.workers if n_reducers is None else n_reducers
    if n < 1 or not deadline_s > 0:
        raise ConfigurationError("This job cannot run.", where="n_reducers=, deadline_s=",
                                 expected="1 reducer or more, and some seconds",
                                 got=f"n_reducers={n}, deadline_s={deadline_s}")
    commands = [_command(one) for one in (mapper, combiner, reducer) if one is not None]
    runs = shuffle(world, partial(_map, commands[:-1], n, deadline_s),
                   partial(_reduce, commands[-1], deadline_s), items_of(source, world.workers), n,
                   backup=backup)
    return runs[1].results, list(runs)


def execute(command, lines, deadline_s):
    """Run one program to its end; end it, and all that it started, at the deadline.

    Parameters
    ----------
    command : list of str
    lines : bytes
        Its stdin. A program need not read all of it.
    deadline_s : float

    Returns
    -------
    bytes
        Its stdout.

    Raises
    ------
    ConfigurationError
        If there is no such program.
    ProgramError
        For an exit status that is not 0.
    DeadlineExceeded
    """
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe,
                                   start_new_session=True)
    except OSError as error:
        raise ConfigurationError("This program cannot be run.", where=shlex.join(command),
                                 got=error, expected="an executable on every worker") from error
    try:
        out, err = process.communicate(lines, timeout=deadline_s)
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded("A program has not ended by its deadline.",
                               expected=f"{deadline_s} s", where=shlex.join(command),
                               remedy="a longer deadline_s, or smaller ranges") from None
    finally:
        _end(process)
    if process.returncode:
        raise ProgramError("A program failed.", expected="exit status 0",
                           got=f"exit status {process.returncode}; stderr: {_tail(err)}",
                           where=shlex.join(command))
    return out


def _end(process):
    with contextlib.suppress(ProcessLookupError):        # its group is gone: nothing to end
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def _tail(err):
    return err[-TAIL_NBYTES:].decode("utf-8", "replace").strip() or "nothing"


def _command(command):
    parts = shlex.split(command) if isinstance(command, str) else list(command)
    if not parts:
        raise ConfigurationError("A command is empty.", expected="a program and its arguments",
                                 got=repr(command))
    return parts


def _map(commands, n_reducers, deadline_s, item):
    """Return the lines for each reducer; lines keep their newline."""
    lines = execute(commands[0], item.read() if isinstance(item, TextRange) else item, deadline_s)
    for combiner in commands[1:]:
        lines = execute(combiner, sorted_lines([lines]), deadline_s)
    buckets = [[] for _ in range(n_reducers)]
    for line in lines.splitlines(keepends=True):
        buckets[zlib.crc32(key_of(line)) % n_reducers].append(line)
    return [b"".join(bucket) for bucket in buckets]


def _reduce(command, deadline_s, buckets):
    return execute(command, sorted_lines(buckets), deadline_s)


def key_of(line):
    """Return a line's key: what stands before its first TAB, or all of it."""
    return line.rstrip(b"\r\n").partition(b"\t")[0]


def sorted_lines(texts):
    """Return the lines of several texts sorted by key; those of one key keep their order."""
    lines = [line for text in texts for line in text.split(b"\n")]
    return b"".join(line + b"\n" for line in sorted(filter(None, lines), key=key_of))

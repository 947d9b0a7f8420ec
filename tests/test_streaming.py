"""Executables as mapper and reducer, against Counter; and executables that misbehave."""

import os
import shlex
import sys
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit.errors import ConfigurationError, DeadlineExceeded, ProgramError
from labkit.models.map_reduce import TextFiles
from labkit.models.map_reduce.streaming import execute, key_of, sorted_lines, stream

TEXTS = [b"the cat\nthe dog\n", b"", b"a cat and\ta dog\r\nno newline at the end"]
COUNTS = Counter(word for text in TEXTS for word in text.split())

MAPPER = "awk '{ for (i = 1; i <= NF; i++) { gsub(/\\r/, \"\", $i); print $i \"\\t\" 1 } }'"
REDUCER = ["awk", "-F", "\t", """
    NR > 1 && $1 != key { print key "\\t" sum; sum = 0 }
    { key = $1; sum += $2 }
    END { if (NR) print key "\\t" sum }"""]


def python(code):
    return [sys.executable, "-S", "-c", code]


def counted(parts):
    rows = [line.split(b"\t") for part in parts for line in part.splitlines()]
    assert len(rows) == len({word for word, _ in rows}), "each key has one reducer"
    return {word: int(count) for word, count in rows}


@pytest.mark.parametrize("combiner", [None, REDUCER], ids=["pairs", "combined"])
def test_executables_count_words(world, combiner):
    parts, runs = stream(world, MAPPER, REDUCER, TEXTS, combiner)
    assert counted(parts) == COUNTS
    assert [len(run.tasks) for run in runs] == [3, 3], "each task ran once"
    assert (runs[0].messages, runs[0].nbytes) == (0, 0)


def test_files_are_streamed_in_ranges(world, tmp_path):
    lines = [b"word%d other\n" % (i % 7) for i in range(200)]
    (tmp_path / "words.txt").write_bytes(b"".join(lines))
    source = TextFiles(tmp_path / "words.txt", range_nbytes=1000)
    parts, runs = stream(world, MAPPER, REDUCER, source, n_reducers=2)
    assert counted(parts) == Counter(b"".join(lines).split())
    assert [len(run.tasks) for run in runs] == [len(source.ranges(3)), 2]


def test_a_reducer_sees_its_keys_in_order_and_values_as_they_came():
    texts = [b"b\t2\na\t9\nb\t1\n", b"a\t3\nb\t0\n"]
    parts, _ = stream(labkit.serial(2), "cat", "cat", texts, n_reducers=1)
    assert parts == [b"a\t9\na\t3\nb\t2\nb\t1\nb\t0\n"]


@given(st.lists(st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"")), max_size=20))
@settings(deadline=None)
def test_lines_are_sorted_by_key_alone(lines):
    found = sorted_lines([b"\n".join(lines)]).split(b"\n")[:-1]
    assert found == sorted([line for line in lines if line], key=key_of)


# ---- when something goes wrong


def test_a_failure_says_status_stderr_command_and_item(world):
    code = "import sys; text = sys.stdin.read(); sys.exit(f'cannot read {text!r}') if text else 0"
    with pytest.raises(ProgramError) as caught:
        stream(world, python(code), "cat", [b"", b"", b"bad"])
    message = str(caught.value)
    for part in ("item 2", "exit status 1", "cannot read 'bad'", "sys.exit"):
        assert part in message


def test_of_a_long_stderr_the_end_is_told():
    code = "import sys; sys.stderr.write('x' * 1_000_000 + 'the end'); sys.exit(3)"
    with pytest.raises(ProgramError) as caught:
        execute(python(code), b"", 30)
    assert "exit status 3" in caught.value.got and caught.value.got.endswith("xthe end")
    assert len(caught.value.got) < 3000


def test_a_failing_reducer_is_no_answer(world):
    with pytest.raises(ProgramError, match=r"(?s)item [012].*exit status 1"):
        stream(world, "cat", "false", TEXTS)


def test_a_late_program_is_ended_with_all_that_it_started(tmp_path):
    code = ("import subprocess, sys, time, pathlib, os; "
            "child = subprocess.Popen(['sleep', '600']); "
            f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid)); child.wait()")
    with pytest.raises(DeadlineExceeded, match=r"(?s)2 s.*sleep"):
        execute(python(code), b"", 2)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):                     # its new parent collects it soon
        state = status_of(pid)
        if state in (None, "Z"):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there: {state}")


def status_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return None


def test_a_deadline_in_a_job_is_the_cause(world):
    with pytest.raises(ProgramError, match="DeadlineExceeded on item 0") as caught:
        stream(world, "sleep 600", "cat", [b"x"], deadline_s=0.2)
    assert isinstance(caught.value.__cause__, DeadlineExceeded)


def test_a_program_need_not_read_its_input():
    assert execute(["head", "-c", "3"], b"abc" * 1_000_000, 30) == b"abc"
    assert execute(["true"], b"x" * 5_000_000, 30) == b""


def test_no_pipe_stays_open():
    before = len(os.listdir("/proc/self/fd"))
    for command in ("cat", "true", shlex.quote(sys.executable) + " -S -c 'exit(1)'"):
        for _ in range(3):
            try:
                execute(shlex.split(command), b"x" * 100_000, 30)
            except ProgramError:
                continue
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("command", "error"), [
    ("no-such-program-here", "cannot be run"), ("", "command is empty"), ([], "command is empty")])
def test_a_command_that_is_none_is_refused(command, error):
    with pytest.raises((ConfigurationError, ProgramError), match=error):
        stream(labkit.serial(2), command, "cat", TEXTS)


@pytest.mark.parametrize("how", [dict(n_reducers=0), dict(deadline_s=0)], ids=str)
def test_what_cannot_run_is_refused(how):
    with pytest.raises(ConfigurationError, match="cannot run"):
        stream(labkit.serial(2), "cat", "cat", TEXTS, **how)

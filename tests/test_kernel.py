"""A notebook's kernel that is interrupted, restarted or killed while its cluster runs."""

import contextlib
import os
import time

import psutil
import pytest
from jupyter_client import KernelManager

OPEN = """
import os, time, labkit
world = labkit.cluster(workers=2)
print(*world.run(lambda me: os.getpid()).results)
"""
# `re` holds the interpreter lock for minutes on this pattern.
HOLD = """
import re
world.map(lambda i: re.match("(a+)+$", "a" * 40 + "b"), range(2))
"""
WAIT = "world.run(lambda me: me.recv((me.rank + 1) % me.size))"


@pytest.fixture
def kernel(tmp_path):
    manager = KernelManager()
    manager.start_kernel(env={**os.environ, "TMPDIR": str(tmp_path)})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield manager, client
    client.stop_channels()
    with contextlib.suppress(RuntimeError):
        manager.shutdown_kernel(now=True)


def execute(client, code, timeout=60):
    """Run a cell; return (what it has printed, name of the error or None)."""
    printed = []

    def hook(message):
        if message["header"]["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=timeout, output_hook=hook,
                                       allow_stdin=False)
    return "".join(printed), reply["content"].get("ename")


def open_cluster(manager, client):
    """Return the processes of a new cluster in the kernel."""
    printed, error = execute(client, OPEN)
    assert error is None
    started = psutil.Process(manager.provisioner.pid).children(recursive=True)
    assert set(map(int, printed.split())) <= {process.pid for process in started}
    return started


def assert_gone(processes, folder, within_s=5):
    """Wait until nothing is left; fail after so many seconds."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    assert not alive
    until = time.monotonic() + within_s
    while list(folder.glob("labkit-*")) and time.monotonic() < until:
        time.sleep(0.05)
    assert not list(folder.glob("labkit-*"))


def test_interrupt_stops_the_cell_and_the_next_one_works(kernel):
    manager, client = kernel
    processes = open_cluster(manager, client)
    client.execute(WAIT)
    time.sleep(1)
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=30)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    printed, error = execute(client, "print(world.run(lambda me: me.rank).results)")
    assert error is None and printed.strip() == "[0, 1]"
    assert all(process.is_running() for process in processes)
    execute(client, "world.close()")


def test_a_restarted_kernel_leaves_nothing_behind(kernel, tmp_path):
    manager, client = kernel
    processes = open_cluster(manager, client)
    assert list(tmp_path.glob("labkit-*"))
    manager.restart_kernel(now=False)
    assert_gone(processes, tmp_path)


def test_a_killed_kernel_leaves_nothing_behind_even_if_tasks_hold_the_lock(kernel, tmp_path):
    manager, client = kernel
    processes = open_cluster(manager, client)
    client.execute(HOLD)
    time.sleep(1.5)
    psutil.Process(manager.provisioner.pid).kill()
    assert_gone(processes, tmp_path)

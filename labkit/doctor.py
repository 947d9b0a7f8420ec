"""Is this machine ready for the lessons? One line a question: OK, or what to do.

    OK   python         3.11.7
    OK   cores          2
    FIX  memory         0.5 GiB free: close other programs or browser tabs

Each check is a function that returns a `Check`. What it looks at can be passed
in, so that a test can show it a machine that is not ready.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import multiprocessing
import os
import re
import shutil
import socket
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from labkit.records import usable_cores

GIB = 2**30
SETUP = "run `make lab`, or `pip install -e .` in this environment"
IMPORT_NAMES = {"scikit-learn": "sklearn"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "firefox")


@dataclass(frozen=True)
class Check:
    """One answered question about the machine."""

    name: str
    """What was looked at."""
    ok: bool
    """Whether the lessons can run with what was found."""
    found: str
    """What was found, with its unit."""
    remedy: str = ""
    """What the reader can do about it; a note where `ok`."""

    def __str__(self):
        line = f"{'OK ' if self.ok else 'FIX'}  {self.name:<15}{self.found}"
        return f"{line}: {self.remedy}" if self.remedy else line


def check_python(version=sys.version_info):
    """Python 3.11, 3.12 or 3.13."""
    ok = (3, 11) <= tuple(version[:2]) <= (3, 13)
    found = ".".join(str(part) for part in version[:3])
    return Check("python", ok, found, "" if ok else "install Python 3.11, 3.12 or 3.13")


def runtime_requirements():
    """What the installed labkit declares that it needs, as text; empty when not installed."""
    try:
        declared = importlib.metadata.requires("labkit") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return sorted(text for text in declared if "extra ==" not in text)


def import_name(requirement):
    """The module that a requirement such as ``dask[array]>=2026.8`` provides."""
    name = re.match(r"[\w.-]+", requirement)[0]
    return IMPORT_NAMES.get(name, name.replace("-", "_"))


def check_package(requirement):
    """The package can be imported, in a version that labkit was written for."""
    module = import_name(requirement)
    try:
        from packaging.requirements import Requirement

        needed = Requirement(requirement)
        importlib.import_module(module)
        version = importlib.metadata.version(needed.name)
    except Exception as error:  # a broken package may raise anything
        return Check(module, False, f"{type(error).__name__} ({error})", SETUP)
    ok = needed.specifier.contains(version, prereleases=True)
    return Check(module, ok, version, "" if ok else f"needs {needed}: {SETUP}")


def check_packages(requirements=None):
    """One `Check` for each package that labkit needs to run."""
    requirements = runtime_requirements() if requirements is None else requirements
    if not requirements:
        return [Check("packages", False, "labkit is not installed", SETUP)]
    return [check_package(requirement) for requirement in requirements]


def check_compiled(modules):
    """Packages are byte-compiled: a worker that must compile starts three times slower."""
    specs = [importlib.util.find_spec(module) for module in modules]
    sources = [spec.origin for spec in specs if spec and str(spec.origin).endswith(".py")]
    plain = [s for s in sources if not Path(importlib.util.cache_from_source(s)).exists()]
    if not plain:
        return Check("byte code", True, f"{len(sources)} packages compiled")
    folder = Path(plain[0]).parents[1]
    remedy = f'workers start slowly; run `"{sys.executable}" -m compileall -q "{folder}"`'
    return Check("byte code", False, f"{len(plain)} of {len(sources)} not compiled", remedy)


def check_cores(cores=None):
    """Two cores or more, so that a real speedup can be seen."""
    cores = usable_cores() if cores is None else cores
    remedy = "real runs cannot get faster on one core; use a machine with two or more"
    return Check("cores", cores >= 2, str(cores), "" if cores >= 2 else remedy)


def free_memory():
    """Bytes that programs can still take."""
    import psutil

    return psutil.virtual_memory().available


def check_memory(available=free_memory, needed=GIB):
    """Memory in bytes for JupyterLab and a small cluster."""
    try:
        free = available()
    except ImportError:
        return Check("memory", False, "unknown, psutil is missing", SETUP)
    ok = free >= needed
    remedy = "" if ok else "close other programs or browser tabs"
    return Check("memory", ok, f"{free / GIB:.1f} GiB free", remedy)


def check_ports(address="127.0.0.1", count=8):
    """Free ports on the loopback address, where scheduler, workers and dashboard listen."""
    sockets = []
    try:
        for _ in range(count):
            sockets.append(socket.create_server((address, 0)))
        with socket.create_connection(sockets[0].getsockname()[:2], timeout=5):
            return Check("ports", True, f"{count} on {address} opened")
    except OSError as error:
        remedy = "let Python open ports on this machine itself (firewall, sandbox, open files)"
        return Check("ports", False, str(error), remedy)
    finally:
        for opened in sockets:
            opened.close()


def _answer(pipe):
    pipe.send(os.getpid())


def check_processes(target=_answer, timeout_s=60):
    """A process started afresh answers, as each Dask worker has to."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(sender,), daemon=True)
    try:
        process.start()
        sender.close()  # so that a child that dies shows as the end of the pipe
        answered = receiver.poll(timeout_s) and receiver.recv() == process.pid
    except (OSError, EOFError):
        answered = False
    finally:
        if process.pid:
            process.kill()
            process.join()
        receiver.close()
    found = "a new process answers" if answered else "a new process does not answer"
    remedy = "" if answered else "look for limits on processes (ulimit -u) or antivirus software"
    return Check("processes", bool(answered), found, remedy)


def default_browser():
    """A browser that Python would open, or None."""
    try:
        return webbrowser.get().name
    except webbrowser.Error:
        return next((name for name in BROWSERS if shutil.which(name)), None)


def check_browser(find=default_browser):
    """A browser; without one the lab still runs, for a browser elsewhere."""
    name = find()
    if name:
        return Check("browser", True, str(name))
    return Check("browser", True, "none found", "open the address that JupyterLab prints")


def examine():
    """Yield every `Check` in turn, the quick ones first."""
    yield check_python()
    yield check_cores()
    yield check_memory()
    yield check_ports()
    yield check_processes()
    yield check_browser()
    yield from check_packages()
    yield check_compiled([import_name(text) for text in runtime_requirements()])


def report(checks, out=None):
    """Print a line for each check as it is made.

    Returns
    -------
    int
        The exit status: 0 when everything is OK, 1 otherwise.
    """
    status = 0
    for check in checks:
        print(check, file=out, flush=True)
        status = status or int(not check.ok)
    return status

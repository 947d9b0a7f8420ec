"""Each check, on a machine that is ready and on one that is not."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from labkit import doctor
from labkit.doctor import GIB, Check


def die(pipe):
    os._exit(1)


def says(check, ok, *words):
    assert isinstance(check, Check)
    assert check.ok is ok
    for word in words:
        assert word in str(check)
    assert str(check).startswith("OK   " if ok else "FIX  ")
    assert "\n" not in str(check)
    if not ok:
        assert check.remedy


def test_python():
    says(doctor.check_python((3, 12, 1)), True, "3.12.1")
    says(doctor.check_python((3, 10, 9)), False, "3.10.9", "install Python")
    says(doctor.check_python((3, 14, 0)), False)


def test_cores():
    says(doctor.check_cores(8), True, "8")
    says(doctor.check_cores(1), False, "one core")
    assert doctor.usable_cores() >= 1


def test_memory():
    says(doctor.check_memory(lambda: 4 * GIB), True, "4.0 GiB")
    says(doctor.check_memory(lambda: GIB // 2), False, "0.5 GiB", "close other programs")


def test_memory_without_psutil(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    says(doctor.check_memory(), False, "psutil is missing")


def test_ports():
    says(doctor.check_ports(), True, "127.0.0.1")
    # An address for documentation (RFC 5737), which no machine has.
    says(doctor.check_ports("192.0.2.1"), False, "firewall")


def test_a_spawned_process_answers():
    says(doctor.check_processes(), True)


def test_a_spawned_process_that_dies():
    says(doctor.check_processes(target=die), False, "does not answer")


def test_browser_is_never_a_failure():
    says(doctor.check_browser(lambda: "firefox"), True, "firefox")
    says(doctor.check_browser(lambda: None), True, "address that JupyterLab prints")


@pytest.mark.parametrize(
    "requirement, module",
    [
        ("dask[array]>=2026.8", "dask"),
        ("scikit-learn<1.10,>=1.9", "sklearn"),
        ("numpy", "numpy"),
        ("nbval==0.11.0", "nbval"),
    ],
)
def test_import_name(requirement, module):
    assert doctor.import_name(requirement) == module


def test_package():
    version = importlib.metadata.version("numpy")
    says(doctor.check_package("numpy>=1"), True, version)
    says(doctor.check_package("numpy>=999"), False, version, "needs numpy>=999")
    says(doctor.check_package("no-such-package>=1"), False, "no_such_package")


def test_packages_of_a_labkit_that_is_not_installed():
    (check,) = doctor.check_packages([])
    says(check, False, "not installed")


def test_requirements_are_those_of_the_runtime():
    names = [doctor.import_name(text) for text in doctor.runtime_requirements()]
    assert {"dask", "distributed", "jupyterlab", "sklearn"} <= set(names)
    assert "pytest" not in names


def test_compiled(tmp_path, monkeypatch):
    (tmp_path / "plain_source.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    says(doctor.check_compiled(["plain_source"]), False, "1 of 1", "compileall")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(tmp_path)], check=True)
    says(doctor.check_compiled(["plain_source"]), True, "1 packages")


def test_report(capsys):
    good, bad = Check("cores", True, "2"), Check("memory", False, "0.5 GiB free", "close programs")
    assert doctor.report([good]) == 0
    assert doctor.report([good, bad, good]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "OK   cores          2"
    assert lines[2] == "FIX  memory         0.5 GiB free: close programs"

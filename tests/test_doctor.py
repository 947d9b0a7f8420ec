"""Each check, on a machine that is ready and on one that is not."""

import importlib.metadata
import os
import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

from labkit import doctor, lessons
from labkit.__main__ import main
from labkit.doctor import GIB, Check
from labkit.errors import ConfigurationError


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


# The command line, `python -m labkit`: lessons and doctor.


def write_notebook(folder, name, *sources):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    nbformat.write(notebook, folder / f"{name}.ipynb")


def test_lessons_keep_html_and_name_the_cell_that_fails(tmp_path, capsys):
    write_notebook(tmp_path, "10_good", "print(6 * 7)")
    write_notebook(tmp_path, "20_bad", "x = 1", "x / 0", "print('never')")
    assert lessons.run_lessons(["10_good"], tmp_path, tmp_path / "build") == 0
    assert lessons.run_lessons((), tmp_path, tmp_path / "build") == 1
    assert "42" in (tmp_path / "build" / "10_good.html").read_text()
    assert "ZeroDivisionError" in (tmp_path / "build" / "20_bad.html").read_text()
    out = capsys.readouterr().out
    assert "1/2  10_good" in out
    assert "cell 2: ZeroDivisionError: division by zero" in out


def test_a_lesson_that_does_not_exist(monkeypatch, tmp_path, capsys):
    write_notebook(tmp_path, "10_good", "1")
    with pytest.raises(ConfigurationError, match="expected: 10_good"):
        lessons.find_lessons(["11_gone"], tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["lessons", "11_gone"]) == 2
    assert "remedy" in capsys.readouterr().err


def test_the_doctor_speaks_on_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "doctor"], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert all(line.startswith(("OK   ", "FIX  ")) for line in lines)
    assert done.returncode == any(line.startswith("FIX") for line in lines)
    assert any("a new process answers" in line for line in lines)

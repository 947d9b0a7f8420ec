"""The command line, ``python -m labkit``: lessons and doctor."""

import base64
import io
import subprocess
import sys

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbformat import v4
from PIL import Image

from labkit import lessons
from labkit.__main__ import main
from labkit.errors import ConfigurationError


def write_notebook(folder, name, *sources):
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def test_lessons_keep_html_and_name_the_cell_that_fails(tmp_path, capsys):
    paths = [
        write_notebook(tmp_path, "10_good", "print(6 * 7)"),
        write_notebook(tmp_path, "20_bad", "x = 1", "x / 0", "print('never')"),
    ]
    before = [path.read_bytes() for path in paths]
    assert lessons.run_lessons(["10_good"], tmp_path, tmp_path / "build") == 0
    assert lessons.run_lessons((), tmp_path, tmp_path / "build") == 1
    assert "42" in (tmp_path / "build" / "10_good.html").read_text()
    assert "ZeroDivisionError" in (tmp_path / "build" / "20_bad.html").read_text()
    assert [path.read_bytes() for path in paths] == before
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


def test_a_lesson_is_stored_only_when_every_cell_ran(monkeypatch, tmp_path, capsys):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    good = write_notebook(folder, "10_good", "print(6, flush=True)\nprint(7)", "6 * 7")
    bad = write_notebook(folder, "20_bad", "1", "1 / 0")
    before = bad.read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["lessons", "--store", "10_good", "20_bad"]) == 1
    first, second = v4.reads(good.read_text()).cells
    assert (first.execution_count, second.execution_count) == (1, 2)
    assert [output.text for output in first.outputs] == ["6\n7\n"]
    assert second.outputs[0].data == {"text/plain": "42"}
    assert bad.read_bytes() == before
    assert "cell 2: ZeroDivisionError" in capsys.readouterr().out


def test_storing_again_changes_nothing(tmp_path):
    slider = "import ipywidgets\nslider = ipywidgets.IntSlider()"
    path = write_notebook(tmp_path, "10_good", slider, "slider.value")
    stored = []
    for _ in range(2):
        lesson = lessons.run_lesson(path, tmp_path / "build", store=True)
        assert not lesson.problem
        stored.append(path.read_bytes())
    assert stored[0] == stored[1]
    assert "widgets" not in v4.reads(stored[0].decode()).metadata


def test_comparable_keeps_outputs_and_counts_only():
    cell = v4.new_code_cell("6", execution_count=1, outputs=[v4.new_output("stream", text="6")])
    cell.metadata = {"execution": {"iopub.status.busy": "2000-01-01"}, "tags": ["slow"]}
    notebook = v4.new_notebook(cells=[cell, v4.new_markdown_cell("text")])
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python", "version": "3.11.7"},
        "widgets": {"application/vnd.jupyter.widget-state+json": {}},
    }
    notebook = lessons.comparable(notebook)
    assert notebook.metadata["language_info"] == {"name": "python"}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.cells[0].metadata == {"tags": ["slow"]}
    assert notebook.cells[0].execution_count == 1
    assert notebook.cells[0].outputs[0].text == "6"


def test_a_stored_picture_keeps_what_it_shows_and_takes_less():
    figure, ax = plt.subplots()
    for slope in range(1, 9):
        ax.plot([0, 1], [0, slope], label=f"slope {slope}")
    ax.legend()
    png = io.BytesIO()
    figure.savefig(png, dpi=200)
    plt.close(figure)
    pixels = np.asarray(Image.open(png).convert("RGB"))
    picture = base64.b64encode(png.getvalue()).decode()
    cell = v4.new_code_cell(outputs=[v4.new_output("display_data", {"image/png": picture})])
    notebook = lessons.comparable(v4.new_notebook(cells=[cell]))
    small = notebook.cells[0].outputs[0].data["image/png"]
    assert len(small) < len(picture) / 2
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB"))
    assert shown.shape == pixels.shape
    assert np.abs(shown.astype(int) - pixels).mean() < 0.2
    assert lessons.comparable(notebook).cells[0].outputs[0].data["image/png"] == small


def test_the_doctor_speaks_on_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "doctor"], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert all(line.startswith(("OK   ", "FIX  ")) for line in lines)
    assert done.returncode == any(line.startswith("FIX") for line in lines)
    assert any("a new process answers" in line for line in lines)

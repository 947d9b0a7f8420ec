"""Run the lessons without a browser and keep what they show as HTML.

    [##########----------]  1/2  00_start_here                  12.3 s  ok

A lesson runs in its own kernel, in the notebook's folder, as it does in
JupyterLab. A failing cell is named, the HTML up to it is kept, and the other
lessons still run. On request a lesson that ran to its end is also stored: its
outputs and counts go back into the notebook, for nbval to compare with.
"""

from __future__ import annotations

import base64
import io
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from PIL import Image

from labkit.errors import ConfigurationError

CELL_TIMEOUT_S = 120


@dataclass(frozen=True)
class Lesson:
    """How the run of one notebook ended."""

    name: str
    """The notebook's file name without its ending."""
    seconds: float
    """Wall time with the start of the kernel."""
    problem: str = ""
    """The cell that failed and why; empty when all ran."""


def find_lessons(names=(), folder="notebooks"):
    """Paths of the notebooks with these names, or of all, in the order of teaching.

    Raises
    ------
    ConfigurationError
        When the folder holds no notebook, or none of a given name.
    """
    paths = {path.stem: path for path in sorted(Path(folder).glob("*.ipynb"))}
    wanted = [Path(name).stem for name in names] or list(paths)
    unknown = [name for name in wanted if name not in paths]
    if unknown or not wanted:
        raise ConfigurationError(
            "there is no such lesson",
            expected=", ".join(paths) or "notebooks",
            got=", ".join(unknown) or "an empty folder",
            where=Path(folder).resolve(),
            remedy="run this in the project's top folder, with names from the list or none",
        )
    return [paths[name] for name in wanted]


def run_lesson(path, build="build/lessons", on_cell=None, store=False):
    """Execute a notebook and write what it shows to ``build/<name>.html``.

    Parameters
    ----------
    path, build : path-like
        The notebook and the folder for the HTML.
    on_cell : callable, optional
        Called with the share of the cells that are done, 0 to 1.
    store : bool
        Write outputs and counts into the notebook, when every cell ran; it is
        left as it is otherwise.

    Returns
    -------
    Lesson
    """
    path, start = Path(path), time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    problem = _execute(notebook, path.parent, on_cell)
    _write_html(notebook, Path(build) / f"{path.stem}.html")
    if store and not problem:
        nbformat.write(comparable(notebook), path)
    return Lesson(path.stem, time.perf_counter() - start, problem)


def _execute(notebook, folder, on_cell):
    last = 0

    def cell_done(cell, cell_index):
        nonlocal last
        last = cell_index
        if on_cell:
            on_cell((cell_index + 1) / len(notebook.cells))

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        coalesce_streams=True,  # how often a kernel flushes its prints is chance
        extra_arguments=["--log-level=ERROR"],  # a kernel's warnings would cut the progress bar
        resources={"metadata": {"path": str(folder)}},
        on_cell_complete=cell_done,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return f"cell {last + 1}: {error.ename}: {error.evalue}"
    except (CellTimeoutError, DeadKernelError) as error:
        return f"after cell {last + 1}: {str(error).splitlines()[0]}"
    return ""


def comparable(notebook):
    """The notebook without what differs from run to run or from machine to machine.

    Times of execution, the widgets' state and the version of Python are
    removed in place; outputs and counts stay. Pictures keep 256 colours,
    which makes them three times smaller.
    """
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])
    notebook.metadata.pop("widgets", None)
    language = notebook.metadata.get("language_info", {})
    notebook.metadata["language_info"] = {"name": language.get("name", "python")}
    return notebook


def _smaller(picture):
    """A PNG in base64, with a palette of 256 colours."""
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.mode == "P":
        return picture
    small = io.BytesIO()
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def _write_html(notebook, target):
    # With their state the export would be widgets, whose scripts come from the network.
    notebook.metadata.pop("widgets", None)
    html, _ = HTMLExporter().from_notebook_node(
        notebook, resources={"metadata": {"name": target.stem}}
    )
    # `labkit.show` puts the description behind the picture, for screen readers to find.
    html = html.replace('alt="No description has been provided for this image"', 'alt=""')
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(html, encoding="utf-8")


def bar(share, width=20):
    """A share between 0 and 1 as ``[#####---------------]``."""
    full = round(share * width)
    return f"[{'#' * full}{'-' * (width - full)}]"


def run_lessons(names=(), folder="notebooks", build="build/lessons", out=None, store=False):
    """Run lessons one after the other, a line of progress for each.

    With `store`, each that runs to its end is stored in its notebook.

    Returns
    -------
    int
        The exit status: 0 when every cell of every lesson ran, 1 otherwise.
    """
    out = out or sys.stdout
    paths = find_lessons(names, folder)
    status = 0
    for done, path in enumerate(paths):

        def show(share, text="", end="", done=done, path=path):
            line = f"{bar((done + share) / len(paths))} {done + 1:2d}/{len(paths)}  {path.stem:<34}"
            if out.isatty() or text:  # a log file gets only the line that stays
                print(f"\r{line}{text}" if out.isatty() else f"{line}{text}", end=end, file=out)
                out.flush()

        show(0)
        lesson = run_lesson(path, build, show, store)
        show(1, f"{lesson.seconds:6.1f} s  {lesson.problem or 'ok'}", end="\n")
        status = status or int(bool(lesson.problem))
    print(f"HTML is in {build}", file=out)
    return status

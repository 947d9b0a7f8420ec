"""The student edition of a lesson, made from the source notebook and never by hand.

    source notebook                      student edition

    def mean(me, part):                  def mean(me, part):
        ### BEGIN SOLUTION                   # YOUR CODE HERE
        return part.mean()      ----->       raise NotImplementedError()
        ### END SOLUTION

    assert mean(me, x) == 2              assert mean(me, x) == 2
    ### BEGIN HIDDEN TESTS
    assert mean(me, y) == 3     ----->
    ### END HIDDEN TESTS

Marks, stubs and metadata are those of nbgrader, which makes the same text of the same notebook.
Two things differ: a cell tagged `guide` keeps its outputs, for a figure that is the goal of an
exercise, and a mark that has no partner is an error that says where.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path

import nbformat

from labkit.errors import DataError
from labkit.lessons import comparable, find_lessons

SOLUTION, HIDDEN = "SOLUTION", "HIDDEN TESTS"
STUBS = {"code": ["# YOUR CODE HERE", "raise NotImplementedError()"],
         "markdown": ["YOUR ANSWER HERE"]}
GUIDE = "guide"


def write_students(names=(), folder="notebooks", build="build/student", out=None):
    """Write the student edition of these lessons, or of all, a line for each.

    Returns
    -------
    list of Path
        The notebooks written, ``build/<name>.ipynb``.

    Raises
    ------
    ConfigurationError
        When there is no such lesson.
    DataError
        When a lesson's marks do not fit together. Then nothing is written.
    """
    editions = {path: student_edition(nbformat.read(path, as_version=4), path.name)
                for path in find_lessons(names, folder)}
    written = []
    for path, notebook in editions.items():
        written.append(Path(build) / path.name)
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, written[-1])
        tests = [cell for cell in notebook.cells if is_test(cell)]
        points = sum(grader(cell)["points"] for cell in tests)
        print(f"{written[-1]}  {len(tests)} exercises, {points} points", file=out or sys.stdout)
    return written


def student_edition(notebook, name="the notebook"):
    """A copy of a lesson for students: stubs for solutions, no hidden tests, no outputs.

    Cells that nbgrader would lock can be neither deleted nor, if they are tests, edited.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The source, which is left as it is.
    name : str
        What an error calls it.

    Raises
    ------
    DataError
        When a mark has no partner, or stands in a cell that nbgrader's metadata do not call a
        solution, or a test.
    """
    notebook = comparable(deepcopy(notebook))
    notebook.metadata.pop("celltoolbar", None)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.source = student_source(cell, f"{name}, cell {number}")
        if is_solution(cell) or is_test(cell):
            cell.metadata["deletable"] = False
        if grader(cell).get("locked") or (is_test(cell) and not is_solution(cell)):
            cell.metadata.update(deletable=False, editable=False)
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [without_count(output) for output in cell.outputs if is_guide(cell)]
    return notebook


def student_source(cell, where):
    """The text of a cell as a student gets it; `where` names it in an error."""
    stub = STUBS.get(cell.cell_type, [])
    source, solutions = replace(cell.source, SOLUTION, stub, where)
    source, hidden = replace(source, HIDDEN, [], where)
    for found, wanted, what in [(solutions, is_solution(cell), SOLUTION),
                                (hidden, is_test(cell), HIDDEN)]:
        if found and not wanted:
            kind = "solution" if what == SOLUTION else "test"
            raise DataError(f"BEGIN {what} in a cell that is no {kind}", where=where,
                            expected=f"a cell whose nbgrader metadata make it a {kind}",
                            got=f"nbgrader metadata {dict(grader(cell)) or 'missing'}")
    return source if solutions or not is_solution(cell) else "\n".join(stub)


def replace(source, what, stub, where):
    """Put `stub` in place of each region from ``BEGIN what`` to ``END what``.

    Returns the new text, and how many regions there were. The stub is indented as far as the
    line with BEGIN.
    """
    kept, begun, regions = [], 0, 0              # begun: number of the line with BEGIN, or 0
    for number, line in enumerate(source.split("\n"), start=1):
        if f"BEGIN {what}" in line:
            if begun:
                raise unbalanced(f"BEGIN {what} before the END of the one in line {begun}",
                                 f"END {what}", line, where, number)
            begun, regions = number, regions + 1
            kept += [line[:len(line) - len(line.lstrip())] + text for text in stub]
        elif f"END {what}" in line:
            if not begun:
                raise unbalanced(f"END {what} without a BEGIN", f"BEGIN {what} above it", line,
                                 where, number)
            begun = 0
        elif not begun:
            kept.append(line)
    if begun:
        raise unbalanced(f"BEGIN {what} without an END", f"END {what} below it",
                         "the end of the cell", where, begun)
    return "\n".join(kept), regions


def unbalanced(what, expected, got, where, line):
    return DataError(what, expected=expected, got=got.strip(), where=f"{where}, line {line}",
                     remedy="write both marks, each on a line of its own")


# What the metadata say of a cell.


def grader(cell):
    """nbgrader's metadata of a cell; empty if it has none."""
    return cell.metadata.get("nbgrader", {})


def is_solution(cell):
    """Whether the student writes this cell."""
    return bool(grader(cell).get("solution"))


def is_test(cell):
    """Whether this cell gives points."""
    return bool(grader(cell).get("grade"))


def is_guide(cell):
    """Whether the student sees what this cell shows without running it."""
    return GUIDE in cell.metadata.get("tags", [])


def without_count(output):
    if "execution_count" in output:
        output.execution_count = None
    return output

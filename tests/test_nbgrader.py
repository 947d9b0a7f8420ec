"""nbgrader takes the lessons as they are: gives them out, runs what comes back, counts points.

    source/  -- generate_assignment -->  release/
                 submitted/{all, half, none}/  -- autograde -->  gradebook.db

The points expected are counted from the notebook: those of the exercises that were solved.
"""

import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest

from labkit import student
from labkit.lessons import find_lessons

pytest.importorskip("nbgrader", reason="nbgrader is not installed: make grading")
FOLDER = Path(__file__).parents[1] / "notebooks"
LESSONS = find_lessons(folder=FOLDER)
GRADED = ["00_start_here", "10_sharding"]     # short ones: each runs three times
CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "labkit"
c.CourseDirectory.root = {root!r}
c.ExecutePreprocessor.timeout = 120
"""


def read(path):
    return nbformat.read(path, as_version=4)


def write(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


class Course:
    """A folder as nbgrader wants it, and its commands."""

    def __init__(self, root):
        self.root = root
        (root / "nbgrader_config.py").write_text(CONFIG.format(root=str(root)))

    def nbgrader(self, *arguments):
        """Run one of its commands; all that Jupyter writes stays in the course's folder."""
        folders = {f"JUPYTER_{name}_DIR": str(self.root / "jupyter" / name.lower())
                   for name in ("CONFIG", "DATA", "RUNTIME")}
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *arguments], cwd=self.root, timeout=800, text=True,
            env=os.environ | folders | {"IPYTHONDIR": str(self.root / "ipython")},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def generate(self, assignment, paths):
        """Make an assignment of these notebooks; returns the notebooks that nbgrader releases."""
        for path in paths:
            target = self.root / "source" / assignment / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        self.nbgrader("generate_assignment", assignment)
        return [read(self.root / "release" / assignment / path.name) for path in paths]

    def submit(self, who, name, notebook):
        write(notebook, self.root / "submitted" / who / name / f"{name}.ipynb")

    def scores(self, name):
        """Student -> points of the tests, by the test's id."""
        from nbgrader.api import Gradebook
        with Gradebook(f"sqlite:///{self.root / 'gradebook.db'}") as book:
            return {one.student.id: {grade.name: grade.score for grade in one.notebooks[0].grades}
                    for one in book.assignment_submissions(name)}


@pytest.fixture
def course(tmp_path, monkeypatch):
    # nbgrader starts `alembic` by its name.
    path = [str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    return Course(tmp_path)


def solved(edition, source, count):
    """The edition of a student who has solved the first `count` exercises."""
    solutions = {student.grader(cell)["grade_id"]: cell.source for cell in source.cells
                 if student.is_solution(cell)}
    edition, left = deepcopy(edition), count
    for cell in edition.cells:
        if student.is_solution(cell) and left:
            cell.source = solutions[student.grader(cell)["grade_id"]]
        left -= bool(left and student.is_test(cell))
    return edition


def points(notebook):
    return {student.grader(cell)["grade_id"]: student.grader(cell)["points"]
            for cell in notebook.cells if student.is_test(cell)}


def test_the_student_edition_has_the_text_that_nbgrader_makes(course):
    released = course.generate("all", LESSONS)
    for path, theirs in zip(LESSONS, released):
        ours = student.student_edition(read(path), path.name)
        assert [cell.source for cell in ours.cells] == [cell.source for cell in theirs.cells]
        for mine, other in zip(ours.cells, theirs.cells):
            other.metadata.get("nbgrader", {}).pop("checksum", None)
            other.metadata.get("nbgrader", {}).pop("cell_type", None)
            assert mine.metadata == other.metadata, mine.source


@pytest.mark.student
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", GRADED)
def test_points_are_those_of_the_exercises_that_were_solved(course, name):
    (path,) = find_lessons([name], FOLDER)
    source = read(path)
    course.generate(name, [path])
    full = points(source)
    edition = student.student_edition(source)        # nbgrader grades what labkit gave out
    counts = {"all": len(full), "half": len(full) // 2, "none": 0}
    for who, count in counts.items():
        course.submit(who, name, solved(edition, source, count))
    course.nbgrader("autograde", name, "--create")
    assert course.scores(name) == {
        who: {test: worth * (place < count) for place, (test, worth) in enumerate(full.items())}
        for who, count in counts.items()}
    assert 0 < sum(course.scores(name)["half"].values()) < sum(full.values())

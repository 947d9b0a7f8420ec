"""The student edition: what is taken out, and that each lesson's checks tell unsolved from solved.

    source:   ... | solution | test ...
    proof:    ... | stub | visible test: must raise | solution | test: must pass | ...

A test cell tests the solution cells since the test cell before it.
"""

import ast
import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from mistakes import MISTAKES
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import v4

from labkit import student
from labkit.__main__ import main
from labkit.errors import DataError
from labkit.lessons import find_lessons

ROOT = Path(__file__).parents[1]
LESSONS = find_lessons(folder=ROOT / "notebooks")
NAMES = {path.name for path in LESSONS}
RAISES = "raises-exception"
KEYS = {"schema_version": int, "grade_id": str, "solution": bool, "grade": bool, "locked": bool,
        "task": bool}


def each_lesson(test):
    return pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)(test)


def read(path):
    return nbformat.read(path, as_version=4)


def cell(source, name="", solution=False, points=None, kind="code", tags=()):
    metadata = {"tags": list(tags)}
    if name:
        test = points is not None
        metadata["nbgrader"] = {"schema_version": 3, "grade_id": name, "solution": solution,
                                "grade": test, "locked": test, "task": False}
        metadata["nbgrader"] |= {"points": points} if test else {}
    return getattr(v4, f"new_{kind}_cell")(source, metadata=metadata)


def lesson(*cells):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=list(cells), metadata={"kernelspec": kernel})


def source_of(one, name="10_a"):
    """The student's text of a cell in a lesson of its own."""
    return student.student_edition(lesson(one), name).cells[0].source


# What is taken out.

SOLVED = """def half(x):
    if x:
        ### BEGIN SOLUTION
        half = x / 2
        return half
        ### END SOLUTION
    return 0"""
UNSOLVED = """def half(x):
    if x:
        # YOUR CODE HERE
        raise NotImplementedError()
    return 0"""
TESTED = """assert half(2) == 1
### BEGIN HIDDEN TESTS
assert half(4) == 2
### END HIDDEN TESTS
print("ok")"""


def test_a_solution_becomes_a_stub_of_its_indentation():
    assert source_of(cell(SOLVED, "half", solution=True)) == UNSOLVED


def test_each_region_becomes_a_stub():
    two = "a = 0\n### BEGIN SOLUTION\na = 1\n### END SOLUTION\nb = 0\n" \
          "### BEGIN SOLUTION\n### END SOLUTION"
    stub = "# YOUR CODE HERE\nraise NotImplementedError()"
    assert source_of(cell(two, "two", solution=True)) == f"a = 0\n{stub}\nb = 0\n{stub}"


def test_a_solution_without_marks_is_taken_out_whole():
    assert source_of(cell("x = 6 * 7", "x", solution=True)) == \
        "# YOUR CODE HERE\nraise NotImplementedError()"
    assert source_of(cell("Because.", "why", solution=True, points=1, kind="markdown")) == \
        "YOUR ANSWER HERE"


def test_hidden_tests_leave_and_visible_ones_stay():
    assert source_of(cell(TESTED, "test-half", points=1)) == 'assert half(2) == 1\nprint("ok")'


def test_metadata_stay_and_cells_are_locked_as_nbgrader_locks_them():
    source = lesson(cell(SOLVED, "half", solution=True), cell(TESTED, "test-half", points=2),
                    cell("1 + 1"))
    before = deepcopy(source)
    solution, test, plain = student.student_edition(source, "10_a").cells
    assert source == before
    for cells in zip((solution, test, plain), source.cells):
        assert len({str(one.metadata.get("nbgrader")) for one in cells}) == 1
        assert len({one.id for one in cells}) == 1
    assert solution.metadata["deletable"] is False and "editable" not in solution.metadata
    assert test.metadata["deletable"] is test.metadata["editable"] is False
    assert not {"deletable", "editable"} & set(plain.metadata)


def test_outputs_leave_except_those_that_guide():
    figure = v4.new_output("execute_result", {"text/plain": "a target"}, execution_count=7)
    cells = [cell("1", tags=["guide"]), cell("2", tags=["other"]), cell("3")]
    for number, one in enumerate(cells, start=5):
        one.update(outputs=[deepcopy(figure)], execution_count=number)
    source = lesson(*cells)
    source.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    source.metadata["celltoolbar"] = "Create Assignment"
    edition = student.student_edition(source, "10_a")
    assert [len(one.outputs) for one in edition.cells] == [1, 0, 0]
    assert edition.cells[0].outputs[0].data == {"text/plain": "a target"}
    assert edition.cells[0].outputs[0].execution_count is None
    assert [one.execution_count for one in edition.cells] == [None] * 3
    assert set(edition.metadata) == {"kernelspec", "language_info"}
    nbformat.validate(edition)


BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@pytest.mark.parametrize(("source", "line", "says"), [
    (f"x = 0\n{BEGIN}\nx = 1", 2, "BEGIN SOLUTION without an END"),
    (f"x = 0\nx = 1\n{END}", 3, "END SOLUTION without a BEGIN"),
    (f"{BEGIN}\n{BEGIN}\n{END}", 2, "before the END of the one in line 1"),
    (f"{BEGIN}\n{END}\n\n{END}", 4, "END SOLUTION without a BEGIN"),
    ("### BEGIN HIDDEN TESTS", 1, "BEGIN HIDDEN TESTS without an END"),
    ("x\n### END HIDDEN TESTS", 2, "END HIDDEN TESTS without a BEGIN"),
])
def test_marks_without_a_partner_are_named(source, line, says):
    bad = lesson(cell("# Title", kind="markdown"), cell(source, "x", solution=True, points=1))
    with pytest.raises(DataError, match=says) as error:
        student.student_edition(bad, "10_a.ipynb")
    assert error.value.where == f"10_a.ipynb, cell 2, line {line}"


@pytest.mark.parametrize(("one", "kind"), [
    (cell(SOLVED), "solution"), (cell(SOLVED, "half", points=1), "solution"),
    (cell(TESTED), "test"), (cell(TESTED + f"\n{BEGIN}\n{END}", "t", solution=True), "test")])
def test_marks_in_a_cell_of_another_kind_are_an_error(one, kind):
    with pytest.raises(DataError, match=f"a cell that is no {kind}") as error:
        source_of(one)
    assert error.value.where == "10_a, cell 1"


def test_the_command_writes_all_or_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("notebooks").mkdir()
    nbformat.write(lesson(cell(SOLVED, "half", solution=True), cell(TESTED, "t", points=2)),
                   "notebooks/10_a.ipynb")
    assert main(["student"]) == 0
    assert "1 exercises, 2 points" in capsys.readouterr().out
    assert read(Path("build/student/10_a.ipynb")).cells[0].source == UNSOLVED
    nbformat.write(lesson(cell(BEGIN, "half", solution=True)), "notebooks/20_b.ipynb")
    assert main(["student", "--out", "other"]) == 2
    assert "20_b.ipynb, cell 1, line 1" in capsys.readouterr().err
    assert not Path("other").exists()
    assert main(["student", "--out", "other", "10_a"]) == 0
    assert [path.name for path in Path("other").iterdir()] == ["10_a.ipynb"]


# What every lesson keeps to.


def exercises(notebook):
    """(Positions of the solutions, position of their test) for each test; and what is left."""
    found, solutions = [], []
    for number, one in enumerate(notebook.cells):
        if student.is_solution(one):
            solutions.append(number)
        elif student.is_test(one):
            found.append((solutions, number))
            solutions = []
    return found, solutions


def wrong_metadata(notebook):
    """What is wrong with nbgrader's metadata, by its schema 3 and by the rules of the house."""
    wrong, ids = [], []
    for number, one in enumerate(notebook.cells, start=1):
        data = student.grader(one)
        if not data:
            continue
        ids.append(data.get("grade_id"))
        needed = KEYS | ({"points": int} if data.get("grade") else {})
        wrong += [f"cell {number}: {key} is {data.get(key)!r}" for key, kind in needed.items()
                  if type(data.get(key)) is not kind]
        wrong += [f"cell {number}: {key} is not in the schema"
                  for key in set(data) - set(needed) - {"cell_type", "checksum"}]
        if data.get("schema_version") != 3 or not re.fullmatch(r"[\w-]+", str(ids[-1])):
            wrong.append(f"cell {number}: version {data.get('schema_version')}, id {ids[-1]!r}")
        if data.get("grade") and (data.get("solution") or not data.get("locked")):
            wrong.append(f"cell {number}: a test is locked, and no solution")
    wrong += [f"{name} names {ids.count(name)} cells" for name in set(ids) if ids.count(name) > 1]
    found, left = exercises(notebook)
    wrong += [f"cell {test + 1}: a test of nothing" for solutions, test in found if not solutions]
    return wrong + [f"cell {number + 1}: a solution without a test" for number in left]


def good():
    return lesson(cell(SOLVED, "half", solution=True), cell(TESTED, "test-half", points=1))


@each_lesson
def test_metadata_of_a_lesson(path):
    assert wrong_metadata(read(path)) == []
    assert len(exercises(read(path))[0]) >= 3


def test_good_metadata():
    assert wrong_metadata(good()) == []


@pytest.mark.parametrize(("number", "change"), [
    (0, {"grade_id": "test-half"}), (0, {"grade_id": ""}), (0, {"grade_id": "a b"}),
    (0, {"schema_version": 2}), (0, {"solution": False}), (0, {"solution": "yes"}),
    (0, {"points": 1}), (1, {"grade": False}), (1, {"points": None}), (1, {"locked": False}),
    (1, {"task": None}), (1, {"solution": True}), (1, {"marks": 1})])
def test_bad_metadata(number, change):
    notebook = good()
    notebook.cells[number].metadata["nbgrader"].update(change)
    assert wrong_metadata(notebook)


@each_lesson
def test_a_student_edition_stands_alone(path):
    """It holds no mark, and asks for no file but other lessons."""
    edition = student.student_edition(read(path), path.name)
    text = "\n".join(one.source for one in edition.cells)
    assert not re.search(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS)", text)
    assert text.count("raise NotImplementedError()") >= 3
    assert "../" not in text
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text)
    assert set(links) <= NAMES
    assert not [one for one in edition.cells if one.get("outputs") and not student.is_guide(one)]


# Unsolved, the checks fail; solved, they pass.


def proof(source, mistakes=()):
    """A lesson that tries each exercise unsolved, and with mistakes, before it solves it.

    Before the first solution of an exercise stands all that a student has who did nothing, up to
    and with the visible test. Those cells may raise; in their metadata, `unsolved` has the names
    that the solution would define.
    """
    source, edition = deepcopy(source), student.student_edition(source)
    starts = {solutions[0]: (solutions, test) for solutions, test in exercises(source)[0]}
    cells = []
    for number, one in enumerate(source.cells):
        if number in starts:
            solutions, test = starts[number]
            missing = set().union(*(names(source.cells[place].source) for place in solutions))
            cells += [may_fail(one, unsolved=sorted(missing))
                      for one in edition.cells[number:test + 1] if one.cell_type == "code"]
            for which, mistake in enumerate(mistakes):
                if mistake.test == student.grader(edition.cells[test])["grade_id"]:
                    cells += [may_fail(v4.new_code_cell(mistake.code)),
                              may_fail(edition.cells[test], mistake=which)]
        cells.append(one)
    source.cells = cells
    return source


def may_fail(one, **metadata):
    metadata["tags"] = [*one.metadata.get("tags", []), RAISES]
    return v4.new_code_cell(one.source, metadata=one.metadata | metadata)


def names(source):
    """What a cell defines."""
    nodes = list(ast.walk(ast.parse(TransformerManager().transform_cell(source))))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)} | {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def run(notebook, folder, mistakes=()):
    """Run a proof in one kernel; returns what went wrong."""
    client = NotebookClient(notebook, timeout=120, kernel_name="python3",
                            extra_arguments=["--log-level=ERROR"],
                            resources={"metadata": {"path": str(folder)}})
    try:
        client.execute()
    except CellExecutionError as error:
        return [f"a cell fails that should not: {error}"]
    return surprises(notebook, mistakes)


def surprises(notebook, mistakes=()):
    """What a proof that ran has shown to be wrong."""
    wrong = []
    for one in notebook.cells:
        outputs = one.get("outputs", [])
        errors = [output for output in outputs if output.output_type == "error"]
        if "mistake" in one.metadata:
            mistake, said = mistakes[one.metadata["mistake"]], [error.evalue for error in errors]
            if not any(mistake.says in text for text in said):
                wrong.append(f"{mistake.test}, who {mistake.what}: {said}")
        elif student.is_test(one) and "unsolved" in one.metadata:
            wrong += wrong_failures(one, errors)
        elif student.is_test(one):
            wrong += [f"the value of a test would be its points:\n{one.source}"
                      for output in outputs if output.output_type == "execute_result"]
            wrong += [f"a test that writes to stderr gets no points:\n{one.source}"
                      for output in outputs if output.get("name") == "stderr"]
        elif student.is_solution(one):
            wrong += [f"{error.ename} in an unsolved cell:\n{one.source}" for error in errors
                      if error.ename != "NotImplementedError"]
    return wrong


def wrong_failures(test, errors):
    """A test of unsolved cells fails, and not because the test itself lacks a name."""
    if not errors:
        return [f"passes without a solution:\n{test.source}"]
    missing = re.findall(r"^name '(\w+)' is not defined", errors[0].evalue)
    lacks = errors[0].ename == "NameError" and not set(missing) <= set(test.metadata["unsolved"])
    if lacks or errors[0].ename in ("SyntaxError", "ImportError", "ModuleNotFoundError"):
        return [f"fails for {errors[0].ename}: {errors[0].evalue}:\n{test.source}"]
    return []


@pytest.mark.student
@pytest.mark.timeout(900)
@each_lesson
def test_the_checks_of_a_lesson_fail_unsolved_and_pass_solved(path):
    mistakes = [mistake for mistake in MISTAKES if mistake.lesson == path.stem]
    assert run(proof(read(path), mistakes), path.parent, mistakes) == []


# docs/teaching.md says the same.

GUIDE = " ".join((ROOT / "docs" / "teaching.md").read_text(encoding="utf-8").split())


def test_mistakes_name_tests_that_there_are_and_every_lesson_has_some():
    tests = {(path.stem, student.grader(one).get("grade_id")) for path in LESSONS
             for one in read(path).cells if student.is_test(one)}
    assert {(mistake.lesson, mistake.test) for mistake in MISTAKES} <= tests
    assert {mistake.lesson for mistake in MISTAKES} == {path.stem for path in LESSONS}


def test_the_guide_quotes_what_the_checks_say():
    assert [row for row in MISTAKES
            if f"| {row.test.removeprefix('test-')} | {row.what} | {row.says} |" not in GUIDE] == []


@each_lesson
def test_the_guide_has_the_minutes_and_points_of_a_lesson(path):
    first, *cells = read(path).cells
    tests = [one for one in cells if student.is_test(one)]
    points = sum(student.grader(one)["points"] for one in tests)
    title = re.match(r"# (.*)", first.source)[1]
    minutes = re.search(r"(\d+) minutes", first.source)[1]
    assert f"| {path.stem} | {title} | {minutes} | {len(tests)} | {points} |" in GUIDE


def exercise(name, solution, test):
    solved = f"{BEGIN}\n{solution}\n{END}"
    return [cell(solved, name, solution=True), cell(test, f"test-{name}", points=1)]


def test_the_proof_itself_finds_checks_that_are_wrong(tmp_path):
    notebook = lesson(
        *good().cells,
        *exercise("idle", "a = 1", "assert True"),
        *exercise("elsewhere", "exec('b = 1')", "assert b == 1"),
        *exercise("value", "c = 1", "assert c == 1\n0.5"),
        *exercise("stderr", "d = 1", "import sys\nassert d\nprint(1, file=sys.stderr)"))
    assert [text.split(":")[0] for text in run(proof(notebook), tmp_path)] == [
        "passes without a solution", "fails for NameError",
        "the value of a test would be its points", "a test that writes to stderr gets no points"]


def test_the_proof_itself_finds_a_solution_that_is_wrong(tmp_path):
    (wrong,) = run(proof(lesson(*exercise("a", "a = 1", "assert a == 2"))), tmp_path)
    assert wrong.startswith("a cell fails that should not") and "assert a == 2" in wrong


def test_a_test_of_two_cells_is_tried_with_both_unsolved():
    first, test = exercise("a", "a = 1", "assert a + b == 3")
    second, _ = exercise("b", "b = 2", "")
    found = proof(lesson(first, cell("Text", kind="markdown"), second, test))
    assert ["unsolved" in one.metadata for one in found.cells] == 3 * [True] + 4 * [False]
    assert set(found.cells[0].metadata["unsolved"]) == {"a", "b"}
    assert [one.source[:7] for one in found.cells[:3]] == ["# YOUR ", "# YOUR ", "assert "]

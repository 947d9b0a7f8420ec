"""What every lesson keeps to: its shape, its stored outputs, its language.

A lint is a function from a notebook to a list of what is wrong, and empty is good. Each is shown
a small bad notebook as well: a lint that finds nothing there would find nothing anywhere.
"""

import ast
import re
from pathlib import Path
from statistics import median

import pytest
from by_hand import started
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import v4

from labkit.lessons import find_lessons, run_lesson

LESSONS = find_lessons(folder=Path(__file__).parents[1] / "notebooks")
LONGEST, MEDIAN, DESCRIPTION = 20, 3, 40
PREDICTIONS, EXERCISES = 2, 3
HYPE = re.compile(
    r"(?i)\b(amazing|awesome|delve|easily|effortless(ly)?|exciting|incredibl[ey]|just|magical|"
    r"obviously|of course|powerful|revolutionary|seamless(ly)?|simply|trivially)\b")
# Not preceded by what makes it an address, a tag, a formula or a relative path.
ABSOLUTE = re.compile(r"(?<![\w./:<>)\]}~*-])/(?!dev/|proc/)[A-Za-z][\w.-]*/\w|\b[A-Z]:\\|file://")
EMOJI = re.compile("[\N{MAHJONG TILE EAST WIND}-\U0001faff\u2600-\u27bf\u2b50\u2b55\ufe0f]")


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown(cells):
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def outputs(notebook):
    return [(cell, output) for cell in code(notebook) for output in cell.outputs]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def tree(cell):
    """The cell's syntax tree, whose line magics have become calls."""
    return ast.parse(TransformerManager().transform_cell(cell.source))


def counts_are_in_order(notebook):
    counts = [cell.execution_count for cell in code(notebook)]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"counts are {counts}"]


def no_errors_are_stored(notebook):
    return [f"{output.ename} in [{cell.execution_count}]" for cell, output in outputs(notebook)
            if output.output_type == "error"
            and "raises-exception" not in cell.metadata.get("tags", [])]


def no_times_are_stored(notebook):
    return [cell.source for cell in notebook.cells if "execution" in cell.metadata]


def cells_are_short(notebook):
    sizes = [len(lines(cell)) for cell in code(notebook)]
    found = [f"a cell of {size} lines" for size in sizes if size > LONGEST]
    return found + [f"median of {median(sizes)} lines"] * (median(sizes) > MEDIAN)


def imports_are_in_the_first_code_cell(notebook):
    importing = [number for number, cell in enumerate(code(notebook), start=1)
                 if any(isinstance(node, ast.Import | ast.ImportFrom)
                        for node in ast.walk(tree(cell)))]
    return [] if importing == [1] else [f"imports in code cells {importing}"]


def figures_are_described(notebook):
    texts = [output.data.get("text/plain", "").strip() for _, output in outputs(notebook)
             if "image/png" in output.get("data", {})]
    return [f"described as {text!r}" for text in texts if len(text) < DESCRIPTION
            or re.search(r"^\W*<|<(Figure|Axes)|^Axes\(| object at 0x", text)]


def kernel_is_python3(notebook):
    name = notebook.metadata.get("kernelspec", {}).get("name")
    return [] if name == "python3" else [f"the kernel is {name}"]


def opening_says_what_to_expect(notebook):
    first = "".join(markdown(notebook.cells[:1]))
    needed = {"a title": r"\A# \w", "objectives": r"(?i)\bobjectives\b", "minutes": r"\d minutes",
              "prerequisites": r"(?i)\b(prerequisites|before you start)\b"}
    return [f"no {what}" for what, pattern in needed.items() if not re.search(pattern, first)]


def ending_has_take_away_and_sources(notebook):
    last = "\n".join(markdown(notebook.cells[-3:]))
    needed = {"take-away": r"(?im)^#+ .*take-?aways?\b", "sources": r"(?im)^#+ .*\bsources\b"}
    return [f"no {what}" for what, pattern in needed.items() if not re.search(pattern, last)]


def no_line_ends_in_a_semicolon(notebook):
    return [line for cell in code(notebook) for line in lines(cell) if line.rstrip()[-1] == ";"]


def no_path_is_absolute(notebook):
    texts = [cell.source for cell in notebook.cells]
    for _, output in outputs(notebook):
        texts += [output.get("text", ""), output.get("data", {}).get("text/plain", ""),
                  *output.get("traceback", [])]
    return [text for text in texts if ABSOLUTE.search(text)]


def no_hype(notebook):
    return [f"{match[0]!r} in: {line}" for text in markdown(notebook.cells)
            for line in text.splitlines() for match in HYPE.finditer(line)]


def no_emoji(notebook):
    return [match[0] for cell in notebook.cells for match in EMOJI.finditer(cell.source)]


def cells_have_ids(notebook):
    ids = [cell.get("id") for cell in notebook.cells]
    good = (notebook.nbformat, notebook.nbformat_minor) >= (4, 5) and all(ids)
    return [] if good and len(set(ids)) == len(ids) else [f"cell ids are {ids}"]


def clusters_are_closed(notebook):
    """Each is in a `with`, or has a name whose `close()` a later cell calls."""
    opened, closed = [], {}
    for number, cell in enumerate(code(notebook)):
        nodes = list(ast.walk(tree(cell)))
        within = {item.context_expr for node in nodes if isinstance(node, ast.With)
                  for item in node.items}
        names = {node.value: ast.unparse(node.targets[0]) for node in nodes
                 if isinstance(node, ast.Assign)}
        for node in set(nodes) - within:
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if called == "labkit.cluster":
                opened.append((number, names.get(node, "a cluster without a name")))
            elif called.endswith(".close"):
                closed[called.removesuffix(".close")] = number
    return [f"{name} is not closed" for number, name in opened if closed.get(name, -1) <= number]


def calls(cell, name):
    """How often a cell calls a function of this name."""
    return sum(isinstance(node, ast.Call) and ast.unparse(node.func) == name
               for node in ast.walk(tree(cell)))


def predictions_come_before_figures(notebook):
    asked, found = 0, []
    for number, cell in enumerate(code(notebook), start=1):
        asked += calls(cell, "labkit.predict_first")
        drawn = any("image/png" in output.get("data", {}) for output in cell.outputs)
        if drawn and not asked:
            found.append(f"a figure in code cell {number}, before any prediction")
    return found + [f"{asked} predictions"] * (asked < PREDICTIONS)


def predictions_may_be_missing(notebook):
    """Who runs all cells at once has made none: `value` is None then."""
    asked, found = set(), []
    for node in (node for cell in code(notebook) for node in ast.walk(tree(cell))):
        if isinstance(node, ast.Assign) and "labkit.predict_first(" in ast.unparse(node.value):
            asked |= {ast.unparse(target) for target in node.targets}
    for node in (node for cell in code(notebook) for node in ast.walk(tree(cell))):
        if isinstance(node, ast.Attribute) and node.attr == "value" and \
                ast.unparse(node.value) in asked:
            found.append(f"{ast.unparse(node)}: write {{{ast.unparse(node.value)}:g}} instead")
    return found


def a_knob_can_be_turned(notebook):
    found = sum(calls(cell, "labkit.knob") for cell in code(notebook))
    return [] if found == 1 else [f"{found} knobs"]


def graded(notebook, part):
    return [cell for cell in code(notebook) if cell.metadata.get("nbgrader", {}).get(part)]


def exercises_are_enforced(notebook):
    """At least three, each with hints in steps and a check with a hidden part."""
    tests = graded(notebook, "grade")
    text = "\n".join(markdown(notebook.cells))
    first, second = (len(re.findall(rf"\*Hint {number}:\*", text)) for number in (1, 2))
    found = [f"{len(tests)} exercises"] * (len(tests) < EXERCISES)
    found += [f"hints in steps for {second} of {len(tests)} exercises"] * (
        min(first, second) < len(tests))
    found += [f"no hidden tests in {cell.metadata.nbgrader.grade_id}" for cell in tests
              if not re.search(r"### BEGIN HIDDEN TESTS\n(.*\n)+### END HIDDEN TESTS", cell.source)]
    checked = sum(calls(cell, "labkit.check") for cell in tests)
    return found + ["labkit.check tries none of the exercises"] * (not checked)


def solutions_are_marked(notebook):
    """Solutions are between their marks, and the rest of the cell is what a learner starts from."""
    found = []
    for cell in graded(notebook, "solution"):
        stub = re.sub(r"(?s)### BEGIN SOLUTION\n.*?### END SOLUTION", "pass", cell.source)
        name = cell.metadata.nbgrader.grade_id
        found += [f"no solution in {name}"] * (stub == cell.source)
        found += [f"{name} is nothing but its solution"] * (stub.strip() == "pass")
    marked = sum("### BEGIN SOLUTION" in cell.source for cell in code(notebook))
    return found + ["a solution in an ungraded cell"] * (
        marked > len(graded(notebook, "solution")))


def grading_is_valid(notebook):
    ids = [cell.metadata.nbgrader.get("grade_id") for cell in code(notebook)
           if "nbgrader" in cell.metadata]
    return [] if all(ids) and len(set(ids)) == len(ids) else [f"ids of graded cells are {ids}"]


def good():
    """A notebook that no lint objects to."""
    figure = v4.new_output("display_data", {
        "image/png": "iVBO", "text/plain": "Two bars: four workers take half as long as two."})
    sources = ["import labkit\n%matplotlib inline", "world = labkit.cluster()",
               "with labkit.cluster() as other:\n    other.map(len, 'ab')", "world.close()",
               'labkit.predict_first("a?")', 'labkit.predict_first("b?")', "labkit.knob()"]
    for _ in range(3):
        sources += ["def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION",
                    "labkit.check(f)\n### BEGIN HIDDEN TESTS\nf()\n### END HIDDEN TESTS"]
    cells = [v4.new_code_cell(source, execution_count=number)
             for number, source in enumerate(sources, start=1)]
    for number, cell in enumerate(cells[7:]):
        cell.metadata.nbgrader = {"grade": bool(number % 2), "solution": not number % 2,
                                  "grade_id": f"exercise-{number}"}
    cells[6].outputs = [figure, v4.new_output("stream", text="1/2 of https://a.org/b/c")]
    cells.insert(-6, v4.new_markdown_cell(3 * "*Hint 1:* Read. *Hint 2:* Count."))
    first = "# A title\n\nObjectives: to see.\n\nPrerequisites: none. It takes 10 minutes."
    last = "## Take-away\n\nIt adjusts `../data/x`.\n\n## Sources\n\nA. Author, 2001."
    return v4.new_notebook(cells=[v4.new_markdown_cell(first), *cells, v4.new_markdown_cell(last)],
                           metadata={"kernelspec": {"name": "python3", "display_name": "Python"}})


def with_cell(number, **fields):
    def change(notebook):
        notebook.cells[number].update(fields)
    return change


def with_output(kind, **fields):
    return with_cell(1, outputs=[v4.new_output(kind, **fields)])


def figure(text):
    return with_output("display_data", data={"image/png": "iVBO", "text/plain": text})


BAD = [
    (counts_are_in_order, with_cell(1, execution_count=None)),
    (counts_are_in_order, with_cell(2, execution_count=1)),
    (no_errors_are_stored, with_output("error", ename="ValueError", evalue="", traceback=[])),
    (no_times_are_stored, with_cell(1, metadata={"execution": {}})),
    (cells_are_short, with_cell(1, source="import labkit\n" + 20 * "1\n")),
    (cells_are_short, lambda notebook: [cell.update(source=4 * "1\n") for cell in code(notebook)]),
    (imports_are_in_the_first_code_cell, with_cell(3, source="def f():\n    from a import b")),
    (imports_are_in_the_first_code_cell, with_cell(1, source="1")),
    (figures_are_described, figure("<Figure size 640x480 with 1 Axes, as long as a description>")),
    (figures_are_described, figure("[<matplotlib.lines.Line2D object at 0x7f0123456789>]")),
    (figures_are_described, figure("A line that rises")),
    (figures_are_described, with_output("display_data", data={"image/png": "iVBO"})),
    (kernel_is_python3, lambda notebook: notebook.metadata.kernelspec.update(name="my-env")),
    (kernel_is_python3, lambda notebook: notebook.metadata.clear()),
    (opening_says_what_to_expect, with_cell(0, source="## Objectives, Prerequisites, 5 minutes")),
    (opening_says_what_to_expect, with_cell(0, source="# A title\n\nPrerequisites. 5 minutes")),
    (opening_says_what_to_expect, with_cell(0, source="# A title\n\nObjectives. 5 minutes")),
    (opening_says_what_to_expect, with_cell(0, source="# A title\n\nObjectives. Prerequisites")),
    (opening_says_what_to_expect, lambda notebook: notebook.cells.pop(0)),
    (ending_has_take_away_and_sources, with_cell(-1, source="## Sources")),
    (ending_has_take_away_and_sources, with_cell(-1, source="## Take-away\n\nOur sources: none.")),
    (no_line_ends_in_a_semicolon, with_cell(3, source="plot(x); \n1")),
    (no_path_is_absolute, with_cell(3, source="open('/home/me/data.csv')")),
    (no_path_is_absolute, with_cell(0, source="See C:\\data.")),
    (no_path_is_absolute, with_output("stream", text="saved in /tmp/x")),
    (no_path_is_absolute, with_output("error", traceback=["File /usr/lib/python3/x.py"])),
    (no_hype, with_cell(0, source="# It is Simply there")),
    (no_emoji, with_cell(0, source="# Start \N{ROCKET}")),
    (no_emoji, with_cell(3, source="print('\N{WHITE HEAVY CHECK MARK}')")),
    (cells_have_ids, lambda notebook: notebook.cells[2].pop("id")),
    (cells_have_ids, lambda notebook: notebook.cells[2].update(id=notebook.cells[1].id)),
    (cells_have_ids, lambda notebook: notebook.update(nbformat_minor=4)),
    (predictions_come_before_figures, with_output("display_data", data={"image/png": "iVBO"})),
    (predictions_come_before_figures, with_cell(5, source="1")),
    (predictions_may_be_missing, with_cell(
        5, source='guess = labkit.predict_first("a?")\nprint(f"{guess.value:g}")')),
    (a_knob_can_be_turned, with_cell(7, source="labkit.knob")),
    (a_knob_can_be_turned, with_cell(5, source="labkit.knob()")),
    (exercises_are_enforced, lambda notebook: notebook.cells.pop(-2)),
    (exercises_are_enforced, with_cell(8, source="*Hint 1:* Read.")),
    (exercises_are_enforced, with_cell(8, source="*Hint 1:* Read. *Hint 2:* Count.")),
    (exercises_are_enforced, with_cell(10, source="labkit.check(f)")),
    (exercises_are_enforced, lambda notebook: [cell.update(source=cell.source.replace(
        "labkit.check", "check")) for cell in code(notebook)]),
    (solutions_are_marked, with_cell(9, source="def f():\n    return 1")),
    (solutions_are_marked, with_cell(9, source="### BEGIN SOLUTION\n1\n### END SOLUTION")),
    (solutions_are_marked, with_cell(3, source="### BEGIN SOLUTION\n1\n### END SOLUTION")),
    (grading_is_valid, lambda notebook: notebook.cells[9].metadata.nbgrader.pop("grade_id")),
    (grading_is_valid, lambda notebook: notebook.cells[9].metadata.nbgrader.update(
        grade_id="exercise-1")),
    (clusters_are_closed, with_cell(4, source="other.close()")),
    (clusters_are_closed, with_cell(4, source="world.close()\nworld = labkit.cluster()")),
    (clusters_are_closed, with_cell(3, source="labkit.cluster().map(len, 'ab')")),
]
LINTS = list(dict.fromkeys(lint for lint, _ in BAD))


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.__name__)
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson(path, lint):
    # nbformat.read would give ids to cells that have none.
    assert lint(v4.reads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("lint", LINTS, ids=lambda lint: lint.__name__)
def test_a_good_notebook(lint):
    assert lint(good()) == []


@pytest.mark.parametrize(("lint", "change"), BAD)
def test_a_bad_notebook(lint, change):
    notebook = good()
    change(notebook)
    assert lint(notebook)


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_over_tls(path, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_SECURITY", "tls")
    monkeypatch.delenv("LABKIT_SCHEDULER", raising=False)
    assert not run_lesson(path, tmp_path).problem


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """The address of a cluster with four workers."""
    with started(tmp_path_factory.mktemp("dask"), 4) as (address, _):
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_on_a_cluster_started_by_hand(path, by_hand, tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_SCHEDULER", by_hand)
    assert not run_lesson(path, tmp_path).problem

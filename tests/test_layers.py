"""Imports point down only, and only labkit/cluster imports distributed."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "labkit"

FLOORS = [
    {"errors", "records", "topology", "network", "wire", "sharding", "datasets", "detection",
     "assignment", "faults", "checkpoint", "laws", "safe_files", "progress", "audience",
     "words"},
    {"world", "peer", "collectives", "serial", "elastic"},
    {"cluster", "simulate"},
    {"models", "learning", "measuring"},
    {"plots", "checking", "guess", "replaying", "slider", "watching"},
    {"doctor", "lessons", "slides", "student", "__init__", "__main__"},
]
FLOOR = {module: number for number, floor in enumerate(FLOORS) for module in floor}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """Return every module that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(path, floor, names):
    """Return what a file on `floor` imports from above it, and distributed."""
    wrong = []
    for name in names:
        parts = name.split(".")
        if parts[0] == "labkit" and len(parts) > 1 and FLOOR.get(parts[1], floor) > floor:
            wrong.append(f"{path}: imports {name} from a floor above")
        if parts[0] == "distributed" or name.startswith("dask.distributed"):
            if module_of(path) != "cluster":
                wrong.append(f"{path}: imports {name}")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    module = module_of(path)
    assert module in FLOOR, f"{module} has no floor: add it to FLOORS"
    assert not violations(path, FLOOR[module], imports(path))


@pytest.mark.parametrize(("module", "name"), [
    ("errors", "labkit.peer.Peer"), ("models", "distributed"),
    ("models", "dask.distributed.Client"),
    ("world", "labkit.cluster.link.Link"), ("serial", "distributed.worker.get_worker")])
def test_the_check_itself_finds_a_violation(module, name):
    assert violations(PACKAGE / f"{module}.py", FLOOR[module], {name})


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").rglob("*.py")), ids=lambda p: p.name)
def test_models_do_not_name_dask(path):
    assert "dask" not in path.read_text().lower()

"""pyproject.toml, the lock files, environment.yml and pre-commit say the same."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Where conda-forge has another name, or its plain name brings a desktop toolkit.
CONDA_NAMES = {"matplotlib": "matplotlib-base", "playwright": "playwright-python"}
CONDA_ONLY = {"python", "pip", "make"}


def pins(file_name):
    """Name -> the pinned versions, one for each line of a lock file."""
    found = {}
    for line in (ROOT / file_name).read_text().splitlines():
        if line.strip() and not line.strip().startswith("#"):
            pin = Requirement(line)
            (specifier,) = pin.specifier
            assert specifier.operator == "==", line
            found.setdefault(canonicalize_name(pin.name), []).append(specifier.version)
    return found


def conda():
    """Name -> version range in environment.yml, and the lines for pip."""
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    packages = [line.partition(" ") for line in lines if isinstance(line, str)]
    (for_pip,) = [line["pip"] for line in lines if isinstance(line, dict)]
    return {name: SpecifierSet(versions) for name, _, versions in packages}, for_pip


@pytest.mark.parametrize("text", PROJECT["dependencies"] + EXTRAS["dev"])
def test_the_lock_satisfies_pyproject(text):
    needed = Requirement(text)
    versions = pins("requirements.lock")[canonicalize_name(needed.name)]
    assert all(version in needed.specifier for version in versions)


@pytest.mark.parametrize("text", EXTRAS["frameworks"])
def test_the_frameworks_lock_satisfies_pyproject(text):
    needed, lock = Requirement(text), pins("requirements-frameworks.lock")
    assert set(lock) == {"pyspark", "py4j"}
    assert lock[needed.name][0] in needed.specifier


@pytest.mark.parametrize("extra", ["grading", "slides"])
def test_the_lock_of_an_extra_satisfies_pyproject_and_adds_to_the_other(extra):
    lock = pins(f"requirements-{extra}.lock")
    for needed in map(Requirement, EXTRAS[extra]):
        assert lock[canonicalize_name(needed.name)][0] in needed.specifier
    assert not set(lock) & (set(pins("requirements.lock")) | {"rfc3987-syntax", "lark"})


@pytest.mark.parametrize("text", PROJECT["dependencies"] + EXTRAS["dev"])
def test_conda_asks_for_what_pyproject_asks(text):
    needed = Requirement(text)
    packages, _ = conda()
    assert packages[CONDA_NAMES.get(needed.name, needed.name)] == needed.specifier


def test_conda_asks_for_nothing_else():
    packages, for_pip = conda()
    needed = [Requirement(text).name for text in PROJECT["dependencies"] + EXTRAS["dev"]]
    assert set(packages) == {CONDA_NAMES.get(name, name) for name in needed} | CONDA_ONLY
    assert packages["python"] == SpecifierSet(PROJECT["requires-python"])
    assert for_pip == ["-e ."]


@pytest.mark.parametrize("file_name", sorted(path.name for path in ROOT.glob("*.lock")))
def test_locks_hold_no_addresses(file_name):
    text = (ROOT / file_name).read_text()
    assert not re.search(r"://|@|^-|file:", text, re.MULTILINE)
    assert not re.search(r"(^|\s)(/|[A-Za-z]:\\)", text)


def test_the_lock_is_the_same_for_every_machine():
    assert all(len(versions) == 1 for versions in pins("requirements.lock").values())


def test_slow_rfc3987_is_left_out():
    assert not {"rfc3987-syntax", "lark"} & set(pins("requirements.lock"))


def test_pre_commit_lints_with_the_locked_ruff():
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (ruff,) = [repo for repo in repos if repo["repo"].endswith("ruff-pre-commit")]
    assert [ruff["rev"].removeprefix("v")] == pins("requirements.lock")["ruff"]

"""Checkpoints: whole or the one before, whoever is killed and whatever the disk does to them."""

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labkit
from labkit import safe_files
from labkit.checkpoint import Checkpoints, CheckpointWarning, Saved, generation, keeping
from labkit.errors import CheckpointError, ConfigurationError, ProgramError, StorageFull
from labkit.faults import Crash, FaultPlan
from labkit.laws import daly
from labkit.learning import LogisticRegression
from labkit.network import named_machine

# One process that imports labkit once and forks children, each to be killed.
FORKS = """
import os, resource, sys
import numpy as np
from labkit.checkpoint import Checkpoints

def state(number):
    return dict(w=np.full(50_000, float(number)), step=number)

def forever(folder, number):
    checkpoints = Checkpoints(folder)
    while True:
        checkpoints.save(number, state(number))
        os.write(1, f"saved {number}\\n".encode())
        number += 1

def too_much(folder, number):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        Checkpoints(folder).save(number, state(number))
    except Exception as error:
        text = f"{type(error).__name__} {error!s:.2000}".replace("\\n", "|")
        os.write(1, f"{text}\\n".encode())

for line in sys.stdin:
    name, folder, number = line.rstrip("\\n").split("\\t")
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(its)
        os.read(ours, 1)                 # until it has been announced
        globals()[name](folder, int(number))
        os._exit(0)
    os.write(1, f"child {child}\\n".encode())
    os.close(ours)
    os.close(its)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


def state_of(number):
    return dict(w=np.full(50_000, float(number)), step=number)


def mixed(number):
    """Return a small state with a value of each kind."""
    rng = np.random.default_rng(number)
    return dict(w=rng.normal(size=(5, 3)), step=number, tol=rng.random(), on=bool(number % 2),
                few=np.arange(number, dtype=">i2"), one=np.float32(number), flag=np.bool_(True))


def assert_same(arrays, state):
    assert arrays.keys() == state.keys()
    for name, want in state.items():
        got = arrays[name]
        assert type(got) is type(want), name
        assert np.asarray(got).dtype == np.asarray(want).dtype, name
        np.testing.assert_array_equal(got, want)


def path_of(folder, number, suffix="npz"):
    return Path(folder) / f"step-{number:06d}.{suffix}"


def names_in(folder):
    return sorted(os.listdir(folder))


def generations(*numbers):
    return [f"step-{n:06d}.{suffix}" for n in numbers for suffix in ("json", "npz")]


def forge(folder, number, data, **changes):
    """Replace a generation's data, and let its manifest vouch for it: by the format's words."""
    path_of(folder, number).write_bytes(data)
    path = path_of(folder, number, "json")
    manifest = json.loads(path.read_text())
    del manifest["digest"]
    manifest.update(size=len(data), sha256=hashlib.sha256(data).hexdigest(), **changes)
    text = json.dumps(manifest, sort_keys=True)
    manifest["digest"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(manifest))


def zipped(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def npy(array, **header):
    """Return an array as .npy, perhaps with a header that lies."""
    file = io.BytesIO()
    facts = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **header}
    np.lib.format.write_array_header_1_0(file, facts)
    return file.getvalue() + array.tobytes()


def assert_parts(error, where, remedy=""):
    for part in (error.expected, error.got, error.remedy):
        assert part not in (None, "")
    assert error.where == str(where)
    assert remedy in error.remedy


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "a folder"


# ---- there and back


def test_a_state_comes_back_as_it_was(folder):
    state = dict(mixed(3), big=2**63, least=-2**63, nan=float("nan"), zero=-0.0,
                 empty=np.empty((0, 4)), point=np.array(1.5), text=np.array(["a", "bcd"]),
                 when=np.array(["2026-01-01"], "M8[D]"), z=np.array([1 + 2j]),
                 columns=np.asfortranarray(np.ones((2, 3))), every=np.arange(10)[::3], file=1,
                 allow_pickle=True, größe=np.int8(1), **{"0": 1.0})
    assert Checkpoints(folder).save(7, state) is None
    saved = Checkpoints(folder).load()
    assert saved.number == 7
    assert_same(saved.arrays, state)
    assert np.signbit(saved.arrays["zero"])
    saved.arrays["w"][:] = 0                          # may be written to
    assert json.loads(path_of(folder, 7, "json").read_text())["labkit"] == labkit.__version__


def test_numpy_reads_the_file_too(folder):
    Checkpoints(folder).save(2, mixed(2))
    with np.load(path_of(folder, 2), allow_pickle=False) as file:
        assert set(file.files) == set(mixed(2))
        for name, want in mixed(2).items():
            np.testing.assert_array_equal(file[name], want)


def test_there_may_be_nothing(folder):
    assert Checkpoints(folder).load() is None         # no folder
    folder.mkdir()
    path_of(folder, 3).write_bytes(b"data without a manifest: its writer was killed")
    (folder / "notes.txt").write_text("not ours")
    assert Checkpoints(folder).load() is None
    Checkpoints(folder).save(4, {})
    assert Checkpoints(folder).load() == Saved(4, {})
    assert names_in(folder) == ["notes.txt", *generations(4)]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_as_many_generations_are_kept_as_asked(folder, keep):
    checkpoints = Checkpoints(folder, keep=keep)
    for number in (8, 9, 10, 1_000_000):
        checkpoints.save(number, mixed(number))
    assert names_in(folder) == sorted(generations(*(8, 9, 10, 1_000_000)[-keep:]))
    assert checkpoints.load().number == 1_000_000
    checkpoints.save(11, mixed(11))                   # never removes a newer one
    assert path_of(folder, 1_000_000).exists() and path_of(folder, 11).exists()


def test_a_number_saved_again_is_replaced(folder):
    checkpoints = Checkpoints(folder)
    for state in (mixed(1), mixed(2)):
        checkpoints.save(5, state)
    assert_same(checkpoints.load().arrays, mixed(2))


def test_the_object_travels(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(Checkpoints("a folder", every_s=5))
    assert len(data) < 1000
    monkeypatch.chdir("/")
    checkpoints = pickle.loads(data)
    checkpoints.save(1, mixed(1))
    assert names_in(folder) == generations(1)
    assert repr(checkpoints) == f"Checkpoints({str(folder)!r}, every_s=5, keep=2)"


@pytest.mark.parametrize("value", [
    None, "text", [1.0], 2**64, 1j, object(), np.array([None]), np.ma.array([1]),
    np.zeros(2, [("a", int)]), np.array(["a"], np.dtypes.StringDType()), np.datetime64("2026")],
    ids=lambda value: type(value).__name__)
def test_what_would_need_pickle_is_refused(folder, value):
    with pytest.raises(ConfigurationError, match="without pickle") as caught:
        Checkpoints(folder).save(1, dict(good=1, bad=value))
    assert_parts(caught.value, "state['bad']", "made of")
    assert not folder.exists()


def test_a_dtype_that_would_come_back_as_bytes_is_refused(folder):
    own = pytest.importorskip("numpy._core._rational_tests").rational      # as bfloat16 is
    with pytest.raises(ConfigurationError, match="got: ndarray rational"):
        Checkpoints(folder).save(1, {"w": np.array([own(1, 2)])})


@pytest.mark.parametrize("name", ["", "../a", "a/b", "a b", 5, "a\0", "a\n"])
def test_names_that_could_be_paths_are_refused(folder, name):
    with pytest.raises(ConfigurationError, match="simple names"):
        Checkpoints(folder).save(1, {name: 1})


# ---- when


def offers(checkpoints, times_s):
    return [t for n, t in enumerate(times_s, 1) if checkpoints.offer(n, {"n": n}, t)]


def test_every_offer_is_taken_by_default(folder):
    assert offers(Checkpoints(folder), [0, 1, 1, 2]) == [0, 1, 1, 2]
    assert offers(Checkpoints(folder, every_s=0), [0, 0, 1]) == [0, 0, 1]


def test_some_seconds_pass_between_saves(folder):
    times_s = [0.5, 1, 5, 5.5, 6, 12, 13, 17]
    assert offers(Checkpoints(folder, every_s=5), times_s) == [0.5, 5.5, 12, 17]
    # A clock that begins anew, as after a loss, must not stop all saving.
    assert offers(Checkpoints(folder, every_s=5), [100, 102, 1, 3, 6]) == [100, 1, 6]


def test_dalys_interval_follows_the_cost_of_the_last_saves(folder, monkeypatch):
    clock = SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(keeping.time, "perf_counter", lambda: clock.now_s)
    write, costs_s = generation.write, iter([8.0, 2.0, 2.0, 2.0, 2.0, 2.0])

    def slow_write(*arguments):
        clock.now_s += next(costs_s)
        write(*arguments)

    monkeypatch.setattr(generation, "write", slow_write)
    checkpoints = Checkpoints(folder, mtbf_s=3600)
    assert checkpoints.interval_s == 0
    first = daly(8, 3600)
    assert offers(checkpoints, [0, 1, first - 0.1, first, first + 1]) == [0, first]
    assert checkpoints.interval_s == daly(5, 3600)
    for number in range(4):
        checkpoints.save(number, {})
    assert checkpoints.interval_s == daly(2, 3600)    # the 8 s are forgotten


@pytest.mark.parametrize("settings", [
    dict(every_s=1, mtbf_s=1), dict(every_s=-1), dict(every_s=float("nan")), dict(every_s="5"),
    dict(mtbf_s=0), dict(mtbf_s=float("inf")), dict(keep=0), dict(keep=1.5), dict(keep=True)],
    ids=str)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigurationError):
        Checkpoints("never made", **settings)


@pytest.mark.parametrize("number", [-1, 1.5, None, True])
def test_numbers_that_cannot_be_are_refused(folder, number):
    with pytest.raises(ConfigurationError, match="whole number"):
        Checkpoints(folder).save(number, {})


# ---- killed writers


@pytest.fixture(scope="module")
def forks():
    process = subprocess.Popen([sys.executable, "-c", FORKS], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    yield process
    process.communicate()                             # no more orders: it ends
    assert process.returncode == 0


def order(forks, name, folder, number):
    """Let a child do something; return its process id."""
    forks.stdin.write(f"{name}\t{folder}\t{number}\n")
    forks.stdin.flush()
    return int(forks.stdout.readline().removeprefix("child "))


def words_of_the_dead(forks):
    return list(iter(forks.stdout.readline, "dead\n"))


def test_a_killed_writer_leaves_a_whole_checkpoint(forks, folder):
    rng = np.random.default_rng()
    number, in_the_middle = 0, 0
    for kill in range(14):
        child = order(forks, "forever", folder, number + 1)
        head = [forks.stdout.readline()] if kill % 2 else []       # else perhaps before the first
        time.sleep(rng.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        acknowledged = [int(line.split()[1]) for line in head + words_of_the_dead(forks)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")            # no file that counts is ever bad
            saved = Checkpoints(folder).load()
        last = max(acknowledged, default=number)
        if saved is None:
            assert last == 0
            continue
        assert last <= saved.number <= last + 1       # what `save` has promised, or one more
        assert_same(saved.arrays, state_of(saved.number))
        number = saved.number
        in_the_middle += any(name.endswith(".part") for name in names_in(folder))
    assert in_the_middle > 0
    Checkpoints(folder).save(number + 1, state_of(number + 1))
    assert names_in(folder) == generations(number, number + 1)


@pytest.mark.parametrize("first", [[], [1], [1, 2, 3]], ids=len)
def test_power_may_fail_between_any_two_calls(folder, tmp_path, monkeypatch, first):
    for number in first:
        Checkpoints(folder).save(number, mixed(number))
    folder.mkdir(exist_ok=True)
    snapshots, originals, calls = [], {"listdir": os.listdir}, []

    def watched(name):
        def call(*arguments):
            snapshots.append(tmp_path / f"snapshot {len(snapshots)}")
            shutil.copytree(folder, snapshots[-1])
            calls.append(name)
            return originals[name](*arguments)
        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "unlink"):
            originals[name] = getattr(os, name)
            patch.setattr(os, name, watched(name))
        patch.setattr(os, "listdir",
                      lambda path: sorted(originals["listdir"](path), reverse=True))
        Checkpoints(folder).save(4, mixed(4))
    found = []
    for snapshot in snapshots:
        names = names_in(snapshot)                    # a manifest never lacks its data
        assert all(name.replace(".json", ".npz") in names for name in names if ".part" not in name)
        saved = Checkpoints(snapshot).load()
        found.append(saved.number if saved else 0)
        if saved:
            assert_same(saved.arrays, mixed(saved.number))
        Checkpoints(snapshot).save(5, mixed(5))
        assert Checkpoints(snapshot).load().number == 5
        assert not [name for name in names_in(snapshot) if name.endswith(".part")]
    before = max(first, default=0)
    assert found == sorted(found) and set(found) == {before, 4}
    # Files are on disk before they get their names, and each name before the next thing is done.
    assert calls[:6] == ["fsync", "fsync", "replace", "fsync", "replace", "fsync"]


# ---- no room


def test_a_full_disk_is_noticed_before_anything_is_written(folder, monkeypatch):
    checkpoints = Checkpoints(folder)
    checkpoints.save(1, state_of(1))
    before = names_in(folder)
    monkeypatch.setattr(safe_files.shutil, "disk_usage",
                        lambda path: SimpleNamespace(free=400_000 + safe_files.MARGIN))
    monkeypatch.setattr(generation, "write", None)
    with pytest.raises(StorageFull, match=f"{400_000 + safe_files.MARGIN} bytes free") as caught:
        checkpoints.save(2, state_of(2))
    assert_parts(caught.value, folder, "make room")
    assert names_in(folder) == before


def test_a_disk_that_fills_while_writing_loses_nothing(forks, folder):
    Checkpoints(folder).save(1, state_of(1))
    order(forks, "too_much", folder, 2)
    (words,) = words_of_the_dead(forks)
    assert words.startswith("StorageFull There is no room")
    assert str(folder) in words and "File too large" in words
    assert names_in(folder) == generations(1)
    assert_same(Checkpoints(folder).load().arrays, state_of(1))


@pytest.mark.parametrize("call", ["makedirs", "fsync", "replace"])
@pytest.mark.parametrize(("number", "kind"), [
    (28, StorageFull), (122, StorageFull), (27, StorageFull), (5, CheckpointError)])
def test_an_error_of_the_disk_is_told(folder, monkeypatch, call, number, kind):
    Checkpoints(folder).save(1, mixed(1))

    def fail(*arguments, **options):
        raise OSError(number, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        for where in (folder, folder / "not" / "made") if call == "makedirs" else (folder,):
            with pytest.raises(kind, match="no") as caught:
                Checkpoints(where).save(2, mixed(2))
            assert_parts(caught.value, where)
    assert names_in(folder) == generations(1)


def test_a_folder_that_is_a_file_is_told(folder):
    folder.write_text("a file")
    for use in (lambda: Checkpoints(folder).load(), lambda: Checkpoints(folder).save(1, {}),
                lambda: Checkpoints(folder / "below").save(1, {})):
        with pytest.raises(CheckpointError, match="cannot be used"):
            use()


# ---- damage


@pytest.fixture
def two(folder):
    for number in (1, 2):
        Checkpoints(folder).save(number, mixed(number))
    return folder


def assert_falls_back(folder, what, suffix="npz"):
    """The second generation is refused for this reason, and the first one used."""
    with pytest.warns(CheckpointWarning, match=what) as caught:
        saved = Checkpoints(folder).load()
    assert saved.number == 1
    assert_same(saved.arrays, mixed(1))
    (text,) = [str(warning.message) for warning in caught]
    assert f"where: {path_of(folder, 2, suffix)}" in text and "generation 1" in text
    for part in ("expected: ", "got: ", "remedy: "):
        assert part in text


def test_the_one_before_is_used_with_a_warning(two):
    path_of(two, 2).write_bytes(path_of(two, 2).read_bytes()[:-1])
    assert_falls_back(two, "has been changed")
    path_of(two, 2).unlink()
    assert_falls_back(two, "cannot be read")
    path_of(two, 1, "json").write_text("{}")
    with pytest.raises(CheckpointError, match="none of them is good") as caught:
        Checkpoints(two).load()
    assert_parts(caught.value, two, "restore")
    assert str(path_of(two, 2)) in caught.value.got
    assert str(path_of(two, 1, "json")) in caught.value.got


def test_a_bad_generation_is_not_one_to_keep(two):
    checkpoints = Checkpoints(two)
    path_of(two, 2).write_bytes(b"")
    with pytest.warns(CheckpointWarning):
        checkpoints.load()
    copy = pickle.loads(pickle.dumps(checkpoints))
    checkpoints.save(3, mixed(3))
    assert names_in(two) == generations(1, 3)
    copy.save(2, mixed(2))                            # good again
    assert {*generations(1, 2)} < {*names_in(two)}


def test_another_version_says_so(two):
    forge(two, 2, path_of(two, 2).read_bytes(), format=99, labkit="7.0")
    what = "another version.\n  expected: format 1\n  got: format 99, by labkit 7.0"
    assert_falls_back(two, what, "json")


def test_data_that_is_good_but_another_is_refused(two, tmp_path):
    Checkpoints(tmp_path / "other").save(2, {**mixed(2), "step": 9})
    shutil.copy(path_of(tmp_path / "other", 2), path_of(two, 2))
    assert_falls_back(two, "has been changed")


def test_a_manifest_that_was_edited_is_refused(two):
    path = path_of(two, 2, "json")
    path.write_text(path.read_text().replace('"int"', '"float"'))
    assert_falls_back(two, "manifest has been changed", "json")


def test_too_little_memory_is_no_damage(two, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(np.lib.format, "read_array", fail)
    with pytest.raises(MemoryError):
        Checkpoints(two).load()


def test_manifests_do_not_change_places(two):
    for suffix in ("npz", "json"):
        shutil.copy(path_of(two, 1, suffix), path_of(two, 2, suffix))
    assert_falls_back(two, "another checkpoint", "json")


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def object_array():
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([Bomb()], object), allow_pickle=True)
    return file.getvalue()


LIE = {"w": {"shape": [100_000_000_000], "dtype": "<f8", "kind": "array"}}
OBJECT = {"w": {"shape": [1], "dtype": "|O", "kind": "array"}}
THREE = {"w": {"shape": [3], "dtype": "<f8", "kind": "array"}}
ONES = np.ones(3)


@pytest.mark.parametrize(("data", "arrays", "what"), [
    (pickle.dumps(Bomb()), THREE, "no .npz file"),
    (zipped([("w.npy", pickle.dumps(Bomb()))]), THREE, "no array"),
    (zipped([("w", pickle.dumps(Bomb()))]), THREE, "no array"),
    (zipped([("w.npy", object_array())]), OBJECT, "needs pickle"),
    (zipped([("../w.npy", npy(ONES))]), THREE, "were promised"),
    (zipped([("w.npy", npy(ONES)), ("../../x", b"")]), THREE, "no array"),
    (zipped([("w.npy", npy(ONES)), ("v.npy", npy(ONES))]), THREE, "were promised"),
    (zipped([]), THREE, "were promised"),
    (zipped([("w.npy", npy(np.zeros(10**6)))], zipfile.ZIP_DEFLATED),
     {"w": {"shape": [10**6], "dtype": "<f8", "kind": "array"}}, "would expand"),
    (zipped([("w.npy", npy(ONES, shape=(10**11,)))]), LIE, "another length"),
    (zipped([("w.npy", npy(ONES))]), LIE, "were promised"),
    (zipped([("w.npy", npy(ONES, shape=(-1, -3)))]),
     {"w": {"shape": [-1, -3], "dtype": "<f8", "kind": "array"}}, "damaged"),
    (zipped([("w.npy", npy(ONES.astype(np.float32)))]), THREE, "were promised"),
    (zipped([("w.npy", npy(ONES) + b"more")]), THREE, "another length"),
    (zipped([("w.npy", npy(ONES))]), {"w": {**THREE["w"], "kind": "list"}}, "cannot be read"),
    (zipped([("w.npy", npy(ONES))]), {"w": 5}, "cannot be read"),
    (zipped([("w.npy", npy(ONES))]), 5, "cannot be read"),
], ids=range(17))
def test_a_forged_checkpoint_is_refused(two, monkeypatch, tmp_path, data, arrays, what):
    monkeypatch.chdir(tmp_path)
    forge(two, 2, data, arrays=arrays)
    assert_falls_back(two, what)
    assert not Path("exploded").exists()


def test_the_forger_of_these_tests_can_forge(two):
    forge(two, 2, zipped([("w.npy", npy(ONES))]), arrays=THREE)
    assert_same(Checkpoints(two).load().arrays, {"w": ONES})


@pytest.mark.parametrize("data", [
    pickle.dumps(Bomb()), b"", b"[]", b"5", b"null", b"[" * 100_000, b"\xff\xfe", b"1" * 5000],
    ids=range(8))
def test_a_manifest_that_is_none_is_refused(two, monkeypatch, tmp_path, data):
    monkeypatch.chdir(tmp_path)
    path_of(two, 2, "json").write_bytes(data)
    assert_falls_back(two, "cannot be read|no manifest", "json")
    assert not Path("exploded").exists()


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Return the files of two generations, as bytes by name."""
    folder = tmp_path_factory.mktemp("originals")
    for number in (1, 2):
        Checkpoints(folder).save(number, mixed(number))
    return {name: (folder / name).read_bytes() for name in names_in(folder)}


def damaged(data, kind, position, value):
    position = int(position * len(data))
    if kind == "flip" and data:
        flipped = bytes([data[position] ^ 1 << value % 8])
        return data[:position] + flipped + data[position + 1:]
    if kind == "replace":
        return data[:position] + bytes([value]) * 4 + data[position + 4:]
    if kind == "truncate" or not data:
        return data[:position]
    return data[:position] + bytes([value]) + data[position:]


DAMAGE = st.tuples(st.sampled_from(["npz", "json"]),
                   st.sampled_from(["flip", "replace", "truncate", "insert"]),
                   st.floats(0, 1, exclude_max=True), st.integers(0, 255))


@given(st.lists(DAMAGE, min_size=1, max_size=2), st.lists(DAMAGE, max_size=1), st.booleans())
@settings(max_examples=200, deadline=None)
def test_damage_is_never_taken_for_data(originals, newest, older, alone):
    files = dict(originals)
    for number, harm in ((2, newest), (1, older)):
        for suffix, *how in harm:
            name = path_of("", number, suffix).name
            files[name] = damaged(files[name], *how)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name, data in files.items():
            if not (alone and name in generations(1)):
                (Path(folder) / name).write_bytes(data)
        try:
            saved = Checkpoints(folder).load()
        except CheckpointError:
            assert alone or older
            return
    assert_same(saved.arrays, mixed(saved.number))
    assert [w.category for w in caught] == [CheckpointWarning] * (2 - saved.number)


# ---- runs that go on


STEPS = 10
PARTS = [1.0, 2.0, 4.0]


def training(fail_at=None, begun=None):
    """Return a program whose peer 0 raises in a step; `begun` gets the steps that it begins."""
    def program(me, part):
        state = me.restore(w=np.zeros(3), step=0)
        w, done = state["w"], 0
        for step in range(state["step"], STEPS):
            me.step(step)
            if me.rank == 0 and begun is not None:
                begun.append(step)
            if me.rank == 0 and step == fail_at:
                raise RuntimeError("the power went off")
            me.work(flops=SECOND)
            w = me.allreduce(w / 3 + part)
            done += 1
            me.commit(w=w, step=step + 1)
        return w, done
    return program


SECOND = 1 / named_machine("laptop core").work_s(flops=1)   # of work, on the virtual clock


@pytest.mark.parametrize("elastic", [False, True])
def test_a_run_goes_on_from_its_last_checkpoint(world, folder, elastic):
    options = dict(checkpoints=Checkpoints(folder), elastic=elastic)
    with pytest.raises(ProgramError, match="RuntimeError in peer 0"):
        world.run(training(fail_at=6), PARTS, **options)
    assert Checkpoints(folder).load().number == 6
    again = world.run(training(), PARTS, **options)
    whole = world.run(training(), PARTS)
    assert Checkpoints(folder).load().number == STEPS
    for (got, done), (want, all_steps) in zip(again.results, whole.results):
        np.testing.assert_array_equal(got, want)
        assert (done, all_steps) == (STEPS - 6, STEPS)


def test_a_finished_run_has_nothing_left_to_do(world, folder):
    first, second = (world.run(training(), PARTS, checkpoints=Checkpoints(folder))
                     for _ in range(2))
    for (want, _), (got, done) in zip(first.results, second.results):
        np.testing.assert_array_equal(got, want)
        assert done == 0


@pytest.mark.parametrize("at_s", [0.5, 1.5, 3.9, 5.5, 8.5])
@pytest.mark.parametrize("every_s", [None, 2.5])
def test_all_peers_may_crash_at_once(folder, every_s, at_s):
    """The clock is virtual: a step takes 1 s, so that it is known what has been saved."""
    begun = []
    with labkit.simulated(workers=3) as world:
        whole = world.run(training(), PARTS)
        run = world.run(training(begun=begun), PARTS, elastic=True,
                        faults=FaultPlan(*(Crash(rank, at_s=at_s) for rank in range(3))),
                        checkpoints=Checkpoints(folder, every_s=every_s))
    for (got, _), (want, _) in zip(run.results, whole.results):
        np.testing.assert_array_equal(got, want)
    steps_done = int(at_s)                            # the step of the crash does not count
    saved = max((n for n in range(1, steps_done + 1) if every_s is None or n % 3 == 1), default=0)
    assert begun == [*range(steps_done + 1), *range(saved, STEPS)]
    assert [one.cause for one in run.generations] == ["PeerLost", ""]


@pytest.mark.parametrize("model", ["peer_to_peer", "master_worker"])
def test_an_estimator_goes_on_from_its_last_checkpoint(folder, model):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = (X[:, 0] + rng.normal(size=60) > 0).astype(int)
    with labkit.simulated(workers=3) as world:
        whole = LogisticRegression(world=world, model=model).fit(X, y)
        half_s = whole.run_.seconds / 2
        with world.under(FaultPlan(*(Crash(rank, at_s=half_s) for rank in range(3))),
                         elastic=True, checkpoints=Checkpoints(folder, every_s=half_s / 10)):
            again = LogisticRegression(world=world, model=model).fit(X, y)
    np.testing.assert_array_equal(again.coef_, whole.coef_)
    assert [one.cause for one in again.run_.generations] == ["PeerLost", ""]
    steps = [event.step for event in again.run_.events
             if event.kind == "step" and event.rank == 0]
    assert steps.count(0) == 1                        # known, and not asked again
    assert set(steps) == set(range(max(steps) + 1))


# ---- kill -9 of everything

# Gradient descent on two peers; peer 0 writes down what it has done, and when it did so.
SCRIPT = """
import os, sys, time
import numpy as np
import labkit
from labkit.checkpoint import Checkpoints

def program(me, part, log, steps):
    X, y = part
    state = me.restore(w=np.zeros(2), step=0)
    w = state["w"]
    for step in range(state["step"], steps):
        w = w - me.allreduce(X.T @ (X @ w - y)) / 5000
        time.sleep(0.005)                    # or it would be over before anybody kills it
        before_s = me.now()
        me.commit(w=w, step=step + 1)
        if me.rank == 0:
            os.write(log_to(log), f"{step + 1} {before_s} {me.now()}\\n".encode())
    return w

def log_to(path, files={}):
    if path not in files:
        files[path] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return files[path]

if __name__ == "__main__":
    folder, log, steps, every_s = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    parts = [(X[:25], X[:25] @ [1, 2]), (X[25:], X[25:] @ [1, 2])]
    with labkit.cluster(2) as world:
        run = world.run(program, parts, [log] * 2, [steps] * 2,
                        checkpoints=Checkpoints(folder, every_s=every_s))
    print(*run.results[0].tolist())
"""
EVERY_S = 0.1


def start_script(tmp_path, log, steps):
    """Start a process, its workers to be, in a group of their own, and a marker on them all."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "tmp").mkdir(exist_ok=True)           # what is killed does not tidy up
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "LABKIT_TEST_MARK": str(tmp_path)}
    env.pop("LABKIT_SCHEDULER", None)
    return subprocess.Popen(
        [sys.executable, tmp_path / "script.py", tmp_path / "a folder", tmp_path / log, str(steps),
         str(EVERY_S)], text=True, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True)


def commits_in(log):
    """Return what a log says: {step: (seconds before the commit, seconds after)}."""
    lines = log.read_text().splitlines() if log.exists() else []
    return {int(step): (float(before), float(after)) for step, before, after in
            map(str.split, lines)}


def marked(tmp_path):
    """Return the processes that bear the marker, and are no zombies."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if (process.environ().get("LABKIT_TEST_MARK") == str(tmp_path)
                    and process.status() != psutil.STATUS_ZOMBIE):
                found.append(process)
    return found


def wait_until(true, seconds):
    limit = time.monotonic() + seconds
    while not true() and time.monotonic() < limit:
        time.sleep(0.02)
    assert true()


def run_and_kill(tmp_path, log, whom):
    """Let a run begin, and end it by SIGKILL, which no process can answer: only files remain."""
    process = start_script(tmp_path, log, steps=10_000)
    try:
        wait_until(lambda: len(commits_in(tmp_path / log)) >= 40 or process.poll() is not None,
                   seconds=60)
        assert process.poll() is None, process.communicate()[1]
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(marked(tmp_path)) >= 3             # the client, and two workers
        process.kill()
        if whom == "everything":
            os.killpg(process.pid, signal.SIGKILL)
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        process.wait()
        # Workers whose client is gone end by themselves.
        wait_until(lambda: not marked(tmp_path), seconds=5)
    finally:
        for one in marked(tmp_path):
            one.kill()
        process.communicate()


def test_what_is_killed_in_the_middle_goes_on_from_there(tmp_path):
    begin = 0
    for log, whom in (("first", "everything"), ("second", "the client")):
        run_and_kill(tmp_path, log, whom)
        done = commits_in(tmp_path / log)
        last = max(done)
        assert list(done) == list(range(begin + 1, last + 1))
        saved = Checkpoints(tmp_path / "a folder").load().arrays["step"]
        assert begin + 1 < saved <= last + 1          # of the last, the log may not know
        for step in range(saved + 1, last + 1):       # will be done again: it was not due yet
            assert done[step][0] - done[saved][1] < EVERY_S
        begin = saved

    process = start_script(tmp_path, "third", last + 10)
    words, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert list(commits_in(tmp_path / "third")) == list(range(begin + 1, last + 11))
    w = np.array([float(word) for word in words.split()])
    np.testing.assert_allclose(w, descended(last + 10), rtol=1e-12)
    assert np.abs(w - descended(last + 9)).max() > 1e-6       # a step more or less would show


def descended(steps):
    """Return what the script has to find: the same steps, in this process."""
    X = np.random.default_rng(0).normal(size=(50, 2))
    w = np.zeros(2)
    for _ in range(steps):
        w = w - X.T @ (X @ w - X @ [1, 2]) / 5000
    return w

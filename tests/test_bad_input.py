"""Bad input of every kind: an error that says what was expected, what was got, where, and what
to do about it, before anything is computed with it.

Not here: checkpoints of another version, hash or shape, which are in `test_checkpoint`. Chunks of
X and y that are cut at different rows are no bad input: `world.shard` cuts y as X is cut.
"""

import gzip
import io
import pickle
import socket
import threading
import time
import tracemalloc
import zipfile
from types import SimpleNamespace
from typing import NamedTuple

import dask
import dask.array as da
import numpy as np
import pytest

import labkit
from labkit.cluster import rendezvous, start
from labkit.datasets import classification, load_libsvm
from labkit.errors import (
    ClusterError,
    ConfigurationError,
    DataError,
    LabkitError,
    ProgramError,
)
from labkit.faults import Crash, Delay, Drop, FaultPlan, Partition
from labkit.learning import LogisticRegression
from labkit.learning.logistic import Local
from labkit.models.map_reduce import ArrayFiles, Job, map_reduce
from labkit.network import Network

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 0, 1, 0, 1])
GAPS = np.where(X == 7, np.nan, X)
OBJECTS = np.array([[{}, 1.0]] * 6, object)
GOOD = b"1 1:0.5 3:2\n0 2:1\n"


class Row(NamedTuple):
    """One bad input: who is given it, what is raised, and what `where` ends with."""

    kind: type
    call: object                 # takes a `Place`
    where: str


class Place:
    """A folder for bad files, and the cluster if a row asks for it."""

    def __init__(self, folder, request):
        self._folder, self._request = folder, request

    @property
    def cluster(self):
        return self._request.getfixturevalue("cluster")

    def file(self, name, contents):
        path = self._folder / name
        path.write_bytes(contents)
        return path


@pytest.fixture
def place(tmp_path, request):
    return Place(tmp_path, request)


# ---- what rows are made of


def libsvm(text, line, **options):
    return Row(DataError, lambda place: load_libsvm(place.file("data.txt", text), **options),
               f"data.txt, line {line}")


def model(contents):
    return Row(DataError, lambda place: LogisticRegression.load(place.file("m.npz", contents)),
               "m.npz")


def rows(contents):
    return Row(DataError, lambda place: ArrayFiles(place.file("rows.npy", contents)), "rows.npy")


def setting(where, call, *args, **kwargs):
    return Row(ConfigurationError, lambda place: call(*args, **kwargs), where)


def fitted(kind, where, X, y, sharded=False):
    def call(place):
        if not sharded:
            return LogisticRegression().fit(X, y)
        world = labkit.serial(workers=2)
        return LogisticRegression(world=world).fit(*world.shard(X, y))
    return Row(kind, call, where)


def sharded(kind, where, *arrays, workers=2):
    return Row(kind, lambda place: labkit.serial(workers=workers).shard(*arrays), where)


def aimed(fault):
    def call(place):
        world = labkit.simulated(workers=3)
        world.run(lambda me: me.barrier(), faults=FaultPlan(fault), elastic=True)
    return Row(ConfigurationError, call, repr(fault))


def archive(**members):
    """A zip file; a name's __ stands for a slash, and dots_ for two dots."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, contents in members.items():
            packed.writestr(name.replace("__", "/").replace("dots_", ".."), contents)
    return file.getvalue()


def header(*shape):
    """The beginning of an .npy file, which says what is to follow."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def saved(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def dead_scheduler(place):
    """Nobody listens where somebody just did."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "CONNECT_S", 0.5)
        labkit.cluster(f"tcp://127.0.0.1:{port}")


def dead_worker(place):
    """A peer is told to connect to another one, whose process has ended."""
    hub, gone = rendezvous.Hub("127.0.0.1", None), rendezvous.Hub("127.0.0.1", None)
    gone.close()
    try:
        rendezvous.connect_all(hub, 1, [gone.address, hub.address], b"secret", None,
                               time.monotonic() + 5, SimpleNamespace(transport="auto"))
    finally:
        hub.close()


def unpicklable(place):
    lock = threading.Lock()
    place.cluster.map(lambda item: lock, range(2))


def lying_chunks():
    """A dask array whose second chunk is wider than it said."""
    return da.concatenate([da.from_delayed(dask.delayed(np.ones)((3, width)), (3, 2), float)
                           for width in (2, 4)])


def listed(item):
    yield [item], 1


def differing_files(place):
    return ArrayFiles([place.file("a.npy", saved(np.ones((3, 2)))),
                       place.file("rows.npy", saved(np.ones((3, 5))))])


def unsaveable(place):
    labels = np.array([3, "a"], object)[Y]
    local = LogisticRegression().fit(X, Y)
    local.classes_ = np.unique(labels.astype(str)).astype(object)
    local.classes_[0] = 3
    local.save(place.file("m.npz", b""))


BAD = {
    # a world
    "zero workers": setting("workers=", labkit.cluster, workers=0),
    "negative workers": setting("workers=", labkit.cluster, workers=-2),
    "workers that are no number": setting("workers=", labkit.serial, workers="many"),
    "zero simulated workers": setting("workers=", labkit.simulated, workers=0),
    "a memory limit of 1 kB": setting("memory_limit=", labkit.cluster, 1, memory_limit=1000),
    "a memory limit of 10 MB": setting("memory_limit=", labkit.cluster, 1, memory_limit="10 MB"),
    "a negative memory limit": setting("memory_limit=", labkit.cluster, 1, memory_limit=-5),
    "a memory limit beyond the machine": setting("memory_limit=", labkit.cluster, 1,
                                                 memory_limit="1e30 GB"),
    "a memory limit of NaN": setting("memory_limit=", labkit.cluster, 1, memory_limit=np.nan),
    "a memory limit in words": setting("memory_limit=", labkit.cluster, 1, memory_limit="lots"),
    "a scheduler that is dead": Row(ClusterError, dead_scheduler, ""),
    "an address of nothing": setting("LABKIT_SCHEDULER", labkit.cluster, "nonsense://a:1"),
    "a worker's address that is gone": Row(ClusterError, dead_worker, "peer 1"),
    "a map function that cannot be pickled": Row(ConfigurationError, unpicklable, "world.map"),
    # libsvm
    "libsvm: NaN value": libsvm(GOOD + b"1 1:nan\n", 3),
    "libsvm: infinite value": libsvm(b"1 1:1\n1 1:-inf\n", 2),
    "libsvm: NaN label": libsvm(b"nan 1:1\n", 1),
    "libsvm: infinite label": libsvm(GOOD + b"inf 1:1\n", 3),
    "libsvm: empty file": libsvm(b"", 1),
    "libsvm: comments only": libsvm(b"# one\n# two\n", "1 to the last"),
    # Legal as a row of zeros, but the same line is what is left of a row that was cut off.
    "libsvm: label only": libsvm(GOOD + b"1\n", 3),
    "libsvm: index 0, one-based": libsvm(GOOD + b"1 0:1 2:1\n", 3),
    "libsvm: index too large when dense": libsvm(GOOD + b"1 2000000000:1\n", 3, sparse=False),
    "libsvm: qid": libsvm(b"1 qid:3 1:1\n", 1),
    "libsvm: missing colon": libsvm(GOOD + b"1 2 3:1\n", 3),
    "libsvm: text label": libsvm(b"1 1:1\ncat 1:1\n", 2),
    "libsvm: truncated pair": libsvm(GOOD + b"1 1:1 3:", 3),
    "libsvm: byte-order mark": libsvm(b"\xef\xbb\xbf" + GOOD, 1),
    "libsvm: NUL bytes": libsvm(GOOD + b"1 1:\x001\n", 3),
    "libsvm: negative index": libsvm(b"1 -1:1\n", 1),
    "libsvm: duplicate index": libsvm(b"1 1:1 1:2\n", 1),
    "libsvm: unsorted index": libsvm(b"1 3:1 1:2\n", 1),
    "libsvm: index over 2**31": libsvm(b"1 2147483648:1\n", 1),
    "libsvm: gzip of a thousand times its size": libsvm(gzip.compress(GOOD * 10**5), 1),
    "libsvm: zip with ../": libsvm(archive(dots___etc="1 1:1"), 1),
    # models and arrays on disk
    "model: missing": Row(DataError, lambda place: LogisticRegression.load("none.npz"),
                          "none.npz"),
    "model: empty file": model(b""),
    "model: garbage": model(b"\x93garbage" * 100),
    "model: a pickle": model(pickle.dumps({"coef": 1})),
    "model: an array that claims 745 GiB": model(archive(**{"coef.npy": header(10**11)})),
    "model: archive of a thousand times its size": model(
        archive(**{"coef.npy": header(4 * 10**6) + bytes(32 * 10**6)})),
    "model: archive with ../": model(archive(**{"dots___coef.npy": saved(X)})),
    "model: labels that need pickle": Row(DataError, unsaveable, "feature_names_in_"),
    "rows: empty .npy": rows(b""),
    "rows: garbage .npy": rows(b"garbage" * 100),
    "rows: .npy that claims 745 GiB": rows(header(10**11)),
    "rows: .npz instead of .npy": rows(archive(**{"x.npy": saved(X)})),
    "rows: a pickle instead of .npy": rows(pickle.dumps([1, 2])),
    "rows: .npy of objects": rows(saved(OBJECTS)),
    "rows: files that differ in shape": Row(DataError, differing_files, "rows.npy"),
    # what is learnt from
    "one class only": fitted(DataError, "y", X, np.ones(6)),
    "one class only, in a world": fitted(DataError, "y", X, np.ones(6), sharded=True),
    "NaN in X": fitted(DataError, "X[3, 1]", GAPS, Y),
    "NaN in X, in a world": fitted(DataError, "column 1, counted from 0", GAPS, Y, sharded=True),
    "infinite label": fitted(DataError, "X and y", X, np.where(Y, np.inf, 0)),
    "infinite label, in a world": fitted(DataError, "y", X, np.where(Y, np.inf, 0), sharded=True),
    # Without a world scikit-learn raises its own TypeError, as its estimators promise to.
    "objects in X, in a world": fitted(DataError, "X", OBJECTS, Y, sharded=True),
    "objects in y": fitted(DataError, "X and y", X, np.array([1, {}, None, 1, 1, "a"], object)),
    "objects in y, in a world": fitted(DataError, "y", X, np.array([1, "a"] * 3, object)[::-1],
                                       sharded=True),
    "unseen class": Row(DataError, lambda place: Local(X, Y).answer("counts", np.array([0, 2])),
                        "row 1 of a worker's part, counted from 0"),
    "X and y of different length": sharded(ConfigurationError, "world.shard(...)", X, Y[:5]),
    "chunks of different width": sharded(DataError, "the chunks of one shard", lying_chunks(),
                                         workers=1),
    "zero chunks": setting("the argument chunk_rows", classification, 10, 2, chunk_rows=0),
    "more chunks than rows": setting("the argument chunk_rows", classification, 10, 2,
                                     chunk_rows=0.5),
    "more workers than rows": sharded(ConfigurationError, "world.shard(...)", X, workers=7),
    # networks and faults
    "negative latency": setting("latency_s=", Network, "slow", -1e-3, 1e9),
    "NaN latency": setting("latency_s=", Network, "slow", np.nan, 1e9),
    "latency in words": setting("latency_s=", Network, "slow", "1 ms", 1e9),
    "negative delay": setting("Delay(delay_s=)", Delay, (0, 1), -0.1),
    "NaN delay": setting("Delay(delay_s=)", Delay, (0, 1), np.nan),
    "negative loss": setting("Drop(fraction=)", Drop, (0, 1), -0.1),
    "loss above 1": setting("Drop(fraction=)", Drop, (0, 1), 1.5),
    "NaN loss": setting("Drop(fraction=)", Drop, (0, 1), np.nan),
    "a fault of a rank that is not there": aimed(Crash(3, at_step=1)),
    "a fault of a link that is not there": aimed(Delay((0, 3), 0.1)),
    "a partition with a rank that is not there": aimed(Partition(((0, 1), (2, 5)), 0.1)),
    # keys
    "a key that cannot be hashed": Row(
        ConfigurationError, lambda place: map_reduce(labkit.serial(workers=2), listed,
                                                     lambda key, values: 1, [1, 2]), "mapper"),
    "a key that cannot be hashed, in a job": Row(
        ConfigurationError, lambda place: Job(listed, lambda key, values: 1).run(
            labkit.serial(workers=2), [1, 2]), "mapper"),
    "a key of no known type, in a job": Row(
        ConfigurationError, lambda place: Job(lambda item: [(object, 1)],
                                              lambda key, values: 1).run(
            labkit.serial(workers=2), [1, 2]), "mapper"),
}
LARGE = [name for name in BAD if "claims" in name or "thousand" in name or "dense" in name]


def refused(row, place):
    """Return what is raised; what a program raised is in the ProgramError's cause."""
    with pytest.raises(LabkitError) as caught:
        row.call(place)
    error = caught.value
    return error.__cause__ if type(error) is ProgramError else error


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_clearly(name, place):
    error = refused(BAD[name], place)
    assert type(error) is BAD[name].kind
    for part in ("expected", "got", "where", "remedy"):
        value = getattr(error, part)
        assert value is not None and str(value).strip(), f"no {part} in: {error}"
    assert str(error.where).endswith(BAD[name].where)
    assert len(str(error)) < 1200, "nobody reads more"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_before_there_is_memory_for_it(name, place):
    with pytest.raises(DataError):               # imports what is imported only once
        BAD[name].call(place)
    tracemalloc.start()
    try:
        refused(BAD[name], place)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("limit", ["auto", None, 0, 0.5, 1, "500 MB", 4e8, "0.25"])
def test_a_memory_limit_that_can_be_kept_passes(limit):
    start.check_memory_limit(limit)

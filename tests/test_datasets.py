"""Data sets have the shapes they claim; generated data depends on its seed and on nothing else."""

import hashlib
import pathlib

import dask
import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression

from labkit import datasets
from labkit.datasets import breast_cancer, classification, digits, true_coefficients, uniform
from labkit.datasets.chunks import split_rows
from labkit.errors import ConfigurationError

FOLDER = pathlib.Path(datasets.__file__).parents[2] / "datasets"


def compute(*arrays):
    return dask.compute(*arrays, scheduler="synchronous")


@pytest.mark.parametrize("ours, theirs", [(digits, load_digits),
                                          (breast_cancer, load_breast_cancer)])
@pytest.mark.parametrize("chunk_rows, n_chunks", [(None, 8), (100, None), (10_000, 1)])
def test_toy_sets_are_those_of_scikit_learn(ours, theirs, chunk_rows, n_chunks):
    X, y = ours(chunk_rows=chunk_rows)
    X_true, y_true = theirs(return_X_y=True)
    assert X.shape == X_true.shape and X.dtype == np.float64 and y.dtype == np.int64
    assert X.numblocks == (n_chunks or -(-len(X_true) // 100), 1) and X.chunks[0] == y.chunks[0]
    for got, want in zip(compute(X, y), (X_true, y_true), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("load", [digits, breast_cancer])
def test_changing_a_result_does_not_change_the_data(load):
    X, y = load(chunk_rows=10_000)
    before = X.sum().compute(), y.sum().compute()
    for array in compute(X, y):
        array[:] = 0
    assert before == (X.sum().compute(), y.sum().compute())


def test_stored_files_have_the_hash_that_the_readme_gives():
    readme = (FOLDER / "README.md").read_text()
    files = [path for path in FOLDER.iterdir() if path.suffix == ".txt"]
    assert files
    for path in files:
        assert path.name in readme
        assert hashlib.sha256(path.read_bytes()).hexdigest() in readme


MAKERS = {
    "dense": lambda **kw: classification(103, 5, 3, **kw),
    "sparse": lambda **kw: classification(103, 50, density=0.1, **kw),
    "uniform": lambda **kw: (uniform((103, 4), **kw),),
}


def flat(arrays):
    return np.concatenate([(a.toarray() if scipy.sparse.issparse(a) else a).ravel()
                           for a in compute(*arrays)])


@pytest.mark.parametrize("name", MAKERS)
def test_a_seed_gives_the_same_data_and_another_seed_does_not(name):
    make = MAKERS[name]
    first = flat(make(chunk_rows=20, seed=1))
    np.testing.assert_array_equal(first, flat(make(chunk_rows=20, seed=1)))
    assert (first != flat(make(chunk_rows=20, seed=2))).mean() > 0.1
    assert make(chunk_rows=20, seed=1)[0].name == make(chunk_rows=20, seed=1)[0].name


@pytest.mark.parametrize("name", MAKERS)
def test_the_data_is_the_same_whatever_computes_it(name):
    X = MAKERS[name](chunk_rows=20, seed=3)[0]
    one = X.compute(scheduler="synchronous")
    many = X.compute(scheduler="threads")
    alone = X.blocks[4].compute()
    same = [(one != many), (one[80:100] != alone)]
    assert not any(differs.sum() for differs in same)


@pytest.mark.parametrize("name", MAKERS)
def test_shapes_chunks_and_types_are_known(name):
    arrays = MAKERS[name](chunk_rows=20)
    for array in arrays:
        assert array.chunks[0] == (20, 20, 20, 20, 20, 3)
        parts = compute(*array.to_delayed().ravel())
        assert [part.shape[0] for part in parts] == list(array.chunks[0])
        assert all(part.shape[1:] == array.shape[1:] and part.dtype == array.dtype
                   for part in parts)


def test_chunks_differ_from_each_other():
    blocks = compute(*uniform(100, chunk_rows=10).to_delayed().ravel())
    assert len({block.tobytes() for block in blocks}) == 10


def test_streams_are_those_that_numpy_spawns():
    _, chunks = np.random.SeedSequence(7).spawn(2)
    want = [np.random.default_rng(child).random(4) for child in chunks.spawn(3)]
    np.testing.assert_array_equal(uniform(12, 4, seed=7).compute(), np.concatenate(want))


def test_nothing_is_made_before_it_is_asked_for():
    X, y = classification(10**9, 100)        # 800 GB
    assert X.shape == (10**9, 100) and X.dtype == np.float64
    assert max(X.chunks[0]) * 800 <= 32e6
    assert uniform((10**9, 100), chunk_rows=50_000).blocks[19_999, 0].shape == (50_000, 100)


def test_uniform_is_uniform():
    x = uniform((20_000, 2, 3), seed=5).compute()
    assert x.shape == (20_000, 2, 3) and x.min() >= 0 and x.max() < 1
    np.testing.assert_allclose(np.histogram(x, 10, (0, 1))[0] / x.size, 0.1, atol=0.005)


@pytest.mark.parametrize("density", [0.001, 0.05, 0.5, 1.0])
def test_density_is_the_share_of_nonzeros(density):
    X, _ = classification(2000, 500, density=density, chunk_rows=700)
    X = X.compute(scheduler="synchronous")
    assert isinstance(X, scipy.sparse.csr_matrix) and X.indices.dtype == np.int32
    assert X.nnz / 1e6 == pytest.approx(density, abs=5 * np.sqrt(density / 1e6))
    assert X.has_canonical_format and X.shape == (2000, 500)
    # Nonzeros must not crowd: every column has its share, as has the end of each chunk.
    assert X[690:700].nnz == pytest.approx(5000 * density, abs=6 * np.sqrt(5000 * density) + 1)
    assert X.data.std() == pytest.approx(1, abs=0.1)


def test_a_tiny_density_gives_an_empty_matrix():
    assert classification(10, 10, density=1e-300)[0].compute().nnz == 0


@pytest.mark.parametrize("n_classes, density", [(2, None), (5, None), (2, 0.2)])
def test_the_classes_can_be_learnt(n_classes, density):
    X, y = compute(*classification(3000, 20, n_classes, seed=4, density=density))
    assert set(y) == set(range(n_classes))
    model = LogisticRegression(max_iter=500).fit(X[:2000], y[:2000])
    score = model.score(X[2000:], y[2000:])
    assert 1 / n_classes + 0.25 < score < 0.97      # learnable, yet with noise
    W = true_coefficients(20, n_classes, 4, density)
    truth = np.argmax(X[2000:] @ W, axis=1)
    assert score >= (truth == y[2000:]).mean() - 0.05   # no one does better than the truth


def test_two_classes_follow_the_logistic_law():
    X, y = compute(*classification(40_000, 3, seed=8))
    W = true_coefficients(3, 2, seed=8)
    p = 1 / (1 + np.exp(-X @ (W[:, 1] - W[:, 0])))
    for low in np.arange(0, 1, 0.2):
        here = (p >= low) & (p < low + 0.2)
        assert y[here].mean() == pytest.approx(p[here].mean(), abs=0.04)


BAD = {
    "no rows": (classification, (0, 3), {}),
    "negative rows": (classification, (-5, 3), {}),
    "fractional rows": (classification, (10.5, 3), {}),
    "no features": (classification, (5, 0), {}),
    "one class": (classification, (5, 3, 1), {}),
    "zero chunks": (classification, (5, 3), {"chunk_rows": 0}),
    "more chunks than rows": (classification, (5, 3), {"chunk_rows": 5 // 8}),
    "fractional chunks": (classification, (5, 3), {"chunk_rows": 5 / 8}),
    "too many chunks": (classification, (10**9, 3), {"chunk_rows": 1}),
    "negative seed": (classification, (5, 3), {"seed": -1}),
    "seed None": (classification, (5, 3), {"seed": None}),
    "zero density": (classification, (5, 3), {"density": 0}),
    "density above 1": (classification, (5, 3), {"density": 1.5}),
    "density NaN": (classification, (5, 3), {"density": float("nan")}),
    "text density": (classification, (5, 3), {"density": "high"}),
    "empty shape": (uniform, ((),), {}),
    "zero in shape": (uniform, ((5, 0),), {}),
    "negative size": (uniform, (-5,), {}),
    "text shape": (uniform, ("5",), {}),
    "uniform, zero chunks": (uniform, (5, 0), {}),
    "uniform, negative seed": (uniform, (5,), {"seed": -1}),
    "digits, zero chunks": (digits, (0,), {}),
    "breast cancer, negative chunks": (breast_cancer, (-1,), {}),
    "coefficients of no features": (true_coefficients, (0,), {}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused(name):
    make, args, kwargs = BAD[name]
    with pytest.raises(ConfigurationError) as caught:
        make(*args, **kwargs)
    error = caught.value
    assert type(error) is ConfigurationError and error.where.startswith("the argument ")
    assert all(str(part) for part in (error.expected, error.got, error.remedy))
    assert None not in (error.expected, error.got, error.remedy)


@pytest.mark.parametrize("n_rows, chunk_rows, row_bytes, want", [
    (10, 4, 8, (4, 4, 2)), (10, 10, 8, (10,)), (10, 99, 8, (10,)), (3, None, 8, (1, 1, 1)),
    (80, None, 8, (10,) * 8), (100, None, 10**6, (13,) * 7 + (9,)), (4, None, 10**12, (1,) * 4),
    (320, None, 2 * 10**6, (16,) * 20), (7, np.int64(7), 8, (7,)),
])
def test_split_rows(n_rows, chunk_rows, row_bytes, want):
    assert split_rows(n_rows, chunk_rows, row_bytes) == want

"""Every bad libsvm file is refused by line, and every good one is read as others read it."""

import gzip
import io
import os
import pickle
import zipfile

import dask
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from labkit.datasets import libsvm, load_libsvm, parsing, sample_libsvm
from labkit.errors import ConfigurationError, DataError

GOOD = b"1 1:0.5 3:2\n0 2:1\n"


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.txt", GOOD)
    return file.getvalue()


# name: text, bad line, a word of the message, a word of what was got, keyword arguments
BAD = {
    "NaN value": (b"1 1:1\n0 2:nan\n", 2, "value is not finite", "2:nan", {}),
    "infinite value": (b"1 1:inf\n", 1, "value is not finite", "1:inf", {}),
    "negative infinite value": (b"1 1:-Infinity\n", 1, "value is not finite", "1:-Inf", {}),
    "value that overflows": (b"1 1:1e999\n", 1, "value is not finite", "1e999", {}),
    "NaN label": (GOOD + b"nan 1:1\n", 3, "label is not finite", "nan", {}),
    "infinite label": (b"inf 1:1\n", 1, "label is not finite", "inf", {}),
    "empty": (b"", 1, "empty", "0 bytes", {}),
    "comments only": (b"# nothing\n\n# here\n", 1, "no rows", "comments", {}),
    "blank lines only": (b"\n \r\n\t\n", 1, "no rows", "blank", {}),
    "label only": (b"1 1:1\n0\n", 2, "no features", "label only", {}),
    "label and comment only": (b"1 1:1\n0 # 3:4\n", 2, "no features", "label only", {}),
    "labels only": (b"1\n0\n", 1, "no features", "label only", {}),
    "index 0": (b"1 1:1\n1 0:1 2:1\n", 2, "Index 0", "0:1", {}),
    "negative index": (b"1 -3:1\n", 1, "negative", "-3:1", {}),
    "negative, zero-based": (b"1 0:1\n1 -1:1\n", 2, "negative", "-1:1", {"one_based": False}),
    "duplicate index": (b"1 2:1 2:3\n", 1, "twice", "2:3", {}),
    "unsorted index": (b"1 1:1\n\n1 5:1 2:3\n", 3, "out of order", "2:3", {}),
    "index over 2**31": (b"1 1:1 2147483648:1\n", 1, "too large", "2147483648:1", {}),
    "index over 2**63": (b"1 99999999999999999999:1\n", 1, "too large", "99999", {}),
    "index of 5,000 digits": (b"1 " + b"9" * 5000 + b":1\n", 1, "too large", "9999", {}),
    "index over n_features": (GOOD, 1, "too large", "3:2", {"n_features": 2}),
    "index over n_features, zero-based": (b"1 0:1\n1 2:1\n", 2, "too large", "2:1",
                                          {"n_features": 2, "one_based": False}),
    "too large when dense": (b"1 1:1\n# x\n1 500000000:1\n1 2:1\n", 3, "dense array",
                             "500000000", {"sparse": False}),
    "dense limit": (GOOD, 1, "dense array", "48 bytes", {"sparse": False, "max_dense_bytes": 47}),
    "qid": (b"1 qid:3 1:1\n", 1, "query ids", "qid:3", {}),
    "qid further on": (b"1 1:1\n1 1:1 qid:3\n", 2, "query ids", "qid:3", {}),
    "missing colon": (b"1 1:1\n0 2 3:1\n", 2, "colon is missing", "'2'", {}),
    "space after colon": (b"1 1: 5\n", 1, "cut off", "1:", {}),
    "equals sign": (b"1 1=5\n", 1, "colon is missing", "1=5", {}),
    "text label": (b"1 1:1\ncat 1:1\n", 2, "label is not a number", "cat", {}),
    "no label": (b"1:1 2:1\n", 1, "label is not a number", "1:1", {}),
    "several labels": (b"1,2 1:1\n", 1, "label is not a number", "1,2", {}),
    "CSV": (b"1.0,2.0,3.0\n", 1, "label is not a number", "1.0,2.0", {}),
    "truncated pair": (GOOD + b"1 1:1 3:", 3, "cut off", "3:", {}),
    "text value": (b"1 1:red\n", 1, "value is not a number", "1:red", {}),
    "two colons": (b"1 1:2:3\n", 1, "value is not a number", "1:2:3", {}),
    "text index": (b"1 red:1\n", 1, "not a whole number", "red:1", {}),
    "fractional index": (b"1 1.5:1\n", 1, "not a whole number", "1.5:1", {}),
    "index with underscore": (b"1 1_0:1\n", 1, "not a whole number", "1_0:1", {}),
    "value with underscore": (b"1 1:1_0\n", 1, "value is not a number", "1:1_0", {}),
    "label with underscore": (b"1_0 1:1\n", 1, "label is not a number", "1_0", {}),
    "byte-order mark": (b"\xef\xbb\xbf" + GOOD, 1, "byte-order mark", "UTF-8", {}),
    "UTF-16": (GOOD.decode().encode("utf-16"), 1, "byte-order mark", "UTF-16", {}),
    "NUL bytes": (b"1 1:1\n1 1:\x002\n", 2, "NUL", "position 5", {}),
    "NUL bytes in a comment": (b"1 1:1 # \x00\n", 1, "NUL", "position 9", {}),
    "NUL bytes only": (b"\0" * 100, 1, "NUL", "position 1", {}),
    "lone carriage returns": (b"1 1:1\r0 2:1\r", 1, "carriage return", "CR", {}),
    "lone carriage return in a comment": (b"1 1:1\n# old\r0 2:1\n", 2, "carriage", "CR", {}),
    "gzip": (gzip.compress(GOOD), 1, "compressed", "gzip", {}),
    "zip": (zipped(), 1, "compressed", "zip", {}),
    "bzip2": (b"BZh91AY&SY", 1, "compressed", "bzip2", {}),
    "xz": (b"\xfd7zXZ\x00\x00", 1, "compressed", "xz", {}),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", 1, "compressed", "zstd", {}),
}


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "data.txt"
        path.write_bytes(text)
        return path
    return write


@pytest.fixture(params=["in the graph", "by path"])
def both_ways(request, monkeypatch):
    """Small files as themselves, and as if they were too large for the graph."""
    if request.param == "by path":
        monkeypatch.setattr(libsvm, "IN_GRAPH_BYTES", 0)
        monkeypatch.setattr(parsing, "PIECE_BYTES", 40)


def raises_clearly(kind, call, *args, **kwargs):
    with pytest.raises(kind) as caught:
        call(*args, **kwargs)
    error = caught.value
    assert type(error) is kind
    assert all(str(part).strip() for part in (error.expected, error.got, error.where, error.remedy))
    assert None not in (error.expected, error.got, error.where, error.remedy)
    return error


@pytest.mark.parametrize("name", BAD)
def test_bad_text_is_refused_by_line(name, write, both_ways):
    text, line, message, got, kwargs = BAD[name]
    path = write(text)
    error = raises_clearly(DataError, load_libsvm, path, **kwargs)
    assert error.where.startswith(f"{path}, line {line}")
    assert error.where.removeprefix(f"{path}, line {line}") in ("", " to the last")
    assert message in error.what
    assert got in error.got
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_late_line_is_named_whatever_the_piece(write, monkeypatch):
    text = GOOD * 50 + b"# a comment\r\n\r\n" + GOOD + b"1 4:x\n" + GOOD
    for piece in (1, 7, 100, 10_000):
        monkeypatch.setattr(parsing, "PIECE_BYTES", piece)
        error = raises_clearly(DataError, load_libsvm, write(text))
        assert error.where.endswith(", line 105")


def test_an_endless_line_is_refused_before_it_fills_memory(write, monkeypatch):
    monkeypatch.setattr(parsing, "PIECE_BYTES", 16)
    monkeypatch.setattr(parsing, "LINE_BYTES", 100)
    error = raises_clearly(DataError, load_libsvm, write(GOOD + b"1 1:1" + b" " * 200 + b"2:1\n"))
    assert error.where.endswith(", line 3") and "too long" in error.what


def test_a_long_token_is_shortened_in_the_message(write):
    error = raises_clearly(DataError, load_libsvm, write(b"1 " + b"x" * 10_000 + b"\n"))
    assert "bytes more" in error.got and len(str(error)) < 600


def test_missing_file(tmp_path):
    error = raises_clearly(DataError, load_libsvm, tmp_path / "none.txt")
    assert error.where == str(tmp_path / "none.txt")


def test_directory(tmp_path):
    assert "directory" in raises_clearly(DataError, load_libsvm, tmp_path).got


def test_device():
    assert "device" in raises_clearly(DataError, load_libsvm, os.devnull).got


def test_nul_in_the_name():
    raises_clearly(DataError, load_libsvm, "a\0b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_unreadable_file(write):
    path = write(GOOD)
    path.chmod(0)
    raises_clearly(DataError, load_libsvm, path)


@pytest.mark.parametrize("kwargs", [
    {"chunk_rows": 0}, {"chunk_rows": -1}, {"chunk_rows": 1.5}, {"chunk_rows": 2.0},
    {"chunk_rows": "2"}, {"chunk_rows": True}, {"chunk_rows": np.nan}, {"n_features": 0},
    {"n_features": -3}, {"n_features": 2**31 + 1}, {"n_features": 3.0}, {"max_dense_bytes": 0},
])
def test_bad_arguments(kwargs, write):
    error = raises_clearly(ConfigurationError, load_libsvm, write(GOOD), **kwargs)
    assert next(iter(kwargs)) in error.where


@pytest.mark.parametrize("path", [None, 3, 1.5, ["a"]])
def test_bad_path(path):
    raises_clearly(ConfigurationError, load_libsvm, path)


def naive(text):
    """The plainest parser there is, as the oracle: rows of {column: value}, and labels."""
    rows = [line.partition("#")[0].split() for line in text.decode().split("\n")]
    rows = [row for row in rows if row]
    pairs = [dict(pair.split(":") for pair in row[1:]) for row in rows]
    X = np.zeros((len(rows), max(int(index) for row in pairs for index in row)))
    for i, row in enumerate(pairs):
        for index, value in row.items():
            X[i, int(index) - 1] = float(value)
    return X, np.array([float(row[0]) for row in rows])


GOOD_TEXTS = {
    "plain": GOOD,
    "no line end at the end": GOOD.rstrip(),
    "CRLF": GOOD.replace(b"\n", b"\r\n"),
    "CRLF, cut at the end": GOOD.replace(b"\n", b"\r\n")[:-1],
    "comments": b"# qid: and under_scores\n1 1:1 # qid:3 b_c inf\n#2 x\n0 2:1#5:5\n  # end",
    "blank lines": b"\n\n1 1:1\n   \n\t\n0 2:1\n\n",
    "signs and exponents": b"+1 1:+1e-3 2:-2.5E+2 3:.5\n-1 1:5. 4:1e0\n",
    "tabs and trailing spaces": b"1\t1:1\t2:2 \n 0  3:1  \n",
    "explicit zero": b"1 1:0\n0 2:0 3:1\n",
    "comment in another script": "1 1:1 # größer ≥ 5\n".encode(),
    "real labels": b"0.25 1:1\n-1e3 1:2\n",
}


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("name", GOOD_TEXTS)
def test_good_text_agrees_with_a_naive_parser(name, sparse, write, both_ways):
    X, y = load_libsvm(write(GOOD_TEXTS[name]), sparse=sparse, chunk_rows=1)
    X_true, y_true = naive(GOOD_TEXTS[name])
    assert X.shape == X_true.shape and y.shape == y_true.shape
    np.testing.assert_array_equal(dense(X), X_true)
    np.testing.assert_array_equal(y.compute(), y_true)


def dense(X):
    X = X.compute(scheduler="synchronous")
    return X.toarray() if scipy.sparse.issparse(X) else X


def test_zero_based(write):
    X, y = load_libsvm(write(b"1 0:5 2:7\n"), one_based=False)
    np.testing.assert_array_equal(dense(X), [[5, 0, 7]])


def test_the_largest_index(write):
    X, _ = load_libsvm(write(b"1 1:1 2147483647:2\n"))
    assert X.shape == (1, 2**31 - 1) and X.compute().sum() == 3


def test_n_features_adds_empty_columns(write, both_ways):
    for sparse in (True, False):
        X, _ = load_libsvm(write(GOOD), n_features=7, sparse=sparse)
        assert X.shape == (2, 7) and X.blocks[0].compute().shape == (1, 7)


def test_the_sample_agrees_with_scikit_learn(both_ways):
    path = libsvm.Path(libsvm.__file__).parents[2] / "datasets" / libsvm.SAMPLE
    X_true, y_true = load_svmlight_file(str(path))
    for sparse in (True, False):
        X, y = sample_libsvm(sparse=sparse, chunk_rows=30)
        assert X.shape == (100, 692) and X.dtype == y.dtype == np.float64
        assert X.chunks == ((30, 30, 30, 10), (692,)) and y.chunks == X.chunks[:1]
        np.testing.assert_array_equal(dense(X), X_true.toarray())
        np.testing.assert_array_equal(y.compute(), y_true)


def test_the_sample_says_where_it_should_be(monkeypatch):
    monkeypatch.setattr(libsvm, "SAMPLE", "not_there.txt")
    assert "not_there.txt" in raises_clearly(DataError, sample_libsvm).where


@pytest.mark.parametrize("chunk_rows, n_chunks", [(None, 8), (1, 100), (7, 15), (100, 1), (999, 1)])
def test_chunks_do_not_change_the_data(chunk_rows, n_chunks, both_ways):
    X, y = sample_libsvm(sparse=True, chunk_rows=chunk_rows)
    assert X.numblocks == (n_chunks, 1) and y.numblocks == (n_chunks,)
    X, y = dask.compute(X, y)
    assert (X.sum(), y.sum(), X.nnz) == (2434190.0, 57.0, 13610 - 100)


def test_sparse_chunks_are_shards(both_ways):
    X, y = sample_libsvm(sparse=True, chunk_rows=40)
    blocks = dask.compute(*X.to_delayed().ravel())
    assert all(isinstance(block, scipy.sparse.csr_matrix) for block in blocks)
    assert [block.shape for block in blocks] == [(40, 692), (40, 692), (20, 692)]
    assert X.blocks[2].compute().shape == (20, 692)
    Xw = X.map_blocks(lambda block: block @ np.ones(692), drop_axis=1, dtype=float)
    np.testing.assert_array_equal(Xw.compute(), dense(X).sum(axis=1))


def test_small_files_need_no_shared_disk(write):
    path = write(GOOD)
    X, y = load_libsvm(path)
    path.unlink()
    assert dense(X).sum() == 3.5


@pytest.mark.parametrize("sparse", [True, False])
def test_changing_a_result_does_not_change_the_data(sparse, write, both_ways):
    X, y = load_libsvm(write(GOOD), sparse=sparse, chunk_rows=2)
    for _ in range(2):
        X1, y1 = dask.compute(X, y, scheduler="synchronous")
        assert (X1.sum(), y1.sum()) == (3.5, 1)
        X1 *= 0
        y1 *= 0
        (X1.data if sparse else X1)[:] = 9


def test_a_large_file_that_changes_is_noticed(write, monkeypatch):
    monkeypatch.setattr(libsvm, "IN_GRAPH_BYTES", 0)
    path = write(GOOD)
    X, y = load_libsvm(path)
    os.utime(path, (1, 1))
    assert "has changed" in raises_clearly(DataError, X.compute).what
    path.unlink()
    assert "cannot be opened" in raises_clearly(DataError, X.compute).what


def test_the_same_file_gives_the_same_keys(write, both_ways):
    path = write(GOOD)
    assert load_libsvm(path)[0].name == load_libsvm(path)[0].name


values = st.floats(allow_nan=False, allow_infinity=False, width=32)
matrices = st.integers(1, 6).flatmap(lambda n_features: st.lists(
    st.tuples(st.integers(-3, 3),
              st.lists(values, min_size=n_features, max_size=n_features).filter(any)),
    min_size=1, max_size=12))


@settings(max_examples=60, deadline=None)
@given(matrices, st.booleans(), st.sampled_from([None, "a b_c", "qid:1\nnan"]),
       st.integers(1, 15), st.booleans())
def test_round_trip(tmp_path_factory, rows, one_based, comment, chunk_rows, lazy):
    y, X = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    path = tmp_path_factory.mktemp("round_trip") / "data.txt"
    dump_svmlight_file(X, y, str(path), zero_based=not one_based, comment=comment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libsvm, "IN_GRAPH_BYTES", 0 if lazy else 2**20)
        X2, y2 = load_libsvm(path, n_features=X.shape[1], one_based=one_based, sparse=False,
                             chunk_rows=chunk_rows)
        X2, y2 = dask.compute(X2, y2, scheduler="synchronous")
    # The file holds 16 digits, one too few for some numbers, so scikit-learn is the exact oracle.
    X3, y3 = load_svmlight_file(str(path), n_features=X.shape[1], zero_based=not one_based)
    np.testing.assert_array_equal(X2, X3.toarray())
    np.testing.assert_array_equal(y2, y3)
    np.testing.assert_allclose(X2, X, rtol=1e-15)
    np.testing.assert_array_equal(y2, y)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([b"1", b"-2.5", b" ", b"3:4", b"5:1e3", b"\n", b"\r\n", b"#", b":",
                                 b"nan", b"_", b"qid:1", b"0:1", b"\0", b"\r", b"x", b"\xff"]),
                max_size=25))
def test_any_text_is_read_as_the_naive_parser_does_or_refused(tmp_path_factory, tokens):
    text = b"".join(tokens)
    path = tmp_path_factory.mktemp("any") / "data.txt"
    path.write_bytes(text)
    try:
        X, y = load_libsvm(path)
    except DataError as error:
        assert "cannot be parsed" not in error.what
    else:
        X_true, y_true = naive(text.replace(b"\xff", b"?"))
        np.testing.assert_array_equal(dense(X), X_true)
        np.testing.assert_array_equal(y.compute(scheduler="synchronous"), y_true)

"""Saved models: whole or refused, and never a pickle."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from labkit.errors import DataError
from labkit.learning import LogisticRegression

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
CODES = np.argmax(X @ RNG.normal(size=(2, 3)) + RNG.gumbel(size=(60, 3)), axis=1)
ATTRIBUTES = ["classes_", "coef_", "intercept_", "loss_history_", "n_iter_", "n_evaluations_",
              "converged_", "n_features_in_"]


def fitted(labels=(0, 1, 2), **settings):
    return LogisticRegression(**{"reg_param": 0.1, **settings}).fit(X, np.array(labels)[CODES])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a model.npz"


@pytest.fixture
def saved(path):
    """Return the bytes of a saved model, which lies at `path`."""
    fitted().save(path)
    return path.read_bytes()


def assert_same(model, original):
    for name in ATTRIBUTES:
        got, want = getattr(model, name), getattr(original, name)
        np.testing.assert_array_equal(got, want)
        assert np.asarray(got).dtype.kind == np.asarray(want).dtype.kind, name
    params = original.get_params()
    assert model.get_params() == {**params, "world": None}


def assert_refused(path, what, expected="", got="", remedy="save the model again"):
    with pytest.raises(DataError, match=what) as caught:
        LogisticRegression.load(path)
    error = caught.value
    assert error.where == str(path)
    assert expected in error.expected and got in str(error.got) and remedy in error.remedy


def members(data):
    """Return what is in a saved model: {name: array}."""
    with np.load(io.BytesIO(data)) as file:
        return {name: file[name] for name in file.files}


# ---- there and back


@pytest.mark.parametrize("labels", [
    (0, 1, 2), (0, 1, 0), (-1.0, 2.0, 5.0), ("ant", "bee", "a long name for a wasp"),
    (True, False, True)], ids=str)
@pytest.mark.parametrize("settings", [
    {}, dict(max_iter=2, family="multinomial", fit_intercept=False, model="map_reduce"),
    dict(elastic_net_param=1.0, standardization=False, tol=np.float64(1e-3))], ids=str)
def test_a_model_comes_back_as_it_was(path, labels, settings):
    original = fitted(labels, **settings)
    original.save(path)
    model = LogisticRegression.load(path)
    assert_same(model, original)
    assert model.run_ is None and model.world is None
    np.testing.assert_array_equal(model.predict_proba(X), original.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X), original.predict(X))
    assert model.fit(X, np.array(labels)[CODES]).coef_.tobytes() == original.coef_.tobytes()


def test_labels_and_names_of_features_held_as_objects_are_saved_as_text(path):
    original = fitted(np.array(["ant", "bee", "wasp"], dtype=object))
    original.feature_names_in_ = np.array(["height", "weight"], dtype=object)
    original.save(path)
    model = LogisticRegression.load(path)
    np.testing.assert_array_equal(model.classes_, ["ant", "bee", "wasp"])
    np.testing.assert_array_equal(model.feature_names_in_, ["height", "weight"])
    assert model.feature_names_in_.dtype == object
    with pytest.warns(UserWarning, match="feature names"):       # as scikit-learn asks for them
        np.testing.assert_array_equal(model.predict(X), original.classes_[fitted().predict(X)])


def test_the_world_is_not_saved(cluster, path):
    original = fitted(world=cluster)
    original.save(path)
    model = LogisticRegression.load(path)
    assert_same(model, original)
    assert model.world is None and original.world is cluster


def test_the_name_is_taken_as_it_is(tmp_path):
    for name in ("model", "model.bin", str(tmp_path / "text")):
        fitted().save(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["model", "model.bin", "text"]
    assert_same(LogisticRegression.load(str(tmp_path / "model")), fitted())


def test_the_file_is_an_npz_that_numpy_reads_without_pickle(saved):
    arrays = members(saved)
    assert not any(array.dtype.hasobject for array in arrays.values())
    assert str(arrays["format"]) == "labkit LogisticRegression 1"
    assert json.loads(str(arrays["settings"]))["reg_param"] == 0.1
    np.testing.assert_array_equal(arrays["coef"], fitted().coef_)


# ---- writing that fails


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()],
                         ids=["OSError", "Interrupt"])
@pytest.mark.parametrize("step", ["write_array", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, saved, monkeypatch, step,
                                                                error):
    def fail(file, *args, **kwargs):
        if step == "write_array":
            file.write(b"half of")
        raise error

    monkeypatch.setattr(np.lib.format if step == "write_array" else os, step, fail)
    with pytest.raises(type(error)):
        fitted(max_iter=1).save(path)
    monkeypatch.undo()
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == saved
    assert_same(LogisticRegression.load(path), fitted())


def test_a_new_model_replaces_the_old_file(path, saved):
    fitted(max_iter=1).save(path)
    assert os.listdir(path.parent) == [path.name]
    assert LogisticRegression.load(path).n_iter_ == 1


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        fitted().save(tmp_path / "nowhere" / "model")


def test_labels_that_would_need_pickle_are_refused_before_writing(path):
    model = fitted()
    model.classes_ = np.array([1, "two", None], dtype=object)
    with pytest.raises(DataError, match="without pickle") as caught:
        model.save(path)
    assert caught.value.expected == "numbers or strings" and caught.value.remedy
    assert not list(path.parent.iterdir())


# ---- files that are refused


class Trap:
    """Sets off when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code from a file has run')",)


def test_a_pickle_is_refused_unread(path):
    path.write_bytes(pickle.dumps(Trap()))
    assert_refused(path, "no .npz file", "a whole .npz file", "not a zip file")


@pytest.mark.parametrize("name", ["coef", "classes", "format", "an extra one"])
def test_an_array_of_objects_is_refused_unread(path, saved, name):
    np.savez(path, **{**members(saved), name: np.array([Trap()])})
    assert_refused(path, "needs pickle", "arrays of numbers and text", f"{name}.npy: object")


@pytest.mark.parametrize("name", ["coef.npy", "coef"])
def test_a_pickle_in_the_place_of_an_array_is_refused_unread(path, saved, name):
    arrays = members(saved)
    del arrays["coef"]
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, pickle.dumps(Trap()))
    assert_refused(path, "no array", "arrays of numbers and text", "coef")


def test_a_truncated_file_is_refused_at_any_length(path, saved):
    for length in [0, 1, *range(2, len(saved), 37), len(saved) - 1]:
        path.write_bytes(saved[:length])
        assert_refused(path, "damaged|would expand", remedy="save the model again")


def test_a_flipped_bit_is_refused_or_does_no_harm(path, saved):
    """Some bits say nothing about the model, as the time of writing; all others must show."""
    original = LogisticRegression.load(path)
    directory = saved.index(b"PK\x01\x02")           # zip's table of contents: every byte of it
    refused = 0
    for position in [*range(0, directory, 23), *range(directory, len(saved))]:
        damaged = bytearray(saved)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            model = LogisticRegression.load(path)
        except DataError as error:
            assert error.where == str(path) and error.remedy
            refused += 1
        else:
            assert_same(model, original)
    assert refused > 300


@pytest.mark.parametrize("name", ["classes", "coef", "intercept", "loss_history"])
def test_a_flipped_bit_in_any_array_is_refused(path, saved, name):
    values = members(saved)[name].tobytes()
    start = saved.index(values)
    for offset in range(len(values)):
        damaged = bytearray(saved)
        damaged[start + offset] ^= 0x10
        path.write_bytes(damaged)
        assert_refused(path, "damaged", got="CRC")


def test_a_compressed_file_is_refused(path, saved):
    """`save` does not compress, and what is compressed may expand a thousand times."""
    np.savez_compressed(path, **members(saved))
    assert_refused(path, "would expand", "not compressed", "bytes")


def test_an_array_that_claims_more_than_there_is_takes_no_memory(path, saved):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("coef.npy", header.getvalue() + bytes(80))
    assert_refused(path, "another length", f"{8 * 10**13:,} bytes", "80 bytes in coef.npy")


def test_a_foreign_npz_is_refused(path):
    np.savez(path, x=np.arange(3), y=np.ones(2))
    assert_refused(path, "not a model of this version", "labkit LogisticRegression 1", "none",
                   "the version of labkit that saved it")


def test_a_foreign_zip_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "dear reader")
    assert_refused(path, "no array", got="letter.txt")


@pytest.mark.parametrize("version", ["labkit LogisticRegression 2", "labkit KMeans 1", ""])
def test_another_version_is_refused_by_name(path, saved, version):
    np.savez(path, **{**members(saved), "format": version})
    assert_refused(path, "not a model of this version", "labkit LogisticRegression 1", version,
                   "the version of labkit that saved it")


@pytest.mark.parametrize("name", ["settings", "facts", "classes", "coef", "intercept",
                                  "loss_history"])
def test_a_missing_array_is_named(path, saved, name):
    arrays = members(saved)
    del arrays[name]
    np.savez(path, **arrays)
    assert_refused(path, "missing", got=f"no {name}")


@pytest.mark.parametrize(("name", "value"), [
    ("coef", np.ones((2, 2))), ("coef", np.ones(3)), ("coef", np.full((3, 2), np.nan)),
    ("coef", np.full((3, 2), np.inf)), ("coef", np.ones((3, 2), int)),
    ("coef", np.full((3, 2), "1.0")), ("intercept", np.ones(2)), ("intercept", np.ones((3, 1))),
    ("intercept", np.array([0, np.nan, 0])), ("classes", np.arange(4)), ("classes", np.array(3)),
    ("classes", np.arange(3)[None])])
def test_arrays_that_do_not_fit_together_are_refused(path, saved, name, value):
    np.savez(path, **{**members(saved), name: value})
    assert_refused(path, "do not fit together", "a set for each class", str(value.shape))


@pytest.mark.parametrize(("name", "text"), [
    ("settings", "not JSON"), ("settings", "null"), ("settings", "[1]"),
    ("settings", '{"unknown": 1}'), ("facts", "{"), ("facts", "{}"), ("facts", "[1, 2, 3]"),
    ("facts", '{"n_iter": 1}')])
def test_settings_that_cannot_be_read_are_refused(path, saved, name, text):
    np.savez(path, **{**members(saved), name: text})
    assert_refused(path, "settings in this model cannot be read", "JSON")


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "nothing", tmp_path):
        assert_refused(path, "no such model", "a file that `save` wrote", "directory",
                       "check the name")

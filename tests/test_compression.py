"""Compressed gradients against plain NumPy, and their bytes against closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import ConfigurationError
from labkit.models.master_worker.compression import (
    EightBit,
    Encoder,
    TopK,
    as_bytes,
    decoded,
    split,
)

VECTORS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40).map(np.array)
SCHEMES = [TopK(0.1), TopK(0.34), TopK(1.0), EightBit(), EightBit(block=7)]
few = settings(max_examples=40, deadline=None)      # a busy machine is no error
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=repr)


def rng(seed=0):
    return np.random.default_rng(seed)


def there_and_back(scheme, vector, seed=0):
    return decoded(scheme, scheme.encode(vector, rng(seed)), len(vector), vector.dtype)


@every_scheme
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [1, 7, 100, 1000])
def test_a_payload_is_flat_bytes_of_the_length_that_is_said(scheme, n, dtype):
    vector = rng().standard_normal(n).astype(dtype)
    payload = scheme.encode(vector, rng())
    assert payload.dtype == np.uint8 and payload.shape == (scheme.nbytes(n, dtype),)
    assert there_and_back(scheme, vector).dtype == dtype


@pytest.mark.parametrize(("scheme", "n", "nbytes"), [
    (TopK(0.01), 1000, 10 * 12), (TopK(0.01), 5, 12), (TopK(1.0), 8, 96),
    (EightBit(256), 1000, 1000 + 4 * 4), (EightBit(256), 256, 260), (EightBit(1), 3, 15)])
def test_bytes_meet_the_closed_forms(scheme, n, nbytes):
    assert scheme.nbytes(n) == scheme.encode(np.arange(1.0, n + 1), rng()).nbytes == nbytes


# ---- top-k


def test_the_largest_values_travel_exactly_and_nothing_else():
    vector = np.array([0, 9.25, 1, 0, -7, 0, 4, 0.5])
    np.testing.assert_array_equal(there_and_back(TopK(3 / 8), vector),
                                  [0, 9.25, 0, 0, -7, 0, 4, 0])
    places, values = split(TopK(3 / 8).encode(vector), (np.int32, 3), (np.float64, 3))
    assert places.tolist() == [1, 4, 6] and values.tolist() == [9.25, -7, 4]


@given(VECTORS, st.floats(0.01, 1))
@few
def test_what_top_k_leaves_out_is_as_small_as_stich_needs(vector, fraction):
    """|v - top(v)|^2 <= (1 - k/n) |v|^2: with it, memory makes SGD converge."""
    scheme = TopK(fraction)
    left = vector - there_and_back(scheme, vector)
    share = scheme.count(len(vector)) / len(vector)
    assert np.sum(left**2) <= (1 - share) * np.sum(vector**2) * (1 + 1e-9)


@given(st.lists(st.lists(st.integers(-50, 50), min_size=6, max_size=6), min_size=1, max_size=8))
@few
def test_what_was_sent_and_what_is_remembered_is_all_there_was(gradients):
    encoder = Encoder(TopK(0.3), 6, rng())
    sent = sum(decoded(TopK(0.3), encoder(np.array(g, float)), 6) for g in gradients)
    np.testing.assert_array_equal(sent + encoder.memory, np.sum(gradients, axis=0))


def test_memory_sends_a_small_value_in_the_end():
    encoder = Encoder(TopK(0.5), 2, rng())
    sent = [decoded(TopK(0.5), encoder(np.array([4.0, 3.0])), 2).tolist() for _ in range(3)]
    assert sent == [[4, 0], [0, 6], [8, 0]]


# ---- eight bits


@given(VECTORS, st.integers(0, 3))
@few
def test_eight_bits_are_off_by_less_than_one_level_of_their_block(vector, seed):
    off = np.abs(there_and_back(EightBit(block=8), vector, seed) - vector)
    for begin in range(0, len(vector), 8):
        block = slice(begin, begin + 8)
        level = np.abs(vector[block]).max() / 127
        assert np.all(off[block] <= level * (1 + 1e-5) + 1e-40)


def test_eight_bits_are_right_on_average():
    vector = np.array([1.0, 0.3, -0.004, 0.5004, 0])
    mean = np.mean([there_and_back(EightBit(), vector, seed) for seed in range(1000)], axis=0)
    # One rounding has a deviation of half a level at most, the mean a 31st of that.
    np.testing.assert_allclose(mean, vector, atol=4 * 0.5 / 127 / np.sqrt(1000), rtol=1e-6)
    assert np.abs(there_and_back(EightBit(), vector) - vector).max() > 1e-4, "one is not exact"


def test_a_small_block_keeps_small_values_beside_large_ones():
    vector = np.array([1e6] * 4 + [1.0] * 4)
    assert np.all(np.abs(there_and_back(EightBit(4), vector)[4:] - 1) < 0.01)
    assert np.all(np.abs(there_and_back(EightBit(8), vector)[4:] - 1) >= 1)


@every_scheme
def test_nothing_comes_out_of_nothing(scheme):
    np.testing.assert_array_equal(there_and_back(scheme, np.zeros(9)), np.zeros(9))


# ---- the rest


def test_without_a_scheme_gradients_travel_as_they_are():
    gradient = np.arange(3.0)
    assert Encoder(None, 3, rng())(gradient) is gradient
    assert decoded(None, gradient, 3) is gradient


@pytest.mark.parametrize("scheme", [TopK(0.5), EightBit()])
def test_an_empty_part_needs_no_bytes(scheme):
    payload = Encoder(scheme, 0, rng())(np.zeros(0))
    assert payload.nbytes == 0 and len(decoded(scheme, payload, 0)) == 0


@given(st.lists(st.integers(0, 255), max_size=3), st.lists(st.floats(-9, 9), max_size=5))
@few
def test_pieces_are_found_again_wherever_they_begin(first, second):
    payload = np.concatenate([as_bytes(np.array(first, np.uint8)), as_bytes(np.array(second))])
    found = split(payload, (np.uint8, len(first)), (np.float64, len(second)))
    assert [piece.tolist() for piece in found] == [first, second]


@pytest.mark.parametrize("wrong", [lambda: TopK(0), lambda: TopK(1.1), lambda: EightBit(0)])
def test_schemes_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="expected"):
        wrong()

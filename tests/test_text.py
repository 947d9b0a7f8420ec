"""Ranges of files against the files, and counts of words against `Counter`."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import labkit
from labkit.errors import ConfigurationError, DataError
from labkit.models.map_reduce import TextFiles
from labkit.models.map_reduce.jobs import inverted_index, word_count
from labkit.models.map_reduce.text import RANGE_NBYTES, TextRange
from labkit.models.map_reduce.words import WIDEST, count_words, merge

WORD = st.one_of(st.binary(min_size=1, max_size=3), st.text("ab", max_size=20).map(str.encode),
                 st.sampled_from([b"naive", "na\u00efvet\u00e9".encode(), b"\0", b"ab\0", b"a" * 8,
                                  b"b" * 16, b"b" * 17, b"x" * WIDEST, b"x" * (WIDEST + 1),
                                  b"understandings", b"\xff" * 9, b"\x1c", b"\x85"]))
GAP = st.sampled_from([b" ", b"\n", b"\t", b"\r\n", b"\x0b", b"\x0c", b"  \n\n ", b""])
TEXT = st.lists(st.tuples(WORD, GAP), max_size=40).map(
    lambda pairs: b"".join(word + gap for word, gap in pairs))


# ---- counting


@given(TEXT, st.integers(1, 64))
@example(b"", 1)
@example(b"\n \t", 1)
@example(b"no newline", 4)
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_counted_as_split_and_counter_count_them(text, block_nbytes):
    counts = count_words(text, block_nbytes)
    assert counts.as_dict() == Counter(text.split())
    assert len(counts) == len(set(text.split()))


@given(st.lists(TEXT, max_size=5), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_each_word_goes_to_one_part_and_parts_add_up(texts, n):
    pieces = [count_words(text).split(n) for text in texts]
    assert all(len(piece) == n for piece in pieces)
    parts = [merge(column).as_dict() for column in zip(*pieces)]
    expected = sum((Counter(text.split()) for text in texts), Counter())
    assert sum(map(len, parts)) == len(expected), "no word is in two parts"
    assert sum(map(Counter, parts), Counter()) == expected


def test_many_distinct_words_are_spread_evenly():
    words = b" ".join(b"%d" % i for i in range(20_000)) + b" " + b" ".join(
        b"number-%d" % i for i in range(20_000))
    sizes = [len(part) for part in count_words(words).split(4)]
    assert sum(sizes) == 40_000
    assert max(sizes) < 1.1 * min(sizes)


def test_words_that_mix_to_the_same_number_are_told_apart(monkeypatch):
    monkeypatch.setattr("labkit.models.map_reduce.words._mixed",
                        lambda integers: np.zeros(integers.shape[1], np.uint64))
    text = b"number-one number-two number-one a b a " * 3
    assert count_words(text, 50).as_dict() == Counter(text.split())


def test_a_seeded_text_over_many_blocks():
    rng = np.random.default_rng(0)
    vocabulary = [bytes(rng.integers(97, 123, rng.integers(1, 30), dtype=np.uint8))
                  for _ in range(500)]
    text = b" ".join(vocabulary[i] for i in np.minimum(rng.zipf(1.3, 50_000), 500) - 1)
    assert count_words(text, 1000).as_dict() == Counter(text.split())


# ---- ranges


@given(st.binary(max_size=60), st.integers(1, 70))
@settings(max_examples=100, deadline=None)
@example(b"a" * 50 + b"\nb", 7)
@example(b"\n\n\n", 1)
def test_every_line_is_in_the_range_where_it_begins(tmp_path_factory, content, step):
    path = tmp_path_factory.getbasetemp() / "ranges.txt"
    path.write_bytes(content)
    lines = content.split(b"\n")
    lines = [line + b"\n" for line in lines[:-1]] + [line for line in lines[-1:] if line]
    begins = np.cumsum([0, *map(len, lines)])[:-1]
    for one in TextFiles(path, range_nbytes=step).ranges(workers=3):
        mine = [line for begin, line in zip(begins, lines) if one.start <= begin < one.stop]
        assert one.read() == b"".join(mine)


def test_ranges_are_coarse(tmp_path):
    path = tmp_path / "sparse.txt"
    with open(path, "wb") as file:
        file.truncate(10 * RANGE_NBYTES)
    assert len(TextFiles(path).ranges(workers=2)) == 10
    assert len(TextFiles(path).ranges(workers=3)) == 12, "as many for each worker"
    assert len(TextFiles(path).ranges(workers=50)) == 100
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    assert TextFiles([empty]).ranges(2) == []


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DataError, match="not a file") as caught:
        TextFiles([tmp_path / "missing.txt"])
    assert "missing.txt" in caught.value.got
    path = tmp_path / "a.txt"
    path.write_text("a")
    for paths, nbytes in (([], None), ([path], 0)):
        with pytest.raises(ConfigurationError, match="nothing to read"):
            TextFiles(paths, nbytes)


# ---- jobs over texts


@pytest.fixture
def files(tmp_path):
    texts = {"a.txt": b"the cat\r\nunderstandings of the\tcat", "b.txt": b"",
             "c.txt": b"the end\n" * 500 + b"na\xc3\xafve" + b" long" * 7 + b" x" * 100}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text)
    return [tmp_path / name for name in texts]


def test_words_of_files_are_counted(world, files):
    expected = Counter(word for path in files for word in path.read_bytes().split())
    counts, runs = word_count(world, TextFiles(files, range_nbytes=1000))
    assert counts == expected
    n_ranges = len(TextFiles(files, range_nbytes=1000).ranges(3))
    assert n_ranges > 3
    assert [len(run.tasks) for run in runs] == [n_ranges, world.workers], "each ran once"
    assert (runs[0].messages, runs[0].nbytes) == (0, 0), "buckets do not pass through the caller"


def test_words_of_texts_are_counted_in_any_number_of_parts(world):
    texts = [b"to be or not to be", b"", b"be"]
    for n in (1, 4):
        assert word_count(world, texts, n_reducers=n)[0] == Counter(b" ".join(texts).split())
    assert word_count(world, [])[0] == {}
    with pytest.raises(ConfigurationError, match="1 or more"):
        word_count(world, texts, n_reducers=0)


def test_an_index_names_the_documents_of_each_word(world, files):
    expected = {}
    for path in files:
        for word in set(path.read_bytes().split()):
            expected.setdefault(word, []).append(str(path))
    outcome = inverted_index(world, TextFiles(files, range_nbytes=1000))
    assert outcome.as_dict() == expected
    index = inverted_index(labkit.serial(2), [("x", b"a b a"), ("y", b"b")]).as_dict()
    assert index == {b"a": ["x"], b"b": ["x", "y"]}


def test_a_range_says_what_it_is(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"ab\ncd\n")
    assert TextRange(str(path), 1, 3).read() == b""
    assert TextRange(str(path), 3, 6).read() == b"cd\n"

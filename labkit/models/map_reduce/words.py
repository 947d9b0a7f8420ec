"""Counting the words of a text a block at a time: eight letters are one integer.

    text      t h e _ c a t _ u n d e r s t a n d s _ t h e
    starts    ^       ^       ^                       ^          where a gap turns into a word
    integers  "the"   "cat"   "understa"+"nds"        "the"      one gather, one mask each
    counts    sort, then the lengths of equal stretches

Python's own way, ``Counter(text.split())``, makes an object of every word. Here a word is one
64-bit integer for every 8 of its bytes and stays one until the counts are done; only the
distinct words become objects. NumPy sorts 64-bit integers with vector instructions.

A word's bytes are padded with zeros, so a word that holds a zero byte has no such integer. Those,
and words over `WIDEST` bytes, are counted by `Counter`; in real text there are hardly any.
Words are what `bytes.split` says: separated by ASCII space, tab, newline, return, \\v or \\f.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np

# Its arrays fit in the cache; larger ones are also given back to the system after each step where
# MALLOC_TRIM_THRESHOLD_ is set, as it is in the cluster's workers: 512 KB take half as long again.
BLOCK_NBYTES = 1 << 18
WIDEST = 64                  # bytes of a word that is counted as integers
MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
MIX = np.uint64(0x9E3779B97F4A7C15)          # 2**64 divided by the golden ratio
GAP = re.compile(rb"\s")


@dataclass(frozen=True)
class WordCounts:
    """How often each word occurs, as arrays."""

    tables: dict
    """{k: (integers, counts)} for words of up to 8k bytes: uint64 of shape (k, n), int64 (n,)."""

    rest: dict
    """{word: count} for words with a zero byte or over `WIDEST` bytes."""

    def split(self, n):
        """Return `n` WordCounts; a word goes to the same one in every process."""
        owners = {k: _mixed(integers) % np.uint64(n) for k, (integers, _) in self.tables.items()}
        return [WordCounts({k: (integers[:, owners[k] == part], counts[owners[k] == part])
                            for k, (integers, counts) in self.tables.items()},
                           {w: c for w, c in self.rest.items() if zlib.crc32(w) % n == part})
                for part in range(n)]

    def as_dict(self):
        """Return {word: count} with words as bytes."""
        found = dict(self.rest)
        for k, (integers, counts) in self.tables.items():
            words = np.ascontiguousarray(integers.T).view(f"S{8 * k}")
            found.update(zip(words.ravel().tolist(), counts.tolist()))
        return found

    def __len__(self):
        return len(self.rest) + sum(counts.size for _, counts in self.tables.values())


def merge(many):
    """Return the sum of several WordCounts."""
    rest = Counter()
    for one in many:
        rest.update(one.rest)
    tables = {}
    for k in sorted({k for one in many for k in one.tables}):
        pieces = [one.tables[k] for one in many if k in one.tables]
        tables[k] = _tally(np.concatenate([integers for integers, _ in pieces], axis=1),
                           np.concatenate([counts for _, counts in pieces]))
    return WordCounts(tables, dict(rest))


def count_words(text, block_nbytes=BLOCK_NBYTES):
    """Count the words of a text.

    Parameters
    ----------
    text : bytes
    block_nbytes : int
        About how much is worked on at once.

    Returns
    -------
    WordCounts
        ``count_words(text).as_dict() == Counter(text.split())`` for any bytes.
    """
    return merge([_count_block(block) for block in _blocks(text, block_nbytes)])


def _blocks(text, nbytes):
    """Cut a text in gaps between words."""
    start = 0
    while start < len(text):
        gap = GAP.search(text, start + nbytes)
        stop = gap.start() if gap else len(text)
        yield text[start:stop]
        start = stop


def _count_block(block):
    starts, lengths = _words(block)
    odd = lengths > WIDEST
    if 0 in block:
        zeros = np.flatnonzero(np.frombuffer(block, np.uint8) == 0)
        odd[np.searchsorted(starts, zeros, "right") - 1] = True
    rest = Counter(block[start:start + length] for start, length
                   in zip(starts[odd].tolist(), lengths[odd].tolist()))
    # Eight bytes from any position on; the padding is for the last positions.
    eights = np.ndarray(len(block), "<u8", block + bytes(8), strides=(1,))
    width = (lengths + 7) >> 3
    width[odd] = 0
    tables = {}
    for k in np.flatnonzero(np.bincount(width)).tolist():
        if k:
            mine = np.flatnonzero(width == k)
            tables[k] = _tally(_integers(eights, starts[mine], lengths[mine], k))
    return WordCounts(tables, rest)


def _words(block):
    """Return where words start, and their lengths in bytes."""
    letters = np.frombuffer(block, np.uint8)
    gap = np.ones(len(block) + 2, bool)
    # \t \n \v \f \r are 9 to 13; what is below 9 wraps around to above 246.
    np.less_equal(letters - np.uint8(9), 4, out=gap[1:-1])
    gap[1:-1] |= letters == 32
    edges = np.flatnonzero(gap[1:] != gap[:-1])
    return edges[::2], edges[1::2] - edges[::2]


def _integers(eights, starts, lengths, k):
    """Return words of 8k-7 to 8k bytes as uint64 of shape (k, n)."""
    integers = np.empty((k, starts.size), np.uint64)
    for row in range(k):
        integers[row] = eights[starts + 8 * row]
    integers[-1] &= MASKS[lengths - 8 * (k - 1)]
    return integers


def _tally(integers, counts=None):
    """Return the distinct columns, and how often each occurs (or the sum of its counts)."""
    if counts is None and len(integers) == 1:
        words, counts = np.unique(integers[0], return_counts=True)
        return words[np.newaxis], counts
    order, first = _grouped(integers)
    if counts is None:
        counts = np.diff(first, append=order.size)
    else:
        counts = np.add.reduceat(counts[order], first) if first.size else counts
    return integers[:, order[first]], counts


def _grouped(integers):
    """Return an order in which equal columns are neighbours, and where in it each begins."""
    mixed = _mixed(integers)
    order = np.argsort(mixed)
    mixed = mixed[order]
    new = _differs(integers, order)
    if np.any(new[1:] & (mixed[1:] == mixed[:-1])):      # two words, one mixture: very rare
        order = np.lexsort(integers)
        new = _differs(integers, order)
    return order, np.flatnonzero(new)


def _differs(integers, order):
    """Whether each column, in this order, differs from the one before it."""
    new = np.zeros(order.size, bool)
    new[:1] = True
    for row in integers:
        row = row[order]
        new[1:] |= row[1:] != row[:-1]
    return new


def _mixed(integers):
    """Return one uint64 for each column: equal for equal ones, and almost only for these."""
    mixed = np.zeros(integers.shape[1], np.uint64)
    for row in integers:
        mixed = (mixed ^ row) * MIX
        mixed ^= mixed >> np.uint64(32)
    return mixed

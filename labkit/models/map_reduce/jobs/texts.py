"""Two jobs over texts.

    word_count       "a b a"          map: a 2, b 1     reduce: add       {a: 2, b: 1}
    inverted_index   doc 7: "a b a"   map: (a,7) (b,7)  reduce: collect   {a: [7], b: [7]}

Counting is what arrays are good at, so word_count shuffles arrays; the index shuffles pairs.
"""

from __future__ import annotations

from functools import partial

from labkit.errors import ConfigurationError
from labkit.models.map_reduce.job import Job
from labkit.models.map_reduce.shuffle import shuffle
from labkit.models.map_reduce.text import TextRange, items_of
from labkit.models.map_reduce.words import count_words, merge


def word_count(world, source, n_reducers=None, work=None, backup=None):
    """Count words as ``Counter(text.split())`` does.

    Parameters
    ----------
    world : World
    source : TextFiles, or iterable of bytes
        No word spans two items.
    n_reducers : int, optional
        One a worker by default.
    work, backup : callable, optional
        See `World.map`.

    Returns
    -------
    counts : dict
        {word as bytes: count}.
    runs : list of Run
        The map phase and the reduce phase.
    """
    n = world.workers if n_reducers is None else n_reducers
    if n < 1:
        raise ConfigurationError("A job cannot have this many reduce tasks.", got=n,
                                 expected="1 or more", where="n_reducers=")
    runs = shuffle(world, partial(_count, n), merge, items_of(source, world.workers), n, work,
                   backup)
    counts = {}
    for part in runs[1].results:
        counts.update(part.as_dict())
    return counts, list(runs)


def inverted_index(world, source, n_reducers=None):
    """Find the documents in which each word occurs.

    Parameters
    ----------
    world : World
    source : TextFiles, or iterable of (name, text)
        A text is bytes; the name of a file is its path.
    n_reducers : int, optional

    Returns
    -------
    Outcome
        Of (word, sorted list of names) pairs.
    """
    job = Job(_postings, _distinct, combiner=_first, n_reducers=n_reducers)
    return job.run(world, source)


def _count(n, item):
    return count_words(_text(item)).split(n)


def _text(item):
    return item.read() if isinstance(item, TextRange) else item


def _postings(item):
    name, text = (item.path, item.read()) if isinstance(item, TextRange) else item
    for word in set(text.split()):
        yield word, name


def _first(word, names):
    return names[0]              # a map task has one document


def _distinct(word, names):
    return sorted(set(names))    # a long file is several map tasks

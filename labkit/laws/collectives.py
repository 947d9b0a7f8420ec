"""What collectives cost on n peers: rounds, bytes through a link, bytes combined.

    seconds  =  rounds alpha  +  sent beta  +  combined gamma

    allreduce                rounds          sent              combined
      "ring"                 2 (n-1)         2 m (n-1)/n       m (n-1)/n
      "tree"                 2 ceil(log2 n)  2 m ceil(log2 n)  m ceil(log2 n)
      "doubling"             log2 n          m log2 n          m log2 n
      "halving"              2 log2 n        2 m (n-1)/n       m (n-1)/n
    broadcast, a tree        ceil(log2 n)    m ceil(log2 n)
    reduce_scatter, allgather, alltoall
                             n-1             m (n-1)/n         m (n-1)/n in a reduce_scatter

m is the whole array: what each peer has before an all-reduce or a reduce-scatter, and after an
all-gather; in an all-to-all what it has for all peers together. alpha is the seconds of a message
without bytes, beta those of a byte through a link, gamma those of combining a byte with another.
Peers beyond a power of two first hand their array to a partner and get the result from it at the
end, in "doubling" and "halving": two rounds and 2 m more, and m to combine.

Names are those of `me.allreduce`. Each peer is taken to send one message and receive another at
the same time, and rounds to begin together. That holds for powers of two. With other n, some
rounds of a tree overlap, which saves up to a third, and peers that did not fold send before the
others can listen, which costs up to a quarter more. labkit's own reduce-scatter posts all its
messages at once: their starts overlap, and it needs less than this law says.

Sources: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in
MPICH", IJHPCA 19, 2005; for the ring Patarasuk and Yuan, "Bandwidth optimal all-reduce
algorithms", JPDC 69, 2009.
"""

from __future__ import annotations

import math

from labkit.errors import ConfigurationError
from labkit.laws.checks import numbers, whole


def _ring(n):
    return 2 * (n - 1), 2 * (n - 1) / n, (n - 1) / n


def _tree(n):
    depth = math.ceil(math.log2(n))
    return 2 * depth, 2 * depth, depth


def _doubling(n):
    depth = n.bit_length() - 1
    extra = n > 2 ** depth
    return depth + 2 * extra, depth + 2 * extra, depth + extra


def _halving(n):
    depth = n.bit_length() - 1
    power, extra = 2 ** depth, n > 2 ** depth
    part = (power - 1) / power
    return 2 * depth + 2 * extra, 2 * part + 2 * extra, part + extra


ALLREDUCES = {"ring": _ring, "tree": _tree, "doubling": _doubling, "halving": _halving,
              # what Thakur, Rabenseifner and Gropp call the last two
              "recursive doubling": _doubling, "halving-doubling": _halving}


def allreduce_s(n, nbytes, alpha_s, beta_s_per_B, gamma_s_per_B=0.0, algorithm="ring"):
    """Return the seconds of an all-reduce: see the table above.

    Parameters
    ----------
    n : int
        Peers, 1 or more.
    nbytes : float or array_like
        What each peer has: bytes, 0 or more.
    alpha_s, beta_s_per_B : float
        As for `message_s`.
    gamma_s_per_B : float
        Seconds to combine one byte with another: 0 or more.
    algorithm : str
        A name in the table; "recursive doubling" and "halving-doubling" are other names of
        "doubling" and "halving".

    Returns
    -------
    float or ndarray

    Raises
    ------
    ConfigurationError
        For values outside these ranges. This holds for all functions here.

    >>> allreduce_s(n=4, nbytes=4000, alpha_s=1.0, beta_s_per_B=0.001)
    12.0
    """
    if algorithm not in ALLREDUCES:
        raise ConfigurationError("This all-reduce algorithm is not known.", got=repr(algorithm),
                                 expected=", ".join(map(repr, ALLREDUCES)), where="algorithm=")
    return _cost(ALLREDUCES[algorithm](whole("n", n)), nbytes, alpha_s, beta_s_per_B,
                 gamma_s_per_B)


def broadcast_s(n, nbytes, alpha_s, beta_s_per_B):
    """Return the seconds of a broadcast by a binomial tree: ceil(log2 n) (alpha + beta m)."""
    depth = math.ceil(math.log2(whole("n", n)))
    return _cost((depth, depth, 0), nbytes, alpha_s, beta_s_per_B)


def reduce_scatter_s(n, nbytes, alpha_s, beta_s_per_B, gamma_s_per_B=0.0):
    """Return the seconds of a reduce-scatter, pairwise or round a ring."""
    return _cost(_parts(n), nbytes, alpha_s, beta_s_per_B, gamma_s_per_B)


def allgather_s(n, nbytes, alpha_s, beta_s_per_B):
    """Return the seconds of an all-gather round a ring; `nbytes` are those of all parts."""
    return _cost(_parts(n), nbytes, alpha_s, beta_s_per_B)


def alltoall_s(n, nbytes, alpha_s, beta_s_per_B):
    """Return the seconds of a pairwise all-to-all; `nbytes` are what one peer has for all."""
    return _cost(_parts(n), nbytes, alpha_s, beta_s_per_B)


def _parts(n):
    n = whole("n", n)
    return n - 1, (n - 1) / n, (n - 1) / n


def _cost(counts, nbytes, alpha_s, beta_s_per_B, gamma_s_per_B=0.0):
    rounds, sent, combined = counts
    nbytes = numbers("nbytes", nbytes, low=0)
    return (rounds * numbers("alpha_s", alpha_s, low=0)
            + sent * nbytes * numbers("beta_s_per_B", beta_s_per_B, low=0)
            + combined * nbytes * numbers("gamma_s_per_B", gamma_s_per_B, low=0))

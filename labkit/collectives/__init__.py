"""Collective operations from messages alone, each algorithm a function of a few lines.

    broadcast, reduce   binomial tree          ceil(log2 n) rounds of m bytes
    allgather           ring                   n-1 rounds of m bytes
    alltoall            pairwise exchange      n-1 messages a peer
    reduce_scatter      pairwise exchange      n-1 messages of m/n bytes a peer
    barrier             dissemination          ceil(log2 n) rounds

    allreduce           rounds                 bytes a peer sends      good for
      "doubling"        log2 n                 m log2 n                short messages
      "pairwise"        2                      2 m (n-1)/n             longer ones, few peers
      "ring"            2 (n-1)                2 m (n-1)/n             the longest
      "halving"         2 log2 n               2 m (n-1)/n             long, many peers
      "tree"            2 ceil(log2 n)         up to m log2 n          a root that must know first
      "hierarchical"    2 log2 g + log2 n/g    up to m log2 n          fast links in groups of g

n peers, messages of m bytes. `me` is a `Peer` or a `Group` of them. Long arrays are sent from
where they lie (`_post`) and received where they belong (`_recv_into`).

Sources: Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in
MPICH", IJHPCA 19, 2005; Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", JPDC 69,
2009; Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", IJPP 17, 1988.
"""

from __future__ import annotations

import numpy as np

from labkit.collectives.exchange import (
    alltoall,
    barrier,
    doubling,
    halving,
    pairwise,
    reduce_scatter,
)
from labkit.collectives.group import Group, hierarchical
from labkit.collectives.ring import allgather, ring
from labkit.collectives.tree import broadcast, reduce, tree
from labkit.errors import ConfigurationError

__all__ = ["ALGORITHMS", "Group", "allgather", "allreduce", "alltoall", "barrier", "broadcast",
           "reduce", "reduce_scatter"]

ALGORITHMS = {"doubling": doubling, "pairwise": pairwise, "ring": ring, "halving": halving,
              "tree": tree, "hierarchical": hierarchical}

SHORT = 64 * 1024        # bytes up to which rounds cost more than bytes
FEW = 16                 # peers up to which one may talk to all others at the same time
LONG = 32 * 1024 * 1024  # bytes from which memory for all others' parts costs more than rounds
LONG_PART = 256 * 1024   # bytes a peer from which a ring's rounds no longer count


def allreduce(me, value, op, algorithm="auto", out=None):
    """Return `op` over all peers' values on every peer, bit for bit the same everywhere.

    Parameters
    ----------
    me : Peer or Group
    value : ndarray or object
        The same shape and dtype on every peer.
    op : callable
        Associative and commutative. A ufunc may work on parts of an array; any other function
        gets whole values.
    algorithm : str
        One of `ALGORITHMS`, or "auto": by the size of the message and the number of peers.
    out : ndarray, optional
        Where the result goes; may be `value` itself, or overlap it.

    Returns
    -------
    ndarray or object
        `out`, if it was given; a new array otherwise.

    Raises
    ------
    ConfigurationError
        For an unknown algorithm, or an `out` that does not fit.
    """
    if algorithm != "auto" and algorithm not in ALGORITHMS:
        raise ConfigurationError("This all-reduce algorithm is not known.", got=repr(algorithm),
                                 expected=", ".join(map(repr, ["auto", *ALGORITHMS])))
    _check_out(value, out)
    if me.size > 1 and not (isinstance(value, np.ndarray) and isinstance(op, np.ufunc)):
        if algorithm in ("auto", "doubling"):
            value = doubling(me, value, op)
        else:
            value = broadcast(me, reduce(me, value, op, 0), 0)
    elif me.size > 1:
        if algorithm == "auto":
            algorithm = choose(value.nbytes, me.size)
        if algorithm in ("doubling", "tree"):
            # A ufunc of arrays without dimensions returns a number, and `logical_or` a bool.
            value = np.asarray(ALGORITHMS[algorithm](me, value, op)).astype(
                value.dtype, casting="same_kind", copy=False)
        else:
            return _by_parts(ALGORITHMS[algorithm], me, value, op, out)
    if out is None:
        return value.copy() if me.size == 1 and isinstance(value, np.ndarray) else value
    if out is not value:
        out[...] = value
    return out


def choose(nbytes, n_peers):
    """Return the algorithm that "auto" stands for."""
    if nbytes <= SHORT:
        return "doubling"
    if n_peers <= FEW and nbytes < LONG:
        return "pairwise"
    return "ring" if nbytes >= LONG_PART * n_peers else "halving"


def _by_parts(algorithm, me, value, op, out):
    result = np.empty(value.shape, value.dtype) if out is None else out
    flat = result.reshape(-1) if result.flags.c_contiguous else np.empty(value.size, value.dtype)
    array = np.ascontiguousarray(value).reshape(-1)
    if array.ctypes.data != flat.ctypes.data and np.may_share_memory(array, flat):
        array = array.copy()             # in place is well; half in place is not
    algorithm(me, array, flat, op)
    if not result.flags.c_contiguous:
        result[...] = flat.reshape(value.shape)
    return result


def _check_out(value, out):
    if out is None:
        return
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not (isinstance(out, np.ndarray) and out.flags.writeable and out.shape == shape
            and out.dtype == dtype):
        raise ConfigurationError(
            "The result does not fit into `out`.", where="out=",
            expected=f"a writable array of shape {shape} and dtype {dtype}",
            got=f"{getattr(out, 'shape', type(out).__name__)}, {getattr(out, 'dtype', '')}")

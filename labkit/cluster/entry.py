"""A peer's way through a Dask task: connect, agree where to begin, run, say goodbye, report.

    run_peer   connect to all  ->  barrier  ->  program(me, ...)  ->  goodbye  ->  Outcome
                                      |
                                      +-- in an elastic run: agree on the state to begin with
"""

from __future__ import annotations

import pickle
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
from distributed import get_worker

from labkit import sharding, wire
from labkit.cluster import rendezvous
from labkit.cluster.inject import Injector
from labkit.cluster.peer import Aborted, ClusterPeer
from labkit.elastic import Regroup, agree
from labkit.errors import (
    ClusterError,
    ConfigurationError,
    DeadlockError,
    ProgramError,
    ShardLost,
)
from labkit.faults import FaultPlan
from labkit.serial import program_error, task_name

TOPIC = "labkit"         # of Dask's events, for what faults do


class Options(NamedTuple):
    """What a world says of a run to its peers."""

    deadline_s: float
    record: bool
    transport: str
    checksums: bool
    members: tuple = ()
    """The workers' numbers, by rank."""
    plan: FaultPlan | None = None
    plan_key: str = ""
    """What tells this run's faults from those of others."""
    struck: dict = {}
    """{position in the plan: when it began}, of what has struck in an earlier generation."""
    since: float = 0.0
    """When the run began, on `time.time`'s clock; 0 in its first generation."""
    job: str = ""
    """Under which a worker keeps its commits; "" if it keeps none."""
    checkpoints: Any = None


@dataclass
class Outcome:
    """What one peer reports to the client."""

    rank: int
    result: Any = None
    error: BaseException | None = None
    cause: str = ""
    """"program" (it raised), "waiting" (for a message that did not come), "gone" (a peer
    vanished), "aborted" (another peer failed first), "regroup" (somebody waits to join), "shard"
    (its data is gone), "" (no error)."""
    waits: str = ""
    """Whom it waited for when it stopped, in words."""
    lost: bool = False
    """Whether it died, so that somebody else had to say so."""
    links: Counter = field(default_factory=Counter)
    """How many links it had of each kind: "memory", "unix", "tcp", "tls"."""
    start_s: float = 0.0
    end_s: float = 0.0
    messages: int = 0
    nbytes: int = 0
    resent: int = 0
    """Packets that were sent again because they had come with a wrong checksum, or not at all."""
    events: list[tuple] = field(default_factory=list)
    commit: int = 0
    """Number of the newest commit."""
    first_commit: int = 0
    """Number of the commit that it began with."""


def run_peer(world_id, rank, addresses, secret, program, options, *parts):
    """Run one peer; the Dask task behind `ClusterWorld.run`.

    Returns
    -------
    Outcome
        Errors are reported in it, never raised: the client needs every peer's view.
    """
    me = ClusterPeer(rank, len(addresses), options)
    outcome = Outcome(rank)
    hub = rendezvous.hub_of(world_id)
    hub.peer = me
    injector = None
    try:
        program = cloudpickle.loads(program)
        parts = [_unpack(part) for part in parts]
        me.connect(hub, addresses, secret)
        _start_together(me)
        outcome.start_s = me.clock()
        since = options.since or outcome.start_s
        if options.plan:
            injector = Injector(options.members[rank], options.plan, options.struck,
                                Announcer(options.plan_key))
            injector.start(since)
        me.begin(since, injector)
        if options.record:
            me.note_memory()
        if options.job:
            me._commits, me._checkpoints = hub.commits_of(options.job), options.checkpoints
            outcome.first_commit = agree(me, me._commits, options.checkpoints)
        try:
            result = program(me, *parts)
        finally:
            outcome.end_s = me.clock()
        if options.record:
            me.note_memory()
        size_of_result(result)
        outcome.result = result
        me.leave()
    except BaseException as error:
        outcome.cause, outcome.error = _explain(error, me)
        outcome.waits = me.waiting()
        me.abort()
    finally:
        hub.peer = None
        if injector is not None:
            injector.rest()
        me.close()
    hub.count(me)
    outcome.messages, outcome.nbytes = me.messages, me.nbytes
    outcome.resent = sum(link.resent for link in me.links.values())
    outcome.links = Counter(link.kind for link in me.links.values())
    outcome.commit = me._commits.number if me._commits else 0
    outcome.events = [(kind, rank, start + me._shift, end + me._shift, *rest)
                      for kind, start, end, *rest in me.events]
    return outcome


class Announcer:
    """Tells the world that a fault of a run's plan begins in this worker."""

    def __init__(self, key):
        self._key = key
        self._worker = get_worker()      # which other threads of this process cannot ask for
        self.address = self._worker.address

    def __call__(self, position, when, step):
        self._worker.log_event(TOPIC, {"fault": position, "plan": self._key, "time": when,
                                       "worker": self.address, "step": step})


def _start_together(me):
    """Leave no peer behind: a barrier that is neither counted nor recorded."""
    me.barrier()
    me.messages = me.nbytes = 0
    me.events.clear()


@dataclass(frozen=True)
class Placed:
    """A shard that lives on a worker: read-only, shared by all runs."""

    value: Any
    checksum: int = 0
    """See `labkit.cluster.shards`."""

    def __setstate__(self, state):
        # It has travelled, perhaps to an odd address.
        state["value"] = sharding.read_only(state["value"])
        self.__dict__.update(state)


@dataclass(frozen=True)
class Packed:
    """A part that travels as pickle."""

    pickled: bytes

    def __sizeof__(self):
        return len(self.pickled)


def pickled(thing):
    try:
        return cloudpickle.dumps(thing)
    except Exception as error:
        what = f"function {task_name(thing)}" if callable(thing) else type(thing).__name__
        raise ConfigurationError(
            f"This {what} cannot be sent to the workers.", got=error,
            expected="something that can be pickled, with all that it refers to",
            where="what was given to world.run or world.map",
            remedy="create files, locks and connections inside the program") from error


def size_of_result(result):
    """Return a result's payload bytes, or raise ConfigurationError if it cannot travel."""
    try:
        return wire.size_of(result)
    except ConfigurationError:
        try:
            return len(cloudpickle.dumps(result))        # of a class that lives in a notebook
        except Exception as error:
            raise ConfigurationError(
                "A result cannot be sent back.", got=f"{type(result).__name__}: {error}",
                expected="an array, or an object that pickle accepts", where="what is returned",
                remedy="return the data that it holds") from error


def _unpack(part):
    """Return a part as the program takes it: its own to change, unless it is a shard."""
    if isinstance(part, Placed):
        return part.value
    if isinstance(part, list):           # of shards: its own, and those that it has taken over
        return sharding.concatenate([one.value for one in part])
    if isinstance(part, Packed):
        return cloudpickle.loads(part.pickled)
    if isinstance(part, np.ndarray) and not (part.flags.writeable and part.flags.aligned):
        return part.copy()               # Dask hands out arrays that lie in its receive buffer
    return part


def _explain(error, me):
    """Return `(cause, an error that can travel)`."""
    if isinstance(error, TimeoutError) and not str(error):
        return "waiting", DeadlockError(f"Peer {me.rank} still waits at the deadline.",
                                        got=me.waiting())
    if isinstance(error, DeadlockError):
        return "waiting", error
    if isinstance(error, Regroup):
        return "regroup", ClusterError("Somebody waits to join.")
    if isinstance(error, ShardLost):
        return "shard", error
    if isinstance(error, Aborted):
        return "aborted", ClusterError("Stopped because another peer failed.", where=me.place())
    if isinstance(error, ClusterError):
        return "gone", error
    named = program_error(error, me)
    named.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
        named.original = error
    except Exception:
        named.original = None            # the note still tells what it was
    return "program", named


def cause_of(error):
    """Return the exception that the program raised, if it could travel."""
    return getattr(error, "original", None) if isinstance(error, ProgramError) else None
